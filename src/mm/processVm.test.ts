import { describe, expect, it } from 'vitest';
import { MADV_DONTNEED, MAP_ANONYMOUS, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { accessPage } from './fault.ts';
import { forkMm } from './fork.ts';
import { Kernel } from './kernel.ts';
import { madvise } from './madvise.ts';
import { Mm } from './mm.ts';
import { mmap } from './mmap.ts';
import { mprotect } from './mprotect.ts';
import { pageAt } from './pageState.ts';
import { processVm } from './processVm.ts';
import { verifyKernel, verifyMm } from './verify.ts';

const RW = PROT_READ | PROT_WRITE;

/** Returns an address space with so many pages of writable memory, and where they are. */
function world(pages: number): { kernel: Kernel; mm: Mm; at: (page: number) => number } {
  const kernel = new Kernel();
  const mm = new Mm(kernel);
  const request = { addr: 0, len: pages * PAGE_SIZE, prot: RW, flags: MAP_PRIVATE | MAP_ANONYMOUS };
  const start = mmap(mm, { ...request, offset: 0, file: null, chosen: null }).ret;
  return { kernel, mm, at: (page) => start + page * PAGE_SIZE };
}
const store = (mm: Mm, addr: number, stamp: number): void => {
  expect(accessPage(mm, { addr, access: 'write', stamp }).kind).not.toBe('signal');
};
const readAll = (mm: Mm, addr: number, len: number): number =>
  processVm(mm, mm, { ranges: [{ addr, len }], max: len, write: false, stamp: null }).ret;

describe('process_vm_readv', () => {
  it('maps the zero page where nothing is, and stops at a page without access', () => {
    const { mm, at } = world(4);
    mprotect(mm, at(2), PAGE_SIZE, PROT_NONE);
    expect(readAll(mm, at(0) + 100, 3 * PAGE_SIZE)).toBe(2 * PAGE_SIZE - 100);
    expect([pageAt(mm, at(0)).kind, pageAt(mm, at(1)).kind, mm.minFlt]).toEqual(['zeroPage', 'zeroPage', 2]);
    expect(readAll(mm, at(2), PAGE_SIZE)).toBeLessThan(0);
  });
  it('gives the process a page of its own where one was shared by fork', () => {
    const { kernel, mm, at } = world(1);
    store(mm, at(0), 7);
    const child = forkMm(mm) as Mm;
    const shared = pageAt(mm, at(0)).number;
    readAll(mm, at(0), PAGE_SIZE);
    expect(pageAt(mm, at(0)).number).not.toBe(shared);
    expect([pageAt(mm, at(0)).stamp, pageAt(child, at(0)).number]).toEqual([7, shared]);
    // It is its own, yet the next store faults once more to make it writable.
    const before = mm.minFlt;
    store(mm, at(0), 8);
    expect([mm.minFlt - before, pageAt(child, at(0)).stamp]).toEqual([1, 7]);
    verifyMm(mm);
    verifyKernel(kernel, [mm, child]);
  });
});

describe('process_vm_writev', () => {
  it('writes pages of another process, and the faults are the caller’s', () => {
    const { kernel, mm, at } = world(2);
    const child = forkMm(mm) as Mm;
    const call = { ranges: [{ addr: at(0), len: 2 * PAGE_SIZE }], max: PAGE_SIZE + 8, write: true, stamp: 5 };
    expect(processVm(mm, child, call).ret).toBe(PAGE_SIZE + 8);
    expect([pageAt(child, at(0)).stamp, pageAt(child, at(1)).stamp, pageAt(mm, at(0)).kind]).toEqual([
      5,
      5,
      'none',
    ]);
    expect([mm.minFlt, child.minFlt]).toEqual([2, 0]);
    madvise(child, at(0), PAGE_SIZE, MADV_DONTNEED);
    expect(pageAt(child, at(0)).kind).toBe('none');
    verifyKernel(kernel, [mm, child]);
  });
});
