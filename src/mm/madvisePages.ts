/**
 * The advice that works on pages: discard, guard markers, page-out, holes in files, collapse into huge pages.
 *
 * Linux   mm/madvise.c, mm/khugepaged.c; spec/vma.md 10
 * Left out   lazy freeing (an MADV_FREEd page counts as there until memory gets short), the order of the LRU lists
 */
import { EINVAL } from '../abi/errno.ts';
import { type Addr, ceilTo, floorTo, nrPagesIn, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import type { Mm } from './mm.ts';
import type { PteKind } from './pageTable.ts';
import { OK, refused, type SysResult } from './result.ts';
import { type FileObject, isAnonymousVma, type Vma } from './vma.ts';
import { VM_MAYBE_GUARD, VM_NOHUGEPAGE } from './vmFlags.ts';

/** MADV_DONTNEED: the pages go, guard markers stay, tables left empty over whole 2 MiB go too (CONFIG_PT_RECLAIM). */
export function discardRange(mm: Mm, start: Addr, end: Addr): SysResult {
  mm.pages.zap(start, end, { keepGuards: true });
  mm.pages.freeTables(start, end, start, end);
  return OK;
}

/** MADV_COLD changes only the order of the LRU lists, which are not kept. */
export const coldRange = (): SysResult => OK;

/** MADV_PAGEOUT: anonymous pages mapped once go to swap, if there is any. */
export function pageOutRange(mm: Mm, start: Addr, end: Addr): SysResult {
  if (mm.kernel.config.totalSwapPages === 0) return OK;
  const { frames } = mm.kernel;
  mm.pages.forEach(start, end, (addr, kind, frame) => {
    if (kind === 'anon' && frames.mapcount(frame) === 1) mm.pages.retype(addr, 'swap');
  });
  return OK;
}

/** MADV_GUARD_INSTALL: a marker in every page, pages there are freed. The whole vma is flagged; anonymous ones get their anon_vma. */
export function installGuards(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }): SysResult {
  vma.flags |= VM_MAYBE_GUARD;
  const { kernel } = mm;
  if (isAnonymousVma(vma)) prepareAnonVma(kernel, vma);
  kernel.emit?.({
    kind: 'flags',
    op: kernel.opNr,
    mm: mm.id,
    vma: vma.id,
    flags: vma.flags,
    cause: 'madvise',
  });
  for (let addr = range.start; addr < range.end; addr += PAGE_SIZE) mm.pages.set(addr, 'guard');
  return OK;
}

/** MADV_GUARD_REMOVE: markers go, the flag stays. */
export function removeGuards(mm: Mm, start: Addr, end: Addr): SysResult {
  const guards: Addr[] = [];
  mm.pages.forEach(start, end, (addr, kind) => {
    if (kind === 'guard') guards.push(addr);
  });
  for (const addr of guards) mm.pages.zap(addr, addr + PAGE_SIZE, { keepGuards: false });
  return OK;
}

/** MADV_REMOVE: the file loses the pages; every mapping reads zeros afterwards. */
export function punchHole(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }): SysResult {
  const object = vma.file?.object;
  if (object === undefined) return OK;
  mm.pages.zap(range.start, range.end, { keepGuards: true });
  for (let addr = range.start; addr < range.end; addr += PAGE_SIZE) {
    const pgoff = vma.pgoff + nrPagesIn(addr - vma.start);
    // Other mappings of the page keep their entry to the same frame, so the frame is emptied rather than replaced.
    if (mm.kernel.isCached(object, pgoff)) mm.kernel.frames.setStamp(mm.kernel.cachedPage(object, pgoff), 0);
  }
  return OK;
}

/**
 * Tells whether the vma could ever hold a huge page: not refused by advice, a whole 2 MiB fits, anonymous memory was written, a file is shared
 * memory mapped at a fitting offset. Linux: thp_vma_allowable_order()
 */
