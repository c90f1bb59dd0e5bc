/**
 * Recorded faults against the model: what agrees, what is a difference, and what explains one that otherwise would be.
 */
import { describe, expect, it } from 'vitest';
import { CLONE_FILES, CLONE_THREAD, CLONE_VM, MADV_DONTNEED, PROT_NONE, PROT_READ } from '../../abi/mman.ts';
import type { Op, Recorded } from '../../machine/index.ts';
import type { ReplayItem, ReplayOp } from '../item.ts';
import { Checker } from './check.ts';

const B = 0x2000_0000_0000;
const PAGE = 4096;
const at = (page: number): number => B + page * PAGE;
const range = (page: number, nrPages: number): { addr: number; len: number } => ({
  addr: at(page),
  len: nrPages * PAGE,
});

/** What a thread did: a call between two moments, or a fault with its error code. */
interface Event {
  readonly task: number;
  readonly entry: number;
  readonly exit: number;
  readonly op: Op;
  readonly recorded?: Recorded;
  readonly errorCode?: number;
}

const OK: Recorded = { kind: 'value', value: 0 };
const call = (task: number, entry: number, exit: number, op: Op): Event => ({
  task,
  entry,
  exit,
  op,
  recorded: OK,
});
const MAPPING: Op = { call: 'mmap', ...range(0, 8), prot: 3, flags: 0x32, fd: -1, offset: 0 };
const THREAD: Op = { call: 'clone', flags: CLONE_VM | CLONE_FILES | CLONE_THREAD, child: 2 };
const START: readonly Event[] = [
  { task: 1, entry: 0, exit: 0, op: MAPPING, recorded: { kind: 'value', value: B } },
  { task: 1, entry: 1, exit: 1, op: THREAD },
];

/** A fault: bits 1 present, 2 write, 4 user, 16 fetch. */
function fault(task: number, time: number, page: number, errorCode: number): Event {
  const access = errorCode & 16 ? 'exec' : errorCode & 2 ? 'write' : 'read';
  const by = errorCode & 4 ? 'user' : 'kernel';
  return {
    task,
    entry: time,
    exit: time,
    op: { call: 'touch', addr: at(page), len: 1, access, by },
    errorCode,
  };
}
const WRITE = 6;
const READ = 4;
const PRESENT = 1;

/** Plays the events, calls at their entry. Returns the lines (from 1, without START) of the differences. */
function differencesOf(events: readonly Event[]): number[] {
  const checker = new Checker({ verify: 'end' });
  const all = [...START, ...events];
  const items = all.map((event, i): ReplayOp => {
    const overlaps = all.some(
      (other) => other.task !== event.task && other.entry <= event.exit && event.entry <= other.exit,
    );
    const recorded = event.recorded ?? { kind: 'none' };
    const nr = i + 1;
    return { kind: 'op', ...event, recorded, nr, line: nr, file: 'x', chosen: {}, at: event.entry, overlaps };
  });
  const start: ReplayItem = { kind: 'start', task: 1, format: 'recording', state: null, program: null };
  checker.run([start, ...items]);
  return [...new Set(checker.differences.map(({ line }) => line - START.length))].sort((a, b) => a - b);
}

describe('a fault', () => {
  it('that finds what we hold agrees', () => {
    expect(
      differencesOf([
        fault(1, 10, 0, READ),
        fault(1, 20, 0, WRITE | PRESENT),
        fault(1, 30, 1, WRITE),
        fault(1, 40, 2, 2),
      ]),
    ).toEqual([]);
  });
  it.each([
    ['on a page that we hold for the access', [fault(1, 10, 0, WRITE), fault(1, 20, 0, WRITE)], [2]],
    ['on a page that we hold to be there', [fault(1, 10, 0, READ), fault(1, 20, 0, WRITE)], [2]],
    ['on a page that we hold to be missing', [fault(1, 10, 0, WRITE | PRESENT)], [1]],
    ['with a code that no processor tells', [fault(1, 10, 0, 18 | 4), fault(1, 20, 1, 32 | WRITE)], [1, 2]],
  ])('%s is a difference', (_what, events, lines) => {
    expect(differencesOf(events)).toEqual(lines);
  });
  it('on a page without any access finds nothing, as the processor sees it', () => {
    const closed = call(1, 20, 20, { call: 'mprotect', ...range(0, 1), prot: PROT_NONE });
    const events = [fault(1, 10, 0, WRITE), closed];
    expect(differencesOf([...events, fault(1, 30, 0, WRITE | PRESENT)])).toContain(3);
    // The signal that the recording lacks here is the only difference then.
    expect(differencesOf([...events, fault(1, 30, 0, WRITE)])).toHaveLength(1);
  });
});

describe('the kernel', () => {
  it('may fault twice in a row: the first time it had faults switched off', () => {
    expect(differencesOf([fault(1, 10, 0, 2), fault(1, 11, 0, 2)])).toEqual([]);
    expect(differencesOf([fault(1, 10, 0, 0), fault(1, 11, 0, 0)])).toEqual([]);
  });
  it('does not do so at the same moment, nor otherwise, nor with something in between', () => {
    expect(differencesOf([fault(1, 10, 0, 2), fault(1, 10, 0, 2)])).toEqual([2]);
    expect(differencesOf([fault(1, 10, 0, 2), fault(1, 11, 0, 0)])).toEqual([2]);
    expect(differencesOf([fault(1, 10, 0, 2), fault(1, 11, 1, 2), fault(1, 12, 0, 2)])).toEqual([3]);
  });
});

describe('two threads', () => {
  it('may fault on one page at the same time', () => {
    expect(differencesOf([fault(1, 10, 0, WRITE), fault(2, 11, 0, WRITE)])).toEqual([]);
    expect(differencesOf([fault(1, 10, 0, READ), fault(2, 11, 0, WRITE)])).toEqual([]);
  });
  it('do so when the access may have come before the other thread was done', () => {
    // Thread 2 was last seen at 9: its access lies anywhere up to 15.
    const events = [fault(2, 9, 5, WRITE), fault(1, 10, 0, WRITE), fault(1, 12, 1, WRITE)];
    expect(differencesOf([...events, fault(2, 15, 0, WRITE)])).toEqual([]);
    const late = [fault(1, 10, 0, WRITE), fault(1, 12, 1, WRITE), fault(2, 13, 5, WRITE)];
    expect(differencesOf([...late, fault(2, 15, 0, WRITE)])).toEqual([4]);
  });
  it('disturb each other while one is in a call on the page, and only there', () => {
    const events = (page: number): Event[] => [
      fault(1, 5, 0, WRITE),
      fault(2, 9, 7, WRITE),
      call(2, 10, 30, { call: 'mprotect', ...range(page, 1), prot: PROT_READ | 2 }),
      fault(1, 20, 0, WRITE),
    ];
    expect(differencesOf(events(0))).toEqual([]);
    expect(differencesOf(events(1))).toEqual([4]);
  });
  it('leave open whether a page that came during a discard is still there, until the next fault on it', () => {
    const discard = call(2, 10, 30, { call: 'madvise', ...range(0, 8), advice: MADV_DONTNEED });
    const during = [fault(2, 9, 7, WRITE), discard, fault(1, 20, 0, WRITE)];
    const other = fault(1, 40, 3, WRITE);
    expect(differencesOf([...during, other, fault(1, 50, 0, WRITE)])).toEqual([]);
    const before = [fault(2, 9, 7, WRITE), discard, fault(1, 35, 0, WRITE)];
    expect(differencesOf([...before, other, fault(1, 50, 0, WRITE)])).toEqual([5]);
  });
});
