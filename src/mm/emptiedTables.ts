/**
 * Page tables of one address space that were left without entries, for those who want to free them (ptReclaim.ts); and those that were freed for it
 * (freedTables.ts), for those who want to know whether that was a pity.
 *
 * Cost   an entry of a list a table that comes or loses its last entry, where somebody wants to know
 */
import { type Addr, floorTo, PMD_SIZE } from '../base/units.ts';
import { FreedTables } from './freedTables.ts';
import type { TablePages } from './tablePages.ts';
import { FACT } from './work.ts';

/** Where tables were left without entries since somebody asked last. */
export class EmptiedTables {
  /** In that order; one may be there several times. */
  #bases: Addr[] = [];

  /** The table at `base` has no entries now. */
  note(base: Addr): void {
    this.#bases.push(base);
  }
  /** Tables moved from [from, from + len) to `to`. */
  moved(from: Addr, to: Addr, len: number): void {
    for (const base of [...this.#bases])
      if (base >= from && base < from + len) this.#bases.push(base - from + to);
  }
  /** Returns what was noted, and forgets it. Some of them may hold something again, be gone, or come twice. */
  take(): readonly Addr[] {
    const bases = this.#bases;
    if (bases.length > 0) this.#bases = [];
    return bases;
  }
}

/** All that is kept of the tables without entries of one address space, and who is told when they come and go. */
export class EmptyTables {
  readonly #tables: TablePages;
  /** Whose they are, for `TableHistory`. */
  readonly #owner: object;
  /** Tables left without entries; null: nobody wants to know. */
  readonly emptied: EmptiedTables | null;
  /** Tables that were freed for being empty, not long ago. */
  readonly reuse = new FreedTables();
  /** How many scans in a row found a table empty, by its address. */
  readonly seen = new Map<Addr, number>();
  /** How many there are. */
  nr = 0;

  /** @param owner  the page table that it is for; @param notesEmptied  somebody will ask which tables are empty now */
  constructor(tables: TablePages, owner: object, notesEmptied: boolean) {
    this.#tables = tables;
    this.#owner = owner;
    this.emptied = notesEmptied ? new EmptiedTables() : null;
  }

  /** There is a table without entries at `addr`. @param wasNone  it is new */
  came(addr: Addr, wasNone: boolean): void {
    const { work, history } = this.#tables;
    this.nr++;
    work.nrEmptyTables++;
    this.emptied?.note(floorTo(addr, PMD_SIZE));
    history?.note(this.#owner, floorTo(addr, PMD_SIZE), wasNone ? 'made' : 'emptied');
  }
  /** The one at `addr` holds something now, or is gone. */
  went(addr: Addr): void {
    const { work, history } = this.#tables;
    this.nr--;
    work.nrEmptyTables--;
    if (this.seen.size > 0) this.seen.delete(floorTo(addr, PMD_SIZE));
    history?.forget(this.#owner, floorTo(addr, PMD_SIZE));
  }
  /** A table was made for `addr`. */
  made(addr: Addr): void {
    this.reuse.tableMade(floorTo(addr, PMD_SIZE), this.#tables.work);
  }
  /** 2 MiB at `base` are mapped at once. @param isDeposited  a table is put aside for them */
  covered(base: Addr, isDeposited: boolean): void {
    this.reuse.hugeMade(base, this.#tables.work);
    if (isDeposited) this.#tables.work.count(FACT.ptDeposited);
  }
  /** Tables of [from, from + len) moved to `to`. */
  moved(from: Addr, to: Addr, len: number): void {
    this.emptied?.moved(from, to, len);
    this.#tables.history?.moved(this.#owner, from, to, len);
  }
}
