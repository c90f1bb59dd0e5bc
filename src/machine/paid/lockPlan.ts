/**
 * Under which lock a call does its work, and under which of its locks each of its charges is paid.
 *
 *   none        it takes no lock of the address space
 *   read        mmap_lock for reading
 *   vma         the lock of its vma for reading, if its range is in one vma; else mmap_lock for reading
 *   write       mmap_lock for writing; what it populates comes after, under mmap_lock for reading
 *   downgrade   mmap_lock for writing while vmas change, for reading while their pages are taken away
 *
 * Linux   mm/madvise.c: get_lock_mode(); mm/vma.c: vms_complete_munmap_vmas(); mm/mmap.c; mm/mlock.c; kernel/fork.c: dup_mmap()
 */
import {
  CLONE_VM,
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_NONVOLATILE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_PT_RECLAIM,
  MADV_REMOVE,
  MADV_VOLATILE,
  MADV_WILLNEED,
  MREMAP_FIXED,
  MREMAP_ONLYPAGES,
} from '../../abi/mman.ts';
import type { Addr } from '../../base/units.ts';
import type { VrangeLock } from '../../mm/vrange.ts';
import type { PathName } from '../../mm/work.ts';
import { ZAP_PATHS } from '../../mm/workPaths.ts';
import type { Op, OpName } from '../op.ts';
import type { UffdIoctlName, UffdRequest } from '../uffdOp.ts';

/** How a call locks the address space. */
export type LockPlan = 'none' | 'read' | 'vma' | 'write' | 'downgrade';

/** Calls whose plan depends on their arguments. */
type Depends = 'advice' | 'clone' | 'vrange' | 'ioctl';

/** The plan of every call. */
const PLANS = {
  mmap: 'write',
  munmap: 'downgrade',
  mprotect: 'write',
  mremap: 'downgrade',
  brk: 'downgrade',
  madvise: 'advice',
  process_madvise: 'advice',
  process_vm: 'read',
  clear_refs: 'write',
  vrange: 'vrange',
  mlock: 'write',
  mlock2: 'write',
  munlock: 'write',
  mlockall: 'write',
  munlockall: 'write',
  mincore: 'read',
  msync: 'read',
  mseal: 'write',
  mbind: 'write',
  set_vma_name: 'write',
  set_memory_merge: 'write',
  set_mdwe: 'none',
  set_thp_disable: 'write',
  prctl_pt_reclaim: 'none',
  pt_scan_write: 'none',
  touch: 'none',
  setrlimit: 'none',
  set_uid: 'none',
  clone: 'clone',
  execve: 'none',
  exit: 'none',
  exit_group: 'none',
  open: 'none',
  memfd_create: 'none',
  close: 'none',
  close_range: 'none',
  dup: 'none',
  // The pages of a file are taken from whoever maps it by way of the reverse mapping.
  ftruncate: 'none',
  add_seals: 'none',
  fallocate: 'none',
  shmget: 'none',
  shmat: 'write',
  shmdt: 'downgrade',
  userfaultfd: 'none',
  uffd_ioctl: 'ioctl',
  uffd_read: 'none',
  pagemap_scan: 'read',
  io_setup: 'write',
  migrate: 'none',
  overcommit: 'none',
  // What is got back is found by way of the reverse mapping, too.
  set_memory_limit: 'none',
  reclaim: 'none',
  set_memory_size: 'none',
  swapon: 'none',
  write_file: 'none',
  fill_maps: 'none',
  nop: 'none',
} as const satisfies Readonly<Record<OpName, LockPlan | Depends>>;

const BY_VMA: ReadonlySet<number> = new Set([
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
]);
const BY_READING: ReadonlySet<number> = new Set([
  MADV_REMOVE,
  MADV_WILLNEED,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_COLLAPSE,
  MADV_PT_RECLAIM,
]);

