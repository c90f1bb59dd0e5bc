/** MADV_COLLAPSE: small pages become a huge one. spec/vma.md 10, spec/pt-reclaim.md 2.2 (32). */
import { describe, expect, it } from 'vitest';
import { Machine, type Memory, oneProcess, TABLE_PAGES as T } from '../../test/support/memory.ts';
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_GUARD_INSTALL,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  PROT_READ,
} from '../abi/mman.ts';
import type { FileObject } from './vma.ts';

const written = (pages: number, swapPages = 0): Memory => {
  const memory = oneProcess(swapPages);
  memory.map(0, T);
  memory.touch(0, 'write', { pages, stamp: 10 });
  return memory;
};

describe('anonymous memory', () => {
  it('becomes one huge page that holds what the small ones held', () => {
    const memory = written(T);
    expect([memory.advise(0, T, MADV_COLLAPSE), memory.kib]).toEqual(['ok', 12]);
    const { frames } = memory.machine.kernel;
    expect([memory.at(7).isHuge, memory.resident, frames.nrUsed]).toEqual([true, [T, 0, 0, 0], T]);
    expect([memory.holds(0), memory.holds(511), memory.write(7)]).toEqual([10, 521, 'hit']);
    memory.unmap(0, T);
    expect(memory.kib).toBe(0);
  });
  it('may have holes, zero pages and pages in swap, which become pages', () => {
    const memory = written(2, 4);
    memory.advise(1, 1, MADV_PAGEOUT);
    memory.read(4);
    expect(memory.advise(0, T, MADV_COLLAPSE)).toBe('ok');
    expect([memory.resident, memory.holds(0), memory.holds(1), memory.holds(4), memory.holds(9)]).toEqual([
      [T, 0, 0, 0],
      10,
      11,
      0,
      0,
    ]);
    expect(memory.machine.kernel.swap.nrUsed).toBe(0);
  });
  it('needs a table, be it empty', () => {
    const memory = written(1);
    memory.advise(0, T, MADV_DONTNEED);
    expect(memory.advise(0, T, MADV_COLLAPSE)).toBe('no-huge-page');
    memory.write(0);
    memory.advise(0, 1, MADV_DONTNEED);
    expect([memory.advise(0, T, MADV_COLLAPSE), memory.at(3).isHuge]).toEqual(['ok', true]);
  });
  it('is what it is where it is a huge page already', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0);
    const head = memory.pfn(0);
    expect([memory.advise(0, T, MADV_COLLAPSE), memory.pfn(0)]).toEqual(['ok', head]);
  });
  it('is refused where there is a guard, where it declines, where nothing fits', () => {
    const memory = written(4);
    memory.advise(9, 1, MADV_GUARD_INSTALL);
    expect(memory.advise(0, T, MADV_COLLAPSE)).toBe('no-huge-page');
    memory.advise(0, T, MADV_NOHUGEPAGE);
    expect(memory.advise(0, T, MADV_COLLAPSE)).toBe('no-huge-page');
    const small = oneProcess();
    small.map(1, T);
    small.write(5);
    expect([small.advise(1, T, MADV_COLLAPSE), small.at(5).isHuge]).toEqual(['no-huge-page', false]);
  });
  it('is cut to whole 2 MiB', () => {
    const memory = oneProcess();
    memory.map(0, 3 * T);
    memory.touch(0, 'write', { pages: 3 * T, step: 7 });
    expect(memory.advise(1, 2 * T, MADV_COLLAPSE)).toBe('ok');
    expect([0, T, 2 * T].map((page) => memory.at(page).isHuge)).toEqual([false, true, false]);
  });
  it('is collapsed up to the first 2 MiB that cannot be', () => {
    const memory = oneProcess();
    memory.map(0, 3 * T);
    memory.write(0);
    memory.write(2 * T);
    expect([memory.advise(0, 3 * T, MADV_COLLAPSE), memory.at(0).isHuge]).toEqual(['no-huge-page', true]);
    expect(memory.at(2 * T).isHuge).toBe(false);
  });
  it('that was shared by fork is the own again, and the other keeps what it has', () => {
    const memory = written(T);
    const child = memory.fork();
    expect([memory.advise(0, T, MADV_COLLAPSE), memory.at(3).isHuge, child.at(3).isHuge]).toEqual([
      'ok',
      true,
      false,
    ]);
    expect([child.holds(3), child.write(3, 8), memory.holds(3), memory.write(3)]).toEqual([
      13,
      'reuse',
      13,
      'hit',
    ]);
  });
  it('that may not be written is a huge page that may not', () => {
    const memory = written(T);
    memory.protect(0, T, PROT_READ);
    memory.advise(0, T, MADV_COLLAPSE);
    expect([memory.at(3).isHuge, memory.write(3), memory.read(3)]).toEqual([true, 'SEGV_ACCERR', 'hit']);
  });
});

