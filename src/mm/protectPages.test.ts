/** mprotect, on entries. */
import { describe, expect, it } from 'vitest';
import { Machine, oneProcess, RW, TABLE_PAGES as T } from '../../test/support/memory.ts';
import {
  MADV_GUARD_INSTALL,
  MADV_PAGEOUT,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';

describe('taking write access away', () => {
  it('takes it from every entry, and the next store is a signal', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.touch(0, 'write', { pages: 2 });
    memory.read(2);
    memory.protect(0, 4, PROT_READ);
    expect([0, 1].map((page) => memory.bits(page))).toEqual(['dye', 'dye']);
    expect([memory.at(2).kind, memory.at(3).kind]).toEqual(['zeroPage', 'none']);
    expect([memory.write(0), memory.read(0), memory.holds(0)]).toEqual(['SEGV_ACCERR', 'hit', 1]);
  });
  it('leaves entries outside the range', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.touch(0, 'write', { pages: 4 });
    memory.protect(1, 2, PROT_READ);
    expect([0, 1, 2, 3].map((page) => memory.bits(page))).toEqual(['wdye', 'dye', 'dye', 'wdye']);
  });
  it('leaves what is in swap, and guards', () => {
    const memory = oneProcess(4);
    memory.map(0, 4);
    memory.write(0, 7);
    memory.advise(0, 1, MADV_PAGEOUT);
    memory.advise(1, 1, MADV_GUARD_INSTALL);
    memory.protect(0, 4, PROT_READ);
    expect([memory.at(0).kind, memory.at(1).kind]).toEqual(['swap', 'guard']);
    expect([memory.read(0), memory.holds(0), memory.bits(0)]).toEqual(['swap-in', 7, 'ye']);
  });
  it('of PROT_NONE keeps the pages', () => {
    const memory = oneProcess();
    memory.map(0, 2);
    memory.write(0, 9);
    memory.protect(0, 2, PROT_NONE);
    expect([memory.resident[0], memory.read(0)]).toEqual([1, 'SEGV_ACCERR']);
    memory.protect(0, 2, RW);
    expect([memory.write(0, 3), memory.holds(0)]).toEqual(['hit', 3]);
  });
});

describe('giving write access', () => {
  it('makes pages that nobody else has writable at once: no fault follows', () => {
    const memory = oneProcess();
    memory.map(0, 2);
    memory.write(0);
    memory.protect(0, 2, PROT_READ);
    memory.protect(0, 2, RW);
    expect([memory.bits(0), memory.write(0, 5)]).toEqual(['wdye', 'hit']);
  });
  it('leaves pages that came by fork to a fault, even when the child is gone', () => {
    const memory = oneProcess();
    memory.map(0, 2);
    memory.write(0, 4);
    memory.fork().exit();
    memory.protect(0, 2, PROT_READ);
    memory.protect(0, 2, RW);
    expect(memory.bits(0)).toBe('dy');
    expect([memory.write(0, 5), memory.bits(0), memory.holds(0)]).toEqual(['reuse', 'wdye', 5]);
  });
  it('leaves the zero page to a fault', () => {
    const memory = oneProcess();
    memory.map(0, 2, { prot: PROT_READ });
    memory.read(0);
    memory.protect(0, 2, RW);
    expect(memory.write(0)).toBe('zero-to-write');
  });
  it('makes shared memory writable at once', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.memfd(4), shared: true, prot: PROT_READ });
    memory.read(0);
    expect(memory.bits(0)).toBe('y');
    memory.protect(0, 4, RW);
    expect([memory.bits(0), memory.write(0, 6), memory.bits(0)]).toEqual(['wy', 'hit', 'wdy']);
  });
  it('leaves clean pages of a shared file to a fault: the file has to be told', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.file(4), shared: true, prot: PROT_READ });
    memory.read(0);
    memory.protect(0, 4, RW);
    expect([memory.bits(0), memory.write(0, 6), memory.bits(0)]).toEqual(['y', 'reuse', 'wdy']);
  });
  it('leaves pages of a privately mapped file to a fault', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    const object = machine.file(4);
    memory.map(0, 4, { object, prot: PROT_READ });
    memory.read(0);
    memory.protect(0, 4, RW);
    expect([memory.bits(0), memory.write(0, 6)]).toEqual(['y', 'file-cow']);
    expect([memory.at(0).kind, memory.holds(0)]).toEqual(['anonymous', 6]);
    expect(machine.kernel.frames.stamp(machine.kernel.cache.find(object, 0) ?? 0)).toBe(1000);
  });
});

describe('access that stays', () => {
  it('is not lost when another kind is added', () => {
    const memory = oneProcess();
    memory.map(0, 2);
    memory.write(0);
    memory.protect(0, 2, PROT_READ | PROT_WRITE | PROT_EXEC);
    expect([memory.bits(0), memory.write(0)]).toEqual(['wdye', 'hit']);
  });
  it('of stores alone lets loads through', () => {
    const memory = oneProcess();
    memory.map(0, 2, { prot: PROT_WRITE });
    memory.write(0);
    expect([memory.read(0), memory.touch(0, 'exec')]).toEqual(['hit', ['SEGV_ACCERR']]);
  });
});

describe('huge pages', () => {
  it('are changed as a whole where the range covers them', () => {
    const memory = oneProcess();
    memory.mapHuge(0, 2 * T);
    memory.write(0);
    memory.write(T);
    memory.protect(0, T, PROT_READ);
    expect([memory.bits(9), memory.bits(T + 9)]).toEqual(['dyeh', 'wdyeh']);
    memory.protect(0, T, RW);
    expect([memory.bits(9), memory.write(9)]).toEqual(['wdyeh', 'hit']);
  });
  it('are mapped by single entries where it cuts them; the folio stays whole', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0);
    const head = memory.pfn(0);
    memory.protect(10, 1, PROT_READ);
    expect([memory.bits(9), memory.bits(10), memory.bits(11)]).toEqual(['wdye', 'dye', 'wdye']);
    const { frames } = memory.machine.kernel;
    expect([frames.isLarge(head), memory.pfn(511), memory.kib]).toEqual([true, head + 511, 12]);
    expect([frames.mapcount(head + 10), frames.entireMapcount(head), memory.resident[0]]).toEqual([1, 0, T]);
  });
  it('of zeros keep the huge zero page where the range covers them', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.read(0);
    memory.protect(0, T, PROT_READ);
    memory.protect(0, T, RW);
    expect([memory.at(3).kind, memory.bits(3), memory.write(3)]).toEqual([
      'zeroPage',
      'yh',
      'huge-zero-to-write',
    ]);
  });
  it('that are shared after fork are copied page by page', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0, 3);
    const child = memory.fork();
    memory.protect(0, T, PROT_READ);
    memory.protect(0, T, RW);
    expect([memory.bits(5), memory.write(5), memory.at(4).isHuge, child.at(4).isHuge]).toEqual([
      'dyh',
      'cow',
      false,
      true,
    ]);
  });
});
