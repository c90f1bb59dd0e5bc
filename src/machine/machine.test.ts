import { describe, expect, it } from 'vitest';
import {
  CLONE_FILES,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { must } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { Kernel, type KernelConfig, type Mm, pageAt, verifyKernel, verifyMm } from '../mm/index.ts';
import { Machine } from './machine.ts';
import type { Op } from './op.ts';
import type { Outcome } from './outcome.ts';

const B = 0x1000_0000_0000;
const PARENT = 100;
const FORK = 17;
const VFORK = CLONE_VM | CLONE_VFORK | FORK;
const THREAD = CLONE_VM | CLONE_FILES | CLONE_THREAD;

const map = (page: number, nrPages: number, flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1): Op => ({
  call: 'mmap',
  addr: B + page * PAGE_SIZE,
  len: nrPages * PAGE_SIZE,
  prot: PROT_READ | PROT_WRITE,
  flags: flags | MAP_FIXED,
  fd,
  offset: 0,
});
const write = (page: number, stamp: number): Op => ({
  call: 'touch',
  addr: B + page * PAGE_SIZE,
  len: 1,
  access: 'write',
  stamp,
  by: 'user',
});
const clone = (flags: number, child: number): Op => ({ call: 'clone', flags, child });

function started(config: Partial<KernelConfig> = {}): Machine {
  const machine = new Machine(new Kernel(undefined, config));
  machine.spawn(PARENT);
  return machine;
}
const mmOf = (machine: Machine, tid: number): Mm =>
  must(machine.processOf(tid)?.mm, 'the thread lives and its memory is known');
const run = (machine: Machine, tid: number, ...ops: readonly Op[]): Outcome[] =>
  ops.map((op) => machine.apply(tid, op));
const stampAt = (machine: Machine, tid: number, page: number): number =>
  pageAt(mmOf(machine, tid), B + page * PAGE_SIZE).stamp;
const isMapped = (machine: Machine, tid: number, page: number): boolean =>
  mmOf(machine, tid).vmas.at(B + page * PAGE_SIZE) !== null;

function verifyAll(machine: Machine): void {
  const mms = new Set(machine.processes.flatMap(({ mm }) => (mm === null ? [] : [mm])));
  for (const mm of mms) verifyMm(mm);
  verifyKernel(machine.kernel, [...mms]);
}

describe('clone', () => {
  it('copies the address space for a fork: what one writes the other does not see', () => {
    const machine = started();
    run(machine, PARENT, map(0, 2), write(0, 1), clone(FORK, 200));
    run(machine, 200, write(0, 2), map(4, 1));
    expect([stampAt(machine, PARENT, 0), stampAt(machine, 200, 0)]).toEqual([1, 2]);
    expect([isMapped(machine, PARENT, 4), isMapped(machine, 200, 4)]).toEqual([false, true]);
    verifyAll(machine);
  });
  it('shares shared memory over a fork', () => {
    const machine = started();
    run(machine, PARENT, map(0, 1, MAP_SHARED | MAP_ANONYMOUS), write(0, 1), clone(FORK, 200));
    run(machine, 200, write(0, 7));
    run(machine, PARENT, { call: 'touch', addr: B, len: 1, access: 'read', by: 'user' });
    expect(stampAt(machine, PARENT, 0)).toBe(7);
  });
  it('shares the address space with CLONE_VM, and keeps it while one of them lives', () => {
    const machine = started();
    run(machine, PARENT, map(0, 1), clone(VFORK, 200));
    expect(mmOf(machine, 200)).toBe(mmOf(machine, PARENT));
    run(machine, 200, write(0, 3), { call: 'exit_group' });
    expect([stampAt(machine, PARENT, 0), machine.process(200)]).toEqual([3, null]);
    run(machine, PARENT, clone(VFORK, 201), { call: 'exit_group' });
    expect([machine.process(PARENT), stampAt(machine, 201, 0)]).toEqual([null, 3]);
    verifyAll(machine);
  });
  it('gives a thread everything: memory, descriptors, process', () => {
    const machine = started();
    run(machine, PARENT, clone(THREAD, 101));
    expect(machine.processOf(101)).toBe(machine.process(PARENT));
    expect(machine.processes.length).toBe(1);
    run(machine, 101, map(0, 1));
    expect(isMapped(machine, PARENT, 0)).toBe(true);
  });
  it('hands out a pid where the recording gives none', () => {
    const machine = started();
    const pids = run(machine, PARENT, clone(FORK, 0), clone(FORK, 0)).map(
      (outcome) => outcome.kind === 'value' && outcome.value,
    );
    expect(new Set(pids).size).toBe(2);
    for (const pid of pids) expect(machine.process(Number(pid))).not.toBeNull();
  });
  it('fails with ENOMEM when the copy may not be promised, and leaves nothing behind', () => {
    const machine = started({ overcommit: 2, totalRamPages: 100_000, overcommitRatio: 50 });
    const answers = run(machine, PARENT, map(0, 30_000), clone(FORK, 200));
    expect(answers.map(({ kind }) => kind)).toEqual(['value', 'errno']);
    expect(answers[1]).toMatchObject({ errno: 'ENOMEM', why: 'overcommit' });
    expect([machine.process(200), machine.kernel.committedPages]).toEqual([null, 30_000]);
    verifyAll(machine);
  });
});

describe('descriptors', () => {
  const open = (path: string): Op => ({
    call: 'open',
    path,
    mode: 'read-write',
    kind: 'regular',
    size: 8192,
  });
  const fdOf = (outcome: Outcome | undefined): number => (outcome?.kind === 'value' ? outcome.value : -1);

  it('are copied by fork and shared by CLONE_FILES', () => {
    const machine = started();
    run(machine, PARENT, open('/a'), clone(FORK, 200), clone(FORK | CLONE_FILES, 201));
    run(machine, PARENT, { call: 'close', fd: 3 });
    expect([200, 201].map((tid) => machine.processOf(tid)?.files.get(3)?.kind)).toEqual(['file', undefined]);
  });
  it('take the lowest number, or the one a recording tells', () => {
    const machine = started();
    expect(
      run(machine, PARENT, open('/a'), open('/b'), { call: 'close', fd: 3 }, open('/c')).map(fdOf),
    ).toEqual([3, 4, 0, 3]);
    expect(machine.apply(PARENT, open('/d'), { handle: 77 })).toMatchObject({ value: 77 });
  });
  it('of one path lead to one object through two open files', () => {
    const machine = started();
    run(machine, PARENT, open('/a'), open('/a'), map(0, 1, MAP_PRIVATE, 3), map(1, 1, MAP_PRIVATE, 4));
    const [a, b] = [...mmOf(machine, PARENT).vmas].map(({ file }) => file);
    expect([a?.object === b?.object, a === b]).toEqual([true, false]);
    expect(a?.object.vmas.size).toBe(2);
  });
  it('duplicated are one open file', () => {
    const machine = started();
    run(machine, PARENT, open('/a'), { call: 'dup', fd: 3, newFd: 9 });
    const { files } = must(machine.process(PARENT), 'it lives');
    expect(files.get(9)).toBe(files.get(3));
    run(machine, PARENT, { call: 'dup', fd: 50, newFd: 9 });
    expect(files.get(9)).toBeNull();
  });
  it('are closed by close_range, but not by CLOSE_RANGE_CLOEXEC, and apart from others with UNSHARE', () => {
    const machine = started();
    run(machine, PARENT, open('/a'), open('/b'), open('/c'), clone(FORK | CLONE_FILES, 200));
    const fds = (tid: number): unknown[] =>
      [3, 4, 5].map((fd) => machine.processOf(tid)?.files.get(fd)?.kind === 'file');
    run(machine, PARENT, { call: 'close_range', first: 3, last: 9, flags: 4 });
    expect(fds(PARENT)).toEqual([true, true, true]);
    run(machine, 200, { call: 'close_range', first: 4, last: 9, flags: 2 });
    expect([fds(200), fds(PARENT)]).toEqual([
      [true, false, false],
      [true, true, true],
    ]);
    expect(machine.apply(PARENT, { call: 'close_range', first: 5, last: 4, flags: 0 })).toMatchObject({
      errno: 'EINVAL',
    });
  });
  it('that are not open are EBADF', () => {
    const machine = started();
    const answers = run(machine, PARENT, { call: 'close', fd: 9 }, map(0, 1, MAP_SHARED, 9), {
      call: 'ftruncate',
      fd: 9,
      size: 0,
    });
    for (const answer of answers) expect(answer).toMatchObject({ kind: 'errno', errno: 'EBADF' });
  });
  it('of a file that shrinks lose the pages beyond its end, in every process', () => {
    const machine = started();
    run(
      machine,
      PARENT,
      { call: 'memfd_create', name: 'm', flags: 0 },
      { call: 'ftruncate', fd: 3, size: 4 * PAGE_SIZE },
    );
    run(machine, PARENT, map(0, 4, MAP_SHARED, 3), write(0, 1), write(3, 4), clone(FORK, 200));
    run(machine, 200, write(2, 3), { call: 'ftruncate', fd: 3, size: PAGE_SIZE });
    expect(run(machine, PARENT, write(0, 9), write(3, 9)).map(({ kind }) => kind)).toEqual([
      'value',
      'signal',
    ]);
    expect([PARENT, 200].map((tid) => mmOf(machine, tid).pages.kind(B + 3 * PAGE_SIZE))).toEqual([
      'none',
      'none',
    ]);
    run(machine, PARENT, { call: 'ftruncate', fd: 3, size: 4 * PAGE_SIZE });
    run(machine, PARENT, { call: 'touch', addr: B + 3 * PAGE_SIZE, len: 1, access: 'read', by: 'user' });
    expect([stampAt(machine, PARENT, 0), stampAt(machine, PARENT, 3)]).toEqual([9, 0]);
    verifyAll(machine);
  });
});

describe('fallocate', () => {
  const fallocate = (mode: number, page: number, nrPages: number): Op => ({
    call: 'fallocate',
    fd: 3,
    mode,
    offset: page * PAGE_SIZE,
    len: nrPages * PAGE_SIZE,
  });
  const memfd: readonly Op[] = [
    { call: 'memfd_create', name: 'm', flags: 0 },
    { call: 'ftruncate', fd: 3, size: 4 * PAGE_SIZE },
  ];
  const read = (page: number): Op => ({
    call: 'touch',
    addr: B + page * PAGE_SIZE,
    len: 1,
    access: 'read',
    by: 'user',
  });

  it('makes a file longer, unless told to keep its size', () => {
    const machine = started();
    run(machine, PARENT, ...memfd, map(0, 8, MAP_SHARED, 3), fallocate(1, 4, 2));
    expect(run(machine, PARENT, read(4))[0]).toMatchObject({ kind: 'signal', signal: 'SIGBUS' });
    expect(run(machine, PARENT, fallocate(0, 4, 2), read(5), read(6))).toMatchObject([
      { value: 0 },
      { value: 0 },
      { kind: 'signal' },
    ]);
  });
  it('refuses by name to set more aside than there is memory', () => {
    const machine = started();
    run(machine, PARENT, ...memfd);
    expect(() => run(machine, PARENT, fallocate(1, 0, 2 ** 50))).toThrow(
      /fallocate of more shared memory than there is/,
    );
  });
  it('punches holes that every mapping sees, but for what a private one has written', () => {
    const machine = started();
    run(machine, PARENT, ...memfd, map(0, 4, MAP_SHARED, 3), map(10, 4, MAP_PRIVATE, 3));
    run(machine, PARENT, write(0, 1), write(1, 2), write(2, 3), write(3, 4), read(11), write(12, 9));
    run(machine, PARENT, clone(FORK, 200), fallocate(3, 1, 2));
    for (const tid of [PARENT, 200]) {
      run(machine, tid, ...[0, 1, 2, 3, 11, 12].map(read));
      expect([0, 1, 2, 3, 11, 12].map((page) => stampAt(machine, tid, page))).toEqual([1, 0, 0, 4, 0, 9]);
    }
    verifyAll(machine);
  });
  it('zeroes the start of a page that a hole ends in', () => {
    const machine = started();
    run(machine, PARENT, ...memfd, map(0, 4, MAP_SHARED, 3), write(0, 1), write(1, 2));
    run(machine, PARENT, fallocate(3, 0.5, 1), read(0), read(1));
    expect([stampAt(machine, PARENT, 0), stampAt(machine, PARENT, 1)]).toEqual([1, 0]);
  });
});

describe('exit and execve', () => {
  it('take the address space down with the last thread', () => {
    const machine = started();
    run(machine, PARENT, map(0, 4), write(0, 1), clone(THREAD, 101), { call: 'exit' });
    expect(machine.processOf(PARENT)).toBeNull();
    run(machine, 101, write(1, 2));
    expect(machine.kernel.frames.nrUsed).toBe(2);
    run(machine, 101, { call: 'exit' });
    expect([machine.processes.length, machine.kernel.frames.nrUsed, machine.kernel.committedPages]).toEqual([
      0, 0, 0,
    ]);
  });
  it('of the group end every thread', () => {
    const machine = started();
    run(machine, PARENT, clone(THREAD, 101), clone(THREAD, 102));
    run(machine, 102, { call: 'exit_group' });
    expect([PARENT, 101, 102].map((tid) => machine.processOf(tid))).toEqual([null, null, null]);
  });
  it('forget the memory of a process that becomes another program', () => {
    const machine = started();
    run(machine, PARENT, map(0, 4), write(0, 1), clone(THREAD, 101));
    run(machine, PARENT, { call: 'execve', path: '/bin/true' });
    expect([machine.process(PARENT)?.mm, machine.process(PARENT)?.execed]).toEqual([null, true]);
    expect([machine.processOf(101), machine.kernel.frames.nrUsed]).toEqual([null, 0]);
    expect(run(machine, PARENT, map(0, 1))[0]).toEqual({ kind: 'unknown-memory' });
  });
  it('leave the parent of a vfork its memory', () => {
    const machine = started();
    run(machine, PARENT, map(0, 4), write(0, 1), clone(VFORK, 200));
    run(machine, 200, { call: 'execve', path: '/bin/true' });
    expect(stampAt(machine, PARENT, 0)).toBe(1);
    verifyAll(machine);
  });
  it('leave a thread that nobody knows unknown', () => {
    expect(run(started(), 999, map(0, 1), { call: 'exit' })).toEqual([
      { kind: 'unknown-memory' },
      { kind: 'unknown-memory' },
    ]);
  });
});

describe('SysV shared memory', () => {
  const get = (key: number, size = 3 * PAGE_SIZE - 1): Op => ({ call: 'shmget', key, size, flags: 0o1600 });
  const attach = (id: number, page: number): Op => ({
    call: 'shmat',
    id,
    addr: B + page * PAGE_SIZE,
    flags: 0,
  });

  it('is one object, wherever it is attached', () => {
    const machine = started();
    run(machine, PARENT, get(0), attach(0, 0), write(0, 5), attach(0, 10), clone(FORK, 200));
    run(machine, 200, { call: 'touch', addr: B + 10 * PAGE_SIZE, len: 1, access: 'read', by: 'user' });
    expect(stampAt(machine, 200, 10)).toBe(5);
    expect(mmOf(machine, PARENT).totalVm).toBe(6);
    verifyAll(machine);
  });
  it('is found again by its key, and IPC_PRIVATE makes another each time', () => {
    const machine = started();
    const ids = run(machine, PARENT, get(0), get(0), get(0x2a), get(0x2a)).map(
      (one) => one.kind === 'value' && one.value,
    );
    expect(ids[0]).not.toBe(ids[1]);
    expect([ids[2] === ids[3], ids[2] === ids[0], ids[2] === ids[1]]).toEqual([true, false, false]);
  });
  it('answers as shmget does to a key that is there, or is not', () => {
    const flagged = (flags: number, size = PAGE_SIZE): Op => ({ call: 'shmget', key: 0x2a, size, flags });
    expect(
      run(
        started(),
        PARENT,
        flagged(0),
        flagged(0o1000),
        flagged(0o3000),
        flagged(0, 2 * PAGE_SIZE),
        flagged(0, 0),
      ),
    ).toMatchObject([
      { errno: 'ENOENT' },
      { value: 0 },
      { errno: 'EEXIST' },
      { errno: 'EINVAL' },
      { value: 0 },
    ]);
  });
  it('has the id that a recording tells, also where it was there before', () => {
    const machine = started();
    const told: Op = { call: 'shmget', key: 0x2a, size: PAGE_SIZE, flags: 0 };
    expect(machine.apply(PARENT, told, { handle: 32 })).toMatchObject({ value: 32 });
    expect(machine.apply(PARENT, told)).toMatchObject({ value: 32 });
    expect(machine.apply(PARENT, { ...told, key: 0x2b }, { handle: 32 })).toMatchObject({ value: 32 });
    run(machine, PARENT, attach(32, 0));
    expect(mmOf(machine, PARENT).vmas.first?.file?.object.path).toBe('/SYSV0000002b (deleted)');
  });
  it('is named by its key and its id', () => {
    const machine = started();
    run(machine, PARENT, get(0), get(0x2a), attach(1, 0));
    const object = mmOf(machine, PARENT).vmas.first?.file?.object;
    expect([object?.path, object?.inode, object?.dev]).toEqual(['/SYSV0000002a (deleted)', 1, '00:01']);
  });
  it('is detached by its first address, with everything of it that is left', () => {
    const machine = started();
    run(machine, PARENT, get(0), attach(0, 0));
    run(machine, PARENT, { call: 'munmap', addr: B + PAGE_SIZE, len: PAGE_SIZE });
    expect(run(machine, PARENT, { call: 'shmdt', addr: B + PAGE_SIZE })[0]).toMatchObject({
      errno: 'EINVAL',
    });
    run(machine, PARENT, { call: 'shmdt', addr: B });
    expect(mmOf(machine, PARENT).mapCount).toBe(0);
    verifyAll(machine);
  });
  it('is not attached over something, nor when there is none', () => {
    const machine = started();
    run(machine, PARENT, get(0), map(2, 1));
    for (const answer of run(machine, PARENT, attach(0, 0), attach(9, 20), get(0x11, 0)))
      expect(answer).toMatchObject({ kind: 'errno', errno: 'EINVAL' });
  });
});

describe('the memory of another process', () => {
  const advise = (target: 'self' | number, advice: number): Op => ({
    call: 'process_madvise',
    target,
    ranges: [{ addr: B, len: PAGE_SIZE }],
    advice,
    flags: 0,
  });
  it('takes the advice that is allowed', () => {
    const machine = started();
    run(machine, PARENT, map(0, 1), clone(FORK, 200));
    expect(
      run(machine, PARENT, advise(200, 20), advise(200, 4), advise('self', 4), advise(999, 20)),
    ).toMatchObject([{ value: PAGE_SIZE }, { errno: 'EINVAL' }, { value: PAGE_SIZE }, { errno: 'ESRCH' }]);
  });
});
