/**
 * What a run did, as plain data: the counters of a kernel at one moment, by name. All of it goes into `--json` as it is.
 */
import { FAULTED, type FactName, type FaultName, WORK_NAMES, type Work } from '../mm/index.ts';

/** Bytes of a page table. */
const TABLE_BYTES = 4096;

/** The counters of a run. */
export interface WorkCounts {
  /** Bytes of page tables of all address spaces, without the topmost ones: what VmPTE adds up. */
  readonly pageTables: { readonly end: number; readonly peak: number };
  /** Accesses that were no hits, by what came of them; and those that were served, which are what Linux counts as faults. */
  readonly faults: Readonly<Record<FaultName, number>>;
  readonly nrFaults: number;
  /** Volatile ranges of all address spaces. */
  readonly vranges: { readonly end: number; readonly peak: number };
  readonly facts: Readonly<Record<FactName, number>>;
  /** Times each priced path was taken, and pages (or what else) that it went over, in the order of the paths. */
  readonly charges: { readonly calls: readonly number[]; readonly pages: readonly number[] };
}

const named = <N extends string>(names: readonly N[], values: Float64Array): Record<N, number> =>
  Object.fromEntries(names.map((name, i) => [name, values[i] as number])) as Record<N, number>;

const isServed = (kind: number): boolean => kind !== FAULTED.guard && kind !== FAULTED.signal;

/** Returns what `work` holds now. */
export function workCounts(work: Work): WorkCounts {
  return {
    pageTables: { end: work.nrTables * TABLE_BYTES, peak: work.peakTables * TABLE_BYTES },
    vranges: { end: work.nrVranges, peak: work.peakVranges },
    faults: named(WORK_NAMES.faults, work.faults),
    nrFaults: work.faults.reduce((sum, n, kind) => (isServed(kind) ? sum + n : sum), 0),
    facts: named(WORK_NAMES.facts, work.facts),
    charges: { calls: [...work.calls], pages: [...work.pages] },
  };
}
