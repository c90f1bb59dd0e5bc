/**
 * mlock(2), mlock2, munlock, mlockall, munlockall: VM_LOCKED on ranges, and the population that follows.
 *
 * A lock that cannot populate (PROT_NONE, a guard page) still locks. Droppable and special vmas are passed over in silence.
 * Linux   mm/mlock.c; spec/vma.md 9
 */
import { EAGAIN, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT } from '../abi/mman.ts';
import { type Addr, nrPagesIn, PAGE_SIZE, pageCeil, pageFloor, TASK_SIZE } from '../base/units.ts';
import { FRAME_LOCK_MISSED } from './frames.ts';
import { countLocked, type Mm, mayLock } from './mm.ts';
import { Populating, populateRange } from './populate.ts';
import { KIND_MASK, PRESENT } from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { finished, isWait, type UffdWait } from './uffdContext.ts';
import type { Vma } from './vma.ts';
import { modifyVma } from './vmaMerge.ts';
import { VM_DROPPABLE, VM_LOCKED, VM_LOCKED_MASK, VM_LOCKONFAULT, VM_SPECIAL } from './vmFlags.ts';
import { FACT } from './work.ts';

/** Gives [start, end) of `vma` the lock bits. Returns the vma that covers it now, or null at the map limit. Linux: mlock_fixup(). */
function lockVma(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, lockFlags: number): Vma | null {
  const old = vma.flags;
  const flags = (old & ~VM_LOCKED_MASK) | lockFlags;
  if (flags === old || old & (VM_SPECIAL | VM_DROPPABLE)) return vma;
  const changed = modifyVma(mm, vma, { ...range, cause: 'mlock' }, { flags });
  if (changed === null) return null;
  countLockedPages(mm, range, { were: (old & VM_LOCKED) !== 0, are: (flags & VM_LOCKED) !== 0 });
  const pages = nrPagesIn(range.end - range.start);
  if ((flags & VM_LOCKED) === 0) mm.lockedVm -= old & VM_LOCKED ? pages : 0;
  else if ((old & VM_LOCKED) === 0) mm.lockedVm += pages;
  return changed;
}

/** Counts the resident pages of a range that are locked or unlocked. Linux: mlock_vma_pages_range(). */
function countLockedPages(
  mm: Mm,
  range: { start: Addr; end: Addr },
  locked: { readonly were: boolean; readonly are: boolean },
): void {
  if (locked.were === locked.are) return;
  const fact = locked.are ? FACT.pagesLocked : FACT.pagesUnlocked;
  const { frames, work } = mm.kernel;
  mm.pages.forEach(range.start, range.end, (_addr, low, pfn) => {
    if ((low & KIND_MASK) !== PRESENT) return;
    work.count(fact);
    if (locked.are) frames.setFlags(pfn, 0, FRAME_LOCK_MISSED);
  });
}

/** Walks [start, end); holes are errors, vmas before them stay changed. Linux: apply_vma_lock_flags(). */
function lockWalk(mm: Mm, start: Addr, end: Addr, lockFlags: number): SysResult {
  for (let from = start; from < end; ) {
    const vma = mm.vmas.at(from);
    if (vma === null) return refused(ENOMEM, 'hole');
    const changed = lockVma(mm, vma, { start: from, end: Math.min(vma.end, end) }, lockFlags);
    if (changed === null) return refused(ENOMEM, 'map-count');
    from = changed.end;
  }
  return OK;
}

/** Returns the page range of a lock call, or null when the length wraps to nothing. The end may lie beyond 64 bits. */
function lockRange(addr: Addr, len: number): { start: Addr; end: Addr } | null {
  const start = pageFloor(addr);
  const bytes = pagesOfLock(len, addr - start);
  return bytes === 0 ? null : { start, end: start + bytes };
}

/** Rounds `len + offset` up to pages as 64 bits do: doubles would lose the low bits of lengths near 2^64. */
function pagesOfLock(len: number, offset: number): number {
  if (len < 2 ** 52) return pageCeil(len + offset);
  const exact = len >= 2 ** 64 ? 2n ** 64n - 1n : BigInt(len);
  return Number(BigInt.asUintN(64, exact + BigInt(offset + PAGE_SIZE - 1)) & ~BigInt(PAGE_SIZE - 1));
}

const wraps = (range: { end: Addr }): boolean => range.end >= 2 ** 64;

/**
 * mlock(2) and mlock2(2).
 *
 * @param addr   rounded down; len bytes, rounded up
 * @param flags  0 or MLOCK_ONFAULT
 * Refusals      EINVAL bad-flags, wraps · EPERM may-not-lock · ENOMEM locked-limit, hole, map-count, populate-failed · EAGAIN
 * Source        spec/vma.md 9
 */
