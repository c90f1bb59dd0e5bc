/**
 * First accesses to pages of files and shared memory.
 *
 * A load maps the page of the page cache, and with it those of its neighbours that are cached, up to 16 pages (fault-around). A store maps
 * the page writable in a shared mapping, a copy of it in a private one. Of shared memory everything is known: a page is in the page cache
 * if and only if it was touched. What of a regular file is cached nobody tells, so fault-around brings no neighbours there. The kernel's own
 * mappings, `[vdso]` and `[vvar]`, come page by page.
 *
 * Linux   mm/memory.c: do_read_fault, do_cow_fault, do_shared_fault, do_fault_around; mm/shmem.c: shmem_fault
 * Left out   readahead, large folios of file systems, file holes on disk (docs/fidelity.md)
 */
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import type { AccessRequest } from './fault.ts';
import { FRAME_DIRTY, HUGE_PAGES, headOf, type Pfn } from './frames.ts';
import { mapHugeFile } from './hugeMemory.ts';
import { isThpDisabled, type Mm } from './mm.ts';
import { isProtected } from './protectPages.ts';
import { EXCLUSIVE, KIND_MASK, NONE, PRESENT, WRITE, YOUNG, ZERO_PAGE } from './pte.ts';
import { linearIndex, mapFrame, mapNewAnon } from './rmap.ts';
import { isInverted, storeBits } from './storeBits.ts';
import { type FileObject, isSharedMemory, nrPagesOf, type Vma } from './vma.ts';
import { isSharedWritable } from './vmaAccess.ts';
import {
  VM_MAYSHARE,
  VM_PFNMAP,
  VM_SHARED,
  VM_UFFD_MASK,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
} from './vmFlags.ts';
import { FACT, type FaultName } from './work.ts';

/** Pages that a load of a file brings at most. /sys/kernel/debug/fault_around_bytes is 64 KiB. */
const FAULT_AROUND = 16;

/** Tells whether page `pgoff` lies beyond the end of `object`. */
const isBeyondEnd = (object: FileObject, pgoff: number): boolean =>
  object.size !== null && pgoff * PAGE_SIZE >= object.size;

/** What else may come of a fault: SIGBUS, or userfaultfd is to be asked, because the page is not in the file, or because it is. */
export type Unserved = 'beyond-end' | 'ask-missing' | 'ask-minor';

/**
 * Serves an access to `page`, whose entry is none, in a vma of a file that allows it.
 * @param wp  UFFD_WP where a marker says that the page is to come protected
 * @returns   how, or why not
 */
export function fileFault(
  mm: Mm,
  vma: Vma,
  page: Addr,
  request: AccessRequest,
  wp = 0,
): FaultName | Unserved {
  if (vma.flags & VM_PFNMAP) return mapWithoutFrame(mm, page);
  const { kernel } = mm;
  const object = vma.file?.object ?? kernel.image;
  const write = request.access === 'write';
  const pgoff = linearIndex(vma, page);
  const shared = (vma.flags & (VM_SHARED | VM_MAYSHARE)) !== 0;
  // The anon_vma is made before the file is asked for the page, so it stays when there is none.
  if (write && !shared) prepareAnonVma(kernel, vma);
  const shmem = isSharedMemory(object);
  // Segments of System V answer for one page at a time: shm_vm_ops has no map_pages.
  const isKnown = (shmem && object.kind !== 'sysv') || object.isInMemory;
  if (!write && isKnown && mayFaultAround(vma) && mapAround(mm, vma, page, object))
    return shmem ? 'shmem-around' : 'file';
  if (isBeyondEnd(object, pgoff)) {
    // The tables above the entry were made on the way, that of the entry itself was not.
    mm.pages.makePmdPage(page);
    return 'beyond-end';
  }
  const slot = kernel.sharedSwap.slotOf(object, pgoff);
  const isRead = slot !== null && kernel.swap.cached(slot) === 0;
  const isNew = shmem && slot === null && !kernel.cache.has(object, pgoff);
  if (shmem && vma.flags & (isNew ? VM_UFFD_MISSING : VM_UFFD_MINOR)) {
    mm.pages.makePmdPage(page);
    return isNew ? 'ask-missing' : 'ask-minor';
  }
  const pfn = kernel.cache.page(object, pgoff, (vma.flags & VM_UFFD_MASK) !== 0);
  if (isNew) kernel.work.count(FACT.pagesZeroed);
  if (write && !shared) {
    copyIntoPrivate(mm, vma, page, { pfn, stamp: request.stamp, wp });
    if (isRead) return 'swap-in';
    return shmem ? 'shmem-cow' : 'file-cow';
  }
  if (mayMapWholeFolio(mm, vma, page, pfn)) mapHugeFile(mm, vma, page, headOf(pfn), write);
  else if (wp === 0)
    mapFolio(mm, vma, page, pfn, write ? WRITE | storeBits(mm, vma) | YOUNG : bitsFor(mm, vma, false, 0));
  else mapFrame(mm, page, bitsFor(mm, vma, write, wp), pfn);
  if (write) {
    kernel.frames.setFlags(pfn, FRAME_DIRTY);
    if (request.stamp !== null && (wp === 0 || isInverted(vma))) kernel.frames.setStamp(pfn, request.stamp);
  }
  if (!shmem) return 'file';
  if (isRead) return 'swap-in';
  return isNew ? 'shmem-new' : 'shmem-cached';
}

