/**
 * From the text of a system call to an Op: one row per call that can change an address space or what a descriptor means.
 *
 * A row says how the arguments are read and whether a call that failed is of interest: an mmap that failed is compared with ours; an
 * open that failed changed nothing. Calls that can never change an address space are named in harmlessCalls.ts.
 *
 * What the kernel chose freely (addresses without MAP_FIXED, descriptors, ids, pids) goes into `chosen`; nothing else is taken from
 * the result. A call that populates or writes memory of another process is not followed and says so.
 */

import {
  F_ADD_SEALS,
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  O_ACCMODE,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
} from '../abi/fcntl.ts';
import {
  PERSONALITY_OF_MEMORY,
  PERSONALITY_QUERY,
  PR_SET_MDWE,
  PR_SET_MEMORY_MERGE,
  PR_SET_PT_RECLAIM,
  PR_SET_THP_DISABLE,
  PR_SET_VMA,
  PR_SET_VMA_ANON_NAME,
} from '../abi/prctl.ts';
import { Unmodelled } from '../base/assert.ts';
import { fileKindOf } from '../machine/fileKind.ts';
import type { Chosen, Op, OpenMode } from '../machine/op.ts';
import { choicesIn } from './choices.ts';
import type { CallText } from './straceArgs.ts';
import { uffdIoctlOp } from './straceUffd.ts';

/** How a call is turned into an Op. */
export interface CallRule {
  /** Reads the arguments; null: this form of the call changes nothing; a string: it does, but we do not follow it (the reason). */
  readonly decode: (a: CallText) => Op | string | null;
  /** Whether the Op is of interest when the call failed. */
  readonly evenFailed: boolean;
}

const row = (decode: CallRule['decode']): CallRule => ({ decode, evenFailed: true });
const onSuccess = (decode: CallRule['decode']): CallRule => ({ decode, evenFailed: false });

/** Placeholder for a path that strace did not print (option `-e raw`). */
export const UNKNOWN_PATH = '?';

const openRow = (pathArg: number, flagsOf: (a: CallText) => number): CallRule =>
  onSuccess((a) => openOp(a, pathArg, flagsOf(a)));
const cloneRow = (flagsOf: (a: CallText) => number): CallRule =>
  onSuccess((a) => ({ call: 'clone', flags: flagsOf(a), child: a.value }));
const limitRow = (resourceArg: number): CallRule =>
  onSuccess((a) => (a.isNull(resourceArg + 1) ? null : setrlimitOp(a, resourceArg)));

