/**
 * The page tables of one address space: four levels of 512 entries, as x86-64 and Sv48 have them.
 *
 *   pgd --> pud page (512 GiB) --> pmd page (1 GiB) --> pte table (2 MiB) --> ptes
 *                                        \--> 2 MiB at once (huge), with one pte table deposited for a later split
 *
 * This file knows what is in a table, not what it means: frames, swap slots and markers are counted by who sets an entry (rmap.ts).
 * Layout of an entry: pte.ts. A pte table that holds nothing takes no storage; it is an entry `emptyTable` in its pmd page.
 *
 * Invariants
 *   [table-used]    the count of each table is the number of its entries that are not none; a stored pte table is never empty
 *   [table-shared]  a page that tables share is copied before one of them is written (tablePages.ts)
 *   [table-count]   `nrPtes` is the number of pte tables, deposited ones included, `empties.nr` of those without entries; `nrPmds`, `nrPuds` those of pmd and
 *                   pud pages
 * Cost    one entry: four dependent reads, two when the last access was in the same GiB. Whole ranges: linear in tables and in touched
 *         entries, not in pages; 512 GiB or 1 GiB without tables are one step
 * Linux   mm/memory.c: __pte_alloc, free_pgtables, free_pgd_range; mm/pgtable-generic.c (deposits)
 * Left out   a fifth level, tables shared between address spaces
 */
// Long because: one class owns all state of the tables of an address space, and nobody else may write them.
import type { ArenaPage } from '../base/arena.ts';
import { must } from '../base/assert.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE, pmdIndex, pteIndex } from '../base/units.ts';
import { EmptyTables } from './emptiedTables.ts';
import { verifyTables } from './pageTableVerify.ts';
import { EMPTY_TABLE, HUGE, KIND_MASK, kindName, NO_DEPOSIT, NONE, type PteKind, TABLE } from './pte.ts';
import { type EntryVisitor, type SlotVisitor, TablePages } from './tablePages.ts';

/** Bytes that one pmd page maps, and one pud page. */
export const PUD_SIZE = 2 ** 30;
export const PGDIR_SIZE = 2 ** 39;
const PTES = 512;

/** Word index of the entry for `addr` within its table. */
const pteWord = (addr: Addr): number => pteIndex(addr) << 1;
const pmdWord = (addr: Addr): number => pmdIndex(addr) << 1;
const gibOf = (addr: Addr): number => Math.floor(addr / PUD_SIZE);

/** The tables of one address space. */
export class PageTable {
  readonly #tables: TablePages;
  #pgd: ArenaPage = 0;
  #nrPtes = 0;
  #nrPmds = 0;
  #nrPuds = 0;
  /** Those without entries. */
  readonly empties: EmptyTables;
  /** The GiB whose pmd page was looked up last, and that page (0: none). */
  #gib = -1;
  #pmdPage: ArenaPage = 0;
  #pmdWords: Uint32Array = new Uint32Array(0);
  #pmdOffset = 0;

  /** @param tables  the tables of the kernel that owns the address space; @param notesEmptied  somebody will ask which tables are empty now */
  constructor(tables: TablePages = new TablePages(), notesEmptied = false) {
    this.#tables = tables;
    this.empties = new EmptyTables(tables, this, notesEmptied);
  }

