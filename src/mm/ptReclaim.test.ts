/** Who frees empty page tables: the numbered cases of spec/pt-reclaim.md 6 that are not about Linux as it is; each `it` begins with its numbers. */
import { describe, expect, it } from 'vitest';
import { BASE, GIB_PAGES, Machine, type Memory, RW, TABLE_PAGES as T } from '../../test/support/memory.ts';
import { EINVAL, ENOMEM } from '../abi/errno.ts';
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_PAGEOUT,
  MADV_PT_RECLAIM,
  MADV_PT_RECLAIM_MARK,
  MADV_PT_RECLAIM_UNMARK,
  PROT_READ,
} from '../abi/mman.ts';
import { VRANGE_NOVOLATILE, VRANGE_VOLATILE } from '../abi/vrange.ts';
import { PAGE_SIZE } from '../base/units.ts';
import type { Features } from './features.ts';
import { madvise } from './madvise.ts';
import { settleTables } from './ptReclaim.ts';
import { type ScanStop, scanTables } from './ptScan.ts';
import type { ScanTunables } from './ptScanTunables.ts';
import { VM_UFFD_WP } from './vmFlags.ts';
import { vrange } from './vrange.ts';
import { purgeVolatile } from './vrangePurge.ts';
import { FACT, type FactName } from './work.ts';

type Policy = Features['ptReclaim'];

const world = (ptReclaim: Policy, features: Partial<Features> = {}): Memory =>
  new Machine(0, { ptReclaim, madvPtReclaim: 'on', ...features }).spawn();
const scan = (memory: Memory): ScanStop => {
  const stop = scanTables(memory.mm);
  memory.machine.verify();
  return stop;
};
/** An operation is over. */
const settle = ({ machine }: Memory): void => {
  for (const mm of machine.mms) settleTables(mm);
  machine.verify();
};
const fact = ({ machine }: Memory, name: FactName): number => machine.kernel.work.facts[FACT[name]] as number;
const tune = ({ machine }: Memory, tunables: Partial<ScanTunables>): void =>
  machine.kernel.setPtScan(tunables);

/** Writes each page of a table, and gives it back in halves: the table stays, but for the policies that look. */
function emptyInHalves(memory: Memory, table: number): void {
  memory.touch(table * T, 'write', { pages: T, step: 64 });
  memory.advise(table * T, T / 2, MADV_DONTNEED);
  memory.advise(table * T + T / 2, T / 2, MADV_DONTNEED);
  settle(memory);
}

/** Tables of a mapping that were written and given back in halves. */
function emptied(policy: Policy, tables: number, features: Partial<Features> = {}): Memory {
  const memory = world(policy, features);
  memory.map(0, tables * T);
  for (let table = 0; table < tables; table++) emptyInHalves(memory, table);
  return memory;
}

describe('the policies', () => {
  it.each([
    ['off', 40, 40],
    ['sync', 40, 8],
    ['async', 40, 40],
    ['refcount', 8, 8],
    ['sync+async', 40, 8],
  ] as const)('26: %s after halves, and after the whole', (policy, halves, whole) => {
    const memory = emptied(policy, 8);
    expect(memory.kib).toBe(halves);
    memory.advise(0, 8 * T, MADV_DONTNEED);
    settle(memory);
    expect(memory.kib).toBe(whole);
  });
  it('39: reuse takes a table anew each time with sync and refcount', () => {
    const made = (policy: Policy): number => {
      const memory = world(policy);
      memory.map(0, T);
      for (let i = 0; i < 10; i++) {
        memory.touch(0);
        memory.advise(0, T, MADV_DONTNEED);
        settle(memory);
      }
      return fact(memory, 'pteTablesAllocated');
    };
    expect([made('off'), made('sync'), made('async'), made('refcount')]).toEqual([1, 10, 1, 10]);
  });
  it('41: what lazy freeing emptied goes with refcount and with a scan', () => {
    const left = (policy: Policy): number => {
      const memory = world(policy);
      memory.map(0, 2 * T);
      memory.touch(0, 'write', { pages: 2 * T, step: 32 });
      memory.advise(0, 2 * T, MADV_FREE);
      memory.advise(0, 2 * T, MADV_PAGEOUT);
      settle(memory);
      if (policy === 'async') scan(memory);
      return memory.mm.pages.nrPtes;
    };
    expect([left('sync'), left('refcount'), left('async')]).toEqual([2, 0, 0]);
  });
  it('38: fork copies empty tables, unless they were freed', () => {
    const off = emptied('off', 8);
    expect([off.fork().kib, off.kib]).toEqual([40, 40]);
    const scanned = emptied('async', 8);
    scan(scanned);
    expect(scanned.fork().kib).toBe(8);
  });
  it('a guard marker, removed, leaves a table to refcount only', () => {
    const left = (policy: Policy): number => {
      const memory = world(policy);
      memory.map(0, T);
      memory.advise(0, T, MADV_GUARD_INSTALL);
      memory.advise(0, T, MADV_GUARD_REMOVE);
      settle(memory);
      return memory.mm.pages.nrPtes;
    };
    expect([left('sync'), left('refcount')]).toEqual([1, 0]);
  });
});

