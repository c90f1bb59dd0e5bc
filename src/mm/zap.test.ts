/**
 * Taking pages away, and what becomes of the tables: the sizes are VmPTE as spec/pt-reclaim.md 2.2 has them, in KiB.
 */
import { describe, expect, it } from 'vitest';
import {
  GIB_PAGES,
  Machine,
  type Memory,
  oneProcess,
  RW,
  TABLE_PAGES as T,
} from '../../test/support/memory.ts';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MAP_LOCKED,
  PROT_NONE,
  PROT_READ,
} from '../abi/mman.ts';
import { FACT } from './work.ts';

const written = (pages: number, at = 0): Memory => {
  const memory = oneProcess();
  memory.map(at, pages);
  memory.touch(at, 'write', { pages });
  return memory;
};

describe('pages that are discarded', () => {
  it('are freed, and come back zero', () => {
    const memory = written(8);
    expect([memory.resident[0], memory.machine.kernel.frames.nrUsed]).toEqual([8, 8]);
    memory.advise(2, 4, MADV_DONTNEED);
    expect(memory.resident[0]).toBe(4);
    expect([0, 1, 2, 5, 6].map((page) => memory.at(page).kind)).toEqual([
      'anonymous',
      'anonymous',
      'none',
      'none',
      'anonymous',
    ]);
    expect([memory.read(3), memory.holds(3), memory.holds(1)]).toEqual(['zero-page', 0, 2]);
  });
  it('are counted by what they were', () => {
    const memory = oneProcess(8);
    memory.map(0, 8);
    memory.touch(0, 'write', { pages: 3 });
    memory.advise(2, 1, MADV_PAGEOUT);
    memory.read(4);
    memory.advise(5, 1, MADV_GUARD_INSTALL);
    const { facts } = memory.machine.kernel.work;
    const before = facts.slice();
    memory.advise(0, 8, MADV_DONTNEED);
    const count = (name: keyof typeof FACT): number =>
      (facts[FACT[name]] as number) - (before[FACT[name]] as number);
    expect([
      count('anonPtesZapped'),
      count('swapPtesZapped'),
      count('zeroPtesZapped'),
      count('pagesFreed'),
    ]).toEqual([2, 1, 1, 2]);
    expect([count('markersZapped'), memory.resident]).toEqual([0, [0, 0, 0, 0]]);
  });
  it('of shared memory stay in the page cache', () => {
    const memory = oneProcess();
    memory.map(0, 4, { shared: true });
    memory.touch(0, 'write', { pages: 4, stamp: 50 });
    memory.advise(0, 4, MADV_DONTNEED);
    expect([memory.resident, memory.machine.kernel.frames.nrUsed]).toEqual([[0, 0, 0, 0], 4]);
    memory.read(2);
    expect(memory.holds(2)).toBe(52);
  });
  it('of a private mapping of a file show the file again', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.file(4) });
    memory.write(1, 5);
    expect(memory.at(1)).toMatchObject({ kind: 'anonymous', stamp: 5 });
    memory.advise(0, 4, MADV_DONTNEED);
    memory.read(1);
    expect(memory.at(1)).toMatchObject({ kind: 'file', stamp: 1001 });
  });
  it('take the dirty bit of an entry to the page of the file', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    const object = machine.file(4);
    memory.map(0, 4, { object, shared: true });
    memory.write(1, 5);
    memory.unmap(0, 4);
    const pfn = machine.kernel.cache.find(object, 1) ?? 0;
    expect(machine.kernel.frames.stamp(pfn)).toBe(5);
  });
});