export const mlock = (mm: Mm, addr: Addr, len: number, flags = 0): SysResult =>
  finished(new Mlock(mm, { addr, len, flags }).step());

/** The arguments of mlock2. */
export interface MlockRequest {
  readonly addr: Addr;
  readonly len: number;
  readonly flags: number;
  readonly tid?: number;
}

/** One call of mlock, under way: stepped again where it had to wait for userfaultfd. */
export class Mlock {
  readonly #begun: SysResult | Populating;

  /** Locks; what is left is populating. */
  constructor(mm: Mm, request: MlockRequest) {
    this.#begun = lockThenPopulate(mm, request);
  }

  /** Goes on. Returns the result, or what to wait for. EFAULT becomes ENOMEM; ENOMEM (a page could not be had) becomes EAGAIN. */
  step(): SysResult | UffdWait {
    if (!(this.#begun instanceof Populating)) return this.#begun;
    const populated = this.#begun.step();
    if (isWait(populated) || populated.why === 'ok') return populated;
    return populated.ret === -ENOMEM ? refused(EAGAIN, populated.why) : refused(ENOMEM, populated.why);
  }
}

/** Sets the lock bits. Returns what is to be populated then, or the answer. */
function lockThenPopulate(mm: Mm, { addr, len, flags, tid }: MlockRequest): SysResult | Populating {
  if (flags & ~MLOCK_ONFAULT) return refused(EINVAL, 'bad-flags');
  if (!mayLock(mm)) return refused(EPERM, 'may-not-lock');
  const range = lockRange(addr, len);
  const limit = Math.floor(mm.limits.memlock.soft / PAGE_SIZE);
  // What is locked already counts even where nothing is asked for.
  if (range === null) return mm.lockedVm > limit && !mm.privileged ? refused(ENOMEM, 'locked-limit') : OK;
  const { start, end } = range;
  let wanted = mm.lockedVm + nrPagesIn(end - start);
  if (wanted > limit && !mm.privileged) wanted -= countLocked(mm, start, end);
  if (wanted > limit && !mm.privileged) return refused(ENOMEM, 'locked-limit');
  if (wraps(range)) return refused(EINVAL, 'wraps');
  const walked = lockWalk(mm, start, end, VM_LOCKED | (flags & MLOCK_ONFAULT ? VM_LOCKONFAULT : 0));
  if (walked.why !== 'ok') return walked;
  const how = { ignoreErrors: false, origin: 'mlock' } as const;
  return new Populating(mm, { start, end, ...how, ...(tid === undefined ? {} : { tid }) });
}

/** munlock(2). Refusals: EINVAL wraps · ENOMEM hole, map-count. */
export function munlock(mm: Mm, addr: Addr, len: number): SysResult {
  const range = lockRange(addr, len);
  if (range === null) return OK;
  return wraps(range) ? refused(EINVAL, 'wraps') : lockWalk(mm, range.start, range.end, 0);
}

/** Sets the lock bits of new mappings and, with MCL_CURRENT (or to unlock), of all there are; errors of single vmas do not matter. */
function applyAll(mm: Mm, flags: number): void {
  const onFault = flags & MCL_ONFAULT ? VM_LOCKONFAULT : 0;
  mm.defFlags = flags & MCL_FUTURE ? VM_LOCKED | onFault : 0;
  if (flags & MCL_FUTURE && (flags & MCL_CURRENT) === 0) return;
  const lockFlags = flags & MCL_CURRENT ? VM_LOCKED | onFault : 0;
  for (let vma = mm.vmas.first; vma !== null; ) {
    const changed: Vma = lockVma(mm, vma, { start: vma.start, end: vma.end }, lockFlags) ?? vma;
    vma = changed.next;
  }
}

/**
 * mlockall(2).
 * @param flags  MCL_CURRENT, MCL_FUTURE, with either MCL_ONFAULT; each call sets anew what applies to new mappings
 * Refusals      EINVAL bad-flags · EPERM may-not-lock · ENOMEM locked-limit
 */
export function mlockall(mm: Mm, flags: number): SysResult {
  if (flags === 0 || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags === MCL_ONFAULT)
    return refused(EINVAL, 'bad-flags');
  if (!mayLock(mm)) return refused(EPERM, 'may-not-lock');
  const tooMuch = mm.totalVm > Math.floor(mm.limits.memlock.soft / PAGE_SIZE);
  if (flags & MCL_CURRENT && tooMuch && !mm.privileged) return refused(ENOMEM, 'locked-limit');
  applyAll(mm, flags);
  if (flags & MCL_CURRENT) populateRange(mm, 0, TASK_SIZE, { ignoreErrors: true, origin: 'mlock' });
  return OK;
}

/** munlockall(2): unlocks every vma and new mappings too. */
export function munlockall(mm: Mm): SysResult {
  applyAll(mm, 0);
  return OK;
}
