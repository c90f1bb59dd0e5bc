/**
 * madvise, mlock and munlock of the stupid model.
 *
 * Advice passes over holes and reports them at the end; locks stop at them. What a lock or MADV_POPULATE_* brings in cannot be seen here,
 * because no private file page of the model ever changes; whether it can be brought in decides the answer.
 */
import * as mman from '../../src/abi/mman.ts';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_LOCKONFAULT,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_RAND_READ,
  VM_READ,
  VM_SEALED,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
} from '../../src/mm/vmFlags.ts';
import {
  ACCESS,
  type Answer,
  DONE,
  error,
  isBeyondEnd,
  isNeverLocked,
  isPrivate,
  type OpOf,
  PAGE,
  type Page,
  type PageProcess,
  vpns,
} from './pageModel.ts';

/** What advice does to one page: nothing more to say, or the name of the error that stops the walk. */
type Advise = (page: Page) => string | undefined;

const flag =
  (set: number, clear = 0): Advise =>
  (page) => {
    page.flags = (page.flags & ~clear) | set;
    return undefined;
  };

const discard: Advise = (page) => {
  if (isPrivate(page)) page.own = page.object === null ? 0 : null;
  return undefined;
};

const unlessLocked =
  (advise: Advise): Advise =>
  (page) =>
    page.flags & VM_LOCKED ? 'EINVAL' : advise(page);

const nothing: Advise = () => undefined;

