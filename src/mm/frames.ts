/**
 * Physical pages: who maps each, what it belongs to, what it holds.
 *
 * Struct of arrays indexed by frame number (pfn). A folio is one frame, or 512 aligned ones that came as a huge page. The mapcount of a frame is
 * the number of entries that map just it; a huge mapping counts once for the folio (`entire`). Reference counts are derived: an unpinned page is
 * referenced by its mappings, the page cache and the swap cache; one that the kernel holds while it copies from or to it, by that too. An anonymous folio points to its anon_vma (by id) and page offset, a file
 * page to its object and page offset.
 *
 * Which are in use and which free is in frameStore.ts.
 *
 * Invariants
 *   [frame-mapcount]   `mapcount` and `entire` are the numbers of ptes and of huge pmds that map the frame
 *   [frame-used]       a frame in use is mapped, pinned, or in the page cache or swap cache, or part of a folio of which another page is mapped
 *   [frame-exclusive]  a page that an entry holds exclusively is mapped once
 * Linux   struct folio (include/linux/mm_types.h), mm/rmap.c
 * Left out   LRU links: lru.ts has them, for those kernels in which memory can get short
 */
import type { Pgoff } from '../base/units.ts';
import type { MmId } from './folioSharing.ts';
import {
  FRAME_ACTIVE,
  FRAME_ANON,
  FRAME_CACHED,
  FRAME_LARGE,
  FRAME_PINNED,
  FRAME_REFERENCED,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  FRAME_SWAPCACHE,
  HELD,
  IN_A_CACHE,
} from './frameFlags.ts';
import { FrameStore, HUGE_PAGES, headOf, type LargeFolio, type Pfn } from './frameStore.ts';

export {
  FRAME_ACTIVE,
  FRAME_ANON,
  FRAME_CACHED,
  FRAME_DIRTY,
  FRAME_LARGE,
  FRAME_LOCK_MISSED,
  FRAME_PINNED,
  FRAME_REFERENCED,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  FRAME_SWAPCACHE,
} from './frameFlags.ts';
export { type FrameWatcher, HUGE_PAGES, headOf, type Pfn, ZERO_FRAME } from './frameStore.ts';

/** Where a page belongs on the LRU lists depends on these. */
const LRU_FLAGS = FRAME_ACTIVE | FRAME_SWAPBACKED | FRAME_SHMEM;

/** All frames of one kernel. */
export class Frames extends FrameStore {
  /** How often each folio is pinned, by its first frame. */
  readonly #pins = new Map<Pfn, number>();

  // ---- mappings ------------------------------------------------------------------------------------------------------------------

