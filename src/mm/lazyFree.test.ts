/** MADV_FREE: pages that may be dropped as long as they are not written again. spec/vma.md 10. */
import { describe, expect, it } from 'vitest';
import { Machine, type Memory, oneProcess, TABLE_PAGES as T } from '../../test/support/memory.ts';
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_PAGEOUT,
  MAP_LOCKED,
  PROT_READ,
} from '../abi/mman.ts';
import { FRAME_SWAPBACKED } from './frames.ts';

const isLazy = (memory: Memory, page: number): boolean =>
  (memory.machine.kernel.frames.flags(memory.pfn(page)) & FRAME_SWAPBACKED) === 0;
const written = (swapPages = 0, pages = 8): Memory => {
  const memory = oneProcess(swapPages);
  memory.map(0, pages);
  memory.touch(0, 'write', { pages, stamp: 10 });
  return memory;
};

describe('freed pages', () => {
  it('stay, clean and unused, and writable', () => {
    const memory = written();
    memory.advise(2, 3, MADV_FREE);
    expect([1, 2, 4, 5].map((page) => memory.bits(page))).toEqual(['wdye', 'we', 'we', 'wdye']);
    expect([1, 2, 4, 5].map((page) => isLazy(memory, page))).toEqual([false, true, true, false]);
    expect([memory.resident, memory.holds(3)]).toEqual([[8, 0, 0, 0], 13]);
  });
  it('are written without a fault', () => {
    const memory = written();
    memory.advise(0, 8, MADV_FREE);
    const { minFlt } = memory.mm;
    expect([memory.write(2, 5), memory.bits(2), memory.holds(2), memory.mm.minFlt]).toEqual([
      'hit',
      'wdye',
      5,
      minFlt,
    ]);
  });
  it('are dropped by reclaim; those written since are kept', () => {
    const memory = written();
    memory.advise(0, 8, MADV_FREE);
    memory.write(2, 5);
    memory.advise(0, 8, MADV_PAGEOUT);
    expect([memory.resident[0], memory.at(1).kind, memory.holds(2)]).toEqual([1, 'none', 5]);
    expect([memory.read(1), memory.holds(1)]).toEqual(['zero-page', 0]);
  });
  it('are dropped by reclaim although they were read since', () => {
    const memory = written();
    memory.advise(0, 8, MADV_FREE);
    memory.read(3);
    memory.advise(0, 8, MADV_PAGEOUT);
    expect(memory.resident[0]).toBe(0);
  });
  it('are discarded like any other', () => {
    const memory = written();
    memory.advise(0, 8, MADV_FREE);
    memory.advise(0, 4, MADV_DONTNEED);
    expect([memory.resident[0], memory.machine.kernel.frames.nrUsed]).toEqual([4, 4]);
  });
  it('of a read-only mapping are marked as well', () => {
    const memory = written();
    memory.protect(0, 8, PROT_READ);
    expect([memory.advise(0, 8, MADV_FREE), memory.bits(0), isLazy(memory, 0)]).toEqual(['ok', 'e', true]);
  });
});

describe('what is not a page of its own', () => {
  it('swap slots are freed at once', () => {
    const memory = written(8);
    memory.advise(0, 4, MADV_PAGEOUT);
    memory.advise(0, 8, MADV_FREE);
    expect([memory.resident, memory.machine.kernel.swap.nrUsed, memory.at(0).kind, memory.read(0)]).toEqual([
      [4, 0, 0, 0],
      0,
      'none',
      'zero-page',
    ]);
  });
  it('zero pages and guards stay', () => {
    const memory = oneProcess();
    memory.map(0, 8);
    memory.read(0);
    memory.advise(1, 1, MADV_GUARD_INSTALL);
    memory.advise(0, 8, MADV_FREE);
    expect([memory.at(0).kind, memory.at(1).kind]).toEqual(['zeroPage', 'guard']);
  });
  it('pages shared after fork are marked for this process, and the other keeps what it has', () => {
    const memory = written();
    const child = memory.fork();
    memory.advise(0, 8, MADV_FREE);
    expect([memory.bits(0), child.bits(0), child.holds(0)]).toEqual(['', 'd', 10]);
    memory.advise(0, 8, MADV_PAGEOUT);
    // Paging out leaves pages alone that two processes map.
    expect([memory.resident[0], child.resident[0], child.holds(0)]).toEqual([8, 8, 10]);
  });
});

describe('it is refused', () => {
  it('for shared memory, for files, for locked memory', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.memfd(4), shared: true });
    memory.map(4, 4, { object: machine.file(4) });
    memory.map(8, 4, { flags: MAP_LOCKED });
    expect([0, 4, 8].map((page) => memory.advise(page, 4, MADV_FREE))).toEqual([
      'not-anonymous',
      'not-anonymous',
      'locked',
    ]);
  });
});

describe('a huge page', () => {
  const huge = (): Memory => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(3, 5);
    return memory;
  };
  it('is freed as a whole', () => {
    const memory = huge();
    memory.advise(0, T, MADV_FREE);
    expect([memory.bits(7), isLazy(memory, 7), memory.resident[0]]).toEqual(['weh', true, T]);
  });
  it('is broken up when a part of it is freed', () => {
    const memory = huge();
    memory.touch(0, 'write', { pages: T });
    memory.advise(2, 2, MADV_FREE);
    expect([1, 2, 3, 4].map((page) => memory.bits(page))).toEqual(['wdye', 'we', 'we', 'wdye']);
    memory.advise(0, T, MADV_PAGEOUT);
    expect([memory.resident[0], memory.at(3).kind, memory.at(4).kind]).toEqual([T - 2, 'none', 'anonymous']);
  });
  it('of zeros is left alone', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.read(0);
    memory.advise(2, 2, MADV_FREE);
    expect([memory.at(2).kind, memory.at(2).isHuge]).toEqual(['zeroPage', true]);
  });
});
