/** Huge pages: when they come, what a store does, what breaks a mapping and what a folio. */
import { describe, expect, it } from 'vitest';
import { Machine, type Memory, oneProcess, TABLE_PAGES as T } from '../../test/support/memory.ts';
import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MAP_STACK,
  PROT_READ,
} from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { mlock } from './mlock.ts';
import { FACT } from './work.ts';

const huge = (swapPages = 0): Memory => {
  const memory = oneProcess(swapPages);
  memory.mapHuge(0, T);
  memory.write(3, 5);
  return memory;
};
const isLarge = (memory: Memory, page: number): boolean =>
  memory.machine.kernel.frames.isLarge(memory.pfn(page));

describe('the first access to 2 MiB', () => {
  it('brings a huge page where that was asked for', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    expect([memory.write(3, 5), memory.write(4), memory.read(5)]).toEqual(['huge', 'hit', 'hit']);
    expect([memory.bits(300), memory.holds(3), memory.holds(300), memory.resident, memory.kib]).toEqual([
      'wdyeh',
      5,
      0,
      [T, 0, 0, 0],
      12,
    ]);
    expect(memory.pfn(3) % T).toBe(3);
    expect(memory.mm.minFlt).toBe(1);
  });
  it('brings the huge zero page for a load, which is no memory', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    expect([memory.read(3), memory.read(4), memory.at(5)]).toMatchObject([
      'huge-zero',
      'hit',
      { kind: 'zeroPage', isHuge: true },
    ]);
    expect([memory.resident, memory.machine.kernel.frames.nrUsed, memory.kib]).toEqual([[0, 0, 0, 0], 0, 12]);
    expect(memory.vma(0).anonVma).not.toBe(null);
  });
  it('brings a small page where it was not asked for, or not allowed', () => {
    const plain = oneProcess();
    plain.map(0, T);
    expect(plain.write(3)).toBe('anon');
    const never = oneProcess(0, { thp: 'never' });
    never.mapHuge(0, T);
    expect(never.write(3)).toBe('anon');
    const disabled = oneProcess();
    disabled.mapHuge(0, T);
    disabled.mm.thpDisabled = 'all';
    expect(disabled.write(3)).toBe('anon');
  });
  it('brings a huge page everywhere where that is always so, but for what declines', () => {
    const always = oneProcess(0, { thp: 'always' });
    always.map(0, T);
    always.map(T, T);
    always.advise(T, T, MADV_NOHUGEPAGE);
    always.map(2 * T, T, { flags: MAP_STACK });
    expect([always.write(0), always.write(T), always.write(2 * T)]).toEqual(['huge', 'anon', 'anon']);
  });
  it('brings small pages where 2 MiB do not fit into the mapping', () => {
    const memory = oneProcess();
    memory.mapHuge(1, 2 * T);
    expect([memory.write(1), memory.write(T), memory.write(2 * T)]).toEqual(['anon', 'huge', 'anon']);
  });
  it('brings small pages where there is a table, be it empty', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.write(0);
    memory.advise(0, 1, MADV_DONTNEED);
    memory.advise(0, T, MADV_HUGEPAGE);
    expect(memory.write(7)).toBe('anon');
    memory.advise(0, T, MADV_DONTNEED);
    expect(memory.write(7)).toBe('huge');
  });
  it('that loads takes a page too where there is no huge zero page', () => {
    // As on 6.18 with use_zero_page=0: one fault, 2 MiB resident and dirty, and no fault for the store behind it.
    const memory = oneProcess(0, { hugeZeroPage: 'off' });
    memory.mapHuge(0, T);
    expect([memory.read(3), memory.bits(5), memory.resident[0]]).toEqual(['huge', 'wdyeh', T]);
    expect([memory.write(7, 8), memory.holds(7), memory.holds(3)]).toEqual(['hit', 8, 0]);
  });
  it('of shared memory brings small pages', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, T, { object: machine.memfd(T), shared: true });
    memory.advise(0, T, MADV_HUGEPAGE);
    expect(memory.write(0)).toBe('shmem-new');
  });
});

