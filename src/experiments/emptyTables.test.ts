import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../test/support/calibration.ts';
import { CostTable } from '../machine/index.ts';
import type { Row } from './row.ts';
import { SEED_003 } from './seed003.ts';

const input = {
  params: { tables: 1024, blocks: 400, scale: 10_000 },
  recordings: [],
  kernel: null,
  timed: null,
  costs: new CostTable(CALIBRATION),
  progress: () => {},
};

describe('seed 003, small', () => {
  const rows = new Map<string, Row>(SEED_003.run(input).rows.map((row) => [row.name, row]));
  const modelled = (name: string): number => rows.get(name)?.modelled ?? Number.NaN;

  it('leaves of a loop over 2 GiB what each policy leaves', () => {
    // The program (40 KiB), two pages of the level above, 1,024 tables.
    expect(modelled('loop over 2 GiB: tables are never freed')).toBe(40 + 8 + 4096);
    expect(modelled('loop over 2 GiB: MADV_DONTNEED frees them (6.14)')).toBe(48);
    expect(modelled('loop over 2 GiB: the same, given back in halves')).toBe(40 + 8 + 4096);
    expect(modelled('loop over 2 GiB: then all of it by one MADV_DONTNEED')).toBe(48);
    expect(modelled('loop over 2 GiB: entries are counted (2021), halves')).toBe(48);
  });
  it('leaves between scans what the program empties in a period', () => {
    const kib = modelled('loop over 2 GiB: scanned every 100 ms, before a scan');
    expect(kib).toBeGreaterThan(48 + 4 * 50);
    expect(kib).toBeLessThan(48 + 4 * 400);
  });
  it('frees what an allocator left that gives back piece by piece, but for the rule of 6.14', () => {
    const share = (policy: string): number =>
      modelled(`jemalloc, dirty 0, 64 KiB, all: empty tables that go, ${policy}`);
    expect(share('sync (6.14)')).toBe(0);
    expect(share('MADV_PT_RECLAIM at the end')).toBeGreaterThan(0.8);
    expect(share('entries counted')).toBe(1);
  });
  it('needs a hundredth of the tables of the field case', () => {
    const off = modelled('field case 1:10000, off: VmPTE');
    expect(modelled('field case 1:10000, sync: VmPTE')).toBe(off);
    for (const policy of ['async', 'MADV_PT_RECLAIM at the end', 'refcount'])
      expect(modelled(`field case 1:10000, ${policy}: VmPTE`)).toBeLessThan(off / 50);
  });
});