describe('shared memory', () => {
  const shared = (): { machine: Machine; object: FileObject; memory: Memory } => {
    const machine = new Machine();
    const memory = machine.spawn();
    const object = machine.memfd(2 * T);
    memory.map(0, 2 * T, { object, shared: true });
    return { machine, object, memory };
  };
  it('becomes one huge page of the file, without a table put aside', () => {
    const { machine, memory } = shared();
    memory.touch(0, 'write', { pages: 3, stamp: 10 });
    expect([memory.kib, memory.advise(0, T, MADV_COLLAPSE), memory.kib]).toEqual([12, 'ok', 8]);
    expect([memory.at(7).isHuge, memory.resident, machine.kernel.frames.nrUsed]).toEqual([
      true,
      [0, 0, T, 0],
      T,
    ]);
    expect([memory.holds(2), memory.holds(9), memory.write(9, 4), memory.holds(9)]).toEqual([
      12,
      0,
      'hit',
      4,
    ]);
  });
  it('needs a page in the page cache', () => {
    const { memory } = shared();
    memory.write(0);
    expect([memory.advise(T, T, MADV_COLLAPSE), memory.advise(0, T, MADV_COLLAPSE)]).toEqual([
      'no-huge-page',
      'ok',
    ]);
  });
  it('needs a mapping that lies in the file as it lies in memory', () => {
    const { machine, object } = shared();
    const memory = machine.spawn();
    memory.map(4 * T, T, { object, shared: true, pgoff: 1 });
    memory.write(4 * T);
    expect(memory.advise(4 * T, T, MADV_COLLAPSE)).toBe('no-huge-page');
  });
  it('is taken from the others, with their tables, and mapped at once when they come again', () => {
    const { machine, object, memory } = shared();
    const other = machine.spawn();
    other.map(8 * T, T, { object, shared: true });
    memory.write(0, 10);
    other.write(8 * T + 5, 15);
    expect(other.kib).toBe(12);
    memory.advise(0, T, MADV_COLLAPSE);
    expect([other.kib, other.resident, memory.holds(5)]).toEqual([8, [0, 0, 0, 0], 15]);
    other.read(8 * T + 1);
    expect([other.at(8 * T + 5).isHuge, other.holds(8 * T), other.resident, other.mm.minFlt]).toEqual([
      true,
      10,
      [0, 0, T, 0],
      2,
    ]);
  });
  it('keeps the tables of those that have pages of their own there, and those pages', () => {
    const { machine, object, memory } = shared();
    const other = machine.spawn();
    other.map(8 * T, T, { object });
    memory.write(0, 10);
    other.write(8 * T + 5, 15);
    memory.advise(0, T, MADV_COLLAPSE);
    expect([other.kib, other.holds(8 * T + 5), memory.holds(5)]).toEqual([12, 15, 0]);
    other.read(8 * T);
    expect([other.at(8 * T).isHuge, other.holds(8 * T)]).toEqual([false, 10]);
  });
  it('is mapped by single entries where 2 MiB do not fit', () => {
    const { machine, object, memory } = shared();
    memory.write(0, 10);
    memory.advise(0, T, MADV_COLLAPSE);
    const other = machine.spawn();
    other.map(8 * T, T - 1, { object, shared: true });
    other.read(8 * T);
    expect([other.at(8 * T).isHuge, other.holds(8 * T), other.resident[2]]).toEqual([false, 10, 16]);
  });
  it('with a guard in the mapping becomes a huge page of the file, and is not mapped', () => {
    const { machine, object, memory } = shared();
    memory.write(0);
    memory.advise(9, 1, MADV_GUARD_INSTALL);
    expect([memory.advise(0, T, MADV_COLLAPSE), memory.at(0).kind, memory.at(9).kind]).toEqual([
      'no-huge-page',
      'none',
      'guard',
    ]);
    expect(machine.kernel.frames.isLarge(machine.kernel.cache.find(object, 0) ?? 0)).toBe(true);
  });
  it('loses a part of the huge page with a hole, and every mapping of it', () => {
    const { machine, object, memory } = shared();
    memory.touch(0, 'write', { pages: 4, stamp: 10 });
    memory.advise(0, T, MADV_COLLAPSE);
    machine.punch(object, 2, 1);
    expect([memory.kinds(0, T), memory.resident[2]]).toEqual([['none'], 0]);
    memory.touch(0, 'read', { pages: 4 });
    expect([0, 1, 2, 3].map((page) => memory.holds(page))).toEqual([10, 11, 0, 13]);
  });
});
