/**
 * Pages of files leave: a hole is punched, a file gets shorter, shared memory is collapsed.
 *
 * Every mapping of the pages, in every address space, loses its entries before the page cache loses the pages. Tables stay.
 *
 * Cost    the vmas that map the object, and the touched entries in the range
 * Linux   mm/memory.c: unmap_mapping_range; mm/shmem.c: shmem_fallocate, shmem_undo_range
 */
import { PAGE_SIZE, type Pgoff } from '../base/units.ts';
import { FRAME_DIRTY, HUGE_PAGES, headOf, type Pfn } from './frames.ts';
import { unmapFolio } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import { DIRTY, KIND_MASK, PRESENT, WRITE } from './pte.ts';
import type { FileObject, Vma } from './vma.ts';
import { VM_SHARED } from './vmFlags.ts';
import { FACT } from './work.ts';
import { zapRange } from './zap.ts';

/** Takes the entries for pages `first` to below `end` of `object` out of every mapping. @param copiesToo  pages that private mappings have of their own go as well */
export function unmapObject(object: FileObject, first: Pgoff, end: Pgoff, copiesToo: boolean): void {
  for (const vma of object.vmas) {
    const { mm } = vma;
    if (mm === null) continue;
    const from = Math.max(vma.start, vma.start + (first - vma.pgoff) * PAGE_SIZE);
    const to = Math.min(vma.end, vma.start + (end - vma.pgoff) * PAGE_SIZE);
    zapRange(mm, vma, from, to, { dropMarkers: false, reclaimTables: false, keepAnon: !copiesToo });
  }
}

/** Pages `first` to below `end` of `object` become a hole. */
export function punchObject(kernel: Kernel, object: FileObject, first: Pgoff, end: Pgoff): void {
  unmapObject(object, first, end, false);
  unmapCut(kernel, object, first);
  unmapCut(kernel, object, end);
  const before = kernel.frames.nrUsed;
  kernel.cache.drop(object, first, end);
  kernel.work.count(FACT.pagesPunched, before - kernel.frames.nrUsed);
}

/** `object` ends before page `first` from now on. */
export function truncateObject(kernel: Kernel, object: FileObject, first: Pgoff): void {
  unmapObject(object, first, Number.POSITIVE_INFINITY, true);
  kernel.cache.drop(object, first, Number.POSITIVE_INFINITY);
}

/** A huge folio that is cut in front of page `pgoff` leaves all tables, locked memory too, before it is broken up. Linux: truncate_inode_partial_folio() */
function unmapCut(kernel: Kernel, object: FileObject, pgoff: Pgoff): void {
  if (pgoff % HUGE_PAGES === 0) return;
  const pfn = kernel.cache.find(object, pgoff);
  if (pfn === null || !kernel.frames.isLarge(pfn) || kernel.frames.isInUse(headOf(pfn))) return;
  unmapFolio({ kernel }, headOf(pfn));
}

/**
 * Pages `first` to below `end` of `object`, a file all of which was in memory, go to its disk and are clean; the next store to each is told to the file
 * again. Of other files it is not known what is written back when. Linux: folio_clear_dirty_for_io()
 */
export function writeBack(kernel: Kernel, object: FileObject, first: Pgoff, end: Pgoff): void {
  if (!object.isInMemory) return;
  const { frames } = kernel;
  for (let pgoff = first; pgoff < end; pgoff++) {
    const pfn = kernel.cache.find(object, pgoff);
    if (pfn === null || (frames.flags(pfn) & FRAME_DIRTY) === 0) continue;
    cleanPage(kernel, object, pgoff, pfn);
  }
}

/** Page `pgoff` of `object`, which is dirty, goes to its disk and is clean. */
export function cleanPage(kernel: Kernel, object: FileObject, pgoff: Pgoff, pfn: Pfn): void {
  const { frames } = kernel;
  frames.setFlags(pfn, 0, FRAME_DIRTY);
  kernel.cache.keepOnDisk(object, pgoff, frames.stamp(pfn));
  for (const vma of object.vmas) protectClean(vma, pgoff, pfn);
}

/** Reads what is missing of pages `first` to below `end` of `object` from its disk, where it is known what is missing. Linux: force_page_cache_readahead() */
export function readFile(kernel: Kernel, object: FileObject, first: Pgoff, end: Pgoff): void {
  if (!object.isInMemory || object.size === null) return;
  const stop = Math.min(end, Math.ceil(object.size / PAGE_SIZE));
  for (let pgoff = first; pgoff < stop; pgoff++) kernel.cache.page(object, pgoff);
}

/** Takes dirtiness and write access from the entry for a page of a file, where `vma` is shared. */
function protectClean(vma: Vma, pgoff: Pgoff, pfn: Pfn): void {
  const addr = vma.start + (pgoff - vma.pgoff) * PAGE_SIZE;
  if (vma.mm === null || (vma.flags & VM_SHARED) === 0 || addr < vma.start || addr >= vma.end) return;
  const { pages } = vma.mm;
  const low = pages.low(addr);
  if ((low & KIND_MASK) === PRESENT && pages.high(addr) === pfn) pages.setLow(addr, low & ~(WRITE | DIRTY));
}
