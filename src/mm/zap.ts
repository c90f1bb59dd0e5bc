/**
 * Taking pages away from a range: munmap, DONTNEED, holes punched into files, exit.
 *
 * Guard markers survive unless the mapping itself goes. So does protection by userfaultfd in memory of files, where the page may come back: a marker
 * takes the place of a protected page. A call of MADV_DONTNEED that leaves a table empty over whole 2 MiB frees it, where the switch
 * `ptReclaim` says so (CONFIG_PT_RECLAIM); who else may is in ptReclaim.ts, and upper levels go only with the mapping.
 *
 * Cost    linear in the touched entries and tables of the range
 * Linux   mm/memory.c: zap_page_range_single, zap_pte_range, zap_huge_pmd; mm/pt_reclaim.c; spec/pt-reclaim.md 2
 */
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { FRAME_ANON, FRAME_LARGE, headOf, type Pfn } from './frames.ts';
import { splitPmd, zapHuge } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import {
  EMPTY_TABLE,
  HUGE,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_POISON,
  MARKER_UFFD_WP,
  NO_DEPOSIT,
  NONE,
  PRESENT,
  TABLE,
  UFFD_WP,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { freeEmpty, isFreedByDiscard, recheckTables } from './ptReclaim.ts';
import { deferSplit, Release } from './rmap.ts';
import { TlbGather } from './tlb.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { VM_RAND_READ, VM_SEQ_READ, VM_UFFD_WP } from './vmFlags.ts';
import { FACT } from './work.ts';

/** What a zap leaves in place. */
export interface ZapOptions {
  /** Guard markers, and those of userfaultfd, go too: the mapping itself does (munmap, exit). Linux: ZAP_FLAG_DROP_MARKER */
  readonly dropMarkers: boolean;
  /** Tables that are empty afterwards, and lie whole in the range, are freed (MADV_DONTNEED). */
  readonly reclaimTables: boolean;
  /** Pages of the program's own stay: only those of the file go (a hole is punched). */
  readonly keepAnon?: boolean;
}

/** The mapping goes. */
export const UNMAP: ZapOptions = { dropMarkers: true, reclaimTables: false };
/** The mapping stays, its pages go. */
export const DISCARD: ZapOptions = { dropMarkers: false, reclaimTables: true };

/** Tells whether a table that a zap left empty is freed. Linux: can_reclaim_pt, try_to_free_pte(). */
const shouldFreeTable = (kernel: Kernel, options: ZapOptions, slotIsWhole: boolean, pmd: number): boolean =>
  options.reclaimTables && slotIsWhole && (pmd & KIND_MASK) === EMPTY_TABLE && isFreedByDiscard(kernel);

/** Tells whether what is read through `vma` is likely to be read again. Linux: vma_has_recency(). */
const hasRecency = (vma: Vma): boolean =>
  (vma.flags & (VM_SEQ_READ | VM_RAND_READ)) === 0 && vma.special === null;

/** A range of one vma, and where its flush is gathered. */
interface ZapTarget {
  readonly start: Addr;
  readonly end: Addr;
  readonly tlb: TlbGather;
}

/** Takes the pages of [start, end) of `vma` away, and flushes what was mapped. */
export function zapRange(mm: Mm, vma: Vma, start: Addr, end: Addr, options: ZapOptions): void {
  const tlb = new TlbGather(mm);
  zapInto(mm, vma, { start, end, tlb }, options);
  tlb.finish();
}

/** Takes the pages of a range of `vma` away; the flush is the caller's, who may have more to take away. */
export function zapInto(mm: Mm, vma: Vma, target: ZapTarget, options: ZapOptions): void {
  const { start, end, tlb } = target;
  if (start >= end || (end - start === PAGE_SIZE && zapOwnPage(mm, vma, target, options))) return;
  const { pages } = mm;
  const again: Addr[] = [];
  pages.forEachSlot(start, end, (base, pmd) => {
    const from = Math.max(start, base);
    const to = Math.min(end, base + PMD_SIZE);
    const whole = to - from === PMD_SIZE;
    if (isMarkerPmd(pmd) && zapMarkerPmd(mm, vma, base, { options, whole })) return;
    if (pmd & HUGE) {
      if (options.keepAnon === true && mm.kernel.frames.isAnon(pages.pmdHigh(base))) return;
      if (whole) {
        if (pmd & YOUNG && pmd & NO_DEPOSIT && hasRecency(vma))
          mm.kernel.frames.markAccessed(pages.pmdHigh(base));
        zapHuge(mm, base);
        tlb.changed(base, to);
        return;
      }
      splitPmd(mm, vma, base);
    }
    let isLockKept = true;
    if ((pages.pmd(base) & KIND_MASK) === TABLE)
      isLockKept = zapEntries(mm, base, { vma, start: from, end: to, tlb }, options);
    if (!shouldFreeTable(mm.kernel, options, whole, pages.pmd(base))) return;
    if (!isLockKept) {
      again.push(base);
      return;
    }
    freeEmpty(mm, base, tlb);
    mm.kernel.work.count(FACT.ptFreedSync);
  });
  if (mm.recheck !== null) mm.recheck.push(...again);
  else if (again.length > 0) recheckTables(mm, again);
}

/** Takes a page away that nobody else has: what programs give back page by page. Returns false if there is anything else: nothing was done then. */
function zapOwnPage(mm: Mm, vma: Vma, { start, end, tlb }: ZapTarget, options: ZapOptions): boolean {
  const { pages } = mm;
  const { frames, work } = mm.kernel;
  const low = pages.low(start);
  if ((low & KIND_MASK) !== PRESENT || options.keepAnon === true) return false;
  if (low & UFFD_WP && !options.dropMarkers && isProtectionKept(vma)) return false;
  if (!frames.freeOwn(pages.high(start))) return false;
  pages.set(start, NONE, 0);
  mm.rssAnon--;
  work.count(FACT.anonPtesZapped);
  work.count(FACT.pagesFreed);
  tlb.changed(start, end);
  tlb.gathered(1);
  return true;
}

/** Tells whether protection by userfaultfd outlives the pages of `vma`. Linux: pte_install_uffd_wp_if_needed() */
export const isProtectionKept = (vma: Vma): boolean => !isAnonymousVma(vma) && (vma.flags & VM_UFFD_WP) !== 0;

/** Tells whether a marker stays when the pages around it go. Linux: zap_nonpresent_ptes() */
function isMarkerKept(vma: Vma, marker: number, options: ZapOptions): boolean {
  if (marker === MARKER_POISON) return options.keepAnon === true;
  if (options.dropMarkers) return false;
  return marker === MARKER_GUARD || !isAnonymousVma(vma);
}

/** Takes the mark of 2 MiB away, or leaves it. Returns false if a part of them is meant: they are to be broken up. */
function zapMarkerPmd(
  mm: Mm,
  vma: Vma,
  base: Addr,
  how: { readonly options: ZapOptions; readonly whole: boolean },
): boolean {
  if (isMarkerKept(vma, MARKER_UFFD_WP, how.options)) return true;
  if (!how.whole) return false;
  mm.pages.clearHuge(base);
  mm.kernel.work.count(FACT.pmdMarkersZapped);
  return true;
}

/** Empties entries of the table at `base`. Returns whether its lock was held all the while: not if the pages no longer fitted into the gather. */
function zapEntries(
  mm: Mm,
  base: Addr,
  target: ZapTarget & { readonly vma: Vma },
  options: ZapOptions,
): boolean {
  const { frames, work } = mm.kernel;
  const { keepAnon = false } = options;
  const { vma } = target;
  const isRecent = hasRecency(vma);
  const release = new Release(mm);
  const keepsProtection = !options.dropMarkers && isProtectionKept(vma);
  const protectedPages: Addr[] = [];
  // Told once all of the range is gone: what goes whole never was partly mapped.
  let large: Set<Pfn> | null = null;
  let [first, last] = [-1, -1];
  let [zeros, markers, present] = [0, 0, 0];
  mm.pages.transformTable(target.start, target.end, (low, high, index) => {
    const kind = low & KIND_MASK;
    if (kind === MARKER) {
      if (isMarkerKept(vma, high, options)) return low;
      markers++;
    } else if (kind === PRESENT && !keepAnon && release.own(high)) present++;
    else if (kind === PRESENT) {
      const flags = frames.flags(high);
      if (keepAnon && flags & FRAME_ANON) return low;
      if (isRecent && low & YOUNG && (flags & FRAME_ANON) === 0) frames.markAccessed(high);
      if (flags & FRAME_LARGE) {
        large ??= new Set();
        large.add(headOf(high));
      }
      release.entry(low, high);
      present++;
    } else if (kind === ZERO_PAGE) zeros++;
    else if (keepAnon) return low;
    else release.entry(low, high);
    if (keepsProtection && low & UFFD_WP) protectedPages.push(base + index * PAGE_SIZE);
    if (kind !== PRESENT && kind !== ZERO_PAGE) return NONE;
    if (first < 0) first = index;
    last = index;
    return NONE;
  });
  for (const addr of protectedPages) mm.pages.set(addr, MARKER, MARKER_UFFD_WP);
  release.done();
  if (zeros > 0) work.count(FACT.zeroPtesZapped, zeros);
  if (markers > 0) work.count(FACT.markersZapped, markers);
  if (first >= 0) target.tlb.changed(base + first * PAGE_SIZE, base + (last + 1) * PAGE_SIZE);
  if (large !== null) for (const head of large as Set<Pfn>) deferSplit(mm, head);
  return target.tlb.gathered(present);
}
