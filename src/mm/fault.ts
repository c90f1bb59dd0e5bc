/**
 * Accesses: which vma, whether it allows them, what page comes in.
 *
 * An access that the entry allows marks it young (and dirty) and leaves no other trace. Anything else is a fault: it may grow the stack, give
 * a vma its anon_vma, map a page, copy one, break a huge mapping, or end in a signal. docs/life-of-a-page-fault.md follows one through.
 *
 *   pmd maps 2 MiB ......... hugeMemory.ts: hit, copy of the huge zero page, reuse, or break it and go on below
 *   pmd none, huge allowed . hugeMemory.ts: 2 MiB at once
 *   pte none ............... anonymous: zero page or new page; file: fileFault.ts
 *   pte present, no write .. writeFault.ts: reuse or copy
 *   pte swap ............... swapFault.ts
 *   pte marker ............. SIGSEGV (guard), SIGBUS (poison), as none but protected (userfaultfd)
 *
 * Memory that is registered with userfaultfd may have the task wait instead: uffdFault.ts.
 *
 * Invariants   [fault-anon] an anonymous page is only ever mapped into a vma that has an anon_vma
 *              [fault-count] `minFlt` and `majFlt` count faults that were served; one that ends in a signal is not counted
 * Cost         one tree look-up (the last vma is tried first) and one table walk
 * Linux        mm/memory.c: handle_mm_fault, do_anonymous_page; arch/x86/mm/fault.c; spec/vma.md 13.3, 14.4
 */
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL } from '../abi/mman.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE, pageFloor } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { fileFault } from './fileFault.ts';
import { FRAME_DIRTY, HUGE_PAGES } from './frames.ts';
import { accessHuge, canFaultHuge, faultHuge, splitPmd } from './hugeMemory.ts';
import { chargeFault } from './memoryLimit.ts';
import { waitForMigration } from './migration.ts';
import type { Mm } from './mm.ts';
import { isProtected } from './protectPages.ts';
import {
  DIRTY,
  EXCLUSIVE,
  HUGE,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_POISON,
  MARKER_PURGED,
  MIGRATION,
  NONE,
  PRESENT,
  SWAP,
  UFFD_WP,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { mapNewAnon } from './rmap.ts';
import { expandStack } from './stack.ts';
import { isInverted, storeBits } from './storeBits.ts';
import { swapIn } from './swapFault.ts';
import type { UffdWait } from './uffdContext.ts';
import { handleUserfault, type UffdReason } from './uffdFault.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { VM_EXEC, VM_GROWSDOWN, VM_READ, VM_UFFD_MISSING, VM_UFFD_WP, VM_WRITE } from './vmFlags.ts';
import { FACT, FAULTED, type FaultName, PATH } from './work.ts';
import { replaceZeroPage, writeFault } from './writeFault.ts';

/** How memory is accessed. */
export type FaultAccess = 'read' | 'write' | 'exec';

/** What came of an access. */
export type FaultResult =
  /** The page was there and allowed it. */
  | { readonly kind: 'hit' }
  /** A fault that was served; `what` says how. */
  | { readonly kind: 'fault'; readonly what: FaultName }
  | {
      readonly kind: 'signal';
      /** SIGKILL: there is no memory left for its page, and its process was chosen to end. */
      readonly signal: 'SIGSEGV' | 'SIGBUS' | 'SIGKILL';
      readonly code: number;
      readonly codeName: string;
      /** A page that user space declared lost. */
      readonly isPoison?: boolean;
    }
  /** User space is to provide the page: once `wait` is done, the access is made again as `again` says. */
  | { readonly kind: 'userfault'; readonly wait: UffdWait; readonly again: AccessRequest };

const HIT: FaultResult = { kind: 'hit' };
const MAPERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: SEGV_MAPERR, codeName: 'SEGV_MAPERR' };
const ACCERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: SEGV_ACCERR, codeName: 'SEGV_ACCERR' };
const BUS = { kind: 'signal', signal: 'SIGBUS', code: BUS_ADRERR, codeName: 'BUS_ADRERR' } as const;
const KILLED: FaultResult = { kind: 'signal', signal: 'SIGKILL', code: SI_KERNEL, codeName: 'SI_KERNEL' };
const POISON: FaultResult = { ...BUS, isPoison: true };
const served = Object.fromEntries(
  Object.keys(FAULTED).map((what) => [what, { kind: 'fault', what } as FaultResult]),
) as Readonly<Record<FaultName, FaultResult>>;

