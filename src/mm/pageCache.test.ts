/** Pages of files: first accesses, and pages that leave the file. */
import { describe, expect, it } from 'vitest';
import { Machine, type Memory, TABLE_PAGES as T } from '../../test/support/memory.ts';
import { MADV_REMOVE, PROT_READ } from '../abi/mman.ts';
import type { FileObject } from './vma.ts';

interface Shared {
  readonly machine: Machine;
  readonly object: FileObject;
  /** Two processes that map all of it, at different places. */
  readonly one: Memory;
  readonly two: Memory;
}
function shared(pages = 64): Shared {
  const machine = new Machine();
  const [one, two] = [machine.spawn(), machine.spawn()];
  const object = machine.memfd(pages);
  one.map(0, pages, { object, shared: true });
  two.map(1000, pages, { object, shared: true });
  return { machine, object, one, two };
}

describe('the first access to shared memory', () => {
  it('makes the page; a store maps one, a load up to sixteen that are there', () => {
    const { one, two } = shared();
    expect(one.touch(0, 'write', { pages: 20 })).toEqual(Array(20).fill('shmem-new'));
    expect([two.read(1003), two.resident, two.read(1000), two.read(1015), two.read(1016)]).toEqual([
      'shmem-around',
      [0, 0, 16, 0],
      'hit',
      'hit',
      'shmem-around',
    ]);
    // Pages 16 to 19 are there, 20 is not.
    expect([two.resident[2], two.read(1020), two.at(1021).kind]).toEqual([20, 'shmem-new', 'none']);
    expect(two.write(1040)).toBe('shmem-new');
  });
  it('maps what is there without making it, one page for a store', () => {
    const { one, two } = shared();
    one.touch(0, 'write', { pages: 4, stamp: 10 });
    expect([two.write(1001, 5), two.resident[2], one.holds(1), two.bits(1001)]).toEqual([
      'shmem-cached',
      1,
      5,
      'wdy',
    ]);
  });
  it('brings neighbours even where the page itself is not there yet', () => {
    const { one, two } = shared();
    one.write(2);
    expect([two.read(1003), two.at(1002).kind, two.resident[2]]).toEqual(['shmem-new', 'file', 2]);
  });
  it('stays within the mapping and within the table', () => {
    const { machine, object, one } = shared();
    one.touch(0, 'write', { pages: 64 });
    const narrow = machine.spawn();
    narrow.map(T - 2, 6, { object, shared: true, pgoff: 30 });
    narrow.read(T - 1);
    expect(narrow.resident[2]).toBe(2);
    narrow.read(T + 3);
    expect(narrow.resident[2]).toBe(6);
  });
  it('is writable at once in a shared mapping that may be written, not in others', () => {
    const { machine, object, one } = shared();
    one.touch(0, 'write', { pages: 4 });
    const other = machine.spawn();
    other.map(0, 4, { object, shared: true, prot: PROT_READ });
    other.map(10, 4, { object });
    one.read(0);
    other.read(0);
    other.read(10);
    expect([one.bits(0), other.bits(0), other.bits(10), other.write(10), other.write(0)]).toEqual([
      'wdy',
      'y',
      'y',
      'shmem-cow',
      'SEGV_ACCERR',
    ]);
  });
  it('beyond the end of the file is a signal', () => {
    const { machine, object } = shared(2);
    const memory = machine.spawn();
    memory.map(0, 8, { object, shared: true });
    memory.map(20, 8, { object });
    expect([memory.write(1), memory.write(2), memory.read(3), memory.write(22)]).toEqual([
      'shmem-new',
      'BUS_ADRERR',
      'BUS_ADRERR',
      'BUS_ADRERR',
    ]);
    expect(memory.vma(20).anonVma).not.toBe(null);
  });
});

describe('a private mapping of a file', () => {
  it('has the pages of the file until it writes', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    const object = machine.file(4);
    memory.map(0, 4, { object });
    expect([memory.read(0), memory.write(0, 7), memory.write(1, 8)]).toEqual([
      'file',
      'file-cow',
      'file-cow',
    ]);
    expect([memory.holds(0), memory.holds(1), memory.resident]).toEqual([7, 8, [2, 0, 0, 0]]);
    expect(machine.kernel.frames.stamp(machine.kernel.cache.find(object, 0) ?? 0)).toBe(1000);
  });
  it('sees what others write until it writes itself', () => {
    const { machine, object, one } = shared();
    const memory = machine.spawn();
    memory.map(0, 4, { object });
    one.write(0, 10);
    memory.read(0);
    one.write(0, 11);
    expect(memory.holds(0)).toBe(11);
    memory.write(0, 12);
    one.write(0, 13);
    expect([memory.holds(0), one.holds(0)]).toEqual([12, 13]);
  });
});