  /** Counts one more pte of `mm` that maps `pfn`. Returns the FRAME_ bits of `pfn`. */
  addPte(pfn: Pfn, mm: MmId): number {
    this.mapcounts[pfn]!++;
    const flags = this.flagWords[pfn] as number;
    if (flags & FRAME_LARGE) {
      const folio = this.#folio(pfn);
      folio.nrPtes++;
      folio.sharing.add(mm, 1);
    }
    return flags;
  }
  /** Counts one pte of `mm` less; what nothing holds any more is given back. Returns how many frames that were: 0, 1, or 512 of a huge folio. */
  dropPte(pfn: Pfn, mm: MmId): number {
    const mapcount = this.mapcounts[pfn]! - 1;
    this.mapcounts[pfn] = mapcount;
    const flags = this.flagWords[pfn] as number;
    if (flags & FRAME_LARGE) return this.#dropLargePte(pfn, mm);
    if (mapcount > 0 || flags & HELD) return 0;
    this.retire(pfn);
    this.putFree(pfn);
    return 1;
  }
  /** Gives `pfn` back, which an entry maps, if it is a small anonymous page that nothing else holds. Returns whether it is. */
  freeOwn(pfn: Pfn): boolean {
    if (
      (this.flagWords[pfn]! & (FRAME_ANON | FRAME_LARGE | HELD)) !== FRAME_ANON ||
      this.mapcounts[pfn] !== 1
    )
      return false;
    this.mapcounts[pfn] = 0;
    this.retire(pfn);
    this.putFree(pfn);
    return true;
  }
  #dropLargePte(pfn: Pfn, mm: MmId): number {
    const folio = this.#folio(pfn);
    folio.nrPtes--;
    folio.sharing.sub(mm, 1);
    return this.#releaseIfUnused(pfn) ? HUGE_PAGES : 0;
  }
  /** Counts one more pmd of `mm` that maps the huge folio at `head`. */
  addEntire(head: Pfn, mm: MmId): void {
    const folio = this.#folio(head);
    folio.entire++;
    folio.sharing.add(mm, 1);
  }
  /** Counts one huge pmd of `mm` less; a folio that nothing holds any more is given back. */
  dropEntire(head: Pfn, mm: MmId): void {
    const folio = this.#folio(head);
    folio.entire--;
    folio.sharing.sub(mm, 1);
    this.#releaseIfUnused(head);
  }
  /** Turns one huge mapping of `mm` into 512 ptes of the same folio. */
  splitEntire(head: Pfn, mm: MmId): void {
    const folio = this.#folio(head);
    folio.entire--;
    folio.nrPtes += HUGE_PAGES;
    folio.sharing.add(mm, HUGE_PAGES);
    folio.sharing.sub(mm, 1);
    for (let i = 0; i < HUGE_PAGES; i++) this.mapcounts[head + i]!++;
  }
  #releaseIfUnused(pfn: Pfn): boolean {
    const flags = this.flagWords[pfn] as number;
    if (flags & HELD || this.isMappedFolio(pfn)) return false;
    this.release(pfn);
    return true;
  }
  /** Breaks the huge folio of `pfn`, which no pmd maps at once, into single frames; those that nothing holds are given back. */
  splitFolio(pfn: Pfn): void {
    const head = headOf(pfn);
    if (this.watcher !== null) this.watcher.split(head);
    this.large.delete(head);
    const used = this.flagWords[head]! & (FRAME_REFERENCED | FRAME_ACTIVE);
    for (let i = 0; i < HUGE_PAGES; i++)
      this.flagWords[head + i] =
        (this.flagWords[head + i]! & ~(FRAME_LARGE | FRAME_REFERENCED | FRAME_ACTIVE)) | used;
    for (let i = 0; i < HUGE_PAGES; i++) this.#releaseIfUnused(head + i);
  }
  #folio(pfn: Pfn): LargeFolio {
    return this.large.get(headOf(pfn)) as LargeFolio;
  }

  /**
   * Puts the anonymous huge folio of `pfn` on the queue of those to be broken up, if only a part of it is still mapped and it is not there yet.
   * Returns whether it was put there. Linux: deferred_split_folio()
   */
  deferIfPartlyMapped(pfn: Pfn): boolean {
    if ((this.flagWords[pfn]! & (FRAME_LARGE | FRAME_ANON)) !== (FRAME_LARGE | FRAME_ANON)) return false;
    const folio = this.#folio(pfn);
    if (folio.deferred || folio.entire > 0 || folio.nrPtes === 0) return false;
    const head = headOf(pfn);
    for (let i = 0; i < HUGE_PAGES; i++) if (this.mapcounts[head + i] === 0) folio.deferred = true;
    return folio.deferred;
  }
  /** Huge folios that wait to be broken up. */
  get nrDeferred(): number {
    return this.deferredFolios().length;
  }
  /** Returns the first pages of the huge folios that wait to be broken up, in the order in which the folios came. */
  deferredFolios(): Pfn[] {
    const heads: Pfn[] = [];
    for (const [head, { deferred }] of this.large) if (deferred) heads.push(head);
    return heads;
  }

  /** Returns how many ptes and huge pmds map `pfn`. Linux: folio_precise_page_mapcount(). */
  mapcount(pfn: Pfn): number {
    const ptes = this.mapcounts[pfn] as number;
    return this.flagWords[pfn]! & FRAME_LARGE ? ptes + this.#folio(pfn).entire : ptes;
  }
  /** Returns how many entries map any page of the folio of `pfn`, a huge pmd counting once. Linux: folio_mapcount(). */
  folioMapcount(pfn: Pfn): number {
    if ((this.flagWords[pfn]! & FRAME_LARGE) === 0) return this.mapcounts[pfn] as number;
    const { entire, nrPtes } = this.#folio(pfn);
    return entire + nrPtes;
  }
  /** Returns how many huge pmds map the folio of `pfn`. */
  entireMapcount(pfn: Pfn): number {
    return this.flagWords[pfn]! & FRAME_LARGE ? this.#folio(pfn).entire : 0;
  }
  /** Tells whether anything maps a page of the folio of `pfn`. */
  isMappedFolio(pfn: Pfn): boolean {
    return this.folioMapcount(pfn) > 0;
  }
  /** Tells whether more than one address space may map the folio of `pfn`. Linux: folio_maybe_mapped_shared() */
  isMaybeShared(pfn: Pfn): boolean {
    if ((this.flagWords[pfn]! & FRAME_LARGE) === 0) return this.mapcounts[pfn]! > 1;
    return this.#folio(pfn).sharing.maybeShared;
  }
  /** References of the folio of `pfn`: mappings, page cache, swap cache, pins. Linux: folio_ref_count(), where a pin is many. */
  refcount(pfn: Pfn): number {
    const caches = this.flagWords[pfn]! & IN_A_CACHE ? 1 : 0;
    return this.folioMapcount(pfn) + caches + (this.isPinned(pfn) ? 1 : 0);
  }

  /** The kernel takes hold of `pfn`, which is not the zero page, until it lets go: it stays though nothing maps it. Linux: pin_user_pages() */
  pin(pfn: Pfn): void {
    const first = this.flagWords[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    this.#pins.set(first, (this.#pins.get(first) ?? 0) + 1);
    for (let i = 0; i < this.#size(first); i++) this.flagWords[first + i]! |= FRAME_PINNED;
  }
  /** Lets go of `pfn`; one that nothing holds any more is given back. Linux: unpin_user_page() */
  unpin(pfn: Pfn): void {
    const first = this.flagWords[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    const left = (this.#pins.get(first) ?? 0) - 1;
    if (left > 0) {
      this.#pins.set(first, left);
      return;
    }
    this.#pins.delete(first);
    for (let i = 0; i < this.#size(first); i++) this.flagWords[first + i]! &= ~FRAME_PINNED;
    this.#releaseIfUnused(first);
  }
  #size(first: Pfn): number {
    return this.flagWords[first]! & FRAME_LARGE ? HUGE_PAGES : 1;
  }
  /** Tells whether the folio of `pfn` is pinned. Linux: folio_maybe_dma_pinned() */
  isPinned(pfn: Pfn): boolean {
    return (this.flagWords[pfn]! & FRAME_PINNED) !== 0;
  }
  /** A call that has to wait took pages of the huge folio at `head` away: it holds it until it is over (`by` 1, then -1). Linux: struct mmu_gather */
  gather(head: Pfn, by: 1 | -1): void {
    const folio = this.large.get(head);
    if (folio !== undefined) folio.gathered = Math.max(0, folio.gathered + by);
  }
  /** Tells whether the kernel has the folio of `pfn` in use: it cannot be broken up. */
  isInUse(pfn: Pfn): boolean {
    return this.isPinned(pfn) || (this.large.get(headOf(pfn))?.gathered ?? 0) > 0;
  }
  /** Tells whether any folio is pinned. */
  get hasPins(): boolean {
    return this.#pins.size > 0;
  }

  // ---- what it is ----------------------------------------------------------------------------------------------------------------

  /** Returns the FRAME_ bits of `pfn`. */
  flags(pfn: Pfn): number {
    return this.flagWords[pfn] as number;
  }
  /** Tells whether `pfn` is anonymous. */
  isAnon(pfn: Pfn): boolean {
    return (this.flagWords[pfn]! & FRAME_ANON) !== 0;
  }
  /** Tells whether `pfn` is part of a huge folio. */
  isLarge(pfn: Pfn): boolean {
    return (this.flagWords[pfn]! & FRAME_LARGE) !== 0;
  }
  /** Returns which counter of an address space a mapping of `pfn` belongs to. */
  counterOf(pfn: Pfn): 'rssAnon' | 'rssFile' | 'rssShmem' {
    const flags = this.flagWords[pfn] as number;
    if (flags & FRAME_ANON) return 'rssAnon';
    return flags & FRAME_SHMEM ? 'rssShmem' : 'rssFile';
  }
  /** Sets and clears FRAME_ bits of one frame. */
  setFlags(pfn: Pfn, set: number, clear = 0): void {
    this.flagWords[pfn] = (this.flagWords[pfn]! & ~clear) | set;
    if (this.watcher !== null && (set | clear) & LRU_FLAGS) this.watcher.changed(pfn);
  }
  /** The folio of `pfn` was used by itself, not through an entry. Linux: folio_mark_accessed(). */
  markAccessed(pfn: Pfn): void {
    const first = this.flagWords[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    const flags = this.flagWords[first] as number;
    if ((flags & FRAME_REFERENCED) === 0) this.flagWords[first] = flags | FRAME_REFERENCED;
    else if ((flags & FRAME_ACTIVE) === 0) this.setFlags(first, FRAME_ACTIVE, FRAME_REFERENCED);
  }
  /** Forgets that the folio of `pfn` was used. Linux: folio_clear_referenced(), folio_deactivate(). */
  clearAccessed(pfn: Pfn): void {
    const first = this.flagWords[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    this.setFlags(first, 0, FRAME_REFERENCED | FRAME_ACTIVE);
  }
  /** Forgets that the folio of `pfn` was used since it was last asked. Linux: folio_clear_referenced() */
  clearReferenced(pfn: Pfn): void {
    const first = this.flagWords[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    this.flagWords[first]! &= ~FRAME_REFERENCED;
  }
  /** Tells whether the folio of `pfn` was used by itself. */
  isReferenced(pfn: Pfn): boolean {
    const first = this.flagWords[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    return (this.flagWords[first]! & FRAME_REFERENCED) !== 0;
  }
  /** Returns the id of the anon_vma or of the object that `pfn` belongs to. */
  owner(pfn: Pfn): number {
    return this.owners[pfn] as number;
  }
  /** Returns the page offset of `pfn` in what it belongs to. */
  index(pfn: Pfn): Pgoff {
    return this.indexes[pfn] as number;
  }
  /** Gives `pfn` to another anon_vma or object, at another page offset. */
  setOwner(pfn: Pfn, owner: number, index: Pgoff): void {
    this.owners[pfn] = owner;
    this.indexes[pfn] = index;
  }
  /** Takes an unmapped page of the page cache out of it. A page that is still mapped stays until its last mapping goes. */
  uncache(pfn: Pfn): void {
    this.flagWords[pfn]! &= ~FRAME_CACHED;
    this.#releaseIfUnused(pfn);
  }
  /** Takes a page out of the swap cache; one that nothing maps, and that is in no page cache, is given back. */
  leaveSwapCache(pfn: Pfn): void {
    this.flagWords[pfn]! &= ~FRAME_SWAPCACHE;
    this.#releaseIfUnused(pfn);
  }

  // ---- contents and totals -------------------------------------------------------------------------------------------------------

  /** Tells whether the page is all zeros. */
  isZero(pfn: Pfn): boolean {
    return this.contents.isZero(pfn);
  }
  /** Returns the first word of the page. */
  stamp(pfn: Pfn): number {
    return this.contents.firstWord(pfn);
  }
  /** Writes the first word of the page. */
  setStamp(pfn: Pfn, stamp: number): void {
    this.contents.setFirstWord(pfn, stamp);
  }
  /** Tells whether `pfn` is in use. */
  isUsed(pfn: Pfn): boolean {
    return this.flagWords[pfn] !== 0;
  }
}
