/** fork, on pages: spec/vma.md 13, spec/pt-reclaim.md 2.2 (44, 45). */
import { describe, expect, it } from 'vitest';
import { GIB_PAGES, Machine, oneProcess, TABLE_PAGES as T } from '../../test/support/memory.ts';
import {
  MADV_COLLAPSE,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_GUARD_INSTALL,
  MADV_PAGEOUT,
  MADV_WIPEONFORK,
  PROT_READ,
} from '../abi/mman.ts';

describe('pages after fork', () => {
  it('are shared, without write access, by both', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.write(0, 5);
    const child = memory.fork();
    const { frames } = memory.machine.kernel;
    expect([child.pfn(0), frames.mapcount(child.pfn(0)), frames.nrUsed]).toEqual([memory.pfn(0), 2, 1]);
    // The child's entry was not used yet.
    expect([memory.bits(0), child.bits(0), child.holds(0)]).toEqual(['dy', 'd', 5]);
    expect([child.resident, memory.resident]).toEqual([
      [1, 0, 0, 0],
      [1, 0, 0, 0],
    ]);
  });
  it('are copied by who writes first, and reused by who writes last', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.write(0, 5);
    const original = memory.pfn(0);
    const child = memory.fork();
    expect([memory.write(0, 6), memory.holds(0), child.holds(0)]).toEqual(['cow', 6, 5]);
    expect([memory.pfn(0) === original, memory.bits(0)]).toEqual([false, 'wdye']);
    expect([child.write(0, 7), child.pfn(0), child.bits(0)]).toEqual(['reuse', original, 'wdye']);
    expect([memory.holds(0), child.holds(0)]).toEqual([6, 7]);
  });
  it.each(['exits', 'unmaps', 'discards', 'overwrites'] as const)('are reused when the child %s', (how) => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.write(0, 5);
    const original = memory.pfn(0);
    const child = memory.fork();
    if (how === 'exits') child.exit();
    if (how === 'unmaps') child.unmap(0, 1);
    if (how === 'discards') child.advise(0, 1, MADV_DONTNEED);
    if (how === 'overwrites') child.write(0, 9);
    expect([memory.write(0, 6), memory.pfn(0)]).toEqual(['reuse', original]);
  });
  it('that are reused belong to the anon_vma of who reuses them', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.write(0, 5);
    const child = memory.fork();
    const { frames } = memory.machine.kernel;
    const [parents, childs] = [memory.vma(0).anonVma?.id, child.vma(0).anonVma?.id];
    expect(frames.owner(child.pfn(0))).toBe(parents);
    memory.exit();
    child.write(0, 6);
    expect([frames.owner(child.pfn(0)), childs === parents]).toEqual([childs, false]);
  });
  it('are copied for three and reused for the last', () => {
    const memory = oneProcess();
    memory.map(0, 1);
    memory.write(0, 5);
    const child = memory.fork();
    const grandchild = child.fork();
    expect([memory.write(0, 1), child.write(0, 2), grandchild.write(0, 3)]).toEqual(['cow', 'cow', 'reuse']);
    expect([memory.holds(0), child.holds(0), grandchild.holds(0)]).toEqual([1, 2, 3]);
  });
  it('in swap are shared by slot', () => {
    const memory = oneProcess(4);
    memory.map(0, 2);
    memory.write(0, 5);
    memory.advise(0, 1, MADV_PAGEOUT);
    const child = memory.fork();
    const { swap } = memory.machine.kernel;
    expect([swap.count(memory.pfn(0)), child.pfn(0), child.resident, memory.bits(0)]).toEqual([
      2,
      memory.pfn(0),
      [0, 0, 0, 1],
      '',
    ]);
    expect([child.write(0, 6), memory.read(0), memory.holds(0), child.holds(0)]).toEqual([
      'swap-in',
      'swap-cached',
      5,
      6,
    ]);
  });
  it('that are zero pages stay zero pages, if they are copied at all', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.read(0);
    memory.write(1);
    expect(memory.fork().at(0).kind).toBe('zeroPage');
  });
  it('of guards are guards', () => {
    const memory = oneProcess();
    memory.map(0, 4);
    memory.advise(2, 1, MADV_GUARD_INSTALL);
    const child = memory.fork();
    expect([child.at(2).kind, child.write(2), child.write(1)]).toEqual(['guard', 'SEGV_MAPERR', 'anon']);
    expect(memory.at(1).kind).toBe('none');
  });
});