describe('a store', () => {
  it('to the huge zero page brings a huge page', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.read(3);
    expect([memory.write(4, 8), memory.bits(5), memory.holds(4), memory.holds(3)]).toEqual([
      'huge-zero-to-write',
      'wdyeh',
      8,
      0,
    ]);
    expect([memory.kib, memory.resident[0]]).toEqual([12, T]);
  });
  it('to a huge page that may be written takes no fault and marks all of it', () => {
    const memory = huge();
    memory.advise(0, T, MADV_FREE);
    expect(memory.bits(9)).toBe('weh');
    expect([memory.write(9), memory.bits(10)]).toEqual(['hit', 'wdyeh']);
  });
  it('where it is not allowed is a signal', () => {
    const memory = huge();
    memory.protect(0, T, PROT_READ);
    expect([memory.write(3), memory.read(3)]).toEqual(['SEGV_ACCERR', 'hit']);
  });
});

describe('a mapping is broken, the folio stays', () => {
  it.each([
    ['discarding a part', (memory: Memory) => memory.advise(100, 1, MADV_DONTNEED)],
    ['protecting a part', (memory: Memory) => memory.protect(100, 1, PROT_READ)],
    ['unmapping a part', (memory: Memory) => memory.unmap(100, 1)],
    ['a border of mappings inside', (memory: Memory) => memory.advise(0, 100, MADV_NOHUGEPAGE)],
  ] as const)('by %s', (_what, breakIt) => {
    const memory = huge();
    const head = memory.pfn(0);
    breakIt(memory);
    expect([memory.at(3).isHuge, isLarge(memory, 3), memory.pfn(511), memory.holds(3)]).toEqual([
      false,
      true,
      head + 511,
      5,
    ]);
    expect([memory.bits(3), memory.kib]).toEqual(['wdye', 12]);
    const { facts } = memory.machine.kernel.work;
    expect([facts[FACT.pmdsSplit], facts[FACT.foliosSplit]]).toEqual([1, 0]);
  });
  it('by a store of one of two who share it', () => {
    const memory = huge();
    const child = memory.fork();
    expect([memory.write(3, 6), isLarge(memory, 4), child.at(3).isHuge]).toEqual(['cow', true, true]);
    expect([isLarge(memory, 3), child.holds(3)]).toEqual([false, 5]);
  });
});

