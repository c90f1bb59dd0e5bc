/**
 * An experiment: the figures of one seed, reproduced. It is handed what only the edge has: recordings to read, a kernel to measure.
 */
import type { CostTable } from '../machine/index.ts';
import type { ItemsRun } from '../whatif/runInput.ts';
import type { Param, Params } from '../workloads/index.ts';
import type { CompactionPlan, MeasuredCompaction } from './compaction.ts';
import type { Tracker } from './lostPages.ts';
import type { SwappedSlide, Way } from './movePages.ts';
import type { Asked } from './protectFigures.ts';
import type { ProtectResult } from './protectRange.ts';
import type { Row } from './row.ts';
import type { TimedLoads, Timing } from './timedLoads.ts';

/** A bundled recording and the name it goes by. */
export interface Recording {
  readonly name: string;
  readonly input: ItemsRun;
}

/** Runs the loads of an experiment on the running kernel. The first three return the number of VMAs at the end. */
export interface KernelLoads {
  /** @param order  pages of the reservation in the order in which they are committed and written */
  reserveCommit(order: readonly number[]): number;
  realloc(load: { operations: number; touch: string; hole: number }): number;
  slide(load: { pages: number; sources: string }): number;
  /** Protects a range, and writes to it. */
  protect(load: Asked): ProtectResult;
  /** Returns the nanoseconds a page of UFFDIO_COPY or UFFDIO_MOVE, `batch` pages an ioctl. */
  nsAPage(load: { readonly way: Way; readonly batch: number }): number;
  /** Compacts a heap: what can be measured of that. */
  compaction(load: Omit<CompactionPlan, 'calibration'>): MeasuredCompaction;
  /** Slides pages that are in swap together. Sets up swap in compressed memory meanwhile, which needs root. */
  slideSwapped(load: { readonly way: Way; readonly pages: number }): SwappedSlide;
  /** Returns how many vmas a process has when mprotect fails for their number. */
  vmasAtLimit(): number;
  /** Returns 1 if mremap of a heap of three vmas is refused with EFAULT, else 0. */
  moveRefused(isArmed: boolean): number;
  /** Returns how many stores nobody hears of. */
  lostStores(load: { readonly tracker: Tracker; readonly pages: number }): number;
}

/** What an experiment works with. */
export interface ExperimentInput {
  /** A value for every parameter. */
  readonly params: Params;
  readonly recordings: readonly Recording[];
  /** The running kernel, or null: then what was measured before stands in. */
  readonly kernel: KernelLoads | null;
  /** What came of the loads that the experiment wants timed, with the prices that belong to them; null if nobody timed them. */
  readonly timed: TimedLoads | null;
  /** What all other times are modelled with. */
  readonly costs: CostTable;
  /** Is told what comes next. */
  readonly progress: (text: string) => void;
}

/** What an experiment came to. */
export interface Reproduction {
  readonly seed: string;
  readonly title: string;
  readonly rows: readonly Row[];
}

/** The experiment of one seed. */
export interface Experiment {
  readonly seed: string;
  readonly title: string;
  readonly params: Readonly<Record<string, Param>>;
  /** It plays bundled recordings. */
  readonly playsRecordings: boolean;
  /** Loads whose time it holds modelled times against. */
  readonly timing?: Timing;
  run(input: ExperimentInput): Reproduction;
}
