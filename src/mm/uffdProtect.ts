/**
 * Write-protection by userfaultfd: a bit in entries, a marker where there is none.
 *
 * A protected page loses write access in its entry and has a bit that says why. A swapped one keeps the bit in its swap entry. Where nothing is mapped
 * a marker takes its place: always in memory of files (the page may be in the page cache), in anonymous memory only if the context asked for
 * it. Markers are single entries, and a table is made for each 2 MiB of them; with `pmdMarkers` 2 MiB of anonymous memory without a table are
 * marked at once, by an entry one level up that needs none.
 *
 * Cost    linear in touched entries; with markers, in pages
 * Linux   mm/userfaultfd.c: mwriteprotect_range, uffd_wp_range; mm/mprotect.c: change_protection with MM_CP_UFFD_WP; spec/userfaultfd.md 5, 6.6
 */
import { EAGAIN, EFAULT, EINVAL, ENOENT, ESRCH } from '../abi/errno.ts';
import {
  UFFD_FEATURE_WP_UNPOPULATED,
  UFFDIO_WRITEPROTECT_MODE_DONTWAKE,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../abi/userfaultfd.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import type { Features } from './features.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { mayBecomeWritable } from './protectPages.ts';
import {
  HUGE,
  isMarkerPmd,
  isPresent,
  KIND_MASK,
  MARKER,
  MARKER_PMD,
  MARKER_UFFD_WP,
  NONE,
  PRESENT,
  SWAP,
  UFFD_WP,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { isInverted } from './storeBits.ts';
import { TlbGather } from './tlb.ts';
import type { UffdContext } from './uffdContext.ts';
import { isValidRange, type UffdRange } from './uffdRange.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { isUpgradedByPage } from './vmaAccess.ts';
import { VM_UFFD_WP } from './vmFlags.ts';
import { FACT } from './work.ts';

/** The argument of UFFDIO_WRITEPROTECT. */
export interface UffdWriteProtectRequest extends UffdRange {
  readonly mode: number;
}

/**
 * UFFDIO_WRITEPROTECT. Vmas before the one that is refused stay changed.
 * @param request  the structure, null if it cannot be read
 * Refusals        EAGAIN changing · EFAULT bad-pointer · EINVAL bad-range, bad-flags · ESRCH gone · ENOENT not-mapped, not-registered
 */
export function uffdWriteProtect(context: UffdContext, request: UffdWriteProtectRequest | null): SysResult {
  if (context.features === null) return refused(EINVAL, 'no-handshake');
  if (context.isChanging) return refused(EAGAIN, 'changing');
  if (request === null) return refused(EFAULT, 'bad-pointer');
  if (!isValidRange(request)) return refused(EINVAL, 'bad-range');
  const { start, len, mode } = request;
  const both = UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE;
  if (mode > both || mode === both) return refused(EINVAL, 'bad-flags');
  const { mm } = context;
  if (mm.gone) return refused(ESRCH, 'gone');
  const on = (mode & UFFDIO_WRITEPROTECT_MODE_WP) !== 0;
  const end = start + len;
  let vma = mm.vmas.firstEndingAbove(start);
  if (vma === null || vma.start >= end) return refused(ENOENT, 'not-mapped');
  for (; vma !== null && vma.start < end; vma = vma.next) {
    if ((vma.flags & VM_UFFD_WP) === 0) return refused(ENOENT, 'not-registered');
    protectForUffd(mm, vma, { start: Math.max(start, vma.start), end: Math.min(end, vma.end) }, on);
  }
  if (mode === 0) context.wake(start, len);
  return OK;
}

/** Tells what stands for the protection of anonymous memory that is not there. */
const mayMarkUnpopulated = (mm: Mm, vma: Vma): Features['wpUnpopulated'] =>
  vma.uffd?.has(UFFD_FEATURE_WP_UNPOPULATED) === true ? mm.kernel.features.wpUnpopulated : 'off';

/** Tells what protects a page of `vma` that is not there: nothing, a marker, or the zero page. Linux: userfaultfd_wp_use_markers() */
const unpopulatedVerdict = (mm: Mm, vma: Vma): Features['wpUnpopulated'] => {
  // Where the bit means written, what is not there is as it should be.
  if ((vma.flags & VM_UFFD_WP) === 0 || isInverted(vma)) return 'off';
  return isAnonymousVma(vma) ? mayMarkUnpopulated(mm, vma) : 'pteMarkers';
};

/** Tells whether PAGEMAP_SCAN may protect pages of `vma`: stores to them are let through, and every page can be marked. */
export const canScanProtect = (mm: Mm, vma: Vma): boolean =>
  vma.uffd?.wpAsync === true && (isInverted(vma) || unpopulatedVerdict(mm, vma) !== 'off');

/** Protects the page at `addr`, which has a table, whatever is there; also guards and poison, which then count as protected. @param tlb  where the flush is gathered. Linux: make_uffd_wp_pte() */
export function protectOne(mm: Mm, vma: Vma, addr: Addr, tlb: TlbGather): void {
  const { pages } = mm;
  const low = pages.low(addr);
  if (low === NONE || isPresent(low) || isInverted(vma))
    protectInto(mm, vma, { start: addr, end: addr + PAGE_SIZE }, true, tlb);
  else pages.setLow(addr, low | UFFD_WP);
}

/** Protects the pages of a range of `vma`, or takes protection back. Linux: uffd_wp_range() */
export function protectForUffd(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, on: boolean): void {
  const tlb = new TlbGather(mm);
  protectInto(mm, vma, range, on, tlb);
  tlb.finish();
}

/** Does what `protectForUffd` does; the flush is the caller's, who may have more to protect. */
function protectInto(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, on: boolean, tlb: TlbGather): void {
  const { pages } = mm;
  const unpopulated = on ? unpopulatedVerdict(mm, vma) : 'off';
  const change = isInverted(vma) ? invertedChanger(mm, vma, on, tlb) : changer(mm, vma, on, tlb);
  const visit = (base: Addr, pmd: number): void => {
    const from = Math.max(range.start, base);
    const to = Math.min(range.end, base + PMD_SIZE);
    const isWhole = to - from === PMD_SIZE;
    if (isMarkerPmd(pmd) && changeMarkerPmd(mm, vma, base, { on, isWhole })) return;
    if (pmd & HUGE) {
      if (isWhole && (!on || isAnonymousVma(vma))) {
        pages.setHugeLow(base, change(pmd, pages.pmdHigh(base), base));
        return;
      }
      splitPmd(mm, vma, base);
    }
    if (pmd !== NONE)
      pages.transform(from, to, (low, high, index) => change(low, high, base + index * PAGE_SIZE));
    if (unpopulated !== 'off') markBlank(mm, from, to, unpopulated);
  };
  if (unpopulated === 'off') pages.forEachSlot(range.start, range.end, visit);
  else
    for (let base = floorTo(range.start, PMD_SIZE); base < range.end; base += PMD_SIZE)
      visit(base, pages.pmd(base));
}

/** Returns what becomes of an entry that is not none. Linux: change_pte_range(), change_huge_pmd() */
function changer(
  mm: Mm,
  vma: Vma,
  on: boolean,
  tlb: TlbGather,
): (low: number, high: number, addr: Addr) => number {
  const { work } = mm.kernel;
  const upgrades = !on && isUpgradedByPage(vma);
  return (low, high, addr) => {
    const kind = low & KIND_MASK;
    if (kind === SWAP) return on ? low | UFFD_WP : low & ~UFFD_WP;
    if (kind === MARKER) {
      // What must not be accessed anyway stays as it is.
      if (on) work.count(FACT.markersKept);
      if (on || high !== MARKER_UFFD_WP) return low;
      work.count(FACT.markersZapped);
      return NONE;
    }
    if (!isPresent(low)) return on ? low | UFFD_WP : low & ~UFFD_WP;
    work.count(low & HUGE ? FACT.pmdsReprotected : FACT.ptesReprotected);
    const bare = on ? (low | UFFD_WP) & ~WRITE : low & ~UFFD_WP;
    const writable = upgrades && kind === PRESENT && mayBecomeWritable(mm, vma, bare, high);
    const now = writable ? bare | WRITE : bare & ~WRITE;
    if (low & ~now & WRITE) tlb.changed(addr, addr + (low & HUGE ? PMD_SIZE : PAGE_SIZE));
    return now;
  };
}

/** The same where the bit means written: protecting takes it away, and the markers that say so. */
function invertedChanger(
  mm: Mm,
  vma: Vma,
  on: boolean,
  tlb: TlbGather,
): (low: number, high: number, addr: Addr) => number {
  const { work } = mm.kernel;
  return (low, high, addr) => {
    if ((low & KIND_MASK) === MARKER && high === MARKER_UFFD_WP) {
      if (!on) return low;
      work.count(FACT.markersZapped);
      return NONE;
    }
    const bare = on ? low & ~(UFFD_WP | WRITE) : low | UFFD_WP;
    if (!isPresent(low)) return bare;
    work.count(low & HUGE ? FACT.pmdsReprotected : FACT.ptesReprotected);
    const upgrades = !on && isUpgradedByPage(vma) && (low & KIND_MASK) === PRESENT;
    const now = upgrades && mayBecomeWritable(mm, vma, bare, high) ? bare | WRITE : bare;
    if (low & ~now & WRITE) tlb.changed(addr, addr + (low & HUGE ? PMD_SIZE : PAGE_SIZE));
    return now;
  };
}

/** Protection begins where the bit means written: what is there counts as written, until it is protected. */
export function markWritten(mm: Mm, start: Addr, end: Addr): void {
  const { pages } = mm;
  pages.forEachSlot(start, end, (base, pmd) => {
    if (pmd & HUGE && !isMarkerPmd(pmd)) pages.setHugeLow(base, pmd | UFFD_WP);
  });
  pages.transform(start, end, (low) => (isPresent(low) || (low & KIND_MASK) === SWAP ? low | UFFD_WP : low));
}

/** Protection ends: bits and markers go, whichever way round they were meant. */
export function dropUffdBits(mm: Mm, start: Addr, end: Addr): void {
  const { pages } = mm;
  pages.forEachSlot(start, end, (base, pmd) => {
    if (isMarkerPmd(pmd)) pages.clearHuge(base);
    else if (pmd & HUGE) pages.setHugeLow(base, pmd & ~UFFD_WP);
  });
  pages.transform(start, end, (low, high) =>
    (low & KIND_MASK) === MARKER && high === MARKER_UFFD_WP ? NONE : low & ~UFFD_WP,
  );
}

/** Protects 2 MiB that are marked at once, or takes the mark away. Returns false if a part of them is meant: they are to be broken up. */
function changeMarkerPmd(
  mm: Mm,
  vma: Vma,
  base: Addr,
  how: { readonly on: boolean; readonly isWhole: boolean },
): boolean {
  const { work } = mm.kernel;
  if (how.on !== isInverted(vma)) {
    work.count(FACT.markersKept);
    return true;
  }
  if (!how.isWhole) return false;
  mm.pages.clearHuge(base);
  work.count(FACT.pmdMarkersZapped);
  return true;
}

/**
 * Puts a marker (or the zero page, protected) wherever nothing is in [from, to), which lies within 2 MiB. The table is made, unless all 2 MiB can be
 * marked without one.
 */
function markBlank(mm: Mm, from: Addr, to: Addr, how: Features['wpUnpopulated']): void {
  const { pages } = mm;
  const { work } = mm.kernel;
  if (how === 'pmdMarkers' && to - from === PMD_SIZE && pages.pmd(from) === NONE) {
    pages.setHuge(from, MARKER_PMD, MARKER_UFFD_WP);
    work.count(FACT.pmdMarkersSet);
    return;
  }
  pages.makeTable(from);
  const isZero = how === 'populateZero';
  const [low, high] = isZero ? [ZERO_PAGE | YOUNG | UFFD_WP, 0] : [MARKER, MARKER_UFFD_WP];
  const fact = isZero ? FACT.ptesSet : FACT.markersSet;
  if (pages.isBlank(from, to)) {
    pages.fillAlike(from, to, low, high);
    work.count(fact, (to - from) / PAGE_SIZE);
    return;
  }
  for (let addr = from; addr < to; addr += PAGE_SIZE) {
    if (pages.low(addr) !== NONE) continue;
    pages.set(addr, low, high);
    work.count(fact);
  }
}
