/**
 * Whether a huge folio is mapped by more than one address space, as Linux knows it: from two slots, not from all that map it.
 *
 * Each slot names an address space and counts its mappings of the folio; whoever comes when both are taken is not named. `maybeShared` is set when
 * a second comes, and cleared only when a slot gets empty, or somebody without a slot unmaps, and one slot then accounts for all mappings there
 * are. So a folio that only one maps any more can go on counting as shared, and then its pages are copied rather than reused.
 *
 * Linux   include/linux/rmap.h: folio_add_return_large_mapcount, folio_sub_return_large_mapcount (CONFIG_MM_ID)
 */

/** The id of an address space; 0: none. */
export type MmId = number;

/** The slots of one huge folio. */
export class FolioSharing {
  #mappings = 0;
  /** Who has each slot, and with how many mappings. */
  readonly #holder: [MmId, MmId] = [0, 0];
  readonly #count: [number, number] = [0, 0];
  #maybeShared = false;

  /** `mm` maps `n` more. */
  add(mm: MmId, n: number): void {
    this.#mappings += n;
    const slot = this.#slotOf(mm);
    if (slot !== null) this.#count[slot] += n;
    else if (this.#holder[0] === 0) this.#take(0, mm, n);
    else if (this.#holder[1] === 0) this.#take(1, mm, n);
  }

  /** `mm` maps `n` fewer. */
  sub(mm: MmId, n: number): void {
    this.#mappings -= n;
    const slot = this.#slotOf(mm);
    if (slot !== null) {
      this.#count[slot] -= n;
      // Below zero when some of its mappings came while it had no slot.
      if (this.#count[slot] > 0) return;
      this.#count[slot] = 0;
      this.#holder[slot] = 0;
    }
    if (this.#count[0] === this.#mappings || this.#count[1] === this.#mappings) this.#maybeShared = false;
  }

  /** Tells whether more than one address space may map it. A single mapping is never shared. */
  get maybeShared(): boolean {
    return this.#mappings > 1 && this.#maybeShared;
  }

  #slotOf(mm: MmId): 0 | 1 | null {
    if (this.#holder[0] === mm) return 0;
    return this.#holder[1] === mm ? 1 : null;
  }

  #take(slot: 0 | 1, mm: MmId, n: number): void {
    this.#holder[slot] = mm;
    this.#count[slot] = n;
    // In the second slot one is not alone, in the first only if there are no other mappings.
    if (slot === 1 || this.#mappings !== n) this.#maybeShared = true;
  }
}