/** How each ioctl of userfaultfd locks the address space it is about. Linux: fs/userfaultfd.c */
const IOCTL_PLANS: Readonly<Record<UffdIoctlName, LockPlan>> = {
  UFFDIO_API: 'none',
  UFFDIO_WAKE: 'none',
  UFFDIO_REGISTER: 'write',
  UFFDIO_UNREGISTER: 'write',
  UFFDIO_WRITEPROTECT: 'read',
  UFFDIO_COPY: 'read',
  UFFDIO_ZEROPAGE: 'read',
  UFFDIO_CONTINUE: 'read',
  UFFDIO_POISON: 'read',
  UFFDIO_MOVE: 'read',
};

/** What clear_refs is told to forget soft-dirty bits; vmas change then. */
const SOFT_DIRTY_REFS = 4;

/** Returns how `op` locks the address space. @param vrangeLock  what vrange locks: of mmap_lock nothing, or for reading, or for writing */
export function lockPlanOf(op: Op, vrangeLock: VrangeLock = 'none'): LockPlan {
  const plan: LockPlan | Depends = PLANS[op.call];
  if (plan === 'vrange') return vrangeLock;
  if (plan === 'ioctl') return op.call === 'uffd_ioctl' ? IOCTL_PLANS[op.name] : 'read';
  // A move unmaps what it leaves and what it covers without giving way.
  if (op.call === 'mremap' && op.flags & MREMAP_ONLYPAGES) return 'read';
  if (op.call === 'mremap')
    return op.newLen < op.oldLen && (op.flags & MREMAP_FIXED) === 0 ? 'downgrade' : 'write';
  // Accessed bits are taken away under the lock for reading.
  if (op.call === 'clear_refs' && op.what !== SOFT_DIRTY_REFS) return 'read';
  if (plan === 'clone') return op.call === 'clone' && (op.flags & CLONE_VM) === 0 ? 'write' : 'none';
  if (plan !== 'advice') return plan;
  if (op.call !== 'madvise' && op.call !== 'process_madvise') return 'read';
  if (op.advice === MADV_VOLATILE || op.advice === MADV_NONVOLATILE) return vrangeLock;
  if (BY_VMA.has(op.advice)) return op.call === 'madvise' ? 'vma' : 'read';
  return BY_READING.has(op.advice) ? 'read' : 'write';
}

/** Returns the range that a call is about, or null when it is about everything or nothing. */
export function rangeOf(op: Op): { readonly start: Addr; readonly end: Addr } | null {
  if (op.call === 'mremap') return { start: op.addr, end: op.addr + Math.max(op.oldLen, op.newLen) };
  if (op.call === 'uffd_ioctl') return ioctlRange(op.request);
  if (!('addr' in op) || !('len' in op) || op.len <= 0) return null;
  return { start: op.addr, end: op.addr + op.len };
}

function ioctlRange(request: UffdRequest | null): { readonly start: Addr; readonly end: Addr } | null {
  if (request === null || request.name === 'UFFDIO_API' || request.len <= 0) return null;
  const start = 'dst' in request ? request.dst : request.start;
  return { start, end: start + request.len };
}

/** When in the course of a call a charge is paid. */
export type Phase = 'before' | 'main' | 'anonVma' | 'late' | 'populate';

const LATE: readonly PathName[] = ['munmap-pages', ...ZAP_PATHS];
const ANON_VMA: readonly PathName[] = [
  'split-written',
  'merge-written',
  'fork-written-vmas',
  'exit-written-vmas',
  'rehome',
];
const BEFORE: readonly PathName[] = ['syscall', 'fork', 'exit'];
const isPopulating = (path: PathName): boolean =>
  path.startsWith('populate-') || path.startsWith('fault-') || path === 'mlock-absent';

/**
 * Calls of whose price a part is late even if they meet no page: the walk over the tables of the range, and finishing it. Nobody has measured it apart;
 * MADV_DONTNEED of memory without pages does that and little else.
 */
export const UNMAPPING: readonly PathName[] = [
  'munmap-whole',
  'munmap-trim',
  'munmap-split',
  'mremap-shrink',
];

/** Returns when a charge of `path` is paid. */
export function phaseOf(path: PathName): Phase {
  if (LATE.includes(path)) return 'late';
  if (ANON_VMA.includes(path)) return 'anonVma';
  if (BEFORE.includes(path)) return 'before';
  return isPopulating(path) ? 'populate' : 'main';
}
