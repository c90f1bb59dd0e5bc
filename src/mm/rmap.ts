/**
 * Reverse mapping: entries and frames in step, and the way from a frame to the entries that map it.
 *
 * Who sets or clears an entry that holds something does it through this file, so that map counts, swap counts and the resident
 * counters of the address space follow. The way back goes over the anon_vma (or the file object) that the frame belongs to: every vma
 * attached to it that covers the frame's page offset may map it, nobody else.
 *
 * Invariants
 *   [rss]            `rssAnon`, `rssFile`, `rssShmem`, `nrSwap` of an Mm are what its entries hold
 *   [rmap-reach]     a walk from a frame meets exactly the entries that map it
 * Cost    O(1) an entry; a walk is linear in the vmas attached to the anon_vma or mapping the object
 * Linux   mm/rmap.c: folio_add_new_anon_rmap, folio_remove_rmap_pte, rmap_walk; mm/memory.c: add_mm_rss_vec
 * Left out   interval trees over attached vmas, locks
 */
import { type Addr, floorTo, nrPagesIn, PAGE_SIZE, type Pgoff, PMD_SIZE } from '../base/units.ts';
import {
  FRAME_ANON,
  FRAME_DIRTY,
  FRAME_LARGE,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  FRAME_SWAPCACHE,
  type Frames,
  HUGE_PAGES,
  type Pfn,
} from './frames.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { DIRTY, HUGE, holdsFrame, KIND_MASK, PRESENT, SWAP } from './pte.ts';
import type { Vma } from './vma.ts';
import { VM_DROPPABLE } from './vmFlags.ts';
import { FACT } from './work.ts';

/** Returns the page offset that a page at `addr` of `vma` has. Linux: linear_page_index(). */
export const linearIndex = (vma: Vma, addr: Addr): Pgoff => vma.pgoff + nrPagesIn(addr - vma.start);

/** Flags of a new anonymous page in `vma`. Droppable memory is lazyfree from the start. */
export const anonFlags = (vma: Vma): number =>
  vma.flags & VM_DROPPABLE ? FRAME_ANON : FRAME_ANON | FRAME_SWAPBACKED;

/** Counts `pages` more (or, negative, fewer) resident pages of the sort of `pfn`. */
export function countResident(mm: Mm, pfn: Pfn, pages: number): void {
  const flags = mm.kernel.frames.flags(pfn);
  if (flags & FRAME_ANON) mm.rssAnon += pages;
  else if (flags & FRAME_SHMEM) mm.rssShmem += pages;
  else mm.rssFile += pages;
}

/** Takes a zeroed page for `addr` of `vma`, which has an anon_vma, and maps it with the bits `low`. Nothing is mapped there. Returns the frame. */
export function mapNewAnon(mm: Mm, vma: Vma, addr: Addr, low: number): Pfn {
  const { frames, work } = mm.kernel;
  const pfn = frames.allocate(anonFlags(vma), vma.anonVma?.id ?? 0, linearIndex(vma, addr));
  frames.addPte(pfn, mm.id);
  mm.rssAnon++;
  mm.pages.set(addr, PRESENT | low, pfn);
  work.count(FACT.pagesAllocated);
  work.count(FACT.ptesSet);
  return pfn;
}

/** Does what `mapNewAnon` does, for each page of a range. @param as  bits of the entries, and FRAME_ bits beside those of new pages */
export function mapNewAnons(
  mm: Mm,
  vma: Vma,
  range: { start: Addr; end: Addr },
  as: { readonly low: number; readonly flags: number },
): void {
  const { frames, work } = mm.kernel;
  const { start, end } = range;
  const flags = anonFlags(vma) | as.flags;
  const owner = vma.anonVma?.id ?? 0;
  const low = PRESENT | as.low;
  for (let at = start; at < end; ) {
    const to = Math.min(end, floorTo(at, PMD_SIZE) + PMD_SIZE);
    let index = linearIndex(vma, at);
    if (frames.hasFree)
      mm.pages.fill(at, to, low, () => {
        const pfn = frames.allocate(flags, owner, index++);
        frames.addPte(pfn, mm.id);
        return pfn;
      });
    else {
      let pfn = frames.allocateMapped(nrPagesIn(to - at), flags, owner, index);
      mm.pages.fill(at, to, low, () => pfn++);
    }
    at = to;
  }
  const pages = nrPagesIn(end - start);
  mm.rssAnon += pages;
  work.count(FACT.pagesAllocated, pages);
  work.count(FACT.ptesSet, pages);
}

/** Maps `pfn`, a page that exists already, at `addr` with the bits `low`. Nothing is mapped there. */
export function mapFrame(mm: Mm, addr: Addr, low: number, pfn: Pfn): void {
  mm.kernel.frames.addPte(pfn, mm.id);
  countResident(mm, pfn, 1);
  mm.pages.set(addr, PRESENT | low, pfn);
  mm.kernel.work.count(FACT.ptesSet);
}

/**
 * Lets go of what entries of one address space hold that are about to be emptied or replaced, and counts that once. The entries themselves are the
 * caller's. Linux: zap_present_pte(), zap_nonpresent_ptes().
 */
export class Release {
  readonly #mm: Mm;
  readonly #frames: Frames;
  #anon = 0;
  #shmem = 0;
  #file = 0;
  #freed = 0;
  #stillUsed = 0;
  #parts = 0;
  #slots = 0;

