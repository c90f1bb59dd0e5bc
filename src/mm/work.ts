/**
 * Work: what the memory manager did, as counters. Facts are exact counts of things done to pages, tables and vmas; charges say how often each priced
 * path was taken, and over how many pages. Nothing here knows a time: machine/cost.ts multiplies charges with a table.
 *
 * Who counts       a fact is counted by the function that does the thing, once
 *                  a fault is counted by the one who served it, with `fault()`, which charges its path too
 *                  a system call is charged once, at its end, from the facts it caused (callCharges.ts)
 * Invariants       [work-tables] `nrTables` is the number of tables of all address spaces, of all levels but the topmost
 *                  [work-faults] every fault charges one path, once
 * Cost             an addition to a typed array a count; nothing is allocated
 * Linux            vm_event_item, the tracepoints of mm/; no single place
 * Left out         who caused it: one Work serves all address spaces of a kernel
 */
import { FAULT_PATHS } from './faultPaths.ts';
import { FACT_NAMES, FAULT_NAMES } from './workFacts.ts';
import { PATH_NAMES } from './workPaths.ts';

declare const unit: unique symbol;
type Index<U extends string> = number & { readonly [unit]: U };
/** One of the counted things. */
export type Fact = Index<'fact'>;
/** One of the ways a fault is served. */
export type FaultKind = Index<'fault'>;
/** One of the priced paths. */
export type Path = Index<'path'>;
/** What the counters are called in output. */
export type FactName = (typeof FACT_NAMES)[number];
/** What kinds of faults are called in output. */
export type FaultName = (typeof FAULT_NAMES)[number];
/** What paths are called in output. */
export type PathName = (typeof PATH_NAMES)[number];

const numbered = <N extends string, I>(names: readonly N[]): Readonly<Record<N, I>> =>
  Object.fromEntries(names.map((name, i) => [name, i])) as Record<N, I>;

/** The number of each fact, by name. */
export const FACT = numbered<FactName, Fact>(FACT_NAMES);
/** The number of each kind of fault, by name. */
export const FAULTED = numbered<FaultName, FaultKind>(FAULT_NAMES);
/** The number of each path, by name. */
export const PATH = numbered<PathName, Path>(PATH_NAMES);

/** On whose behalf pages come in: the program touched them, or the kernel populates. */
export type Origin = 'program' | 'populate' | 'mlock';

const pathsOf = (byName: Readonly<Record<FaultName, PathName>>): readonly Path[] =>
  FAULT_NAMES.map((name) => PATH[byName[name]]);
const PATHS: Readonly<Record<Origin, readonly Path[]>> = {
  program: pathsOf(FAULT_PATHS.program),
  populate: pathsOf(FAULT_PATHS.populate),
  mlock: pathsOf(FAULT_PATHS.mlock),
};

/**
 * Pages given back that are still in the cache when they are taken again. The calibration has figures for 511 pages (hot) and 65536 (cold). Where it
 * was made, first writes to 1024 pages cost what those to 511 do; those to 4096 lie half-way to those to 65536.
 */
const WARM_PAGES = 2048;

/** Pages whose records are in the cache: up to so many in a call, MADV_DONTNEED costs the same for each. */
const CACHED_RECORDS = 32768;
/** Entries of a table besides the one for which it was made. */
const MORE_ENTRIES = 511;

/** Returns a table of `size` numbers: 1 for those in `list`. Every fault asks. */
const flagged = (list: readonly number[], size: number): Uint8Array => {
  const table = new Uint8Array(size);
  for (const i of list) table[i] = 1;
  return table;
};

const {
  pagesAllocated,
  pagesFreed,
  pteTablesAllocated,
  pteTablesFreed,
  upperTablesAllocated,
  upperTablesFreed,
} = FACT;
const HOT = PATH['fault-anon-hot'];
const ANON = FAULTED.anon;
const ZERO = FAULTED['zero-page'];
const SHMEM_CACHED = FAULTED['shmem-cached'];
const SWAP_IN = FAULTED['swap-in'];
const READS_ZEROS = PATH['fault-swap-in-zero'];
/** Faults that take a page, and whose figures were taken with pages given back a moment ago. */
const TAKES_WARM = flagged([ANON, FAULTED['zero-to-write'], FAULTED['shmem-new']], FAULT_NAMES.length);
const HUGE_ZERO = FAULTED['huge-zero'];
const GIVEN = PATH['pt-given'];
/** Their figures have their tables in them. */
const WITH_TABLES = flagged([FAULTED.huge, FAULTED['huge-zero']], FAULT_NAMES.length);
const HUGE_PAGES = 512;

