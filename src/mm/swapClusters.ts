/**
 * Which slot of the swap device is taken next, and how many are read at once.
 *
 * The device is divided into clusters of 512 slots. Slots are taken one after the other out of one cluster, so that what goes together lies together;
 * when it is full, the next is one of which slots were given back, then one that is free. Reading brings those around the slot that is asked for: more of
 * them the more of those that were read ahead were asked for then, fewer where reads jump about.
 *
 * Linux      mm/swapfile.c: cluster_alloc_swap_entry; mm/swap_state.c: swap_cluster_readahead, __swapin_nr_pages
 * Left out   a cluster for each CPU, fragments of huge pages, reading ahead by addresses instead of slots (which Linux does on devices that do not rotate)
 */

/** The number of a slot. */
export type Slot = number & { readonly unit?: 'slot' };

const CLUSTER = 512;
const clusterOf = (slot: Slot): number => Math.floor((slot - 1) / CLUSTER);

/** The slots of a device that are free. */
export class SwapClusters {
  /** Slots of each cluster that are taken, by its number. */
  readonly #taken: Set<Slot>[] = [];
  /** Clusters of which some slots were given back, in that order; and those of which all were. */
  readonly #partly = new Set<number>();
  readonly #free: number[] = [];
  #current = -1;
  #at = CLUSTER;

  /** Takes a slot. There has to be one: who calls counts them. @param size  slots of the device */
  take(size: number): Slot {
    for (;;) {
      const taken = this.#taken[this.#current];
      const end = this.#end(size);
      for (; taken !== undefined && this.#at < end; this.#at++) {
        const slot = this.#current * CLUSTER + this.#at + 1;
        if (taken.has(slot)) continue;
        taken.add(slot);
        this.#at++;
        return slot;
      }
      this.#next(size);
    }
  }
  /** Slots of the cluster that is taken from; of the last one there may be fewer. */
  #end(size: number): number {
    return Math.min(CLUSTER, size - this.#current * CLUSTER);
  }
  #next(size: number): void {
    const left = this.#taken[this.#current];
    if (left !== undefined && left.size < this.#end(size)) this.#partly.add(this.#current);
    const [partly] = this.#partly;
    if (partly !== undefined) this.#partly.delete(partly);
    this.#current = partly ?? this.#free.shift() ?? this.#taken.push(new Set()) - 1;
    this.#at = 0;
  }
  /** Gives a slot back. */
  give(slot: Slot): void {
    const cluster = clusterOf(slot);
    const taken = this.#taken[cluster];
    taken?.delete(slot);
    if (cluster === this.#current || taken === undefined) return;
    if (taken.size > 0) this.#partly.add(cluster);
    else {
      this.#partly.delete(cluster);
      this.#free.push(cluster);
    }
  }
}

/** How many slots are read at once. */
export class SwapReadAhead {
  #hits = 4;
  #lastSlot: Slot = 0;
  #lastPages = 0;

  /** A page that was read ahead was asked for. */
  hit(): void {
    this.#hits++;
  }
  /** Returns how many slots are read with `slot`, itself among them: a power of two. @param most  a power of two */
  window(slot: Slot, most: number): number {
    const hits = this.#hits;
    this.#hits = 0;
    let pages = 1;
    if (hits > 0) while (pages < Math.max(4, hits + 2)) pages *= 2;
    else if (Math.abs(slot - this.#lastSlot) === 1) pages = 2;
    pages = Math.min(most, Math.max(pages, Math.floor(this.#lastPages / 2)));
    this.#lastSlot = slot;
    this.#lastPages = pages;
    return pages;
  }
}