describe('guard markers', () => {
  it('survive DONTNEED and FREE, and hold their table', () => {
    const memory = written(T);
    memory.advise(8, 1, MADV_GUARD_INSTALL);
    expect([memory.at(8).kind, memory.resident[0]]).toEqual(['guard', T - 1]);
    memory.advise(0, T, MADV_DONTNEED);
    expect([memory.at(8).kind, memory.kib, memory.resident[0]]).toEqual(['guard', 12, 0]);
    memory.advise(0, T, MADV_FREE);
    expect(memory.at(8).kind).toBe('guard');
    expect([memory.write(8), memory.read(9)]).toEqual(['SEGV_MAPERR', 'zero-page']);
  });
  it('go with GUARD_REMOVE, and the table with the next DONTNEED', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.advise(8, 1, MADV_GUARD_INSTALL);
    expect(memory.kib).toBe(12);
    memory.advise(0, T, MADV_GUARD_REMOVE);
    expect([memory.at(8).kind, memory.kib]).toEqual(['none', 12]);
    memory.advise(0, T, MADV_DONTNEED);
    expect(memory.kib).toBe(8);
  });
  it('go with the mapping', () => {
    const memory = oneProcess();
    memory.map(0, 16);
    memory.advise(8, 1, MADV_GUARD_INSTALL);
    memory.unmap(0, 16);
    memory.map(0, 16);
    expect([memory.kib, memory.write(8)]).toEqual([0, 'anon']);
  });
  it('stay when the file under them loses its pages', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    const object = machine.memfd(8);
    memory.map(0, 8, { object, shared: true });
    memory.touch(0, 'write', { pages: 8 });
    memory.advise(3, 1, MADV_GUARD_INSTALL);
    machine.punch(object, 0, 8);
    expect([memory.at(3).kind, memory.at(2).kind]).toEqual(['guard', 'none']);
    machine.truncate(object, 0);
    expect(memory.at(3).kind).toBe('guard');
  });
});

