/**
 * userfaultfd as far as vmas see it: registration sets a context and mode bits, which are part of merge compatibility.
 *
 * Linux   fs/userfaultfd.c, mm/userfaultfd.c: userfaultfd_register_range; spec/vma.md 14.1 rule 6
 * Left out   faults, messages and every other ioctl (docs/scope.md)
 */
import { EBUSY, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { type Addr, isPageAligned, TASK_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { OK, refused, type SysResult } from './result.ts';
import { isAnonymousVma, type UffdContext, type Vma } from './vma.ts';
import { modifyVma } from './vmaMerge.ts';
import {
  VM_DROPPABLE,
  VM_MAYWRITE,
  VM_UFFD_MASK,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
} from './vmFlags.ts';

const MODE_MISSING = 1;
const MODE_WP = 2;
const MODE_MINOR = 4;

/** Returns the mode bits of vm_flags for a registration mode, or null if it is not valid. */
function modeFlags(mode: number): number | null {
  if (mode === 0 || mode & ~(MODE_MISSING | MODE_WP | MODE_MINOR)) return null;
  return (
    (mode & MODE_MISSING ? VM_UFFD_MISSING : 0) |
    (mode & MODE_WP ? VM_UFFD_WP : 0) |
    (mode & MODE_MINOR ? VM_UFFD_MINOR : 0)
  );
}

/** Tells whether `vma` may be registered with these modes: anonymous or shared memory, minor faults only on the latter. */
function canRegister(vma: Vma, flags: number): boolean {
  if (vma.flags & VM_DROPPABLE) return false;
  const anonymous = isAnonymousVma(vma);
  if (flags & VM_UFFD_MINOR && anonymous) return false;
  const kind = vma.file?.object.kind;
  return anonymous || kind === 'shmem' || kind === 'memfd' || kind === 'sysv' || flags === VM_UFFD_WP;
}

const isValidRange = (addr: Addr, len: number): boolean =>
  isPageAligned(addr) &&
  isPageAligned(len) &&
  len > 0 &&
  addr >= 4096 &&
  len <= TASK_SIZE &&
  addr <= TASK_SIZE - len;

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
 * UFFDIO_REGISTER.
 * @param mode  1 missing, 2 write-protect, 4 minor, or several
 * Refusals     EINVAL bad-flags, bad-range, not-mapped, not-anonymous · EPERM may-access · EBUSY uffd-busy · ENOMEM map-count
 */
export function uffdRegister(
  mm: Mm,
  context: UffdContext,
  range: { addr: Addr; len: number },
  mode: number,
): SysResult {
  const flags = modeFlags(mode);
  if (flags === null) return refused(EINVAL, 'bad-flags');
  const { addr, len } = range;
  if (!isValidRange(addr, len)) return refused(EINVAL, 'bad-range');
  const end = addr + len;
  const first = mm.vmas.firstEndingAbove(addr);
  if (first === null || first.start >= end) return refused(EINVAL, 'not-mapped');
  for (let vma: Vma | null = first; vma !== null && vma.start < end; vma = vma.next) {
    if (!canRegister(vma, flags)) return refused(EINVAL, 'not-anonymous');
    if ((vma.flags & VM_MAYWRITE) === 0) return refused(EPERM, 'may-access');
    if (vma.uffd !== null && vma.uffd !== context) return refused(EBUSY, 'uffd-busy');
  }
  return forPieces(mm, addr, end, (vma, from, to) => {
    if (vma.uffd === context && (vma.flags & flags) === flags) return vma;
    const wanted = (vma.flags & ~VM_UFFD_MASK) | flags;
    return modifyVma(mm, vma, { start: from, end: to, cause: 'uffd' }, { flags: wanted, uffd: context });
  });
}

/** UFFDIO_UNREGISTER: takes context and modes away. Refusals: EINVAL bad-range, not-mapped, not-anonymous · ENOMEM map-count */
export function uffdUnregister(mm: Mm, context: UffdContext, range: { addr: Addr; len: number }): SysResult {
  const { addr, len } = range;
  if (!isValidRange(addr, len)) return refused(EINVAL, 'bad-range');
  const end = addr + len;
  const first = mm.vmas.firstEndingAbove(addr);
  if (first === null || first.start >= end) return refused(EINVAL, 'not-mapped');
  for (let vma: Vma | null = first; vma !== null && vma.start < end; vma = vma.next) {
    if (!canRegister(vma, VM_UFFD_WP)) return refused(EINVAL, 'not-anonymous');
    if (vma.uffd !== null && vma.uffd !== context) return refused(EINVAL, 'uffd-busy');
  }
  return forPieces(mm, addr, end, (vma, from, to) => {
    if (vma.uffd === null) return vma;
    return modifyVma(
      mm,
      vma,
      { start: from, end: to, cause: 'uffd' },
      { flags: vma.flags & ~VM_UFFD_MASK, uffd: null },
    );
  });
}