  /** Pte tables, deposited ones included. */
  get nrPtes(): number {
    return this.#nrPtes;
  }
  /** Pages of the level above: one for each GiB. */
  get nrPmds(): number {
    return this.#nrPmds;
  }
  /** Pages of the level above that: one for each 512 GiB. */
  get nrPuds(): number {
    return this.#nrPuds;
  }
  /** Pte tables without entries. */
  get nrEmpty(): number {
    return this.empties.nr;
  }
  /** Bytes of tables, as `VmPTE` of status counts them. Linux: mm_pgtables_bytes(). */
  get bytes(): number {
    return (this.#nrPtes + this.#nrPmds + this.#nrPuds) * PAGE_SIZE;
  }

  // ---- finding -------------------------------------------------------------------------------------------------------------------

  #entryOf(table: ArenaPage, word: number): ArenaPage {
    const { arena } = this.#tables;
    const [words, at] = [arena.words(table), arena.offset(table) + word];
    return ((words[at] as number) & KIND_MASK) === TABLE ? (words[at + 1] as number) : 0;
  }
  #pudPageOf(gib: number): ArenaPage {
    return this.#pgd === 0 ? 0 : this.#entryOf(this.#pgd, (gib >>> 9) << 1);
  }
  /** Makes the pmd page of `addr` the current one. Returns whether there is one. */
  #enterGib(addr: Addr): boolean {
    const gib = gibOf(addr);
    if (gib === this.#gib) return this.#pmdPage !== 0;
    const pud = this.#pudPageOf(gib);
    const page = pud === 0 ? 0 : this.#entryOf(pud, (gib & 511) << 1);
    this.#gib = gib;
    this.#pmdPage = page;
    if (page === 0) return false;
    this.#pmdWords = this.#tables.arena.words(page);
    this.#pmdOffset = this.#tables.arena.offset(page);
    return true;
  }

  /** Returns word 0 of the pmd of `addr`: 0, `table`, `emptyTable`, or a huge mapping. */
  pmd(addr: Addr): number {
    return this.#enterGib(addr) ? (this.#pmdWords[this.#pmdOffset + pmdWord(addr)] as number) : NONE;
  }
  /** Returns word 1 of the pmd of `addr`: the first frame of a huge mapping. */
  pmdHigh(addr: Addr): number {
    return this.#enterGib(addr) ? (this.#pmdWords[this.#pmdOffset + pmdWord(addr) + 1] as number) : 0;
  }
  /** Returns word 0 of the pte of `addr`; 0 when there is no table, or 2 MiB are mapped at once. */
  low(addr: Addr): number {
    const table = this.#storedTable(addr);
    const { arena } = this.#tables;
    return table === 0 ? NONE : (arena.words(table)[arena.offset(table) + pteWord(addr)] as number);
  }
  /** Returns word 1 of the pte of `addr`. */
  high(addr: Addr): number {
    const table = this.#storedTable(addr);
    const { arena } = this.#tables;
    return table === 0 ? 0 : (arena.words(table)[arena.offset(table) + pteWord(addr) + 1] as number);
  }
  /** Returns what the pte of `addr` is, in words; of a huge mapping, what that is. */
  kind(addr: Addr): PteKind {
    const pmd = this.pmd(addr);
    return kindName(pmd & HUGE ? pmd : this.low(addr));
  }
  /** Tells whether `addr` has a pte table, empty or not. */
  hasTable(addr: Addr): boolean {
    const kind = this.pmd(addr) & KIND_MASK;
    return kind === TABLE || kind === EMPTY_TABLE;
  }
  /** Returns how many ptes of the 2 MiB around `addr` are not none. */
  nrUsed(addr: Addr): number {
    const table = this.#storedTable(addr);
    return table === 0 ? 0 : this.#tables.used(table);
  }
  /** Tells whether there is a pmd page for the GiB of `addr`. */
  hasPmdPage(addr: Addr): boolean {
    return this.#enterGib(addr);
  }
  /** Tells whether there is a pud page for the 512 GiB of `addr`. */
  hasPudPage(addr: Addr): boolean {
    return this.#pudPageOf(gibOf(addr)) !== 0;
  }
  #storedTable(addr: Addr): ArenaPage {
    if (!this.#enterGib(addr)) return 0;
    const at = this.#pmdOffset + pmdWord(addr);
    return ((this.#pmdWords[at] as number) & KIND_MASK) === TABLE ? (this.#pmdWords[at + 1] as number) : 0;
  }

  // ---- making --------------------------------------------------------------------------------------------------------------------

  #link(parent: ArenaPage, word: number): ArenaPage {
    const page = this.#tables.allocate();
    const { arena } = this.#tables;
    const at = arena.offset(parent) + word;
    arena.words(parent)[at] = TABLE;
    arena.words(parent)[at + 1] = page;
    this.#tables.count(parent, 1);
    return page;
  }
  /** Makes sure that the 512 GiB of `addr` have a pud page. Linux: pud_alloc(). */
  makePudPage(addr: Addr): ArenaPage {
    const gib = gibOf(addr);
    if (this.#pgd === 0) this.#pgd = this.#tables.allocate();
    const page = this.#pudPageOf(gib);
    if (page !== 0) return page;
    this.#nrPuds++;
    this.#tables.work.tablesMade(0, 1);
    return this.#link(this.#pgd, (gib >>> 9) << 1);
  }
  /** Makes sure that the GiB of `addr` has a pmd page. Linux: pmd_alloc(). */
  makePmdPage(addr: Addr): void {
    if (this.#enterGib(addr)) return;
    this.#link(this.makePudPage(addr), (gibOf(addr) & 511) << 1);
    this.#nrPmds++;
    this.#tables.work.tablesMade(0, 1);
    this.#gib = -1;
  }
  #setPmd(addr: Addr, low: number, high: number): void {
    this.makePmdPage(addr);
    this.#enterGib(addr);
    const at = this.#pmdOffset + pmdWord(addr);
    const was = this.#pmdWords[at] as number;
    this.#pmdWords[at] = low;
    this.#pmdWords[at + 1] = high;
    if ((was === NONE) !== (low === NONE)) this.#tables.count(this.#pmdPage, was === NONE ? 1 : -1);
    if ((was & KIND_MASK) === EMPTY_TABLE) this.empties.went(addr);
    if ((low & KIND_MASK) === EMPTY_TABLE) this.empties.came(addr, was === NONE);
  }
  /** Counts `by`, 1 or -1, more pte tables. */
  #countTable(by: 1 | -1): void {
    this.#nrPtes += by;
    if (by > 0) this.#tables.work.tablesMade(1);
    else this.#tables.work.tablesGone(1);
  }
  /** Makes sure that `addr` has a pte table. Returns whether it is new. The pmd is not huge. Linux: pte_alloc(). */
  makeTable(addr: Addr): boolean {
    if (this.pmd(addr) !== NONE) return false;
    this.#setPmd(addr, EMPTY_TABLE, 0);
    this.#countTable(1);
    this.empties.made(addr);
    return true;
  }

  // ---- single entries ------------------------------------------------------------------------------------------------------------

  /** Returns the table of `addr` with storage for its entries, made as needed. */
  #storageFor(addr: Addr): ArenaPage {
    const found = this.#writableTable(addr);
    if (found !== 0) return found;
    this.makeTable(addr);
    const table = this.#tables.allocate();
    this.#setPmd(addr, TABLE, table);
    return table;
  }

  /** Returns the stored table of `addr`, which may then be written; 0 if there is none. One that is shared gives way to a copy. */
  #writableTable(addr: Addr): ArenaPage {
    const table = this.#storedTable(addr);
    if (!this.#tables.isShared(table)) return table;
    const copy = this.#tables.copyOf(table);
    this.#setPmd(addr, TABLE, copy);
    return copy;
  }

  /** Sets the pte of `addr`, making tables as needed. `low` 0 empties it. What was there is the caller's business. */
  set(addr: Addr, low: number, high: number): void {
    if (low === NONE && this.#storedTable(addr) === 0) return;
    const table = this.#storageFor(addr);
    const { arena } = this.#tables;
    const words = arena.words(table);
    const at = arena.offset(table) + pteWord(addr);
    const was = words[at] as number;
    words[at] = low;
    words[at + 1] = low === NONE ? 0 : high;
    if ((was === NONE) === (low === NONE)) return;
    if (this.#tables.count(table, was === NONE ? 1 : -1) === 0) this.#dropStorage(addr, table);
  }
  /** Changes word 0 of the pte of `addr`, which is not none and stays so. */
  setLow(addr: Addr, low: number): void {
    const table = this.#writableTable(addr);
    const { arena } = this.#tables;
    arena.words(table)[arena.offset(table) + pteWord(addr)] = low;
  }
  #dropStorage(addr: Addr, table: ArenaPage): void {
    this.#tables.release(table);
    this.#setPmd(addr, EMPTY_TABLE, 0);
  }

  // ---- 2 MiB at once -------------------------------------------------------------------------------------------------------------

  /** Maps the 2 MiB at `base`, whose pmd is none. A pte table is put aside for a later split, unless `low` has NO_DEPOSIT (files). */
  setHuge(base: Addr, low: number, high: number): void {
    this.#setPmd(base, low | HUGE, high);
    this.empties.covered(base, (low & NO_DEPOSIT) === 0);
    if ((low & NO_DEPOSIT) === 0) this.#countTable(1);
  }
  /** Changes word 0 of the pmd at `base`, which is huge and stays so. */
  setHugeLow(base: Addr, low: number): void {
    this.#setPmd(base, low | HUGE, this.pmdHigh(base));
  }
  /** Empties the huge pmd at `base`; its deposit, if it has one, goes too. */
  clearHuge(base: Addr): void {
    if ((this.pmd(base) & NO_DEPOSIT) === 0) this.#countTable(-1);
    this.#setPmd(base, NONE, 0);
  }
  /** Turns the huge pmd at `base` into its deposited table, which is empty. */
  withdrawDeposit(base: Addr): void {
    this.#setPmd(base, EMPTY_TABLE, 0);
  }
  /** Turns the empty table at `base` into the deposit of a huge mapping. */
  depositTable(base: Addr, low: number, high: number): void {
    must(this.#emptyTableAt(base), '[page-table] only an empty table can be deposited');
    this.empties.covered(base, true);
    this.#setPmd(base, low | HUGE, high);
  }
  #emptyTableAt(base: Addr): true | null {
    return (this.pmd(base) & KIND_MASK) === EMPTY_TABLE ? true : null;
  }

  // ---- ranges --------------------------------------------------------------------------------------------------------------------

  /** Calls `visit` for each pmd of [start, end) that is not none, ascending. It may change that pmd. */
  forEachSlot(start: Addr, end: Addr, visit: SlotVisitor): void {
    if (start >= end) return;
    const last = gibOf(end - 1);
    for (let gib = gibOf(start); gib <= last; gib++) {
      if (this.#pudPageOf(gib) === 0) {
        gib |= 511;
        continue;
      }
      if (!this.#enterGib(gib * PUD_SIZE)) continue;
      const from = Math.max(start, gib * PUD_SIZE);
      const to = Math.min(end, (gib + 1) * PUD_SIZE);
      let unseen = this.#tables.used(this.#pmdPage);
      for (let base = from - (from % PMD_SIZE); base < to && unseen > 0; base += PMD_SIZE) {
        const pmd = this.pmd(base);
        if (pmd === NONE) continue;
        unseen--;
        visit(base, pmd);
      }
    }
  }

  /** Passes every pte of [start, end) that is not none through `each`, ascending. Huge mappings are left out. `each` must not change tables. */
  transform(start: Addr, end: Addr, each: EntryVisitor): void {
    this.forEachSlot(start, end, (base, pmd) => {
      if ((pmd & KIND_MASK) === TABLE)
        this.#transformTable(base, Math.max(start, base), Math.min(end, base + PMD_SIZE), each);
    });
  }
  /** Does what `transform` does for [start, end) within one table. */
  transformTable(start: Addr, end: Addr, each: EntryVisitor): void {
    if (this.#storedTable(start) !== 0) this.#transformTable(floorTo(start, PMD_SIZE), start, end, each);
  }
  #transformTable(base: Addr, from: Addr, to: Addr, each: EntryVisitor): void {
    let table = this.#storedTable(base);
    let words = this.#tables.arena.words(table);
    let offset = this.#tables.arena.offset(table);
    const stop = (to - base) / (PAGE_SIZE / 2);
    let unseen = this.#tables.used(table);
    let emptied = 0;
    let mayWrite = !this.#tables.isShared(table);
    for (let at = (from - base) / (PAGE_SIZE / 2); at < stop && unseen > 0; at += 2) {
      const low = words[offset + at] as number;
      if (low === NONE) continue;
      unseen--;
      const now = each(low, words[offset + at + 1] as number, at >> 1);
      if (now === low) continue;
      if (!mayWrite) {
        mayWrite = true;
        table = this.#writableTable(base);
        words = this.#tables.arena.words(table);
        offset = this.#tables.arena.offset(table);
      }
      words[offset + at] = now;
      if (now !== NONE) continue;
      words[offset + at + 1] = 0;
      emptied++;
    }
    if (emptied > 0 && this.#tables.count(table, -emptied) === 0) this.#dropStorage(base, table);
  }

  /** Calls `each` for every pte of [start, end) that is not none, ascending; 2 MiB mappings count as one call at their base with `huge` set. `each` must not change tables. */
  forEach(start: Addr, end: Addr, each: (addr: Addr, low: number, high: number) => void): void {
    this.forEachSlot(start, end, (base, pmd) => {
      if (pmd & HUGE) each(base, pmd, this.pmdHigh(base));
      else if ((pmd & KIND_MASK) === TABLE)
        this.#visitTable(Math.max(start, base), Math.min(end, base + PMD_SIZE), each);
    });
  }
  #visitTable(from: Addr, to: Addr, each: (addr: Addr, low: number, high: number) => void): void {
    const table = this.#storedTable(from);
    const { arena } = this.#tables;
    const [words, first] = [arena.words(table), arena.offset(table) + pteWord(from)];
    const stop = first + (to - from) / (PAGE_SIZE / 2);
    for (let at = first, unseen = this.#tables.used(table); at < stop && unseen > 0; at += 2) {
      if (words[at] === NONE || unseen-- === 0) continue;
      each(from + (at - first) * (PAGE_SIZE / 2), words[at] as number, words[at + 1] as number);
    }
  }
  /**
   * Calls `each` with word 1 of the entries from `addr` on, up to `end` and within one table, that hold `bits` under `mask`; ends at the first that
   * does not. Returns how many there were.
   */
  forRun(
    addr: Addr,
    end: Addr,
    which: { readonly mask: number; readonly bits: number },
    each: (high: number) => void,
  ): number {
    const { mask, bits } = which;
    const table = this.#storedTable(addr);
    if (table === 0) return 0;
    const words = this.#tables.arena.words(table);
    const first = this.#tables.arena.offset(table) + pteWord(addr);
    const stop = first + 2 * Math.min((end - addr) / PAGE_SIZE, PTES - pteIndex(addr));
    let at = first;
    for (; at < stop && ((words[at] as number) & mask) === bits; at += 2) each(words[at + 1] as number);
    return (at - first) >> 1;
  }

  /**
   * Copies entries of [start, end), within one table, to the same place in `child`, where there are none and an empty table is.
   * @param each  gets an entry, and returns its new word 0 here, and 2^16 times that of the copy, 0 for none
   * @returns  how many were copied
   */
  copyEntries(child: PageTable, start: Addr, end: Addr, each: (low: number, high: number) => number): number {
    const table = this.#writableTable(start);
    if (table === 0) return 0;
    const { arena } = this.#tables;
    const [words, to] = [arena.words(table), child.#storageFor(start)];
    const first = arena.offset(table) + pteWord(start);
    const [copies, up] = [arena.words(to), arena.offset(to) + pteWord(start) - first];
    const stop = first + (end - start) / (PAGE_SIZE / 2);
    let unseen = this.#tables.used(table);
    let copied = 0;
    for (let at = first; at < stop && unseen > 0; at += 2) {
      const low = words[at] as number;
      if (low === NONE) continue;
      unseen--;
      const high = words[at + 1] as number;
      const both = each(low, high);
      words[at] = both & 0xffff;
      if (both >>> 16 === NONE) continue;
      copies[at + up] = both >>> 16;
      copies[at + up + 1] = high;
      copied++;
    }
    if (child.#tables.count(to, copied) === 0) child.#dropStorage(start, to);
    return copied;
  }

  /** Tells whether nothing of [start, end) is mapped or marked. */
  isBlank(start: Addr, end: Addr): boolean {
    let blank = true;
    this.forEachSlot(start, end, (base, pmd) => {
      const kind = pmd & KIND_MASK;
      if (kind === EMPTY_TABLE || !blank) return;
      blank = kind === TABLE && this.#isBlankIn(base, Math.max(start, base), Math.min(end, base + PMD_SIZE));
    });
    return blank;
  }
  #isBlankIn(base: Addr, from: Addr, to: Addr): boolean {
    const table = this.#storedTable(base);
    const words = this.#tables.arena.words(table);
    const offset = this.#tables.arena.offset(table);
    const stop = offset + (to - base) / (PAGE_SIZE / 2);
    for (let at = offset + (from - base) / (PAGE_SIZE / 2); at < stop; at += 2)
      if (words[at] !== NONE) return false;
    return true;
  }

  /** Sets every pte of [start, end), all of which are none, to `low` and what `high` returns, ascending. */
  fill(start: Addr, end: Addr, low: number, high: () => number): void {
    for (let from = start; from < end; ) {
      const to = Math.min(end, from - (from % PMD_SIZE) + PMD_SIZE);
      const table = this.#storageFor(from);
      const words = this.#tables.arena.words(table);
      const first = this.#tables.arena.offset(table) + pteWord(from);
      const nrWords = (to - from) / (PAGE_SIZE / 2);
      for (let at = first; at < first + nrWords; at += 2) {
        words[at] = low;
        words[at + 1] = high();
      }
      this.#tables.count(table, nrWords / 2);
      from = to;
    }
  }

  /** The same where all get one word 1, and map nothing: whole tables share their storage. */
  fillAlike(start: Addr, end: Addr, low: number, high: number): void {
    for (let from = start; from < end; ) {
      const to = Math.min(end, from - (from % PMD_SIZE) + PMD_SIZE);
      if (to - from === PMD_SIZE) {
        this.makeTable(from);
        this.#setPmd(from, TABLE, this.#tables.alike(low, high));
      } else this.fill(from, to, low, () => high);
      from = to;
    }
  }

  /** Frees the pmd page of the GiB of `addr` if it holds nothing. Returns whether there was one that did. */
  freeEmptyPmdPage(addr: Addr): boolean {
    if (!this.#enterGib(addr) || this.#tables.used(this.#pmdPage) > 0) return false;
    this.#freePmdPage(gibOf(addr));
    return true;
  }

  /** Frees the empty table at `base`. The pmd is `emptyTable`. */
  freeTable(base: Addr): void {
    must(this.#emptyTableAt(base), '[page-table] only an empty table can be freed');
    this.#setPmd(base, NONE, 0);
    this.#countTable(-1);
  }

  /**
   * Frees what nothing needs any more around [start, end): each pte table, pmd page and pud page that overlaps it and whose whole range lies
   * within [floor, ceiling). They are empty. Linux: free_pgd_range().
   */
  freeTables(start: Addr, end: Addr, floor: Addr, ceiling: Addr): void {
    // Between neighbours that are closer than that there is no whole table to free.
    if (this.#pgd === 0 || start >= end || ceiling - floor < PMD_SIZE) return;
    this.forEachSlot(start, end, (base) => {
      if (base >= floor && base + PMD_SIZE <= ceiling) this.freeTable(base);
    });
    const last = gibOf(end - 1);
    for (let gib = gibOf(start); gib <= last; gib++) {
      if (this.#pudPageOf(gib) === 0) gib |= 511;
      else if (gib * PUD_SIZE >= floor && (gib + 1) * PUD_SIZE <= ceiling) this.#freePmdPage(gib);
    }
    for (let slot = Math.floor(start / PGDIR_SIZE); slot <= Math.floor((end - 1) / PGDIR_SIZE); slot++)
      if (slot * PGDIR_SIZE >= floor && (slot + 1) * PGDIR_SIZE <= ceiling) this.#freePudPage(slot);
  }
  #freePmdPage(gib: number): void {
    const pud = this.#pudPageOf(gib);
    if (!this.#enterGib(gib * PUD_SIZE)) return;
    this.#unlink(pud, (gib & 511) << 1, this.#pmdPage);
    this.#nrPmds--;
  }
  #freePudPage(slot: number): void {
    const page = this.#pudPageOf(slot << 9);
    if (page === 0) return;
    this.#nrPuds--;
    this.#unlink(this.#pgd, slot << 1, page);
  }
  #unlink(parent: ArenaPage, word: number, page: ArenaPage): void {
    must(this.#tables.used(page) === 0 ? true : null, '[page-table] a table that is freed is empty');
    const { arena } = this.#tables;
    const at = arena.offset(parent) + word;
    arena.words(parent)[at] = NONE;
    arena.words(parent)[at + 1] = 0;
    this.#tables.count(parent, -1);
    this.#tables.release(page);
    this.#tables.work.tablesGone(0, 1);
    this.#gib = -1;
  }

  /** Gives the top level back; everything below it is gone. For exit. */
  freeRoot(): void {
    if (this.#pgd === 0) return;
    must(this.#tables.used(this.#pgd) === 0 ? true : null, '[page-table] the top level is empty');
    this.#tables.release(this.#pgd);
    this.#pgd = 0;
    this.#gib = -1;
  }

  // ---- moving --------------------------------------------------------------------------------------------------------------------

  /** Moves the pmd of `from` (a table, or 2 MiB with their deposit) to `to`. Returns whether it could: not if `to` has a pmd. */
  movePmd(from: Addr, to: Addr): boolean {
    const low = this.pmd(from);
    const high = this.pmdHigh(from);
    if (this.pmd(to) !== NONE) return false;
    this.#setPmd(to, low, high);
    // Before it is forgotten there.
    this.empties.moved(from, to, PMD_SIZE);
    this.#setPmd(from, NONE, 0);
    return true;
  }
  /**
   * Moves the entries of `len` bytes at `from`, within one table, to `to`, within one other (or the same), where there are none. The table of `to`
   * exists. Returns how many there were.
   */
  moveEntries(from: Addr, to: Addr, len: number): number {
    if (this.isBlank(from, from + len)) return 0;
    const target = this.#storageFor(to);
    const source = this.#writableTable(from);
    const { arena } = this.#tables;
    const [here, there] = [arena.words(source), arena.words(target)];
    const first = arena.offset(source) + pteWord(from);
    const up = arena.offset(target) + pteWord(to) - first;
    let moved = 0;
    for (let at = first; at < first + len / (PAGE_SIZE / 2); at += 2) {
      const low = here[at] as number;
      if (low === NONE) continue;
      there[at + up] = low;
      there[at + up + 1] = here[at + 1] as number;
      here[at] = NONE;
      here[at + 1] = 0;
      moved++;
    }
    this.#tables.count(target, moved);
    if (this.#tables.count(source, -moved) === 0) this.#dropStorage(from, source);
    return moved;
  }
  /** Moves the pmd page of the GiB at `from` to `to`. Returns whether it could: not if `to` has one. */
  movePud(from: Addr, to: Addr): boolean {
    if (this.#enterGib(to) || !this.#enterGib(from)) return false;
    const page = this.#pmdPage;
    this.empties.moved(floorTo(from, PUD_SIZE), floorTo(to, PUD_SIZE), PUD_SIZE);
    const { arena } = this.#tables;
    const source = this.#pudPageOf(gibOf(from));
    const target = this.makePudPage(to);
    for (const [pud, gib, low, high] of [
      [source, gibOf(from), NONE, 0],
      [target, gibOf(to), TABLE, page],
    ] as const) {
      const at = arena.offset(pud) + ((gib & 511) << 1);
      arena.words(pud)[at] = low;
      arena.words(pud)[at + 1] = high;
      this.#tables.count(pud, low === NONE ? -1 : 1);
    }
    this.#gib = -1;
    return true;
  }

  /** Returns how many pmds of the GiB of `addr` are not none, as its page counts them. */
  nrSlots(addr: Addr): number {
    return this.#enterGib(addr) ? this.#tables.used(this.#pmdPage) : 0;
  }
  /** Returns the first count that is wrong, in words, or null. For verify.ts. */
  verify(): string | null {
    return verifyTables(this);
  }
}
