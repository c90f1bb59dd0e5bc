/**
 * The page tables of one address space: four levels of 512 entries, as x86-64 and Sv48 have them. The levels above the lowest are in tableTree.ts.
 *
 * This file knows what is in a table, not what it means: frames, swap slots and markers are counted by who sets an entry (rmap.ts).
 * Layout of an entry: pte.ts.
 *
 * Invariants
 *   [table-used]    the count of each table is the number of its entries that are not none; a stored pte table is never empty
 *   [table-shared]  a page that tables share is copied before one of them is written (tablePages.ts)
 * Cost    one entry: four dependent reads, two when the last access was in the same GiB. Whole ranges: linear in tables and in touched
 *         entries, not in pages
 * Linux   mm/memory.c
 */
import type { ArenaPage } from '../base/arena.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE, pteIndex } from '../base/units.ts';
import { verifyTables } from './pageTableVerify.ts';
import { EMPTY_TABLE, HUGE, KIND_MASK, kindName, NONE, type PteKind, TABLE } from './pte.ts';
import type { EntryVisitor } from './tablePages.ts';
import { TableTree } from './tableTree.ts';

const PTES = 512;

/** Word index of the entry for `addr` within its table. */
const pteWord = (addr: Addr): number => pteIndex(addr) << 1;

/** The tables of one address space. */
export class PageTable extends TableTree {
  /** Returns word 0 of the pte of `addr`; 0 when there is no table, or 2 MiB are mapped at once. */
  low(addr: Addr): number {
    const table = this.storedTable(addr);
    const { arena } = this.tables;
    return table === 0 ? NONE : (arena.words(table)[arena.offset(table) + pteWord(addr)] as number);
  }
  /** Returns word 1 of the pte of `addr`. */
  high(addr: Addr): number {
    const table = this.storedTable(addr);
    const { arena } = this.tables;
    return table === 0 ? 0 : (arena.words(table)[arena.offset(table) + pteWord(addr) + 1] as number);
  }
  /** Returns what the pte of `addr` is, in words; of a huge mapping, what that is. */
  kind(addr: Addr): PteKind {
    const pmd = this.pmd(addr);
    return kindName(pmd & HUGE ? pmd : this.low(addr));
  }
  /** Returns how many ptes of the 2 MiB around `addr` are not none. */
  nrUsed(addr: Addr): number {
    const table = this.storedTable(addr);
    return table === 0 ? 0 : this.tables.used(table);
  }

  // ---- single entries -------------------------------------------------------------------------------------------------------------------

