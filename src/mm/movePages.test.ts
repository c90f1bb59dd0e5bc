/** mremap, on pages and tables: spec/pt-reclaim.md 2.2 (35 to 37). Sizes are VmPTE in KiB. */
import { describe, expect, it } from 'vitest';
import { GIB_PAGES, Machine, type Memory, oneProcess, TABLE_PAGES as T } from '../../test/support/memory.ts';
import { MADV_COLLAPSE, MADV_DONTNEED, MADV_GUARD_INSTALL, MADV_PAGEOUT } from '../abi/mman.ts';
import { FACT, type FactName } from './work.ts';

const written = (page: number, pages: number): Memory => {
  const memory = oneProcess();
  memory.map(page, pages);
  memory.touch(page, 'write', { pages });
  return memory;
};
/** Runs `what` and returns how much it counted of each of `names`. */
function counted(memory: Memory, names: readonly FactName[], what: () => void): number[] {
  const { facts } = memory.machine.kernel.work;
  const before = names.map((name) => facts[FACT[name]] as number);
  what();
  return names.map((name, i) => (facts[FACT[name]] as number) - (before[i] as number));
}
const MOVES = ['tablesMoved', 'ptesMoved', 'pmdsMoved'] as const;

describe('what is moved', () => {
  it('is everything, page by page: contents, swap, zeros, guards and holes', () => {
    const memory = oneProcess(4);
    memory.map(0, 8);
    memory.touch(0, 'write', { pages: 3, stamp: 10 });
    memory.advise(1, 1, MADV_PAGEOUT);
    memory.read(4);
    memory.advise(5, 1, MADV_GUARD_INSTALL);
    const pfn = memory.pfn(0);
    memory.move(0, 100, 8);
    expect(Array.from({ length: 8 }, (_, i) => memory.at(100 + i).kind)).toEqual([
      'anonymous',
      'swap',
      'anonymous',
      'none',
      'zeroPage',
      'guard',
      'none',
      'none',
    ]);
    expect([memory.pfn(100), memory.bits(100), memory.holds(101), memory.holds(102)]).toEqual([
      pfn,
      'wdye',
      11,
      12,
    ]);
    expect([memory.resident, memory.write(105), memory.write(0)]).toEqual([
      [2, 0, 0, 1],
      'SEGV_MAPERR',
      'SEGV_MAPERR',
    ]);
  });
  it('is still found from its frames', () => {
    const memory = written(0, 4);
    const child = memory.fork();
    memory.move(0, 100, 4);
    child.write(2, 77);
    // The invariants that each call checks include the way back; the child has its own copy now.
    expect([memory.holds(102), child.holds(2), memory.write(102)]).toEqual([3, 77, 'reuse']);
  });
  it('may be part of a mapping', () => {
    const memory = written(0, 8);
    memory.move(2, 100, 3);
    expect([memory.kinds(0, 2), memory.kinds(100, 3), memory.kinds(5, 3)]).toEqual([
      ['anonymous'],
      ['anonymous'],
      ['anonymous'],
    ]);
    expect([memory.write(2), memory.holds(100), memory.mm.mapCount]).toEqual(['SEGV_MAPERR', 3, 3]);
  });
  it('replaces what was at the target, pages and tables', () => {
    const memory = written(0, 4);
    memory.map(2 * T, T);
    memory.touch(2 * T, 'write', { pages: T });
    memory.move(0, 2 * T, 4);
    expect([memory.kinds(2 * T, 4), memory.at(2 * T + 4).kind, memory.resident[0]]).toEqual([
      ['anonymous'],
      'anonymous',
      T,
    ]);
    expect(memory.holds(2 * T + 1)).toBe(2);
  });
});

