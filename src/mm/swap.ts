/**
 * Swap: slots, each with the content of one page and a count of those who refer to it: entries, or shared memory that was paged out.
 *
 * A slot that was read back while others still refer to it, or ahead of time, stays in step with the frame it was read into (the swap cache), so
 * that all of them find the same page. Such a frame stays as long as somebody refers to its slot, even if nothing maps it; and a slot to
 * which nobody refers stays as long as its frame is mapped, until the page is written or the last mapping goes. The device is the one of the
 * machine: without swap pages, nothing can be written out.
 *
 * Invariants   [swap-count]  a slot's count is the number of entries that hold it, and of pages of shared memory that are in it
 *              [swap-cache]  the frame of a slot is in use, knows that it is in the swap cache, and no other slot has it; one that nothing maps
 *                            belongs to a slot that somebody refers to
 * Linux        mm/swapfile.c, mm/swap_state.c
 * Left out     several devices, devices that take time
 */
import { firstWordOf, type SavedPage } from './frameContents.ts';
import { FRAME_DIRTY, FRAME_SWAPCACHE, type Frames, type Pfn } from './frames.ts';

import { type Slot, SwapClusters, SwapReadAhead } from './swapClusters.ts';

export type { Slot } from './swapClusters.ts';

interface SlotState {
  count: number;
  content: SavedPage;
  /** The frame that holds the same content, 0 for none. */
  frame: Pfn;
  /** It was read ahead, and nobody has asked for it since. */
  isAhead: boolean;
}

/** The swap of one machine. */
export class Swap {
  readonly #slots = new Map<Slot, SlotState>();
  readonly #slotOf = new Map<Pfn, Slot>();
  readonly #clusters = new SwapClusters();
  readonly #readAhead = new SwapReadAhead();
  /** Pages that are read at once, at most: a power of two. 1: the one that is asked for, past the swap cache where nobody else has it. Linux: 1 << vm.page-cluster */
  readAtOnce = 1;
  /** Pages that fit. Grows where a device is added (swapon). */
  totalPages: number;

  /**
   * Programs tell what each store leaves, so a page that holds zeros is one that nobody stored anything else to. Such a page is not written to the device: its slot is
   * marked. Linux: swap_zeromap_folio_set()
   */
  contentsAreTold = false;

  /** @param totalPages  size of the device in pages; 0: there is none */
  constructor(totalPages: number) {
    this.totalPages = totalPages;
  }