/** Faults that take a huge page, whose figures are those of cold ones, and what they cost with a hot one. */
const HUGE_HOT: ReadonlyMap<Path, Path> = new Map([
  [PATH['fault-huge'], PATH['fault-huge-hot']],
  [PATH['fault-huge-zero-to-write'], PATH['fault-huge-zero-to-write-hot']],
  [PATH['populate-huge'], PATH['populate-huge-hot']],
]);

/** By Path: 1 for those. */
const TAKES_HUGE = flagged([...HUGE_HOT.keys()], PATH_NAMES.length);

/** Somebody who wants to know of each charge when it is made: a machine in which it takes time. */
export type ChargeSink = (path: Path, calls: number, pages: number) => void;

/** The counters of one kernel. Read through the arrays, which are indexed by FACT, FAULTED and PATH. */
export class Work {
  /** By Fact. */
  readonly facts = new Float64Array(FACT_NAMES.length);
  /** Faults served, by FaultKind. */
  readonly faults = new Float64Array(FAULT_NAMES.length);
  /** Times each path was taken, by Path. */
  readonly calls = new Float64Array(PATH_NAMES.length);
  /** Pages (or vmas, tables, windows: what the path is about) that it was taken over, by Path. */
  readonly pages = new Float64Array(PATH_NAMES.length);
  /** Tables of all address spaces now, of all levels but the topmost. */
  nrTables = 0;
  /** The most there were at once. */
  peakTables = 0;
  /** Volatile ranges of all address spaces now, and the most there were at once. */
  nrVranges = 0;
  peakVranges = 0;
  /** Tables without entries now, and the most there were between operations. */
  nrEmptyTables = 0;
  peakEmptyTables = 0;
  /** Nanoseconds that each fault is charged besides, for counting its entry (seed 003, `refcount`). */
  refNs = 0;
  /** On whose behalf faults come; set and put back by who populates. */
  origin: Origin = 'program';
  /** The page that comes in from swap with the next fault holds zeros, and is not read. */
  readsZeros = false;
  /** Is told of charges as they are made; null saves the call. */
  onCharge: ChargeSink | null = null;
  /** Faults are counted here as well, by FaultKind, if somebody wants to know whose they are. */
  faultTally: Float64Array | null = null;
  #warm = 0;
  #freedSeen = 0;
  #tablesSeen = 0;
  /** Entries of the newest table for which nobody has come yet. */
  #newEntries = 0;

  /** Counts `n` more of `fact`. Tables are counted with `tablesMade` and `tablesGone`. */
  count(fact: Fact, n = 1): void {
    this.facts[fact] = (this.facts[fact] as number) + n;
  }

  /** Counts tables that now exist. @param pte  of the lowest level; @param upper  of the levels above, without the topmost */
  tablesMade(pte: number, upper = 0): void {
    this.count(pteTablesAllocated, pte);
    this.count(upperTablesAllocated, upper);
    this.nrTables += pte + upper;
    if (this.nrTables > this.peakTables) this.peakTables = this.nrTables;
  }
  /** Counts one volatile range more, or one less. */
  vrangesChanged(by: 1 | -1): void {
    this.nrVranges += by;
    if (this.nrVranges > this.peakVranges) this.peakVranges = this.nrVranges;
  }
  /** Counts tables that are gone; arguments as for `tablesMade`. */
  tablesGone(pte: number, upper = 0): void {
    this.count(pteTablesFreed, pte);
    this.count(upperTablesFreed, upper);
    this.nrTables -= pte + upper;
  }

  /**
   * Counts `n` faults that were served as `kind`, and charges their path. Called last in a fault, once its table and page are counted.
   * @param n  more than one where the kernel populates many pages in one go
   */
  fault(kind: FaultKind, n = 1): void {
    this.faults[kind] = (this.faults[kind] as number) + n;
    const tally = this.faultTally;
    if (tally !== null) tally[kind] = (tally[kind] as number) + n;
    if (this.refNs > 0) this.charge(GIVEN, 0, n * this.refNs);
    const path = kind === SWAP_IN && this.readsZeros ? READS_ZEROS : (PATHS[this.origin][kind] as Path);
    this.readsZeros = false;
    if (kind === ZERO && this.origin === 'program') {
      this.#zeroPage(path, n);
      return;
    }
    const hot = TAKES_WARM[kind] === 1 ? this.#takeWarm(n) : n;
    if (kind === SHMEM_CACHED) this.visitedRecords(n);
    if (hot > 0) this.charge(TAKES_HUGE[path] === 1 ? this.#hugeOf(path) : path, hot, hot);
    if (hot < n) this.#chargeCold(kind, path, n - hot);
    const made = this.#tablesMade();
    if (made === 0) return;
    // The figures of cold and populated pages have their tables in them.
    if (this.origin !== 'program') this.#populatedTables(kind, made);
    else if (hot > 0 && WITH_TABLES[kind] === 0) this.charge(PATH['fault-table'], made, 0);
  }

  /** Returns the tables that were made since it was last asked. */
  #tablesMade(): number {
    const tables = this.facts[pteTablesAllocated] as number;
    const made = tables - this.#tablesSeen;
    this.#tablesSeen = tables;
    return made;
  }

