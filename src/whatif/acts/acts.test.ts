/**
 * Acts on small programs whose every access is known, and on the same accesses as a recording tells them.
 */
import { describe, expect, it } from 'vitest';
import { MADV_DONTNEED, MADV_FREE } from '../../abi/mman.ts';
import { type Op, type Outcome, uffdIoctl } from '../../machine/index.ts';
import { LINUX_6_18 } from '../../mm/index.ts';
import type { ReplayOp, Start } from '../../replay/index.ts';
import { configurations } from '../configurations.ts';
import { Lane, type LaneEnd } from '../lane.ts';
import { stepItem } from '../runInput.ts';

const PAGE = 4096;
const BASE = 0x7000_0000_0000;
const TASK = 77;

const mmap = (nrPages: number, at = BASE): Op => ({
  call: 'mmap',
  addr: at,
  len: nrPages * PAGE,
  prot: 3,
  flags: 0x10_0022,
  fd: -1,
  offset: 0,
});
const madvise = (advice: number, first: number, nrPages: number): Op => ({
  call: 'madvise',
  addr: BASE + first * PAGE,
  len: nrPages * PAGE,
  advice,
});
const touch = (access: 'read' | 'write', first: number, nrPages = 1): Op => ({
  call: 'touch',
  addr: BASE + first * PAGE,
  len: nrPages * PAGE,
  access,
  by: 'user',
});
const munmap = (first: number, nrPages: number): Op => ({
  call: 'munmap',
  addr: BASE + first * PAGE,
  len: nrPages * PAGE,
});

const START: Start = { kind: 'start', task: TASK, format: 'recording', state: null, program: null };

interface Recorded {
  readonly op: Op;
  readonly value?: number;
  readonly addr?: number;
}

/** Operations as a recording has them. A number is what the kernel answered, 0 where none stands. */
const items = (ops: readonly (Op | Recorded)[]): ReplayOp[] =>
  ops.map((each, i) => {
    const { op, value = 0, addr } = 'op' in each ? each : { op: each, addr: undefined };
    const item = stepItem(i + 1, { task: TASK, op });
    const isCall = op.call !== 'touch';
    return {
      ...item,
      file: 'syscalls.strace',
      line: i + 1,
      chosen: addr === undefined ? {} : { addr },
      recorded: isCall
        ? { kind: 'value', value: op.call === 'mmap' ? (addr ?? op.addr) : value }
        : { kind: 'none' },
    };
  });

/** Plays a recording with a rewrite or probe; all of its columns. */
function played(
  ops: readonly (Op | Recorded)[],
  asked: { rewrites?: readonly string[]; probes?: readonly string[] },
  format: 'recording' | 'opfuzz' = 'recording',
): { ends: LaneEnd[]; told: (Outcome | null)[] } {
  const told: (Outcome | null)[] = [];
  const ends = configurations({ base: LINUX_6_18, ...asked }).map((configuration) => {
    const lane = new Lane(configuration, { verify: 'every' });
    lane.feed({ ...START, format });
    told.length = 0;
    for (const item of items(ops)) {
      lane.feed(item);
      told.push(lane.outcome);
    }
    return lane.end('end');
  });
  return { ends, told };
}
const faults = ({ work }: LaneEnd): number => work.nrFaults;

