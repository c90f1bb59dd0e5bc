/** The way back from a frame to the entries that map it. */
import { describe, expect, it } from 'vitest';
import { BASE, Machine, type Memory, oneProcess, TABLE_PAGES as T } from '../../test/support/memory.ts';
import { MADV_COLLAPSE, PROT_READ } from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { walkRmap } from './rmap.ts';

/** Returns who maps `pfn`: the number of the process, from 0, and the page; in that order. */
function mappers(machine: Machine, pfn: number): string[] {
  const found: string[] = [];
  walkRmap(machine.kernel, pfn, (mm, vma, addr) => {
    expect(vma.start <= addr && addr < vma.end && vma.mm === mm).toBe(true);
    found.push(`${machine.mms.indexOf(mm)}:${(addr - BASE) / PAGE_SIZE}`);
  });
  return found.sort();
}
const written = (pages = 4): Memory => {
  const memory = oneProcess();
  memory.map(0, pages);
  memory.touch(0, 'write', { pages });
  return memory;
};

describe('a walk from an anonymous page', () => {
  it('meets the entry that maps it, not its neighbours', () => {
    const memory = written();
    expect(mappers(memory.machine, memory.pfn(2))).toEqual(['0:2']);
  });
  it('meets all processes after fork, and those that still have it after a copy', () => {
    const memory = written();
    const child = memory.fork();
    const pfn = memory.pfn(2);
    child.fork();
    expect(mappers(memory.machine, pfn)).toEqual(['0:2', '1:2', '2:2']);
    child.write(2);
    expect([mappers(memory.machine, pfn), mappers(memory.machine, child.pfn(2))]).toEqual([
      ['0:2', '2:2'],
      ['1:2'],
    ]);
  });
  it('follows moves, splits and merges of its vma, each process for itself', () => {
    const memory = written();
    const child = memory.fork();
    const pfn = memory.pfn(2);
    memory.move(2, 100, 2);
    child.protect(1, 1, PROT_READ);
    expect([mappers(memory.machine, pfn), mappers(memory.machine, child.pfn(1))]).toEqual([
      ['0:100', '1:2'],
      ['0:1', '1:1'],
    ]);
    memory.move(100, 2, 2);
    expect([mappers(memory.machine, pfn), memory.mm.mapCount]).toEqual([['0:2', '1:2'], 1]);
  });
  it('does not meet a mapping that lost the page', () => {
    const memory = written();
    const child = memory.fork();
    const pfn = memory.pfn(2);
    memory.unmap(0, 4);
    memory.map(0, 4);
    memory.write(2);
    expect(mappers(memory.machine, pfn)).toEqual(['1:2']);
    child.exit();
    expect(mappers(memory.machine, memory.pfn(2))).toEqual(['0:2']);
  });
  it('meets both vmas of one process that share its anon_vma only where the page is', () => {
    const memory = written(8);
    memory.protect(4, 4, PROT_READ);
    expect(memory.vma(0).anonVma).toBe(memory.vma(4).anonVma);
    expect([mappers(memory.machine, memory.pfn(1)), mappers(memory.machine, memory.pfn(5))]).toEqual([
      ['0:1'],
      ['0:5'],
    ]);
  });
});

describe('a walk from a huge page', () => {
  it('meets each mapping once a page, mapped at once or not', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0);
    const child = memory.fork();
    child.protect(7, 1, PROT_READ);
    expect([memory.at(0).isHuge, child.at(0).isHuge]).toEqual([true, false]);
    const head = memory.pfn(0);
    expect([mappers(memory.machine, head + 7), mappers(memory.machine, head)]).toEqual([
      ['0:7', '1:7'],
      ['0:0', '1:0'],
    ]);
  });
  it('tells whether another process maps any page of it', () => {
    const memory = oneProcess();
    memory.mapHuge(0, T);
    memory.write(0);
    const head = memory.pfn(0);
    expect(memory.machine.kernel.frames.isMaybeShared(head)).toBe(false);
    const child = memory.fork();
    child.unmap(0, T - 1);
    expect(memory.machine.kernel.frames.isMaybeShared(head)).toBe(true);
    child.exit();
    expect(memory.machine.kernel.frames.isMaybeShared(head)).toBe(false);
  });
});

describe('a walk from a page of a file', () => {
  it('meets every mapping of it, in whatever place and process, private ones too', () => {
    const machine = new Machine();
    const [first, second] = [machine.spawn(), machine.spawn()];
    const object = machine.memfd(8);
    first.map(0, 8, { object, shared: true });
    first.map(20, 4, { object, shared: true, pgoff: 4 });
    second.map(50, 8, { object });
    first.write(5);
    first.read(21);
    second.read(55);
    const pfn = first.pfn(5);
    expect(mappers(machine, pfn)).toEqual(['0:21', '0:5', '1:55']);
    // A copy is a page of its own.
    second.write(55);
    expect([mappers(machine, pfn), mappers(machine, second.pfn(55))]).toEqual([['0:21', '0:5'], ['1:55']]);
  });
  it('does not meet mappings of another file, or of other pages', () => {
    const machine = new Machine();
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.memfd(4), shared: true });
    memory.map(4, 4, { object: machine.memfd(4), shared: true });
    memory.write(1);
    memory.write(5);
    expect([mappers(machine, memory.pfn(1)), mappers(machine, memory.pfn(5))]).toEqual([['0:1'], ['0:5']]);
  });
  it('meets huge mappings', () => {
    const machine = new Machine();
    const [first, second] = [machine.spawn(), machine.spawn()];
    const object = machine.memfd(T);
    first.map(0, T, { object, shared: true });
    second.map(T, T, { object, shared: true });
    first.write(5);
    first.advise(0, T, MADV_COLLAPSE);
    second.read(T + 9);
    expect([first.at(5).isHuge, second.at(T + 9).isHuge]).toEqual([true, true]);
    expect(mappers(machine, first.pfn(8))).toEqual(['0:8', `1:${T + 8}`]);
  });
});
