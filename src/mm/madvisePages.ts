/**
 * The advice that discards, marks or moves pages: DONTNEED, guard markers, holes in files, COLD, PAGEOUT. FREE and COLLAPSE have files of their own.
 *
 * Linux   mm/madvise.c; spec/vma.md 10, spec/pt-reclaim.md 2
 * Left out   the order of the LRU lists; PAGEOUT of pages of files on disks
 */
import { EPERM } from '../abi/errno.ts';
import { F_SEAL_FUTURE_WRITE, F_SEAL_WRITE } from '../abi/fcntl.ts';
import { Unmodelled } from '../base/assert.ts';
import { type Addr, PAGE_SIZE, type Pgoff, PMD_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import {
  FRAME_ACTIVE,
  FRAME_DIRTY,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  HUGE_PAGES,
  headOf,
  type Pfn,
} from './frames.ts';
import { dissolveFolio, splitFolio, splitPmd, swapOutFolio, unmapFolio } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { punchObject } from './pageCache.ts';
import {
  DIRTY,
  EXCLUSIVE,
  HUGE,
  isGuard,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_UFFD_WP,
  NONE,
  PRESENT,
  SOFT_DIRTY,
  SWAP,
  UFFD_WP,
  YOUNG,
} from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { linearIndex, releaseEntry } from './rmap.ts';
import { TlbGather } from './tlb.ts';
import { type FileObject, isAnonymousVma, type Vma } from './vma.ts';
import { VM_DROPPABLE, VM_MAYBE_GUARD } from './vmFlags.ts';
import { isVolatileAt } from './vrange.ts';
import { PurgeVisit } from './vrangePurge.ts';
import { FACT } from './work.ts';
import { DISCARD, isProtectionKept, zapRange } from './zap.ts';

/** A range of one vma, in bytes. */
export interface PageRange {
  readonly start: Addr;
  readonly end: Addr;
}

/** MADV_DONTNEED: the pages go, guard markers stay, tables left empty over whole 2 MiB go too (CONFIG_PT_RECLAIM). */
export function discardRange(mm: Mm, vma: Vma, range: PageRange): SysResult {
  zapRange(mm, vma, range.start, range.end, DISCARD);
  return OK;
}

/**
 * Makes whole what advice is about to work on page by page: a huge folio of which only a part lies in the range is broken up, unless another
 * process maps it too. Calls `each` for every present page that is left alone here, once for 2 MiB that are mapped at once and lie in the range.
 */
export function forEachAdvised(
  mm: Mm,
  range: PageRange,
  each: {
    readonly huge: (base: Addr, pmd: number) => void;
    readonly page: (addr: Addr, low: number, pfn: Pfn) => void;
  },
): void {
  const { pages } = mm;
  const tlb = new TlbGather(mm);
  pages.forEachSlot(range.start, range.end, (base, pmd) => {
    const from = Math.max(range.start, base);
    const to = Math.min(range.end, base + PMD_SIZE);
    if (pmd & HUGE) {
      if ((pmd & KIND_MASK) !== PRESENT || mm.kernel.frames.isMaybeShared(pages.pmdHigh(base))) return;
      if (to - from === PMD_SIZE) {
        each.huge(base, pmd);
        tlb.changed(base, to);
        return;
      }
      // What the kernel holds at the moment cannot be broken up.
      if (mm.kernel.frames.isInUse(pages.pmdHigh(base))) return;
      splitFolio(mm, pages.pmdHigh(base));
    }
    const large = largeFolios(mm, from, to);
    const { frames } = mm.kernel;
    for (const [head, n] of large)
      if (n < HUGE_PAGES && !frames.isMaybeShared(head) && !frames.isInUse(head)) splitFolio(mm, head);
    const present: number[] = [];
    pages.transformTable(from, to, (low, high, index) => {
      const isLeftAlone = (): boolean => large.get(headOf(high)) !== HUGE_PAGES || isSharedLarge(mm, high);
      if ((low & KIND_MASK) === PRESENT && !(mm.kernel.frames.isLarge(high) && isLeftAlone()))
        present.push(index, low, high);
      return low;
    });
    for (let i = 0; i < present.length; i += 3)
      each.page(
        base + (present[i] as number) * PAGE_SIZE,
        present[i + 1] as number,
        present[i + 2] as number,
      );
    if (present.length > 0) tlb.changed(from, to);
  });
  tlb.finish();
}

/** A huge folio all of whose pages this process maps: if there are more mappings, they are another's. */
const isSharedLarge = (mm: Mm, pfn: Pfn): boolean => mm.kernel.frames.folioMapcount(pfn) !== HUGE_PAGES;

/**
 * Returns the huge folios that [from, to) maps by ptes: the first page of each, and how many of its pages; none where some are protected by userfaultfd and
 * some are not, since only entries that are alike are taken together. Linux: madvise_folio_pte_batch()
 */
function largeFolios(mm: Mm, from: Addr, to: Addr): ReadonlyMap<Pfn, number> {
  const { frames } = mm.kernel;
  const seen = new Map<Pfn, number>();
  const bits = new Map<Pfn, number>();
  mm.pages.transformTable(from, to, (low, high) => {
    if ((low & KIND_MASK) !== PRESENT || !frames.isLarge(high)) return low;
    const head = headOf(high);
    seen.set(head, (seen.get(head) ?? 0) + 1);
    bits.set(head, (bits.get(head) ?? 0) | (low & UFFD_WP ? 1 : 2));
    return low;
  });
  for (const [head, alike] of bits) if (alike === 3) seen.set(head, 0);
  return seen;
}

/** Returns the first pages of the huge folios of which [start, end) maps a part. */
export function hugeFoliosIn(mm: Mm, { start, end }: PageRange): Pfn[] {
  const heads: Pfn[] = [];
  mm.pages.forEachSlot(start, end, (base, pmd) => {
    if ((pmd & HUGE) === 0)
      heads.push(...largeFolios(mm, Math.max(start, base), Math.min(end, base + PMD_SIZE)).keys());
    else if ((pmd & KIND_MASK) === PRESENT) heads.push(mm.pages.pmdHigh(base));
  });
  return heads;
}

/** MADV_COLD: pages that only this process maps count as not used lately. */
export function coldRange(mm: Mm, range: PageRange): SysResult {
  const { frames, work } = mm.kernel;
  forEachAdvised(mm, range, {
    huge: (base, pmd) => {
      mm.pages.setHugeLow(base, pmd & ~YOUNG);
      frames.clearAccessed(mm.pages.pmdHigh(base));
      work.count(FACT.pagesDeactivated, HUGE_PAGES);
    },
    page: (addr, low, pfn) => {
      if (!frames.isLarge(pfn) && frames.mapcount(pfn) !== 1) return;
      mm.pages.setLow(addr, low & ~YOUNG);
      frames.clearAccessed(pfn);
      work.count(FACT.pagesDeactivated);
    },
  });
  return OK;
}

/**
 * MADV_PAGEOUT: anonymous pages that only this process maps go to swap, those that were freed lazily and not written since are dropped; without
 * swap only the latter, and huge pages are broken up in vain. Pages of shared memory leave the table and stay in the file.
 */
export function pageOutRange(mm: Mm, vma: Vma, range: PageRange): SysResult {
  const { frames } = mm.kernel;
  const visit = new PurgeVisit(mm, range, 'pageout');
  const isPurged = (addr: Addr): boolean => isVolatileAt(mm, addr) && visit.page(addr) === 'purged';
  forEachAdvised(mm, range, {
    huge: (base, pmd) => pageOutHuge(vma, base, pmd, isPurged),
    page: (addr, _low, pfn) => {
      if (isPurged(addr)) return;
      if (!frames.isLarge(pfn) && frames.mapcount(pfn) !== 1) return;
      frames.clearAccessed(pfn);
      if (frames.isAnon(pfn)) pageOut(mm, vma, addr);
      else if (!frames.isLarge(pfn)) pageOutShared(mm, vma, addr);
      else if (pfn === headOf(pfn)) pageOutFolio(mm, pfn);
    },
  });
  visit.finish();
  return OK;
}

/** A huge page is swapped out whole, or dropped; where there is no room for all of it, it is broken up first. Volatile pages of it are purged. */
function pageOutHuge(vma: Vma, base: Addr, pmd: number, isPurged: (addr: Addr) => boolean): void {
  const mm = vma.mm as Mm;
  const { frames } = mm.kernel;
  const head = mm.pages.pmdHigh(base);
  frames.clearAccessed(head);
  if (!frames.isAnon(head)) {
    pageOutFolio(mm, head);
    return;
  }
  if (frames.isInUse(head)) return;
  const addrs = Array.from({ length: HUGE_PAGES }, (_, i) => base + i * PAGE_SIZE);
  if ((frames.flags(head) & FRAME_SWAPBACKED) === 0) {
    splitPmd(mm, vma, base);
    if (isToBeKept(vma, pmd))
      for (let i = 0; i < HUGE_PAGES; i++) frames.setFlags(head + i, FRAME_SWAPBACKED);
    else for (const addr of addrs) if (!isPurged(addr)) drop(mm, addr);
    return;
  }
  if (mayPageOut(mm, HUGE_PAGES)) {
    splitPmd(mm, vma, base);
    dissolveFolio(mm, head);
  } else splitFolio(mm, head);
  for (const addr of addrs) {
    if (!isPurged(addr)) pageOut(mm, vma, addr);
  }
}

/** Tells whether a lazily freed page that was written again is kept; droppable memory never is. */
const isToBeKept = (vma: Vma, bits: number): boolean =>
  (bits & DIRTY) !== 0 && (vma.flags & VM_DROPPABLE) === 0;

/**
 * A page of a file on a disk leaves the table, and the page cache if it is clean, where it is known that it was there; a page of shared memory leaves the
 * table, and goes to swap if there is room; one that was never written leaves the file, which is
 * a hole again. Protection by userfaultfd stays.
 */
function pageOutShared(mm: Mm, vma: Vma, addr: Addr): void {
  const { frames, objects } = mm.kernel;
  const pfn = mm.pages.high(addr);
  const [index, object] = [frames.index(pfn), objects.get(frames.owner(pfn))];
  const isShared = (frames.flags(pfn) & FRAME_SHMEM) !== 0;
  if (object === undefined || !(isShared || object.isInMemory)) return;
  const low = mm.pages.low(addr);
  drop(mm, addr);
  if (low & UFFD_WP && isProtectionKept(vma)) mm.pages.set(addr, MARKER, MARKER_UFFD_WP);
  if (frames.isPinned(pfn)) frames.setFlags(pfn, FRAME_ACTIVE);
  else if ((frames.flags(pfn) & FRAME_DIRTY) === 0) mm.kernel.cache.evict(object, index);
  else if (isShared && !mm.kernel.cache.swapOut(object, index)) frames.setFlags(pfn, FRAME_ACTIVE);
}

/**
 * A huge folio of shared memory leaves all tables, and goes to swap whole; where there is no room for all of it, it is broken up, and goes as far as there is.
 * Linux: shmem_writeout()
 */
function pageOutFolio(mm: Mm, head: Pfn): void {
  const { kernel } = mm;
  const { frames, objects, swap } = kernel;
  const [first, object] = [frames.index(head), objects.get(frames.owner(head))];
  if (object === undefined || (frames.flags(head) & FRAME_SHMEM) === 0) return;
  unmapFolio(mm, head);
  if (frames.isInUse(head) || swap.totalPages === 0) {
    frames.setFlags(head, FRAME_ACTIVE);
    return;
  }
  if (swapOutFolio(mm, head)) return;
  if (frames.isLarge(head)) dissolveFolio(mm, head);
  // The first page goes on its way, the others stand in line, the last of them in front.
  for (let i = HUGE_PAGES; i > 0; i--) {
    const n = i % HUGE_PAGES;
    if (kernel.cache.has(object, first + n) && !kernel.cache.swapOut(object, first + n))
      frames.setFlags(head + n, FRAME_ACTIVE);
  }
}

/** Empties an entry that maps a page. */
function drop(mm: Mm, addr: Addr): void {
  releaseEntry(mm, mm.pages.low(addr), mm.pages.high(addr));
  mm.pages.set(addr, NONE, 0);
}

const mayPageOut = (mm: Mm, pages: number): boolean =>
  mm.kernel.swap.nrUsed + pages <= mm.kernel.swap.totalPages;

function pageOut(mm: Mm, vma: Vma, addr: Addr): void {
  const { pages, kernel } = mm;
  const { frames, swap, work } = kernel;
  const low = pages.low(addr);
  const pfn = pages.high(addr);
  if ((low & KIND_MASK) !== PRESENT || frames.isPinned(pfn)) return;
  const lazyFree = (frames.flags(pfn) & FRAME_SWAPBACKED) === 0;
  const dirty = low & DIRTY || frames.flags(pfn) & FRAME_DIRTY ? DIRTY : 0;
  if (lazyFree && !isToBeKept(vma, dirty)) {
    drop(mm, addr);
    return;
  }
  // Freed lazily and written since: it counts again, and only the next one takes it. The page itself knows that it is dirty now.
  if (lazyFree) {
    frames.setFlags(pfn, FRAME_SWAPBACKED | FRAME_DIRTY);
    return;
  }
  const kept = swap.slotOf(pfn);
  const slot = kept ?? swap.allocate(frames.contents.save(pfn));
  if (slot === null) {
    frames.setFlags(pfn, FRAME_ACTIVE);
    return;
  }
  work.count(FACT.pagesSwappedOut);
  if (swap.isZeroFilled(slot)) work.count(FACT.zerosSwappedOut);
  if (kept !== null) {
    swap.dup(slot, frames.contents.save(pfn));
    swap.forget(frames, pfn);
  }
  releaseEntry(mm, low, pfn);
  mm.nrSwap++;
  pages.set(addr, SWAP | (low & (EXCLUSIVE | UFFD_WP | SOFT_DIRTY)), slot);
}

/** MADV_GUARD_INSTALL: a marker in every page, pages there are freed. The whole vma is flagged; anonymous ones get their anon_vma. */
export function installGuards(mm: Mm, vma: Vma, range: PageRange): SysResult {
  vma.flags |= VM_MAYBE_GUARD;
  const { kernel, pages } = mm;
  if (isAnonymousVma(vma)) prepareAnonVma(kernel, vma);
  kernel.emit?.({
    kind: 'flags',
    op: kernel.opNr,
    mm: mm.id,
    vma: vma.id,
    flags: vma.flags,
    cause: 'madvise',
  });
  zapRange(mm, vma, range.start, range.end, { dropMarkers: false, reclaimTables: false });
  for (let addr = range.start; addr < range.end; addr += PAGE_SIZE) {
    const kind = pages.low(addr) & KIND_MASK;
    // What protection by userfaultfd leaves behind is in the way for ever: the call tries again until it is killed.
    if (kind !== NONE && !isGuard(pages.low(addr), pages.high(addr)))
      throw new Unmodelled('guard pages over protected memory of a file', 'docs/scope.md#userfaultfd');
    if (kind !== NONE) continue;
    pages.set(addr, MARKER, MARKER_GUARD);
    kernel.work.count(FACT.markersSet);
  }
  return OK;
}

/** MADV_GUARD_REMOVE: markers go, the flag and the tables stay. */
export function removeGuards(mm: Mm, range: PageRange): SysResult {
  mm.pages.transform(range.start, range.end, (low, high) => {
    if (!isGuard(low, high)) return low;
    mm.kernel.work.count(FACT.markersZapped);
    return NONE;
  });
  return OK;
}

/** MADV_REMOVE: the file loses the pages; every mapping reads zeros afterwards, copies of private mappings stay. */
export function punchHole(kernel: Kernel, { object, first, end }: FileRange): SysResult {
  // It is fallocate that is asked, and that heeds the seals.
  if (object.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) return refused(EPERM, 'sealed');
  punchObject(kernel, object, first, end);
  return OK;
}

/** Pages of a file. */
export interface FileRange {
  readonly object: FileObject;
  readonly first: Pgoff;
  readonly end: Pgoff;
}

/** Returns what of its file a range of `vma` maps, or null. */
export const fileRangeOf = (vma: Vma, range: PageRange): FileRange | null =>
  vma.file === null
    ? null
    : {
        object: vma.file.object,
        first: linearIndex(vma, range.start),
        end: linearIndex(vma, range.end),
      };
