/**
 * Where translations have to be dropped: the calls that mm/ makes at exactly the places where Linux flushes.
 *
 * Nothing here holds a translation. Who does (a guest's software TLB, a machine that pays for interrupts) hands a Tlb of its own to the
 * kernel; a flush that is missing is then a stale translation that shows (tlb.property.test.ts holds one against the tables). The default counts.
 * Operations that change many entries gather what they changed and flush once, before the pages are used again.
 *
 * Linux   include/asm-generic/tlb.h (mmu_gather); arch/x86/mm/tlb.c: flush_tlb_mm_range, tlb_single_page_flush_ceiling
 * Left out   which CPUs run the address space, lazy switching
 */
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { FACT, type Work } from './work.ts';

/** Who holds translations. */
export interface Tlb {
  /** Drops the translations of [start, end) of `mm`. @param freedTables  page tables are freed too, so walks in progress must end */
  flush(mm: Mm, start: Addr, end: Addr, freedTables: boolean): void;
  /** Drops every translation of `mm`. */
  flushAll(mm: Mm): void;
}

/** Beyond so many pages everything is dropped instead. */
export const SINGLE_PAGE_CEILING = 33;

/** Counts flushes and holds nothing. */
export class CountingTlb implements Tlb {
  readonly #work: Work;

  /** @param work  where it counts */
  constructor(work: Work) {
    this.#work = work;
  }

  flush(_mm: Mm, start: Addr, end: Addr, _freedTables: boolean): void {
    const pages = (end - start) / PAGE_SIZE;
    this.#work.count(FACT.tlbFlushes);
    if (pages > SINGLE_PAGE_CEILING) this.#work.count(FACT.tlbFullFlushes);
    else this.#work.count(FACT.tlbPagesFlushed, pages);
  }
  flushAll(_mm: Mm): void {
    this.#work.count(FACT.tlbFlushes);
    this.#work.count(FACT.tlbFullFlushes);
  }
}

/**
 * Pages that wait in a gather to be freed, at most: 8 in the structure itself, and 19 pages of 510.
 * Linux: MMU_GATHER_BUNDLE, MAX_GATHER_BATCH, MAX_GATHER_BATCH_COUNT
 */
const GATHERED_PAGES = 8 + 19 * 510;

/** What one operation has changed so far, flushed once at its end. Linux: struct mmu_gather. */
export class TlbGather {
  readonly #mm: Mm;
  #start: Addr = Number.POSITIVE_INFINITY;
  #end: Addr = 0;
  #freedTables = false;
  #pages = 0;

  constructor(mm: Mm) {
    this.#mm = mm;
  }

  /** Entries of [start, end) were taken away, or lost access. */
  changed(start: Addr, end: Addr): void {
    if (start < this.#start) this.#start = start;
    if (end > this.#end) this.#end = end;
  }
  /** Takes `pages` of one table to be freed. Returns whether they had room: otherwise the lock of the table is given up to free them. */
  gathered(pages: number): boolean {
    this.#pages += pages;
    if (this.#pages <= GATHERED_PAGES) return true;
    this.#pages %= GATHERED_PAGES;
    return false;
  }
  /** A table that covered [start, end) was freed. */
  freedTable(start: Addr, end: Addr): void {
    this.changed(start, end);
    this.#freedTables = true;
  }
  /** Flushes if anything was changed. */
  finish(): void {
    if (this.#freedTables) this.#mm.kernel.work.count(FACT.ptFlushes);
    if (this.#end > 0) this.#mm.kernel.tlb.flush(this.#mm, this.#start, this.#end, this.#freedTables);
    this.#start = Number.POSITIVE_INFINITY;
    this.#end = 0;
    this.#freedTables = false;
  }
}
