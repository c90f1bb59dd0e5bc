/**
 * What the threads of a fuzzing run hand each other: batches of sequences, and what they came to.
 *
 * Everything here is plain data, because it is copied from thread to thread.
 */
import type { FuzzModeName, OpsDifference } from '../../fuzz/index.ts';
import type { Compared } from '../../replay/play/check.ts';

/** A mode whose sequences are drawn: `all` is the others in turn. */
export type Mode = Exclude<FuzzModeName, 'all'>;

/** What every thread needs to know of the machine. */
export interface Setup {
  /** The program that runs sequences on the kernel. */
  readonly opsrun: string;
  /** Whether huge pages are on for everybody, for those who ask, or off: as this machine has it. */
  readonly thp: 'never' | 'madvise' | 'always';
}

/** Sequences of one mode whose seeds follow each other. */
export interface Batch {
  readonly setup: Setup;
  readonly mode: Mode;
  /** Seed of the first sequence. */
  readonly seed: number;
  readonly sequences: number;
  /** Operations of each; the last may have fewer. */
  readonly ops: number;
  readonly lastOps: number;
  /** A snapshot follows every so many operations. */
  readonly every: number;
}

/** A sequence in which model and kernel differ, in two runs of the kernel. */
export interface Differing {
  readonly mode: Mode;
  readonly seed: number;
  /** Operations it was drawn with. */
  readonly ops: number;
  /** The sequence, with requests for snapshots and without answers. */
  readonly lines: readonly string[];
  /** The same with the kernel's answers. */
  readonly log: string;
  readonly difference: OpsDifference;
}

/** What a batch came to. */
export interface BatchResult {
  /** Operations carried out. */
  readonly ops: number;
  readonly compared: Compared;
  readonly differing: readonly Differing[];
  /** Seeds whose difference the kernel did not repeat. */
  readonly unsteady: readonly number[];
  /** Coverage keys that this thread reached for the first time in this mode. */
  readonly coverage: readonly string[];
  /** CPU time of the executors, and time in which the thread was busy. */
  readonly kernelMs: number;
  readonly modelMs: number;
}

/** A sequence that is to be made short. */
export interface ShrinkTask {
  readonly setup: Setup;
  readonly differing: Differing;
  /** For how long. */
  readonly seconds: number;
}

/** Returns how much two parts of a run have compared. */
export const addCompared = (a: Compared, b: Compared): Compared => ({
  results: a.results + b.results,
  vmas: a.vmas + b.vmas,
  touches: a.touches + b.touches,
  pages: a.pages + b.pages,
  counts: a.counts + b.counts,
});

/** Nothing compared yet. */
export const NOTHING_COMPARED: Readonly<Compared> = { results: 0, vmas: 0, touches: 0, pages: 0, counts: 0 };
