/** When empty page tables go. */
import { describe, expect, it } from 'vitest';
import { MADV_DONTNEED, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { Unmodelled } from '../base/assert.ts';
import { PMD_SIZE } from '../base/units.ts';
import { type Features, LINUX_6_18 } from '../mm/features.ts';
import { Kernel } from '../mm/kernel.ts';
import { Machine } from './machine.ts';
import type { Op } from './op.ts';

const BASE = 0x2000_0000_0000;
const half = PMD_SIZE / 2;
const MAPS: Op = {
  call: 'mmap',
  addr: BASE,
  len: PMD_SIZE,
  prot: PROT_READ | PROT_WRITE,
  flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  fd: -1,
  offset: 0,
};
const TOUCHES: Op = { call: 'touch', addr: BASE, len: 1, access: 'write', by: 'user' };
const discard = (addr: number): Op => ({ call: 'madvise', addr, len: half, advice: MADV_DONTNEED });

/** A machine whose process has an empty table, given back in halves; and how many tables there are after each operation. */
function run(ptReclaim: Features['ptReclaim'], times: readonly number[] | null): { tables: number[] } {
  const machine = new Machine(new Kernel({ ...LINUX_6_18, ptReclaim }));
  const { pid, mm } = machine.spawn();
  let now = 0;
  if (times !== null) machine.tableReclaim.clock = () => now;
  const ops = [MAPS, TOUCHES, discard(BASE), discard(BASE + half), { call: 'nop' } as const];
  const tables = ops.map((op, i) => {
    now = times?.[i] ?? 0;
    machine.apply(pid, op);
    return mm?.pages.nrPtes ?? 0;
  });
  return { tables };
}

describe('a table that halves of MADV_DONTNEED left empty', () => {
  it('stays today, and goes at once where entries are counted', () => {
    expect(run('sync', null).tables).toEqual([0, 1, 1, 1, 1]);
    expect(run('refcount', null).tables).toEqual([0, 1, 0, 0, 0]);
  });
  it('goes with the first operation after the scan is due', () => {
    expect(run('async', [0, 1e6, 2e6, 99e6, 100e6]).tables).toEqual([0, 1, 1, 1, 0]);
    expect(run('async', [0, 1e6, 2e6, 98e6, 99e6]).tables).toEqual([0, 1, 1, 1, 1]);
  });
  it('cannot be scanned for where nobody knows the time', () => {
    expect(() => run('async', null)).toThrow(Unmodelled);
  });
});
