/**
 * Pages of files leave: a hole is punched, a file gets shorter, shared memory is collapsed.
 *
 * Every mapping of the pages, in every address space, loses its entries before the page cache loses the pages. Tables stay.
 *
 * Cost    the vmas that map the object, and the touched entries in the range
 * Linux   mm/memory.c: unmap_mapping_range; mm/shmem.c: shmem_fallocate, shmem_undo_range
 */
import { PAGE_SIZE, type Pgoff } from '../base/units.ts';
import type { CutFolio } from './cutFolios.ts';
import { FRAME_DIRTY, HUGE_PAGES, headOf, type Pfn } from './frames.ts';
import { unmapEverywhere, unmapFolio } from './hugeMemory.ts';
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
  cutFolios(kernel, object, first, end);
  const before = kernel.frames.nrUsed;
  kernel.cache.drop(object, first, end);
  kernel.work.count(FACT.pagesPunched, before - kernel.frames.nrUsed);
}

/** `object` ends before page `first` from now on. */
export function truncateObject(kernel: Kernel, object: FileObject, first: Pgoff): void {
  unmapObject(object, first, Number.POSITIVE_INFINITY, true);
  cutFolios(kernel, object, first, Number.POSITIVE_INFINITY);
  kernel.cache.drop(object, first, Number.POSITIVE_INFINITY);
}

/**
 * A folio of several pages that the range cuts leaves all tables, locked memory too, and is broken up: at the first page of it that goes, and at the first behind
 * the range. 2 MiB that are in swap as one come back before. Linux: shmem_undo_range(), truncate_inode_partial_folio()
 */
function cutFolios(kernel: Kernel, object: FileObject, first: Pgoff, end: Pgoff): void {
  for (const border of [first, end]) {
    const whole = kernel.sharedSwap.wholeOf(object, border);
    if (whole !== null && whole !== border) kernel.cache.page(object, border);
    const folio = folioAt(kernel, object, border);
    if (folio === null || folio.first === border) continue;
    unmapPages(kernel, object, folio);
    const { cut } = kernel.cache;
    cut.cut(object, folio, Math.max(first, folio.first));
    const rest = end < folio.first + folio.pages ? cut.find(object, end) : null;
    if (rest !== null && rest.first !== end) cut.cut(object, rest, end);
  }
}

/** Takes the pages of a folio that is cut, or about to be, out of all tables. */
function unmapPages(kernel: Kernel, object: FileObject, { first, pages }: CutFolio): void {
  const head = kernel.cache.find(object, first);
  if (head !== null && kernel.frames.isLarge(head)) unmapFolio({ kernel }, head);
  else
    for (let pgoff = first; pgoff < first + pages; pgoff++) {
      const pfn = kernel.cache.find(object, pgoff);
      if (pfn !== null) unmapEverywhere({ kernel }, pfn);
    }
}

/** Returns the folio of several pages that page `pgoff` of `object` is part of, unless the kernel has it in use: then it cannot be broken up. */
function folioAt(kernel: Kernel, object: FileObject, pgoff: Pgoff): CutFolio | null {
  const pfn = kernel.cache.find(object, pgoff);
  if (pfn === null) return null;
  if (!kernel.frames.isLarge(pfn)) return kernel.cache.cut.find(object, pgoff);
  return kernel.frames.isInUse(headOf(pfn))
    ? null
    : { first: pgoff - (pgoff % HUGE_PAGES), pages: HUGE_PAGES };
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