describe('what fork leaves out', () => {
  it('a mapping that was not written: the child faults anew', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.touch(0, 'read', { pages: 3 });
    const child = memory.fork();
    expect([child.kib, child.at(0).kind, child.read(0)]).toEqual([0, 'none', 'zero-page']);
  });
  it('shared memory, which the page cache has', () => {
    const memory = oneProcess();
    memory.map(0, 4, { shared: true });
    memory.touch(0, 'write', { pages: 4, stamp: 30 });
    const child = memory.fork();
    expect([child.kib, child.resident]).toEqual([0, [0, 0, 0, 0]]);
    child.read(2);
    child.write(3, 99);
    expect([child.holds(2), memory.holds(3)]).toEqual([32, 99]);
  });
  it('pages of a private file mapping that was never written, not of one that was', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    const object = machine.file(8);
    memory.map(0, 4, { object });
    memory.map(4, 4, { object, pgoff: 4, prot: PROT_READ });
    memory.read(0);
    memory.write(1, 5);
    memory.read(4);
    const child = memory.fork();
    expect([0, 1, 4].map((page) => child.at(page).kind)).toEqual(['file', 'anonymous', 'none']);
    expect([child.write(1, 6), memory.holds(1), child.resident]).toEqual(['cow', 5, [1, 1, 0, 0]]);
  });
  it('what it was told to', () => {
    const memory = oneProcess();
    memory.map(0, 2);
    memory.map(4, 2);
    memory.touch(0, 'write', { pages: 2 });
    memory.touch(4, 'write', { pages: 2 });
    memory.advise(0, 2, MADV_DONTFORK);
    memory.advise(4, 2, MADV_WIPEONFORK);
    const child = memory.fork();
    expect([child.write(0), child.at(4).kind, child.read(4), child.kib]).toEqual([
      'SEGV_MAPERR',
      'none',
      'zero-page',
      12,
    ]);
    expect([memory.bits(0), memory.bits(4)]).toEqual(['wdye', 'wdye']);
  });
});

describe('tables after fork', () => {
  it('44: are all there, full, of zeros, of guards, or empty', () => {
    const memory = oneProcess();
    memory.map(0, 4 * T);
    memory.touch(0, 'write', { pages: T });
    memory.touch(T, 'read', { pages: 4 });
    memory.advise(2 * T, 1, MADV_GUARD_INSTALL);
    memory.write(3 * T);
    memory.advise(3 * T, 1, MADV_DONTNEED);
    expect(memory.kib).toBe(8 + 16);
    expect(memory.fork().kib).toBe(8 + 16);
  });
  it('45: are none where the mapping was only read', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.map(T, T, { shared: true });
    memory.read(0);
    memory.write(T);
    expect([memory.kib, memory.fork().kib]).toEqual([16, 0]);
  });
  it('have their upper levels even where the pages are gone', () => {
    const memory = oneProcess();
    memory.map(0, 2 * GIB_PAGES);
    memory.write(0);
    memory.write(GIB_PAGES);
    memory.advise(GIB_PAGES, T, MADV_DONTNEED);
    expect([memory.kib, memory.fork().kib]).toEqual([16, 16]);
  });
  it('go with the child', () => {
    const memory = oneProcess();
    memory.map(0, T);
    memory.touch(0, 'write', { pages: T });
    const { arena } = memory.machine.kernel.tables;
    const before = arena.nrUsed;
    memory.fork().exit();
    expect(arena.nrUsed).toBe(before);
  });
});

describe('huge pages after fork', () => {
  it('are shared as they are, each side with a table put aside', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0, 5);
    const child = memory.fork();
    const { frames } = memory.machine.kernel;
    expect([memory.bits(1), child.bits(1), frames.entireMapcount(memory.pfn(0))]).toEqual(['dyh', 'dh', 2]);
    expect([child.kib, child.resident[0], frames.nrUsed]).toEqual([12, T, T]);
  });
  it('of zeros too', () => {
    const memory = oneProcess();
    memory.mapHuge(0, 2 * T);
    memory.read(0);
    memory.write(T);
    const child = memory.fork();
    expect([child.at(0).kind, child.at(0).isHuge, child.kib]).toEqual(['zeroPage', true, 16]);
  });
  it('are written page by page by who shares them, as a whole by the last', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0, 5);
    const child = memory.fork();
    expect([memory.write(7, 8), memory.bits(7), memory.bits(8)]).toEqual(['cow', 'wdye', 'dy']);
    expect([child.holds(0), child.holds(7), memory.holds(7)]).toEqual([5, 0, 8]);
    // 511 pages of the huge page are still the parent's too.
    expect([child.write(7, 9), child.at(8).isHuge]).toEqual(['cow', false]);
    memory.exit();
    expect([child.write(8, 1), child.bits(8)]).toEqual(['reuse', 'wdye']);
  });
  it('are reused whole when the other is gone', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0, 5);
    const head = memory.pfn(0);
    memory.fork().exit();
    expect([memory.write(7, 8), memory.bits(9), memory.pfn(0)]).toEqual(['reuse', 'wdyeh', head]);
  });
  it('of shared memory are not copied', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, T, { object: machine.memfd(T), shared: true });
    memory.write(0, 4);
    memory.advise(0, T, MADV_COLLAPSE);
    expect(memory.at(3).isHuge).toBe(true);
    expect([memory.fork().kib, memory.bits(3)]).toEqual([0, 'wyh']);
  });
});
