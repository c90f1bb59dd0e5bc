/**
 * Huge pages of 2 MiB: when one comes, what a store to it does, how one mapping or the whole folio is broken up.
 *
 * Two different things get broken: a *mapping* (the pmd becomes a table of 512 ptes that still point into one folio) and a *folio* (its
 * pages become single ones, and those that nothing maps are given back). Borders of vmas, mprotect, DONTNEED and fork break mappings; MADV_FREE,
 * MADV_COLD and MADV_PAGEOUT of a part break the folio. Each huge anonymous mapping has a pte table put aside, so breaking it cannot fail.
 * A folio of which only a part is still mapped keeps all its memory; it is counted as waiting to be broken up (`foliosDeferred`).
 *
 * Linux   mm/huge_memory.c: do_huge_pmd_anonymous_page, do_huge_pmd_wp_page, __split_huge_pmd, split_folio, vma_adjust_trans_huge
 * Left out   the shrinker of partly mapped folios, khugepaged, sizes between 4 KiB and 2 MiB
 */
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import type { AccessRequest } from './fault.ts';
import { FRAME_DIRTY, HUGE_PAGES, headOf, type Pfn } from './frames.ts';
import { isThpDisabled, type Mm } from './mm.ts';
import { isProtected } from './protectPages.ts';
import {
  DIRTY,
  EXCLUSIVE,
  HUGE,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_UFFD_WP,
  NO_DEPOSIT,
  NONE,
  PRESENT,
  SOFT_DIRTY,
  UFFD_WP,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { anonFlags, countResident, linearIndex, releaseEntry, releaseHuge, walkRmap } from './rmap.ts';
import { storeBits } from './storeBits.ts';
import { type FileObject, isAnonymousVma, type Vma } from './vma.ts';
import { isSharedWritable } from './vmaAccess.ts';
import { VM_HUGEPAGE, VM_LOCKED, VM_UFFD_WP } from './vmFlags.ts';
import { FACT, type FaultName } from './work.ts';

/** Anything of a kernel: an address space, whichever it is. */
type OfKernel = Pick<Mm, 'kernel'>;

/** Bits of an entry that all pages of a huge mapping have alike. */
const COMMON = WRITE | DIRTY | YOUNG | EXCLUSIVE | UFFD_WP | SOFT_DIRTY;

/** Tells whether the first access to the 2 MiB around `page`, whose pmd is none, brings a huge page. Linux: thp_vma_allowable_order(). */
export function canFaultHuge(mm: Mm, vma: Vma, page: Addr): boolean {
  const { thp } = mm.kernel.features;
  if (thp === 'never' || isThpDisabled(mm, vma.flags) || !isAnonymousVma(vma)) return false;
  if (thp === 'madvise' && (vma.flags & VM_HUGEPAGE) === 0) return false;
  const base = floorTo(page, PMD_SIZE);
  return base >= vma.start && base + PMD_SIZE <= vma.end;
}

/** Takes a zeroed huge page for the 2 MiB at `base`. */
function newHugePage(mm: Mm, vma: Vma, base: Addr): Pfn {
  const { frames, work } = mm.kernel;
  const head = frames.allocateLarge(anonFlags(vma), vma.anonVma?.id ?? 0, linearIndex(vma, base));
  work.count(FACT.pagesAllocated, HUGE_PAGES);
  work.count(FACT.pagesZeroed, HUGE_PAGES);
  work.count(FACT.hugePagesAllocated);
  return head;
}

function storeIn(mm: Mm, head: Pfn, page: Addr, stamp: number | null): void {
  if (stamp !== null) mm.kernel.frames.setStamp(head + (page % PMD_SIZE) / PAGE_SIZE, stamp);
}

/**
 * Fills 2 MiB: with a page when written, with the huge zero page, where there is one, when read. Both give the vma its anon_vma first.
 * @param wp  UFFD_WP where a marker says that what comes is to be protected
 */
export function faultHuge(mm: Mm, vma: Vma, page: Addr, request: AccessRequest, wp = 0): FaultName {
  prepareAnonVma(mm.kernel, vma);
  const base = floorTo(page, PMD_SIZE);
  mm.kernel.work.count(FACT.pmdsSet);
  const write = request.access === 'write';
  if (!write && mayMapHugeZero(mm)) {
    mm.pages.setHuge(base, ZERO_PAGE | YOUNG | wp, 0);
    return 'huge-zero';
  }
  const head = newHugePage(mm, vma, base);
  const bits = wp | storeBits(mm, vma);
  const writable = isProtected(vma, bits) ? 0 : WRITE;
  mapHugeAnon(mm, base, head, bits | writable | YOUNG | EXCLUSIVE);
  if (write && writable !== 0) storeIn(mm, head, page, request.stamp);
  return 'huge';
}

/** Tells whether a load may be served by the huge zero page. Linux: transparent_hugepage_use_zero_page() */
export const mayMapHugeZero = (mm: Mm): boolean => mm.kernel.features.hugeZeroPage === 'on';

/** Maps the huge folio `head` at `base`, whose pmd is none, with a table put aside. */
export function mapHugeAnon(mm: Mm, base: Addr, head: Pfn, bits: number): void {
  mm.pages.setHuge(base, PRESENT | bits, head);
  mm.kernel.frames.addEntire(head, mm.id);
  mm.rssAnon += HUGE_PAGES;
}

/** Maps the huge folio `head` of the page cache around `page`, whose pmd is none. */
export function mapHugeFile(mm: Mm, vma: Vma, page: Addr, head: Pfn, write: boolean): void {
  const bits = YOUNG | (isSharedWritable(vma) ? WRITE : 0) | (write ? WRITE | storeBits(mm, vma) : 0);
  mm.pages.setHuge(floorTo(page, PMD_SIZE), PRESENT | bits | NO_DEPOSIT, head);
  mm.kernel.frames.addEntire(head, mm.id);
  countResident(mm, head, HUGE_PAGES);
  mm.kernel.work.count(FACT.pmdsSet);
}

/**
 * Carries out an access where 2 MiB are mapped at once.
 * @returns `hit`; the fault that was served; `broken` when the mapping had to be broken up and the access is to go on with its pte
 */
export function accessHuge(
  mm: Mm,
  vma: Vma,
  page: Addr,
  request: AccessRequest,
): FaultName | 'hit' | 'broken' {
  const base = floorTo(page, PMD_SIZE);
  const { pages } = mm;
  const pmd = pages.pmd(base);
  const write = request.access === 'write';
  if (!write || pmd & WRITE) {
    pages.setHugeLow(base, pmd | YOUNG | (write ? DIRTY : 0));
    if (write) storeIn(mm, pages.pmdHigh(base), page, request.stamp);
    return 'hit';
  }
  if ((pmd & KIND_MASK) === ZERO_PAGE) return replaceHugeZero(mm, vma, page, request.stamp);
  const head = pages.pmdHigh(base);
  const { frames } = mm.kernel;
  const reusable = frames.isAnon(head) && (pmd & EXCLUSIVE || frames.refcount(head) === 1);
  if (!reusable) {
    splitPmd(mm, vma, base);
    return 'broken';
  }
  if ((pmd & EXCLUSIVE) === 0)
    for (let i = 0; i < HUGE_PAGES; i++)
      frames.setOwner(head + i, vma.anonVma?.id ?? 0, linearIndex(vma, base) + i);
  pages.setHugeLow(base, pmd | EXCLUSIVE | WRITE | storeBits(mm, vma) | YOUNG);
  storeIn(mm, head, page, request.stamp);
  return 'reuse';
}

function replaceHugeZero(mm: Mm, vma: Vma, page: Addr, stamp: number | null): FaultName {
  const base = floorTo(page, PMD_SIZE);
  prepareAnonVma(mm.kernel, vma);
  const head = newHugePage(mm, vma, base);
  mm.pages.clearHuge(base);
  mm.kernel.tlb.flush(mm, base, base + PMD_SIZE, false);
  mapHugeAnon(mm, base, head, WRITE | storeBits(mm, vma) | YOUNG | EXCLUSIVE);
  storeIn(mm, head, page, stamp);
  return 'huge-zero-to-write';
}

/** Why 2 MiB that are marked at once are broken up: a page of them is accessed, or filled; a vma begins or ends there; a part of them is changed. */
export type MarkerSplit = 'fault' | 'fill' | 'border' | 'part';

/** Breaks 2 MiB that are marked at once into markers in a table, which is made. */
function splitMarkers(mm: Mm, base: Addr, why: MarkerSplit): void {
  const { pages, kernel } = mm;
  const high = pages.pmdHigh(base);
  pages.clearHuge(base);
  pages.makeTable(base);
  pages.fill(base, base + PMD_SIZE, MARKER, () => high);
  kernel.emit?.({ kind: 'markerSplit', op: kernel.opNr, mm: mm.id, start: base, why });
}

/** Breaks the huge mapping at `base` into ptes of the same pages. One of a file is unmapped instead: its pages come back by faults. Linux: __split_huge_pmd(). */
export function splitPmd(mm: Mm, vma: Vma, base: Addr, why: MarkerSplit = 'part'): void {
  const { pages, kernel } = mm;
  const pmd = pages.pmd(base);
  const head = pages.pmdHigh(base);
  kernel.work.count(FACT.pmdsSplit);
  if (isMarkerPmd(pmd)) {
    splitMarkers(mm, base, why);
    return;
  }
  kernel.tlb.flush(mm, base, base + PMD_SIZE, false);
  if (!isAnonymousVma(vma) && (pmd & NO_DEPOSIT) !== 0) {
    pages.clearHuge(base);
    releaseHuge(mm, pmd, head);
    return;
  }
  pages.withdrawDeposit(base);
  const zero = (pmd & KIND_MASK) === ZERO_PAGE;
  const low = zero ? ZERO_PAGE | YOUNG | (pmd & UFFD_WP) : PRESENT | (pmd & COMMON);
  for (let i = 0; i < HUGE_PAGES; i++) pages.set(base + i * PAGE_SIZE, low, zero ? 0 : head + i);
  if (zero) return;
  // The pages remember what the entry knew. Linux: folio_set_dirty() in __split_huge_pmd_locked()
  if (pmd & DIRTY && kernel.frames.isAnon(head))
    for (let i = 0; i < HUGE_PAGES; i++) kernel.frames.setFlags(head + i, FRAME_DIRTY);
  kernel.frames.splitEntire(head, mm.id);
}

/** Breaks the huge mapping that `addr` lies strictly inside of, if there is one: a vma begins or ends there now. Linux: vma_adjust_trans_huge(). */
export function splitPmdAt(mm: Mm, vma: Vma, addr: Addr): void {
  if ((mm.pages.pmd(addr) & HUGE) === 0) return;
  const base = floorTo(addr, PMD_SIZE);
  if (base !== addr) splitPmd(mm, vma, base, 'border');
}

/**
 * Breaks the huge folio of `pfn` up, after each huge mapping of it. Pages that nothing maps are given back; where a page of zeros was mapped, there
 * is the zero page now. Linux: split_folio().
 */
export function splitFolio(mm: OfKernel, pfn: Pfn): void {
  const zeros = mappedZeros(mm, headOf(pfn));
  dissolveFolio(mm, pfn);
  for (const zero of zeros) replaceByZeroPage(mm, zero);
}

/** Makes the huge folio of `pfn` single pages. Anonymous ones are mapped as they were; those of a file leave all tables, and faults bring them back. */
export function dissolveFolio(mm: OfKernel, pfn: Pfn): void {
  const { kernel } = mm;
  const { frames, work } = kernel;
  const head = headOf(pfn);
  splitMappings(mm, head);
  if (frames.isAnon(head) && isFolioDirty(mm, head))
    for (let i = 0; i < HUGE_PAGES; i++) frames.setFlags(head + i, FRAME_DIRTY);
  if (!frames.isAnon(head)) unmapFolio(mm, head);
  const before = frames.nrUsed;
  frames.splitFolio(head);
  work.count(FACT.foliosSplit);
  work.count(FACT.pagesFreed, before - frames.nrUsed);
}

/** Breaks each huge mapping of the folio at `head` into ptes; of a file it is gone then. */
function splitMappings({ kernel }: OfKernel, head: Pfn): void {
  walkRmap(kernel, head, (other, vma, addr) => {
    if (other.pages.pmd(addr) & HUGE) splitPmd(other, vma, floorTo(addr, PMD_SIZE));
  });
}

/** Takes all pages of the huge folio of a file at `head` out of all tables; the folio stays in the page cache. Linux: try_to_unmap() with TTU_SPLIT_HUGE_PMD */
export function unmapFolio(mm: OfKernel, head: Pfn): void {
  splitMappings(mm, head);
  for (let i = 0; i < HUGE_PAGES; i++) unmapEverywhere(mm, head + i);
}

/** Returns the offset of the first page behind the end of a file. */
const behindEnd = ({ size }: FileObject): number => Math.ceil((size ?? Number.POSITIVE_INFINITY) / PAGE_SIZE);

/**
 * A huge folio of shared memory at `head`, which has left all tables, goes to swap as a whole; one that was never written leaves the file, which is a hole again.
 * Returns false where there is no room for all of it.
 */
export function swapOutFolio({ kernel }: OfKernel, head: Pfn): boolean {
  const { frames, swap } = kernel;
  const [first, object] = [frames.index(head), kernel.objects.get(frames.owner(head)) as FileObject];
  const isDirty = (frames.flags(head) & FRAME_DIRTY) !== 0;
  // One that the file ends in is broken up first, and what lies behind the end is dropped. Linux: shmem_writeout()
  if (isDirty && behindEnd(object) > first && behindEnd(object) < first + HUGE_PAGES) {
    dissolveFolio({ kernel }, head);
    kernel.cache.drop(object, behindEnd(object), first + HUGE_PAGES);
    return false;
  }
  if (isDirty && swap.nrUsed + HUGE_PAGES > swap.totalPages) return false;
  for (let pgoff = first; pgoff < first + HUGE_PAGES; pgoff++)
    if (isDirty) kernel.cache.swapOut(object, pgoff);
    else kernel.cache.evict(object, pgoff);
  if (isDirty) kernel.sharedSwap.markWhole(object, first);
  return true;
}

/**
 * Tells whether a page of the huge folio at `head` was written: the folio has one mark for all, which its pages inherit when it is broken up.
 * Linux: folio_mark_dirty() in try_to_migrate_one(), __split_folio_to_order()
 */
function isFolioDirty(mm: OfKernel, head: Pfn): boolean {
  const { frames } = mm.kernel;
  let isDirty = false;
  for (let i = 0; i < HUGE_PAGES && !isDirty; i++) {
    isDirty = (frames.flags(head + i) & FRAME_DIRTY) !== 0;
    if (!isDirty && frames.mapcount(head + i) > 0)
      walkRmap(mm.kernel, head + i, (other, _vma, addr) => {
        isDirty ||= (other.pages.low(addr) & DIRTY) !== 0;
      });
  }
  return isDirty;
}

/** Takes a page of a file out of all tables. Linux: try_to_unmap() in unmap_folio() */
export function unmapEverywhere(mm: OfKernel, pfn: Pfn): void {
  const { frames } = mm.kernel;
  if (frames.mapcount(pfn) === 0) return;
  const places: { readonly mm: Mm; readonly vma: Vma; readonly addr: Addr }[] = [];
  walkRmap(mm.kernel, pfn, (other, vma, addr) => places.push({ mm: other, vma, addr }));
  for (const { mm: other, vma, addr } of places) {
    const low = other.pages.low(addr);
    releaseEntry(other, low, pfn);
    const isMarked = (low & UFFD_WP) !== 0 && (vma.flags & VM_UFFD_WP) !== 0;
    other.pages.set(addr, isMarked ? MARKER : NONE, isMarked ? MARKER_UFFD_WP : 0);
  }
}

/** Returns the pages of the huge folio at `head` that are mapped and all zeros. */
function mappedZeros(mm: OfKernel, head: Pfn): Pfn[] {
  if (!mm.kernel.frames.isAnon(head)) return [];
  const { frames } = mm.kernel;
  const pfns = Array.from({ length: HUGE_PAGES }, (_, i) => head + i);
  return pfns.filter((pfn) => frames.mapcount(pfn) > 0 && frames.isZero(pfn));
}

/** Maps the zero page wherever `pfn` is mapped, unless it has to stay in memory. Linux: try_to_map_unused_to_zeropage() */
function replaceByZeroPage(mm: OfKernel, pfn: Pfn): void {
  const places: { readonly mm: Mm; readonly addr: Addr }[] = [];
  walkRmap(mm.kernel, pfn, (other, vma, addr) => {
    if ((vma.flags & VM_LOCKED) === 0) places.push({ mm: other, addr });
  });
  for (const { mm: other, addr } of places) {
    const low = other.pages.low(addr);
    releaseEntry(other, low, pfn);
    other.pages.set(addr, ZERO_PAGE | YOUNG | (low & (UFFD_WP | SOFT_DIRTY)), 0);
  }
}

/** Takes the huge mapping at `base` away with its deposit. */
export function zapHuge(mm: Mm, base: Addr): void {
  const pmd = mm.pages.pmd(base);
  const head = mm.pages.pmdHigh(base);
  mm.pages.clearHuge(base);
  releaseHuge(mm, pmd, head);
  mm.kernel.work.count(FACT.pmdsZapped);
}
