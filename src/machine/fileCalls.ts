/**
 * Calls about descriptors: they matter because a vma compares the open file, not the path.
 *
 * Left out   everything about a file but what can be mapped: reading, writing, locks, directories
 */
import { EBADF, EBUSY, EINVAL } from '../abi/errno.ts';
import {
  F_SEAL_FUTURE_WRITE,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
} from '../abi/fcntl.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { punchObject, truncateObject } from '../mm/pageCache.ts';
import type { FileObject } from '../mm/vma.ts';
import { VM_MAYWRITE, VM_SHARED } from '../mm/vmFlags.ts';
import { DONE, failure, type Machine, type Outcome } from './machine.ts';
import type { Chosen, FileKind, Op, OpenMode } from './op.ts';
import type { Process } from './process.ts';

const value = (fd: number): Outcome => ({ kind: 'value', value: fd, why: 'ok' });

/** Returns the kind of object that mapping code asks for. */
function objectKind(kind: FileKind): FileObject['kind'] {
  switch (kind) {
    case 'regular':
    case 'directory':
    case 'memfd':
    case 'device':
    case 'zero':
      return kind;
    case 'pipe':
    case 'other':
      return 'other';
  }
}

/** Returns the object for an opened path: the same for the same path. */
export function objectForPath(
  machine: Machine,
  path: string,
  kind: FileKind,
  size: number | null,
): FileObject {
  return machine.fileObject(path, () =>
    machine.kernel.newFileObject({
      path,
      kind: objectKind(kind),
      size,
      ...(kind === 'memfd' ? { dev: '00:01' } : {}),
    }),
  );
}

const readable = (mode: OpenMode): boolean => mode === 'read' || mode === 'read-write';
const writable = (mode: OpenMode): boolean => mode === 'write' || mode === 'read-write';

/** The members of Op that are about descriptors. */
export type FileOp = Extract<
  Op,
  {
    call:
      | 'open'
      | 'memfd_create'
      | 'close'
      | 'close_range'
      | 'dup'
      | 'ftruncate'
      | 'fallocate'
      | 'add_seals'
      | 'userfaultfd';
  }
>;

/** Carries out one operation on descriptors. */
export function fileCall(machine: Machine, process: Process, op: FileOp, chosen: Chosen): Outcome {
  switch (op.call) {
    case 'open':
      return openFile(machine, process, op, chosen);
    case 'memfd_create':
      return memfdCreate(machine, process, op, chosen);
    case 'close':
      return process.files.close(op.fd) ? DONE : failure(EBADF, 'bad-fd');
    case 'close_range':
      return closeRange(process, op);
    case 'dup':
      return duplicate(process, op, chosen);
    case 'ftruncate':
    case 'fallocate':
      return resizeFile(machine, process, op);
    case 'add_seals':
      return addSeals(machine, process, op);
    case 'userfaultfd':
      return userfaultfdCreate(process, chosen);
  }
}

/** open and its relatives: a new open file under a new descriptor. */
function openFile(
  machine: Machine,
  process: Process,
  op: Extract<Op, { call: 'open' }>,
  chosen: Chosen,
): Outcome {
  const fd = chosen.handle ?? process.files.lowestFree();
  if (op.mode === 'path') process.files.set(fd, { kind: 'other' });
  else {
    const object = objectForPath(machine, op.path, op.kind, op.size);
    const file = machine.kernel.openFile(object, {
      readable: readable(op.mode),
      writable: writable(op.mode),
    });
    process.files.set(fd, { kind: 'file', file });
  }
  return value(fd);
}

/** memfd_create(2): an object of its own that starts empty. */
function memfdCreate(
  machine: Machine,
  process: Process,
  op: Extract<Op, { call: 'memfd_create' }>,
  chosen: Chosen,
): Outcome {
  const fd = chosen.handle ?? process.files.lowestFree();
  const object = machine.kernel.newFileObject({
    path: `/memfd:${op.name} (deleted)`,
    kind: 'memfd',
    size: 0,
    dev: '00:01',
  });
  process.files.set(fd, {
    kind: 'file',
    file: machine.kernel.openFile(object, { readable: true, writable: true }),
  });
  return value(fd);
}

