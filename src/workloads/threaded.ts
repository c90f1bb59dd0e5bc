/**
 * A workload of several threads: a program of ours in virtual time, with parameters.
 *
 * Its `main` runs on the first thread of a process and makes the others. What is random comes from the Prng that is handed in, so a workload, its
 * parameters, a seed and the settings of the machine are the whole run. It checks its own data (`t.expect`), and returns figures of its own, if it
 * has any, under names of its own.
 */
import { Prng } from '../base/prng.ts';
import {
  type Running,
  Simulation,
  type SimulationOptions,
  type Thread,
  type ThreadMain,
  type TimeReport,
} from '../machine/index.ts';
import { type Features, LINUX_6_18 } from '../mm/index.ts';
import type { Param, Params, ParamValue } from './workload.ts';

/** What a threaded workload tells besides the report: numbers by name, with their unit in the name. */
export type Figures = Readonly<Record<string, number>>;

/** What a program needs of the machine. `features` are switches without which it would be refused; they are set whatever the profile says. */
export type MachineNeeds = Pick<SimulationOptions, 'cpus' | 'contents' | 'config'> & {
  readonly features?: Partial<Features>;
};

/** A program of several threads. */
export interface ThreadedWorkload {
  /** What it is called. */
  readonly name: string;
  /** A few words. */
  readonly title: string;
  /** What it does and what it is there for. */
  readonly text: string;
  readonly params: Readonly<Record<string, Param>>;
  /** The size at which it happened in the field, too large for every day: what `--full` sets. */
  readonly full?: Readonly<Record<string, ParamValue>>;
  /** Tells what the machine should be like where the user does not; the first pages of memory need no bytes, say. May depend on parameters. */
  readonly machine?: MachineNeeds | ((params: Params) => MachineNeeds);
  /**
   * Runs the program.
   * @param t       the first thread
   * @param params  a value for every parameter, checked (`settleParams`)
   * @param prng    everything random in it
   * @returns       figures of its own, {} for none
   */
  main(t: Thread, params: Params, prng: Prng): Running<Figures>;
}

/** What came of a run. */
export interface ThreadedRun {
  readonly report: TimeReport;
  readonly figures: Figures;
  readonly simulation: Simulation;
}

/** Runs `workload` to its end. Throws what `Simulation.run` throws, and ModelBug when its data are wrong. */
export function runThreaded(
  of: { readonly workload: ThreadedWorkload; readonly params: Params },
  options: SimulationOptions,
): ThreadedRun {
  const { workload, params } = of;
  const { machine } = workload;
  const needs = typeof machine === 'function' ? machine(params) : machine;
  const features = { ...LINUX_6_18, ...options.features, ...needs?.features };
  const config = { ...needs?.config, ...options.config };
  const simulation = new Simulation({ ...needs, ...options, features, config });
  let figures: Figures = {};
  const main: ThreadMain = function* (t) {
    figures = yield* workload.main(t, params, new Prng(options.seed ?? 1));
  };
  simulation.start('main', main);
  return { report: simulation.run(), figures, simulation };
}
