/**
 * The upper levels of the page tables of one address space: where its pte tables are.
 *
 *   pgd --> pud page (512 GiB) --> pmd page (1 GiB) --> pte table (2 MiB) --> ptes
 *                                        \--> 2 MiB at once (huge), with one pte table deposited for a later split
 *
 * A pte table that holds nothing takes no storage; it is an entry `emptyTable` in its pmd page. What is in those that hold something is in pageTable.ts.
 *
 * Invariants
 *   [table-used]    the count of each table is the number of its entries that are not none; a stored pte table is never empty
 *   [table-count]   `nrPtes` is the number of pte tables, deposited ones included, `empties.nr` of those without entries; `nrPmds`, `nrPuds` those of pmd and
 *                   pud pages
 * Cost    a pmd: three dependent reads, one when the last access was in the same GiB. Ranges: linear in tables; 512 GiB or 1 GiB without tables are one step
 * Linux   mm/memory.c: __pte_alloc, free_pgtables, free_pgd_range; mm/pgtable-generic.c (deposits)
 * Left out   a fifth level, tables shared between address spaces
 */
import type { ArenaPage } from '../base/arena.ts';
import { must } from '../base/assert.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE, pmdIndex } from '../base/units.ts';
import { EmptyTables } from './emptiedTables.ts';
import { EMPTY_TABLE, HUGE, KIND_MASK, NO_DEPOSIT, NONE, TABLE } from './pte.ts';
import { type SlotVisitor, TablePages } from './tablePages.ts';

/** Bytes that one pmd page maps, and one pud page. */
export const PUD_SIZE = 2 ** 30;
export const PGDIR_SIZE = 2 ** 39;

/** Word index of the entry for `addr` within its table. */
const pmdWord = (addr: Addr): number => pmdIndex(addr) << 1;
const gibOf = (addr: Addr): number => Math.floor(addr / PUD_SIZE);

/** The tables of one address space, down to those of the lowest level. */
export abstract class TableTree {
  protected readonly tables: TablePages;
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
    this.tables = tables;
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

  // ---- finding --------------------------------------------------------------------------------------------------------------------------

