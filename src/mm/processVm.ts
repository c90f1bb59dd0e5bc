/**
 * process_vm_readv(2) and process_vm_writev(2): the kernel pins the pages of another process (or the caller's own) and copies.
 *
 * Pages are brought in as a fault of the target would, but the faults are the caller's. A pin wants a page that nobody else has: reading one
 * that is shared after fork gives the target its own copy of it, or makes it exclusive. What is copied stops at the first page that cannot
 * be had.
 *
 * Linux   mm/process_vm_access.c; mm/gup.c: gup_must_unshare; spec/vma.md 13.3
 * Left out   the local buffers, which are ordinary memory of the caller; permissions to look at another process
 */
import { EFAULT } from '../abi/errno.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE, pageFloor } from '../base/units.ts';
import { countFaults, faultIn } from './fault.ts';
import { FRAME_DIRTY } from './frames.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { pageAt } from './pageState.ts';
import { markPinned } from './populate.ts';
import { EXCLUSIVE, HUGE, KIND_MASK, PRESENT } from './pte.ts';
import { ok, refused, type SysResult } from './result.ts';
import type { Vma } from './vma.ts';
import { VM_IO, VM_PFNMAP, VM_READ, VM_WRITE } from './vmFlags.ts';
import { FACT, type FaultName } from './work.ts';
import { unshareForPin } from './writeFault.ts';

/** One call. */
export interface ProcessVm {
  /** Ranges of the target, bytes. */
  readonly ranges: readonly { readonly addr: Addr; readonly len: number }[];
  /** Bytes that the local buffers hold: no more is copied. */
  readonly max: number;
  readonly write: boolean;
  /** What a write leaves in the first word of each page that it fills from its first byte; null leaves it. */
  readonly stamp: number | null;
}

/**
 * Copies from or to memory of `target` on behalf of `caller`.
 * @returns  bytes copied, up to the first page that cannot be had; EFAULT not-mapped if that is the first one
 */
export function processVm(caller: Mm, target: Mm, call: ProcessVm): SysResult {
  const { minFlt, majFlt } = target;
  const { work } = target.kernel;
  // No exception is taken: the kernel brings the pages in by itself.
  work.origin = 'populate';
  let bytes = 0;
  for (const { addr, len } of call.ranges) {
    const wanted = Math.min(len, call.max - bytes);
    const copied = copyRange(target, { addr, len: wanted }, call);
    bytes += copied;
    if (copied < wanted) break;
  }
  work.origin = 'program';
  if (caller !== target) {
    caller.minFlt += target.minFlt - minFlt;
    caller.majFlt += target.majFlt - majFlt;
    target.minFlt = minFlt;
    target.majFlt = majFlt;
  }
  const nothingAsked = call.max === 0 || call.ranges.every(({ len }) => len === 0);
  return bytes > 0 || nothingAsked ? ok(bytes) : refused(EFAULT, 'not-mapped');
}

function copyRange(
  target: Mm,
  range: { readonly addr: Addr; readonly len: number },
  call: ProcessVm,
): number {
  const end = range.addr + range.len;
  for (let page = pageFloor(range.addr); page < end; page += PAGE_SIZE) {
    if (!pinPage(target, page, call.write)) return Math.max(0, page - range.addr);
    if (call.write) writePage(target, page, page >= range.addr ? call.stamp : null);
    target.kernel.work.count(FACT.pagesCopiedByKernel);
  }
  return range.len;
}

/** Brings a page in and makes sure that it is the target's own. Returns whether it can be had. */
function pinPage(target: Mm, page: Addr, write: boolean): boolean {
  const vma = target.vmas.at(page);
  if (vma === null || vma.flags & (VM_IO | VM_PFNMAP)) return false;
  if ((vma.flags & (write ? VM_WRITE : VM_READ)) === 0) return false;
  const access = write ? 'write' : 'read';
  const came = faultIn(target, vma, { addr: page, access, stamp: null, byKernel: true });
  if (came.kind === 'signal') return false;
  if (!write) {
    const unshared = unshare(target, vma, page);
    if (unshared !== null) countFaults(target, unshared);
  }
  markPinned(target, page);
  return true;
}

function unshare(target: Mm, vma: Vma, page: Addr): FaultName | null {
  const { pages, kernel } = target;
  const pmd = pages.pmd(page);
  if (pmd & HUGE) {
    const head = pages.pmdHigh(page);
    if ((pmd & KIND_MASK) !== PRESENT || pmd & EXCLUSIVE || !kernel.frames.isAnon(head)) return null;
    const base = floorTo(page, PMD_SIZE);
    if (kernel.frames.refcount(head) === 1) {
      pages.setHugeLow(base, pmd | EXCLUSIVE);
      return 'reuse';
    }
    splitPmd(target, vma, base);
  }
  return unshareForPin(target, vma, page);
}

/** The kernel marks the page itself dirty, not the entry. */
function writePage(target: Mm, page: Addr, stamp: number | null): void {
  const { number } = pageAt(target, page);
  target.kernel.frames.setFlags(number, FRAME_DIRTY);
  if (stamp !== null) target.kernel.frames.setStamp(number, stamp);
}
