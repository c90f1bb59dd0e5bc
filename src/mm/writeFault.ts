/**
 * Stores to pages that are there but may not be written: reuse them, or copy them.
 *
 * An anonymous page is reused in place if nobody else can have it: its entry is exclusive, or the mapping is the only reference left to it; then
 * it moves under the anon_vma of this vma. Otherwise the vma gets a copy of its own, which is exclusive. Pages of the page cache are
 * copied into private mappings, and made writable in shared ones that had to be told of the first store.
 *
 * Linux   mm/memory.c: do_wp_page, wp_can_reuse_anon_folio, wp_page_copy, wp_page_shared; spec/vma.md 13.3
 */
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { FRAME_DIRTY, type Pfn } from './frames.ts';
import type { Mm } from './mm.ts';
import { DIRTY, EXCLUSIVE, KIND_MASK, PRESENT, SOFT_DIRTY, UFFD_WP, WRITE, YOUNG } from './pte.ts';
import { deferSplit, linearIndex, mapNewAnon, releaseEntry } from './rmap.ts';
import { storeBits } from './storeBits.ts';
import { isSharedMemory, type Vma } from './vma.ts';
import { VM_MAYSHARE, VM_SHARED } from './vmFlags.ts';
import { FACT, type FaultName } from './work.ts';

/** Tells whether this mapping is the only reference to an anonymous page that is not exclusive. */
function isOnlyReference(mm: Mm, pfn: Pfn): boolean {
  const { frames, swap } = mm.kernel;
  // A pin is a reference to the whole folio: of a huge one, the next page is copied while one is held.
  if (frames.isPinned(pfn)) return false;
  // The last page of a huge folio that is mapped is copied, so that the folio can go.
  if (frames.isLarge(pfn)) return frames.folioMapcount(pfn) > 1 && !frames.isMaybeShared(pfn);
  // The place in the swap cache goes if nobody refers to its slot any more.
  return frames.mapcount(pfn) === 1 && swap.release(frames, pfn);
}

/** Takes `pfn` under the anon_vma of `vma`. Linux: folio_move_anon_rmap(). */
export function rehomeFrame(mm: Mm, vma: Vma, page: Addr, pfn: Pfn): void {
  mm.kernel.frames.setOwner(pfn, vma.anonVma?.id ?? 0, linearIndex(vma, page));
}

/**
 * Serves a store to the page at `page`, which is present and not writable, in a vma that allows it.
 * @param stamp  what the store leaves in the first word, or null
 */
export function writeFault(mm: Mm, vma: Vma, page: Addr, stamp: number | null): FaultName {
  const { pages } = mm;
  const { frames } = mm.kernel;
  const low = pages.low(page);
  const pfn = pages.high(page);
  if (!frames.isAnon(pfn)) {
    if ((vma.flags & (VM_SHARED | VM_MAYSHARE)) !== 0) {
      // The file is told, so that the page is dirty for everybody who maps it. Linux: fault_dirty_shared_page().
      frames.setFlags(pfn, FRAME_DIRTY);
      return makeWritable(mm, vma, page, { low, pfn, stamp });
    }
    copyPage(mm, vma, page, stamp);
    return vma.file !== null && isSharedMemory(vma.file.object) ? 'shmem-cow' : 'file-cow';
  }
  if ((low & EXCLUSIVE) === 0) {
    if (!isOnlyReference(mm, pfn)) {
      copyPage(mm, vma, page, stamp);
      return 'cow';
    }
    prepareAnonVma(mm.kernel, vma);
    // Pages of a huge folio stay together under the anon_vma they came with.
    if (!frames.isLarge(pfn)) rehomeFrame(mm, vma, page, pfn);
  }
  return makeWritable(mm, vma, page, { low: low | EXCLUSIVE, pfn, stamp });
}

function makeWritable(
  mm: Mm,
  vma: Vma,
  page: Addr,
  what: { readonly low: number; readonly pfn: Pfn; readonly stamp: number | null },
): FaultName {
  mm.pages.setLow(page, what.low | WRITE | storeBits(mm, vma) | YOUNG);
  if (what.stamp !== null) mm.kernel.frames.setStamp(what.pfn, what.stamp);
  return 'reuse';
}

/** Gives `vma` a copy of the page at `page` in place of it. Linux: wp_page_copy(). */
export function copyPage(mm: Mm, vma: Vma, page: Addr, stamp: number | null): void {
  prepareAnonVma(mm.kernel, vma);
  const { frames, work } = mm.kernel;
  const low = mm.pages.low(page);
  const old = mm.pages.high(page);
  const pfn = mapNewAnon(mm, vma, page, WRITE | storeBits(mm, vma) | YOUNG | EXCLUSIVE);
  frames.contents.copy(old, pfn);
  if (stamp !== null) frames.setStamp(pfn, stamp);
  // That the entry of a file's page was dirty (CONTINUE makes it so) is forgotten with it.
  releaseEntry(mm, low & ~DIRTY, old);
  deferSplit(mm, old);
  mm.kernel.tlb.flush(mm, page, page + PAGE_SIZE, false);
  work.count(FACT.pagesCopied);
}

/** Serves a store where the zero page is mapped: a new page. */
export function replaceZeroPage(mm: Mm, vma: Vma, page: Addr, stamp: number | null): FaultName {
  prepareAnonVma(mm.kernel, vma);
  const pfn = mapNewAnon(mm, vma, page, WRITE | storeBits(mm, vma) | YOUNG | EXCLUSIVE);
  mm.kernel.work.count(FACT.pagesZeroed);
  mm.kernel.tlb.flush(mm, page, page + PAGE_SIZE, false);
  if (stamp !== null) mm.kernel.frames.setStamp(pfn, stamp);
  return 'zero-to-write';
}

/**
 * Makes sure that a page which the kernel pins for reading is this address space's own: one that is shared after fork is copied, one that nobody
 * else has becomes exclusive. Stores go on faulting as before. Linux: gup_must_unshare(), FAULT_FLAG_UNSHARE
 * @returns  the fault it took, or null if none was needed
 */
export function unshareForPin(mm: Mm, vma: Vma, page: Addr): FaultName | null {
  const { pages } = mm;
  const { frames } = mm.kernel;
  const low = pages.low(page);
  const pfn = pages.high(page);
  if ((low & KIND_MASK) !== PRESENT || low & EXCLUSIVE || !frames.isAnon(pfn)) return null;
  if (isOnlyReference(mm, pfn)) {
    if (!frames.isLarge(pfn)) rehomeFrame(mm, vma, page, pfn);
    pages.setLow(page, low | EXCLUSIVE);
    return 'reuse';
  }
  copyPage(mm, vma, page, null);
  const kept = UFFD_WP | SOFT_DIRTY;
  pages.setLow(page, (pages.low(page) & ~(WRITE | DIRTY | kept)) | (low & kept));
  return 'cow';
}
