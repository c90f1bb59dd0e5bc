/**
 * Registration: which vmas a userfaultfd context is about, and in which modes. Both are attributes of a vma, which decide about merges.
 *
 * Registering in a mode that is not yet there replaces the modes; bits and markers of write-protection that were set before stay. Unregistering takes
 * write-protection back and wakes who waits for missing pages; who waits to write a protected page sleeps on, unless the context is closed.
 *
 * Linux   fs/userfaultfd.c, mm/userfaultfd.c: userfaultfd_register_range, userfaultfd_clear_vma, userfaultfd_release_all; spec/userfaultfd.md 3, 4
 * Left out   hugetlb
 */
import { EBUSY, EFAULT, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import {
  UFFD_IOCTL_CONTINUE,
  UFFD_IOCTL_MOVE,
  UFFD_IOCTL_WRITEPROTECT,
  UFFD_RANGE_IOCTLS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
} from '../abi/userfaultfd.ts';
import type { Addr } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { OK, refused, type SysResult } from './result.ts';
import { isInverted } from './storeBits.ts';
import type { UffdContext } from './uffdContext.ts';
import { dropUnreadFork } from './uffdEvents.ts';
import { dropUffdBits, markWritten, protectForUffd } from './uffdProtect.ts';
import { isValidRange, type UffdRange } from './uffdRange.ts';
import { isAnonymousVma, isSharedMemory, type Vma } from './vma.ts';
import { modifyVma } from './vmaMerge.ts';
import {
  VM_DROPPABLE,
  VM_MAYWRITE,
  VM_UFFD_MASK,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
} from './vmFlags.ts';

const MODES = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR;

/** Returns the mode bits of vm_flags for a registration mode. */
const modeFlags = (mode: number): number =>
  (mode & UFFDIO_REGISTER_MODE_MISSING ? VM_UFFD_MISSING : 0) |
  (mode & UFFDIO_REGISTER_MODE_WP ? VM_UFFD_WP : 0) |
  (mode & UFFDIO_REGISTER_MODE_MINOR ? VM_UFFD_MINOR : 0);

/** Tells whether `vma` is of a kind that may have these modes. Linux: vma_can_userfault() */
function canRegister(context: UffdContext, vma: Vma, modes: number): boolean {
  if (vma.flags & VM_DROPPABLE) return false;
  const shmem = vma.file !== null && isSharedMemory(vma.file.object);
  if (modes & VM_UFFD_MINOR && !shmem) return false;
  if (context.wpAsync && modes === VM_UFFD_WP) return true;
  return isAnonymousVma(vma) || shmem;
}

/** The argument of UFFDIO_REGISTER. */
export interface UffdRegisterRequest extends UffdRange {
  readonly mode: number;
  /** The structure cannot be written: what was done stays done. */
  readonly readOnly?: boolean;
}

/** The answer of UFFDIO_REGISTER; `ioctls` is null where it was not written. */
export interface UffdRegisterResult extends SysResult {
  readonly ioctls: number | null;
}

/**
 * UFFDIO_REGISTER.
 * @param request  the structure, null if it cannot be read; mode 1 missing, 2 write-protect, 4 minor, or several
 * Refusals        EFAULT bad-pointer · EINVAL bad-flags, bad-range, not-mapped, not-anonymous · EPERM may-access · EBUSY uffd-busy ·
 *                 ENOMEM gone, map-count
 * Events          vmaMerge, vmaSplit, flags
 */
export function uffdRegister(context: UffdContext, request: UffdRegisterRequest | null): UffdRegisterResult {
  const done = register(context, request);
  if (done.why !== 'ok' || request === null) return { ...done, ioctls: null };
  if (request.readOnly === true) return { ...refused(EFAULT, 'bad-pointer'), ioctls: null };
  return { ...OK, ioctls: offeredIoctls(context, request.mode) };
}

const canMove = (context: UffdContext): boolean => context.mm.kernel.features.uffdMove !== 'off';

/** What can be done in a range that is registered in `mode`. */
function offeredIoctls(context: UffdContext, mode: number): number {
  return (
    (canMove(context) ? UFFD_RANGE_IOCTLS : UFFD_RANGE_IOCTLS & ~UFFD_IOCTL_MOVE) |
    (mode & UFFDIO_REGISTER_MODE_WP ? UFFD_IOCTL_WRITEPROTECT : 0) |
    (mode & UFFDIO_REGISTER_MODE_MINOR ? UFFD_IOCTL_CONTINUE : 0)
  );
}

function register(context: UffdContext, request: UffdRegisterRequest | null): SysResult {
  if (context.features === null) return refused(EINVAL, 'no-handshake');
  if (request === null) return refused(EFAULT, 'bad-pointer');
  const { start, len, mode } = request;
  if (mode === 0 || mode & ~MODES || mode > MODES) return refused(EINVAL, 'bad-flags');
  if (!isValidRange(request)) return refused(EINVAL, 'bad-range');
  const { mm } = context;
  if (mm.gone) return refused(ENOMEM, 'gone');
  const modes = modeFlags(mode);
  const end = start + len;
  const first = mm.vmas.firstEndingAbove(start);
  if (first === null || first.start >= end) return refused(EINVAL, 'not-mapped');
  for (let vma: Vma | null = first; vma !== null && vma.start < end; vma = vma.next) {
    if (!canRegister(context, vma, modes)) return refused(EINVAL, 'not-anonymous');
    if ((vma.flags & VM_MAYWRITE) === 0) return refused(EPERM, 'may-access');
    if (vma.uffd !== null && vma.uffd !== context) return refused(EBUSY, 'uffd-busy');
  }
  return forPieces(mm, start, end, (vma, from, to) => {
    if (vma.uffd === context && (vma.flags & modes) === modes) return vma;
    const flags = (vma.flags & ~VM_UFFD_MASK) | modes;
    const wasProtectable = (vma.flags & VM_UFFD_WP) !== 0;
    const changed = modifyVma(mm, vma, { start: from, end: to, cause: 'uffd' }, { flags, uffd: context });
    if (changed !== null && !wasProtectable && isInverted(changed)) markWritten(mm, from, to);
    return changed;
  });
}

/** Calls `change` for each vma piece of [start, end); holes are passed over. */
function forPieces(
  mm: Mm,
  start: Addr,
  end: Addr,
  change: (vma: Vma, from: Addr, to: Addr) => Vma | null,
): SysResult {
  for (let from = start; from < end; ) {
    const vma = mm.vmas.firstEndingAbove(from);
    if (vma === null || vma.start >= end) break;
    const changed = change(vma, Math.max(vma.start, from), Math.min(vma.end, end));
    if (changed === null) return refused(ENOMEM, 'map-count');
    from = changed.end;
  }
  return OK;
}

/**
 * UFFDIO_UNREGISTER: takes context and modes away, and write-protection with them.
 * @param range   null if it cannot be read
 * Refusals       EFAULT bad-pointer · EINVAL bad-range, not-mapped, not-anonymous, uffd-busy · ENOMEM gone, map-count
 */
export function uffdUnregister(context: UffdContext, range: UffdRange | null): SysResult {
  if (context.features === null) return refused(EINVAL, 'no-handshake');
  if (range === null) return refused(EFAULT, 'bad-pointer');
  if (!isValidRange(range)) return refused(EINVAL, 'bad-range');
  const { mm } = context;
  if (mm.gone) return refused(ENOMEM, 'gone');
  const { start } = range;
  const end = start + range.len;
  const first = mm.vmas.firstEndingAbove(start);
  if (first === null || first.start >= end) return refused(EINVAL, 'not-mapped');
  for (let vma: Vma | null = first; vma !== null && vma.start < end; vma = vma.next) {
    if (!canRegister(context, vma, vma.flags & VM_UFFD_MASK)) return refused(EINVAL, 'not-anonymous');
    if (vma.uffd !== null && vma.uffd !== context) return refused(EINVAL, 'uffd-busy');
  }
  return forPieces(mm, start, end, (vma, from, to) => {
    if (vma.uffd === null) return vma;
    if (vma.flags & VM_UFFD_MISSING) context.wake(from, to - from);
    return clearPiece(mm, vma, from, to);
  });
}

/** Takes registration away from [from, to) of `vma`. Linux: userfaultfd_clear_vma() */
function clearPiece(mm: Mm, vma: Vma, from: Addr, to: Addr): Vma | null {
  if (isInverted(vma)) dropUffdBits(mm, from, to);
  else if (vma.flags & VM_UFFD_WP) protectForUffd(mm, vma, { start: from, end: to }, false);
  const flags = vma.flags & ~VM_UFFD_MASK;
  return modifyVma(mm, vma, { start: from, end: to, cause: 'uffd' }, { flags, uffd: null });
}

/** The last descriptor of `context` was closed: every vma of it is unregistered, everybody who waits in it goes on. Linux: userfaultfd_release() */
export function uffdRelease(context: UffdContext): void {
  if (context.released) return;
  context.released = true;
  const { mm } = context;
  for (let vma = mm.vmas.first; vma !== null; )
    vma = (vma.uffd === context ? (clearPiece(mm, vma, vma.start, vma.end) ?? vma) : vma).next;
  for (const { message } of context.wakeAll()) dropUnreadFork(message);
}
