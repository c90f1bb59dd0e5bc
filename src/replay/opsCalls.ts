/**
 * The calls of an ops file: `mmap(…, m0, 0)`, `process_vm_readv(child 2, …)`, `setrlimit(RLIMIT_AS, now+40960)`.
 *
 * What the system calls have in common with strace's notation is read by the same rules (straceCalls.ts). Files have names instead of
 * descriptors (m0 to m3, f0 to f3), which all processes share; System V segments are s0 to s3; processes are `self` and `child K`.
 * docs/ops-files.md has the list; what is about userfaultfds and pagemap is in opsUffdCalls.ts.
 */
import { IPC_CREAT, IPC_EXCL } from '../abi/ipc.ts';
import { CLONE_FILES, RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK } from '../abi/mman.ts';
import { VRANGE_BEHAVIOR, VRANGE_MODE } from '../abi/vrange.ts';
import { PAGE_SIZE } from '../base/units.ts';
import type { Access, Op } from '../machine/op.ts';
import { MEMORY_CALLS } from './opsMemoryCalls.ts';
import { CHILD, SELF } from './opsSnapshot.ts';
import { UFFD_CALLS } from './opsUffdCalls.ts';
import type { Scanner } from './scanner.ts';
import type { CallText } from './straceArgs.ts';
import { CALL_RULES } from './straceCalls.ts';

/** Added to the number of an operation in the stamps that a child writes, that process_vm_writev writes, that file_write writes. */
const CHILD_STAMP = 0x10_0000;
const COPY_STAMP = 0x40_0000;
const FILE_STAMP = 0x80_0000;
const SIGCHLD = 17;
/** Children of a fork that failed and should not have, so that they are nobody else. */
const UNKNOWN_CHILD = 1_000_000;
/** Descriptors of the named files, and the key of the first segment, which its name in maps shows. */
const FIRST_FD = 900;
const SHM_KEY = 0x4600_0000;

const FILES: readonly string[] = ['m0', 'm1', 'm2', 'm3', 'f0', 'f1', 'f2', 'f3'];
/** The same file as m0, opened for reading only, in files with userfaultfd. */
const READ_ONLY = 'm0ro';
/** Descriptors of m0 and m0ro. */
export const MEMFD = FIRST_FD;
export const MEMFD_RO = FIRST_FD + FILES.length;
const SEGMENT = /^s[0-3]$/;

/** The names that stand for numbers in arguments; `placed` is replaced when the line before has its result. */
export const OPS_NAMES: ReadonlyMap<string, number> = new Map([
  ['placed', 0],
  ...FILES.map((name, i) => [name, FIRST_FD + i] as const),
  [READ_ONLY, MEMFD_RO],
]);

/** What an argument may be besides a number: a file of a kind, a segment, a process. */
type Named = 'memfd' | 'regular' | 'file' | 'segment' | 'process' | 'uffd' | 'target';

/** How one call is written. */
export interface Call {
  readonly args: number;
  /** Arguments that may be left out at the end. */
  readonly optional?: number;
  /** The argument that is a name, and of what; it may be left out where that many are not needed. */
  readonly named?: readonly [argument: number, what: Named];
  /** Reads the call; left out where strace's rule does. */
  readonly decode?: (a: CallText, line: OpsLine) => Op;
}

/** What a call is read with, besides its text. */
export interface OpsLine {
  readonly number: number;
  /** The process that makes it. */
  readonly task: number;
  readonly calls: OpsCalls;
}

const WANTED: Readonly<Record<Named, string>> = {
  memfd: 'm0, m1, m2 or m3',
  regular: 'f0, f1, f2 or f3',
  file: 'm0 to m3 or f0 to f3',
  segment: 's0, s1, s2 or s3',
  process: 'self, or "child " and a number',
  uffd: 'u and the number of a userfaultfd',
  target: 'u0, u1, …, pagemap self, or pagemap child and a number',
};