  constructor(mm: Mm) {
    this.#mm = mm;
    this.#frames = mm.kernel.frames;
  }

  /** Lets go of what one entry holds. */
  entry(low: number, high: number): void {
    if (holdsFrame(low)) this.#page(low, high);
    else if ((low & KIND_MASK) === SWAP) {
      this.#slots++;
      this.#mm.kernel.swap.drop(this.#frames, high);
    }
  }
  /** Lets go of a page that an entry maps if it is anonymous and nobody else has it. Returns whether it was. */
  own(pfn: Pfn): boolean {
    if (!this.#frames.freeOwn(pfn)) return false;
    this.#anon++;
    this.#freed++;
    return true;
  }
  #page(low: number, pfn: Pfn): void {
    const frames = this.#frames;
    const flags = frames.flags(pfn);
    const isAnon = (flags & FRAME_ANON) !== 0;
    if (isAnon) this.#anon++;
    else {
      if (low & DIRTY) frames.setFlags(pfn, FRAME_DIRTY);
      if (flags & FRAME_SHMEM) this.#shmem++;
      else this.#file++;
    }
    let freed = frames.dropPte(pfn, this.#mm.id);
    if (flags & FRAME_SWAPCACHE && frames.mapcount(pfn) === 0)
      freed = this.#mm.kernel.swap.unmapped(frames, pfn) ? 1 : 0;
    this.#freed += freed;
    if (freed !== 0 || !isAnon) return;
    this.#stillUsed++;
    if (flags & FRAME_LARGE) this.#parts++;
  }

  /** Counts what was let go of. */
  done(): void {
    const mm = this.#mm;
    const { work } = mm.kernel;
    mm.rssAnon -= this.#anon;
    mm.rssShmem -= this.#shmem;
    mm.rssFile -= this.#file;
    mm.nrSwap -= this.#slots;
    work.count(FACT.anonPtesZapped, this.#anon);
    work.count(FACT.filePtesZapped, this.#shmem + this.#file);
    work.count(FACT.sharedPtesZapped, this.#stillUsed);
    work.count(FACT.hugePartsZapped, this.#parts);
    work.count(FACT.swapPtesZapped, this.#slots);
    work.count(FACT.pagesFreed, this.#freed);
  }
}

/** Lets go of what one entry holds that is about to be emptied or replaced. The entry itself is the caller's. */
export function releaseEntry(mm: Mm, low: number, high: number): void {
  const release = new Release(mm);
  release.entry(low, high);
  release.done();
}

/** Lets go of the huge folio that a pmd maps. */
export function releaseHuge(mm: Mm, low: number, head: Pfn): void {
  const { frames, work } = mm.kernel;
  if ((low & KIND_MASK) !== PRESENT) return;
  if (low & DIRTY && !frames.isAnon(head)) frames.setFlags(head, FRAME_DIRTY);
  countResident(mm, head, -HUGE_PAGES);
  const before = frames.nrUsed;
  frames.dropEntire(head, mm.id);
  if (before === frames.nrUsed) {
    deferSplit(mm, head);
    return;
  }
  work.count(FACT.pagesFreed, HUGE_PAGES);
  work.count(FACT.hugePagesFreed);
}

/** A mapping of `pfn` is gone: if that leaves a huge folio partly mapped, it waits to be broken up from now on. */
export function deferSplit(mm: Mm, pfn: Pfn): void {
  const { frames, work } = mm.kernel;
  if (frames.isUsed(pfn) && frames.deferIfPartlyMapped(pfn)) work.count(FACT.foliosDeferred);
}

/** Returns the vmas that may map `pfn`. Linux: the interval trees of anon_vma and i_mmap. */
function candidates(kernel: Kernel, pfn: Pfn): Iterable<Vma> {
  const { frames } = kernel;
  const owner = frames.owner(pfn);
  return frames.isAnon(pfn)
    ? (kernel.anonVmas.get(owner)?.attached ?? [])
    : (kernel.objects.get(owner)?.vmas ?? []);
}

/** Tells whether the entry of `addr` maps `pfn`, by itself or as part of 2 MiB. */
function maps(mm: Mm, addr: Addr, pfn: Pfn): boolean {
  const pmd = mm.pages.pmd(addr);
  if (pmd & HUGE)
    return (
      (pmd & KIND_MASK) === PRESENT && mm.pages.pmdHigh(addr) + ((addr / PAGE_SIZE) % HUGE_PAGES) === pfn
    );
  return holdsFrame(mm.pages.low(addr)) && mm.pages.high(addr) === pfn;
}

/**
 * Calls `each` for every place that maps `pfn`, with the address space, the vma and the address.
 * Cost   the vmas attached to its anon_vma, or mapping its object. Linux: rmap_walk()
 */
export function walkRmap(kernel: Kernel, pfn: Pfn, each: (mm: Mm, vma: Vma, addr: Addr) => void): void {
  const index = kernel.frames.index(pfn);
  for (const vma of candidates(kernel, pfn)) {
    const addr = vma.start + (index - vma.pgoff) * PAGE_SIZE;
    if (vma.mm !== null && addr >= vma.start && addr < vma.end && maps(vma.mm, addr, pfn))
      each(vma.mm, vma, addr);
  }
}
