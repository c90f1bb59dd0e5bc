/**
 * Loads that are timed on the running kernel, and what its calls and faults cost meanwhile.
 *
 * One machine is not equally fast at all times: a guest shares caches, memory and host with others, and the same fault has been seen to take half as long again for
 * hours. So a measured time says something about modelled ones only beside the prices of the same run. An experiment names its loads and the groups of
 * `faultline calibrate` that price them; whoever runs it times both in turns, or takes what was kept of such a run.
 */
import type { Calibration } from '../machine/index.ts';
import type { Params, Purge } from '../workloads/index.ts';

/** ebizzy with buffers of 512 KiB that are given back in some way. Comes to records a second of CPU time, the more the better, and faults in 100 records. */
export interface RecordsLoad {
  readonly kind: 'records';
  readonly chunks: number;
  readonly purge: Purge;
  readonly threads: number;
}

/** A fork of a process that made so many page tables and emptied them; `freed`: and had them freed. Comes to microseconds, the fewer the better, and VmPTE in KiB. */
export interface ForkLoad {
  readonly kind: 'fork';
  readonly tables: number;
  readonly freed: boolean;
}

/** One of them. */
export type TimedLoad = RecordsLoad | ForkLoad;

/** Groups of figures of `faultline calibrate` that loads are priced by. */
export type PriceGroup = 'base' | 'vmas' | 'faults' | 'zaps' | 'inspection' | 'fork' | 'threads';

/** What an experiment wants timed. */
export interface Timing {
  readonly groups: readonly PriceGroup[];
  /** Returns the loads, each of which has a name of its own. */
  loads(params: Params): readonly TimedLoad[];
}

/** What came of it. */
export interface TimedLoads {
  /** The prices of the same run; its name says so. */
  readonly calibration: Calibration;
  /** Where and when, and how those prices are beside others: for a note. */
  readonly about: string;
  /** Returns what a load came to, or null where it was not run. */
  figures(load: TimedLoad): readonly number[] | null;
}

/** Returns what a load is called where it is kept. */
export function loadName(load: TimedLoad): string {
  if (load.kind === 'fork') return `fork tables=${load.tables} ${load.freed ? 'freed' : 'empty'}`;
  return `records chunks=${load.chunks} purge=${load.purge} threads=${load.threads}`;
}

/** Tells whether a run of `load` came to more than another: was less disturbed. */
export function isBetter(load: TimedLoad, figures: readonly number[], than: readonly number[]): boolean {
  const [one = 0, other = 0] = [figures[0], than[0]];
  return load.kind === 'fork' ? one < other : one > other;
}
