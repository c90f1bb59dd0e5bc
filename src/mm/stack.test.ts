import { describe, expect, it } from 'vitest';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_GROWSDOWN, MAP_NORESERVE, MAP_PRIVATE } from '../abi/mman.ts';
import { must } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { accessPage, type FaultResult } from './fault.ts';
import { exitMm } from './fork.ts';
import { Kernel, type KernelConfig } from './kernel.ts';
import { mlock } from './mlock.ts';
import { Mm } from './mm.ts';
import { mmap } from './mmap.ts';
import { verifyKernel, verifyMm } from './verify.ts';
import type { Vma } from './vma.ts';

const TOP = 0x1000_0100_0000;
const GAP = 256;
const MAPERR = { kind: 'signal', signal: 'SIGSEGV', codeName: 'SEGV_MAPERR' };
const at = (pagesBelow: number): number => TOP - pagesBelow * PAGE_SIZE;

function map(mm: Mm, addr: number, nrPages: number, flags = 0, prot = 3): Vma {
  const request = { addr, len: nrPages * PAGE_SIZE, prot, file: null, offset: 0, chosen: null };
  mmap(mm, { ...request, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags });
  return must(mm.vmas.at(addr), 'it was mapped');
}

/** A stack of four pages that ends at TOP. */
function stack(flags = 0, config: Partial<KernelConfig> = {}): { mm: Mm; vma: Vma } {
  const mm = new Mm(new Kernel(undefined, config));
  return { mm, vma: map(mm, at(4), 4, MAP_GROWSDOWN | flags) };
}
const touch = (mm: Mm, pagesBelow: number): FaultResult =>
  accessPage(mm, { addr: at(pagesBelow) + 8, access: 'write', stamp: 1 });

describe('an access below a stack', () => {
  it('moves its start down to the page, and its page offset along', () => {
    const { mm, vma } = stack();
    expect(touch(mm, 10)).toMatchObject({ kind: 'fault', what: 'anon' });
    expect([vma.start, vma.pgoff, mm.totalVm, mm.stackVm]).toEqual([at(10), at(10) / PAGE_SIZE, 10, 10]);
    expect([vma.anonVma !== null, mm.kernel.committedPages, mm.mapCount]).toEqual([true, 10, 1]);
    verifyMm(mm);
    verifyKernel(mm.kernel, [mm]);
  });
  it('keeps 256 pages from a mapping that can be accessed', () => {
    const { mm } = stack();
    map(mm, at(GAP + 20), 4);
    expect(touch(mm, 17)).toMatchObject(MAPERR);
    expect(touch(mm, 16)).toMatchObject({ kind: 'fault' });
  });
  it.each([
    ['one that nobody can access', 0, 0],
    ['another stack', MAP_GROWSDOWN, 3],
  ])('keeps nothing from %s', (_what, flags, prot) => {
    const { mm } = stack();
    map(mm, at(30), 4, flags, prot);
    expect(touch(mm, 26)).toMatchObject({ kind: 'fault' });
  });
  it.each<[string, (mm: Mm) => void]>([
    ['RLIMIT_STACK', (mm) => (mm.limits.stack = { soft: 9 * PAGE_SIZE, hard: 9 * PAGE_SIZE })],
    ['RLIMIT_AS', (mm) => (mm.limits.as = { soft: 9 * PAGE_SIZE, hard: 9 * PAGE_SIZE })],
  ])('ends at %s, with an anon_vma all the same', (_what, limit) => {
    const { mm, vma } = stack();
    limit(mm);
    expect(touch(mm, 10)).toMatchObject(MAPERR);
    expect([vma.start, vma.anonVma !== null]).toEqual([at(4), true]);
    expect(touch(mm, 9)).toMatchObject({ kind: 'fault' });
  });
  it('ends at overcommit and at locked memory', () => {
    const promised = stack(0, { overcommit: 2, totalRamPages: 40_000, overcommitRatio: 50 });
    promised.mm.limits.stack = { soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY };
    expect(touch(promised.mm, 30_000)).toMatchObject(MAPERR);
    const { mm } = stack();
    mlock(mm, at(4), 4 * PAGE_SIZE);
    mm.privileged = false;
    mm.limits.memlock = { soft: 8 * PAGE_SIZE, hard: 8 * PAGE_SIZE };
    expect(touch(mm, 9)).toMatchObject(MAPERR);
    expect(touch(mm, 8)).toMatchObject({ kind: 'fault' });
    expect(mm.lockedVm).toBe(8);
    verifyMm(mm);
  });
  it('charges growth of memory that is not VM_ACCOUNT, and nobody gives that back', () => {
    const { mm } = stack(MAP_NORESERVE);
    touch(mm, 10);
    expect([mm.kernel.committedPages, mm.kernel.committedLeak]).toEqual([6, 6]);
    verifyKernel(mm.kernel, [mm]);
    exitMm(mm);
    expect(mm.kernel.committedPages).toBe(6);
    verifyKernel(mm.kernel, []);
  });
});
