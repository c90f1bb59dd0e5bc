/**
 * Runs of pagemap against the pages of a vma: where they differ, and what is not determined.
 */
import { describe, expect, it } from 'vitest';
import { MADV_FREE, MADV_GUARD_INSTALL, MADV_HUGEPAGE } from '../../abi/mman.ts';
import { Machine } from '../../machine/index.ts';
import { Kernel, LINUX_6_18, type Mm, type Vma } from '../../mm/index.ts';
import type { PageRun } from '../pagemapRle.ts';
import { comparePages, type PageComparison, RecordedRuns } from './comparePages.ts';

const B = 0x2000_0000_0000;
const PAGE = 4096;
const at = (page: number): number => B + page * PAGE;

/** An address space with one vma, of which pages [0, 8) are written. */
function written(pages = 16): { machine: Machine; mm: Mm; vma: Vma } {
  const machine = new Machine(new Kernel(LINUX_6_18));
  const mm = machine.spawn(1).mm as Mm;
  const call = { call: 'mmap', addr: B, len: pages * PAGE, prot: 3, flags: 0x32, fd: -1, offset: 0 } as const;
  machine.apply(1, call);
  machine.apply(1, { call: 'touch', addr: B, len: 8 * PAGE, access: 'write', by: 'user' });
  return { machine, mm, vma: mm.vmas.first as Vma };
}

/** Makes runs of `0-8 P--X` and the like; each is a line. */
const runs = (...lines: readonly string[]): PageRun[] =>
  lines.map((text, i) => {
    const [range = '', flags = ''] = text.split(' ');
    const [start = 0, end = 0] = range.split('-').map((page) => at(Number(page)));
    const has = (letter: string): boolean => flags.includes(letter);
    return {
      start,
      end,
      present: has('P'),
      swap: has('S'),
      file: has('F'),
      exclusive: has('X'),
      uffdWp: has('W'),
      line: i + 1,
    };
  });

interface Given {
  readonly hasSwap?: boolean;
  readonly hugeMore?: number;
  readonly unsettled?: number;
  readonly pinned?: number;
}

function compare(mm: Mm, vma: Vma, lines: readonly string[], given: Given = {}): PageComparison {
  const recorded = new RecordedRuns(runs(...lines));
  const spans = recorded.within(vma);
  const { hasSwap = false, hugeMore = 0, unsettled, pinned = 0 } = given;
  const isUnsettled = (_mm: Mm, page: number): boolean => unsettled !== undefined && page === at(unsettled);
  return comparePages(
    mm,
    vma,
    { spans, lineBefore: recorded.lineBefore },
    { hasSwap, hugeMore, isUnsettled, pinned: { left: pinned } },
  );
}

describe('pages of anonymous memory', () => {
  const { mm, vma } = written();

  it('agree where each looks the same, however the runs are cut', () => {
    expect(compare(mm, vma, ['0-8 P--X'])).toMatchObject({ pages: 8, difference: null });
    expect(compare(mm, vma, ['0-3 P--X', '3-8 P--X']).difference).toBeNull();
  });
  it.each([
    ['a flag', ['0-3 P--X', '3-5 P---', '5-8 P--X'], 2],
    ['the end of a run', ['0-3 P--X', '3-7 P--X'], 2],
    ['a run too many', ['0-8 P--X', '10-11 P--X'], 2],
    ['a run too few between others', ['0-3 P--X', '5-8 P--X'], 1],
    ['all runs', [], 1],
    ['swap, where there is none', ['0-3 P--X', '3-4 -S--', '4-8 P--X'], 2],
    ['a page that is missing', ['0-3 P--X', '4-8 P--X'], 1],
  ])('differ by %s, in its line', (_what, lines, line) => {
    expect(compare(mm, vma, lines).difference?.line).toBe(line);
  });
  it('may be in swap where the machine has any', () => {
    const found = compare(mm, vma, ['0-3 P--X', '3-4 -S--', '4-8 P--X'], { hasSwap: true });
    expect([found.difference, found.open.swapped]).toEqual([null, 1]);
  });
  it('may look otherwise where that is open', () => {
    const lines = ['0-3 P--X', '4-8 P--X'];
    const found = compare(mm, vma, lines, { unsettled: 3 });
    expect([found.difference, found.open.dropped, found.open.unsettled]).toEqual([null, 1, 1]);
    expect(compare(mm, vma, lines, { unsettled: 5 }).difference).not.toBeNull();
  });
});

