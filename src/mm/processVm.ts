/**
 * process_vm_readv(2) and process_vm_writev(2): the kernel pins the pages of another process (or the caller's own) and copies.
 *
 * Pages are brought in as a fault of the target would, but the faults are the caller's. A pin wants a page that nobody else has: reading one
 * that is shared after fork gives the target its own copy of it, or makes it exclusive. What is copied stops at the first page that cannot
 * be had. Up to 1,024 pages are pinned, then copied: who waits for one of them holds those before it, wherever they are mapped meanwhile.
 *
 * Linux   mm/process_vm_access.c; mm/gup.c: gup_must_unshare; spec/vma.md 13.3
 * Left out   the local buffers, which are ordinary memory of the caller; permissions to look at another process
 */
import { EFAULT } from '../abi/errno.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE, pageFloor } from '../base/units.ts';
import { type AccessRequest, countFaults, faultIn } from './fault.ts';
import { REST_WRITTEN } from './frameContents.ts';
import { FRAME_DIRTY, type Pfn, ZERO_FRAME } from './frames.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { pageAt } from './pageState.ts';
import { markPinned } from './populate.ts';
import { EXCLUSIVE, HUGE, KIND_MASK, PRESENT } from './pte.ts';
import { ok, refused, type SysResult } from './result.ts';
import { finished, isWait, type UffdWait } from './uffdContext.ts';
import type { Vma } from './vma.ts';
import { VM_IO, VM_PFNMAP, VM_READ, VM_WRITE } from './vmFlags.ts';
import { FACT, type FaultName } from './work.ts';
import { unshareForPin } from './writeFault.ts';

/** Pages that are pinned at once. Linux: PVM_MAX_KMALLOC_PAGES, in pointers to pages */
const PAGES_AT_ONCE = 1024;

/** One call. */
export interface ProcessVm {
  /** Ranges of the target, bytes. */
  readonly ranges: readonly { readonly addr: Addr; readonly len: number }[];
  /** Bytes that the local buffers hold: no more is copied. */
  readonly max: number;
  readonly write: boolean;
  /** What a write leaves in the first word of each page that it fills from its first byte; null leaves it. */
  readonly stamp: number | null;
  /** It leaves that all over each page that it fills. */
  readonly fills?: boolean;
  /** Thread that calls. */
  readonly tid?: number;
}

/**
 * Copies from or to memory of `target` on behalf of `caller`, where nothing has to be waited for.
 * @returns  bytes copied, up to the first page that cannot be had; EFAULT not-mapped if that is the first one
 */
export const processVm = (caller: Mm, target: Mm, call: ProcessVm): SysResult =>
  finished(new ProcessVmCopy(caller, target, call).step());

/** One such copy, under way: stepped again where it had to wait for userfaultfd. */
export class ProcessVmCopy {
  readonly #caller: Mm;
  readonly #target: Mm;
  readonly #call: ProcessVm;
  /** Which range it is at, the page it comes to next (null: its first), bytes copied before that range. */
  #range = 0;
  /** Pages that are held and not copied yet: each frame, and what a write leaves in its first word. */
  #pinned: { readonly pfn: Pfn; readonly stamp: number | null; readonly isWhole: boolean }[] = [];
  #page: Addr | null = null;
  #bytes = 0;
  #again: AccessRequest | null = null;

  constructor(caller: Mm, target: Mm, call: ProcessVm) {
    this.#caller = caller;
    this.#target = target;
    this.#call = call;
  }

  /** Goes on. Returns the result, or what to wait for. */
  step(): SysResult | UffdWait {
    const target = this.#target;
    const { minFlt, majFlt } = target;
    const { work } = target.kernel;
    // No exception is taken: the kernel brings the pages in by itself.
    work.origin = 'populate';
    const result = this.#copy();
    work.origin = 'program';
    const caller = this.#caller;
    if (caller !== target) {
      caller.minFlt += target.minFlt - minFlt;
      caller.majFlt += target.majFlt - majFlt;
      target.minFlt = minFlt;
      target.majFlt = majFlt;
    }
    return result;
  }
  #copy(): SysResult | UffdWait {
    const { ranges, max } = this.#call;
    for (; this.#range < ranges.length; this.#range++) {
      const { addr, len } = ranges[this.#range] as { addr: Addr; len: number };
      const wanted = Math.min(len, max - this.#bytes);
      const copied = this.#copyRange(addr, wanted);
      if (isWait(copied)) return copied;
      this.#bytes += copied;
      this.#page = null;
      if (copied < wanted) break;
    }
    const nothingAsked = max === 0 || ranges.every(({ len }) => len === 0);
    return this.#bytes > 0 || nothingAsked ? ok(this.#bytes) : refused(EFAULT, 'not-mapped');
  }
  #copyRange(addr: Addr, len: number): number | UffdWait {
    const target = this.#target;
    const { write, stamp } = this.#call;
    for (let page = this.#page ?? pageFloor(addr); page < addr + len; page += PAGE_SIZE) {
      this.#page = page;
      if (this.#pinned.length === PAGES_AT_ONCE) this.#copyPinned();
      const had = this.#pin(page);
      if (isWait(had)) return had;
      if (!had) {
        this.#copyPinned();
        return Math.max(0, page - addr);
      }
      const pfn = pageAt(target, page).number;
      if (pfn !== ZERO_FRAME) target.kernel.frames.pin(pfn);
      const isWhole = page >= addr && page + PAGE_SIZE <= addr + len;
      this.#pinned.push({ pfn, stamp: write ? stampOf(page, addr, stamp) : null, isWhole });
    }
    this.#copyPinned();
    return len;
  }
  /** Copies what is held and lets go of it. The kernel marks a page itself dirty, not the entry. */
  #copyPinned(): void {
    const { frames, work } = this.#target.kernel;
    for (const { pfn, stamp, isWhole } of this.#pinned) {
      work.count(FACT.pagesCopiedByKernel);
      if (pfn === ZERO_FRAME) continue;
      if (this.#call.write) frames.setFlags(pfn, FRAME_DIRTY);
      if (stamp !== null && isWhole && this.#call.fills) frames.contents.fillWords(pfn, stamp);
      else if (stamp !== null) frames.setStamp(pfn, stamp);
      frames.unpin(pfn);
    }
    this.#pinned = [];
  }
  /** Brings a page in and makes sure that it is the target's own. Returns whether it can be had, or what to wait for. */
  #pin(page: Addr): boolean | UffdWait {
    const target = this.#target;
    const { write, tid } = this.#call;
    const vma = target.vmas.at(page);
    if (vma === null || vma.flags & (VM_IO | VM_PFNMAP)) return false;
    if ((vma.flags & (write ? VM_WRITE : VM_READ)) === 0) return false;
    const who = tid === undefined ? {} : { tid };
    const first = { addr: page, access: write ? 'write' : 'read', stamp: null, by: 'gup', ...who } as const;
    const came = faultIn(target, vma, this.#again ?? first);
    this.#again = came.kind === 'userfault' ? came.again : null;
    if (came.kind === 'userfault') return came.wait;
    if (came.kind === 'signal') return false;
    const unshared = write ? null : unshare(target, vma, page);
    if (unshared !== null) countFaults(target, unshared);
    markPinned(target, page);
    return true;
  }
}

/** What a write leaves in a page: of the first one, if it does not begin there, only that something is behind its first word. */
const stampOf = (page: Addr, addr: Addr, stamp: number | null): number | null =>
  stamp === null || page >= addr ? stamp : REST_WRITTEN;

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
