/**
 * Physical pages: who maps each, what it belongs to, what it holds.
 *
 * Struct of arrays indexed by frame number (pfn). A folio is one frame, or 512 aligned ones that came as a huge page. The mapcount of a frame is
 * the number of entries that map just it; a huge mapping counts once for the folio (`entire`). Reference counts are derived: an unpinned page is
 * referenced by its mappings, the page cache and the swap cache; one that the kernel holds while it copies from or to it, by that too. An anonymous folio points to its anon_vma (by id) and page offset, a file
 * page to its object and page offset.
 *
 * Frame 0 is the zero page (and, mapped at once, the huge one): never counted, never freed.
 *
 * Invariants
 *   [frame-mapcount]   `mapcount` and `entire` are the numbers of ptes and of huge pmds that map the frame
 *   [frame-used]       a frame in use is mapped, pinned, or in the page cache or swap cache, or part of a folio of which another page is mapped
 *   [frame-exclusive]  a page that an entry holds exclusively is mapped once
 * Cost    30 bytes a frame with fingerprint contents; a growth step copies, at most 25 % are spare from 65,536 to 2^24 frames
 * Linux   struct folio (include/linux/mm_types.h), mm/rmap.c
 * Left out   LRU links: lru.ts has them, for those kernels in which memory can get short
 */
// Long because: everything that is kept of a frame is private to one class.
import type { Pgoff } from '../base/units.ts';
import { FolioSharing, type MmId } from './folioSharing.ts';
import { FingerprintContents, type FrameContents } from './frameContents.ts';

/** The number of a frame. */
export type Pfn = number & { readonly unit?: 'pfn' };

/** The frame number of the zero page. */
export const ZERO_FRAME: Pfn = 0;
/** Frames of a huge page. */
export const HUGE_PAGES = 512;

/** Belongs to an anon_vma. */
export const FRAME_ANON = 1;
/** Has to be kept when memory gets short; an anonymous page without it is lazyfree. */
export const FRAME_SWAPBACKED = 2;
/** Written since it was last clean; entries have bits of their own. */
export const FRAME_DIRTY = 4;
/** In the page cache. */
export const FRAME_CACHED = 8;
/** Of shared memory, not of a file on a disk. */
export const FRAME_SHMEM = 16;
/** Part of a huge folio. */
export const FRAME_LARGE = 32;
/** In the swap cache: its slot still holds the same content. */
export const FRAME_SWAPCACHE = 64;
/** Given out. */
const FRAME_USED = 128;
/** Used by itself, by a call or through an entry that is gone: young without an entry that is. Linux: PG_referenced */
export const FRAME_REFERENCED = 256;
/** Used like that twice: on the list of pages that are kept longer. Linux: PG_active */
export const FRAME_ACTIVE = 512;
/** The kernel holds it, to copy from or to it later; of a huge folio, all of it. */
export const FRAME_PINNED = 1024;
/** Mapped by memory that is locked, and itself not locked until that is noticed. Linux: PG_mlocked is missing */
export const FRAME_LOCK_MISSED = 2048;

/** Stays though nothing maps it. */
const IN_A_CACHE = FRAME_CACHED | FRAME_SWAPCACHE;
const HELD = IN_A_CACHE | FRAME_PINNED;

/** A huge folio, kept for its first frame. */
interface LargeFolio {
  /** Huge pmds that map all of it. */
  entire: number;
  /** Ptes that map single pages of it. */
  nrPtes: number;
  /** Some of its pages are mapped and others not: it waits to be broken up when memory gets short. */
  deferred: boolean;
  /** Calls that took pages of it away and give them back when they are over. */
  gathered: number;
  /** Who maps it, as far as Linux keeps it. */
  readonly sharing: FolioSharing;
}

const FIRST_SIZE = 1024;
/** Where a page belongs on the LRU lists depends on these. */
const LRU_FLAGS = FRAME_ACTIVE | FRAME_SWAPBACKED | FRAME_SHMEM;

/** Somebody who keeps lists of frames (lru.ts). */
export interface FrameWatcher {
  /** A frame was taken, or 512 of a huge folio. */
  added(pfn: Pfn, pages: number): void;
  /** A frame is about to be given back: it still has its flags. */
  gone(pfn: Pfn): void;
  /** The flags of a frame say another list now. */
  changed(pfn: Pfn): void;
  /** The huge folio at `head` is about to become single frames. */
  split(head: Pfn): void;
}