/** The calls we follow. */
export const CALL_RULES: ReadonlyMap<string, CallRule> = new Map<string, CallRule>([
  [
    'mmap',
    row((a) => ({
      call: 'mmap',
      addr: a.number(0),
      len: a.number(1),
      prot: a.flags(2),
      flags: a.flags(3),
      fd: a.int(4),
      offset: a.number(5),
    })),
  ],
  ['munmap', row((a) => ({ call: 'munmap', addr: a.number(0), len: a.number(1) }))],
  ['mprotect', row((a) => ({ call: 'mprotect', addr: a.number(0), len: a.number(1), prot: a.flags(2) }))],
  [
    'pkey_mprotect',
    row((a) => ({ call: 'mprotect', addr: a.number(0), len: a.number(1), prot: a.flags(2), pkey: a.int(3) })),
  ],
  ['mremap', row(mremapOp)],
  ['brk', row((a) => ({ call: 'brk', addr: a.number(0) }))],
  ['madvise', row((a) => ({ call: 'madvise', addr: a.number(0), len: a.number(1), advice: a.flags(2) }))],
  ['process_madvise', row(processMadviseOp)],
  ['mlock', row((a) => ({ call: 'mlock', addr: a.number(0), len: a.number(1) }))],
  ['mlock2', row((a) => ({ call: 'mlock2', addr: a.number(0), len: a.number(1), flags: a.flags(2) }))],
  ['munlock', row((a) => ({ call: 'munlock', addr: a.number(0), len: a.number(1) }))],
  ['mlockall', row((a) => ({ call: 'mlockall', flags: a.flags(0) }))],
  ['munlockall', row(() => ({ call: 'munlockall' }))],
  ['mincore', row((a) => ({ call: 'mincore', addr: a.number(0), len: a.number(1) }))],
  ['msync', row((a) => ({ call: 'msync', addr: a.number(0), len: a.number(1), flags: a.flags(2) }))],
  ['mseal', row((a) => ({ call: 'mseal', addr: a.number(0), len: a.number(1), flags: a.flags(2) }))],
  [
    'mbind',
    row((a) => ({
      call: 'mbind',
      addr: a.number(0),
      len: a.number(1),
      mode: a.flags(2),
      nodes: a.text(3),
      flags: a.flags(5),
    })),
  ],
  ['prctl', row(prctlOp)],
  ['setrlimit', limitRow(0)],
  ['prlimit64', onSuccess(prlimitOp)],
  ['setuid', onSuccess((a) => ({ call: 'set_uid', uid: a.int(0) }))],
  ['setreuid', onSuccess((a) => (a.int(1) === -1 ? null : { call: 'set_uid', uid: a.int(1) }))],
  ['setresuid', onSuccess((a) => (a.int(1) === -1 ? null : { call: 'set_uid', uid: a.int(1) }))],
  ['capset', onSuccess(() => 'capabilities are not followed after the start')],
  ['personality', onSuccess(personalityOp)],
  ['fork', cloneRow(() => SIGCHLD)],
  ['vfork', cloneRow(() => CLONE_VFORK_VM)],
  ['clone', cloneRow(cloneFlags)],
  ['clone3', cloneRow(clone3Flags)],
  ['execve', onSuccess((a) => ({ call: 'execve', path: a.string(0) ?? UNKNOWN_PATH }))],
  ['execveat', onSuccess((a) => ({ call: 'execve', path: a.string(1) ?? UNKNOWN_PATH }))],
  ['open', openRow(0, (a) => a.flags(1, 'ignore'))],
  ['creat', openRow(0, () => O_WRONLY)],
  ['openat', openRow(1, (a) => a.flags(2, 'ignore'))],
  ['openat2', openRow(1, (a) => (a.isOpened(2) ? a.flags(a.member(2, 'flags'), 'ignore') : O_RDONLY))],
  [
    'memfd_create',
    onSuccess((a) => ({
      call: 'memfd_create',
      name: a.string(0) ?? UNKNOWN_PATH,
      flags: a.flags(1, 'ignore'),
    })),
  ],
  ['close', onSuccess((a) => ({ call: 'close', fd: a.int(0) }))],
  [
    'close_range',
    onSuccess((a) => ({
      call: 'close_range',
      first: a.number(0),
      last: a.number(1),
      flags: a.flags(2, 'ignore'),
    })),
  ],
  ['dup', onSuccess((a) => ({ call: 'dup', fd: a.int(0), newFd: null }))],
  ['dup2', onSuccess((a) => ({ call: 'dup', fd: a.int(0), newFd: a.int(1) }))],
  ['dup3', onSuccess((a) => ({ call: 'dup', fd: a.int(0), newFd: a.int(1) }))],
  ['fcntl', onSuccess(fcntlOp)],
  ['ftruncate', onSuccess((a) => ({ call: 'ftruncate', fd: a.int(0), size: a.number(1) }))],
  [
    'fallocate',
    onSuccess((a) => ({
      call: 'fallocate',
      fd: a.int(0),
      mode: a.flags(1, 'ignore'),
      offset: a.number(2),
      len: a.number(3),
    })),
  ],
  ['shmget', onSuccess((a) => ({ call: 'shmget', key: a.int(0), size: a.number(1), flags: a.flags(2) }))],
  ['shmat', row((a) => ({ call: 'shmat', id: a.int(0), addr: a.number(1), flags: a.flags(2) }))],
  ['shmdt', row((a) => ({ call: 'shmdt', addr: a.number(0) }))],
  ['io_setup', onSuccess((a) => ({ call: 'io_setup', nrEvents: a.number(0) }))],
  ['userfaultfd', onSuccess((a) => ({ call: 'userfaultfd', flags: a.flags(0, 'ignore') }))],
  ['ioctl', row(uffdIoctlOp)],
  ['remap_file_pages', onSuccess(unmodelled)],
  ['map_shadow_stack', onSuccess(unmodelled)],
  ['memfd_secret', onSuccess(unmodelled)],
  ['process_vm_readv', onSuccess((a) => processVmOp(a, false))],
  ['process_vm_writev', onSuccess((a) => processVmOp(a, true))],
]);

