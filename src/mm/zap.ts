/**
 * Taking pages away from a range: munmap, DONTNEED, holes punched into files, exit.
 *
 * Guard markers survive unless the mapping itself goes. A call of MADV_DONTNEED that leaves a table empty over whole 2 MiB frees it (PT_RECLAIM);
 * nothing else does, and upper levels go only with the mapping.
 *
 * Cost    linear in the touched entries and tables of the range
 * Linux   mm/memory.c: zap_page_range_single, zap_pte_range, zap_huge_pmd; mm/pt_reclaim.c; spec/pt-reclaim.md 2
 */
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { headOf, type Pfn } from './frames.ts';
import { splitPmd, zapHuge } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { EMPTY_TABLE, HUGE, isGuard, KIND_MASK, MARKER, NONE, PRESENT, ZERO_PAGE } from './pte.ts';
import { deferSplit, releaseEntry } from './rmap.ts';
import { TlbGather } from './tlb.ts';
import type { Vma } from './vma.ts';
import { FACT } from './work.ts';

/** What a zap leaves in place. */
export interface ZapOptions {
  /** Guard markers go too: the mapping itself does (munmap, exit). */
  readonly dropGuards: boolean;
  /** Tables that are empty afterwards, and lie whole in the range, are freed (MADV_DONTNEED). */
  readonly reclaimTables: boolean;
  /** Pages of the program's own stay: only those of the file go (a hole is punched). */
  readonly keepAnon?: boolean;
}

/** The mapping goes. */
export const UNMAP: ZapOptions = { dropGuards: true, reclaimTables: false };
/** The mapping stays, its pages go. */
export const DISCARD: ZapOptions = { dropGuards: false, reclaimTables: true };

/** Tells whether a table that a zap left empty is freed. Linux: can_reclaim_pt, try_to_free_pte(). */
const shouldFreeTable = (options: ZapOptions, slotIsWhole: boolean, pmd: number): boolean =>
  options.reclaimTables && slotIsWhole && (pmd & KIND_MASK) === EMPTY_TABLE;

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
  if (start >= end) return;
  const { pages } = mm;
  pages.forEachSlot(start, end, (base, pmd) => {
    const from = Math.max(start, base);
    const to = Math.min(end, base + PMD_SIZE);
    const whole = to - from === PMD_SIZE;
    if (pmd & HUGE) {
      if (options.keepAnon === true && mm.kernel.frames.isAnon(pages.pmdHigh(base))) return;
      if (whole) {
        zapHuge(mm, base);
        tlb.changed(base, to);
        return;
      }
      splitPmd(mm, vma, base);
    }
    zapEntries(mm, { start: from, end: to, tlb }, options);
    if (!shouldFreeTable(options, whole, pages.pmd(base))) return;
    pages.freeTable(base);
    tlb.freedTable(base, to);
  });
}

function zapEntries(mm: Mm, target: ZapTarget, options: ZapOptions): void {
  const { frames, work } = mm.kernel;
  const { tlb } = target;
  // Told once all of the range is gone: what goes whole never was partly mapped.
  const large = new Set<Pfn>();
  mm.pages.transform(target.start, target.end, (low, high, addr) => {
    const kind = low & KIND_MASK;
    if (kind === PRESENT) {
      if (options.keepAnon === true && frames.isAnon(high)) return low;
      if (frames.isLarge(high)) large.add(headOf(high));
      releaseEntry(mm, low, high);
      tlb.changed(addr, addr + PAGE_SIZE);
    } else if (kind === ZERO_PAGE) {
      work.count(FACT.zeroPtesZapped);
      tlb.changed(addr, addr + PAGE_SIZE);
    } else if (kind === MARKER) {
      if (isGuard(low, high) && !options.dropGuards) return low;
      work.count(FACT.markersZapped);
    } else {
      if (options.keepAnon === true) return low;
      releaseEntry(mm, low, high);
    }
    return NONE;
  });
  for (const head of large) deferSplit(mm, head);
}
