/**
 * Accesses: which vma, whether it allows them, what page comes in.
 *
 * An access to a page that is there and allows it leaves no trace. Anything else is a fault: it may grow the stack, give a vma its anon_vma,
 * map a page, copy one, or end in a signal.
 *
 * Invariants   [fault-anon] an anonymous page is only ever mapped into a vma that has an anon_vma
 * Cost         one tree look-up (the last vma is tried first) and one table look-up a page
 * Linux        mm/memory.c: handle_mm_fault, do_anonymous_page, wp_page_copy; arch/x86/mm/fault.c; spec/vma.md 13.3, 14.4
 * Left out     fault-around, huge pages as a unit, swap-in costs, userfaultfd messages
 */
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR } from '../abi/mman.ts';
import { Unmodelled } from '../base/assert.ts';
import { type Addr, floorTo, nrPagesIn, PAGE_SIZE, PMD_SIZE, pageFloor } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import type { Mm } from './mm.ts';
import { expandStack } from './stack.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import {
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_MAYSHARE,
  VM_NOHUGEPAGE,
  VM_READ,
  VM_SHARED,
  VM_UFFD_MASK,
  VM_WRITE,
} from './vmFlags.ts';

/** How memory is accessed. */
export type FaultAccess = 'read' | 'write' | 'exec';

/** What came of an access. */
export type FaultResult =
  /** The page was there and allowed it. */
  | { readonly kind: 'hit' }
  /** A fault that was served; `what` says how. */
  | {
      readonly kind: 'fault';
      readonly what: 'zero-page' | 'anon' | 'huge' | 'copy' | 'reuse' | 'file' | 'swap-in';
    }
  | {
      readonly kind: 'signal';
      readonly signal: 'SIGSEGV' | 'SIGBUS';
      readonly code: number;
      readonly codeName: string;
    };

const HIT: FaultResult = { kind: 'hit' };
const FAULT = {
  zeroPage: { kind: 'fault', what: 'zero-page' },
  anon: { kind: 'fault', what: 'anon' },
  huge: { kind: 'fault', what: 'huge' },
  copy: { kind: 'fault', what: 'copy' },
  reuse: { kind: 'fault', what: 'reuse' },
  file: { kind: 'fault', what: 'file' },
  swapIn: { kind: 'fault', what: 'swap-in' },
} as const satisfies Record<string, FaultResult>;
const MAPERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: SEGV_MAPERR, codeName: 'SEGV_MAPERR' };
const ACCERR: FaultResult = { kind: 'signal', signal: 'SIGSEGV', code: SEGV_ACCERR, codeName: 'SEGV_ACCERR' };
const BUS: FaultResult = { kind: 'signal', signal: 'SIGBUS', code: BUS_ADRERR, codeName: 'BUS_ADRERR' };

