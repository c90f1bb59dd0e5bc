/**
 * The stupid model: one entry for each mapped page and no vmas at all.
 *
 * It knows what a program can know: which pages are mapped, with which access and flags, what they hold, and what a call must
 * answer as far as that follows from pages alone. Where Linux's answer depends on the borders of vmas (mremap of a range that crosses one), whoever
 * drives it says so (`crosses`) or leaves the call out. Flags are the words of vmFlags.ts, without VM_ACCOUNT (it depends on faults) and
 * VM_MAYBE_GUARD (it belongs to vmas); a flag is just a name here.
 *
 * Written from spec/vma.md alone, as loops over pages. Not here: limits, overcommit, userfaultfd, policies, stacks, huge pages.
 */
import type { Op } from '../../src/machine/index.ts';
import {
  VM_DONTCOPY,
  VM_DROPPABLE,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_MAYSHARE,
  VM_READ,
  VM_SEALED,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
} from '../../src/mm/vmFlags.ts';

/** Bytes of a page. */
export const PAGE = 4096;
/** Any access. */
export const ACCESS = VM_READ | VM_WRITE | VM_EXEC;

/** What a file or shared memory holds. */
export interface ModelObject {
  readonly name: string;
  /** Pages. */
  size: number;
  /** First words by page; 0 where there is none. */
  readonly contents: Map<number, number>;
}

/** One mapped page. */
export interface Page {
  flags: number;
  /** Null: private anonymous. */
  readonly object: ModelObject | null;
  readonly pgoff: number;
  /** What a private page holds itself; null: what the object holds. */
  own: number | null;
  guard: boolean;
  /** A guard marker was set here once: VM_MAYBE_GUARD must still be on the vma. */
  wasGuard: boolean;
}

/** What a call must answer. */
export type Answer =
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'errno'; readonly errno: string }
  | { readonly kind: 'signal'; readonly signal: string; readonly code: string; readonly addr: number };

/** Success with a value. */
export const value = (n: number): Answer => ({ kind: 'value', value: n });
/** An error by name. */
export const error = (errno: string): Answer => ({ kind: 'errno', errno });
/** Success with 0. */
export const DONE = value(0);

/** An operation of one kind. */
export type OpOf<C extends Op['call']> = Extract<Op, { call: C }>;

/** The pages of one process, by page number. */
export class PageProcess {
  readonly pages = new Map<number, Page>();
  /** Lock flags of new mappings. */
  defFlags = 0;
  startBrk = 0;
  brk = 0;

  /** Returns what fork gives the child. */
  fork(): PageProcess {
    const child = new PageProcess();
    child.startBrk = this.startBrk;
    child.brk = this.brk;
    for (const [vpn, page] of this.pages) {
      if (page.flags & VM_DONTCOPY) continue;
      const copy = { ...page, flags: page.flags & ~VM_LOCKED_MASK };
      if (page.flags & VM_WIPEONFORK) {
        copy.own = 0;
        copy.guard = false;
      }
      child.pages.set(vpn, copy);
    }
    return child;
  }

  /** Number of pages whose flags satisfy `test`. */
  count(test: (flags: number) => boolean): number {
    let sum = 0;
    for (const { flags } of this.pages.values()) if (test(flags)) sum++;
    return sum;
  }
}

/** The page numbers of [addr, addr+len), `len` rounded up. */
export function* vpns(addr: number, len: number): Generator<number> {
  for (let vpn = Math.floor(addr / PAGE); vpn < Math.ceil((addr + len) / PAGE); vpn++) yield vpn;
}

/** Tells whether an access is allowed by `flags` on x86: any access implies that loads work. */
export const allows = (flags: number, access: 'read' | 'write' | 'exec'): boolean =>
  access === 'read' ? (flags & ACCESS) !== 0 : (flags & (access === 'write' ? VM_WRITE : VM_EXEC)) !== 0;

/** Tells whether a page lies beyond the end of its object. */
export const isBeyondEnd = (page: Page): boolean => page.object !== null && page.pgoff >= page.object.size;

/** What a load finds. */
export const contentOf = (page: Page): number => page.own ?? page.object?.contents.get(page.pgoff) ?? 0;

/** Tells whether what is written belongs to the process alone. */
export const isPrivate = (page: Page): boolean => (page.flags & VM_MAYSHARE) === 0;

/** Tells whether no page of the range is mapped. */
export const isFree = (p: PageProcess, addr: number, len: number): boolean =>
  [...vpns(addr, len)].every((vpn) => !p.pages.has(vpn));

/** Tells whether a page of the range is sealed. */
export const hasSeal = (p: PageProcess, addr: number, len: number): boolean =>
  [...vpns(addr, len)].some((vpn) => ((p.pages.get(vpn)?.flags ?? 0) & VM_SEALED) !== 0);

