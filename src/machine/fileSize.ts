/**
 * Calls that change how long a file is or what it holds: ftruncate, fallocate, pwrite, and the seals that forbid them.
 *
 * Of each page only the first word is kept. Shared memory that fallocate sets aside has no page to look at until somebody asks for it.
 *
 * Linux        mm/shmem.c: shmem_setattr, shmem_fallocate, shmem_write_begin; mm/memfd.c: memfd_add_seals; fs/open.c: vfs_fallocate
 * Left out     everything that depends on the file system: blocks, holes on the disk, writeback; RLIMIT_FSIZE
 */
import { EBADF, EBUSY, EFBIG, EINVAL, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import {
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
} from '../abi/fcntl.ts';
import { Unmodelled } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { REST_WRITTEN } from '../mm/frameContents.ts';
import { FRAME_DIRTY } from '../mm/frames.ts';
import { punchObject, truncateObject, unmapObject } from '../mm/pageCache.ts';
import { type FileObject, isSharedMemory, type MappedFile } from '../mm/vma.ts';
import { VM_MAYWRITE, VM_SHARED } from '../mm/vmFlags.ts';
import type { Machine } from './machine.ts';
import type { Op } from './op.ts';
import { DONE, failure, type Outcome } from './outcome.ts';
import type { Process } from './process.ts';

const WRITE_SEALS = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
/** F_SEAL_EXEC on a file that may be executed brings these along. */
const EXEC_BRINGS = F_SEAL_SHRINK | F_SEAL_GROW | WRITE_SEALS;
const ALL_SEALS = F_SEAL_SEAL | EXEC_BRINGS | F_SEAL_EXEC;
/** Modes of fallocate that exist: the two below it, COLLAPSE, ZERO, INSERT, UNSHARE and WRITE_ZEROES. */
const KNOWN_MODES = 0xfb;
/** The longest file that ext4 has with blocks of 4 KiB; shared memory may be as long as a number of 63 bits says. */
const LONGEST_ON_DISK = 2 ** 44 - PAGE_SIZE;
const LONGEST = 2 ** 63 - 1;
/** Bytes of the first word of a page. */
const WORD = 8;

const longest = (object: FileObject): number => (isSharedMemory(object) ? LONGEST : LONGEST_ON_DISK);

/** Calls that change a file behind a descriptor. */
export type FileSizeOp = Extract<Op, { call: 'ftruncate' | 'fallocate' | 'write_file' | 'add_seals' }>;

/** Carries one of them out. */
export function fileSizeCall(machine: Machine, process: Process, op: FileSizeOp): Outcome {
  if (op.call === 'ftruncate' && (op.size < 0 || op.size >= 2 ** 63)) return failure(EINVAL, 'bad-length');
  if (op.call === 'write_file' && op.offset < 0) return failure(EINVAL, 'bad-offset');
  const descriptor = process.files.get(op.fd);
  if (descriptor === null) return failure(EBADF, 'bad-fd');
  // Nobody can write to a userfaultfd: its descriptor is for reading alone.
  if (descriptor.kind === 'uffd' && op.call === 'write_file') return failure(EBADF, 'no-access');
  if (descriptor.kind !== 'file') return op.call === 'add_seals' ? failure(EINVAL, 'bad-fd') : DONE;
  const { file } = descriptor;
  switch (op.call) {
    case 'ftruncate':
      return ftruncate(machine, file, op.size);
    case 'fallocate':
      return fallocate(machine, file, op);
    case 'write_file':
      return writeFile(machine, file, op);
    case 'add_seals':
      return addSeals(machine, file, op.seals);
  }
}

/** ftruncate(2). Refusals: EINVAL no-access · EFBIG bad-length · EPERM sealed */
function ftruncate(machine: Machine, file: MappedFile, size: number): Outcome {
  const { object } = file;
  if (!file.writable) return failure(EINVAL, 'no-access');
  if (size > longest(object)) return failure(EFBIG, 'bad-length');
  const old = object.size;
  if (old !== null && size < old && object.seals & F_SEAL_SHRINK) return failure(EPERM, 'sealed');
  if (old !== null && size > old && object.seals & F_SEAL_GROW) return failure(EPERM, 'sealed');
  if (old !== null && size <= old) {
    truncateObject(machine.kernel, object, Math.ceil(size / PAGE_SIZE));
    clearTail(machine, object, size);
  }
  object.size = size;
  return DONE;
}

/** The bytes of the last page beyond `size` become zero: of the first word those that are kept here. */
function clearTail({ kernel }: Machine, object: FileObject, size: number): void {
  const left = size % PAGE_SIZE;
  if (left === 0) return;
  const frame = kernel.cache.pageToChange(object, Math.floor(size / PAGE_SIZE));
  if (frame === null) return;
  kernel.frames.setFlags(frame, FRAME_DIRTY);
  if (left < WORD) kernel.frames.setStamp(frame, kernel.frames.stamp(frame) % 256 ** left);
}

/** fallocate(2). Refusals: EINVAL bad-length · EOPNOTSUPP bad-flags · EBADF no-access · EFBIG bad-length · EPERM sealed */
function fallocate(machine: Machine, file: MappedFile, op: Extract<Op, { call: 'fallocate' }>): Outcome {
  const { object } = file;
  const { mode, offset, len } = op;
  const punch = (mode & FALLOC_FL_PUNCH_HOLE) !== 0;
  if (offset < 0 || len <= 0) return failure(EINVAL, 'bad-length');
  if (mode & ~KNOWN_MODES || (punch && mode !== (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)))
    return failure(EOPNOTSUPP, 'bad-flags');
  if (!file.writable) return failure(EBADF, 'no-access');
  const end = offset + len;
  if (end > longest(object)) return failure(EFBIG, 'bad-length');
  if (mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
    if (isSharedMemory(object)) return failure(EOPNOTSUPP, 'bad-flags');
    if (!object.isInMemory) return DONE;
    throw new Unmodelled('fallocate of a file on a disk in this mode', 'docs/scope.md#fallocate');
  }
  if (object.seals & (punch ? WRITE_SEALS : 0)) return failure(EPERM, 'sealed');
  if (punch) punchFile(machine, object, offset, end);
  else return extendFile(machine, object, op);
  return DONE;
}

/** Room for [offset, offset + len): the file gets longer unless it is to keep its size; shared memory is set aside. */
function extendFile(
  { kernel }: Machine,
  object: FileObject,
  op: Extract<Op, { call: 'fallocate' }>,
): Outcome {
  const end = op.offset + op.len;
  if (object.size !== null && end > object.size && object.seals & F_SEAL_GROW)
    return failure(EPERM, 'sealed');
  if (isSharedMemory(object) && object.size !== null) {
    if (op.len / PAGE_SIZE > kernel.config.totalRamPages)
      throw new Unmodelled('fallocate of more shared memory than there is', 'docs/scope.md#fallocate');
    for (let page = Math.floor(op.offset / PAGE_SIZE); page * PAGE_SIZE < end; page++)
      kernel.cache.reserve(object, page);
  }
  if ((op.mode & FALLOC_FL_KEEP_SIZE) === 0 && object.size !== null) object.size = Math.max(object.size, end);
  return DONE;
}

/**
 * The bytes of [start, end) become zero: whole pages leave the page cache and every mapping; copies of private mappings stay. For a hole inside
 * the first page of shared memory the kernel's own reckoning of what to unmap wraps around: all that comes behind its start leaves the tables.
 */
function punchFile(machine: Machine, object: FileObject, start: number, end: number): void {
  const { kernel } = machine;
  const first = Math.ceil(start / PAGE_SIZE);
  const last = Math.floor(end / PAGE_SIZE);
  if (last > first) punchObject(kernel, object, first, last);
  else if (end < PAGE_SIZE && isSharedMemory(object))
    unmapObject(object, first, Number.POSITIVE_INFINITY, false);
  // Only the first word of a page is kept: of the pages cut by an edge, the last one loses it.
  const upper = end % PAGE_SIZE === 0 ? null : kernel.cache.pageToChange(object, last);
  if (upper !== null) {
    kernel.frames.setFlags(upper, FRAME_DIRTY);
    if (last >= first) kernel.frames.setStamp(upper, 0);
  }
  const lower = start % PAGE_SIZE === 0 ? null : kernel.cache.pageToChange(object, first - 1);
  if (lower !== null) kernel.frames.setFlags(lower, FRAME_DIRTY);
}

/** A pwrite(2) of one word for each page. Refusals: EBADF no-access · EPERM sealed, at the first page; a later one ends it */
function writeFile({ kernel }: Machine, file: MappedFile, op: Extract<Op, { call: 'write_file' }>): Outcome {
  const { object } = file;
  if (!file.writable) return failure(EBADF, 'no-access');
  const gone = (bytes: number): number =>
    op.answers === 'written' ? Math.ceil(bytes / PAGE_SIZE) * WORD : bytes;
  for (let at = op.offset; at < op.offset + op.len; at += PAGE_SIZE) {
    const grows = object.size !== null && at + WORD > object.size;
    if (object.seals & WRITE_SEALS || (grows && object.seals & F_SEAL_GROW))
      return at === op.offset
        ? failure(EPERM, 'sealed')
        : { kind: 'value', value: gone(at - op.offset), why: 'ok' };
    const frame = kernel.cache.pageToWrite(object, Math.floor(at / PAGE_SIZE));
    kernel.frames.setStamp(frame, at % PAGE_SIZE === 0 ? op.stamp : REST_WRITTEN);
    if (grows) object.size = at + WORD;
  }
  return { kind: 'value', value: gone(op.len), why: 'ok' };
}

/** fcntl(F_ADD_SEALS). F_SEAL_WRITE waits for the last mapping that may write. Refusals: EPERM no-access, sealed · EINVAL bad-flags, bad-fd · EBUSY sealed */
function addSeals(machine: Machine, file: MappedFile, seals: number): Outcome {
  const { object } = file;
  if (!file.writable) return failure(EPERM, 'no-access');
  if (seals & ~ALL_SEALS) return failure(EINVAL, 'bad-flags');
  if (object.kind !== 'memfd') return failure(EINVAL, 'bad-fd');
  if (object.seals & F_SEAL_SEAL) return failure(EPERM, 'sealed');
  if (seals & F_SEAL_WRITE && (object.seals & F_SEAL_WRITE) === 0 && isMappedWritable(machine, object))
    return failure(EBUSY, 'sealed');
  // A file made with MFD_NOEXEC_SEAL has it from the start.
  if (seals & F_SEAL_EXEC && (object.seals & F_SEAL_EXEC) === 0) object.seals |= EXEC_BRINGS;
  object.seals |= seals;
  return DONE;
}

/** Tells whether a shared mapping of `object` may be written now or after mprotect. Linux: mapping_writably_mapped() */
function isMappedWritable(machine: Machine, object: FileObject): boolean {
  if (object.vmas.size === 0) return false;
  const mayWrite = VM_SHARED | VM_MAYWRITE;
  return machine.processes.some(({ mm }) =>
    [...(mm?.vmas ?? [])].some((v) => v.file?.object === object && (v.flags & mayWrite) === mayWrite),
  );
}