describe('tables are freed by a call that covers them, and by no other', () => {
  it('1, 2: whole; not after two calls that leave it empty; then by one more that is whole', () => {
    const memory = written(4 * T);
    expect(memory.kib).toBe(8 + 4 * 4);
    memory.advise(0, 511, MADV_DONTNEED);
    memory.advise(511, 1, MADV_DONTNEED);
    expect([memory.kib, memory.resident[0]]).toEqual([24, 3 * T]);
    memory.advise(0, 4 * T, MADV_DONTNEED);
    expect(memory.kib).toBe(8);
    memory.unmap(0, 4 * T);
    expect(memory.kib).toBe(0);
  });
  it('3: one page of 2 MiB', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.write(77);
    memory.advise(77, 1, MADV_DONTNEED);
    expect(memory.kib).toBe(12);
    memory.advise(0, T, MADV_DONTNEED);
    expect(memory.kib).toBe(8);
  });
  it('4, 5: only those that lie whole in the range', () => {
    const memory = written(4 * T);
    memory.advise(T / 2, 2 * T, MADV_DONTNEED);
    expect(memory.kib).toBe(8 + 3 * 4);
    const half = written(T + T / 2, T / 2);
    half.advise(T / 2, T + T / 2, MADV_DONTNEED);
    expect(half.kib).toBe(8 + 4);
    half.unmap(T / 2, T + T / 2);
    expect(half.kib).toBe(0);
  });
  it('6: not one that several vmas share; again when they have merged', () => {
    const memory = written(T);
    memory.protect(100, 1, PROT_READ);
    expect(memory.mm.mapCount).toBe(3);
    memory.advise(0, T, MADV_DONTNEED);
    expect([memory.kib, memory.resident[0]]).toEqual([12, 0]);
    memory.protect(100, 1, RW);
    expect(memory.mm.mapCount).toBe(1);
    memory.advise(0, T, MADV_DONTNEED);
    expect(memory.kib).toBe(8);
  });
  it('7, 8: of several vmas in one call, over a hole too', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.map(2 * T, T, { prot: PROT_READ });
    memory.write(0);
    memory.read(2 * T);
    expect(memory.kib).toBe(16);
    expect([memory.advise(0, 3 * T, MADV_DONTNEED), memory.kib]).toEqual(['hole', 8]);
  });
  it('9: of zero pages', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.touch(0, 'read', { pages: T });
    expect([memory.kib, memory.resident]).toEqual([12, [0, 0, 0, 0]]);
    memory.advise(0, T, MADV_DONTNEED);
    expect(memory.kib).toBe(8);
  });
  it('10, 11: not by FREE, not by PAGEOUT, though they leave it empty or in swap', () => {
    const memory = oneProcess(T);
    memory.map(0, T);
    memory.touch(0, 'write', { pages: T });
    memory.advise(0, T, MADV_FREE);
    expect([memory.kib, memory.resident]).toEqual([12, [T, 0, 0, 0]]);
    memory.advise(0, T, MADV_PAGEOUT);
    expect([memory.kib, memory.resident]).toEqual([12, [0, 0, 0, 0]]);
    memory.touch(0, 'write', { pages: T });
    memory.advise(0, T, MADV_PAGEOUT);
    expect([memory.kib, memory.resident]).toEqual([12, [0, 0, 0, T]]);
    memory.advise(0, T / 2, MADV_DONTNEED);
    expect([memory.kib, memory.resident[3]]).toEqual([12, T / 2]);
    memory.advise(0, T, MADV_DONTNEED);
    expect([memory.kib, memory.resident[3], memory.machine.kernel.swap.nrUsed]).toEqual([8, 0, 0]);
  });
  it('15: FREE of swapped pages frees the slots, not the table', () => {
    const memory = oneProcess(T);
    memory.map(0, T);
    memory.touch(0, 'write', { pages: T });
    memory.advise(0, T, MADV_PAGEOUT);
    memory.advise(0, T, MADV_FREE);
    expect([memory.kib, memory.resident, memory.at(3).kind]).toEqual([12, [0, 0, 0, 0], 'none']);
  });
  it('12: locked memory only by DONTNEED_LOCKED', () => {
    const memory = oneProcess();
    memory.map(0, T, { flags: MAP_LOCKED });
    expect([memory.kib, memory.resident[0]]).toEqual([12, T]);
    expect([memory.advise(0, T, MADV_DONTNEED), memory.kib]).toEqual(['locked', 12]);
    expect([memory.advise(0, T, MADV_DONTNEED_LOCKED), memory.kib]).toEqual(['ok', 8]);
  });
  it('17: without access too', () => {
    const memory = written(T);
    memory.protect(0, T, PROT_NONE);
    memory.advise(0, T, MADV_DONTNEED);
    expect([memory.kib, memory.resident[0]]).toEqual([8, 0]);
  });
  it('27, 28: of shared memory by DONTNEED, not by a hole or a shorter file', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    const object = machine.memfd(T);
    memory.map(0, T, { object, shared: true });
    memory.touch(0, 'write', { pages: T });
    machine.punch(object, 0, T);
    expect([memory.kib, memory.resident]).toEqual([12, [0, 0, 0, 0]]);
    memory.touch(0, 'write', { pages: T });
    machine.truncate(object, 0);
    expect([memory.kib, machine.kernel.frames.nrUsed]).toEqual([12, 0]);
    memory.advise(0, T, MADV_DONTNEED);
    expect(memory.kib).toBe(8);
  });
  it('33: advice makes none where there are none', () => {
    const memory = oneProcess();
    memory.map(0, T);
    for (const advice of [MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_GUARD_REMOVE])
      memory.advise(0, T, advice);
    memory.protect(0, T, PROT_READ);
    expect([memory.advise(0, T, MADV_COLLAPSE), memory.kib]).toEqual(['no-huge-page', 0]);
    memory.advise(0, 1, MADV_POPULATE_READ);
    expect(memory.kib).toBe(12);
  });
});