describe('the scan', () => {
  it('frees what is empty, and nothing else', () => {
    const memory = emptied('async', 8);
    memory.write(3 * T + 5, 77);
    expect(scan(memory)).toEqual({ vmas: 1, tables: 8, freed: 7, isWhole: true });
    expect([memory.holds(3 * T + 5), memory.mm.pages.nrPtes, memory.kib]).toEqual([77, 1, 12]);
  });
  it('28: leaves tables at the edges of a vma, and those that several share; MADV_PT_RECLAIM does not', () => {
    const memory = world('async');
    memory.map(T / 2, T);
    memory.touch(T / 2, 'write', { pages: T, step: 64 });
    memory.advise(T / 2, T, MADV_DONTNEED);
    expect(scan(memory)).toEqual({ vmas: 0, tables: 0, freed: 0, isWhole: true });
    const shared = world('async');
    shared.map(0, T);
    shared.touch(0, 'write', { pages: T, step: 64 });
    shared.protect(100, 1, PROT_READ);
    shared.advise(0, T, MADV_DONTNEED);
    scan(shared);
    expect([shared.mm.pages.nrPtes, shared.advise(0, T, MADV_PT_RECLAIM), shared.kib]).toEqual([
      1,
      'ok',
      4 + 4,
    ]);
  });
  it('29: stops at the end of the vma in which it came far enough, or exactly there', () => {
    const whole = emptied('async', 6);
    tune(whole, { size: 2 * 2 ** 21 });
    whole.map(100 * T, T);
    expect(scan(whole)).toEqual({ vmas: 1, tables: 6, freed: 6, isWhole: false });
    expect(scan(whole)).toEqual({ vmas: 1, tables: 0, freed: 0, isWhole: true });
    const exact = emptied('async', 6);
    tune(exact, { size: 2 * 2 ** 21, stop: 'exact' });
    expect([scan(exact).tables, scan(exact).tables, scan(exact).freed, exact.mm.pages.nrPtes]).toEqual([
      2, 2, 2, 0,
    ]);
  });
  it('31: passes by what is registered for write-protection, unless it is told to look', () => {
    const memory = emptied('async', 2);
    memory.vma(0).flags |= VM_UFFD_WP;
    expect(scanTables(memory.mm).tables).toBe(0);
    tune(memory, { scanUffdWp: true });
    expect(scanTables(memory.mm).freed).toBe(2);
  });
  it('32: with madvise only what was marked; a process may say otherwise, and its child does too', () => {
    const memory = emptied('async', 4, { ptReclaimMode: 'madvise' });
    expect(scan(memory).tables).toBe(0);
    memory.advise(T, T, MADV_PT_RECLAIM_MARK);
    expect([scan(memory).freed, memory.mm.mapCount]).toEqual([1, 3]);
    memory.advise(0, 4 * T, MADV_PT_RECLAIM_UNMARK);
    expect([scan(memory).tables, memory.mm.mapCount]).toEqual([0, 1]);
    memory.mm.ptReclaim = 'always';
    const child = memory.fork();
    expect([child.mm.ptReclaim, scan(child).freed, scan(memory).freed]).toEqual(['always', 3, 3]);
    memory.mm.ptReclaim = 'never';
    emptyInHalves(memory, 0);
    expect(scan(memory).tables).toBe(0);
  });
  it('waits until it has seen a table empty often enough', () => {
    const memory = emptied('async', 2);
    tune(memory, { minAge: 1 });
    expect(scan(memory).freed).toBe(0);
    memory.touch(0);
    expect(scan(memory).freed).toBe(1);
    memory.advise(0, 1, MADV_DONTNEED);
    expect([scan(memory).freed, scan(memory).freed]).toEqual([0, 1]);
  });
  it('frees no more than it may at a time', () => {
    const memory = emptied('async', 5);
    tune(memory, { maxPerStop: 2 });
    expect([scan(memory).freed, scan(memory).freed, scan(memory).freed]).toEqual([2, 2, 1]);
  });
  it('flushes for each table, or once', () => {
    const flushes = (batchFlush: boolean): number => {
      const memory = emptied('async', 4);
      tune(memory, { batchFlush });
      const before = fact(memory, 'tlbFlushes');
      scan(memory);
      return fact(memory, 'tlbFlushes') - before;
    };
    expect([flushes(false), flushes(true)]).toEqual([4, 1]);
  });
  it('44: upper levels go where they are asked for', () => {
    const left = (upper: boolean): number => {
      const memory = world('async');
      memory.map(0, 4 * GIB_PAGES);
      for (let gib = 0; gib < 4; gib++) memory.touch(gib * GIB_PAGES);
      memory.advise(0, 4 * GIB_PAGES, MADV_DONTNEED);
      tune(memory, { upper });
      scan(memory);
      memory.machine.verify();
      return memory.mm.pages.nrPmds;
    };
    expect([left(false), left(true)]).toEqual([4, 0]);
  });
  it('42: a purged range keeps its table until it is taken back', () => {
    const memory = world('async', { vrange: 'on' });
    memory.map(0, T);
    memory.touch(0, 'write', { pages: T });
    const request = { addr: BASE, len: T * PAGE_SIZE };
    vrange(memory.mm, { ...request, mode: VRANGE_VOLATILE });
    purgeVolatile(memory.machine.kernel, Number.POSITIVE_INFINITY);
    expect(scan(memory).freed).toBe(0);
    expect(vrange(memory.mm, { ...request, mode: VRANGE_NOVOLATILE }).ret).toBe(1);
    expect(scan(memory).freed).toBe(1);
  });
});