/** An access of at most the rest of a page. `stamp` is what a write leaves in the first word of the page; null leaves it. */
export interface AccessRequest {
  readonly addr: Addr;
  readonly access: FaultAccess;
  readonly stamp: number | null;
  /**
   * Who makes it: the program (an instruction of its own; the default), the kernel that copies from or to the program's memory, or the kernel that
   * looks pages up to populate or pin them (`gup`). Where the latter needs no fault, the page gets dirty and not the entry.
   */
  readonly by?: 'program' | 'copy' | 'gup' | undefined;
  /** The kernel holds locks and cannot wait for user space. */
  readonly cannotWait?: boolean | undefined;
  /** Thread that makes it, for those who want to know. */
  readonly tid?: number | undefined;
  /** How often this one fault has waited for user space so far; and it has read from a device. */
  readonly slept?: number | undefined;
  readonly hasRead?: boolean | undefined;
}

/** Tells whether `vma` allows the access. Linux: access_error(). */
const isAllowed = (vma: Vma, access: FaultAccess): boolean => {
  if (access === 'write') return (vma.flags & VM_WRITE) !== 0;
  if (access === 'exec') return (vma.flags & VM_EXEC) !== 0;
  return (vma.flags & (VM_READ | VM_WRITE | VM_EXEC)) !== 0;
};

/** Returns the vma for an access at `addr`, growing the stack if that is what it takes; null means SEGV_MAPERR. */
export function vmaForAccess(mm: Mm, addr: Addr): Vma | null {
  const vma = mm.vmas.firstEndingAbove(addr);
  if (vma === null || vma.start <= addr) return vma;
  if ((vma.flags & VM_GROWSDOWN) === 0) return null;
  return expandStack(mm, vma, addr).why === 'ok' ? vma : null;
}

/**
 * Carries out one access by the program (or by the kernel on its behalf, through the program's mapping).
 *
 * @returns  hit, the fault that was served, the signal, or what to wait for
 * Events    anonVmaCreate or anonVmaShare, vmaResize (stack)
 */
export function accessPage(mm: Mm, request: AccessRequest): FaultResult {
  const vma = vmaForAccess(mm, request.addr);
  if (vma === null) return signalled(mm, MAPERR);
  if (!isAllowed(vma, request.access)) return signalled(mm, ACCERR);
  return faultIn(mm, vma, request);
}

/** Counts `n` faults of `mm` that were served as `what`. @param major  something was waited for */
export function countFaults(mm: Mm, what: FaultName, n = 1, major = what === 'swap-in'): void {
  if (major) mm.majFlt += n;
  else mm.minFlt += n;
  mm.kernel.work.fault(FAULTED[what], n);
  const resident = mm.rssAnon + mm.rssFile + mm.rssShmem;
  if (resident > mm.hiwaterRss) mm.hiwaterRss = resident;
}

/** Counts an access that ends in a signal; to the process it is no fault. */
function signalled(mm: Mm, signal: FaultResult, what: FaultName = 'signal'): FaultResult {
  mm.kernel.work.fault(FAULTED[what]);
  return signal;
}

/** A fault that had to be tried again under the lock of the address space counts as one that had to wait. Linux: mm_account_fault(), FAULT_FLAG_TRIED */
const isMajor = (what: FaultName, { slept = 0, by, hasRead }: AccessRequest): boolean =>
  what === 'swap-in' || (slept > 0 && (hasRead === true || by === 'copy' || by === 'gup' || slept > 1));

