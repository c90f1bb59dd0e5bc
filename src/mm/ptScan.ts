/**
 * The scan for empty page tables of one address space (seed 003, `ptReclaim=async`).
 *
 * It goes on where the last one stopped, in address order, over the tables that lie whole in one vma. Each table is looked at (512 entries) and freed if
 * all of them are none, by one of two ways:
 *
 *   lock=table     the locks of the pmd and of the table are held from the look to the clearing: nothing comes between
 *   lock=gupFast   the look is without locks; what was found empty is locked and looked at again, and a fault, a zap or a huge page may have come between
 *
 * Somebody with a clock steps it (`next`, `clear`); `scanTables` does all of it at once.
 *
 * Invariant   a step that was looked at and not cleared yet has changed nothing
 * Cost        linear in the tables of the vmas it visits; 1 GiB without tables is one step
 * Linux       never merged: RFC 3/3 of seed 003 (lock=table), Hildenbrand's prototype as he describes it there (lock=gupFast); spec/pt-reclaim.md 4
 */
import { type Addr, floorTo, PMD_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { EMPTY_TABLE, KIND_MASK, TABLE } from './pte.ts';
import { chargeEntries, freeEmpty, freeUpperAt, isVisited } from './ptReclaim.ts';
import type { ScanTunables } from './ptScanTunables.ts';
import { PUD_SIZE } from './tableTree.ts';
import { TlbGather } from './tlb.ts';
import type { Vma } from './vma.ts';
import { FACT, PATH } from './work.ts';

const ENTRIES = 512;

/** Where the scan of an address space has come to. */
export class ScanState {
  /** Where the next one begins. */
  offset: Addr = 0;
}

/** What one scan did. */
export interface ScanStop {
  readonly vmas: number;
  /** Tables that were looked at. */
  readonly tables: number;
  readonly freed: number;
  /** It reached the end of the address space. */
  readonly isWhole: boolean;
}

/** A table that was looked at. */
export interface Look {
  readonly base: Addr;
  /** It has to be cleared, if it still is empty: `clear`. */
  readonly isFound: boolean;
  /** It was empty, and went at once. */
  readonly isFreed: boolean;
}

/** What became of a table that was found empty: it went; it is there and holds something; it is not there, or covered by a huge page. */
export type ClearVerdict = 'freed' | 'refilled' | 'gone';

/** What a walk says at its end. */
const NO_MORE = -1;

/** The way of a scan from table to table, and where it stops. */
class ScanWalk {
  readonly #mm: Mm;
  readonly #tunables: ScanTunables;
  readonly #begin: Addr;
  /** The vma after the one that is visited. */
  #following: Vma | null;
  #vma: Vma | null = null;
  /** What is visited of it; `at` is where its next GiB begins. */
  #from: Addr = 0;
  #until: Addr = 0;
  #at: Addr = 0;
  /** Bytes of the vmas before it that were visited. */
  #visited = 0;
  /** The tables of the GiB at hand, and which of them is next. */
  readonly #bases: Addr[] = [];
  #index = 0;
  #gib: Addr = NO_MORE;
  /** The table that it came to last, in this GiB. */
  #last: Addr = NO_MORE;
  /** Vmas that were visited. */
  vmas = 0;
  /** Where it stopped, once there is no more; null: at the end of the address space. */
  stopped: Addr | null = null;

  constructor(mm: Mm, begin: Addr) {
    this.#mm = mm;
    this.#tunables = mm.kernel.config.ptScan;
    this.#begin = begin;
    this.#following = mm.vmas.firstEndingAbove(begin);
  }

  /** Goes on to the next table, and returns its address, or NO_MORE. @param freed  how many the scan has freed so far */
  next(freed: number): Addr {
    const { pages } = this.#mm;
    if (this.#last !== NO_MORE && freed >= this.#tunables.maxPerStop)
      return this.#stop(this.#last + PMD_SIZE);
    for (;;) {
      while (this.#index < this.#bases.length) {
        const base = this.#bases[this.#index++] as Addr;
        if (!pages.hasTable(base)) continue;
        this.#last = base;
        return base;
      }
      this.#last = NO_MORE;
      if (this.#gib !== NO_MORE && this.#tunables.upper) freeUpperAt(this.#mm, this.#gib);
      this.#gib = NO_MORE;
      if (!this.#enterGib() && !this.#enterVma(freed)) return NO_MORE;
    }
  }
  #stop(at: Addr): typeof NO_MORE {
    this.stopped = at;
    return NO_MORE;
  }

  /** Goes on to the next GiB of the vma that has tables, or had. Facts: ptScanSlots; charges pt-scan-absent. Returns whether there is one. */
  #enterGib(): boolean {
    const { pages, kernel } = this.#mm;
    this.#bases.length = 0;
    this.#index = 0;
    while (this.#at < this.#until) {
      const at = this.#at;
      this.#at = Math.min(this.#until, floorTo(at, PUD_SIZE) + PUD_SIZE);
      if (!pages.hasPmdPage(at)) continue;
      pages.tablesOf(at, this.#at, this.#bases);
      const absent = (this.#at - at) / PMD_SIZE - this.#bases.length;
      kernel.work.count(FACT.ptScanSlots, absent);
      kernel.work.charge(PATH['pt-scan-absent'], 0, absent);
      this.#gib = at;
      return true;
    }
    return false;
  }

  /** Goes on to the next vma of which something is visited. Returns whether there is one, and the scan does not stop before it. */
  #enterVma(freed: number): boolean {
    if (this.#vma !== null && !this.#leaveVma(this.#vma, freed)) return false;
    const { size, stop } = this.#tunables;
    for (let vma = this.#following; vma !== null; vma = this.#following) {
      this.#following = vma.next;
      if (!isVisited(this.#mm, vma, this.#tunables)) continue;
      const from = Math.ceil(Math.max(this.#begin, vma.start) / PMD_SIZE) * PMD_SIZE;
      const end = floorTo(vma.end, PMD_SIZE);
      if (from < end) {
        this.vmas++;
        this.#vma = vma;
        this.#from = from;
        this.#at = from;
        this.#until = stop === 'exact' ? Math.min(end, from + (size - this.#visited)) : end;
        return true;
      }
      if (this.#isOverAfter(vma, freed)) return false;
    }
    return false;
  }
  #leaveVma(vma: Vma, freed: number): boolean {
    this.#vma = null;
    this.#visited += this.#until - this.#from;
    if (this.#until < floorTo(vma.end, PMD_SIZE)) {
      this.stopped = this.#until;
      return false;
    }
    return !this.#isOverAfter(vma, freed);
  }
  /** Tells whether the scan stops at the end of `vma`. Counted from where it began, holes and all: the first one of an address space, from 0, ends with its first vma. */
  #isOverAfter(vma: Vma, freed: number): boolean {
    const { size, stop, maxPerStop } = this.#tunables;
    if ((stop !== 'vmaEnd' || vma.end - this.#begin < size) && freed < maxPerStop) return false;
    this.stopped = vma.end;
    return true;
  }
}

/** One scan, step by step. */
export class TableScan {
  readonly #mm: Mm;
  readonly #state: ScanState;
  readonly #tunables: ScanTunables;
  readonly #tlb: TlbGather;
  readonly #walk: ScanWalk;
  #tables = 0;
  #freed = 0;

  /** Begins a scan of `mm`, where the last one stopped. Fact: ptScans */
  constructor(mm: Mm) {
    mm.ptScan ??= new ScanState();
    this.#mm = mm;
    this.#state = mm.ptScan;
    this.#tunables = mm.kernel.config.ptScan;
    this.#tlb = new TlbGather(mm);
    const { offset } = this.#state;
    this.#walk = new ScanWalk(mm, mm.vmas.firstEndingAbove(offset) === null ? 0 : offset);
    mm.kernel.work.count(FACT.ptScans);
  }

  /**
   * Looks at the next table. With `lock=table` one that is empty, and has been often enough, is gone then.
   * @returns  null when the scan is over
   * Facts     ptScanTables, ptScanEntries, ptScanUnlocked; charges pt-scan or pt-given
   */
  next(): Look | null {
    return this.nextFew(1);
  }
  /** Does what `next` does, up to `most` times: until a table goes, or has to be cleared. Returns the last look. */
  nextFew(most: number): Look | null {
    const isLate = this.#tunables.lock === 'gupFast';
    for (let n = 1; ; n++) {
      const base = this.#walk.next(this.#freed);
      if (base === NO_MORE) {
        this.#end(this.#walk.stopped);
        return null;
      }
      this.#tables++;
      const isEmpty = this.#look(base) && this.#isOldEnough(base);
      if (!isEmpty && n < most) continue;
      if (isEmpty && !isLate) this.#free(base);
      return { base, isFound: isEmpty && isLate, isFreed: isEmpty && !isLate };
    }
  }

  /**
   * Takes the locks of a table that was found without them, looks again, and frees it if it still is empty.
   * Facts  ptFreedAsync, or ptRaceKept
   */
  clear(base: Addr): ClearVerdict {
    const kind = this.#mm.pages.pmd(base) & KIND_MASK;
    if (kind === TABLE || kind === EMPTY_TABLE) this.#read();
    if (kind === EMPTY_TABLE) {
      this.#free(base);
      return 'freed';
    }
    this.#mm.kernel.work.count(FACT.ptRaceKept);
    return kind === TABLE ? 'refilled' : 'gone';
  }

  /** Returns what it did so far, of a scan that is over. */
  get stop(): ScanStop {
    return {
      vmas: this.#walk.vmas,
      tables: this.#tables,
      freed: this.#freed,
      isWhole: this.#state.offset === 0,
    };
  }

  /** Reads a table, or as much of it as is needed. Returns whether it is empty. */
  #look(base: Addr): boolean {
    const { work } = this.#mm.kernel;
    const isEmpty = (this.#mm.pages.pmd(base) & KIND_MASK) === EMPTY_TABLE;
    work.count(FACT.ptScanTables);
    if (this.#tunables.lock === 'table') this.#read();
    else {
      work.count(FACT.ptScanUnlocked);
      if (isEmpty) this.#read();
      else work.charge(PATH['pt-given'], 0, this.#tunables.gupNs);
    }
    return isEmpty;
  }
  #read(): void {
    chargeEntries(this.#mm.kernel.work, this.#tunables, ENTRIES);
  }

  /** Notes that the table at `base` is empty. Returns whether it has been for long enough. */
  #isOldEnough(base: Addr): boolean {
    const { seen } = this.#mm.pages.empties;
    const before = seen.get(base) ?? 0;
    if (before < this.#tunables.minAge) {
      seen.set(base, before + 1);
      return false;
    }
    seen.delete(base);
    return true;
  }

  #free(base: Addr): void {
    const { work } = this.#mm.kernel;
    freeEmpty(this.#mm, base, this.#tlb);
    if (!this.#tunables.batchFlush) this.#tlb.finish();
    this.#freed++;
    work.count(FACT.ptFreedAsync);
    work.charge(PATH['dontneed-tables'], 0, 1);
  }

  #end(stopped: Addr | null): void {
    this.#tlb.finish();
    const { vmas, kernel } = this.#mm;
    this.#state.offset = stopped !== null && vmas.firstEndingAbove(stopped) !== null ? stopped : 0;
    kernel.work.count(FACT.ptScanVmas, this.#walk.vmas);
  }
}

/** Does one scan of `mm` at once. Facts and charges as its steps. */
export function scanTables(mm: Mm): ScanStop {
  const scan = new TableScan(mm);
  for (let look = scan.next(); look !== null; look = scan.next()) if (look.isFound) scan.clear(look.base);
  return scan.stop;
}