describe('memory given back otherwise', () => {
  // Eight pages are written, given back, and written or read again: a recording has each of these accesses, for each was a fault.
  const ops = [
    mmap(8),
    touch('write', 0, 8),
    madvise(MADV_DONTNEED, 0, 8),
    touch('write', 0, 4),
    touch('read', 4, 2),
  ];

  it('with MADV_FREE or not at all is there when it is accessed again', () => {
    for (const rule of ['dontneed=free', 'dontneed=none']) {
      const [baseline, changed] = played(ops, { rewrites: [rule] }).ends as [LaneEnd, LaneEnd];
      expect([faults(baseline), faults(changed)]).toEqual([14, 8]);
      expect(changed.acts[0]).toMatchObject({
        applied: 1,
        left: {},
        figures: { 'accesses that find their page': 6, 'of them, to read': 2 },
      });
      expect(changed.bound).toBeNull();
      expect(changed.diverged.calls).toBe(0);
      expect(changed.acts[0]?.remarks.join()).toContain('2 of these pages are read before they are written');
    }
  });

  it('counts what the kernel may take without asking', () => {
    const [, changed] = played(ops, { rewrites: ['dontneed=free'] }).ends as [LaneEnd, LaneEnd];
    // Four of the eight were written since.
    expect(changed.memory).toMatchObject({ resident: 8 * PAGE, lazyFree: 4 * PAGE });
  });

  it('is left as it is where the other call would do something else', () => {
    const shared: Op = {
      call: 'mmap',
      addr: BASE,
      len: 2 * PAGE,
      prot: 3,
      flags: 0x10_0021,
      fd: -1,
      offset: 0,
    };
    const [, changed] = played(
      [shared, madvise(MADV_DONTNEED, 0, 2), { op: madvise(MADV_DONTNEED, 1, 2), value: 0 }],
      {
        rewrites: ['dontneed=free'],
      },
    ).ends as [LaneEnd, LaneEnd];
    expect(changed.acts[0]).toMatchObject({ applied: 0, left: { 'not private anonymous memory': 2 } });
  });

  it('by MADV_DONTNEED for MADV_FREE has bounds in a recording', () => {
    // After MADV_FREE nothing faults any more: the recording does not tell whether the pages were used.
    const free = [mmap(8), touch('write', 0, 8), madvise(MADV_FREE, 0, 8)];
    const { ends } = played(free, { rewrites: ['free=dontneed'] });
    expect(ends.map(faults)).toEqual([8, 8, 24]);
    expect(ends.map(({ bound }) => bound)).toEqual([null, 'least', 'most']);
    expect(ends.map(({ memory }) => memory.resident / PAGE)).toEqual([8, 0, 8]);
  });

  it('by MADV_DONTNEED for MADV_FREE is certain where every access is told', () => {
    const free = [mmap(8), touch('write', 0, 8), madvise(MADV_FREE, 0, 8), touch('write', 0, 3)];
    const { ends } = played(free, { rewrites: ['free=dontneed'] }, 'opfuzz');
    expect(ends.map(faults)).toEqual([8, 11, 11]);
    expect(ends.map(({ bound }) => bound)).toEqual([null, null, null]);
  });

  it('has the most only when memory may be accessed', () => {
    const protect = (prot: number): Op => ({ call: 'mprotect', addr: BASE, len: 8 * PAGE, prot });
    const free = [mmap(8), touch('write', 0, 8), protect(0), madvise(MADV_FREE, 0, 8)];
    expect(played(free, { rewrites: ['free=dontneed'] }).ends.map(faults)).toEqual([8, 8, 8]);
    expect(played([...free, protect(3)], { rewrites: ['free=dontneed'] }).ends.map(faults)).toEqual([
      8, 8, 24,
    ]);
  });
});

describe('memory made volatile', () => {
  const ops = [
    mmap(8),
    touch('write', 0, 8),
    madvise(MADV_DONTNEED, 0, 4),
    madvise(MADV_DONTNEED, 4, 4),
    touch('write', 1),
    touch('write', 2),
  ];

  it('is taken back as a whole before the next access', () => {
    const [baseline, changed] = played(ops, { rewrites: ['dontneed=vrange'] }).ends as [LaneEnd, LaneEnd];
    expect([faults(baseline), faults(changed)]).toEqual([10, 8]);
    expect(changed.work.facts).toMatchObject({ vrangeVolatileCalls: 2, vrangeNovolatileCalls: 1 });
    expect(changed.acts[0]?.figures).toMatchObject({
      'calls of NOVOLATILE': 1,
      'accesses that find their page': 2,
    });
    expect(changed.memory.volatile).toBe(4 * PAGE);
    expect(changed.diverged.calls).toBe(0);
  });

  it('for MADV_FREE has bounds: nobody tells when it was used again', () => {
    const free = [mmap(8), touch('write', 0, 8), madvise(MADV_FREE, 0, 8)];
    const { ends } = played(free, { rewrites: ['free=vrange'] });
    expect(ends.map(({ work }) => work.facts.vrangeNovolatileCalls)).toEqual([0, 0, 1]);
    expect(ends.map(({ bound }) => bound)).toEqual([null, 'least', 'most']);
  });
});

