/**
 * A workload: a program of ours with parameters, in place of a recording.
 *
 * Its program yields operations and is handed what they gave (machine/program.ts). Whoever runs it starts a process with the pid `FIRST_TASK`;
 * everything else, children too, the program makes itself. What is random comes from the Prng that is handed in, so a workload, its
 * parameters and a seed are the whole run.
 */
import { UsageError } from '../base/assert.ts';
import { Prng } from '../base/prng.ts';
import { parseSize } from '../base/units.ts';
import type { Machine, Process, Program, StepListener } from '../machine/index.ts';
import { runProgram } from '../machine/index.ts';

/** The value of a parameter. */
export type ParamValue = number | string;
/** Values by name: every parameter of a workload has one. */
export type Params = Readonly<Record<string, ParamValue>>;

/** A parameter: a number (integer, from `min` to `max`), or one of the words `choices`. */
export interface Param {
  readonly default: ParamValue;
  /** What a number counts: `pages`, `children`; empty for words. */
  readonly unit: string;
  /** One sentence for people. */
  readonly text: string;
  /** Smallest number, 0 unless told. */
  readonly min?: number;
  /** Largest number, 2^32 - 1 unless told. */
  readonly max?: number;
  readonly choices?: readonly string[];
}

/** A load that is a program of ours. */
export interface Workload {
  /** What stands behind `workload:`. */
  readonly name: string;
  /** A few words. */
  readonly title: string;
  /** What it does and what it is there for. */
  readonly text: string;
  readonly params: Readonly<Record<string, Param>>;
  /**
   * Returns the program from its start.
   * @param params  a value for every parameter, checked (`settleParams`)
   * @param prng    everything random in it
   */
  program(params: Params, prng: Prng): Program;
}

/** A workload with a value for every parameter. */
export interface WorkloadSpec {
  readonly workload: Workload;
  readonly params: Params;
}

/** The pid, and first thread, of the process a workload begins with. */
export const FIRST_TASK = 1;

const MAX = 2 ** 32 - 1;

/** Returns the rule for a parameter in words: what would be right. */
export function describeParam(name: string, param: Param): string {
  if (param.choices !== undefined) return `${name}=${param.choices.join('|')}`;
  if (typeof param.default === 'string') return `${name}=TEXT`;
  const { min = 0, max = MAX } = param;
  return `${name}=NUMBER from ${min} to ${max}${param.unit === '' ? '' : ` (${param.unit})`}`;
}

/** Something with parameters: a workload, an experiment. */
export type Parametrized = Pick<Workload, 'name' | 'params'>;

/**
 * Checks values against the parameters of `owner` and adds the defaults.
 * @param given  values by name; texts are read as numbers (also `64K`, `2M`) where the parameter is one
 * @throws       UsageError naming the parameter and what would be right
 */
export function settleParams(owner: Parametrized, given: Readonly<Record<string, ParamValue>> = {}): Params {
  const params: Record<string, ParamValue> = {};
  for (const [name, param] of Object.entries(owner.params)) params[name] = param.default;
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(owner.params, name)) {
      const names = Object.keys(owner.params);
      throw new UsageError(
        `${owner.name} has no parameter '${name}'`,
        names.length === 0 ? 'no parameters' : `one of ${names.join(', ')}`,
      );
    }
    params[name] = checkedValue(owner, name, value);
  }
  return params;
}

function checkedValue(owner: Parametrized, name: string, value: ParamValue): ParamValue {
  const param = owner.params[name] as Param;
  const wrong = (): UsageError =>
    new UsageError(`${owner.name}: ${name}=${value} is not possible`, describeParam(name, param));
  if (typeof param.default === 'string') {
    if (typeof value !== 'string' || param.choices?.includes(value) === false) throw wrong();
    return value;
  }
  const number = typeof value === 'number' ? value : parseSize(value);
  const { min = 0, max = MAX } = param;
  if (number === null || !Number.isInteger(number) || number < min || number > max) throw wrong();
  return number;
}

/** Returns the number that parameter `name` has. The caller declared it as one. */
export function numberParam(params: Params, name: string): number {
  const value = params[name];
  if (typeof value !== 'number') throw new UsageError(`the parameter ${name} is missing`, `${name}=NUMBER`);
  return value;
}

/** Returns the generator for a workload with a `seed` parameter: of that seed, or the one handed in when it is 0. */
export const seededBy = (params: Params, prng: Prng): Prng => {
  const seed = numberParam(params, 'seed');
  return seed === 0 ? prng : new Prng(seed);
};

/** The parameter `seed` of a workload with something random in it. */
export const SEED_PARAM: Param = {
  default: 0,
  unit: '',
  text: 'seed of what is random; 0 takes the seed of the whole run',
};

/**
 * Runs a workload from its start in a fresh process of `machine`.
 * @param seed      of everything random in it
 * @param listener  is told after each operation
 * @returns         the process it began with (which may have ended)
 * @throws          UsageError when a call is refused that the workload relies on; ModelBug when its end state is wrong
 */
export function runWorkload(
  machine: Machine,
  { workload, params }: WorkloadSpec,
  seed: number,
  listener?: StepListener,
): Process {
  const process = machine.spawn(FIRST_TASK);
  runProgram(machine, workload.program(params, new Prng(seed)), listener);
  return process;
}
