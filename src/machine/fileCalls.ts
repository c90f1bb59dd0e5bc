/**
 * Calls about descriptors: they matter because a vma compares the open file, not the path.
 *
 * Left out   everything about a file but what can be mapped: reading, writing, locks, directories
 */
import { EBADF, EINVAL, EPERM } from '../abi/errno.ts';
import {
  F_SEAL_EXEC,
  F_SEAL_SEAL,
  MFD_ALLOW_SEALING,
  MFD_EXEC,
  MFD_HUGETLB,
  MFD_NOEXEC_SEAL,
  O_CLOEXEC,
  O_NONBLOCK,
} from '../abi/fcntl.ts';
import { UFFD_USER_MODE_ONLY } from '../abi/userfaultfd.ts';
import { Unmodelled } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { UffdContext } from '../mm/uffdContext.ts';
import { uffdRelease } from '../mm/userfaultfd.ts';
import type { FileObject, MappedFile } from '../mm/vma.ts';
import { fileSizeCall } from './fileSize.ts';
import type { Machine } from './machine.ts';
import type { Chosen, FileKind, Op, OpenMode } from './op.ts';
import { DONE, failure, type Outcome } from './outcome.ts';
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
      | 'write_file'
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
      return closeFile(machine, process, op.fd);
    case 'close_range':
      return closeRange(process, op);
    case 'dup':
      return duplicate(process, op, chosen);
    case 'ftruncate':
    case 'fallocate':
    case 'write_file':
    case 'add_seals':
      return fileSizeCall(machine, process, op);
    case 'userfaultfd':
      return userfaultfdCreate(process, op.flags, chosen);
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
  if (op.inMemory) {
    process.files.set(fd, { kind: 'file', file: newFileInMemory(machine, op.path, op.size ?? 0) });
    return value(fd);
  }
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

/** Makes a file of `size` bytes that has no name any more and whose pages are all in the page cache. */
function newFileInMemory({ kernel }: Machine, path: string, size: number): MappedFile {
  const object = kernel.newFileObject({ path, kind: 'regular', size, isInMemory: true });
  for (let page = 0; page * PAGE_SIZE < size; page++) kernel.cache.page(object, page);
  return kernel.openFile(object, { readable: true, writable: true });
}

const MFD_ALL = 1 | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC;

/** Returns the seals that a new memfd has. Linux: mm/memfd.c, alloc_file() */
function firstSeals(flags: number): number {
  if (flags & MFD_NOEXEC_SEAL) return F_SEAL_EXEC;
  return flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL;
}

/** memfd_create(2): an object of its own that starts empty. Refusals: EINVAL bad-flags */
function memfdCreate(
  machine: Machine,
  process: Process,
  op: Extract<Op, { call: 'memfd_create' }>,
  chosen: Chosen,
): Outcome {
  if (op.flags & MFD_HUGETLB) throw new Unmodelled('memfd_create with MFD_HUGETLB', 'docs/scope.md#hugetlb');
  const both = MFD_EXEC | MFD_NOEXEC_SEAL;
  if (op.flags & ~MFD_ALL || (op.flags & both) === both) return failure(EINVAL, 'bad-flags');
  const fd = chosen.handle ?? process.files.lowestFree();
  const object = machine.kernel.newFileObject({
    path: `/memfd:${op.name} (deleted)`,
    kind: 'memfd',
    size: 0,
    seals: firstSeals(op.flags),
    dev: '00:01',
  });
  process.files.set(fd, {
    kind: 'file',
    file: machine.kernel.openFile(object, { readable: true, writable: true }),
  });
  return value(fd);
}

const UFFD_FLAGS = O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY;

/** userfaultfd(2): a context, which is of no use before UFFDIO_API. Refusals: EINVAL bad-flags · EPERM not-permitted */
function userfaultfdCreate(process: Process, flags: number, chosen: Chosen): Outcome {
  if (process.mm === null) return { kind: 'unknown-memory' };
  if (flags & ~UFFD_FLAGS) return failure(EINVAL, 'bad-flags');
  if (!process.mm.privileged && (flags & UFFD_USER_MODE_ONLY) === 0) return failure(EPERM, 'not-permitted');
  const fd = chosen.handle ?? process.files.lowestFree();
  process.files.set(fd, { kind: 'uffd', context: new UffdContext(process.mm, flags) });
  return value(fd);
}

/** close(2). With the last descriptor of a userfaultfd everything registered with it is released. */
function closeFile(machine: Machine, process: Process, fd: number): Outcome {
  const descriptor = process.files.get(fd);
  if (!process.files.close(fd)) return failure(EBADF, 'bad-fd');
  if (descriptor?.kind !== 'uffd') return DONE;
  const { context } = descriptor;
  if (!machine.processes.some(({ files }) => files.has(context))) uffdRelease(context);
  return DONE;
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
