/**
 * Where page tables of one kernel live: arena pages of 512 entries, each with a count of its entries that are not none.
 *
 * Every address space of a kernel takes its tables from here, so that one arena (one memory of a guest) holds them all. A table that becomes
 * empty gives its page back; it needs none while it is empty. Tables all of whose entries are equal and map nothing share one page, until one of them is
 * written.
 *
 * Invariant   [table-shared] a shared page is never written nor given back
 * Cost        4 KiB and 2 bytes a table that holds something; nothing more for one that is shared
 */
import { ARENA_WORDS, Arena, type ArenaPage } from '../base/arena.ts';
import type { Addr } from '../base/units.ts';
import type { TableHistory } from './tableHistory.ts';
import { Work } from './work.ts';

/**
 * Looks at an entry that is not none, of which `index` is the number within its table, and returns its new word 0: the same, other bits, or 0 to
 * empty it. (Not its address: a number beyond 2^31 takes an allocation to hand over.)
 */
export type EntryVisitor = (low: number, high: number, index: number) => number;
/** Looks at a pmd that is not none: the 2 MiB from `base`, and its word 0 (`table`, `emptyTable`, or huge). */
export type SlotVisitor = (base: Addr, pmd: number) => void;

/** The tables of one kernel. */
export class TablePages {
  readonly arena: Arena;
  /** Where tables that come and go are counted. */
  readonly work: Work;
  /** Who emptied which table; null: nobody will ask. */
  readonly history: TableHistory | null;
  #used = new Uint16Array(256);
  /** Pages of tables that are alike, by their one entry. */
  readonly #alike = new Map<number, ArenaPage>();
  readonly #shared = new Set<ArenaPage>();

  /** @param work  counts the tables; @param arena  where they go; @param history  is told who empties them */
  constructor(work: Work = new Work(), arena: Arena = new Arena(), history: TableHistory | null = null) {
    this.work = work;
    this.arena = arena;
    this.history = history;
  }

  /** Gives out a table that holds nothing. */
  allocate(): ArenaPage {
    const page = this.arena.allocate();
    if (page >= this.#used.length) {
      const used = new Uint16Array(this.#used.length * 2);
      used.set(this.#used);
      this.#used = used;
    }
    return page;
  }
  /** Takes back a table that holds nothing. */
  release(page: ArenaPage): void {
    this.arena.release(page);
  }

  /** Returns the page of all tables whose 512 entries are `low` and `high`. */
  alike(low: number, high: number): ArenaPage {
    const key = high * 2 ** 16 + low;
    const known = this.#alike.get(key);
    if (known !== undefined) return known;
    const page = this.allocate();
    const words = this.arena.words(page);
    const first = this.arena.offset(page);
    for (let at = first; at < first + ARENA_WORDS; at += 2) {
      words[at] = low;
      words[at + 1] = high;
    }
    this.#used[page] = ARENA_WORDS / 2;
    this.#alike.set(key, page);
    this.#shared.add(page);
    return page;
  }
  /** Tells whether `page` is shared: who wants to write takes a copy. */
  isShared(page: ArenaPage): boolean {
    return this.#shared.size > 0 && this.#shared.has(page);
  }
  /** Returns a page with the entries of `page`, to be written. */
  copyOf(page: ArenaPage): ArenaPage {
    const copy = this.allocate();
    const first = this.arena.offset(page);
    const entries = this.arena.words(page).subarray(first, first + ARENA_WORDS);
    this.arena.words(copy).set(entries, this.arena.offset(copy));
    this.#used[copy] = this.used(page);
    return copy;
  }

  /** Returns how many entries of `page` are not none. */
  used(page: ArenaPage): number {
    return this.#used[page] as number;
  }
  /** Counts `by` more entries of `page` and returns the new count. */
  count(page: ArenaPage, by: number): number {
    const used = (this.#used[page] as number) + by;
    this.#used[page] = used;
    return used;
  }
}
