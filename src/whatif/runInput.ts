/**
 * What can be run: the items of an input, or a program of ours. Both become one sequence of items for a lane.
 */
import { UsageError } from '../base/assert.ts';
import { Prng } from '../base/prng.ts';
import type { Outcome, Program, Step } from '../machine/index.ts';
import type { KernelConfig } from '../mm/index.ts';
import type { ReadingOptions, ReplayItem, ReplayOp } from '../replay/index.ts';
import { settleParams, type WorkloadSpec } from '../workloads/index.ts';

/** An input that is a record of what a program did; it can be read any number of times. */
export interface ItemsRun {
  readonly kind: 'items';
  /** As the user gave it. */
  readonly name: string;
  /** Settings of the machine it was recorded on. */
  readonly config: Partial<KernelConfig>;
  /** Returns its items from the start. @param reading  which, and in which order */
  items(reading?: ReadingOptions): Iterable<ReplayItem>;
}

/** An input that is a program of ours, each time the same. */
export interface ProgramRun {
  readonly kind: 'workload';
  /** As the user gave it. */
  readonly name: string;
  readonly spec: WorkloadSpec;
  /** Of everything random in it. */
  readonly seed: number;
}

/** Either. */
export type RunInput = ItemsRun | ProgramRun;

/** Returns the program of `input` from its start. */
export const programOf = ({ spec, seed }: ProgramRun): Program =>
  spec.workload.program(spec.params, new Prng(seed));

/** Returns `input` with other values for some parameters; throws UsageError where it has none of that name. */
export function withParams(input: RunInput, params: Readonly<Record<string, string>>): RunInput {
  const names = Object.keys(params);
  if (names.length === 0) return input;
  if (input.kind === 'items')
    throw new UsageError(
      `${input.name} is no workload, so there is no ${names[0]} to vary`,
      'the name of a switch (see faultline features), or workloads only',
    );
  const { workload } = input.spec;
  return {
    ...input,
    spec: { workload, params: settleParams(workload, { ...input.spec.params, ...params }) },
  };
}

/** Returns a step of a program as an item: without a line, a recorded answer or a choice of the kernel. */
export function stepItem(nr: number, { task, op }: Step): ReplayOp {
  return {
    kind: 'op',
    op,
    nr,
    line: 0,
    file: '',
    task,
    chosen: {},
    recorded: { kind: 'none' },
    entry: nr,
    exit: nr,
    at: nr,
    overlaps: false,
  };
}

/** A program on its way: hands out one step at a time, is handed what came of it. */
export class ProgramSteps {
  readonly #program: Program;
  #nr = 0;
  #outcome: Outcome | null = null;

  /** @param program  at its start */
  constructor(program: Program) {
    this.#program = program;
  }

  /** Returns the next step as an item, or null at the end. */
  next(): ReplayOp | null {
    const outcome = this.#outcome;
    const step = outcome === null ? this.#program.next() : this.#program.next(outcome);
    if (step.done) return null;
    this.#nr++;
    return stepItem(this.#nr, step.value);
  }

  /** Takes what came of the step. */
  took(outcome: Outcome): void {
    this.#outcome = outcome;
  }
}