  /** Returns the table of `addr` with storage for its entries, made as needed. */
  #storageFor(addr: Addr): ArenaPage {
    const found = this.#writableTable(addr);
    if (found !== 0) return found;
    this.makeTable(addr);
    const table = this.tables.allocate();
    this.setPmd(addr, TABLE, table);
    return table;
  }
  /** Returns the stored table of `addr`, which may then be written; 0 if there is none. One that is shared gives way to a copy. */
  #writableTable(addr: Addr): ArenaPage {
    const table = this.storedTable(addr);
    if (!this.tables.isShared(table)) return table;
    const copy = this.tables.copyOf(table);
    this.setPmd(addr, TABLE, copy);
    return copy;
  }
  /** Sets the pte of `addr`, making tables as needed. `low` 0 empties it. What was there is the caller's business. */
  set(addr: Addr, low: number, high: number): void {
    if (low === NONE && this.storedTable(addr) === 0) return;
    const table = this.#storageFor(addr);
    const { arena } = this.tables;
    const words = arena.words(table);
    const at = arena.offset(table) + pteWord(addr);
    const was = words[at] as number;
    words[at] = low;
    words[at + 1] = low === NONE ? 0 : high;
    if ((was === NONE) === (low === NONE)) return;
    if (this.tables.count(table, was === NONE ? 1 : -1) === 0) this.#dropStorage(addr, table);
  }
  /** Changes word 0 of the pte of `addr`, which is not none and stays so. */
  setLow(addr: Addr, low: number): void {
    const table = this.#writableTable(addr);
    const { arena } = this.tables;
    arena.words(table)[arena.offset(table) + pteWord(addr)] = low;
  }
  #dropStorage(addr: Addr, table: ArenaPage): void {
    this.tables.release(table);
    this.setPmd(addr, EMPTY_TABLE, 0);
  }

  // ---- ranges ---------------------------------------------------------------------------------------------------------------------------

  /** Passes every pte of [start, end) that is not none through `each`, ascending. Huge mappings are left out. `each` must not change tables. */
  transform(start: Addr, end: Addr, each: EntryVisitor): void {
    this.forEachSlot(start, end, (base, pmd) => {
      if ((pmd & KIND_MASK) === TABLE)
        this.#transformTable(base, Math.max(start, base), Math.min(end, base + PMD_SIZE), each);
    });
  }
  /** Does what `transform` does for [start, end) within one table. */
  transformTable(start: Addr, end: Addr, each: EntryVisitor): void {
    if (this.storedTable(start) !== 0) this.#transformTable(floorTo(start, PMD_SIZE), start, end, each);
  }
  #transformTable(base: Addr, from: Addr, to: Addr, each: EntryVisitor): void {
    let table = this.storedTable(base);
    let words = this.tables.arena.words(table);
    let offset = this.tables.arena.offset(table);
    const stop = (to - base) / (PAGE_SIZE / 2);
    let unseen = this.tables.used(table);
    let emptied = 0;
    let mayWrite = !this.tables.isShared(table);
    for (let at = (from - base) / (PAGE_SIZE / 2); at < stop && unseen > 0; at += 2) {
      const low = words[offset + at] as number;
      if (low === NONE) continue;
      unseen--;
      const now = each(low, words[offset + at + 1] as number, at >> 1);
      if (now === low) continue;
      if (!mayWrite) {
        mayWrite = true;
        table = this.#writableTable(base);
        words = this.tables.arena.words(table);
        offset = this.tables.arena.offset(table);
      }
      words[offset + at] = now;
      if (now !== NONE) continue;
      words[offset + at + 1] = 0;
      emptied++;
    }
    if (emptied > 0 && this.tables.count(table, -emptied) === 0) this.#dropStorage(base, table);
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
    const table = this.storedTable(from);
    const { arena } = this.tables;
    const [words, first] = [arena.words(table), arena.offset(table) + pteWord(from)];
    const stop = first + (to - from) / (PAGE_SIZE / 2);
    for (let at = first, unseen = this.tables.used(table); at < stop && unseen > 0; at += 2) {
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
    const table = this.storedTable(addr);
    if (table === 0) return 0;
    const words = this.tables.arena.words(table);
    const first = this.tables.arena.offset(table) + pteWord(addr);
    const stop = first + 2 * Math.min((end - addr) / PAGE_SIZE, PTES - pteIndex(addr));
    let at = first;
    for (; at < stop && ((words[at] as number) & mask) === bits; at += 2) each(words[at + 1] as number);
    return (at - first) >> 1;
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
    const table = this.storedTable(base);
    const words = this.tables.arena.words(table);
    const offset = this.tables.arena.offset(table);
    const stop = offset + (to - base) / (PAGE_SIZE / 2);
    for (let at = offset + (from - base) / (PAGE_SIZE / 2); at < stop; at += 2)
      if (words[at] !== NONE) return false;
    return true;
  }
  /**
   * Copies entries of [start, end), within one table, to the same place in `child`, where there are none and an empty table is.
   * @param each  gets an entry, and returns its new word 0 here, and 2^16 times that of the copy, 0 for none
   * @returns  how many were copied
   */
  copyEntries(child: PageTable, start: Addr, end: Addr, each: (low: number, high: number) => number): number {
    const table = this.#writableTable(start);
    if (table === 0) return 0;
    const { arena } = this.tables;
    const [words, to] = [arena.words(table), child.#storageFor(start)];
    const first = arena.offset(table) + pteWord(start);
    const [copies, up] = [arena.words(to), arena.offset(to) + pteWord(start) - first];
    const stop = first + (end - start) / (PAGE_SIZE / 2);
    let unseen = this.tables.used(table);
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
    if (child.tables.count(to, copied) === 0) child.#dropStorage(start, to);
    return copied;
  }
  /** Sets every pte of [start, end), all of which are none, to `low` and what `high` returns, ascending. */
  fill(start: Addr, end: Addr, low: number, high: () => number): void {
    for (let from = start; from < end; ) {
      const to = Math.min(end, from - (from % PMD_SIZE) + PMD_SIZE);
      const table = this.#storageFor(from);
      const words = this.tables.arena.words(table);
      const first = this.tables.arena.offset(table) + pteWord(from);
      const nrWords = (to - from) / (PAGE_SIZE / 2);
      for (let at = first; at < first + nrWords; at += 2) {
        words[at] = low;
        words[at + 1] = high();
      }
      this.tables.count(table, nrWords / 2);
      from = to;
    }
  }
  /** The same where all get one word 1, and map nothing: whole tables share their storage. */
  fillAlike(start: Addr, end: Addr, low: number, high: number): void {
    for (let from = start; from < end; ) {
      const to = Math.min(end, from - (from % PMD_SIZE) + PMD_SIZE);
      if (to - from === PMD_SIZE) {
        this.makeTable(from);
        this.setPmd(from, TABLE, this.tables.alike(low, high));
      } else this.fill(from, to, low, () => high);
      from = to;
    }
  }
  /**
   * Moves the entries of `len` bytes at `from`, within one table, to `to`, within one other (or the same), where there are none. The table of `to`
   * exists. Returns how many there were.
   */
  moveEntries(from: Addr, to: Addr, len: number): number {
    if (this.isBlank(from, from + len)) return 0;
    const target = this.#storageFor(to);
    const source = this.#writableTable(from);
    const { arena } = this.tables;
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
    this.tables.count(target, moved);
    if (this.tables.count(source, -moved) === 0) this.#dropStorage(from, source);
    return moved;
  }
  /** Returns the first count that is wrong, in words, or null. For verify.ts. */
  verify(): string | null {
    return verifyTables(this);
  }
}