describe('address space that is kept', () => {
  it('is used again where the kernel put a mapping inside it', () => {
    const anywhere: Op = { call: 'mmap', addr: 0, len: 2 * PAGE, prot: 3, flags: 0x22, fd: -1, offset: 0 };
    const ops = [
      mmap(8),
      touch('write', 0, 8),
      munmap(4, 4),
      { op: anywhere, addr: BASE + 4 * PAGE },
      touch('write', 4),
    ];
    const { ends, told } = played(ops, { rewrites: ['munmap=dontneed'] });
    const [baseline, changed] = ends as [LaneEnd, LaneEnd];
    expect(changed.acts[0]).toMatchObject({ applied: 1, figures: { 'mmaps not made': 1 } });
    expect(told[3]).toMatchObject({ kind: 'value', value: BASE + 4 * PAGE });
    expect([faults(baseline), faults(changed)]).toEqual([9, 9]);
    expect(changed.processes[0]?.vmas.end).toBe(1);
    expect(changed.diverged.calls).toBe(0);
  });

  it('gives way to what needs its place, and is protected otherwise where that is all', () => {
    const at = { addr: BASE + 4 * PAGE };
    const half: Op = { call: 'mmap', addr: 0, len: 8 * PAGE, prot: 3, flags: 0x22, fd: -1, offset: 0 };
    const readOnly: Op = { call: 'mmap', addr: 0, len: 2 * PAGE, prot: 1, flags: 0x22, fd: -1, offset: 0 };
    const across = played([mmap(8), munmap(4, 4), { op: half, ...at }], { rewrites: ['munmap=dontneed'] });
    expect(across.ends[1]?.acts[0]?.figures).toMatchObject({
      'pieces unmapped for others': 1,
      'mmaps not made': 0,
    });
    expect(across.ends[1]?.processes[0]?.rows.map(({ start, end }) => (end - start) / PAGE)).toEqual([12]);
    const less = played([mmap(8), munmap(4, 4), { op: readOnly, ...at }], { rewrites: ['munmap=dontneed'] });
    expect(less.ends[1]?.acts[0]?.figures).toMatchObject({ 'of them, mprotect instead': 1 });
    expect(less.ends[1]?.diverged.calls).toBe(0);
  });

  it('makes calls succeed that failed: the first one is told', () => {
    const ops = [mmap(8), munmap(4, 4), { op: { ...madvise(MADV_DONTNEED, 4, 1) }, value: -1 }];
    const { ends } = played(ops, { rewrites: ['munmap=dontneed'] });
    expect(ends[1]?.diverged).toMatchObject({ calls: 1, first: { place: { op: 3 }, modelled: '0' } });
  });
});

