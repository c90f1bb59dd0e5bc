import { describe, expect, it } from 'vitest';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { Machine, type Op } from '../machine/index.ts';
import { type Features, Kernel, LINUX_6_18, type MmEvent } from '../mm/index.ts';
import { type Counts, EventCounts, History, LifeStories } from './index.ts';

const PAGE = 4096;
const BASE = 0x2000_0000_0000;
const TASK = 1;
const CHILD = 2;

const map = (page: number, pages: number, prot = PROT_READ | PROT_WRITE): Op => ({
  call: 'mmap',
  addr: BASE + page * PAGE,
  len: pages * PAGE,
  prot,
  flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  fd: -1,
  offset: 0,
});
const write = (page: number, pages = 1): Op => ({
  call: 'touch',
  addr: BASE + page * PAGE,
  len: pages * PAGE,
  access: 'write',
  by: 'user',
});
const unmap = (page: number, pages: number): Op => ({
  call: 'munmap',
  addr: BASE + page * PAGE,
  len: pages * PAGE,
});
const move = (from: number, to: number, pages: number): Op => ({
  call: 'mremap',
  addr: BASE + from * PAGE,
  oldLen: pages * PAGE,
  newLen: pages * PAGE,
  flags: 3,
  newAddr: BASE + to * PAGE,
});
const fork = (child = CHILD): Op => ({ call: 'clone', flags: 17, child });

interface Folded {
  readonly counts: Counts;
  readonly events: readonly MmEvent[];
  readonly machine: Machine;
}

/** Carries out `ops` by the first process, then `childs` by its child. */
function fold(ops: readonly Op[], on: Partial<Features> = {}, childs: readonly Op[] = []): Folded {
  const kernel = new Kernel({ ...LINUX_6_18, ...on });
  const counts = new EventCounts();
  const events: MmEvent[] = [];
  kernel.emit = (event) => {
    counts.add(event);
    events.push(event);
  };
  const machine = new Machine(kernel);
  machine.spawn(TASK);
  [...ops, ...childs].forEach((op, i) => {
    kernel.opNr = i + 1;
    const outcome = machine.apply(i < ops.length ? TASK : CHILD, op);
    expect(outcome.kind).toBe('value');
  });
  return { counts: counts.counts(), events, machine };
}

describe('vmas', () => {
  it('are counted between operations: what an operation splits and joins again is no peak', () => {
    const { counts } = fold([map(0, 9), unmap(4, 1), map(4, 1), unmap(0, 9)]);
    expect(counts.vmas).toEqual({ now: 0, peak: 2 });
    // Two to cut one page out; none to fill the hole or to take all of it away.
    expect(counts.splits).toBe(2);
  });

  it('are counted for each address space and for all', () => {
    const { counts } = fold([map(0, 1), map(2, 1), fork(), map(4, 1)]);
    expect(counts.addressSpaces).toEqual([
      { mm: 1, now: 3, peak: 3 },
      { mm: 2, now: 2, peak: 2 },
    ]);
    expect(counts.vmas).toEqual({ now: 5, peak: 5 });
  });
});