  /** Loads by the program where nothing was. */
  #zeroPage(path: Path, n: number): void {
    const made = this.#tablesMade();
    const inNew = made === 0 ? Math.min(n, this.#newEntries) : 0;
    if (inNew > 0) this.charge(PATH['fault-zero-new-table'], inNew, inNew);
    if (inNew < n) this.charge(path, n - inNew, n - inNew);
    if (made > 0) this.charge(PATH['fault-table'], made, 0);
    this.#newEntries = made > 0 ? MORE_ENTRIES : this.#newEntries - inNew;
  }

  /** New pages that were not given back a moment ago. */
  #chargeCold(kind: FaultKind, path: Path, n: number): void {
    this.charge(this.#coldPath(path), n, n);
    if (kind !== ANON) this.charge(PATH['fault-cold-page'], 0, n);
  }

  /** Tables of what the kernel populates: in the figures, which were taken with tables given back a moment ago. It shows where a page is 2 MiB. */
  #populatedTables(kind: FaultKind, made: number): void {
    if (kind !== HUGE_ZERO) return;
    const cold = made - this.#takeWarm(made);
    if (cold > 0) this.charge(PATH['fault-cold-page'], 0, cold);
  }

  /** The records of `n` pages of files were visited. The figures of that are for few pages. */
  visitedRecords(n: number): void {
    const inUse = (this.facts[pagesAllocated] as number) - (this.facts[pagesFreed] as number);
    if (n > 0 && inUse > CACHED_RECORDS) this.charge(PATH['cold-record'], 0, n);
  }

  /** `n` new pages were taken by a path whose figure was taken with pages given back a moment ago. */
  tookPages(n: number): void {
    const cold = n - this.#takeWarm(n);
    if (cold > 0) this.charge(PATH['fault-cold-page'], 0, cold);
  }

  /** Returns how many of `n` new pages come out of the cache. */
  #takeWarm(n: number): number {
    const freed = (this.facts[pagesFreed] as number) + (this.facts[pteTablesFreed] as number);
    const warm = Math.min(WARM_PAGES, this.#warm + freed - this.#freedSeen);
    this.#freedSeen = freed;
    const hot = Math.min(n, warm);
    this.#warm = warm - hot;
    return hot;
  }

  #coldPath(path: Path): Path {
    if (path === HOT) return PATH['fault-anon-cold'];
    return path === PATH['populate-write-hot'] ? PATH['populate-write-cold'] : path;
  }

  /** Returns the path of a fault that takes a huge page, if it does, by whether that comes out of the cache: all of it or none. */
  #hugeOf(path: Path): Path {
    const hot = HUGE_HOT.get(path);
    return hot === undefined || this.#takeWarm(HUGE_PAGES) < HUGE_PAGES ? path : hot;
  }

  /** Charges `path`: taken `calls` times, over `pages` pages (or what else it is about). */
  charge(path: Path, calls: number, pages = 0): void {
    this.calls[path] = (this.calls[path] as number) + calls;
    this.pages[path] = (this.pages[path] as number) + pages;
    if (this.onCharge !== null) this.onCharge(path, calls, pages);
  }

  /** An operation is over: what it emptied for a moment does not count. */
  settleEmpty(): void {
    if (this.nrEmptyTables > this.peakEmptyTables) this.peakEmptyTables = this.nrEmptyTables;
  }

  /** A system call ends: tables that it made are none that the next fault makes. */
  settle(): void {
    this.#tablesSeen = this.facts[pteTablesAllocated] as number;
  }

  /**
   * Runs `fill` without counting anything but the tables there are: a run begins with memory that is there already.
   * @returns  what `fill` returns
   */
  uncounted<T>(fill: () => T): T {
    const counters = [this.facts, this.faults, this.calls, this.pages];
    const before = counters.map((each) => each.slice());
    const warm = this.#warm;
    const { onCharge } = this;
    this.onCharge = null;
    const result = fill();
    this.onCharge = onCharge;
    for (const [i, each] of counters.entries()) each.set(before[i] as Float64Array);
    this.#warm = warm;
    this.#freedSeen = (this.facts[pagesFreed] as number) + (this.facts[pteTablesFreed] as number);
    this.settle();
    return result;
  }
}

/** Names in the order of the arrays. */
export const WORK_NAMES = { facts: FACT_NAMES, faults: FAULT_NAMES, paths: PATH_NAMES } as const;
