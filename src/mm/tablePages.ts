/**
 * Where page tables of one kernel live: arena pages of 512 entries, each with a count of its entries that are not none.
 *
 * Every address space of a kernel takes its tables from here, so that one arena (one memory of a guest) holds them all. A table that becomes
 * empty gives its page back; it needs none while it is empty.
 * Cost   4 KiB and 2 bytes a table that holds something
 */
import { Arena, type ArenaPage } from '../base/arena.ts';
import { Work } from './work.ts';

/** The tables of one kernel. */
export class TablePages {
  readonly arena: Arena;
  /** Where tables that come and go are counted. */
  readonly work: Work;
  #used = new Uint16Array(256);

  /** @param work  counts the tables; @param arena  where they go */
  constructor(work: Work = new Work(), arena: Arena = new Arena()) {
    this.work = work;
    this.arena = arena;
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