describe('a folio is broken', () => {
  it.each([
    ['MADV_FREE', MADV_FREE],
    ['MADV_COLD', MADV_COLD],
    ['MADV_PAGEOUT', MADV_PAGEOUT],
  ])('by %s of a part', (_name, advice) => {
    const memory = huge();
    memory.advise(100, 1, advice);
    expect([memory.at(3).isHuge, isLarge(memory, 3), memory.holds(3)]).toEqual([false, false, 5]);
    // What was never written is the zero page now.
    expect([memory.resident[0], memory.at(2).kind, memory.at(100).kind]).toEqual([1, 'zeroPage', 'zeroPage']);
    const { facts } = memory.machine.kernel.work;
    expect([facts[FACT.pmdsSplit], facts[FACT.foliosSplit]]).toEqual([1, 1]);
  });
  it('gives back the pages that nothing maps any more', () => {
    const memory = huge();
    memory.touch(450, 'write', { pages: 62, stamp: 5 });
    memory.advise(0, 400, MADV_DONTNEED);
    const { frames } = memory.machine.kernel;
    expect(frames.nrUsed).toBe(T);
    memory.advise(500, 1, MADV_COLD);
    expect([frames.nrUsed, isLarge(memory, 500), memory.resident[0]]).toEqual([62, false, 62]);
  });
  it.each([
    ['MADV_FREE', MADV_FREE],
    ['MADV_COLD', MADV_COLD],
  ])('not by %s of all of it', (_name, advice) => {
    const memory = huge();
    memory.advise(0, T, advice);
    expect([memory.at(3).isHuge, isLarge(memory, 3)]).toEqual([true, true]);
  });
  it('not while another process maps it', () => {
    const memory = huge();
    const child = memory.fork();
    memory.advise(100, 1, MADV_FREE);
    expect([memory.at(3).isHuge, child.at(3).isHuge, memory.bits(100)]).toEqual([true, true, 'dyh']);
  });
  it('by paging all of it out: every page gets a slot', () => {
    const memory = huge(2 * T);
    memory.advise(0, T, MADV_PAGEOUT);
    expect([memory.kinds(0, T), memory.resident, memory.kib]).toEqual([['swap'], [0, 0, 0, T], 12]);
    expect([memory.read(3), memory.holds(3), memory.bits(3)]).toEqual(['swap-in', 5, 'wye']);
  });
  it('by paging out where there is no swap, in vain', () => {
    const memory = huge();
    memory.advise(0, T, MADV_PAGEOUT);
    expect([memory.at(3).isHuge, memory.holds(3), memory.resident]).toEqual([false, 5, [1, 0, 0, 0]]);
  });
  it('not by paging out what was freed lazily: that goes, unless it was written again', () => {
    const memory = huge();
    memory.advise(0, T, MADV_FREE);
    memory.write(3, 6);
    memory.advise(0, T, MADV_PAGEOUT);
    expect([memory.at(3).isHuge, isLarge(memory, 3), memory.resident[0]]).toEqual([false, true, T]);
    memory.advise(0, T, MADV_FREE);
    memory.advise(0, T, MADV_PAGEOUT);
    expect([memory.at(3).kind, memory.resident[0], memory.kib]).toEqual(['none', 0, 12]);
  });
  it('and keeps pages of zeros where memory is locked', () => {
    const memory = huge();
    mlock(memory.mm, memory.addr(256), 256 * PAGE_SIZE);
    memory.advise(100, 1, MADV_FREE);
    expect([memory.at(100).kind, memory.at(300).kind, memory.resident[0]]).toEqual([
      'zeroPage',
      'anonymous',
      257,
    ]);
  });
});

describe('pages of a broken folio', () => {
  it('are written in place by who has them alone', () => {
    const memory = huge();
    memory.protect(100, 1, PROT_READ);
    expect([memory.write(3, 9), memory.holds(3)]).toEqual(['hit', 9]);
  });
  it('are copied while another process maps any page of the folio', () => {
    const memory = huge();
    const child = memory.fork();
    child.advise(0, T - 1, MADV_DONTNEED);
    expect([memory.write(3, 9), memory.bits(4)]).toEqual(['cow', 'dy']);
    child.exit();
    expect([memory.write(4, 9), memory.bits(4)]).toEqual(['reuse', 'wdye']);
  });
});

describe('a folio of which a part is gone', () => {
  const deferred = (memory: Memory): number =>
    memory.machine.kernel.work.facts[FACT.foliosDeferred] as number;

  it('waits to be broken up, once, and keeps its memory', () => {
    const memory = huge();
    memory.advise(0, 4, MADV_DONTNEED);
    memory.advise(8, 4, MADV_DONTNEED);
    expect([deferred(memory), memory.machine.kernel.frames.nrDeferred, memory.resident[0]]).toEqual([
      1,
      1,
      T - 8,
    ]);
    expect(memory.machine.kernel.frames.nrUsed).toBe(T);
  });
  it('does not wait when it goes whole', () => {
    const memory = huge();
    memory.advise(0, 4, MADV_DONTNEED);
    memory.advise(0, T, MADV_DONTNEED);
    const other = huge();
    other.advise(0, T, MADV_DONTNEED);
    expect([deferred(memory), memory.machine.kernel.frames.nrDeferred, deferred(other)]).toEqual([1, 0, 0]);
  });
});