describe('a hole', () => {
  it('takes the pages out of every mapping of every process; they read as zero', () => {
    const { machine, object, one, two } = shared();
    one.touch(0, 'write', { pages: 8, stamp: 10 });
    two.touch(1000, 'read', { pages: 8 });
    machine.punch(object, 2, 3);
    expect([one.resident[2], two.resident[2], machine.kernel.frames.nrUsed]).toEqual([5, 5, 5]);
    expect([one.at(2).kind, two.at(1004).kind, two.holds(1005)]).toEqual(['none', 'none', 15]);
    expect([two.read(1002), two.holds(1002), one.holds(1)]).toEqual(['shmem-new', 0, 11]);
  });
  it('leaves copies in private mappings', () => {
    const { machine, object, one } = shared();
    const memory = machine.spawn();
    memory.map(0, 8, { object });
    one.touch(0, 'write', { pages: 8, stamp: 10 });
    memory.write(2, 99);
    memory.read(3);
    machine.punch(object, 0, 8);
    expect([memory.holds(2), memory.at(3).kind, memory.resident]).toEqual([99, 'none', [1, 0, 0, 0]]);
  });
  it('is also what MADV_REMOVE makes, of shared mappings that may be written', () => {
    const { machine, object, one, two } = shared();
    one.touch(0, 'write', { pages: 8, stamp: 10 });
    two.read(1000);
    expect([one.advise(2, 2, MADV_REMOVE), two.at(1002).kind, two.at(1001).kind]).toEqual([
      'ok',
      'none',
      'file',
    ]);
    const memory = machine.spawn();
    memory.map(0, 8, { object });
    memory.map(20, 8);
    expect([memory.advise(0, 8, MADV_REMOVE), memory.advise(20, 8, MADV_REMOVE)]).toEqual([
      'not-shared',
      'not-shared',
    ]);
  });
  it('takes only what a mapping has of it', () => {
    const { machine, object, one } = shared();
    one.touch(0, 'write', { pages: 64, stamp: 10 });
    const memory = machine.spawn();
    memory.map(0, 8, { object, shared: true, pgoff: 16 });
    memory.touch(0, 'read', { pages: 8 });
    machine.punch(object, 0, 20);
    expect([memory.kinds(0, 4), memory.kinds(4, 4), memory.resident[2]]).toEqual([['none'], ['file'], 4]);
  });
});

describe('a file that gets shorter', () => {
  it('takes its pages out of every mapping, copies in private ones too', () => {
    const { machine, object, one } = shared();
    const memory = machine.spawn();
    memory.map(0, 8, { object });
    one.touch(0, 'write', { pages: 8, stamp: 10 });
    memory.write(2, 98);
    memory.write(5, 99);
    machine.truncate(object, 4);
    expect([memory.holds(2), memory.at(5).kind, one.resident[2], machine.kernel.frames.nrUsed]).toEqual([
      98,
      'none',
      4,
      5,
    ]);
    expect([memory.read(5), one.write(4), one.write(3)]).toEqual(['BUS_ADRERR', 'BUS_ADRERR', 'hit']);
  });
  it('is zero there when it gets longer again', () => {
    const { machine, object, one } = shared();
    one.touch(0, 'write', { pages: 8, stamp: 10 });
    machine.truncate(object, 4);
    machine.truncate(object, 8);
    expect([one.read(5), one.holds(5), one.holds(3)]).toEqual(['shmem-new', 0, 13]);
  });
});

describe('shared anonymous memory', () => {
  it('is shared with the child, and gone with its last mapping', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 8, { shared: true });
    memory.touch(0, 'write', { pages: 8, stamp: 10 });
    const child = memory.fork();
    memory.exit();
    expect([machine.kernel.frames.nrUsed, child.read(3), child.holds(3)]).toEqual([8, 'shmem-around', 13]);
    child.unmap(0, 8);
    expect(machine.kernel.frames.nrUsed).toBe(0);
  });
});