/** A page of `[vvar]`: the entry points to memory that is no page of the program, so nothing counts it. Linux: vmf_insert_pfn(). */
function mapWithoutFrame(mm: Mm, page: Addr): FaultName {
  mm.pages.set(page, ZERO_PAGE | YOUNG, 0);
  mm.kernel.work.count(FACT.ptesSet);
  return 'file';
}

/** Tells whether a load may bring neighbours along: not where userfaultfd wants to know of each page. Linux: uffd_disable_fault_around() */
const mayFaultAround = (vma: Vma): boolean => (vma.flags & (VM_UFFD_WP | VM_UFFD_MINOR)) === 0;

/** The bits of the entry of a page of the page cache. */
function bitsFor(mm: Mm, vma: Vma, write: boolean, wp: number): number {
  const bits = wp | (write ? WRITE | storeBits(mm, vma) : sharedWrite(vma));
  return YOUNG | (isProtected(vma, bits) ? bits & ~WRITE : bits);
}

const sharedWrite = (vma: Vma): number => (isSharedWritable(vma) ? WRITE : 0);

function copyIntoPrivate(
  mm: Mm,
  vma: Vma,
  page: Addr,
  from: { readonly pfn: Pfn; readonly stamp: number | null; readonly wp: number },
): void {
  const { frames, work } = mm.kernel;
  const bits = from.wp | storeBits(mm, vma);
  const writable = isProtected(vma, bits) ? 0 : WRITE;
  const copy = mapNewAnon(mm, vma, page, bits | writable | YOUNG | EXCLUSIVE);
  frames.contents.copy(from.pfn, copy);
  work.count(FACT.pagesCopied);
  if (from.stamp !== null && writable !== 0) frames.setStamp(copy, from.stamp);
}

/** Tells whether the huge folio of the page cache that `pfn` is part of lies whole, and aligned, in the vma around `page`. */
function isFolioWhole(mm: Mm, vma: Vma, page: Addr, pfn: Pfn): boolean {
  if (!mm.kernel.frames.isLarge(pfn)) return false;
  const base = page - (page % PMD_SIZE);
  return base >= vma.start && base + PMD_SIZE <= vma.end && linearIndex(vma, base) % HUGE_PAGES === 0;
}

/** Tells whether a huge folio of the page cache can be mapped here at once. Linux: do_set_pmd(). */
const mayMapWholeFolio = (mm: Mm, vma: Vma, page: Addr, pfn: Pfn): boolean =>
  isFolioWhole(mm, vma, page, pfn) && mm.pages.pmd(page) === NONE && !isThpDisabled(mm, vma.flags);

/**
 * Maps a page of the page cache; of shared memory all pages of its folio that is whole here, if nothing is mapped there yet and userfaultfd does not
 * look on. Linux: finish_fault()
 */