function isCollapsible(vma: Vma): boolean {
  if (vma.flags & VM_NOHUGEPAGE) return false;
  if (ceilTo(vma.start, PMD_SIZE) + PMD_SIZE > vma.end) return false;
  if (isAnonymousVma(vma)) return vma.anonVma !== null;
  return isSharedMemory(vma.file?.object.kind) && (vma.start - vma.pgoff * PAGE_SIZE) % PMD_SIZE === 0;
}

const isSharedMemory = (kind: FileObject['kind'] | undefined): boolean =>
  kind === 'shmem' || kind === 'memfd' || kind === 'sysv';

/** What came of a window: a huge page, or not, and then whether the windows after it are still tried. */
type Collapse = 'collapsed' | 'skipped' | 'stops';

/** MADV_COLLAPSE: every whole 2 MiB window of the range becomes one huge page. The first that cannot ends it, but for guards in files. */
export function collapseRange(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }): SysResult {
  if (!isCollapsible(vma)) return refused(EINVAL, 'no-huge-page');
  const first = ceilTo(range.start, PMD_SIZE);
  const last = floorTo(range.end, PMD_SIZE);
  // Both roundings inside one window: the kernel's count of windows is then -1 and never reached.
  if (last < first) return refused(EINVAL, 'no-huge-page');
  let skipped = false;
  for (let base = first; base < last; base += PMD_SIZE) {
    const came = isAnonymousVma(vma) ? collapseWindow(mm, base) : collapseFileWindow(mm, vma, base);
    if (came === 'stops') return refused(EINVAL, 'no-huge-page');
    skipped ||= came === 'skipped';
  }
  return skipped ? refused(EINVAL, 'no-huge-page') : OK;
}

/** Fills one 2 MiB window with pages of its own, unless there is no table, or a guard in it. An empty table will do, and read-only access. */
function collapseWindow(mm: Mm, base: Addr): Collapse {
  if (!mm.pages.hasTable(base)) return 'stops';
  let guards = 0;
  let zeros = 0;
  mm.pages.forEach(base, base + PMD_SIZE, (_addr, kind) => {
    if (kind === 'guard') guards++;
    else if (kind === 'zero') zeros++;
  });
  if (guards > 0) return 'stops';
  // 2 MiB of the zero page came as one huge page and stay so.
  if (zeros === PMD_SIZE / PAGE_SIZE) return 'collapsed';
  const { frames } = mm.kernel;
  for (let addr = base; addr < base + PMD_SIZE; addr += PAGE_SIZE) {
    const kind = mm.pages.kind(addr);
    const stamp = kind === 'anon' || kind === 'swap' ? frames.stamp(mm.pages.frame(addr)) : 0;
    mm.pages.set(addr, 'anon', frames.allocate(stamp));
  }
  return 'collapsed';
}

/**
 * Shared memory: collapsing works on the page cache, which needs at least one page of the window, and then maps all of it here, unless there
 * is a guard or a page of the program's own.
 */
function collapseFileWindow(mm: Mm, vma: Vma, base: Addr): Collapse {
  const object = vma.file?.object;
  if (object === undefined) return 'stops';
  const { kernel } = mm;
  const first = vma.pgoff + nrPagesIn(base - vma.start);
  const window = Array.from({ length: PMD_SIZE / PAGE_SIZE }, (_, i) => first + i);
  if (!window.some((pgoff) => kernel.isCached(object, pgoff))) return 'stops';
  const frames = window.map((pgoff) => kernel.cachedPage(object, pgoff));
  let inTheWay: PteKind | null = null;
  mm.pages.forEach(base, base + PMD_SIZE, (_addr, kind) => {
    if (kind !== 'file') inTheWay ??= kind;
  });
  if (inTheWay !== null) return inTheWay === 'guard' ? 'skipped' : 'stops';
  for (const [i, frame] of frames.entries()) mm.pages.set(base + i * PAGE_SIZE, 'file', frame);
  return 'collapsed';
}