  /** More than half of it is in use: what is read back does not stay in the swap cache. Linux: vm_swap_full() */
  get isShort(): boolean {
    return this.#slots.size * 2 > this.totalPages;
  }
  /** Tells whether another page can be written out. */
  get hasRoom(): boolean {
    return this.#slots.size < this.totalPages;
  }
  /** Number of slots in use. */
  get nrUsed(): number {
    return this.#slots.size;
  }
  /** Takes a slot with one reference for a page that holds `content`; null when the device is full. */
  allocate(content: SavedPage): Slot | null {
    if (this.#slots.size >= this.totalPages) return null;
    const slot = this.#clusters.take(this.totalPages);
    this.#slots.set(slot, { count: 1, content, frame: 0, isAhead: false });
    return slot;
  }
  /** Returns how many refer to `slot`. */
  count(slot: Slot): number {
    return this.#slots.get(slot)?.count ?? 0;
  }
  /** Returns the first word of what `slot` holds. */
  stamp(slot: Slot): number {
    return firstWordOf(this.content(slot));
  }
  /** Returns what `slot` holds, as far as it is kept. */
  content(slot: Slot): SavedPage {
    return this.#slots.get(slot)?.content ?? 0;
  }
  /** Tells whether `slot` is known to hold zeros alone. */
  isZeroFilled(slot: Slot): boolean {
    return this.contentsAreTold && Object.is(this.content(slot), 0);
  }
  /** Counts one more who refers to `slot`. @param content  what it holds from now on, if that may have changed */
  dup(slot: Slot, content: SavedPage | null = null): void {
    const state = this.#slots.get(slot);
    if (state === undefined) return;
    state.count++;
    if (content !== null) state.content = content;
  }
  /** Counts one less who refers to `slot`. With the last one it is free, unless a page that is mapped is still in the swap cache for it. */
  drop(frames: Frames, slot: Slot): void {
    const state = this.#slots.get(slot);
    if (state === undefined || --state.count > 0) return;
    if (state.frame !== 0 && frames.isMappedFolio(state.frame)) return;
    this.#uncache(frames, slot, state);
  }

  // ---- the swap cache ------------------------------------------------------------------------------------------------------------

  /** Returns the frame that holds what `slot` holds, or 0. */
  cached(slot: Slot): Pfn {
    return this.#slots.get(slot)?.frame ?? 0;
  }
  /** Returns the slots that are read together with `slot`: those around it that are in use and not in memory. @param others  is told of each but `slot` */
  around(slot: Slot, others: (slot: Slot) => void): void {
    if (this.readAtOnce === 1) return;
    const pages = this.#readAhead.window(slot, this.readAtOnce);
    const first = slot - (slot % pages);
    for (let at = Math.max(1, first); at < first + pages; at++) {
      const state = this.#slots.get(at);
      if (at === slot || state === undefined || state.frame !== 0 || state.count === 0) continue;
      others(at);
      state.isAhead = true;
    }
  }
  /** `slot`, which is in memory, was asked for. Returns whether it had been read ahead. */
  isHit(slot: Slot): boolean {
    const state = this.#slots.get(slot);
    if (state === undefined || !state.isAhead) return false;
    state.isAhead = false;
    this.#readAhead.hit();
    return true;
  }
  /** Returns the slot of a frame in the swap cache, or null. */
  slotOf(pfn: Pfn): Slot | null {
    return this.#slotOf.get(pfn) ?? null;
  }
  /** Puts `pfn`, just read from `slot`, into the swap cache. */
  cache(frames: Frames, slot: Slot, pfn: Pfn): void {
    const state = this.#slots.get(slot);
    if (state === undefined) return;
    state.frame = pfn;
    state.isAhead = false;
    this.#slotOf.set(pfn, slot);
    frames.setFlags(pfn, FRAME_SWAPCACHE);
  }
  /**
   * Takes `pfn` out of the swap cache if nobody refers to its slot any more, which is then free; the page is dirty from then on.
   * @returns  whether the page is now in no swap cache. Linux: folio_free_swap()
   */
  release(frames: Frames, pfn: Pfn): boolean {
    const slot = this.#slotOf.get(pfn);
    const state = slot === undefined ? undefined : this.#slots.get(slot);
    if (slot === undefined || state === undefined) return true;
    if (state.count > 0) return false;
    frames.setFlags(pfn, FRAME_DIRTY);
    this.#uncache(frames, slot, state);
    return true;
  }
  /** Nothing maps `pfn` any more: it goes, unless somebody refers to its slot. Returns whether it went. Linux: free_swap_cache() */
  unmapped(frames: Frames, pfn: Pfn): boolean {
    const slot = this.#slotOf.get(pfn);
    const state = slot === undefined ? undefined : this.#slots.get(slot);
    if (slot === undefined || state === undefined || state.count > 0) return false;
    this.#uncache(frames, slot, state);
    return true;
  }
  /** Takes `pfn` out of the swap cache although its slot stays: what maps it is about to refer to the slot instead. */
  forget(frames: Frames, pfn: Pfn): void {
    const slot = this.#slotOf.get(pfn);
    const state = slot === undefined ? undefined : this.#slots.get(slot);
    if (state === undefined) return;
    this.#slotOf.delete(pfn);
    state.frame = 0;
    frames.leaveSwapCache(pfn);
  }
  /** The page of `from` is in frame `to` from now on. */
  migrate(from: Pfn, to: Pfn): void {
    const slot = this.#slotOf.get(from);
    const state = slot === undefined ? undefined : this.#slots.get(slot);
    if (slot === undefined || state === undefined) return;
    this.#slotOf.delete(from);
    this.#slotOf.set(to, slot);
    state.frame = to;
  }
  /** Frees a slot to which nobody refers, and takes its frame out of the swap cache. */
  #uncache(frames: Frames, slot: Slot, state: SlotState): void {
    this.#slots.delete(slot);
    this.#clusters.give(slot);
    if (state.frame === 0) return;
    this.#slotOf.delete(state.frame);
    frames.leaveSwapCache(state.frame);
  }

  /** Iterates over slots, the counts of who refers to them, and their frames (0: none), ascending by age. For verify.ts. */
  *counts(): Generator<readonly [Slot, number, Pfn]> {
    for (const [slot, { count, frame }] of this.#slots) yield [slot, count, frame];
  }
}