function isNamed(what: Named, text: string): boolean {
  switch (what) {
    case 'memfd':
      return FILES.indexOf(text) >= 0 && text[0] === 'm';
    case 'regular':
      return FILES.indexOf(text) >= 0 && text[0] === 'f';
    case 'file':
      return FILES.indexOf(text) >= 0;
    case 'segment':
      return SEGMENT.test(text);
    case 'process':
      return /^(self|child \d+)$/.test(text);
    case 'uffd':
      return /^u\d+$/.test(text);
    case 'target':
      return /^(u\d+|pagemap self|pagemap child \d+)$/.test(text);
  }
}

const taskOf = (who: string): 'self' | number =>
  who === 'self' ? 'self' : CHILD + Number(who.slice('child '.length));

function touch(a: CallText, first: number, access: Access, stamp: number): Op {
  const [addr, len] = [a.number(first), a.number(first + 1)];
  return access === 'read'
    ? { call: 'touch', addr, len, access, by: 'user' }
    : { call: 'touch', addr, len, access, stamp, by: 'user' };
}

/** The process may be left out: the caller itself. */
const processVm = (a: CallText, { number, calls }: OpsLine, write: boolean): Op => {
  const first = a.nrArgs - 2;
  const len = a.number(first + 1);
  const stamp = number + COPY_STAMP;
  const target = first === 0 ? 'self' : taskOf(a.text(0));
  const what = { target, ranges: [{ addr: a.number(first), len }], max: len } as const;
  if (!write) return { call: 'process_vm', ...what, write };
  return { call: 'process_vm', ...what, write, stamp, ...(calls.isUffd ? { fills: true } : {}) };
};

/** A limit in bytes, or so many bytes more than what is used. */
function setrlimit(a: CallText): Op {
  const resource = a.flags(0);
  const text = a.text(1);
  if (!text.startsWith('now+')) return { call: 'setrlimit', resource, soft: a.number(1), hard: null };
  if (resource !== RLIMIT_AS && resource !== RLIMIT_DATA && resource !== RLIMIT_MEMLOCK)
    a.fail(1, 'a number of bytes: now+BYTES is for RLIMIT_AS, RLIMIT_DATA and RLIMIT_MEMLOCK');
  const more = text.slice('now+'.length);
  if (!/^\d+$/.test(more)) a.fail(1, 'now+ and a number of bytes');
  return { call: 'setrlimit', resource, soft: Number(more), hard: null, aboveUse: true };
}

/** Modes and behaviors by name, but for those that there are not. */
function vrange(a: CallText): Op {
  const [mode, behavior] = [a.number(2), a.number(3)];
  const named = <N extends string>(numbers: Readonly<Record<N, number>>, value: number): N | number =>
    (Object.keys(numbers) as N[]).find((name) => numbers[name] === value) ?? value;
  return {
    call: 'vrange',
    addr: a.number(0),
    len: a.number(1),
    mode: named(VRANGE_MODE, mode),
    behavior: named(VRANGE_BEHAVIOR, behavior),
  };
}

const migrate = (a: CallText, step: 'start' | 'end'): Op => ({
  call: 'migrate',
  addr: a.number(0),
  len: a.number(1),
  step,
});

const PRCTLS = 'PR_SET_VMA, PR_SET_MDWE, PR_SET_MEMORY_MERGE, PR_SET_PT_RECLAIM or PR_SET_THP_DISABLE';