/** Removes the pages of a range, or refuses because of a seal. */
export function unmapPages(p: PageProcess, addr: number, len: number): boolean {
  if (hasSeal(p, addr, len)) return false;
  for (const vpn of vpns(addr, len)) p.pages.delete(vpn);
  return true;
}

/** munmap(2). */
export function munmapPages(p: PageProcess, op: OpOf<'munmap'>): Answer {
  if (op.addr % PAGE !== 0 || op.len === 0) return error('EINVAL');
  return unmapPages(p, op.addr, op.len) ? DONE : error('EPERM');
}

/** mprotect(2): page by page, stops at the first that refuses. */
export function protectPages(p: PageProcess, op: OpOf<'mprotect'>): Answer {
  if (op.addr % PAGE !== 0) return error('EINVAL');
  const access = (op.prot & 1 ? VM_READ : 0) | (op.prot & 2 ? VM_WRITE : 0) | (op.prot & 4 ? VM_EXEC : 0);
  for (const vpn of vpns(op.addr, op.len)) {
    const page = p.pages.get(vpn);
    if (page === undefined) return error('ENOMEM');
    // The MAY bits lie four places above the access bits.
    if (access & ~(page.flags >> 4)) return error('EACCES');
    if (page.flags & VM_SEALED) return error('EPERM');
    page.flags = (page.flags & ~ACCESS) | access;
  }
  return DONE;
}

/** A run of loads or stores, one a page, ending at the first trap. */
export function touchPages(p: PageProcess, op: OpOf<'touch'>): Answer {
  for (const vpn of vpns(op.addr, op.len)) {
    const trap = (signal: string, code: string): Answer => ({
      kind: 'signal',
      signal,
      code,
      addr: vpn * PAGE,
    });
    const page = p.pages.get(vpn);
    if (page === undefined) return trap('SIGSEGV', 'SEGV_MAPERR');
    if (!allows(page.flags, op.access)) return trap('SIGSEGV', 'SEGV_ACCERR');
    if (page.guard) return trap('SIGSEGV', 'SEGV_MAPERR');
    if (isBeyondEnd(page) && page.own === null) return trap('SIGBUS', 'BUS_ADRERR');
    if (op.access !== 'write') continue;
    if (isPrivate(page)) page.own = op.stamp ?? 0;
    else page.object?.contents.set(page.pgoff, op.stamp ?? 0);
  }
  return DONE;
}

/** brk(2): the answer is the break afterwards. */
export function brkPages(p: PageProcess, op: OpOf<'brk'>, heapFlags: number): Answer {
  const up = (addr: number): number => Math.ceil(addr / PAGE) * PAGE;
  const [oldEnd, newEnd] = [up(p.brk), up(op.addr)];
  if (op.addr < p.startBrk) return value(p.brk);
  if (newEnd > oldEnd) {
    // One free page must remain above the heap.
    if (!isFree(p, oldEnd, newEnd - oldEnd + PAGE)) return value(p.brk);
    for (const vpn of vpns(oldEnd, newEnd - oldEnd))
      p.pages.set(vpn, anonymousPage(heapFlags | p.defFlags, vpn));
  } else if (newEnd < oldEnd) {
    if (isFree(p, newEnd, oldEnd - newEnd)) return value(p.brk);
    if (!unmapPages(p, newEnd, oldEnd - newEnd)) return value(p.brk);
  }
  p.brk = op.addr;
  return value(p.brk);
}

/** A fresh page of private anonymous memory. */
export const anonymousPage = (flags: number, pgoff: number): Page => ({
  flags,
  object: null,
  pgoff,
  own: 0,
  guard: false,
  wasGuard: false,
});

/** mseal(2): all or nothing. */
export function sealPages(p: PageProcess, op: OpOf<'mseal'>): Answer {
  const range = [...vpns(op.addr, op.len)];
  if (range.some((vpn) => !p.pages.has(vpn))) return error('ENOMEM');
  for (const vpn of range) (p.pages.get(vpn) as Page).flags |= VM_SEALED;
  return DONE;
}

/** What the process's counters must say, from the pages alone. */
export const countersOf = (
  p: PageProcess,
): Readonly<Record<'brk' | 'totalVm' | 'lockedVm' | 'dataVm' | 'execVm', number>> => ({
  brk: p.brk,
  totalVm: p.pages.size,
  lockedVm: p.count((flags) => (flags & VM_LOCKED) !== 0),
  dataVm: p.count((flags) => (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE),
  execVm: p.count((flags) => (flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) === VM_EXEC),
});

/** Tells whether mlock passes over a page. */
export const isNeverLocked = (page: Page): boolean => (page.flags & VM_DROPPABLE) !== 0;