describe('whole tables', () => {
  it('35: move as they are where both ends are aligned alike', () => {
    const memory = written(0, T);
    expect(counted(memory, MOVES, () => memory.move(0, 4 * T, T))).toEqual([1, 0, 0]);
    expect([memory.kib, memory.holds(4 * T + 5), memory.mm.pages.hasTable(memory.addr(0))]).toEqual([
      12,
      6,
      false,
    ]);
  });
  it('36: do not, by five pages off: two tables at the target; the table of the source goes with its mapping', () => {
    const memory = oneProcess();
    memory.map(0, 2 * T);
    memory.touch(0, 'write', { pages: T });
    expect(counted(memory, MOVES, () => memory.move(0, GIB_PAGES + 5, T))).toEqual([0, T, 0]);
    expect(memory.kib).toBe(8 + 4 + 8);
    memory.unmap(GIB_PAGES + 5, T);
    // The rest of the source is still mapped.
    expect(memory.kib).toBe(8);
  });
  it('37: leave no table behind with DONTUNMAP when they move, and an empty one when they do not', () => {
    const aligned = written(0, T);
    aligned.move(0, GIB_PAGES, T, true);
    expect([aligned.kib, aligned.kinds(0, T)]).toEqual([4 + 4 + 8, ['none']]);
    aligned.unmap(GIB_PAGES, T);
    // The source is still mapped, and with it the pmd page of its GiB.
    expect(aligned.kib).toBe(8);
    const unaligned = written(0, T);
    unaligned.move(0, GIB_PAGES + 5, T, true);
    expect([unaligned.kib, unaligned.kinds(0, T)]).toEqual([4 + 8 + 12, ['none']]);
    unaligned.unmap(GIB_PAGES + 5, T);
    expect(unaligned.kib).toBe(12);
    unaligned.advise(0, T, MADV_DONTNEED);
    expect([unaligned.kib, unaligned.read(3)]).toEqual([8, 'zero-page']);
  });
  it('move with single entries at both ends', () => {
    const memory = written(T - 3, 3 + 2 * T + 4);
    // The mapping begins and ends inside a table and so does the target, at the same place in one.
    memory.map(0, T - 3, { prot: 1 });
    memory.map(8 * T, T - 3, { prot: 1 });
    expect(counted(memory, MOVES, () => memory.move(T - 3, 9 * T - 3, 3 + 2 * T + 4))).toEqual([2, 7, 0]);
    expect(memory.holds(11 * T + 3)).toBe(3 * T + 4);
  });
  it('that are empty move too', () => {
    const memory = written(0, 1);
    memory.advise(0, 1, MADV_DONTNEED);
    memory.map(1, T - 1);
    expect(memory.mm.mapCount).toBe(1);
    expect(counted(memory, MOVES, () => memory.move(0, 4 * T, T))).toEqual([1, 0, 0]);
    expect([memory.kib, memory.mm.pages.hasTable(memory.addr(4 * T))]).toEqual([12, true]);
  });
  it('are not made at the target where the source has none', () => {
    const memory = oneProcess();
    memory.map(0, 2 * T);
    memory.write(0);
    memory.move(0, 4 * T + 5, 2 * T);
    expect(memory.kib).toBe(8 + 8);
    const untouched = oneProcess();
    untouched.map(0, 2 * T);
    untouched.move(0, GIB_PAGES, 2 * T);
    expect(untouched.kib).toBe(0);
  });
  it('are made at the target for an empty source that cannot move as a table', () => {
    const memory = written(0, 1);
    memory.advise(0, 1, MADV_DONTNEED);
    memory.move(0, 4 * T, 1);
    expect([memory.kib, memory.mm.pages.hasTable(memory.addr(4 * T))]).toEqual([12, true]);
  });
});

describe('a range that begins inside a table', () => {
  const half = T / 2;
  it('is begun at the start of the table if both sides are alone below', () => {
    const memory = written(half, T);
    expect(counted(memory, MOVES, () => memory.move(half, 4 * T + half, T))).toEqual([1, half, 0]);
    expect([memory.holds(4 * T + half), memory.holds(5 * T + half - 1), memory.kib]).toEqual([
      half + 1,
      T + half,
      16,
    ]);
  });
  it.each([
    ['something lies below the source', half - 1, 1, 0, 0],
    ['something lies below the target', 4 * T, 4, 0, 0],
    ['it lies elsewhere in the table of the target', 0, 0, 1, 0],
    ['it does not reach the end of the table', 0, 0, 0, half + 1],
  ])('is not if %s', (_what, otherAt, otherPages, offset, shorter) => {
    const memory = written(half, T);
    if (otherPages > 0) memory.map(otherAt, otherPages, { prot: 1 });
    const pages = T - shorter;
    const [tables, entries] = counted(memory, MOVES, () => memory.move(half, 4 * T + half + offset, pages));
    expect([tables, entries]).toEqual([0, pages]);
  });
  it('is not if it is not the start of its mapping', () => {
    const memory = written(half, T);
    expect(counted(memory, MOVES, () => memory.move(half + 1, 4 * T + half + 1, T - 1))).toEqual([
      0,
      T - 1,
      0,
    ]);
  });
});