/** Every call of an ops file. */
const CALLS: ReadonlyMap<string, Call> = new Map<string, Call>([
  ['mmap', { args: 6 }],
  ['munmap', { args: 2 }],
  ['mprotect', { args: 3 }],
  ['mremap', { args: 5, optional: 1 }],
  ['madvise', { args: 3 }],
  ['mlock', { args: 2 }],
  ['mlock2', { args: 3 }],
  ['munlock', { args: 2 }],
  ['mlockall', { args: 1 }],
  ['munlockall', { args: 0 }],
  ['mincore', { args: 2 }],
  ['msync', { args: 3 }],
  ['mseal', { args: 3 }],
  ['vrange', { args: 4, decode: vrange }],
  ['prctl', { args: 5 }],
  ['touch_read', { args: 2, decode: (a) => touch(a, 0, 'read', 0) }],
  [
    'touch_write',
    {
      args: 2,
      decode: (a, { number, task }) => touch(a, 0, 'write', number + (task === SELF ? 0 : CHILD_STAMP)),
    },
  ],
  [
    'process_vm_readv',
    { args: 3, optional: 1, named: [0, 'process'], decode: (a, line) => processVm(a, line, false) },
  ],
  [
    'process_vm_writev',
    { args: 3, optional: 1, named: [0, 'process'], decode: (a, line) => processVm(a, line, true) },
  ],
  [
    'process_madvise',
    {
      args: 4,
      named: [0, 'process'],
      decode: (a) => {
        const ranges = [{ addr: a.number(1), len: a.number(2) }];
        return {
          call: 'process_madvise',
          target: taskOf(a.text(0)),
          ranges,
          advice: a.flags(3),
          flags: 0,
        };
      },
    },
  ],
  [
    'memfd_create',
    {
      args: 2,
      named: [0, 'memfd'],
      decode: (a) => ({ call: 'memfd_create', name: a.text(0), flags: a.flags(1) }),
    },
  ],
  [
    'open',
    {
      args: 2,
      named: [0, 'regular'],
      decode: (a) => ({
        call: 'open',
        path: `/${a.text(0)} (deleted)`,
        mode: 'read-write',
        kind: 'regular',
        size: a.number(1) * PAGE_SIZE,
        inMemory: true,
      }),
    },
  ],
  [
    'ftruncate',
    {
      args: 2,
      named: [0, 'file'],
      decode: (a) => ({ call: 'ftruncate', fd: a.int(0), size: a.number(1) }),
    },
  ],
  [
    'fallocate',
    {
      args: 4,
      named: [0, 'file'],
      decode: (a) => ({
        call: 'fallocate',
        fd: a.int(0),
        mode: a.flags(1),
        offset: a.number(2),
        len: a.number(3),
      }),
    },
  ],
  [
    'file_write',
    {
      args: 3,
      named: [0, 'file'],
      decode: (a, { number, calls }) => ({
        call: 'write_file',
        fd: a.int(0),
        offset: a.number(1),
        len: a.number(2),
        stamp: number + FILE_STAMP,
        ...(calls.isUffd ? { answers: 'written' } : {}),
      }),
    },
  ],
  [
    'add_seals',
    { args: 2, named: [0, 'file'], decode: (a) => ({ call: 'add_seals', fd: a.int(0), seals: a.flags(1) }) },
  ],
  [
    'shmget',
    {
      args: 2,
      named: [0, 'segment'],
      decode: (a, { calls }) => ({
        call: 'shmget',
        key: SHM_KEY + calls.newSegment(a.text(0)),
        size: a.number(1),
        flags: IPC_CREAT | IPC_EXCL,
      }),
    },
  ],
  [
    'shmat',
    {
      args: 3,
      named: [0, 'segment'],
      decode: (a, { calls }) => ({
        call: 'shmat',
        id: calls.segment(a.text(0)),
        addr: a.number(1),
        flags: a.flags(2),
      }),
    },
  ],
  ['shmdt', { args: 1, decode: (a) => ({ call: 'shmdt', addr: a.number(0) }) }],
  ['setrlimit', { args: 2, decode: setrlimit }],
  ['setuid', { args: 1, decode: (a) => ({ call: 'set_uid', uid: a.number(0) }) }],
  ['fill', { args: 1, decode: (a) => ({ call: 'fill_maps', room: a.number(0) }) }],
  ['overcommit', { args: 1, decode: (a) => ({ call: 'overcommit', mode: a.number(0) }) }],
  ...MEMORY_CALLS,
  [
    'fork',
    {
      args: 0,
      decode: (a, { calls }) => ({ call: 'clone', flags: CLONE_FILES | SIGCHLD, child: calls.newChild(a) }),
    },
  ],
  ['child_exit', { args: 1, decode: () => ({ call: 'exit_group' }) }],
  ['child_touch_read', { args: 3, decode: (a) => touch(a, 1, 'read', 0) }],
  ['child_touch_write', { args: 3, decode: (a, { number }) => touch(a, 1, 'write', number + CHILD_STAMP) }],
  ...UFFD_CALLS,
  ['migrate_start', { args: 2, decode: (a) => migrate(a, 'start') }],
  ['migrate_end', { args: 2, decode: (a) => migrate(a, 'end') }],
  ['nop', { args: 0, decode: () => ({ call: 'nop' }) }],
]);

