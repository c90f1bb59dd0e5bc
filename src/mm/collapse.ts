/**
 * MADV_COLLAPSE: 2 MiB of small pages become one huge page.
 *
 * Anonymous memory needs a table (an empty one will do); the table becomes the deposit of the new mapping. Of shared memory the page cache is
 * collapsed, which needs at least one page there: every mapping loses its entries (and its table, where nothing of the program's own is in it),
 * and this one gets the huge page.
 *
 * Linux   mm/khugepaged.c: madvise_collapse, collapse_huge_page, collapse_file, retract_page_tables, collapse_pte_mapped_thp
 * Left out   khugepaged itself, which would do the same in the background
 */
import { EAGAIN, EBUSY, EINVAL } from '../abi/errno.ts';
import { type Addr, ceilTo, floorTo, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import {
  FRAME_ANON,
  FRAME_CACHED,
  FRAME_DIRTY,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  HUGE_PAGES,
} from './frames.ts';
import { mapHugeFile, unmapEverywhere } from './hugeMemory.ts';
import type { PageRange } from './madvisePages.ts';
import type { Mm } from './mm.ts';
import {
  EMPTY_TABLE,
  EXCLUSIVE,
  HUGE,
  isGuard,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_POISON,
  MARKER_PURGED,
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
import { linearIndex, releaseEntry } from './rmap.ts';
import { isInverted, storeBits } from './storeBits.ts';
import { readIntoCache, swapIn } from './swapFault.ts';
import { type FileObject, isAnonymousVma, isSharedMemory, nrPagesOf, type Vma } from './vma.ts';
import { VM_MAYBE_GUARD, VM_NOHUGEPAGE, VM_UFFD_MISSING, VM_UFFD_WP, VM_WRITE } from './vmFlags.ts';
import { FACT } from './work.ts';

/**
 * Tells whether the vma could ever hold a huge page: not refused by advice, a whole 2 MiB fits, anonymous memory was written, a file is shared
 * memory mapped at a fitting offset. Linux: thp_vma_allowable_order()
 */
function isCollapsible(vma: Vma): boolean {
  if (vma.flags & VM_NOHUGEPAGE) return false;
  if (ceilTo(vma.start, PMD_SIZE) + PMD_SIZE > vma.end) return false;
  if (isAnonymousVma(vma)) return vma.anonVma !== null;
  const object = vma.file?.object;
  return (
    object !== undefined && isSharedMemory(object) && (vma.start - vma.pgoff * PAGE_SIZE) % PMD_SIZE === 0
  );
}

/** Shared memory comes out of it dirty, whatever it was. */
const COLLAPSED_SHMEM = FRAME_CACHED | FRAME_SHMEM | FRAME_SWAPBACKED | FRAME_DIRTY;

/**
 * What came of a window: a huge page, or not, and then whether the windows after it are still tried (`held`: the kernel has a page of it in use); `busy`
 * stops with another error.
 */
type Collapse = 'collapsed' | 'skipped' | 'held' | 'stops' | 'busy';

/**
 * MADV_COLLAPSE: every whole 2 MiB window of the range becomes one huge page. The first that cannot ends it, but for guards in files and pages that
 * are in use: of those the last one is told.
 */
export function collapseRange(mm: Mm, vma: Vma, range: PageRange): SysResult {
  if (mm.thpDisabled === 'all' || !isCollapsible(vma)) return refused(EINVAL, 'no-huge-page');
  const first = ceilTo(range.start, PMD_SIZE);
  const last = floorTo(range.end, PMD_SIZE);
  // Both roundings inside one window: the kernel's count of windows is then -1 and never reached.
  if (last < first) return refused(EINVAL, 'no-huge-page');
  let failed: SysResult | null = null;
  for (let base = first; base < last; base += PMD_SIZE) {
    const came = isAnonymousVma(vma) ? collapseWindow(mm, vma, base) : collapseFileWindow(mm, vma, base);
    if (came === 'busy') return refused(EBUSY, 'no-huge-page');
    if (came === 'stops') return refused(EINVAL, 'no-huge-page');
    if (came === 'collapsed') mm.kernel.work.count(FACT.windowsCollapsed);
    if (came === 'skipped') failed = refused(EINVAL, 'no-huge-page');
    if (came === 'held') failed = refused(EAGAIN, 'no-huge-page');
  }
  return failed ?? OK;
}

/** Fills one 2 MiB window with pages of its own, unless there is no table, or a guard in it. An empty table will do, and read-only access. */
function collapseWindow(mm: Mm, vma: Vma, base: Addr): Collapse {
  const { pages, kernel } = mm;
  const { frames, swap, work } = kernel;
  if (isMarkerPmd(pages.pmd(base))) return 'skipped';
  if (pages.pmd(base) & HUGE) return 'collapsed';
  if (!pages.hasPmdPage(base)) return 'skipped';
  if (!pages.hasTable(base)) return 'stops';
  const verdict = scanVerdict(mm, vma, base);
  if (verdict !== null) return verdict;
  const guard = firstGuard(mm, base);
  if (guard !== null) {
    // It is met where pages are read from swap: those before it are there from now on.
    for (let addr = base; addr < guard; addr += PAGE_SIZE)
      if ((pages.low(addr) & KIND_MASK) === SWAP) swapIn(mm, vma, addr, false);
    return 'stops';
  }
  const flags = FRAME_ANON | FRAME_SWAPBACKED;
  const head = frames.allocateLarge(flags, vma.anonVma?.id ?? 0, linearIndex(vma, base));
  work.count(FACT.pagesAllocated, HUGE_PAGES);
  work.count(FACT.hugePagesAllocated);
  pages.transform(base, base + PMD_SIZE, (low, high, index) => {
    const to = head + index;
    const kind = low & KIND_MASK;
    if (kind === PRESENT) {
      frames.contents.copy(high, to);
      work.count(FACT.pagesCopied);
    } else if (kind === SWAP) {
      frames.contents.restore(to, swap.content(high));
      // What others refer to as well was read into the swap cache, and stays there for them.
      if (swap.count(high) > 1) readIntoCache(kernel, high);
    }
    releaseEntry(mm, low, high);
    return NONE;
  });
  const write = vma.flags & VM_WRITE ? WRITE : 0;
  pages.depositTable(base, PRESENT | write | storeBits(mm, vma) | YOUNG | EXCLUSIVE, head);
  frames.addEntire(head, mm.id);
  kernel.tlb.flush(mm, base, base + PMD_SIZE, true);
  mm.rssAnon += HUGE_PAGES;
  return 'collapsed';
}

/**
 * Tells what there is against collapsing: a page that user space would be asked for, one that is protected, or one that the kernel has in use; the first one
 * decides. Linux: hpage_collapse_scan_pmd()
 */
function scanVerdict(mm: Mm, vma: Vma, base: Addr): 'busy' | 'skipped' | 'held' | null {
  const { pages } = mm;
  const { frames } = mm.kernel;
  // Of one huge page it could not be told which part was written.
  if (isInverted(vma)) return 'skipped';
  for (let addr = base; addr < base + PMD_SIZE; addr += PAGE_SIZE) {
    const low = pages.low(addr);
    const kind = low & KIND_MASK;
    if (vma.uffd !== null && (kind === NONE || kind === ZERO_PAGE)) return 'busy';
    if (low & UFFD_WP || (kind === MARKER && pages.high(addr) === MARKER_UFFD_WP)) return 'skipped';
    if (kind === PRESENT && frames.isPinned(pages.high(addr))) return 'held';
  }
  return null;
}

/** Returns where the first page is that is a guard, poisoned or purged, or null. */
function firstGuard(mm: Mm, base: Addr): Addr | null {
  let found: Addr | null = null;
  mm.pages.transform(base, base + PMD_SIZE, (low, high, index) => {
    const isMarked = (low & KIND_MASK) === MARKER && (high & (MARKER_POISON | MARKER_PURGED)) !== 0;
    if (isGuard(low, high) || isMarked) found ??= base + index * PAGE_SIZE;
    return low;
  });
  return found;
}

function collapseFileWindow(mm: Mm, vma: Vma, base: Addr): Collapse {
  const object = vma.file?.object;
  if (object === undefined) return 'stops';
  const first = linearIndex(vma, base);
  const before = mm.pages.pmd(base);
  if (before & HUGE) return 'collapsed';
  if (hasHeldPage(mm, object, first)) return 'held';
  if (hasMissingAsked(mm, object, first)) {
    // That is found out last, when every page has been taken out of the tables, and read from swap.
    for (const pgoff of [...mm.kernel.sharedSwap.pagesOf(object)])
      if (pgoff >= first && pgoff < first + HUGE_PAGES) mm.kernel.cache.page(object, pgoff);
    unmapCached(mm, object, first);
    return 'busy';
  }
  if (!collapseObject(mm, object, first)) return 'stops';
  // The table stays where protection is kept in it.
  if (vma.flags & VM_UFFD_WP) return 'skipped';
  const inTheWay = whatIsInTheWay(mm, base);
  if (inTheWay !== null) return inTheWay;
  if ((mm.pages.pmd(base) & KIND_MASK) === EMPTY_TABLE) mm.pages.freeTable(base);
  const head = mm.kernel.cache.find(object, first);
  if (head !== null) mapHugeFile(mm, vma, base, head, false);
  return 'collapsed';
}

/** Takes the pages of the window that are in the page cache out of all tables; other entries stay. Linux: try_to_unmap() in collapse_file() */
function unmapCached(mm: Mm, object: FileObject, first: number): void {
  for (let pgoff = first; pgoff < first + HUGE_PAGES; pgoff++) {
    const pfn = mm.kernel.cache.find(object, pgoff);
    if (pfn !== null) unmapEverywhere(mm, pfn);
  }
}

/** Tells whether the kernel has one of the small pages of the window in use. Linux: hpage_collapse_scan_file() */
function hasHeldPage({ kernel }: Mm, object: FileObject, first: number): boolean {
  const { frames } = kernel;
  if (!frames.hasPins) return false;
  for (let pgoff = first; pgoff < first + HUGE_PAGES; pgoff++) {
    const pfn = kernel.cache.find(object, pgoff);
    if (pfn !== null && !frames.isLarge(pfn) && frames.isPinned(pfn)) return true;
  }
  return false;
}

/** Tells whether a page of the window, but not every page, is missing in the file, and user space is to be asked for missing pages of it. */
function hasMissingAsked(mm: Mm, object: FileObject, first: number): boolean {
  const { kernel } = mm;
  const isAsked = [...object.vmas].some(
    (other) =>
      (other.flags & VM_UFFD_MISSING) !== 0 &&
      // Linux: the tree is asked up to and with the page behind the window.
      other.pgoff <= first + HUGE_PAGES &&
      other.pgoff + nrPagesOf(other) > first,
  );
  if (!isAsked) return false;
  const there = Array.from({ length: HUGE_PAGES }, (_, i) => first + i).filter(
    (pgoff) => kernel.cache.has(object, pgoff) || kernel.sharedSwap.slotOf(object, pgoff) !== null,
  );
  return there.length > 0 && there.length < HUGE_PAGES;
}

/** A guard lets the next window be tried, a page of the program's own does not. */
function whatIsInTheWay(mm: Mm, base: Addr): 'skipped' | 'stops' | null {
  let found: 'skipped' | 'stops' | null = null;
  mm.pages.transform(base, base + PMD_SIZE, (low, high) => {
    found ??= isGuard(low, high) ? 'skipped' : 'stops';
    return low;
  });
  return found;
}

/** Makes pages `first` to first+511 of `object` one huge folio of the page cache. Returns false if none of them is there. */
function collapseObject(mm: Mm, object: FileObject, first: number): boolean {
  const { kernel } = mm;
  const { frames, work } = kernel;
  for (const pgoff of [...kernel.sharedSwap.pagesOf(object)])
    if (pgoff >= first && pgoff < first + HUGE_PAGES) kernel.cache.page(object, pgoff);
  const cached = Array.from({ length: HUGE_PAGES }, (_, i) => kernel.cache.find(object, first + i));
  const [head] = cached;
  if (cached.every((pfn) => pfn === null)) return false;
  if (head !== null && head !== undefined && frames.isLarge(head)) return true;
  unmapCached(mm, object, first);
  retractTables(object, first);
  const large = frames.allocateLarge(COLLAPSED_SHMEM, object.id, first);
  work.count(FACT.pagesAllocated, HUGE_PAGES);
  work.count(FACT.hugePagesAllocated);
  cached.forEach((pfn, i) => {
    if (pfn === null) return;
    frames.contents.copy(pfn, large + i);
    work.count(FACT.pagesCopied);
  });
  kernel.cache.drop(object, first, first + HUGE_PAGES);
  for (let i = 0; i < HUGE_PAGES; i++) kernel.cache.add(object, first + i, large + i);
  return true;
}

/**
 * Frees the tables, now empty, through which vmas mapped the window at `first`; not those of vmas that have pages of their own, or that had
 * guards at any time.
 */
function retractTables(object: FileObject, first: number): void {
  for (const vma of object.vmas) {
    const { mm } = vma;
    if (mm === null || vma.anonVma !== null || vma.flags & (VM_UFFD_WP | VM_MAYBE_GUARD)) continue;
    const base = vma.start + (first - vma.pgoff) * PAGE_SIZE;
    if (base % PMD_SIZE !== 0 || base < vma.start || base + PMD_SIZE > vma.end) continue;
    if ((mm.pages.pmd(base) & KIND_MASK) === EMPTY_TABLE) mm.pages.freeTable(base);
  }
}