/** An access of `stamp.length` bytes, at most the rest of a page. `stamp` is what a write leaves in the first word of the page. */
export interface AccessRequest {
  readonly addr: Addr;
  readonly access: FaultAccess;
  readonly stamp: number | null;
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
 * Carries out one access by the program.
 *
 * @returns  hit, the fault that was served, or the signal
 * Events    anonVmaCreate or anonVmaShare, vmaResize (stack)
 */
export function accessPage(mm: Mm, request: AccessRequest): FaultResult {
  const vma = vmaForAccess(mm, request.addr);
  if (vma === null) return MAPERR;
  if (!isAllowed(vma, request.access)) return ACCERR;
  return faultIn(mm, vma, request);
}

/** Brings in the page of an access that `vma` allows. Also used for what the kernel populates. */
export function faultIn(mm: Mm, vma: Vma, request: AccessRequest): FaultResult {
  const page = pageFloor(request.addr);
  const kind = mm.pages.kind(page);
  if (kind === 'guard') return MAPERR;
  const write = request.access === 'write';
  if (vma.flags & VM_UFFD_MASK && (kind === 'none' || write))
    throw new Unmodelled('a userfaultfd fault', 'docs/scope.md#userfaultfd');
  if (isAnonymousVma(vma)) return anonymousFault(mm, vma, request, page);
  if (vma.file === null) return HIT;
  return fileFault(mm, vma, request, page);
}

function anonymousFault(mm: Mm, vma: Vma, request: AccessRequest, page: Addr): FaultResult {
  const { pages, kernel } = mm;
  const write = request.access === 'write';
  const kind = pages.kind(page);
  if (kind === 'swap') return swapIn(mm, vma, request, page);
  if (kind === 'anon') return write ? writeAnonymous(mm, vma, request, page) : HIT;
  if (kind === 'zero') {
    if (!write) return HIT;
    prepareAnonVma(kernel, vma);
    pages.set(page, 'anon', kernel.frames.allocate(request.stamp ?? 0));
    return FAULT.copy;
  }
  if (isHugeFaultPossible(mm, vma, page)) return hugeFault(mm, vma, request, page);
  if (!write) {
    pages.set(page, 'zero');
    return FAULT.zeroPage;
  }
  prepareAnonVma(kernel, vma);
  pages.set(page, 'anon', kernel.frames.allocate(request.stamp ?? 0));
  return FAULT.anon;
}

/** A store to an anonymous page that is there: in place when nobody else maps it, else a copy that belongs to this vma. */
function writeAnonymous(mm: Mm, vma: Vma, request: AccessRequest, page: Addr): FaultResult {
  const { frames } = mm.kernel;
  const frame = mm.pages.frame(page);
  const stamp = request.stamp ?? frames.stamp(frame);
  if (frames.mapcount(frame) === 1) {
    frames.setStamp(frame, stamp);
    return HIT;
  }
  prepareAnonVma(mm.kernel, vma);
  mm.pages.set(page, 'anon', frames.allocate(stamp));
  return FAULT.copy;
}

function swapIn(mm: Mm, vma: Vma, request: AccessRequest, page: Addr): FaultResult {
  mm.pages.retype(page, 'anon');
  if (request.access === 'write') writeAnonymous(mm, vma, request, page);
  return FAULT.swapIn;
}

/** Tells whether the first access to a 2 MiB range brings a huge page. Linux: thp_vma_allowable_order, pmd_none. */
function isHugeFaultPossible(mm: Mm, vma: Vma, page: Addr): boolean {
  const { thp } = mm.kernel.features;
  if (thp === 'never' || mm.thpDisabled || vma.flags & VM_NOHUGEPAGE) return false;
  if (thp === 'madvise' && (vma.flags & VM_HUGEPAGE) === 0) return false;
  const base = floorTo(page, PMD_SIZE);
  return base >= vma.start && base + PMD_SIZE <= vma.end && !mm.pages.hasTable(page);
}

/** Fills 2 MiB: with a page when written, with the huge zero page when read. Both give the vma its anon_vma first. */
function hugeFault(mm: Mm, vma: Vma, request: AccessRequest, page: Addr): FaultResult {
  prepareAnonVma(mm.kernel, vma);
  const base = floorTo(page, PMD_SIZE);
  for (let addr = base; addr < base + PMD_SIZE; addr += PAGE_SIZE) {
    if (request.access === 'write')
      mm.pages.set(addr, 'anon', mm.kernel.frames.allocate(addr === page ? (request.stamp ?? 0) : 0));
    else mm.pages.set(addr, 'zero');
  }
  return FAULT.huge;
}

function fileFault(mm: Mm, vma: Vma, request: AccessRequest, page: Addr): FaultResult {
  const { kernel, pages } = mm;
  const object = vma.file?.object;
  if (object === undefined) return HIT;
  const kind = pages.kind(page);
  const write = request.access === 'write';
  if (kind === 'anon') return write ? writeAnonymous(mm, vma, request, page) : HIT;
  if (kind === 'swap') return swapIn(mm, vma, request, page);
  const pgoff = vma.pgoff + nrPagesIn(page - vma.start);
  const shared = (vma.flags & (VM_SHARED | VM_MAYSHARE)) !== 0;
  // The anon_vma is made before the file is asked for the page, so it stays when there is none.
  if (write && !shared) prepareAnonVma(kernel, vma);
  if (kind === 'none' && object.size !== null && pgoff * PAGE_SIZE >= object.size) return BUS;
  const frame = kernel.cachedPage(object, pgoff);
  if (write && !shared) {
    pages.set(page, 'anon', kernel.frames.allocate(request.stamp ?? kernel.frames.stamp(frame)));
    return FAULT.copy;
  }
  if (write && request.stamp !== null) kernel.frames.setStamp(frame, request.stamp);
  if (kind === 'file') return HIT;
  pages.set(page, 'file', frame);
  return FAULT.file;
}

/** Returns the first word of the page at `addr`, which is present (0 for the zero page). Does not fault. */
export function peekStamp(mm: Mm, addr: Addr): number {
  const kind = mm.pages.kind(addr);
  return kind === 'anon' || kind === 'file' || kind === 'swap'
    ? mm.kernel.frames.stamp(mm.pages.frame(addr))
    : 0;
}
