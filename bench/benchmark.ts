/**
 * What a benchmark is, and what it tells.
 */
import type { References } from './references.ts';

/** One measurement; README.md says how it is taken. */
export interface Row {
  readonly bench: string;
  /** Median of the rounds, in `unit`. */
  readonly ours: number;
  /** The same work on the running kernel; null where it cannot be done here, and `note` says why. */
  readonly reference: number | null;
  /** Median of ours / reference of each round, in time: below 1 the model is faster. */
  readonly ratio: number | null;
  readonly unit: string;
  /** Of the state afterwards: speed that changes it is no speed. */
  readonly hash: string;
  readonly note?: string;
}

/** How a benchmark is to be run. */
export interface Run {
  /** A small input and one round: shows that the benchmark works, not how fast anything is. */
  readonly tiny: boolean;
  readonly references: References;
}

/** One question. */
export interface Benchmark {
  /** Names of its rows, in order. */
  readonly rows: readonly string[];
  run(options: Run): Row[];
}