  #entryOf(table: ArenaPage, word: number): ArenaPage {
    const { arena } = this.tables;
    const [words, at] = [arena.words(table), arena.offset(table) + word];
    return ((words[at] as number) & KIND_MASK) === TABLE ? (words[at + 1] as number) : 0;
  }
  #pudPageOf(gib: number): ArenaPage {
    return this.#pgd === 0 ? 0 : this.#entryOf(this.#pgd, (gib >>> 9) << 1);
  }
  /** Makes the pmd page of `addr` the current one. Returns whether there is one. */
  protected enterGib(addr: Addr): boolean {
    const gib = gibOf(addr);
    if (gib === this.#gib) return this.#pmdPage !== 0;
    const pud = this.#pudPageOf(gib);
    const page = pud === 0 ? 0 : this.#entryOf(pud, (gib & 511) << 1);
    this.#gib = gib;
    this.#pmdPage = page;
    if (page === 0) return false;
    this.#pmdWords = this.tables.arena.words(page);
    this.#pmdOffset = this.tables.arena.offset(page);
    return true;
  }
  protected storedTable(addr: Addr): ArenaPage {
    if (!this.enterGib(addr)) return 0;
    const at = this.#pmdOffset + pmdWord(addr);
    return ((this.#pmdWords[at] as number) & KIND_MASK) === TABLE ? (this.#pmdWords[at + 1] as number) : 0;
  }
  /** Returns word 0 of the pmd of `addr`: 0, `table`, `emptyTable`, or a huge mapping. */
  pmd(addr: Addr): number {
    return this.enterGib(addr) ? (this.#pmdWords[this.#pmdOffset + pmdWord(addr)] as number) : NONE;
  }
  /** Returns word 1 of the pmd of `addr`: the first frame of a huge mapping. */
  pmdHigh(addr: Addr): number {
    return this.enterGib(addr) ? (this.#pmdWords[this.#pmdOffset + pmdWord(addr) + 1] as number) : 0;
  }
  /** Tells whether `addr` has a pte table, empty or not. */
  hasTable(addr: Addr): boolean {
    const kind = this.pmd(addr) & KIND_MASK;
    return kind === TABLE || kind === EMPTY_TABLE;
  }
  /** Tells whether there is a pmd page for the GiB of `addr`. */
  hasPmdPage(addr: Addr): boolean {
    return this.enterGib(addr);
  }
  /** Tells whether there is a pud page for the 512 GiB of `addr`. */
  hasPudPage(addr: Addr): boolean {
    return this.#pudPageOf(gibOf(addr)) !== 0;
  }
  /** Returns how many pmds of the GiB of `addr` are not none, as its page counts them. */
  nrSlots(addr: Addr): number {
    return this.enterGib(addr) ? this.tables.used(this.#pmdPage) : 0;
  }
  /** Calls `visit` for each pmd of [start, end) that is not none, ascending. It may change that pmd. */
  forEachSlot(start: Addr, end: Addr, visit: SlotVisitor): void {
    if (start >= end) return;
    const last = gibOf(end - 1);
    for (let gib = gibOf(start); gib <= last; gib++) {
      if (this.#pudPageOf(gib) === 0) {
        gib |= 511;
        continue;
      }
      if (!this.enterGib(gib * PUD_SIZE)) continue;
      const from = Math.max(start, gib * PUD_SIZE);
      const to = Math.min(end, (gib + 1) * PUD_SIZE);
      let unseen = this.tables.used(this.#pmdPage);
      for (let base = from - (from % PMD_SIZE); base < to && unseen > 0; base += PMD_SIZE) {
        const pmd = this.pmd(base);
        if (pmd === NONE) continue;
        unseen--;
        visit(base, pmd);
      }
    }
  }
  /** Adds the addresses of the pte tables of [start, end), which lies in one GiB, to `into`, ascending. */
  tablesOf(start: Addr, end: Addr, into: Addr[]): void {
    if (!this.enterGib(start)) return;
    const words = this.#pmdWords;
    let unseen = this.tables.used(this.#pmdPage);
    let at = this.#pmdOffset + pmdWord(start);
    for (let base = floorTo(start, PMD_SIZE); base < end && unseen > 0; base += PMD_SIZE, at += 2) {
      const pmd = words[at] as number;
      if (pmd === NONE) continue;
      unseen--;
      const kind = pmd & KIND_MASK;
      if (kind === TABLE || kind === EMPTY_TABLE) into.push(base);
    }
  }

  // ---- making ---------------------------------------------------------------------------------------------------------------------------

  #link(parent: ArenaPage, word: number): ArenaPage {
    const page = this.tables.allocate();
    const { arena } = this.tables;
    const at = arena.offset(parent) + word;
    arena.words(parent)[at] = TABLE;
    arena.words(parent)[at + 1] = page;
    this.tables.count(parent, 1);
    return page;
  }
  /** Makes sure that the 512 GiB of `addr` have a pud page. Linux: pud_alloc(). */
  makePudPage(addr: Addr): ArenaPage {
    const gib = gibOf(addr);
    if (this.#pgd === 0) this.#pgd = this.tables.allocate();
    const page = this.#pudPageOf(gib);
    if (page !== 0) return page;
    this.#nrPuds++;
    this.tables.work.tablesMade(0, 1);
    return this.#link(this.#pgd, (gib >>> 9) << 1);
  }
  /** Makes sure that the GiB of `addr` has a pmd page. Linux: pmd_alloc(). */
  makePmdPage(addr: Addr): void {
    if (this.enterGib(addr)) return;
    this.#link(this.makePudPage(addr), (gibOf(addr) & 511) << 1);
    this.#nrPmds++;
    this.tables.work.tablesMade(0, 1);
    this.#gib = -1;
  }
  protected setPmd(addr: Addr, low: number, high: number): void {
    this.makePmdPage(addr);
    this.enterGib(addr);
    const at = this.#pmdOffset + pmdWord(addr);
    const was = this.#pmdWords[at] as number;
    this.#pmdWords[at] = low;
    this.#pmdWords[at + 1] = high;
    if ((was === NONE) !== (low === NONE)) this.tables.count(this.#pmdPage, was === NONE ? 1 : -1);
    if ((was & KIND_MASK) === EMPTY_TABLE) this.empties.went(addr);
    if ((low & KIND_MASK) === EMPTY_TABLE) this.empties.came(addr, was === NONE);
  }
  /** Counts `by`, 1 or -1, more pte tables. */
  #countTable(by: 1 | -1): void {
    this.#nrPtes += by;
    if (by > 0) this.tables.work.tablesMade(1);
    else this.tables.work.tablesGone(1);
  }
  /** Makes sure that `addr` has a pte table. Returns whether it is new. The pmd is not huge. Linux: pte_alloc(). */
  makeTable(addr: Addr): boolean {
    if (this.pmd(addr) !== NONE) return false;
    this.setPmd(addr, EMPTY_TABLE, 0);
    this.#countTable(1);
    this.empties.made(addr);
    return true;
  }

  // ---- 2 MiB at once --------------------------------------------------------------------------------------------------------------------

  /** Maps the 2 MiB at `base`, whose pmd is none. A pte table is put aside for a later split, unless `low` has NO_DEPOSIT (files). */
  setHuge(base: Addr, low: number, high: number): void {
    this.setPmd(base, low | HUGE, high);
    this.empties.covered(base, (low & NO_DEPOSIT) === 0);
    if ((low & NO_DEPOSIT) === 0) this.#countTable(1);
  }
  /** Changes word 0 of the pmd at `base`, which is huge and stays so. */
  setHugeLow(base: Addr, low: number): void {
    this.setPmd(base, low | HUGE, this.pmdHigh(base));
  }
  /** Empties the huge pmd at `base`; its deposit, if it has one, goes too. */
  clearHuge(base: Addr): void {
    if ((this.pmd(base) & NO_DEPOSIT) === 0) this.#countTable(-1);
    this.setPmd(base, NONE, 0);
  }
  /** Turns the huge pmd at `base` into its deposited table, which is empty. */
  withdrawDeposit(base: Addr): void {
    this.setPmd(base, EMPTY_TABLE, 0);
  }
  /** Turns the empty table at `base` into the deposit of a huge mapping. */
  depositTable(base: Addr, low: number, high: number): void {
    must(this.#emptyTableAt(base), '[page-table] only an empty table can be deposited');
    this.empties.covered(base, true);
    this.setPmd(base, low | HUGE, high);
  }
  #emptyTableAt(base: Addr): true | null {
    return (this.pmd(base) & KIND_MASK) === EMPTY_TABLE ? true : null;
  }

  // ---- freeing --------------------------------------------------------------------------------------------------------------------------

  /** Frees the pmd page of the GiB of `addr` if it holds nothing. Returns whether there was one that did. */
  freeEmptyPmdPage(addr: Addr): boolean {
    if (!this.enterGib(addr) || this.tables.used(this.#pmdPage) > 0) return false;
    this.#freePmdPage(gibOf(addr));
    return true;
  }
  /** Frees the empty table at `base`. The pmd is `emptyTable`. */
  freeTable(base: Addr): void {
    must(this.#emptyTableAt(base), '[page-table] only an empty table can be freed');
    this.setPmd(base, NONE, 0);
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
    if (!this.enterGib(gib * PUD_SIZE)) return;
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
    must(this.tables.used(page) === 0 ? true : null, '[page-table] a table that is freed is empty');
    const { arena } = this.tables;
    const at = arena.offset(parent) + word;
    arena.words(parent)[at] = NONE;
    arena.words(parent)[at + 1] = 0;
    this.tables.count(parent, -1);
    this.tables.release(page);
    this.tables.work.tablesGone(0, 1);
    this.#gib = -1;
  }
  /** Gives the top level back; everything below it is gone. For exit. */
  freeRoot(): void {
    if (this.#pgd === 0) return;
    must(this.tables.used(this.#pgd) === 0 ? true : null, '[page-table] the top level is empty');
    this.tables.release(this.#pgd);
    this.#pgd = 0;
    this.#gib = -1;
  }

  // ---- moving ---------------------------------------------------------------------------------------------------------------------------

  /** Moves the pmd of `from` (a table, or 2 MiB with their deposit) to `to`. Returns whether it could: not if `to` has a pmd. */
  movePmd(from: Addr, to: Addr): boolean {
    const low = this.pmd(from);
    const high = this.pmdHigh(from);
    if (this.pmd(to) !== NONE) return false;
    this.setPmd(to, low, high);
    // Before it is forgotten there.
    this.empties.moved(from, to, PMD_SIZE);
    this.setPmd(from, NONE, 0);
    return true;
  }
  /** Moves the pmd page of the GiB at `from` to `to`. Returns whether it could: not if `to` has one. */
  movePud(from: Addr, to: Addr): boolean {
    if (this.enterGib(to) || !this.enterGib(from)) return false;
    const page = this.#pmdPage;
    this.empties.moved(floorTo(from, PUD_SIZE), floorTo(to, PUD_SIZE), PUD_SIZE);
    const { arena } = this.tables;
    const source = this.#pudPageOf(gibOf(from));
    const target = this.makePudPage(to);
    for (const [pud, gib, low, high] of [
      [source, gibOf(from), NONE, 0],
      [target, gibOf(to), TABLE, page],
    ] as const) {
      const at = arena.offset(pud) + ((gib & 511) << 1);
      arena.words(pud)[at] = low;
      arena.words(pud)[at + 1] = high;
      this.tables.count(pud, low === NONE ? -1 : 1);
    }
    this.#gib = -1;
    return true;
  }
}