describe('merges', () => {
  // Two areas written apart; what fills the hole joins the lower one only, because their anon_vmas differ.
  const hole: readonly Op[] = [map(0, 1), write(0), map(2, 1), write(2), map(1, 1)];

  it('are counted by attempt, neighbours by reason', () => {
    const { merges } = fold(hole).counts;
    expect(merges).toEqual({
      tried: 2,
      merged: 1,
      joined: { 'join-null': 1 },
      refused: { 'anon-vma-differs': 1 },
      byCause: { mmap: { tried: 2, merged: 1 } },
      failedByAnonVma: 0,
      failedBySharing: 0,
    });
  });

  it('across anon_vmas take pages along', () => {
    const { merges, rehomed } = fold(hole, { mergeAcrossAnonVma: 'on' }).counts;
    expect(merges.joined).toEqual({ 'join-null': 2 });
    expect(rehomed).toEqual({ ranges: 1, pages: 1 });
  });

  it('that sharing forbids are told apart', () => {
    const on = { mergeAcrossAnonVma: 'on' } as const;
    const [one, other, fill] = [hole.slice(0, 2), hole.slice(2, 4), hole.slice(4)];
    const shared = fold([...one, ...other, fork(), ...fill], on).counts.merges;
    expect(shared.refused).toEqual({ 'anon-vma-shared': 1 });
    // The lower side joined, so the attempt did not fail.
    expect([shared.failedByAnonVma, shared.failedBySharing]).toEqual([0, 0]);
    const inherited = fold([...one, fork()], on, fill).counts.merges;
    expect(inherited.refused).toEqual({ 'fork-child': 1 });
    expect([inherited.failedByAnonVma, inherited.failedBySharing]).toEqual([1, 1]);
  });

  it('need an anon_vma that neighbours share or that is new', () => {
    const executable = PROT_READ | PROT_WRITE | PROT_EXEC;
    const { anonVmas } = fold([map(0, 1), write(0), map(1, 1, executable), write(1), fork()]).counts;
    expect(anonVmas).toEqual({ created: 1, shared: 1, forked: 2 });
  });
});

describe('moves and offsets', () => {
  const ops: readonly Op[] = [map(0, 4), write(0), move(1, 20, 1), map(40, 1), move(40, 50, 1)];

  it('are counted by what became of the offset', () => {
    expect(fold(ops).counts.moves).toEqual({ kept: 1, unfaulted: 1 });
    expect(fold(ops, { mergePgoffOnMove: 'on' }).counts.moves).toEqual({ updated: 1, unfaulted: 1 });
  });

  it('are remembered with the vma, through splits and forks', () => {
    const { events, machine } = fold([map(0, 8), write(0, 8), move(2, 20, 4), unmap(21, 1), fork()]);
    const history = new History();
    for (const event of events) history.add(event);
    const moved = machine.processes.flatMap(({ mm }) =>
      [...(mm?.vmas ?? [])].filter(({ start }) => start >= BASE + 20 * PAGE),
    );
    expect(moved).toHaveLength(4);
    for (const { id } of moved)
      expect(history.moveOf(id)).toMatchObject({ op: 3, from: BASE + 2 * PAGE, update: 'kept' });
    const [first] = machine.processes[0]?.mm?.vmas ?? [];
    expect(history.moveOf(first?.id ?? 0)).toBeNull();
    expect(history.birthOf(first?.anonVma?.id ?? 0)).toMatchObject({ op: 2, parent: null });
    const [childs] = machine.processes[1]?.mm?.vmas ?? [];
    expect(history.birthOf(childs?.anonVma?.id ?? 0)).toMatchObject({ op: 5, parent: first?.anonVma?.id });
  });
});

describe('the life of a vma', () => {
  it('is told from its birth, with the vma it was cut from', () => {
    const { events, machine } = fold([map(0, 4), write(0), move(1, 20, 1), map(21, 1)]);
    const lives = new LifeStories();
    for (const event of events) lives.add(event);
    const vma = machine.processes[0]?.mm?.vmas.at(BASE + 20 * PAGE);
    expect(lives.story(vma?.id ?? 0).map(({ op, text }) => `${op} ${text}`)).toEqual([
      '1 born by mmap: 200000000000-200000004000, offset 0x200000000',
      '2 written: gets anon_vma 1, a new one',
      '3 copied from vma 1: 200000014000-200000015000, offset 0x200000001',
      '3 moved from 0x200000001000 to 0x200000014000; written, so it keeps its offset 0x200000001',
    ]);
    expect(lives.story(99)).toEqual([]);
  });

  it('is found by address when it is over', () => {
    const { events } = fold([map(0, 4), unmap(0, 4)]);
    const lives = new LifeStories();
    for (const event of events) lives.add(event);
    const gone = lives.lastAt(BASE + PAGE);
    expect(lives.story(gone ?? 0).at(-1)).toMatchObject({ op: 2, text: 'gone by munmap' });
    expect(lives.lastAt(BASE - PAGE)).toBeNull();
  });
});
