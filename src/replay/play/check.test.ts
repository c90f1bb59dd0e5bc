/**
 * Check on small inputs written by hand: what the kernel would have answered, that answer changed, and calls that overlap.
 */
import { describe, expect, it } from 'vitest';
import { CLONE_FILES, CLONE_THREAD, CLONE_VM } from '../../abi/mman.ts';
import { Unmodelled } from '../../base/assert.ts';
import type { Op, Recorded } from '../../machine/index.ts';
import { filesInMemory } from '../input.ts';
import type { ReplayItem, ReplayOp } from '../item.ts';
import { opsItems } from '../ops.ts';
import { recordingItems } from '../recording.ts';
import { type CheckReport, checkInput } from './check.ts';
import type { PlayOptions } from './player.ts';

/** What a 6.18 answered, by oracle/opsrun. */
const OPS = `# opfuzz format 1 seed 1 ops 9 window 0x200000000000-0x200000800000 mode 1
0 mmap(0x200000000000, 8388608, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x200000000000 <flt 0>
snapshot 0
self pgtables_kb=72
vma 200000000000-200000800000 rw-p 00000000 flags=rd wr mr mw me ac
end
1 touch_write(0x200000001000, 8192) = 0 <flt 2>
2 mprotect(0x200000002000, 4096, PROT_READ) = 0 <flt 0>
3 touch_write(0x200000002000, 4096) = -1 SIGSEGV {si_code=SEGV_ACCERR, si_addr=0x200000002000} <flt 0>
4 munmap(0x200000100000, 4096) = 0 <flt 0>
5 mlock(0x2000000ff000, 12288) = -1 ENOMEM (Cannot allocate memory) <flt 0>
6 fork() = child 0
7 child_touch_read(0, 0x200000100000, 4096) = -1 SIGSEGV {si_code=SEGV_MAPERR, si_addr=0x200000100000}
8 mremap(0x200000200000, 4096, 8192, 0) = -1 ENOMEM (Cannot allocate memory) <flt 0>
snapshot 8
self pgtables_kb=84
vma 200000000000-200000002000 rw-p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
vma 200000002000-200000003000 r--p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd mr mw me ac
vma 200000003000-2000000ff000 rw-p 00000000 flags=rd wr mr mw me ac
vma 2000000ff000-200000100000 rw-p 00000000 flags=rd wr mr mw me lo ac
vma 200000101000-200000800000 rw-p 00000000 flags=rd wr mr mw me ac
pg 200000001000-200000003000 P------- v=1
child 0 pgtables_kb=84
vma 200000000000-200000002000 rw-p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd wr mr mw me ac
vma 200000002000-200000003000 r--p 00000000 Rss=4 Shared_Dirty=4 Anonymous=4 flags=rd mr mw me ac
vma 200000003000-2000000ff000 rw-p 00000000 flags=rd wr mr mw me ac
vma 2000000ff000-200000100000 rw-p 00000000 flags=rd wr mr mw me ac
vma 200000101000-200000800000 rw-p 00000000 flags=rd wr mr mw me ac
pg 200000001000-200000003000 P------- v=1
end
`;

const checkOps = (text: string, options: PlayOptions = {}): CheckReport =>
  checkInput('small.ops', () => opsItems(filesInMemory('small.ops', { '': text })), {
    verify: 'every',
    ...options,
  });