const ADVICE: Readonly<Record<number, Advise>> = {
  [mman.MADV_NORMAL]: flag(0, VM_RAND_READ | VM_SEQ_READ),
  [mman.MADV_RANDOM]: flag(VM_RAND_READ, VM_SEQ_READ),
  [mman.MADV_SEQUENTIAL]: flag(VM_SEQ_READ, VM_RAND_READ),
  [mman.MADV_WILLNEED]: nothing,
  [mman.MADV_DONTNEED]: unlessLocked(discard),
  [mman.MADV_DONTNEED_LOCKED]: discard,
  [mman.MADV_FREE]: (page) => (page.flags & VM_LOCKED || page.object !== null ? 'EINVAL' : undefined),
  [mman.MADV_REMOVE]: unlessLocked((page) => {
    if (page.object === null) return 'EINVAL';
    if ((page.flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) return 'EACCES';
    page.object.contents.delete(page.pgoff);
    return undefined;
  }),
  [mman.MADV_DONTFORK]: flag(VM_DONTCOPY),
  [mman.MADV_DOFORK]: flag(0, VM_DONTCOPY),
  [mman.MADV_MERGEABLE]: (page) => flag(page.flags & (VM_MAYSHARE | VM_DROPPABLE) ? 0 : VM_MERGEABLE)(page),
  [mman.MADV_UNMERGEABLE]: flag(0, VM_MERGEABLE),
  [mman.MADV_HUGEPAGE]: flag(VM_HUGEPAGE, VM_NOHUGEPAGE),
  [mman.MADV_NOHUGEPAGE]: flag(VM_NOHUGEPAGE, VM_HUGEPAGE),
  [mman.MADV_DONTDUMP]: flag(VM_DONTDUMP),
  [mman.MADV_DODUMP]: (page) => (page.flags & VM_DROPPABLE ? 'EINVAL' : flag(0, VM_DONTDUMP)(page)),
  [mman.MADV_WIPEONFORK]: (page) => (page.object !== null ? 'EINVAL' : flag(VM_WIPEONFORK)(page)),
  [mman.MADV_KEEPONFORK]: (page) => (page.flags & VM_DROPPABLE ? 'EINVAL' : flag(0, VM_WIPEONFORK)(page)),
  [mman.MADV_COLD]: unlessLocked(nothing),
  [mman.MADV_PAGEOUT]: unlessLocked(nothing),
  [mman.MADV_GUARD_INSTALL]: unlessLocked((page) => {
    discard(page);
    page.guard = true;
    page.wasGuard = true;
    return undefined;
  }),
  [mman.MADV_GUARD_REMOVE]: (page) => {
    page.guard = false;
    return undefined;
  },
};

/** Advice that a seal forbids on anonymous memory that cannot be written. */
const DISCARDS: ReadonlySet<number> = new Set([
  mman.MADV_DONTNEED,
  mman.MADV_DONTNEED_LOCKED,
  mman.MADV_FREE,
  mman.MADV_REMOVE,
  mman.MADV_DONTFORK,
  mman.MADV_WIPEONFORK,
  mman.MADV_GUARD_INSTALL,
]);

/** Every advice the model knows, the two that populate included. */
export const KNOWN_ADVICE: readonly number[] = [
  ...Object.keys(ADVICE).map(Number),
  mman.MADV_POPULATE_READ,
  mman.MADV_POPULATE_WRITE,
];

/** madvise(2). */
export function advisePages(p: PageProcess, op: OpOf<'madvise'>): Answer {
  if (op.addr % PAGE !== 0) return error('EINVAL');
  if (op.advice === mman.MADV_POPULATE_READ) return populate(p, op, VM_READ);
  if (op.advice === mman.MADV_POPULATE_WRITE) return populate(p, op, VM_WRITE);
  const advise = ADVICE[op.advice];
  if (advise === undefined) return error('EINVAL');
  let hole = false;
  for (const vpn of vpns(op.addr, op.len)) {
    const page = p.pages.get(vpn);
    if (page === undefined) {
      hole = true;
      continue;
    }
    const isSealed = (page.flags & VM_SEALED) !== 0 && page.object === null && (page.flags & VM_WRITE) === 0;
    if (isSealed && DISCARDS.has(op.advice)) return error('EPERM');
    const errno = advise(page);
    if (errno !== undefined) return error(errno);
  }
  return hole ? error('ENOMEM') : DONE;
}

function populate(p: PageProcess, op: OpOf<'madvise'>, needed: number): Answer {
  for (const vpn of vpns(op.addr, op.len)) {
    const page = p.pages.get(vpn);
    if (page === undefined) return error('ENOMEM');
    if ((page.flags & needed) === 0) return error('EINVAL');
    if (!canComeIn(page)) return error('EFAULT');
  }
  return DONE;
}

/** Tells whether the kernel can fault a page in. */
const canComeIn = (page: Page): boolean => !page.guard && (page.own !== null || !isBeyondEnd(page));

/** mlock(2), mlock2(2). */
export function lockPages(p: PageProcess, op: OpOf<'mlock2'>): Answer {
  if (op.flags & ~mman.MLOCK_ONFAULT) return error('EINVAL');
  const walked = setLock(p, op, VM_LOCKED | (op.flags & mman.MLOCK_ONFAULT ? VM_LOCKONFAULT : 0));
  if (walked.kind === 'errno') return walked;
  for (const vpn of vpns(op.addr, op.len)) {
    const page = p.pages.get(vpn) as Page;
    if (page.flags & VM_LOCKONFAULT) continue;
    if ((page.flags & ACCESS) === 0 || !canComeIn(page)) return error('ENOMEM');
  }
  return DONE;
}

/** munlock(2). */
export const unlockPages = (p: PageProcess, op: OpOf<'munlock'>): Answer => setLock(p, op, 0);

function setLock(p: PageProcess, op: { addr: number; len: number }, lock: number): Answer {
  for (const vpn of vpns(op.addr, op.len)) {
    const page = p.pages.get(vpn);
    if (page === undefined) return error('ENOMEM');
    if (!isNeverLocked(page)) page.flags = (page.flags & ~VM_LOCKED_MASK) | lock;
  }
  return DONE;
}

/** mlockall(2): sets anew what applies to new mappings. */
export function lockAllPages(p: PageProcess, op: OpOf<'mlockall'>): Answer {
  const { flags } = op;
  if (flags === 0 || flags === mman.MCL_ONFAULT) return error('EINVAL');
  const lock = VM_LOCKED | (flags & mman.MCL_ONFAULT ? VM_LOCKONFAULT : 0);
  p.defFlags = flags & mman.MCL_FUTURE ? lock : 0;
  if (flags & mman.MCL_CURRENT)
    for (const page of p.pages.values())
      if (!isNeverLocked(page)) page.flags = (page.flags & ~VM_LOCKED_MASK) | lock;
  return DONE;
}

/** munlockall(2). */
export function unlockAllPages(p: PageProcess): Answer {
  p.defFlags = 0;
  for (const page of p.pages.values()) page.flags &= ~VM_LOCKED_MASK;
  return DONE;
}
