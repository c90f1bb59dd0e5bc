/** What the kernel brings in by itself. spec/vma.md 9 and 10. */
import { describe, expect, it } from 'vitest';
import { Machine, oneProcess, TABLE_PAGES as T } from '../../test/support/memory.ts';
import {
  MADV_GUARD_INSTALL,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_POPULATE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { mlock } from './mlock.ts';

describe('MADV_POPULATE_WRITE', () => {
  it('brings a new page everywhere, a fault each', () => {
    const memory = oneProcess();
    memory.map(0, 3 * T);
    expect(memory.advise(10, 2 * T, MADV_POPULATE_WRITE)).toBe('ok');
    expect([memory.resident[0], memory.mm.minFlt, memory.kib]).toEqual([2 * T, 2 * T, 8 + 12]);
    expect([memory.at(9).kind, memory.bits(10), memory.holds(10), memory.at(2 * T + 10).kind]).toEqual([
      'none',
      'wdye',
      0,
      'none',
    ]);
    expect(memory.write(11)).toBe('hit');
  });
  it('leaves what is there, and replaces what may not be written', () => {
    const memory = oneProcess();
    memory.map(0, 8);
    memory.write(1, 9);
    memory.read(2);
    memory.fork();
    const before = memory.mm.minFlt;
    memory.advise(0, 8, MADV_POPULATE_WRITE);
    expect([memory.holds(1), memory.bits(1), memory.at(2).kind, memory.bits(2)]).toEqual([
      9,
      'wdye',
      'anonymous',
      'wdye',
    ]);
    expect([memory.mm.minFlt - before, memory.resident[0]]).toEqual([8, 8]);
  });
  it('says which part it could not do, pages before it stay', () => {
    const memory = oneProcess();
    memory.map(0, 2);
    memory.map(2, 2, { prot: PROT_READ });
    memory.map(5, 2);
    expect([memory.advise(0, 4, MADV_POPULATE_WRITE), memory.resident[0]]).toEqual(['no-access', 2]);
    expect([memory.advise(5, 4, MADV_POPULATE_WRITE), memory.resident[0]]).toEqual(['hole', 4]);
    expect(memory.advise(4, 1, MADV_POPULATE_WRITE)).toBe('hole');
  });
  it('stops at a guard, and beyond the end of a file', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 4);
    memory.advise(2, 1, MADV_GUARD_INSTALL);
    expect([memory.advise(0, 4, MADV_POPULATE_WRITE), memory.kinds(0, 4)]).toEqual([
      'populate-failed',
      ['anonymous', 'guard', 'none'],
    ]);
    memory.map(8, 4, { object: machine.memfd(2), shared: true });
    expect([memory.advise(8, 4, MADV_POPULATE_WRITE), memory.resident[2]]).toEqual(['populate-failed', 2]);
  });
  it('brings huge pages, one fault for each', () => {
    const memory = oneProcess();
    memory.mapHuge(0, 2 * T);
    memory.advise(0, 2 * T, MADV_POPULATE_WRITE);
    expect([memory.at(T + 5).isHuge, memory.resident[0], memory.mm.minFlt]).toEqual([true, 2 * T, 2]);
  });
  it('of shared memory brings pages of the file', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 20, { object: machine.memfd(20), shared: true });
    memory.advise(0, 20, MADV_POPULATE_WRITE);
    expect([memory.resident[2], memory.bits(3), memory.mm.minFlt]).toEqual([20, 'wdy', 20]);
  });
  it('of a private file brings copies', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.file(4) });
    memory.advise(0, 4, MADV_POPULATE_WRITE);
    expect([memory.kinds(0, 4), memory.holds(3), memory.resident[0]]).toEqual([['anonymous'], 1003, 4]);
  });
});

describe('MADV_POPULATE_READ', () => {
  it('brings the zero page, which is no memory', () => {
    const memory = oneProcess();
    memory.map(0, 8);
    memory.advise(0, 8, MADV_POPULATE_READ);
    expect([memory.kinds(0, 8), memory.resident, memory.mm.minFlt, memory.vma(0).anonVma]).toEqual([
      ['zeroPage'],
      [0, 0, 0, 0],
      8,
      null,
    ]);
  });
  it('brings the huge zero page', () => {
    const memory = oneProcess();
    memory.mapHuge(0, 2 * T);
    memory.advise(0, 2 * T, MADV_POPULATE_READ);
    expect([memory.at(T).isHuge, memory.mm.minFlt, memory.kib]).toEqual([true, 2, 16]);
  });
  it('is refused where loads are', () => {
    const memory = oneProcess();
    memory.map(0, 2, { prot: PROT_NONE });
    memory.map(2, 2, { prot: PROT_WRITE });
    expect([memory.advise(0, 2, MADV_POPULATE_READ), memory.advise(2, 2, MADV_POPULATE_READ)]).toEqual([
      'no-access',
      'no-access',
    ]);
  });
  it('of shared memory makes the pages, sixteen are mapped by one fault where they are there', () => {
    const machine = new Machine();
    const [first, second] = [machine.spawn(), machine.spawn()];
    const object = machine.memfd(32);
    first.map(0, 32, { object, shared: true });
    first.advise(0, 32, MADV_POPULATE_READ);
    expect([first.resident[2], first.mm.minFlt, first.bits(3)]).toEqual([32, 32, 'wy']);
    second.map(0, 32, { object, shared: true });
    second.advise(0, 32, MADV_POPULATE_READ);
    expect([second.resident[2], second.mm.minFlt]).toEqual([32, 2]);
  });
});

describe('mmap', () => {
  it.each([
    ['MAP_POPULATE', MAP_POPULATE],
    ['MAP_LOCKED', MAP_LOCKED],
  ])('with %s brings pages: new ones where they can be written, zeros elsewhere', (_name, flags) => {
    const memory = oneProcess();
    memory.map(0, 4, { flags });
    memory.map(8, 4, { flags, prot: PROT_READ });
    memory.map(16, 4, { flags, prot: PROT_NONE });
    expect([memory.kinds(0, 4), memory.kinds(8, 4), memory.kinds(16, 4)]).toEqual([
      ['anonymous'],
      ['zeroPage'],
      ['none'],
    ]);
  });
  it('with MAP_NONBLOCK does not', () => {
    const memory = oneProcess();
    memory.map(0, 4, { flags: MAP_POPULATE | MAP_NONBLOCK });
    expect([memory.resident[0], memory.kib]).toEqual([0, 0]);
  });
});

describe('mlock', () => {
  it('brings what is missing and leaves the rest', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.write(1, 7);
    const { ret } = mlock(memory.mm, memory.addr(0), 4 * PAGE_SIZE, 0);
    memory.machine.verify();
    expect([ret, memory.resident[0], memory.holds(1), memory.mm.minFlt]).toEqual([0, 4, 7, 4]);
  });
  it('copies pages that were shared by fork', () => {
    const memory = oneProcess();
    memory.map(0, 2);
    memory.write(0, 7);
    const child = memory.fork();
    mlock(memory.mm, memory.addr(0), 2 * PAGE_SIZE, 0);
    memory.machine.verify();
    expect([memory.pfn(0) === child.pfn(0), memory.bits(0), memory.holds(0)]).toEqual([false, 'wdye', 7]);
  });
});