describe('probes', () => {
  const ops = [mmap(1024), touch('write', 0, 16), madvise(MADV_DONTNEED, 0, 16), touch('write', 600)];

  it('that only look change nothing', () => {
    const [plain, watched] = [played(ops, {}).ends[0], played(ops, { probes: ['bloat'] }).ends[0]] as [
      LaneEnd,
      LaneEnd,
    ];
    expect({ ...watched.work, processes: watched.processes }).toEqual({
      ...plain.work,
      processes: plain.processes,
    });
    expect(watched.acts[0]?.figures).toMatchObject({ 'empty at the peak, kB': 4, 'of them empty, kB': 4 });
  });

  const later = [mmap(16), touch('write', 0, 8), touch('write', 8), touch('read', 9), touch('write', 9)];
  const snapshot = (method: string): LaneEnd[] => played(later, { probes: [`snapshot:${method}@3`] }).ends;

  it('for a snapshot lose what was not there with the default protection, and nothing with markers', () => {
    const figures = (method: string): unknown[] =>
      snapshot(method).flatMap(({ acts }) => acts.map((act) => act.figures));
    expect(figures('wp-default')).toMatchObject([
      { 'writes that waited': 0, 'pages lost (written unnoticed)': 2 },
      { 'writes that waited': 8, 'pages lost (written unnoticed)': 2 },
    ]);
    expect(figures('wp-unpopulated')).toMatchObject([
      { 'writes that waited': 2, 'pages lost (written unnoticed)': 0 },
      { 'writes that waited': 10, 'pages lost (written unnoticed)': 0 },
    ]);
    expect(figures('fork')).toMatchObject([
      { 'copies on write since (those of other forks among them)': 0 },
      { 'copies on write since (those of other forks among them)': 8 },
    ]);
    expect(figures('wp-async')).toMatchObject([
      { 'pages to be saved again': 2 },
      { 'pages to be saved again': 10 },
    ]);
  });

  it('leave the answers to the program as they are', () => {
    for (const method of [
      'fork',
      'wp-default',
      'pre-read',
      'populate-read',
      'wp-unpopulated',
      'wp-async',
      'soft-dirty',
    ])
      for (const { diverged, processes } of snapshot(method)) {
        expect(diverged.calls).toBe(0);
        expect(processes).toHaveLength(1);
      }
  });

  it('in rounds tell pages that were written in each', () => {
    const rounds = [...later, touch('write', 10), touch('write', 11)];
    const [, least, most] = played(rounds, { probes: ['dirty:wp-async/3ops'] }).ends as [
      LaneEnd,
      LaneEnd,
      LaneEnd,
    ];
    const found = ({ acts }: LaneEnd): unknown => acts[0]?.series?.rows;
    // Rounds before operations 1, 4 and 7, and at the end. What is new is protected from the round on that finds it.
    expect(found(least)).toEqual([
      [4, 0, 0],
      [7, 2, 0],
      [7, 1, 0],
    ]);
    expect(found(most)).toEqual([
      [4, 0, 0],
      [7, 11, 0],
      [7, 12, 0],
    ]);
  });
});

describe('pages moved where they were copied', () => {
  // Four pages are filled at 0, memory at 8 is registered; two pages are copied, then one of the two again.
  const FD = 3;
  const open: Recorded = { op: { call: 'userfaultfd', flags: 0 }, value: FD };
  const copy = (to: number, from: number, nrPages: number): Op =>
    uffdIoctl(FD, {
      name: 'UFFDIO_COPY',
      dst: BASE + to * PAGE,
      src: BASE + from * PAGE,
      len: nrPages * PAGE,
      mode: 0,
    });
  const ops = [
    mmap(16),
    touch('write', 0, 4),
    open,
    uffdIoctl(FD, { name: 'UFFDIO_API', api: 0xaa, features: 0 }),
    uffdIoctl(FD, { name: 'UFFDIO_REGISTER', start: BASE + 8 * PAGE, len: 8 * PAGE, mode: 1 }),
    copy(8, 0, 2),
    copy(10, 1, 1),
  ];
  const moved = { rewrites: ['uffd-copy=move'] };

  it('are fewer, and a source that is empty is refused', () => {
    const [baseline, least] = played(ops, moved).ends as [LaneEnd, LaneEnd];
    expect([baseline.memory.resident, least.memory.resident]).toEqual([7 * PAGE, 4 * PAGE]);
    expect(least.acts[0]).toMatchObject({
      applied: 2,
      figures: { 'kB in these calls': 12, 'of them refused': 1, 'pages taken from their source': 2 },
    });
    expect(least.bound).toBe('least');
    expect([least.diverged.calls, least.diverged.first?.modelled]).toEqual([
      1,
      expect.stringContaining('ENOENT'),
    ]);
  });
  it('fault again where the program accesses the source, at most twice for each page', () => {
    const [baseline, least, most] = played(ops, moved).ends as [LaneEnd, LaneEnd, LaneEnd];
    // Three pages are taken: the one that was written again moves, too.
    expect(most.acts[0]?.figures['pages taken from their source']).toBe(3);
    expect([faults(baseline), faults(least), faults(most)]).toEqual([4, 4, 10]);
    expect([most.bound, most.diverged.calls]).toEqual(['most', 0]);
  });
  it('is certain where every access is told', () => {
    const { ends } = played(ops, moved, 'opfuzz');
    expect(ends[1]?.bound).toBeNull();
    expect(ends[1]?.acts[0]?.remarks[0]).toContain('certain');
  });
});