describe('upper levels', () => {
  it('41, 42, 43: stay when pages are discarded, and go with the last mapping of their range', () => {
    const memory = oneProcess();
    memory.map(0, 3 * GIB_PAGES);
    for (const gib of [0, 1, 2]) memory.write(gib * GIB_PAGES);
    expect(memory.kib).toBe(4 * (3 + 3 + 1));
    memory.advise(0, 3 * GIB_PAGES, MADV_DONTNEED);
    expect(memory.kib).toBe(4 * (3 + 1));
    for (const gib of [0, 1, 2]) memory.write(gib * GIB_PAGES);
    memory.unmap(0, GIB_PAGES);
    expect(memory.kib).toBe(20);
    memory.unmap(GIB_PAGES, GIB_PAGES - T);
    expect(memory.kib).toBe(16);
    memory.unmap(2 * GIB_PAGES - T, T);
    expect(memory.kib).toBe(12);
    memory.unmap(2 * GIB_PAGES, GIB_PAGES);
    expect(memory.kib).toBe(0);
  });
  it('23: 512 sparse tables of a GiB', () => {
    const memory = oneProcess();
    memory.map(0, GIB_PAGES);
    memory.touch(0, 'write', { pages: GIB_PAGES, step: T });
    expect(memory.kib).toBe(4 * (512 + 2));
    memory.advise(0, GIB_PAGES, MADV_DONTNEED);
    expect(memory.kib).toBe(8);
  });
});

describe('unmapping', () => {
  it('22, 38: frees a table when no mapping is left in its 2 MiB', () => {
    const memory = written(T);
    memory.unmap(0, T / 2);
    expect(memory.kib).toBe(12);
    memory.advise(T / 2, T / 2, MADV_DONTNEED);
    expect(memory.kib).toBe(12);
    memory.unmap(T / 2, T / 2);
    expect(memory.kib).toBe(0);
  });
  it('39: so does mapping over it, whole or in part', () => {
    const memory = written(2 * T);
    memory.map(0, T, { prot: PROT_READ });
    expect(memory.kib).toBe(12);
    memory.map(T, T / 2, { prot: PROT_READ });
    expect(memory.kib).toBe(12);
  });
  it('of the process gives everything back', () => {
    const memory = oneProcess(8);
    memory.map(0, T);
    memory.mapHuge(T, 2 * T);
    memory.touch(0, 'write', { pages: 5 });
    memory.write(T);
    memory.read(2 * T);
    memory.advise(0, 2, MADV_PAGEOUT);
    memory.advise(4, 1, MADV_GUARD_INSTALL);
    const { kernel } = memory.machine;
    memory.exit();
    expect([kernel.frames.nrUsed, kernel.swap.nrUsed, kernel.tables.arena.nrUsed]).toEqual([0, 0, 0]);
    expect([memory.kib, memory.resident]).toEqual([0, [0, 0, 0, 0]]);
  });
});

describe('huge pages', () => {
  it('31: go with the table put aside; one page out of them leaves the table', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0);
    expect([memory.kib, memory.at(5).isHuge]).toEqual([12, true]);
    memory.advise(0, T, MADV_DONTNEED);
    expect([memory.kib, memory.resident[0]]).toEqual([8, 0]);
    memory.write(0);
    memory.advise(3, 1, MADV_DONTNEED);
    expect([memory.kib, memory.resident[0], memory.at(2).isHuge]).toEqual([12, 511, false]);
    expect([memory.at(2).kind, memory.at(3).kind]).toEqual(['anonymous', 'none']);
    memory.advise(0, T, MADV_DONTNEED);
    expect([memory.kib, memory.resident[0], memory.machine.kernel.frames.nrUsed]).toEqual([8, 0, 0]);
  });
  it('keep their memory until the last page of them is discarded', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0);
    memory.advise(0, T - 1, MADV_DONTNEED);
    const { frames } = memory.machine.kernel;
    expect([memory.resident[0], frames.nrUsed]).toEqual([1, T]);
    memory.advise(T - 1, 1, MADV_DONTNEED);
    expect(frames.nrUsed).toBe(0);
  });
  it('of zeros leave zero pages', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.read(0);
    memory.advise(3, 1, MADV_DONTNEED);
    expect([memory.at(2).kind, memory.at(3).kind, memory.kib]).toEqual(['zeroPage', 'none', 12]);
    expect(memory.resident).toEqual([0, 0, 0, 0]);
  });
});