function count(mm: Mm, what: FaultName, request: AccessRequest): FaultResult {
  countFaults(mm, what, 1, isMajor(what, request));
  return served[what];
}

/** Brings in the page of an access that `vma` allows, unless it is there. Also used for what the kernel populates. */
export function faultIn(mm: Mm, vma: Vma, request: AccessRequest): FaultResult {
  const result = faultOnce(mm, vma, request);
  if ((vma.flags & VM_UFFD_WP) === 0 || result.kind !== 'fault' || request.access !== 'write') return result;
  // Where a marker was, the page comes protected: the store faults once more.
  const page = pageFloor(request.addr);
  const pmd = mm.pages.pmd(page);
  const low = pmd & HUGE ? pmd : mm.pages.low(page);
  if (low & WRITE || !isProtected(vma, low)) return result;
  if (vma.uffd?.wpAsync === true) mm.kernel.work.charge(PATH['uffd-marker-store'], 1);
  return faultOnce(mm, vma, { ...request, slept: 0, hasRead: false });
}

function faultOnce(mm: Mm, vma: Vma, request: AccessRequest): FaultResult {
  const page = pageFloor(request.addr);
  const write = request.access === 'write';
  const { pages } = mm;
  const charged = mm.kernel.reclaim === null ? 'charged' : chargeFault(mm, vma, request);
  if (charged === 'killed') return KILLED;
  const pmd = pages.pmd(page);
  if (isMarkerPmd(pmd)) {
    const came = markedHuge(mm, vma, page, request);
    if (came !== null) return came;
  } else if (pmd & HUGE) {
    const came = charged === 'small' ? brokenHuge(mm, vma, page) : huge(mm, vma, page, request);
    if (came !== null) return came;
  } else if (pmd === NONE && charged !== 'small' && canFaultHuge(mm, vma, page))
    return newHuge(mm, vma, page, request);
  const low = pages.low(page);
  switch (low & KIND_MASK) {
    case PRESENT:
      return !write || low & WRITE ? hit(mm, page, low, request) : storeToPage(mm, vma, page, request);
    case ZERO_PAGE:
      return write ? storeToPage(mm, vma, page, request) : hit(mm, page, low, request);
    case SWAP:
      return swapped(mm, vma, page, request);
    case MARKER:
      return markerFault(mm, vma, page, request);
    case MIGRATION:
      return waitAndRetry(mm, vma, page, request);
    default:
      return missing(mm, vma, page, request);
  }
}

/**
 * An access where 2 MiB are marked at once. A huge page may come, protected as a whole; otherwise they are broken up.
 * Returns null if the entry is to be looked at.
 */
