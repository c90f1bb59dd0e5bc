/**
 * A program as a generator of operations: what a workload is to the machine.
 *
 * It yields one Step at a time and is handed what the operation gave, so it can go on with the address that mmap chose. Steps name the thread
 * that acts; a fork is a `clone` step whose value is the child's number.
 */
import type { Machine } from './machine.ts';
import type { Op } from './op.ts';
import type { Outcome } from './outcome.ts';

/** One operation of one thread. */
export interface Step {
  readonly task: number;
  readonly op: Op;
}

/** A program: yields steps, receives outcomes. */
export type Program = Generator<Step, void, Outcome>;

/** Is told after each step: its number from 1, the step, what came of it. */
export type StepListener = (nr: number, step: Step, outcome: Outcome) => void;

/**
 * Runs `program` on `machine` to its end.
 * @returns  the number of steps
 */
export function runProgram(machine: Machine, program: Program, listener?: StepListener): number {
  let nr = 0;
  for (let next = program.next(); !next.done; ) {
    nr++;
    const step: Step = next.value;
    machine.kernel.opNr = nr;
    const outcome = machine.apply(step.task, step.op);
    listener?.(nr, step, outcome);
    next = program.next(outcome);
  }
  return nr;
}
