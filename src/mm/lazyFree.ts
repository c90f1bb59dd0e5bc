/**
 * MADV_FREE: pages that may be dropped when memory gets short, unless they are written before.
 *
 * Entries become clean and old and stay as they are otherwise, writable too, so a store takes no fault and makes the page count again. Swap slots
 * are freed at once. Of markers only poison goes.
 *
 * Cost    linear in the touched entries
 * Linux   mm/madvise.c: madvise_free_pte_range; mm/huge_memory.c: madvise_free_huge_pmd; spec/pt-reclaim.md 2 (never frees a table)
 * Left out   the batches in which the kernel moves pages to the list of lazily freed ones: here it happens at once (docs/fidelity.md)
 */
import type { Addr } from '../base/units.ts';
import {
  FRAME_ACTIVE,
  FRAME_DIRTY,
  FRAME_LOCK_MISSED,
  FRAME_REFERENCED,
  FRAME_SWAPBACKED,
  FRAME_SWAPCACHE,
  HUGE_PAGES,
  type Pfn,
} from './frames.ts';
import { forEachAdvised, type PageRange } from './madvisePages.ts';
import type { Mm } from './mm.ts';
import { DIRTY, KIND_MASK, MARKER, MARKER_POISON, MARKER_PURGED, NONE, SWAP, YOUNG } from './pte.ts';
import { OK, type SysResult } from './result.ts';
import { releaseEntry, walkRmap } from './rmap.ts';
import { VM_LOCKED } from './vmFlags.ts';
import { FACT } from './work.ts';

/** Marks the pages of a range of private anonymous memory as free to be dropped. */
export function lazyFreeRange(mm: Mm, range: PageRange): SysResult {
  const { pages, kernel } = mm;
  const { frames, swap, work } = kernel;
  forEachAdvised(mm, range, {
    huge: (base, pmd) => {
      pages.setHugeLow(base, pmd & ~(YOUNG | DIRTY));
      for (let i = 0; i < HUGE_PAGES; i++) markLazyFree(mm, pages.pmdHigh(base) + i);
      work.count(FACT.pagesLazyFreed, HUGE_PAGES);
    },
    page: (addr: Addr, low: number, pfn: Pfn) => {
      if (frames.flags(pfn) & (FRAME_DIRTY | FRAME_SWAPCACHE)) {
        if (frames.mapcount(pfn) !== 1 || !swap.release(frames, pfn)) return;
      }
      pages.setLow(addr, low & ~(YOUNG | DIRTY));
      markLazyFree(mm, pfn);
      work.count(FACT.pagesLazyFreed);
    },
  });
  pages.transform(range.start, range.end, (low, high) => {
    const kind = low & KIND_MASK;
    if (kind !== SWAP && (kind !== MARKER || (high & (MARKER_POISON | MARKER_PURGED)) === 0)) return low;
    releaseEntry(mm, low, high);
    return NONE;
  });
  return OK;
}

/** Marks one page. One that another address space has locked in memory is not evictable and stays as it is. Linux: folio_mark_lazyfree() */
function markLazyFree(mm: Mm, pfn: Pfn): void {
  const { frames } = mm.kernel;
  if (frames.isAnon(pfn) && !isLockedElsewhere(mm, pfn))
    frames.setFlags(pfn, 0, FRAME_SWAPBACKED | FRAME_DIRTY | FRAME_REFERENCED | FRAME_ACTIVE);
}

/** Tells whether a vma that is locked maps `pfn`, and that was noticed; it cannot be one of `mm`, where memory that is locked is refused. */
function isLockedElsewhere(mm: Mm, pfn: Pfn): boolean {
  const { frames } = mm.kernel;
  if (frames.mapcount(pfn) < 2 || frames.flags(pfn) & FRAME_LOCK_MISSED) return false;
  let found = false;
  walkRmap(mm.kernel, pfn, (_other, vma) => {
    found ||= (vma.flags & VM_LOCKED) !== 0;
  });
  return found;
}