/** All frames of one kernel. */
export class Frames {
  #mapcount = new Int32Array(FIRST_SIZE);
  #flags = new Uint16Array(FIRST_SIZE);
  /** Id of the anon_vma, or of the file object; of a free frame, the next free one. */
  #owner = new Int32Array(FIRST_SIZE);
  #index = new Float64Array(FIRST_SIZE);
  /** The free frame that is given out next; 0: none. */
  #firstFree: Pfn = 0;
  readonly #freeLarge: Pfn[] = [];
  readonly #large = new Map<Pfn, LargeFolio>();
  #next = 1;
  #nrUsed = 0;
  /** How often each folio is pinned, by its first frame. */
  readonly #pins = new Map<Pfn, number>();
  readonly contents: FrameContents;
  /** Who keeps lists of frames; null: memory never gets short, and nobody does. */
  watcher: FrameWatcher | null = null;

  /** @param contents  how much of each page is kept; by default its first word */
  constructor(contents: FrameContents = new FingerprintContents()) {
    this.contents = contents;
  }

  // ---- taking and giving back ----------------------------------------------------------------------------------------------------

  /** Takes a zeroed frame that nothing maps yet. @param flags  FRAME_ bits; @param owner  id of the anon_vma or object; @param index  page offset */
  allocate(flags: number, owner: number, index: Pgoff): Pfn {
    const pfn = this.#takeFree();
    this.#reset(pfn, flags, owner, index);
    this.#nrUsed++;
    if (this.watcher !== null) this.watcher.added(pfn, 1);
    return pfn;
  }
  /** Takes `n` zeroed frames that never were given out, in a row, each of which one pte maps. Returns the first. @param index  of the first; others as for `allocate` */
  allocateMapped(n: number, flags: number, owner: number, index: Pgoff): Pfn {
    const first = this.#next;
    const end = first + n;
    this.#next = end;
    if (end > this.#flags.length) this.#grow(end);
    this.#mapcount.fill(1, first, end);
    this.#flags.fill(flags | FRAME_USED, first, end);
    this.#owner.fill(owner, first, end);
    for (let pfn = first; pfn < end; pfn++) this.#index[pfn] = index + pfn - first;
    this.#nrUsed += n;
    if (this.watcher !== null) for (let pfn = first; pfn < end; pfn++) this.watcher.added(pfn, 1);
    return first;
  }
  /** Tells whether frames were given back that can be taken again one by one. */
  get hasFree(): boolean {
    return this.#firstFree !== 0;
  }
  /** The frame that was given back last, else one that never was given out. */
  #takeFree(): Pfn {
    const free = this.#firstFree;
    if (free !== 0) {
      this.#firstFree = this.#owner[free] as number;
      return free;
    }
    const pfn = this.#next++;
    if (pfn >= this.#flags.length) this.#grow(pfn + 1);
    return pfn;
  }
  #putFree(pfn: Pfn): void {
    this.#owner[pfn] = this.#firstFree;
    this.#firstFree = pfn;
  }
  /** Takes 512 zeroed frames, aligned, as one folio. Returns the first. */
  allocateLarge(flags: number, owner: number, index: Pgoff): Pfn {
    const head = this.#freeLarge.pop() ?? this.#nextLarge();
    for (let i = 0; i < HUGE_PAGES; i++) this.#reset(head + i, flags | FRAME_LARGE, owner, index + i);
    this.#large.set(head, {
      entire: 0,
      nrPtes: 0,
      deferred: false,
      gathered: 0,
      sharing: new FolioSharing(),
    });
    this.#nrUsed += HUGE_PAGES;
    if (this.watcher !== null) this.watcher.added(head, HUGE_PAGES);
    return head;
  }
  #nextLarge(): Pfn {
    const head = Math.ceil(this.#next / HUGE_PAGES) * HUGE_PAGES;
    const first = this.#next;
    this.#next = head + HUGE_PAGES;
    if (this.#next > this.#flags.length) this.#grow(this.#next);
    for (let pfn = head - 1; pfn >= first; pfn--) this.#putFree(pfn);
    return head;
  }
  #reset(pfn: Pfn, flags: number, owner: number, index: Pgoff): void {
    this.#mapcount[pfn] = 0;
    this.#flags[pfn] = flags | FRAME_USED;
    this.#owner[pfn] = owner;
    this.#index[pfn] = index;
    this.contents.zero(pfn);
  }
  /** Gives back a frame that nothing maps; of a huge folio, all of it. */
  #release(pfn: Pfn): void {
    if (this.#flags[pfn]! & FRAME_LARGE) {
      const head = headOf(pfn);
      this.#large.delete(head);
      for (let i = 0; i < HUGE_PAGES; i++) this.#retire(head + i);
      this.#freeLarge.push(head);
      return;
    }
    this.#retire(pfn);
    this.#putFree(pfn);
  }
  #retire(pfn: Pfn): void {
    if (this.watcher !== null) this.watcher.gone(pfn);
    this.#flags[pfn] = 0;
    this.contents.release(pfn);
    this.#nrUsed--;
  }
  #grow(needed: number): void {
    const size = Math.max(needed, Math.ceil(this.#flags.length * growthOf(this.#flags.length)));
    this.#mapcount = grown(this.#mapcount, new Int32Array(size));
    this.#flags = grown(this.#flags, new Uint16Array(size));
    this.#owner = grown(this.#owner, new Int32Array(size));
    this.#index = grown(this.#index, new Float64Array(size));
    this.contents.grow(size);
  }

  // ---- mappings ------------------------------------------------------------------------------------------------------------------

  /** Counts one more pte of `mm` that maps `pfn`. Returns the FRAME_ bits of `pfn`. */
  addPte(pfn: Pfn, mm: MmId): number {
    this.#mapcount[pfn]!++;
    const flags = this.#flags[pfn] as number;
    if (flags & FRAME_LARGE) {
      const folio = this.#folio(pfn);
      folio.nrPtes++;
      folio.sharing.add(mm, 1);
    }
    return flags;
  }
  /** Counts one pte of `mm` less; what nothing holds any more is given back. Returns how many frames that were: 0, 1, or 512 of a huge folio. */
  dropPte(pfn: Pfn, mm: MmId): number {
    const mapcount = this.#mapcount[pfn]! - 1;
    this.#mapcount[pfn] = mapcount;
    const flags = this.#flags[pfn] as number;
    if (flags & FRAME_LARGE) return this.#dropLargePte(pfn, mm);
    if (mapcount > 0 || flags & HELD) return 0;
    this.#retire(pfn);
    this.#putFree(pfn);
    return 1;
  }
  /** Gives `pfn` back, which an entry maps, if it is a small anonymous page that nothing else holds. Returns whether it is. */
  freeOwn(pfn: Pfn): boolean {
    if ((this.#flags[pfn]! & (FRAME_ANON | FRAME_LARGE | HELD)) !== FRAME_ANON || this.#mapcount[pfn] !== 1)
      return false;
    this.#mapcount[pfn] = 0;
    this.#retire(pfn);
    this.#putFree(pfn);
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
    for (let i = 0; i < HUGE_PAGES; i++) this.#mapcount[head + i]!++;
  }
  #releaseIfUnused(pfn: Pfn): boolean {
    const flags = this.#flags[pfn] as number;
    if (flags & HELD || this.isMappedFolio(pfn)) return false;
    this.#release(pfn);
    return true;
  }
  /** Breaks the huge folio of `pfn`, which no pmd maps at once, into single frames; those that nothing holds are given back. */
  splitFolio(pfn: Pfn): void {
    const head = headOf(pfn);
    if (this.watcher !== null) this.watcher.split(head);
    this.#large.delete(head);
    const used = this.#flags[head]! & (FRAME_REFERENCED | FRAME_ACTIVE);
    for (let i = 0; i < HUGE_PAGES; i++)
      this.#flags[head + i] =
        (this.#flags[head + i]! & ~(FRAME_LARGE | FRAME_REFERENCED | FRAME_ACTIVE)) | used;
    for (let i = 0; i < HUGE_PAGES; i++) this.#releaseIfUnused(head + i);
  }
  #folio(pfn: Pfn): LargeFolio {
    return this.#large.get(headOf(pfn)) as LargeFolio;
  }

  /**
   * Puts the anonymous huge folio of `pfn` on the queue of those to be broken up, if only a part of it is still mapped and it is not there yet.
   * Returns whether it was put there. Linux: deferred_split_folio()
   */
  deferIfPartlyMapped(pfn: Pfn): boolean {
    if ((this.#flags[pfn]! & (FRAME_LARGE | FRAME_ANON)) !== (FRAME_LARGE | FRAME_ANON)) return false;
    const folio = this.#folio(pfn);
    if (folio.deferred || folio.entire > 0 || folio.nrPtes === 0) return false;
    const head = headOf(pfn);
    for (let i = 0; i < HUGE_PAGES; i++) if (this.#mapcount[head + i] === 0) folio.deferred = true;
    return folio.deferred;
  }
  /** Huge folios that wait to be broken up. */
  get nrDeferred(): number {
    return this.deferredFolios().length;
  }
  /** Returns the first pages of the huge folios that wait to be broken up, in the order in which the folios came. */
  deferredFolios(): Pfn[] {
    const heads: Pfn[] = [];
    for (const [head, { deferred }] of this.#large) if (deferred) heads.push(head);
    return heads;
  }

  /** Returns how many ptes and huge pmds map `pfn`. Linux: folio_precise_page_mapcount(). */
  mapcount(pfn: Pfn): number {
    const ptes = this.#mapcount[pfn] as number;
    return this.#flags[pfn]! & FRAME_LARGE ? ptes + this.#folio(pfn).entire : ptes;
  }
  /** Returns how many entries map any page of the folio of `pfn`, a huge pmd counting once. Linux: folio_mapcount(). */
  folioMapcount(pfn: Pfn): number {
    if ((this.#flags[pfn]! & FRAME_LARGE) === 0) return this.#mapcount[pfn] as number;
    const { entire, nrPtes } = this.#folio(pfn);
    return entire + nrPtes;
  }
  /** Returns how many huge pmds map the folio of `pfn`. */
  entireMapcount(pfn: Pfn): number {
    return this.#flags[pfn]! & FRAME_LARGE ? this.#folio(pfn).entire : 0;
  }
  /** Tells whether anything maps a page of the folio of `pfn`. */
  isMappedFolio(pfn: Pfn): boolean {
    return this.folioMapcount(pfn) > 0;
  }
  /** Tells whether more than one address space may map the folio of `pfn`. Linux: folio_maybe_mapped_shared() */
  isMaybeShared(pfn: Pfn): boolean {
    if ((this.#flags[pfn]! & FRAME_LARGE) === 0) return this.#mapcount[pfn]! > 1;
    return this.#folio(pfn).sharing.maybeShared;
  }
  /** References of the folio of `pfn`: mappings, page cache, swap cache, pins. Linux: folio_ref_count(), where a pin is many. */
  refcount(pfn: Pfn): number {
    const caches = this.#flags[pfn]! & IN_A_CACHE ? 1 : 0;
    return this.folioMapcount(pfn) + caches + (this.isPinned(pfn) ? 1 : 0);
  }

  /** The kernel takes hold of `pfn`, which is not the zero page, until it lets go: it stays though nothing maps it. Linux: pin_user_pages() */
  pin(pfn: Pfn): void {
    const first = this.#flags[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    this.#pins.set(first, (this.#pins.get(first) ?? 0) + 1);
    for (let i = 0; i < this.#size(first); i++) this.#flags[first + i]! |= FRAME_PINNED;
  }
  /** Lets go of `pfn`; one that nothing holds any more is given back. Linux: unpin_user_page() */
  unpin(pfn: Pfn): void {
    const first = this.#flags[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    const left = (this.#pins.get(first) ?? 0) - 1;
    if (left > 0) {
      this.#pins.set(first, left);
      return;
    }
    this.#pins.delete(first);
    for (let i = 0; i < this.#size(first); i++) this.#flags[first + i]! &= ~FRAME_PINNED;
    this.#releaseIfUnused(first);
  }
  #size(first: Pfn): number {
    return this.#flags[first]! & FRAME_LARGE ? HUGE_PAGES : 1;
  }
  /** Tells whether the folio of `pfn` is pinned. Linux: folio_maybe_dma_pinned() */
  isPinned(pfn: Pfn): boolean {
    return (this.#flags[pfn]! & FRAME_PINNED) !== 0;
  }
  /** A call that has to wait took pages of the huge folio at `head` away: it holds it until it is over (`by` 1, then -1). Linux: struct mmu_gather */
  gather(head: Pfn, by: 1 | -1): void {
    const folio = this.#large.get(head);
    if (folio !== undefined) folio.gathered = Math.max(0, folio.gathered + by);
  }
  /** Tells whether the kernel has the folio of `pfn` in use: it cannot be broken up. */
  isInUse(pfn: Pfn): boolean {
    return this.isPinned(pfn) || (this.#large.get(headOf(pfn))?.gathered ?? 0) > 0;
  }
  /** Tells whether any folio is pinned. */
  get hasPins(): boolean {
    return this.#pins.size > 0;
  }

  // ---- what it is ----------------------------------------------------------------------------------------------------------------

  /** Returns the FRAME_ bits of `pfn`. */
  flags(pfn: Pfn): number {
    return this.#flags[pfn] as number;
  }
  /** Tells whether `pfn` is anonymous. */
  isAnon(pfn: Pfn): boolean {
    return (this.#flags[pfn]! & FRAME_ANON) !== 0;
  }
  /** Tells whether `pfn` is part of a huge folio. */
  isLarge(pfn: Pfn): boolean {
    return (this.#flags[pfn]! & FRAME_LARGE) !== 0;
  }
  /** Returns which counter of an address space a mapping of `pfn` belongs to. */
  counterOf(pfn: Pfn): 'rssAnon' | 'rssFile' | 'rssShmem' {
    const flags = this.#flags[pfn] as number;
    if (flags & FRAME_ANON) return 'rssAnon';
    return flags & FRAME_SHMEM ? 'rssShmem' : 'rssFile';
  }
  /** Sets and clears FRAME_ bits of one frame. */
  setFlags(pfn: Pfn, set: number, clear = 0): void {
    this.#flags[pfn] = (this.#flags[pfn]! & ~clear) | set;
    if (this.watcher !== null && (set | clear) & LRU_FLAGS) this.watcher.changed(pfn);
  }
  /** The folio of `pfn` was used by itself, not through an entry. Linux: folio_mark_accessed(). */
  markAccessed(pfn: Pfn): void {
    const first = this.#flags[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    const flags = this.#flags[first] as number;
    if ((flags & FRAME_REFERENCED) === 0) this.#flags[first] = flags | FRAME_REFERENCED;
    else if ((flags & FRAME_ACTIVE) === 0) this.setFlags(first, FRAME_ACTIVE, FRAME_REFERENCED);
  }
  /** Forgets that the folio of `pfn` was used. Linux: folio_clear_referenced(), folio_deactivate(). */
  clearAccessed(pfn: Pfn): void {
    const first = this.#flags[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    this.setFlags(first, 0, FRAME_REFERENCED | FRAME_ACTIVE);
  }
  /** Forgets that the folio of `pfn` was used since it was last asked. Linux: folio_clear_referenced() */
  clearReferenced(pfn: Pfn): void {
    const first = this.#flags[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    this.#flags[first]! &= ~FRAME_REFERENCED;
  }
  /** Tells whether the folio of `pfn` was used by itself. */
  isReferenced(pfn: Pfn): boolean {
    const first = this.#flags[pfn]! & FRAME_LARGE ? headOf(pfn) : pfn;
    return (this.#flags[first]! & FRAME_REFERENCED) !== 0;
  }
  /** Returns the id of the anon_vma or of the object that `pfn` belongs to. */
  owner(pfn: Pfn): number {
    return this.#owner[pfn] as number;
  }
  /** Returns the page offset of `pfn` in what it belongs to. */
  index(pfn: Pfn): Pgoff {
    return this.#index[pfn] as number;
  }
  /** Gives `pfn` to another anon_vma or object, at another page offset. */
  setOwner(pfn: Pfn, owner: number, index: Pgoff): void {
    this.#owner[pfn] = owner;
    this.#index[pfn] = index;
  }
  /** Takes an unmapped page of the page cache out of it. A page that is still mapped stays until its last mapping goes. */
  uncache(pfn: Pfn): void {
    this.#flags[pfn]! &= ~FRAME_CACHED;
    this.#releaseIfUnused(pfn);
  }
  /** Takes a page out of the swap cache; one that nothing maps, and that is in no page cache, is given back. */
  leaveSwapCache(pfn: Pfn): void {
    this.#flags[pfn]! &= ~FRAME_SWAPCACHE;
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
  /** Every frame number given out so far is below this. */
  get limit(): Pfn {
    return this.#next;
  }
  /** Number of frames in use, without the zero page. */
  get nrUsed(): number {
    return this.#nrUsed;
  }
  /** Tells whether `pfn` is in use. */
  isUsed(pfn: Pfn): boolean {
    return this.#flags[pfn] !== 0;
  }
}

/** By how much arrays of `size` frames grow. The large ones double: what nobody has written yet takes no memory of the host, and copying does take time. */
const growthOf = (size: number): number => (size >= 1 << 16 && size < 1 << 24 ? 1.25 : 2);

/** Returns the first frame of the huge folio that `pfn` is part of. */
export const headOf = (pfn: Pfn): Pfn => pfn - (pfn % HUGE_PAGES);

/** Copies an array into a larger one. */
function grown<A extends Int32Array | Uint16Array | Float64Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
