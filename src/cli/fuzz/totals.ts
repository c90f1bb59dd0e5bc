/**
 * What a fuzzing run has done in one mode: sums over its batches.
 *
 * Batches are counted in the order of their seeds, whatever order they end in. So the seeds that are counted are always those from the
 * first up to `next`, and a run that is taken up again begins there.
 */
import type { Compared } from '../../replay/play/check.ts';
import { addCompared, type Batch, type BatchResult, NOTHING_COMPARED } from './batch.ts';

/** The sums, as they are written to files. */
export interface Sums {
  readonly sequences: number;
  readonly ops: number;
  readonly compared: Compared;
  /** Seeds of sequences in which model and kernel differ. */
  readonly differing: readonly number[];
  /** Seeds of sequences whose difference the kernel did not repeat. */
  readonly unsteady: readonly number[];
  /** Coverage keys reached, in alphabetical order. */
  readonly coverage: readonly string[];
  /** CPU time of the executors, and time in which threads were busy with drawing and playing. */
  readonly kernelMs: number;
  readonly modelMs: number;
}

/** Sums of nothing. */
export const NO_SUMS: Sums = {
  sequences: 0,
  ops: 0,
  compared: NOTHING_COMPARED,
  differing: [],
  unsteady: [],
  coverage: [],
  kernelMs: 0,
  modelMs: 0,
};

/** Returns the sums of two parts of a run. */
export function addSums(a: Sums, b: Sums): Sums {
  return {
    sequences: a.sequences + b.sequences,
    ops: a.ops + b.ops,
    compared: addCompared(a.compared, b.compared),
    differing: united(a.differing, b.differing),
    unsteady: united(a.unsteady, b.unsteady),
    coverage: b.coverage.length === 0 ? a.coverage : [...new Set([...a.coverage, ...b.coverage])].sort(),
    kernelMs: a.kernelMs + b.kernelMs,
    modelMs: a.modelMs + b.modelMs,
  };
}

const united = (a: readonly number[], b: readonly number[]): readonly number[] =>
  b.length === 0 ? a : [...new Set([...a, ...b])].sort((x, y) => x - y);

/** The sums of one mode while it runs. */
export class ModeTotals {
  /** Seed from which on nothing has been counted. */
  #next: number;
  #sums: Sums = NO_SUMS;
  /** Batches that ended before one with smaller seeds. */
  readonly #waiting = new Map<number, { readonly batch: Batch; readonly result: BatchResult }>();
  /** Seeds whose difference turned out not to come again. */
  readonly #demoted = new Set<number>();

  /** @param seed  of the first sequence */
  constructor(seed: number) {
    this.#next = seed;
  }

  get next(): number {
    return this.#next;
  }

  /** The sums so far, of the seeds before `next`. */
  get sums(): Sums {
    const isSteady = (seed: number): boolean => !this.#demoted.has(seed);
    const { differing, unsteady } = this.#sums;
    const demoted = differing.filter((seed) => !isSteady(seed));
    return {
      ...this.#sums,
      differing: differing.filter(isSteady),
      unsteady: united(unsteady, demoted),
    };
  }

  /** Counts a batch. */
  add(batch: Batch, result: BatchResult): void {
    this.#waiting.set(batch.seed, { batch, result });
    for (let first = this.#waiting.get(this.#next); first !== undefined; ) {
      this.#waiting.delete(this.#next);
      this.#next += first.batch.sequences;
      const { differing, ...rest } = first.result;
      this.#sums = addSums(this.#sums, {
        ...rest,
        sequences: first.batch.sequences,
        differing: differing.map(({ seed }) => seed),
      });
      first = this.#waiting.get(this.#next);
    }
  }

  /** A difference was tried again, and did not come again. */
  demote(seed: number): void {
    this.#demoted.add(seed);
  }
}
