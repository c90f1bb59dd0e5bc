/**
 * The page cache: which frame holds which page of a file or of shared memory; and where such pages are that have none.
 *
 *   in swap      of shared memory (sharedSwap.ts)
 *   on disk      what the disk of a file holds that was in memory, once its pages went
 *   set aside    by fallocate, and nobody has asked for them yet
 *
 * Cost        two map look-ups a page
 * Linux       mm/filemap.c, mm/shmem.c: the xarray of an address_space, with swap entries in it. What calls do with it: pageCache.ts
 */
import { CutFolios } from './cutFolios.ts';
import { FRAME_CACHED, FRAME_DIRTY, FRAME_SHMEM, FRAME_SWAPBACKED, HUGE_PAGES, type Pfn } from './frames.ts';
import type { Kernel } from './kernel.ts';
import type { Slot } from './swap.ts';
import { type FileObject, isSharedMemory } from './vma.ts';
import { FACT } from './work.ts';

/** What a page of shared memory is that comes back from swap. */
const SWAPPED_SHMEM = FRAME_CACHED | FRAME_SHMEM | FRAME_SWAPBACKED | FRAME_DIRTY;

/** The cached pages of one kernel. */
export class CachedPages {
  /** Which pages of shared memory belong together since a huge folio was cut. */
  readonly cut = new CutFolios();
  readonly #kernel: Kernel;
  /** Pages of shared memory and files by object and page offset: frame numbers. */
  readonly #pageCache = new Map<number, Map<number, number>>();
  /** Pages of shared memory that fallocate set aside and nobody has asked for yet, by object: no frame, and dirty when they get one. */
  readonly #reserved = new Map<number, Set<number>>();
  /** First words of pages on the disks of files that were in memory, by object, where they were written back. */
  readonly #onDisk = new Map<number, Map<number, number>>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * Returns the frame that holds page `pgoff` of `object`, made (zeroed) when it is not in the page cache yet.
   * @param isAlone  no other page comes back from swap with it
   */
  page(object: FileObject, pgoff: number, isAlone = false): number {
    let pages = this.#pageCache.get(object.id);
    if (pages === undefined) {
      pages = new Map();
      this.#pageCache.set(object.id, pages);
    }
    let frame = pages.get(pgoff) ?? this.#swapIn(object, pgoff, isAlone);
    if (frame === undefined) {
      const shmem = isSharedMemory(object) ? FRAME_SHMEM | FRAME_SWAPBACKED : 0;
      frame = this.#kernel.frames.allocate(FRAME_CACHED | shmem, object.id, pgoff);
      if (object !== this.#kernel.image) this.#kernel.work.count(FACT.pagesAllocated);
      if (this.#reserved.get(object.id)?.delete(pgoff)) this.#kernel.frames.setFlags(frame, FRAME_DIRTY);
      const stamp = this.#onDisk.get(object.id)?.get(pgoff);
      if (stamp !== undefined) this.#kernel.frames.setStamp(frame, stamp);
    }
    pages.set(pgoff, frame);
    return frame;
  }
  /** Reads page `pgoff` of `object` back from swap, where it is there; the slot is free afterwards. Linux: shmem_swapin_folio() */
  #swapIn(object: FileObject, pgoff: number, isAlone: boolean): Pfn | undefined {
    const slot = this.#kernel.sharedSwap.slotOf(object, pgoff);
    if (slot === null) return undefined;
    const first = this.#kernel.sharedSwap.wholeOf(object, pgoff);
    if (first !== null && !isAlone && this.#swapInWhole(object, first)) return this.find(object, pgoff) ?? 0;
    const { frames, swap, work } = this.#kernel;
    const cached = swap.cached(slot);
    const pfn = cached === 0 ? frames.allocate(SWAPPED_SHMEM, object.id, pgoff) : cached;
    frames.setFlags(pfn, SWAPPED_SHMEM);
    frames.setOwner(pfn, object.id, pgoff);
    if (cached === 0) {
      frames.contents.restore(pfn, swap.content(slot));
      work.count(FACT.pagesAllocated);
      work.count(FACT.pagesSwappedIn);
    }
    this.#kernel.sharedSwap.take(object, pgoff);
    swap.drop(frames, slot);
    return pfn;
  }
  /** Reads 2 MiB back that were written out as one. Returns false if a page of them is in the swap cache. Linux: shmem_swap_alloc_folio() */
  #swapInWhole(object: FileObject, first: number): boolean {
    const { frames, swap, work, sharedSwap } = this.#kernel;
    const slots = Array.from({ length: HUGE_PAGES }, (_, i) => sharedSwap.slotOf(object, first + i) as Slot);
    if (slots.some((slot) => swap.cached(slot) !== 0)) return false;
    const head = frames.allocateLarge(SWAPPED_SHMEM, object.id, first);
    sharedSwap.takeRange(object, first, first + HUGE_PAGES);
    slots.forEach((slot, i) => {
      frames.contents.restore(head + i, swap.content(slot));
      swap.drop(frames, slot);
      this.add(object, first + i, head + i);
    });
    work.count(FACT.pagesAllocated, HUGE_PAGES);
    work.count(FACT.hugePagesAllocated);
    work.count(FACT.pagesSwappedIn, HUGE_PAGES);
    return true;
  }
  /** Writes page `pgoff` of `object`, shared memory that nothing maps, out to swap. Returns whether there was room. */
  swapOut(object: FileObject, pgoff: number): boolean {
    const pfn = this.find(object, pgoff);
    const slot = pfn === null ? null : this.#kernel.swap.allocate(this.#kernel.frames.contents.save(pfn));
    if (slot === null) return false;
    this.drop(object, pgoff, pgoff + 1);
    this.#kernel.sharedSwap.put(object, pgoff, slot);
    this.#kernel.work.count(FACT.pagesSwappedOut);
    if (this.#kernel.swap.isZeroFilled(slot)) this.#kernel.work.count(FACT.zerosSwappedOut);
    return true;
  }
  /** write(2) of a page of `object`, whose frame is returned: it is dirty afterwards, and of shared memory it counts as used. */
  pageToWrite(object: FileObject, pgoff: number): Pfn {
    const frame = this.page(object, pgoff);
    this.#kernel.frames.setFlags(frame, FRAME_DIRTY);
    if (isSharedMemory(object)) this.#kernel.frames.markAccessed(frame);
    return frame;
  }
  /** Tells whether page `pgoff` of `object` is in the page cache. */
  has(object: FileObject, pgoff: number): boolean {
    return this.#pageCache.get(object.id)?.has(pgoff) === true;
  }
  /** Iterates over the frames of the page cache. For verify.ts. */
  *allFrames(): Generator<number> {
    for (const pages of this.#pageCache.values()) yield* pages.values();
  }
  /** Returns the frame that holds page `pgoff` of `object`, or null when it is not in the page cache. */
  find(object: FileObject, pgoff: number): Pfn | null {
    return this.#pageCache.get(object.id)?.get(pgoff) ?? null;
  }
  /** Puts `pfn` into the page cache as page `pgoff` of `object`, where there is none. */
  add(object: FileObject, pgoff: number, pfn: Pfn): void {
    const pages = this.#pageCache.get(object.id) ?? new Map<number, Pfn>();
    this.#pageCache.set(object.id, pages);
    pages.set(pgoff, pfn);
  }
  /**
   * Sets page `pgoff` of `object`, which is shared memory, aside: it is dirty from now on, and stays out of sight until it is asked for, be it
   * by setting it aside once more.
   */
  reserve(object: FileObject, pgoff: number): void {
    if (this.#reserved.get(object.id)?.has(pgoff)) {
      this.page(object, pgoff);
      return;
    }
    const frame = this.pageToChange(object, pgoff);
    if (frame !== null) {
      this.#kernel.frames.setFlags(frame, FRAME_DIRTY);
      return;
    }
    const pages = this.#reserved.get(object.id) ?? new Set<number>();
    this.#reserved.set(object.id, pages);
    pages.add(pgoff);
  }
  /** What was set aside becomes pages: they are about to go to swap like others. */
  materialiseReserved(): void {
    for (const [id, pages] of this.#reserved) {
      const object = this.#kernel.objects.get(id);
      if (object !== undefined) for (const pgoff of [...pages]) this.page(object, pgoff);
    }
    this.#reserved.clear();
  }
  /** Returns the frame that holds page `pgoff` of `object`, read back if it is in swap; null: it is a hole. */
  pageToChange(object: FileObject, pgoff: number): Pfn | null {
    return this.#kernel.sharedSwap.slotOf(object, pgoff) === null
      ? this.find(object, pgoff)
      : this.page(object, pgoff);
  }
  /** Notes that the disk holds `stamp` in page `pgoff` of `object`, a file that was in memory. */
  keepOnDisk(object: FileObject, pgoff: number, stamp: number): void {
    const pages = this.#onDisk.get(object.id) ?? new Map<number, number>();
    this.#onDisk.set(object.id, pages);
    pages.set(pgoff, stamp);
  }
  /** Takes page `pgoff` of `object` out of the page cache, clean: its disk has it. Nothing maps it. */
  evict(object: FileObject, pgoff: number): void {
    const stamp = this.#onDisk.get(object.id)?.get(pgoff);
    this.drop(object, pgoff, pgoff + 1);
    if (stamp !== undefined) this.keepOnDisk(object, pgoff, stamp);
  }
  #dropOnDisk(object: FileObject, from: number, to: number): void {
    const pages = this.#onDisk.get(object.id);
    if (pages !== undefined)
      for (const pgoff of pages.keys()) if (pgoff >= from && pgoff < to) pages.delete(pgoff);
  }
  #dropReserved(object: FileObject, from: number, to: number): void {
    const pages = this.#reserved.get(object.id);
    if (pages !== undefined) for (const pgoff of pages) if (pgoff >= from && pgoff < to) pages.delete(pgoff);
  }
  /** Takes pages `from` to below `to` of `object` out of the page cache, and out of swap. Nothing maps them any more. */
  drop(object: FileObject, from: number, to: number): void {
    this.#dropReserved(object, from, to);
    this.#dropOnDisk(object, from, to);
    this.cut.forget(object, from, to);
    for (const slot of this.#kernel.sharedSwap.takeRange(object, from, to))
      this.#kernel.swap.drop(this.#kernel.frames, slot);
    const pages = this.#pageCache.get(object.id);
    if (pages === undefined) return;
    const before = this.#kernel.frames.nrUsed;
    const drop = (pgoff: number, frame: Pfn): void => {
      pages.delete(pgoff);
      if (this.#kernel.frames.isLarge(frame)) this.#kernel.frames.splitFolio(frame);
      this.#kernel.frames.uncache(frame);
    };
    if (to - from < pages.size)
      for (let pgoff = from; pgoff < to; pgoff++) {
        const frame = pages.get(pgoff);
        if (frame !== undefined) drop(pgoff, frame);
      }
    else for (const [pgoff, frame] of pages) if (pgoff >= from && pgoff < to) drop(pgoff, frame);
    this.#kernel.work.count(FACT.pagesFreed, before - this.#kernel.frames.nrUsed);
  }
}
