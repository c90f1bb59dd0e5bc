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
 *   pte marker ............. SIGSEGV (guard), SIGBUS (poison)
 *
 * Invariants   [fault-anon] an anonymous page is only ever mapped into a vma that has an anon_vma
 *              [fault-count] `minFlt` and `majFlt` count faults that were served; one that ends in a signal is not counted
 * Cost         one tree look-up (the last vma is tried first) and one table walk
 * Linux        mm/memory.c: handle_mm_fault, do_anonymous_page; arch/x86/mm/fault.c; spec/vma.md 13.3, 14.4
 * Left out     userfaultfd messages (docs/scope.md#userfaultfd)
 */
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR } from '../abi/mman.ts';
import { Unmodelled } from '../base/assert.ts';
import { type Addr, PAGE_SIZE, pageFloor } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { fileFault } from './fileFault.ts';
import { FRAME_DIRTY } from './frames.ts';
import { accessHuge, canFaultHuge, faultHuge } from './hugeMemory.ts';
import { waitForMigration } from './migration.ts';
import type { Mm } from './mm.ts';
import {
  DIRTY,
  EXCLUSIVE,
  HUGE,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_POISON,
  MIGRATION,
  NONE,
  PRESENT,
  SWAP,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { mapNewAnon } from './rmap.ts';
import { expandStack } from './stack.ts';
import { swapIn } from './swapFault.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { VM_EXEC, VM_GROWSDOWN, VM_READ, VM_UFFD_MASK, VM_WRITE } from './vmFlags.ts';
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
      readonly signal: 'SIGSEGV' | 'SIGBUS';
      readonly code: number;
      readonly codeName: string;
    };

const HIT: FaultResult = { kind: 'hit' };
const MAPERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: SEGV_MAPERR, codeName: 'SEGV_MAPERR' };
const ACCERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: SEGV_ACCERR, codeName: 'SEGV_ACCERR' };
const BUS: FaultResult = { kind: 'signal', signal: 'SIGBUS', code: BUS_ADRERR, codeName: 'BUS_ADRERR' };
const served = Object.fromEntries(
  Object.keys(FAULTED).map((what) => [what, { kind: 'fault', what } as FaultResult]),
) as Readonly<Record<FaultName, FaultResult>>;

/** An access of at most the rest of a page. `stamp` is what a write leaves in the first word of the page; null leaves it. */
export interface AccessRequest {
  readonly addr: Addr;
  readonly access: FaultAccess;
  readonly stamp: number | null;
  /** The kernel makes it for itself (populating, copies): where no fault is needed, the page gets dirty and not the entry. */
  readonly byKernel?: boolean;
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
 * @returns  hit, the fault that was served, or the signal
 * Events    anonVmaCreate or anonVmaShare, vmaResize (stack)
 */
export function accessPage(mm: Mm, request: AccessRequest): FaultResult {
  const vma = vmaForAccess(mm, request.addr);
  if (vma === null) return signalled(mm, MAPERR);
  if (!isAllowed(vma, request.access)) return signalled(mm, ACCERR);
  return faultIn(mm, vma, request);
}

/** Counts `n` faults of `mm` that were served as `what`. */
export function countFaults(mm: Mm, what: FaultName, n = 1): void {
  if (what === 'swap-in') mm.majFlt += n;
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

function count(mm: Mm, what: FaultName): FaultResult {
  countFaults(mm, what);
  return served[what];
}

/** Brings in the page of an access that `vma` allows, unless it is there. Also used for what the kernel populates. */
export function faultIn(mm: Mm, vma: Vma, request: AccessRequest): FaultResult {
  const page = pageFloor(request.addr);
  const write = request.access === 'write';
  const { pages } = mm;
  const pmd = pages.pmd(page);
  if (pmd & HUGE) {
    const came = accessHuge(mm, vma, page, request);
    if (came === 'hit') return HIT;
    if (came !== 'broken') return count(mm, came);
    mm.kernel.work.charge(PATH['pmd-split'], 0, 1);
  } else if (pmd === NONE && canFaultHuge(mm, vma, page)) return count(mm, faultHuge(mm, vma, page, request));
  const low = pages.low(page);
  switch (low & KIND_MASK) {
    case PRESENT:
      if (!write || low & WRITE) return hit(mm, page, low, request);
      if (vma.flags & VM_UFFD_MASK) refuseUserfault();
      return count(mm, writeFault(mm, vma, page, request.stamp));
    case ZERO_PAGE:
      if (!write) return HIT;
      if (vma.flags & VM_UFFD_MASK) refuseUserfault();
      return count(mm, replaceZeroPage(mm, vma, page, request.stamp));
    case SWAP:
      return count(mm, swapIn(mm, vma, page, request));
    case MARKER:
      return markerFault(mm, pages.high(page));
    case MIGRATION:
      return waitAndRetry(mm, vma, page, request);
    default:
      return missing(mm, vma, page, request);
  }
}

/** The page is being migrated: the access waits, and is tried again when that has ended. Both are faults if the page then still asks for one. */
function waitAndRetry(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult {
  waitForMigration(mm, page, page + PAGE_SIZE);
  const spurious = count(mm, 'spurious');
  const again = faultIn(mm, vma, request);
  return again.kind === 'hit' ? spurious : again;
}

/** The entry allows the access: the processor marks it. */
function hit(mm: Mm, page: Addr, low: number, request: AccessRequest): FaultResult {
  if (request.access === 'write' && request.byKernel === true) {
    if ((low & DIRTY) === 0) mm.kernel.frames.setFlags(mm.pages.high(page), FRAME_DIRTY);
  } else if (request.access === 'write') {
    if ((low & (DIRTY | YOUNG)) !== (DIRTY | YOUNG)) mm.pages.setLow(page, low | DIRTY | YOUNG);
    if (request.stamp !== null) mm.kernel.frames.setStamp(mm.pages.high(page), request.stamp);
  } else if ((low & YOUNG) === 0) mm.pages.setLow(page, low | YOUNG);
  return HIT;
}

function markerFault(mm: Mm, marker: number): FaultResult {
  if (marker & MARKER_GUARD) return signalled(mm, MAPERR, 'guard');
  if (marker & MARKER_POISON) return signalled(mm, BUS);
  return refuseUserfault();
}

function refuseUserfault(): never {
  throw new Unmodelled('a userfaultfd fault', 'docs/scope.md#userfaultfd');
}

function missing(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultResult {
  if (vma.flags & VM_UFFD_MASK) refuseUserfault();
  if (isAnonymousVma(vma)) return count(mm, anonymousFault(mm, vma, page, request));
  const came = fileFault(mm, vma, page, request);
  return came === 'beyond-end' ? signalled(mm, BUS) : count(mm, came);
}

/** Maps the zero page for a load, a new page for a store. Linux: do_anonymous_page(). */
function anonymousFault(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultName {
  const { work } = mm.kernel;
  if (request.access !== 'write') {
    mm.pages.set(page, ZERO_PAGE | YOUNG, 0);
    work.count(FACT.ptesSet);
    return 'zero-page';
  }
  prepareAnonVma(mm.kernel, vma);
  const pfn = mapNewAnon(mm, vma, page, WRITE | DIRTY | YOUNG | EXCLUSIVE);
  work.count(FACT.pagesZeroed);
  if (request.stamp !== null) mm.kernel.frames.setStamp(pfn, request.stamp);
  return 'anon';
}
