/**
 * Populating: the kernel faults pages in on behalf of MAP_POPULATE, mlock, growth of locked memory, MADV_POPULATE_*.
 *
 * Linux   mm/gup.c: __mm_populate, populate_vma_page_range, faultin_page_range; spec/vma.md 3.2, 9, 10
 */
import { EFAULT, EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, floorTo, nrPagesIn, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { countFaults, type FaultAccess, faultIn } from './fault.ts';
import { FRAME_REFERENCED, type Pfn } from './frames.ts';
import type { Mm } from './mm.ts';
import { DIRTY, EXCLUSIVE, HUGE, KIND_MASK, PRESENT, WRITE, YOUNG, ZERO_PAGE } from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { mapNewAnons } from './rmap.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import {
  VM_ACCESS_FLAGS,
  VM_HUGEPAGE,
  VM_IO,
  VM_LOCKONFAULT,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_UFFD_MASK,
  VM_WRITE,
} from './vmFlags.ts';
import { FACT, type Origin } from './work.ts';

/** Tells whether every fault in `vma` gives one small anonymous page, so that a blank range can be filled without asking page by page. */
const mayFillAtOnce = (mm: Mm, vma: Vma, access: FaultAccess): boolean =>
  isAnonymousVma(vma) &&
  (vma.flags & (VM_UFFD_MASK | VM_HUGEPAGE)) === 0 &&
  mm.kernel.features.thp !== 'always' &&
  access !== 'exec';

/** Faults the pages of [start, end) of one vma in. Returns false at the first page that cannot come. */
function faultPages(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, access: FaultAccess): boolean {
  const { frames, work } = mm.kernel;
  if (mayFillAtOnce(mm, vma, access) && mm.pages.isBlank(range.start, range.end)) {
    fillBlank(mm, vma, range, access === 'write');
    return true;
  }
  const bits = access === 'write' ? PRESENT | WRITE | DIRTY | YOUNG : PRESENT | YOUNG;
  const asked = { mask: KIND_MASK | bits, bits };
  const mark = (pfn: Pfn): void => frames.markAccessed(pfn);
  for (let addr = range.start; addr < range.end; ) {
    // Pages that are there and need no mark: most are, where a range is populated again.
    const there = mm.pages.forRun(addr, range.end, asked, mark);
    if (there > 0) {
      work.count(FACT.pagesFoundResident, there);
      addr += there * PAGE_SIZE;
      continue;
    }
    const { kind } = faultIn(mm, vma, { addr, access, stamp: null, byKernel: true });
    if (kind === 'signal') return false;
    if (kind === 'hit') work.count(FACT.pagesFoundResident);
    markPinned(mm, addr);
    addr = mm.pages.pmd(addr) & HUGE ? floorTo(addr, PMD_SIZE) + PMD_SIZE : addr + PAGE_SIZE;
  }
  return true;
}

/** The kernel has taken hold of the page at `addr`, which is mapped: it counts as used, unless it is part of 2 MiB mapped at once. Linux: FOLL_TOUCH */
export function markPinned(mm: Mm, addr: Addr): void {
  if ((mm.pages.low(addr) & KIND_MASK) === PRESENT) mm.kernel.frames.markAccessed(mm.pages.high(addr));
}

/** Does what a fault for each page would: the zero page, or a new page, everywhere. */
function fillBlank(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, write: boolean): void {
  const { kernel, pages } = mm;
  const nrPages = nrPagesIn(range.end - range.start);
  if (write) prepareAnonVma(kernel, vma);
  if (write) mapNewAnons(mm, vma, range, { low: WRITE | DIRTY | YOUNG | EXCLUSIVE, flags: FRAME_REFERENCED });
  else pages.fill(range.start, range.end, ZERO_PAGE | YOUNG, () => 0);
  kernel.work.count(write ? FACT.pagesZeroed : FACT.ptesSet, nrPages);
  countFaults(mm, write ? 'anon' : 'zero-page', nrPages);
}

/** Populates [start, end) of `vma` as mlock does: stores where it is private and writable, loads elsewhere. */
export function populateVma(mm: Mm, vma: Vma, start: Addr, end: Addr): boolean {
  if (vma.flags & VM_LOCKONFAULT) return true;
  if ((vma.flags & VM_ACCESS_FLAGS) === 0) return false;
  const access = (vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE ? 'write' : 'read';
  return faultPages(mm, vma, { start, end }, access);
}

/**
 * Populates what is mapped of [start, end).
 * @param how  `origin` says on whose behalf, for the price
 * @returns  0, or EFAULT populate-failed at the first vma that cannot be (unless errors are ignored); earlier pages stay
 */
export function populateRange(
  mm: Mm,
  start: Addr,
  end: Addr,
  how: { readonly ignoreErrors: boolean; readonly origin?: Origin },
): SysResult {
  const { work } = mm.kernel;
  work.origin = how.origin ?? 'populate';
  const result = populateVmas(mm, start, end, how.ignoreErrors);
  work.origin = 'program';
  return result;
}

function populateVmas(mm: Mm, start: Addr, end: Addr, ignoreErrors: boolean): SysResult {
  for (let vma = mm.vmas.firstEndingAbove(start); vma !== null && vma.start < end; vma = vma.next) {
    if (vma.flags & (VM_IO | VM_PFNMAP)) continue;
    const done = populateVma(mm, vma, Math.max(vma.start, start), Math.min(vma.end, end));
    if (!done && !ignoreErrors) return refused(EFAULT, 'populate-failed');
  }
  return OK;
}

/**
 * MADV_POPULATE_READ and MADV_POPULATE_WRITE over [start, end): stops at the first problem, pages before it stay.
 * Refusals   ENOMEM hole · EINVAL no-access, special · EFAULT populate-failed (guard page, beyond the end of the file)
 */
export function madvisePopulate(mm: Mm, start: Addr, end: Addr, access: 'read' | 'write'): SysResult {
  const { work } = mm.kernel;
  work.origin = 'populate';
  const result = populateAll(mm, start, end, access);
  work.origin = 'program';
  return result;
}

function populateAll(mm: Mm, start: Addr, end: Addr, access: 'read' | 'write'): SysResult {
  const needed = access === 'write' ? VM_WRITE : VM_READ;
  for (let addr = start; addr < end; ) {
    const vma = mm.vmas.at(addr);
    if (vma === null) return refused(ENOMEM, 'hole');
    if (vma.flags & (VM_IO | VM_PFNMAP)) return refused(EINVAL, 'special');
    if ((vma.flags & needed) === 0) return refused(EINVAL, 'no-access');
    const stop = Math.min(vma.end, end);
    if (!faultPages(mm, vma, { start: addr, end: stop }, access)) return refused(EFAULT, 'populate-failed');
    addr = stop;
  }
  return OK;
}
