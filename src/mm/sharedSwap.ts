/**
 * Where shared memory is in swap: page offset of a file object to slot.
 *
 *   by the page ..... each page comes back by itself
 *   whole ........... a huge folio that was written out whole comes back whole, as a huge folio, by whichever page is asked for; not where userfaultfd
 *                     wants to know of pages, nor while a page of it is in the swap cache: then its pages go their own ways
 *
 * Invariant   a whole window has a slot for each of its 512 pages
 * Cost        constant by the page; what is dropped is looked up page by page, or by all that is there, whichever is less
 * Linux       mm/shmem.c: swap entries in the page cache of tmpfs, of order 9 for a huge folio; shmem_swapin_folio, shmem_split_large_entry
 * Left out    what is left of a whole window that was cut is taken as single pages; Linux keeps parts of up to 64 together
 */

import { HUGE_PAGES } from './frames.ts';
import type { Slot } from './swap.ts';
import type { FileObject } from './vma.ts';

/** Swap slots of shared memory. */
export class SharedSwap {
  /** By object id, by page offset. */
  readonly #slots = new Map<number, Map<number, Slot>>();
  /** By object id, the first page offsets of whole windows. */
  readonly #whole = new Map<number, Set<number>>();

  /** Returns the slot that page `pgoff` of `object` is in, or null. */
  slotOf(object: FileObject, pgoff: number): Slot | null {
    return this.#slots.get(object.id)?.get(pgoff) ?? null;
  }
  /** Returns the page offsets of `object` that are in swap. */
  pagesOf(object: FileObject): Iterable<number> {
    return this.#slots.get(object.id)?.keys() ?? [];
  }
  /** Returns how many pages of `object` are in swap. Linux: shmem_inode_info.swapped */
  count(object: FileObject): number {
    return this.#slots.get(object.id)?.size ?? 0;
  }
  /** Iterates over all slots. */
  *all(): Generator<Slot> {
    for (const slots of this.#slots.values()) yield* slots.values();
  }

  /** Notes that page `pgoff` of `object`, which was not in swap, is in `slot`. */
  put(object: FileObject, pgoff: number, slot: Slot): void {
    const slots = this.#slots.get(object.id) ?? new Map<number, Slot>();
    this.#slots.set(object.id, slots);
    slots.set(pgoff, slot);
  }
  /** Notes that the 512 pages from `first` on, all in swap, were written out as one. */
  markWhole(object: FileObject, first: number): void {
    const whole = this.#whole.get(object.id) ?? new Set<number>();
    this.#whole.set(object.id, whole);
    whole.add(first);
  }
  /** Returns the first page offset of the whole window that page `pgoff` belongs to, or null. */
  wholeOf(object: FileObject, pgoff: number): number | null {
    const first = pgoff - (pgoff % HUGE_PAGES);
    return this.#whole.get(object.id)?.has(first) === true ? first : null;
  }
  /** Page `pgoff` is not in swap any more, and what it was a part of is not whole. */
  take(object: FileObject, pgoff: number): void {
    this.cut(object, pgoff);
    this.#slots.get(object.id)?.delete(pgoff);
  }
  /** The window of page `pgoff` is not whole any more: each of its pages comes back by itself. */
  cut(object: FileObject, pgoff: number): void {
    this.#whole.get(object.id)?.delete(pgoff - (pgoff % HUGE_PAGES));
  }
  /** Takes out all pages from `from` to below `to`. @returns  their slots */
  takeRange(object: FileObject, from: number, to: number): Slot[] {
    const slots = this.#slots.get(object.id);
    // Most often it is one page that goes, and that is not there: all of them need not be gone through then.
    if (slots === undefined || (to - from === 1 && !slots.has(from))) return [];
    const taken: Slot[] = [];
    for (const [pgoff, slot] of slots) {
      if (pgoff < from || pgoff >= to) continue;
      this.take(object, pgoff);
      taken.push(slot);
    }
    return taken;
  }
}