function markedHuge(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult | null {
  if (vma.flags & VM_UFFD_MISSING) return newHuge(mm, vma, page, request);
  const base = floorTo(page, PMD_SIZE);
  if (canFaultHuge(mm, vma, page)) {
    mm.pages.clearHuge(base);
    mm.kernel.work.count(FACT.pmdMarkersZapped);
    return count(mm, faultHuge(mm, vma, page, request, vma.flags & VM_UFFD_WP ? UFFD_WP : 0), request);
  }
  splitPmd(mm, vma, base, 'fault');
  mm.kernel.work.charge(PATH['pmd-split'], 0, 1);
  return null;
}

/** A store to the huge zero page, and no memory for a huge page: small ones come. */
function brokenHuge(mm: Mm, vma: Vma, page: Addr): null {
  splitPmd(mm, vma, floorTo(page, PMD_SIZE));
  mm.kernel.work.charge(PATH['pmd-split'], 0, 1);
  return null;
}

/** An access where 2 MiB are mapped at once. Returns null if they are broken up, and the entry is to be looked at. */
function huge(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult | null {
  const pmd = mm.pages.pmd(page);
  if (request.access === 'write' && (pmd & WRITE) === 0 && isProtected(vma, pmd)) {
    if (vma.uffd?.wpAsync !== true) return deliver(mm, vma, request, 'wp');
    splitPmd(mm, vma, floorTo(page, PMD_SIZE));
  } else {
    const came = accessHuge(mm, vma, page, request);
    if (came === 'hit') return found(mm, request);
    if (came !== 'broken') return count(mm, came, request);
  }
  mm.kernel.work.charge(PATH['pmd-split'], 0, 1);
  return null;
}

/** Fills 2 MiB at once, unless user space wants to be asked. */
function newHuge(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult {
  if ((vma.flags & VM_UFFD_MISSING) === 0) return count(mm, faultHuge(mm, vma, page, request), request);
  prepareAnonVma(mm.kernel, vma);
  mm.pages.makePmdPage(page);
  if (request.access === 'write') countInVain(mm, HUGE_PAGES);
  return deliver(mm, vma, request, 'missing');
}

/** A store where a page is mapped, be it the zero page, that may not be written. Linux: do_wp_page() */
function storeToPage(
  mm: Mm,
  vma: Vma,
  page: Addr,
  request: AccessRequest,
  what: FaultName | null = null,
): FaultResult {
  const { pages } = mm;
  const low = pages.low(page);
  if (isProtected(vma, low)) {
    if (vma.uffd?.wpAsync !== true) return deliver(mm, vma, request, 'wp', what === 'swap-in');
    pages.setLow(page, isInverted(vma) ? low | UFFD_WP : low & ~UFFD_WP);
  }
  const isZero = (low & KIND_MASK) === ZERO_PAGE;
  const came = (isZero ? replaceZeroPage : writeFault)(mm, vma, page, request.stamp);
  return count(mm, what ?? came, request);
}

/** An access to a page in swap. A store to one that may not be written then is taken further in the same fault. */
function swapped(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult {
  const came = swapIn(mm, vma, page, request.access === 'write');
  if (came === 'swap-in' && request.access === 'write') mm.kernel.work.charge(PATH['swap-in-write'], 1);
  if (request.access !== 'write') return count(mm, came, request);
  if ((mm.pages.low(page) & WRITE) === 0) return storeToPage(mm, vma, page, request, came);
  if (request.stamp !== null) mm.kernel.frames.setStamp(mm.pages.high(page), request.stamp);
  return count(mm, came, request);
}

/** The page is being migrated: the access waits, and is tried again when that has ended. Both are faults if the page then still asks for one. */
function waitAndRetry(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult {
  waitForMigration(mm, page, page + PAGE_SIZE);
  const spurious = count(mm, 'spurious', request);
  const again = faultOnce(mm, vma, request);
  return again.kind === 'hit' ? spurious : again;
}

/** No fault was needed; but if this is one that has waited, it has been served by whoever was waited for. */
function found(mm: Mm, request: AccessRequest): FaultResult {
  return request.slept === undefined || request.slept === 0 || request.by === 'gup'
    ? HIT
    : count(mm, 'spurious', request);
}

/** The entry allows the access: the processor marks it. */
function hit(mm: Mm, page: Addr, low: number, request: AccessRequest): FaultResult {
  if ((low & KIND_MASK) === ZERO_PAGE) return found(mm, request);
  if (request.access === 'write' && request.by === 'gup') {
    if ((low & DIRTY) === 0) mm.kernel.frames.setFlags(mm.pages.high(page), FRAME_DIRTY);
  } else if (request.access === 'write') {
    if ((low & (DIRTY | YOUNG)) !== (DIRTY | YOUNG)) mm.pages.setLow(page, low | DIRTY | YOUNG);
    if ((low & DIRTY) === 0) mm.kernel.work.charge(PATH['mark-dirty'], 1);
    if (request.stamp !== null) mm.kernel.frames.setStamp(mm.pages.high(page), request.stamp);
  } else if ((low & YOUNG) === 0) mm.pages.setLow(page, low | YOUNG);
  return found(mm, request);
}

function markerFault(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult {
  const marker = mm.pages.high(page);
  if (marker & MARKER_POISON) return signalled(mm, POISON);
  if (marker & MARKER_PURGED) {
    countPurged(mm, request);
    return signalled(mm, BUS);
  }
  if (marker & MARKER_GUARD) return signalled(mm, MAPERR, 'guard');
  if (vma.flags & VM_UFFD_WP) return missing(mm, vma, page, request, UFFD_WP);
  // Left over from an earlier registration: it goes, and the access is made again.
  mm.pages.set(page, NONE, 0);
  count(mm, 'spurious', request);
  return faultOnce(mm, vma, { ...request, slept: 0, hasRead: false });
}

/** Counts an access to a page that was purged: a signal for the program, EFAULT for a call of its. */
function countPurged({ kernel: { work } }: Mm, { by = 'program' }: AccessRequest): void {
  work.count(by === 'program' ? FACT.purgedTouched : FACT.purgedCopied);
  if (by === 'program') work.charge(PATH['purged-signal'], 1);
}

/** Nothing is mapped. @param wp  UFFD_WP where a marker says that what comes is to be protected */
function missing(mm: Mm, vma: Vma, page: Addr, request: AccessRequest, wp = 0): FaultResult {
  if (isAnonymousVma(vma)) {
    mm.pages.makeTable(page);
    if (request.access === 'write') prepareAnonVma(mm.kernel, vma);
    if (vma.flags & VM_UFFD_MISSING) {
      if (request.access === 'write') countInVain(mm);
      return deliver(mm, vma, request, 'missing');
    }
    return count(mm, anonymousFault(mm, vma, page, request, wp), request);
  }
  const came = fileFault(mm, vma, page, request, wp);
  if (came === 'beyond-end') return signalled(mm, BUS);
  if (came === 'ask-missing') return deliver(mm, vma, request, 'missing');
  return came === 'ask-minor' ? deliver(mm, vma, request, 'minor') : count(mm, came, request);
}

/**
 * A store to anonymous memory takes a page before it asks user space, or 512 where they could be mapped at once, and gives them back. Linux:
 * do_anonymous_page(), __do_huge_pmd_anonymous_page()
 */
function countInVain({ kernel: { work } }: Mm, pages = 1): void {
  work.count(FACT.pagesAllocated, pages);
  work.count(FACT.pagesZeroed, pages);
  work.count(FACT.pagesFreed, pages);
  if (pages > 1) {
    work.count(FACT.hugePagesAllocated);
    work.count(FACT.hugePagesFreed);
  }
  work.charge(PATH[pages > 1 ? 'uffd-fault-huge-page' : 'uffd-fault-page'], 1);
}

/** Hands the fault to user space. */
function deliver(mm: Mm, vma: Vma, request: AccessRequest, reason: UffdReason, hasRead = false): FaultResult {
  const wait = handleUserfault(vma, request, reason);
  mm.kernel.work.charge(wait === null ? PATH['uffd-signal'] : PATH['uffd-fault'], 1);
  if (wait === null) return signalled(mm, BUS);
  const slept = (request.slept ?? 0) + 1;
  const { addr, access, stamp, by, cannotWait, tid } = request;
  const again: AccessRequest = {
    addr,
    access,
    stamp,
    by,
    cannotWait,
    tid,
    slept,
    hasRead: hasRead || request.hasRead === true,
  };
  return { kind: 'userfault', wait, again };
}

/** Maps the zero page for a load, a new page for a store. Linux: do_anonymous_page(). */
function anonymousFault(mm: Mm, vma: Vma, page: Addr, request: AccessRequest, wp: number): FaultName {
  const { work } = mm.kernel;
  if (request.access !== 'write') {
    mm.pages.set(page, ZERO_PAGE | YOUNG | wp, 0);
    work.count(FACT.ptesSet);
    return 'zero-page';
  }
  const bits = wp | storeBits(mm, vma);
  const writable = isProtected(vma, bits) ? 0 : WRITE;
  const pfn = mapNewAnon(mm, vma, page, bits | writable | YOUNG | EXCLUSIVE);
  work.count(FACT.pagesZeroed);
  if (request.stamp !== null && writable !== 0) mm.kernel.frames.setStamp(pfn, request.stamp);
  return 'anon';
}