const SIGCHLD = 17;
const CLONE_VFORK_VM = 0x4100 + SIGCHLD;

/** Calls of newer kernels that an older strace prints by number. */
const BY_NUMBER: ReadonlyMap<number, string> = new Map([
  [9, 'mmap'],
  [10, 'mprotect'],
  [11, 'munmap'],
  [12, 'brk'],
  [25, 'mremap'],
  [28, 'madvise'],
  [319, 'memfd_create'],
  [323, 'userfaultfd'],
  [325, 'mlock2'],
  [329, 'pkey_mprotect'],
  [435, 'clone3'],
  [436, 'close_range'],
  [437, 'openat2'],
  [440, 'process_madvise'],
  [447, 'memfd_secret'],
  [453, 'map_shadow_stack'],
  [462, 'mseal'],
]);

/** Returns the name of a call printed as `syscall_0x1ce` or `syscall_462`, any other name as it is. */
export function callName(printed: string): string {
  if (!printed.startsWith('syscall_')) return printed;
  return BY_NUMBER.get(Number(printed.slice('syscall_'.length))) ?? printed;
}

/** Returns what the kernel chose in a call that strace printed. */
export function chosenOf(op: Op, a: CallText): Chosen {
  const value = a.result === 'value' ? a.value : null;
  const fdPath = op.call === 'mmap' && op.fd >= 0 ? a.fdPath(4) : null;
  const ring = op.call === 'io_setup' && a.isOpened(1) ? a.number(a.elements(1)) : null;
  return choicesIn(op, { value, fdPath, ring });
}

function unmodelled({ name, place }: CallText): never {
  throw new Unmodelled(name, `docs/scope.md#${name}`, place);
}

function mremapOp(a: CallText): Op {
  const newAddr = a.has(4) ? a.number(4) : 0;
  return {
    call: 'mremap',
    addr: a.number(0),
    oldLen: a.number(1),
    newLen: a.number(2),
    flags: a.flags(3),
    newAddr,
  };
}

/** The target is decided by the reader, which has seen pidfd_open; here every pidfd is `self` or its number. */
interface Range {
  readonly addr: number;
  readonly len: number;
}

/** Returns the ranges of an iovec, or why they are not known. `address` is the member that holds one: strace prints the content of local buffers. */
function rangesOf(a: CallText, argument: number, address: string | null = 'iov_base'): Range[] | string {
  if (!a.isOpened(argument)) return 'strace did not print its ranges';
  const ranges: Range[] = [];
  const first = a.elements(argument);
  const last = a.nrRanges;
  for (let element = first; element < last; element++) {
    if (!a.isOpened(element)) return 'strace shortened its list of ranges';
    ranges.push({
      addr: address === null ? 0 : a.number(a.member(element, address)),
      len: a.number(a.member(element, 'iov_len')),
    });
  }
  return ranges;
}

function processMadviseOp(a: CallText): Op | string {
  const ranges = rangesOf(a, 1);
  if (typeof ranges === 'string') return ranges;
  return { call: 'process_madvise', target: a.int(0), ranges, advice: a.flags(3), flags: a.flags(4) };
}

function processVmOp(a: CallText, write: boolean): Op | string {
  const local = rangesOf(a, 1, null);
  if (typeof local === 'string') return local;
  const ranges = rangesOf(a, 3);
  if (typeof ranges === 'string') return ranges;
  const max = local.reduce((sum, { len }) => sum + len, 0);
  return { call: 'process_vm', target: a.int(0), ranges, max, write };
}

