/**
 * Which sequences come next: the modes take turns, a batch each, and in each mode seeds follow each other.
 *
 * How many operations a run of a given number has in each mode depends on that number alone, not on which core was faster.
 */
import type { Batch, Mode, Setup } from './batch.ts';

/** Operations of a sequence. */
export const SEQUENCE_OPS = 200;
/** Sequences of a batch at most: some tenths of a second. */
const BATCH_SEQUENCES = 20;

/** What a plan is made of. */
export interface PlanOptions {
  readonly setup: Setup;
  readonly modes: readonly Mode[];
  readonly every: number;
  /** Operations of all modes together; null: no end. */
  readonly ops: number | null;
  /** How many batches are under way at a time: a short run is cut so that all have something to do. */
  readonly lanes: number;
  /** The seed with which each mode goes on. */
  readonly seedOf: (mode: Mode) => number;
}

/** Hands out batches. */
export class Plan {
  readonly #options: PlanOptions;
  readonly #seeds: Map<Mode, number>;
  /** Operations that each mode has still to do. */
  readonly #left: Map<Mode, number>;
  #turn = 0;

  constructor(options: PlanOptions) {
    const { modes, ops, seedOf } = options;
    this.#options = options;
    this.#seeds = new Map(modes.map((mode) => [mode, seedOf(mode)]));
    const share = ops === null ? Number.POSITIVE_INFINITY : Math.floor(ops / modes.length);
    const rest = ops === null ? 0 : ops % modes.length;
    this.#left = new Map(modes.map((mode, i) => [mode, share + (i < rest ? 1 : 0)]));
  }

  /** Returns the next batch; null when all operations have been handed out. */
  next(): Batch | null {
    const { modes } = this.#options;
    for (let i = 0; i < modes.length; i++) {
      const mode = modes[this.#turn++ % modes.length] as Mode;
      const left = this.#left.get(mode) ?? 0;
      if (left > 0) return this.#batch(mode, left);
    }
    return null;
  }

  #batch(mode: Mode, left: number): Batch {
    const { setup, every, lanes, modes } = this.#options;
    const fair = Math.ceil(left / SEQUENCE_OPS / Math.max(1, Math.floor(lanes / modes.length)));
    const sequences = Math.min(BATCH_SEQUENCES, fair);
    const ops = Math.min(left, sequences * SEQUENCE_OPS);
    const seed = this.#seeds.get(mode) ?? 0;
    this.#left.set(mode, left - ops);
    this.#seeds.set(mode, seed + sequences);
    const lastOps = ops - (sequences - 1) * SEQUENCE_OPS;
    return { setup, mode, seed, sequences, ops: SEQUENCE_OPS, lastOps, every };
  }
}
