/**
 * Accesses to pages that are in swap, and reading ahead of them.
 *
 * The content is read into a new page, or found in the swap cache if another address space, or MADV_WILLNEED, has read it already. An entry that
 * held its slot exclusively becomes exclusive and writable at once; so does one that is alone with the page, if the page is not kept
 * in the swap cache: a store takes it out of there, a load leaves it.
 *
 * Linux   mm/memory.c: do_swap_page, should_try_to_free_swap; mm/madvise.c: swapin_walk_pmd_entry, shmem_swapin_range
 * Left out   what a device takes: a page that is read ahead costs what one that is asked for costs
 */
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { FRAME_LOCK_MISSED, FRAME_SWAPBACKED, HUGE_PAGES, type Pfn } from './frames.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { isProtected } from './protectPages.ts';
import { EXCLUSIVE, KIND_MASK, PRESENT, SOFT_DIRTY, SWAP, UFFD_WP, WRITE, YOUNG } from './pte.ts';
import { anonFlags, linearIndex } from './rmap.ts';
import { isStoreAwaited, storeBits } from './storeBits.ts';
import type { Slot } from './swap.ts';
import { isAnonymousVma, isSharedMemory, type Vma } from './vma.ts';
import { VM_LOCKED, VM_WRITE } from './vmFlags.ts';
import { FACT, type FaultName, PATH } from './work.ts';

/** Takes a frame that belongs to nobody yet and reads `slot` into it. */
function readSlot(kernel: Kernel, slot: Slot): Pfn {
  const { frames, swap, work } = kernel;
  const pfn = frames.allocate(FRAME_SWAPBACKED, 0, 0);
  frames.contents.restore(pfn, swap.content(slot));
  work.count(FACT.pagesAllocated);
  work.count(FACT.pagesSwappedIn);
  return pfn;
}

/** Reads `slot` into the swap cache, unless it is there. */
export function readIntoCache(kernel: Kernel, slot: Slot): void {
  if (kernel.swap.cached(slot) === 0) kernel.swap.cache(kernel.frames, slot, readSlot(kernel, slot));
}

/** Reads those around `slot` into the swap cache, where more than one page is read at once. Linux: swap_cluster_readahead() */
function readAround(kernel: Kernel, slot: Slot): void {
  kernel.swap.around(slot, (other) => {
    readIntoCache(kernel, other);
    kernel.work.count(FACT.readAheadPages);
    kernel.work.charge(PATH[kernel.swap.isZeroFilled(other) ? 'fault-swap-in-zero' : 'fault-swap-in'], 1, 1);
  });
}

/** Returns the frame with what `slot` holds, read if need be. What only this entry refers to is read past the swap cache. */
function frameOf(mm: Mm, vma: Vma, page: Addr, slot: Slot): Pfn {
  const { kernel } = mm;
  const { frames, swap } = kernel;
  const cached = swap.cached(slot);
  const pfn = cached === 0 ? readSlot(kernel, slot) : cached;
  if (cached === 0 && (swap.count(slot) > 1 || swap.readAtOnce > 1)) swap.cache(frames, slot, pfn);
  if (cached === 0) readAround(kernel, slot);
  else if (swap.isHit(slot)) kernel.work.count(FACT.readAheadHits);
  if (frames.isAnon(pfn)) {
    if (vma.flags & VM_LOCKED) frames.setFlags(pfn, 0, FRAME_LOCK_MISSED);
    return pfn;
  }
  // What others refer to as well belongs to the root: all of them descend from it.
  const owner = swap.count(slot) === 1 ? vma.anonVma : vma.anonVma?.root;
  frames.setFlags(pfn, anonFlags(vma), FRAME_SWAPBACKED & ~anonFlags(vma));
  frames.setOwner(pfn, owner?.id ?? 0, linearIndex(vma, page));
  // A page that is mapped for the first time since it was read is not locked with the memory it comes to. Linux: folio_add_new_anon_rmap()
  if (vma.flags & VM_LOCKED) frames.setFlags(pfn, FRAME_LOCK_MISSED);
  return pfn;
}

/**
 * Brings in the page at `page`, whose entry holds a swap slot. Protection by userfaultfd stays.
 * @param write  for a store: where the entry may be written at once, it is dirty
 * @returns      how: read from swap, or found in the swap cache
 */
export function swapIn(mm: Mm, vma: Vma, page: Addr, write: boolean): FaultName {
  const { kernel, pages } = mm;
  const { frames, swap } = kernel;
  const low = pages.low(page);
  const slot = pages.high(page);
  prepareAnonVma(kernel, vma);
  const isRead = swap.cached(slot) === 0;
  const readsZeros = isRead && swap.isZeroFilled(slot);
  const pfn = frameOf(mm, vma, page, slot);
  const alone = frames.mapcount(pfn) === 0;
  frames.addPte(pfn, mm.id);
  mm.rssAnon++;
  mm.nrSwap--;
  swap.drop(frames, slot);
  if ((write && alone) || vma.flags & VM_LOCKED || swap.isShort) swap.release(frames, pfn);
  const own = (low & EXCLUSIVE) !== 0 || (alone && swap.slotOf(pfn) === null);
  const mayStore = (vma.flags & VM_WRITE) !== 0 && !isProtected(vma, low) && !isStoreAwaited(vma, low);
  const writable = own && mayStore;
  const bits = (own ? EXCLUSIVE : 0) | (writable ? WRITE : 0) | (writable && write ? storeBits(mm, vma) : 0);
  pages.set(page, PRESENT | YOUNG | bits | (low & (UFFD_WP | SOFT_DIRTY)), pfn);
  kernel.work.readsZeros = readsZeros;
  return isRead ? 'swap-in' : 'swap-cached';
}

/** MADV_WILLNEED: what of a range is in swap is read into the swap cache, of shared memory too. Entries stay as they are. */
export function readAhead(mm: Mm, vma: Vma, start: Addr, end: Addr): void {
  const { kernel } = mm;
  const slots: Slot[] = [];
  if (isAnonymousVma(vma))
    mm.pages.transform(start, end, (low, high) => {
      if ((low & KIND_MASK) === SWAP) slots.push(high);
      return low;
    });
  else if (vma.file !== null && isSharedMemory(vma.file.object))
    for (let addr = start; addr < end; addr += PAGE_SIZE) {
      const pgoff = linearIndex(vma, addr);
      // Of 2 MiB that were written out as one only the first page is read.
      const first = kernel.sharedSwap.wholeOf(vma.file.object, pgoff);
      const slot = kernel.sharedSwap.slotOf(vma.file.object, first ?? pgoff);
      if (slot !== null) slots.push(slot);
      if (first !== null) addr += (first + HUGE_PAGES - 1 - pgoff) * PAGE_SIZE;
    }
  for (const slot of slots) readIntoCache(kernel, slot);
}