describe('a GiB at once', () => {
  it('moves with its pmd page where both ends are aligned to it', () => {
    const memory = oneProcess();
    memory.map(0, GIB_PAGES);
    memory.touch(0, 'write', { pages: GIB_PAGES, step: 100 * T });
    expect(memory.kib).toBe(4 * (6 + 2));
    expect(counted(memory, MOVES, () => memory.move(0, 4 * GIB_PAGES, GIB_PAGES))).toEqual([6, 0, 0]);
    expect([memory.kib, memory.holds(4 * GIB_PAGES + 100 * T)]).toEqual([4 * (6 + 2), 100 * T + 1]);
  });
  it('moves by tables where the target has a pmd page already', () => {
    const memory = oneProcess();
    memory.map(0, GIB_PAGES);
    memory.map(5 * GIB_PAGES, T);
    memory.write(0);
    memory.write(5 * GIB_PAGES);
    // One GiB up and 2 MiB down from its border: the pmd page of the next GiB is there.
    memory.move(0, 4 * GIB_PAGES + T, GIB_PAGES - T);
    expect([memory.holds(4 * GIB_PAGES + T), memory.resident[0]]).toEqual([1, 2]);
  });
  it('that holds nothing leaves nothing', () => {
    const memory = oneProcess();
    memory.map(0, 3 * GIB_PAGES);
    memory.write(GIB_PAGES);
    memory.move(0, 8 * GIB_PAGES, 3 * GIB_PAGES);
    expect(memory.kib).toBe(12);
  });
});

describe('huge pages', () => {
  const huge = (): Memory => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0, 5);
    return memory;
  };
  it('move as they are, with the table put aside', () => {
    const memory = huge();
    const head = memory.pfn(0);
    expect(counted(memory, MOVES, () => memory.move(0, 4 * T, T))).toEqual([0, 0, 1]);
    expect([memory.pfn(4 * T), memory.bits(4 * T + 9), memory.kib]).toEqual([head, 'wdyeh', 12]);
  });
  it('become single entries of the same folio where they cannot', () => {
    const memory = huge();
    const head = memory.pfn(0);
    expect(counted(memory, [...MOVES, 'pmdsSplit'], () => memory.move(0, 4 * T + 1, T))).toEqual([
      0,
      T,
      0,
      1,
    ]);
    expect([memory.pfn(4 * T + 1), memory.pfn(5 * T), memory.bits(5 * T)]).toEqual([
      head,
      head + 511,
      'wdye',
    ]);
    expect([memory.machine.kernel.frames.isLarge(head), memory.kib]).toEqual([true, 16]);
  });
  it('of zeros move as they are', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.read(0);
    memory.move(0, 4 * T, T);
    expect([memory.at(4 * T + 3).kind, memory.at(4 * T + 3).isHuge, memory.kib]).toEqual([
      'zeroPage',
      true,
      12,
    ]);
  });
  it('of which a part moves are broken at its borders', () => {
    const memory = huge();
    memory.move(100, 4 * T, 10);
    expect([memory.at(99).kind, memory.at(4 * T).kind, memory.at(4 * T).isHuge]).toEqual([
      'anonymous',
      'anonymous',
      false,
    ]);
    expect(memory.resident[0]).toBe(T);
  });
  it('of shared memory move as they are, and are unmapped where they cannot', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, T, { object: machine.memfd(T), shared: true });
    memory.write(7, 5);
    memory.advise(0, T, MADV_COLLAPSE);
    memory.move(0, 4 * T, T);
    expect([memory.at(4 * T).isHuge, memory.resident]).toEqual([true, [0, 0, T, 0]]);
    memory.move(4 * T, 8 * T + 1, T);
    expect([memory.kinds(8 * T + 1, T), memory.resident]).toEqual([['none'], [0, 0, 0, 0]]);
    memory.read(8 * T + 8);
    expect(memory.holds(8 * T + 8)).toBe(5);
  });
});