function mapFolio(mm: Mm, vma: Vma, page: Addr, pfn: Pfn, bits: number): void {
  const isWatched = (vma.flags & VM_UFFD_MASK) !== 0;
  const [first, pages] = isWatched ? [page, 1] : entriesOf(mm, vma, page, pfn);
  if (pages === 1 || !mm.pages.isBlank(first, first + pages * PAGE_SIZE)) {
    mapFrame(mm, page, bits, pfn);
    return;
  }
  const object = vma.file?.object as FileObject;
  for (let addr = first; addr < first + pages * PAGE_SIZE; addr += PAGE_SIZE)
    mapFrame(mm, addr, bits, mm.kernel.cache.page(object, linearIndex(vma, addr)));
}

/** Returns where the folio of the page cache that `pfn`, at `page`, is part of begins and its pages, if it lies whole in the vma and in one table; else the page alone. */
function entriesOf(mm: Mm, vma: Vma, page: Addr, pfn: Pfn): readonly [first: Addr, pages: number] {
  if (isFolioWhole(mm, vma, page, pfn)) return [page - (page % PMD_SIZE), HUGE_PAGES];
  const object = vma.file?.object;
  const pgoff = linearIndex(vma, page);
  const folio = object === undefined ? null : mm.kernel.cache.cut.find(object, pgoff);
  if (folio === null) return [page, 1];
  const first = page - (pgoff - folio.first) * PAGE_SIZE;
  const last = first + (folio.pages - 1) * PAGE_SIZE;
  const isInside =
    first >= vma.start && last < vma.end && first - (first % PMD_SIZE) === last - (last % PMD_SIZE);
  return isInside ? [first, folio.pages] : [page, 1];
}

/** Returns the window of 16 around `page` as entries of its table: aligned, but from the start of the vma if that is inside, and then still 16 long. */
function windowAround(vma: Vma, page: Addr): { from: number; to: number } {
  const slot = (page % PMD_SIZE) / PAGE_SIZE;
  const inVma = linearIndex(vma, page) - vma.pgoff;
  const from = Math.max(slot - (slot % FAULT_AROUND), slot - Math.min(slot, inVma));
  return { from, to: Math.min(from + FAULT_AROUND, HUGE_PAGES, slot + nrPagesOf(vma) - inVma) };
}

/**
 * Tells whether a regular file ends with page `pgoff`. Where the first cached page of a window is that one and its page table is yet to be
 * made, fault-around makes none and brings nothing: the table is made by the attempt to map the folio huge, which is not made for the last
 * folio of a file. Linux: filemap_map_pages(), can_map_large
 */
const isLastPage = (object: FileObject, pgoff: number): boolean =>
  !isSharedMemory(object) && object.size !== null && (pgoff + 1) * PAGE_SIZE >= object.size;

/** Maps the cached pages of the window around `page` whose entries are none. Returns whether `page` was among them. */
function mapAround(mm: Mm, vma: Vma, page: Addr, object: FileObject): boolean {
  const { kernel, pages } = mm;
  const tableBase = page - (page % PMD_SIZE);
  const bits = YOUNG | sharedWrite(vma);
  // What was set aside behind the end is cached, and out of reach.
  const find = (pgoff: number): Pfn | null =>
    isBeyondEnd(object, pgoff) ? null : kernel.cache.find(object, pgoff);
  const here = find(linearIndex(vma, page));
  if (here !== null && mayMapWholeFolio(mm, vma, page, here)) {
    mapHugeFile(mm, vma, page, headOf(here), false);
    return true;
  }
  const { from, to } = windowAround(vma, page);
  let isFirst = !pages.hasTable(page);
  // A neighbour comes along even if the page itself is not cached yet.
  for (let i = from; i < to; i++) {
    const addr = tableBase + i * PAGE_SIZE;
    const pgoff = linearIndex(vma, addr);
    const pfn = find(pgoff);
    if (pfn === null) continue;
    if (isFirst && isLastPage(object, pgoff)) return false;
    isFirst = false;
    // All of a folio comes along that is met.
    const [first, count] = entriesOf(mm, vma, addr, pfn);
    for (let n = 0; n < count; n++) {
      const at = first + n * PAGE_SIZE;
      if (pages.low(at) === NONE) mapFrame(mm, at, bits, kernel.cache.page(object, linearIndex(vma, at)));
    }
    i = (first - tableBase) / PAGE_SIZE + count - 1;
  }
  // A page behind the end of the file comes along with its folio.
  return here !== null || (pages.low(page) & KIND_MASK) === PRESENT;
}