describe('pages that came without a fault line', () => {
  it('are as many at most as the process was charged faults more', () => {
    const { mm, vma } = written();
    const lines = ['0-8 P--X', '10-12 P--X'];
    expect(compare(mm, vma, lines, { pinned: 1 }).difference?.line).toBe(2);
    const found = compare(mm, vma, lines, { pinned: 2 });
    expect([found.difference, found.open.filled]).toEqual([null, 2]);
  });
});

describe('what the kernel does on its own', () => {
  it('drops pages that were freed lazily, and no others', () => {
    const { machine, mm, vma } = written();
    machine.apply(1, { call: 'madvise', addr: B, len: 4 * PAGE, advice: MADV_FREE });
    const found = compare(mm, vma, ['0-2 P--X', '4-8 P--X']);
    expect([found.difference, found.open.dropped]).toEqual([null, 2]);
    expect(compare(mm, vma, ['0-4 P--X', '5-8 P--X']).difference).not.toBeNull();
  });
  it('makes 2 MiB of one, all of it, where huge pages may be and smaps tells of it', () => {
    const { machine, mm } = written(1024);
    const advised = ['0-512 P--X'];
    const vma = mm.vmas.first as Vma;
    expect(compare(mm, vma, advised, { hugeMore: 1 }).difference).not.toBeNull();
    machine.apply(1, { call: 'madvise', addr: B, len: 1024 * PAGE, advice: MADV_HUGEPAGE });
    const found = compare(mm, vma, advised, { hugeMore: 1 });
    expect([found.difference, found.open.collapsed, found.open.filled]).toEqual([null, 1, 504]);
    expect(compare(mm, vma, advised).difference).not.toBeNull();
    expect(compare(mm, vma, ['0-511 P--X'], { hugeMore: 1 }).difference).not.toBeNull();
  });
});

describe('pages of a file', () => {
  it('count where they are copies of the program, or markers', () => {
    const machine = new Machine(new Kernel(LINUX_6_18));
    const mm = machine.spawn(1).mm as Mm;
    const open = { call: 'open', path: '/f', mode: 'read', kind: 'regular', size: 16 * PAGE } as const;
    machine.apply(1, open, { handle: 3 });
    machine.apply(1, { call: 'mmap', addr: B, len: 16 * PAGE, prot: 3, flags: 0x12, fd: 3, offset: 0 });
    machine.apply(1, { call: 'touch', addr: at(2), len: 1, access: 'write', by: 'user' });
    machine.apply(1, { call: 'touch', addr: at(5), len: 1, access: 'read', by: 'user' });
    machine.apply(1, { call: 'madvise', addr: at(8), len: PAGE, advice: MADV_GUARD_INSTALL });
    const vma = mm.vmas.first as Vma;
    const around = ['0-2 P-FX', '2-3 P--X', '3-7 P-F-', '8-9 -S--'];
    expect(compare(mm, vma, around)).toMatchObject({ pages: 2, difference: null });
    expect(compare(mm, vma, ['0-2 P-FX', '3-7 P-F-', '8-9 -S--']).difference?.line).toBe(1);
    expect(compare(mm, vma, ['0-2 P-FX', '2-3 P--X', '3-7 P-F-']).difference?.line).toBe(4);
  });
});

describe('recorded runs', () => {
  it('tell where there are pages outside all vmas', () => {
    const { vma } = written();
    const stray = new RecordedRuns(runs('0-8 P--X', '20-22 P--X'));
    expect(stray.strayBefore(vma.start)).toBeNull();
    stray.within(vma);
    expect(stray.strayBefore(Number.POSITIVE_INFINITY)).toEqual({ start: at(20), line: 2 });
    const crossing = new RecordedRuns(runs('0-20 P--X'));
    crossing.within(vma);
    expect(crossing.strayBefore(Number.POSITIVE_INFINITY)).toEqual({ start: vma.end, line: 1 });
  });
});
