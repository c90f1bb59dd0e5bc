/**
 * Populating: the kernel faults pages in on behalf of MAP_POPULATE, mlock, growth of locked memory, MADV_POPULATE_*.
 * Where userfaultfd is asked for a page, populating has to wait, and is stepped again from there.
 *
 * Linux   mm/gup.c: __mm_populate, populate_vma_page_range, faultin_page_range; spec/vma.md 3.2, 9, 10
 */
import { EFAULT, EHWPOISON, EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, floorTo, nrPagesIn, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { type AccessRequest, countFaults, type FaultAccess, faultIn } from './fault.ts';
import { FRAME_REFERENCED, type Pfn } from './frames.ts';
import type { Mm } from './mm.ts';
import { DIRTY, EXCLUSIVE, HUGE, KIND_MASK, PRESENT, WRITE, YOUNG, ZERO_PAGE } from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { mapNewAnons } from './rmap.ts';
import { storeBits } from './storeBits.ts';
import { finished, isWait, type UffdWait } from './uffdContext.ts';
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
  mm.kernel.reclaim === null &&
  (vma.flags & (VM_UFFD_MASK | VM_HUGEPAGE)) === 0 &&
  mm.kernel.features.thp !== 'always' &&
  access !== 'exec';

/** What came of populating a range: all is there, a page cannot come, one was declared lost, or user space is to be waited for. */
type Populated = 'all' | 'failed' | 'poison' | UffdWait;

/** How far a populating has come; where it had to wait it goes on. */
interface Cursor {
  addr: Addr;
  /** The fault at `addr` that waits, as it is to be made again. */
  again: AccessRequest | null;
}

/** Faults the pages of one vma from the cursor up to `end` in. Stops at the first page that cannot come. */
function faultPages(mm: Mm, vma: Vma, cursor: Cursor, end: Addr, how: Populate): Populated {
  const { frames, work } = mm.kernel;
  const { access } = how;
  if (cursor.again === null && mayFillAtOnce(mm, vma, access) && mm.pages.isBlank(cursor.addr, end)) {
    fillBlank(mm, vma, { start: cursor.addr, end }, access === 'write');
    cursor.addr = end;
    return 'all';
  }
  const bits = access === 'write' ? PRESENT | WRITE | DIRTY | YOUNG : PRESENT | YOUNG;
  const asked = { mask: KIND_MASK | bits, bits };
  const mark = (pfn: Pfn): void => frames.markAccessed(pfn);
  while (cursor.addr < end) {
    // Pages that are there and need no mark: most are, where a range is populated again.
    const { addr } = cursor;
    const there = mm.pages.forRun(addr, end, asked, mark);
    if (there > 0) {
      work.count(FACT.pagesFoundResident, there);
      cursor.addr += there * PAGE_SIZE;
      cursor.again = null;
      continue;
    }
    const request = cursor.again ?? { addr, access, stamp: null, by: 'gup', ...how.extra };
    const came = faultIn(mm, vma, request);
    if (came.kind === 'userfault') {
      cursor.again = how.retriesAsWaited ? came.again : null;
      return came.wait;
    }
    cursor.again = null;
    if (came.kind === 'signal') return came.isPoison === true ? 'poison' : 'failed';
    if (came.kind === 'hit') work.count(FACT.pagesFoundResident);
    markPinned(mm, addr);
    cursor.addr = mm.pages.pmd(addr) & HUGE ? floorTo(addr, PMD_SIZE) + PMD_SIZE : addr + PAGE_SIZE;
  }
  return 'all';
}

/** How pages are populated. */
interface Populate {
  readonly access: FaultAccess;
  /** A fault that had to wait is made again as such; otherwise as a new one, which counts differently. */
  readonly retriesAsWaited: boolean;
  readonly extra: Pick<AccessRequest, 'tid' | 'cannotWait'>;
}

/** The kernel has taken hold of the page at `addr`, which is mapped: it counts as used, unless it is part of 2 MiB mapped at once. Linux: FOLL_TOUCH */
export function markPinned(mm: Mm, addr: Addr): void {
  if ((mm.pages.low(addr) & KIND_MASK) === PRESENT) mm.kernel.frames.markAccessed(mm.pages.high(addr));
}

/** The bits of a page of its own that was written. */
const newBits = (mm: Mm, vma: Vma): number => WRITE | storeBits(mm, vma) | YOUNG | EXCLUSIVE;

/** Does what a fault for each page would: the zero page, or a new page, everywhere. */
function fillBlank(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, write: boolean): void {
  const { kernel, pages } = mm;
  const nrPages = nrPagesIn(range.end - range.start);
  if (write) prepareAnonVma(kernel, vma);
  if (write) mapNewAnons(mm, vma, range, { low: newBits(mm, vma), flags: FRAME_REFERENCED });
  else pages.fillAlike(range.start, range.end, ZERO_PAGE | YOUNG, 0);
  kernel.work.count(write ? FACT.pagesZeroed : FACT.ptesSet, nrPages);
  countFaults(mm, write ? 'anon' : 'zero-page', nrPages);
}

/** Returns how mlock populates `vma`: stores where it is private and writable, loads elsewhere; null if it cannot be accessed. */
function lockAccess(vma: Vma): FaultAccess | null {
  if ((vma.flags & VM_ACCESS_FLAGS) === 0) return null;
  return (vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE ? 'write' : 'read';
}

/** Populates [start, end) of `vma` as mlock does, under locks that do not allow to wait for user space. */
export function populateVma(mm: Mm, vma: Vma, start: Addr, end: Addr): boolean {
  if (vma.flags & VM_LOCKONFAULT) return true;
  const access = lockAccess(vma);
  if (access === null) return false;
  const how = { access, retriesAsWaited: false, extra: { cannotWait: true } };
  return faultPages(mm, vma, { addr: start, again: null }, end, how) === 'all';
}

/** What is to be populated, and for whom. */
export interface PopulateRequest {
  readonly start: Addr;
  readonly end: Addr;
  /** Like mlock: go on after a vma that cannot be populated, and do not tell. Otherwise EFAULT. */
  readonly ignoreErrors: boolean;
  /** On whose behalf, for the price. */
  readonly origin?: Origin;
  readonly tid?: number;
}

/** Populating for a lock, MAP_POPULATE or growth, under way: stepped again where it had to wait. Linux: __mm_populate() */
export class Populating {
  readonly #mm: Mm;
  readonly #request: PopulateRequest;
  readonly #cursor: Cursor;

  constructor(mm: Mm, request: PopulateRequest) {
    this.#mm = mm;
    this.#request = request;
    this.#cursor = { addr: request.start, again: null };
  }

  /** Goes on. @returns  0, EFAULT populate-failed at the first vma that cannot be populated (unless errors are ignored), or what to wait for; earlier pages stay */
  step(): SysResult | UffdWait {
    const { work } = this.#mm.kernel;
    work.origin = this.#request.origin ?? 'populate';
    const result = this.#populate();
    work.origin = 'program';
    return result;
  }
  #populate(): SysResult | UffdWait {
    const { end, ignoreErrors, tid } = this.#request;
    const cursor = this.#cursor;
    while (cursor.addr < end) {
      const vma = this.#mm.vmas.firstEndingAbove(cursor.addr);
      if (vma === null || vma.start >= end) return OK;
      const stop = Math.min(vma.end, end);
      cursor.addr = Math.max(cursor.addr, vma.start);
      const isLeftOut = (vma.flags & (VM_IO | VM_PFNMAP | VM_LOCKONFAULT)) !== 0;
      const access = lockAccess(vma);
      let came: Populated = isLeftOut ? 'all' : 'failed';
      if (!isLeftOut && access !== null) {
        const how = { access, retriesAsWaited: false, extra: tid === undefined ? {} : { tid } };
        came = faultPages(this.#mm, vma, cursor, stop, how);
      }
      if (isWait(came)) return came;
      if (came !== 'all' && !ignoreErrors) return refused(EFAULT, 'populate-failed');
      cursor.addr = stop;
    }
    return OK;
  }
}

/**
 * Populates what is mapped of [start, end), where nothing has to be waited for.
 * @param how  `origin` says on whose behalf, for the price
 * @returns  0, or EFAULT populate-failed at the first vma that cannot be (unless errors are ignored); earlier pages stay
 */
export function populateRange(
  mm: Mm,
  start: Addr,
  end: Addr,
  how: { readonly ignoreErrors: boolean; readonly origin?: Origin },
): SysResult {
  return finished(new Populating(mm, { start, end, ...how }).step());
}

/**
 * MADV_POPULATE_READ and MADV_POPULATE_WRITE over a range, under way: stops at the first problem, pages before it stay.
 * Refusals   ENOMEM hole · EINVAL no-access, special · EFAULT populate-failed (guard page, beyond the end of the file) · EHWPOISON poisoned
 */
export class MadvisePopulate {
  readonly #mm: Mm;
  readonly #end: Addr;
  readonly #how: Populate;
  readonly #cursor: Cursor;

  constructor(mm: Mm, range: { start: Addr; end: Addr }, access: 'read' | 'write', tid?: number) {
    this.#mm = mm;
    this.#end = range.end;
    this.#how = { access, retriesAsWaited: true, extra: tid === undefined ? {} : { tid } };
    this.#cursor = { addr: range.start, again: null };
  }

  /** Goes on. Returns the result, or what to wait for. */
  step(): SysResult | UffdWait {
    const { work } = this.#mm.kernel;
    work.origin = 'populate';
    const result = this.#populate();
    work.origin = 'program';
    return result;
  }
  #populate(): SysResult | UffdWait {
    const cursor = this.#cursor;
    const needed = this.#how.access === 'write' ? VM_WRITE : VM_READ;
    while (cursor.addr < this.#end) {
      const vma = this.#mm.vmas.at(cursor.addr);
      if (vma === null) return refused(ENOMEM, 'hole');
      if (vma.flags & (VM_IO | VM_PFNMAP)) return refused(EINVAL, 'special');
      if ((vma.flags & needed) === 0) return refused(EINVAL, 'no-access');
      const came = faultPages(this.#mm, vma, cursor, Math.min(vma.end, this.#end), this.#how);
      if (isWait(came)) return came;
      if (came === 'poison') return refused(EHWPOISON, 'poisoned');
      if (came === 'failed') return refused(EFAULT, 'populate-failed');
    }
    return OK;
  }
}
