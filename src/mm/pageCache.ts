/**
 * Pages of files leave: a hole is punched, a file gets shorter, shared memory is collapsed.
 *
 * Every mapping of the pages, in every address space, loses its entries before the page cache loses the pages. Tables stay.
 *
 * Cost    the vmas that map the object, and the touched entries in the range
 * Linux   mm/memory.c: unmap_mapping_range; mm/shmem.c: shmem_fallocate, shmem_undo_range
 */
import { PAGE_SIZE, type Pgoff } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import type { FileObject } from './vma.ts';
import { FACT } from './work.ts';
import { zapRange } from './zap.ts';

/** Takes the entries for pages `first` to below `end` of `object` out of every mapping. @param copiesToo  pages that private mappings have of their own go as well */
export function unmapObject(object: FileObject, first: Pgoff, end: Pgoff, copiesToo: boolean): void {
  for (const vma of object.vmas) {
    const { mm } = vma;
    if (mm === null) continue;
    const from = Math.max(vma.start, vma.start + (first - vma.pgoff) * PAGE_SIZE);
    const to = Math.min(vma.end, vma.start + (end - vma.pgoff) * PAGE_SIZE);
    zapRange(mm, vma, from, to, { dropGuards: false, reclaimTables: false, keepAnon: !copiesToo });
  }
}

/** Pages `first` to below `end` of `object` become a hole. */
export function punchObject(kernel: Kernel, object: FileObject, first: Pgoff, end: Pgoff): void {
  unmapObject(object, first, end, false);
  const before = kernel.frames.nrUsed;
  kernel.dropCached(object, first, end);
  kernel.work.count(FACT.pagesPunched, before - kernel.frames.nrUsed);
}

/** `object` ends before page `first` from now on. */
export function truncateObject(kernel: Kernel, object: FileObject, first: Pgoff): void {
  unmapObject(object, first, Number.POSITIVE_INFINITY, true);
  kernel.dropCached(object, first, Number.POSITIVE_INFINITY);
}