function prctlOp(a: CallText): Op | null {
  switch (a.flags(0, 'ignore')) {
    case PR_SET_VMA:
      if (a.number(1) !== PR_SET_VMA_ANON_NAME) return null;
      return {
        call: 'set_vma_name',
        addr: a.number(2),
        len: a.number(3),
        name: a.isNull(4) ? null : (a.string(4) ?? UNKNOWN_PATH),
      };
    case PR_SET_MEMORY_MERGE:
      return { call: 'set_memory_merge', on: a.number(1) !== 0 };
    case PR_SET_MDWE:
      return { call: 'set_mdwe', flags: a.flags(1) };
    case PR_SET_PT_RECLAIM:
      return { call: 'prctl_pt_reclaim', mode: a.flags(1) };
    case PR_SET_THP_DISABLE:
      return { call: 'set_thp_disable', on: a.number(1) !== 0, flags: a.has(2) ? a.flags(2) : 0 };
    default:
      return null;
  }
}

function personalityOp(a: CallText): string | null {
  const flags = a.flags(0, 'ignore');
  if (flags === PERSONALITY_QUERY || (flags & PERSONALITY_OF_MEMORY) === 0) return null;
  return 'flags about memory (READ_IMPLIES_EXEC and others) are not followed';
}

function setrlimitOp(a: CallText, resourceArg: number): Op | string {
  const structure = resourceArg + 1;
  if (!a.isOpened(structure)) return 'strace did not print the limit';
  const resource = a.flags(resourceArg, 'ignore');
  return {
    call: 'setrlimit',
    resource,
    soft: limitValue(a, a.member(structure, 'rlim_cur')),
    hard: limitValue(a, a.member(structure, 'rlim_max')),
  };
}

/** "No limit" is printed by name, or as 2^64 - 1 where names are switched off. */
function limitValue(a: CallText, member: number): number | null {
  const value = a.number(member);
  return value >= 2 ** 63 ? Number.POSITIVE_INFINITY : value;
}

function prlimitOp(a: CallText): Op | string | null {
  if (a.isNull(2)) return null;
  const pid = a.int(0);
  if (pid !== 0 && pid !== a.tid) return 'it sets a limit of another process';
  return setrlimitOp(a, 1);
}

function cloneFlags(a: CallText): number {
  // strace names the arguments of clone (flags=…); raw text has the flags first.
  return a.flags(a.named('flags') ?? 0, 'ignore');
}

function clone3Flags(a: CallText): number {
  return a.isOpened(0) ? a.flags(a.member(0, 'flags'), 'ignore') : CLONE3_UNSEEN;
}

/** The flags of a clone3 whose structure was not printed: those of a thread, which most calls of clone3 make. */
export const CLONE3_UNSEEN = 0x3d_0f00;

function openOp(a: CallText, pathArg: number, flags: number): Op {
  const path = a.resultPath ?? absolutePath(a, pathArg);
  const kind = (flags & O_DIRECTORY) !== 0 ? 'directory' : fileKindOf(path);
  return { call: 'open', path, mode: openModeOf(flags), kind, size: null };
}

/** The path as the program gave it, joined to the directory strace printed with it. */
function absolutePath(a: CallText, pathArg: number): string {
  const path = a.string(pathArg);
  if (path === null) return UNKNOWN_PATH;
  if (path.startsWith('/') || pathArg === 0) return path;
  const directory = a.fdPath(pathArg - 1);
  return directory === null ? path : `${directory}/${path}`;
}

function openModeOf(flags: number): OpenMode {
  if ((flags & O_PATH) !== 0) return 'path';
  const access = flags & O_ACCMODE;
  if (access === O_RDONLY) return 'read';
  return access === O_WRONLY ? 'write' : 'read-write';
}

function fcntlOp(a: CallText): Op | string | null {
  const command = a.flags(1, 'ignore');
  // F_DUPFD is 0, and so is a name we do not know.
  if (command === F_DUPFD_CLOEXEC || (command === F_DUPFD && /^(F_DUPFD|0)/.test(a.text(1))))
    return { call: 'dup', fd: a.int(0), newFd: null };
  if (command === F_ADD_SEALS) return { call: 'add_seals', fd: a.int(0), seals: a.flags(2) };
  return null;
}