/** Reads the calls of one file. */
export class OpsCalls {
  readonly #at: Scanner;
  readonly #call: CallText;
  /** The segment that each name stands for now, by its digit. */
  readonly #segments = [-1, -1, -1, -1];
  #nrSegments = 0;
  #nextChild = 0;
  /** The file is one with userfaultfd. */
  isUffd = false;

  /** @param at  the scanner of the file; @param call  where the arguments were read */
  constructor(at: Scanner, call: CallText) {
    this.#at = at;
    this.#call = call;
  }

  /**
   * Returns the operation that was read, and who makes it.
   * @param number  of the line; @param by  the child that makes it, null for the process itself
   */
  decode(name: string, number: number, by: number | null): { op: Op; task: number } {
    const call = CALLS.get(name);
    if (call === undefined) this.#unknown(name);
    this.#checkArguments(name, call);
    const a = this.#call;
    // In the older forms the child is the first argument.
    const task = name.startsWith('child_') ? CHILD + a.int(0) : by === null ? SELF : CHILD + by;
    if (call.decode !== undefined) return { op: call.decode(a, { number, task, calls: this }), task };
    const op = CALL_RULES.get(name)?.decode(a) ?? null;
    if (op === null || typeof op === 'string') return a.fail(0, PRCTLS);
    return { op, task };
  }

  #unknown(name: string): never {
    this.#at.fail(
      `"${name}" is no operation of an ops file`,
      [...CALLS.keys()].join(', '),
      this.#at.text.indexOf(name),
    );
  }

  #checkArguments(name: string, { args, optional = 0, named }: Call): void {
    const a = this.#call;
    if (a.nrArgs < args - optional || a.nrArgs > args) {
      const wanted = optional === 0 ? String(args) : `${args - optional} or ${args}`;
      this.#at.fail(
        `${name} has ${a.nrArgs} arguments here`,
        `${wanted} ${args === 1 ? 'argument' : 'arguments'}`,
        this.#at.text.indexOf(name),
      );
    }
    for (let i = 0; i < a.nrArgs; i++) {
      if (named?.[0] === i && a.nrArgs === args) {
        if (!isNamed(named[1], a.text(i))) a.fail(i, WANTED[named[1]]);
      } else if (a.startsWithLetter(i)) this.#checkWord(i, name);
    }
  }

  /** A name that stands for a number stands only where that is meant: a file in mmap, `placed` as the first argument. */
  #checkWord(i: number, name: string): void {
    const text = this.#call.text(i);
    if (!OPS_NAMES.has(text)) return;
    const isFile = text !== 'placed';
    if (isFile ? name !== 'mmap' || i !== 4 : i !== 0) this.#call.fail(i, 'a number');
  }

  /** Returns the number of the segment that `name` stands for; -1: none was ever made. */
  segment(name: string): number {
    return this.#segments[Number(name[1])] as number;
  }
  /** From now on `name` stands for another segment. Returns its digit. */
  newSegment(name: string): number {
    const digit = Number(name[1]);
    this.#segments[digit] = this.#nrSegments++;
    return digit;
  }
  /** Returns the task of the child that a fork makes: the number it was given, or the next one, also where its parent sleeps. */
  newChild(a: CallText): number {
    if (a.result === 'errno') return UNKNOWN_CHILD + this.#at.line;
    const child = a.result === 'value' ? a.value : this.#nextChild;
    this.#nextChild = Math.max(this.#nextChild, child + 1);
    return CHILD + child;
  }
}