describe('MADV_PT_RECLAIM', () => {
  it('33: rounds inward', () => {
    const memory = emptied('off', 3);
    expect([memory.advise(T / 2, 3 * T - T / 2, MADV_PT_RECLAIM), memory.mm.pages.hasTable(BASE)]).toEqual([
      'ok',
      true,
    ]);
    expect(memory.mm.pages.nrPtes).toBe(1);
  });
  it('34: leaves what holds something', () => {
    const memory = world('off');
    memory.map(0, 2 * T);
    memory.touch(0, 'write', { pages: 2 * T, stamp: 9 });
    expect([memory.advise(0, 2 * T, MADV_PT_RECLAIM), memory.kib, memory.holds(700)]).toEqual([
      'ok',
      16,
      709,
    ]);
  });
  it('goes over holes and says so, and wants whole pages', () => {
    const memory = emptied('off', 3);
    memory.unmap(T, 1);
    expect([memory.advise(0, 3 * T, MADV_PT_RECLAIM), memory.mm.pages.nrPtes]).toEqual(['hole', 0]);
    const call = (addr: number, len: number): number => madvise(memory.mm, addr, len, MADV_PT_RECLAIM).ret;
    expect([call(BASE + 1, T), call(BASE, 3 * T * PAGE_SIZE)]).toEqual([-EINVAL, -ENOMEM]);
  });
  it('is not known unless it is switched on', () => {
    const memory = world('off', { madvPtReclaim: 'off' });
    memory.map(0, T);
    expect([104, 105, 106].map((advice) => memory.advise(0, T, advice))).toEqual(Array(3).fill('bad-advice'));
  });
});

describe('35: contents', () => {
  it('are the same under every policy', () => {
    const policies: readonly Policy[] = ['off', 'sync', 'async', 'refcount', 'sync+async'];
    const memories = policies.map((policy) => world(policy));
    for (const memory of memories) memory.map(0, 4 * T);
    let seed = 7;
    const random = (n: number): number => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor(seed / 2 ** 8) % n;
    };
    for (let i = 0; i < 150; i++) {
      const [kind, table, pages] = [random(6), random(4), [1, T / 2, T][random(3)] as number];
      const page = table * T + (pages === 1 ? random(T) : 0);
      for (const memory of memories) {
        if (kind <= 1) memory.touch(page, 'write', { stamp: i });
        else if (kind === 2) memory.read(page);
        else if (kind === 3) memory.advise(page, pages, MADV_DONTNEED);
        else if (kind === 4) memory.protect(page, pages, RW);
        else scanIfAsync(memory);
        settle(memory);
      }
      const [off, ...others] = memories as [Memory, ...Memory[]];
      for (const other of others) expect(contentsOf(other)).toEqual(contentsOf(off));
      const [, , async, refcount] = memories as [Memory, Memory, Memory, Memory];
      expect(refcount.mm.pages.empties.nr).toBe(0);
      expect([refcount.kib <= async.kib, async.kib <= off.kib]).toEqual([true, true]);
    }
  });
});

const scanIfAsync = (memory: Memory): void => {
  if (memory.machine.kernel.features.ptReclaim.endsWith('async')) scan(memory);
};

/** What loads would find. */
function contentsOf(memory: Memory): string[] {
  const found: string[] = [];
  memory.mm.pages.forEach(BASE, BASE + 4 * T * PAGE_SIZE, (addr) => {
    const page = (addr - BASE) / PAGE_SIZE;
    found.push(`${page} ${memory.at(page).kind} ${memory.holds(page)}`);
  });
  return found;
}