/** fcntl(F_ADD_SEALS): write seals decide what may be mapped from then on. F_SEAL_WRITE waits for the last mapping that may write. */
function addSeals(machine: Machine, process: Process, op: Extract<Op, { call: 'add_seals' }>): Outcome {
  const descriptor = process.files.get(op.fd);
  if (descriptor === null) return failure(EBADF, 'bad-fd');
  if (descriptor.kind !== 'file' || descriptor.file.object.kind !== 'memfd') return failure(EINVAL, 'bad-fd');
  const { object } = descriptor.file;
  if (op.seals & F_SEAL_WRITE && !object.writeSealed && isMappedWritable(machine, object))
    return failure(EBUSY, 'sealed');
  if (op.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) object.writeSealed = true;
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

/** userfaultfd(2): a context. */
function userfaultfdCreate(process: Process, chosen: Chosen): Outcome {
  const fd = chosen.handle ?? process.files.lowestFree();
  process.files.set(fd, { kind: 'uffd', context: { id: fd, eventRemap: false, eventFork: false } });
  return value(fd);
}

/** close_range(2). CLOSE_RANGE_UNSHARE gives the process its own table first; CLOSE_RANGE_CLOEXEC closes nothing now. */
function closeRange(process: Process, op: Extract<Op, { call: 'close_range' }>): Outcome {
  if (op.first > op.last || op.flags & ~6) return failure(EINVAL, 'bad-range');
  if (op.flags & 2) process.files = process.files.copy();
  if ((op.flags & 4) === 0) process.files.closeRange(op.first, op.last);
  return DONE;
}

/** dup, dup2, dup3, fcntl(F_DUPFD): the same open file under another descriptor. */
function duplicate(process: Process, op: Extract<Op, { call: 'dup' }>, chosen: Chosen): Outcome {
  const descriptor = process.files.get(op.fd);
  const fd = op.newFd ?? chosen.handle ?? process.files.lowestFree();
  if (descriptor !== null) process.files.set(fd, descriptor);
  else process.files.close(fd);
  return value(fd);
}

/** ftruncate and fallocate: the size decides where SIGBUS begins; a punched hole empties pages. */
function resizeFile(
  machine: Machine,
  process: Process,
  op: Extract<Op, { call: 'ftruncate' | 'fallocate' }>,
): Outcome {
  const descriptor = process.files.get(op.fd);
  if (descriptor === null) return failure(EBADF, 'bad-fd');
  if (descriptor.kind !== 'file') return DONE;
  const { object } = descriptor.file;
  if (op.call === 'ftruncate') {
    shrinkTo(machine, object, op.size);
    object.size = op.size;
  } else if (op.mode & FALLOC_FL_PUNCH_HOLE) punchFile(machine, object, op.offset, op.offset + op.len);
  else if ((op.mode & FALLOC_FL_KEEP_SIZE) === 0 && object.size !== null)
    object.size = Math.max(object.size, op.offset + op.len);
  return DONE;
}

/** The bytes of [start, end) become zero: whole pages leave the page cache and every mapping; copies of private mappings stay. */
function punchFile(machine: Machine, object: FileObject, start: number, end: number): void {
  const { kernel } = machine;
  const first = Math.ceil(start / PAGE_SIZE);
  const last = Math.floor(end / PAGE_SIZE);
  if (last > first) punchObject(kernel, object, first, last);
  // Only the first word of a page is kept: of the pages cut by an edge, the last one loses it.
  if (last >= first && end % PAGE_SIZE !== 0 && kernel.isCached(object, last))
    kernel.frames.setStamp(kernel.cachedPage(object, last), 0);
}

/** What lies beyond the new end leaves the mappings of every process and the page cache. */
function shrinkTo(machine: Machine, object: FileObject, size: number): void {
  if (object.size === null || size >= object.size) return;
  truncateObject(machine.kernel, object, Math.ceil(size / PAGE_SIZE));
}