describe('an ops file', () => {
  it('that the kernel answered has no difference', () => {
    const report = checkOps(OPS);
    expect(report.differences).toEqual([]);
    expect(report.ok).toBe(true);
    expect(report.compared).toMatchObject({ results: 9, vmas: 11, touches: 3, pages: 4 });
  });

  //   what was changed      the text                                 its replacement                          kind
  it.each<[string, string, string, string]>([
    ['an errno', '= -1 ENOMEM (Cannot allocate memory) <flt 0>', '= -1 EAGAIN (Try again) <flt 0>', 'result'],
    [
      'an error into a success',
      '8 mremap(0x200000200000, 4096, 8192, 0) = -1 ENOMEM (Cannot allocate memory)',
      '8 mremap(0x200000200000, 4096, 8192, 0) = 0x200000200000',
      'result',
    ],
    [
      'a success into an error',
      '2 mprotect(0x200000002000, 4096, PROT_READ) = 0',
      '2 mprotect(0x200000002000, 4096, PROT_READ) = -1 EACCES (Permission denied)',
      'result',
    ],
    ['the code of a signal', 'SEGV_ACCERR', 'SEGV_MAPERR', 'result'],
    ['the address of a signal', 'si_addr=0x200000100000', 'si_addr=0x200000101000', 'result'],
    [
      'a signal into a success',
      '= -1 SIGSEGV {si_code=SEGV_ACCERR, si_addr=0x200000002000}',
      '= 0',
      'result',
    ],
    ['the end of a vma', '200000003000-2000000ff000', '200000003000-2000000fe000', 'vma'],
    ['a permission', 'r--p', 'r-xp', 'vma'],
    ['a flag', 'me lo ac', 'me ac', 'vma'],
    [
      'a vma too many',
      'vma 200000101000',
      'vma 200000100000-200000101000 rw-p 00000000 flags=rd wr mr mw me ac\nvma 200000101000',
      'vma',
    ],
    ['the number of faults', '8192) = 0 <flt 2>', '8192) = 0 <flt 3>', 'count'],
    ['a figure', 'Shared_Dirty=4 Anonymous=4', 'Shared_Dirty=4 Anonymous=8', 'page'],
    ['the end of a run of pages', '200000001000-200000003000', '200000001000-200000002000', 'page'],
    ['the state of pages', 'P-------', 'P--X----', 'page'],
    ['the content of pages', 'v=1', 'v=2', 'page'],
    ['the size of the tables', 'self pgtables_kb=84', 'self pgtables_kb=88', 'count'],
    ['a vma too few', 'vma 200000101000-200000800000 rw-p 00000000 flags=rd wr mr mw me ac\n', '', 'vma'],
  ])('is refused at the place where %s was changed', (_what, from, to, kind) => {
    const changed = OPS.replace(from, to);
    expect(changed).not.toBe(OPS);
    const { ok, differences } = checkOps(changed);
    const line = OPS.slice(0, OPS.indexOf(from)).split('\n').length;
    expect([ok, differences[0]?.kind, differences[0]?.file]).toEqual([false, kind, 'small.ops']);
    // A line that is missing shows at the head of its process.
    expect(differences[0]?.line).toBe(to === '' ? OPS.split('\n').indexOf('self pgtables_kb=84') + 1 : line);
  });

  it('says what is not modelled with its place', () => {
    const text = OPS.replace(
      '4 munmap(0x200000100000, 4096) = 0',
      '4 madvise(0x200000100000, 4096, MADV_HWPOISON) = 0',
    );
    const place = { file: 'small.ops', line: OPS.slice(0, OPS.indexOf('4 munmap')).split('\n').length };
    expect(() => checkOps(text)).toThrow(Unmodelled);
    expect(() => checkOps(text)).toThrow(/MADV_HWPOISON \(op 5 madvise\(.*\)\).*docs\/scope\.md#hwpoison/);
    expect(() => checkOps(text)).toThrow(expect.objectContaining({ place: expect.objectContaining(place) }));
  });

  it('gives the events of the best order to whoever listens', () => {
    const kinds = new Set<string>();
    checkOps(OPS, { events: ({ kind }) => kinds.add(kind) });
    for (const kind of ['vmaCreate', 'vmaSplit', 'anonVmaCreate', 'flags']) expect(kinds).toContain(kind);
  });
});

const B = 0x2000_0000_0000;
const PAGE = 4096;
const NONE: Recorded = { kind: 'none' };
const done = (value = 0): Recorded => ({ kind: 'value', value });
const failed = (errno: string): Recorded => ({ kind: 'errno', errno });
const range = (page: number, nrPages: number): { addr: number; len: number } => ({
  addr: B + page * PAGE,
  len: nrPages * PAGE,
});

/** A call of a thread between two moments; its line is its place in the list. */
interface Timed {
  readonly task: number;
  readonly entry: number;
  readonly exit: number;
  readonly op: Op;
  readonly recorded: Recorded;
}

/** Yields the calls in the order of their entry, or of the moment where one is placed. */
function* itemsOf(calls: readonly Timed[], placements: ReadonlyMap<number, number>): Generator<ReplayItem> {
  yield { kind: 'start', task: 1, format: 'strace', state: null, program: null };
  const ops = calls.map((call, i): Omit<ReplayOp, 'nr'> => {
    const overlaps = calls.some(
      (other) => other.task !== call.task && other.entry < call.exit && call.entry < other.exit,
    );
    const line = i + 1;
    return {
      kind: 'op',
      ...call,
      line,
      file: 'threads',
      chosen: {},
      overlaps,
      at: placements.get(line) ?? call.entry,
    };
  });
  let nr = 0;
  for (const op of ops.toSorted((a, b) => a.at - b.at || a.line - b.line)) yield { ...op, nr: ++nr };
}

const checkThreads = (calls: readonly Timed[]): CheckReport =>
  checkInput('threads', (placements) => itemsOf(calls, placements), { verify: 'every' });

const mapping: Op = { call: 'mmap', ...range(0, 8), prot: 3, flags: 0x32, fd: -1, offset: 0 };
const START: readonly Timed[] = [
  { task: 1, entry: 0, exit: 0, op: mapping, recorded: done(B) },
  {
    task: 1,
    entry: 1,
    exit: 1,
    op: { call: 'clone', flags: CLONE_VM | CLONE_FILES | CLONE_THREAD, child: 2 },
    recorded: NONE,
  },
];
const protect = (recorded: Recorded): Timed => ({
  task: 1,
  entry: 10,
  exit: 30,
  op: { call: 'mprotect', ...range(0, 4), prot: 1 },
  recorded,
});
const unmap = (page: number, entry = 15, exit = 25): Timed => ({
  task: 2,
  entry,
  exit,
  op: { call: 'munmap', ...range(page, 1) },
  recorded: done(),
});

describe('calls that overlap', () => {
  it('are in the order of their entry where that gives the kernel’s answer, and nothing is said', () => {
    const report = checkThreads([...START, protect(done()), unmap(1)]);
    expect([report.ok, report.reordered]).toEqual([true, []]);
  });
  it('are put in another order where only that gives the kernel’s answer, and it is said', () => {
    const report = checkThreads([...START, protect(failed('ENOMEM')), unmap(1)]);
    expect([report.ok, report.reordered]).toEqual([true, [3]]);
  });
  it('are each put where they must be', () => {
    const second: Timed = { ...protect(failed('ENOMEM')), entry: 50, exit: 70 };
    const report = checkThreads([
      ...START,
      protect(failed('ENOMEM')),
      unmap(1),
      { ...second, op: { call: 'mprotect', ...range(4, 4), prot: 1 } },
      unmap(5, 55, 65),
    ]);
    expect([report.ok, report.reordered]).toEqual([true, [3, 5]]);
  });
  it('are a difference where no order gives the answer, and nothing is said about an order', () => {
    const report = checkThreads([...START, protect(failed('EACCES')), unmap(1)]);
    expect([report.ok, report.reordered]).toEqual([false, []]);
    expect(report.differences).toMatchObject([
      { file: 'threads', line: 3, kind: 'result', kernel: '-1 EACCES' },
    ]);
  });
  it('that do not overlap stay in their order', () => {
    const report = checkThreads([...START, protect(failed('ENOMEM')), unmap(1, 31, 40)]);
    expect([report.ok, report.differences[0]?.line]).toEqual([false, 3]);
  });
});

describe('a recording of a network file system', () => {
  it.each(['12', '9007199254740993', '18446744073709551615'])('keeps inode %s to the last digit', (inode) => {
    const line = `${`00400000-00401000 r--p 00000000 00:2a ${inode} `.padEnd(72)} /net/p\n`;
    const exec = '1 1.000000000 execve("/net/p", ["p"], 0x7ff /* 3 vars */) = 0 <0.000100>\n';
    const texts = { 'maps.start': line, 'maps.end': line, 'syscalls.strace': exec };
    const check = (maps: string): CheckReport =>
      checkInput('net', () => recordingItems(filesInMemory('net', { ...texts, 'maps.end': maps })));
    expect(check(line).differences).toEqual([]);
    expect(check(line.replace(inode, `${inode.slice(0, -1)}0`)).ok).toBe(false);
  });
});

describe('signals of a recording', () => {
  const touch = (page: number, entry: number): Timed => ({
    task: 1,
    entry,
    exit: entry,
    op: { call: 'touch', addr: B + page * PAGE, len: 1, access: 'write', by: 'user' },
    recorded: NONE,
  });
  const signal = (page: number, code: string): ReplayItem => ({
    kind: 'signal',
    task: 1,
    signal: 'SIGSEGV',
    code,
    addr: B + page * PAGE,
    file: 'threads',
    line: 9,
  });
  /** Plays the calls and then the signal, if there is one. */
  const check = (calls: readonly Timed[], after: readonly ReplayItem[]): CheckReport =>
    checkInput('threads', function* (placements) {
      yield* itemsOf(calls, placements);
      yield* after;
    });

  it('agree with the access before them', () => {
    expect(check([...START, touch(9, 5)], [signal(9, 'SEGV_MAPERR')]).ok).toBe(true);
  });
  it('differ in their code', () => {
    expect(check([...START, touch(9, 5)], [signal(9, 'SEGV_ACCERR')]).differences).toMatchObject([
      { line: 9, kernel: 'SIGSEGV {si_code=SEGV_ACCERR}' },
    ]);
  });
  it('are missing where only the kernel saw one', () => {
    expect(check([...START, touch(2, 5)], [signal(2, 'SEGV_ACCERR')]).differences).toMatchObject([
      { line: 9, kernel: 'SIGSEGV {si_code=SEGV_ACCERR}', ours: 'served' },
    ]);
  });
  it('for another address than that of the last access are about something else', () => {
    expect(check([...START, touch(2, 5)], [signal(7, 'SEGV_ACCERR')]).ok).toBe(true);
  });
  it('are missing where only we see one', () => {
    expect(check([...START, touch(9, 5)], []).differences).toMatchObject([{ line: 3, kernel: 'served' }]);
  });
});
