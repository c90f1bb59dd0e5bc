/**
 * Swap: slots, each with the content of one page and a count of the entries that refer to it.
 *
 * A slot that was read back while others still refer to it stays in step with the frame it was read into (the swap cache), so that all of
 * them find the same page. The device is the one of the machine: without swap pages, nothing can be written out.
 *
 * Invariants   [swap-count]  a slot's count is the number of entries that hold it
 *              [swap-cache]  the frame of a slot is in use, is in the swap cache, and no other slot has it
 * Linux        mm/swapfile.c, mm/swap_state.c
 * Left out     clusters, several devices, costs of reading and writing, read-ahead
 */
import { FRAME_SWAPCACHE, type Frames, type Pfn } from './frames.ts';

/** The number of a slot. */
export type Slot = number & { readonly unit?: 'slot' };

interface SlotState {
  count: number;
  stamp: number;
  /** The frame that holds the same content, 0 for none. */
  frame: Pfn;
}

/** The swap of one machine. */
export class Swap {
  readonly #slots = new Map<Slot, SlotState>();
  readonly #slotOf = new Map<Pfn, Slot>();
  readonly #free: Slot[] = [];
  #next = 1;
  /** Pages that fit. */
  readonly totalPages: number;

  /** @param totalPages  size of the device in pages; 0: there is none */
  constructor(totalPages: number) {
    this.totalPages = totalPages;
  }

  /** Number of slots in use. */
  get nrUsed(): number {
    return this.#slots.size;
  }
  /** Takes a slot with one reference for a page whose first word is `stamp`; null when the device is full. */
  allocate(stamp: number): Slot | null {
    if (this.#slots.size >= this.totalPages) return null;
    const slot = this.#free.pop() ?? this.#next++;
    this.#slots.set(slot, { count: 1, stamp, frame: 0 });
    return slot;
  }
  /** Returns how many entries hold `slot`. */
  count(slot: Slot): number {
    return this.#slots.get(slot)?.count ?? 0;
  }
  /** Returns the first word of what `slot` holds. */
  stamp(slot: Slot): number {
    return this.#slots.get(slot)?.stamp ?? 0;
  }
  /** Counts one more entry that holds `slot`. */
  dup(slot: Slot): void {
    const state = this.#slots.get(slot);
    if (state !== undefined) state.count++;
  }
  /** Counts one entry less; the last one frees the slot, and the frame in the swap cache if nothing maps it. */
  drop(frames: Frames, slot: Slot): void {
    const state = this.#slots.get(slot);
    if (state === undefined || --state.count > 0) return;
    this.#uncache(frames, state);
    this.#slots.delete(slot);
    this.#free.push(slot);
  }
  /** Returns the frame that holds what `slot` holds, or 0. */
  cached(slot: Slot): Pfn {
    return this.#slots.get(slot)?.frame ?? 0;
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
    this.#slotOf.set(pfn, slot);
    frames.setFlags(pfn, FRAME_SWAPCACHE);
  }
  /** Takes a page out of the swap cache because nothing maps it any more, or because it is about to be written. */
  forget(frames: Frames, pfn: Pfn): void {
    const slot = this.#slotOf.get(pfn);
    const state = slot === undefined ? undefined : this.#slots.get(slot);
    if (state !== undefined) this.#uncache(frames, state);
  }
  #uncache(frames: Frames, state: SlotState): void {
    if (state.frame === 0) return;
    this.#slotOf.delete(state.frame);
    frames.setFlags(state.frame, 0, FRAME_SWAPCACHE);
    state.frame = 0;
  }

  /** Iterates over slots and their counts, ascending by age. For verify.ts. */
  *counts(): Generator<readonly [Slot, number]> {
    for (const [slot, { count }] of this.#slots) yield [slot, count];
  }
}
