import { describe, expect, it } from 'vitest';
import { EINVAL } from '../abi/errno.ts';
import {
  MAP_ANONYMOUS,
  MAP_DROPPABLE,
  MAP_FIXED,
  MAP_LOCKED,
  MCL_FUTURE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { Kernel } from './kernel.ts';
import { mlockall } from './mlock.ts';
import { Mm } from './mm.ts';
import { mmap } from './mmap.ts';
import { verifyMm } from './verify.ts';
import { vmFlagCodes } from './vmFlags.ts';

const B = 0x1000_0000_0000;

function droppable(mm: Mm, flags: number): number {
  const request = { addr: B, len: 0x4000, prot: PROT_READ | PROT_WRITE, file: null, offset: 0, chosen: null };
  return mmap(mm, { ...request, flags: MAP_DROPPABLE | MAP_ANONYMOUS | MAP_FIXED | flags }).ret;
}

describe('MAP_DROPPABLE', () => {
  it('refuses MAP_LOCKED', () => {
    expect(droppable(new Mm(new Kernel()), MAP_LOCKED)).toBe(-EINVAL);
  });
  it('is mapped unlocked after mlockall(MCL_FUTURE)', () => {
    const mm = new Mm(new Kernel());
    mlockall(mm, MCL_FUTURE);
    expect(droppable(mm, 0)).toBe(B);
    expect(vmFlagCodes(mm.vmas.first?.flags ?? 0)).toBe('rd wr mr mw me nr wf dd dp');
    expect(mm.lockedVm).toBe(0);
    verifyMm(mm);
  });
});
