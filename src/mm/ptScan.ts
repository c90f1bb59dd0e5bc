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
import { PUD_SIZE } from './pageTable.ts';
import { EMPTY_TABLE, KIND_MASK, TABLE } from './pte.ts';
import { chargeEntries, freeEmpty, freeUpperAt, isVisited } from './ptReclaim.ts';
import type { ScanTunables } from './ptScanTunables.ts';
import { TlbGather } from './tlb.ts';
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
}

/** What became of a table that was found empty: it went; it is there and holds something; it is not there, or covered by a huge page. */
export type ClearVerdict = 'freed' | 'refilled' | 'gone';

/** One scan, step by step. */
export class TableScan {
  readonly #mm: Mm;
  readonly #state: ScanState;
  readonly #tunables: ScanTunables;
  readonly #tlb: TlbGather;
  readonly #walk: Iterator<Addr, Addr | null>;
  #vmas = 0;
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
    this.#walk = this.#bases(mm.vmas.firstEndingAbove(offset) === null ? 0 : offset);
    mm.kernel.work.count(FACT.ptScans);
  }

  /**
   * Looks at the next table. With `lock=table` one that is empty, and has been often enough, is gone then.
   * @returns  null when the scan is over
   * Facts     ptScanTables, ptScanEntries, ptScanUnlocked; charges pt-scan or pt-given
   */
  next(): Look | null {
    const came = this.#walk.next();
    if (came.done === true) {
      this.#end(came.value);
      return null;
    }
    const base = came.value;
    this.#tables++;
    const isFound = this.#look(base) && this.#isOldEnough(base);
    const isLate = this.#tunables.lock === 'gupFast';
    if (isFound && !isLate) this.#free(base);
    return { base, isFound: isFound && isLate };
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
      vmas: this.#vmas,
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
    kernel.work.count(FACT.ptScanVmas, this.#vmas);
  }

  /** Goes from table to table, from `begin` on. Returns where it stopped; null at the end of the address space. */
  *#bases(begin: Addr): Generator<Addr, Addr | null> {
    const { size, stop, maxPerStop } = this.#tunables;
    let visited = 0;
    for (let vma = this.#mm.vmas.firstEndingAbove(begin); vma !== null; vma = vma.next) {
      if (!isVisited(this.#mm, vma, this.#tunables)) continue;
      const from = Math.ceil(Math.max(begin, vma.start) / PMD_SIZE) * PMD_SIZE;
      const end = floorTo(vma.end, PMD_SIZE);
      if (from < end) {
        this.#vmas++;
        const until = stop === 'exact' ? Math.min(end, from + (size - visited)) : end;
        const last = yield* this.#basesIn(from, until);
        if (last !== null) return last;
        visited += until - from;
        if (until < end) return until;
      }
      // Counted from where the scan began, holes and all: the first one of an address space, from 0, ends with its first vma.
      if ((stop === 'vmaEnd' && vma.end - begin >= size) || this.#freed >= maxPerStop) return vma.end;
    }
    return null;
  }

  /** Goes over whole tables of one vma, a GiB at a time. Returns where it has freed as many as it may, or null. */
  *#basesIn(from: Addr, until: Addr): Generator<Addr, Addr | null> {
    const { pages, kernel } = this.#mm;
    const { maxPerStop, upper } = this.#tunables;
    const bases: Addr[] = [];
    for (let at = from; at < until; at = floorTo(at, PUD_SIZE) + PUD_SIZE) {
      if (!pages.hasPmdPage(at)) continue;
      const to = Math.min(until, floorTo(at, PUD_SIZE) + PUD_SIZE);
      bases.length = 0;
      pages.forEachSlot(at, to, (base) => {
        if (pages.hasTable(base)) bases.push(base);
      });
      const absent = (to - at) / PMD_SIZE - bases.length;
      kernel.work.count(FACT.ptScanSlots, absent);
      kernel.work.charge(PATH['pt-scan-absent'], 0, absent);
      for (const base of bases) {
        if (!pages.hasTable(base)) continue;
        yield base;
        if (this.#freed >= maxPerStop) return base + PMD_SIZE;
      }
      if (upper) freeUpperAt(this.#mm, at);
    }
    return null;
  }
}

/** Does one scan of `mm` at once. Facts and charges as its steps. */
export function scanTables(mm: Mm): ScanStop {
  const scan = new TableScan(mm);
  for (let look = scan.next(); look !== null; look = scan.next()) if (look.isFound) scan.clear(look.base);
  return scan.stop;
}
