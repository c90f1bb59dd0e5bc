import { describe, expect, it } from 'vitest';
import { CALIBRATION, COSTS, measured, withDoubled } from '../../test/support/calibration.ts';
import { UsageError } from '../base/assert.ts';
import { PATH, type PathName, WORK_NAMES, Work } from '../mm/index.ts';
import { CostTable } from './cost.ts';

/** The paths whose price is another one in `table`. */
const movedIn = (table: CostTable): PathName[] =>
  WORK_NAMES.paths.filter((path) => {
    const [before, after] = [COSTS.priceOf(path), table.priceOf(path)];
    return before.callNs !== after.callNs || before.pageNs !== after.pageNs;
  });

const charged = (...charges: readonly (readonly [PathName, number, number])[]): Work => {
  const work = new Work();
  for (const [path, calls, pages] of charges) work.charge(PATH[path], calls, pages);
  return work;
};

describe('the bundled calibration', () => {
  it('prices every path, and each at more than nothing', () => {
    for (const path of WORK_NAMES.paths) {
      const { callNs, pageNs } = COSTS.priceOf(path);
      expect(pageNs, path).toBeGreaterThanOrEqual(0);
      // The lines of large calls begin below 0.
      if (!path.endsWith('-large')) expect(callNs, path).toBeGreaterThanOrEqual(0);
      expect(callNs !== 0 || pageNs !== 0, path).toBe(true);
    }
  });
});

describe('a price', () => {
  it('is the floor, and the median where there is no floor', () => {
    expect(COSTS.priceOf('fault-anon-hot')).toEqual({ callNs: 1118, pageNs: 0 });
    const primitives = CALIBRATION.primitives.map((each) =>
      each.name === 'fault_anon_write' ? { ...each, floor: null } : each,
    );
    expect(new CostTable({ ...CALIBRATION, primitives }).priceOf('fault-anon-hot').callNs).toBe(1169);
  });

  it('of a line is its fixed part a call and its slope a page', () => {
    expect(COSTS.priceOf('dontneed')).toEqual({ callNs: 1285, pageNs: 195 });
  });

  it.each<[string, readonly PathName[]]>([
    ['fault_cow_copy', ['fault-cow']],
    [
      'fault_anon_read_zero',
      [
        'fault-zero-page',
        'fault-table',
        'fault-cold-page',
        'purged-signal',
        'uffd-fault-page',
        'uffd-signal',
        'uffd-copy-again',
      ],
    ],
    [
      'madv_dontneed',
      ['cold-record', 'dontneed', 'purge', 'purged-signal', 'uffd-fault-page', 'uffd-signal'],
    ],
    ['madv_dontneed_511_none', ['dontneed-empty', 'vrange-read']],
    ['munmap', ['munmap-more-written-vmas', 'munmap-pages', 'exit-pages']],
    ['mprotect_split', ['split', 'split-written']],
    ['mremap_move_1', ['mremap-move-entries', 'mremap-split', 'mremap-dontunmap']],
    ['fork_pages', ['fork-written-vmas', 'fork-pages']],
    ['uffd_fault_copy_same_cpu', []],
    ['uffd_copy', ['uffd-copy', 'uffd-copy-again', 'uffd-copy-file']],
    ['pagemap_scan_wp_alternate', ['pagemap-scan-regions']],
    ['swap_in_half_write', ['swap-in-write']],
    ['swap_in_zero', ['fault-swap-in-zero']],
    ['swap_out_zero', ['madv-pageout-zero']],
  ])('that uses %s doubles with it, and no other one moves', (figure, paths) => {
    expect(movedIn(new CostTable(withDoubled(figure)))).toEqual(paths);
  });

  it('of userfaultfd need be there only for programs that use it', () => {
    const primitives = CALIBRATION.primitives.filter(({ name }) => name !== 'uffd_move_swapped');
    const table = new CostTable({ ...CALIBRATION, primitives });
    expect(table.priceOf('uffd-move').callNs).toBeGreaterThan(0);
    expect(() => table.priceOf('uffd-move-swapped')).toThrow('uffd_move_swapped');
  });

  it('that lacks its figure says which', () => {
    const primitives = CALIBRATION.primitives.filter(({ name }) => name !== 'fault_cow_copy');
    const models = CALIBRATION.models.filter(({ name }) => name !== 'munmap');
    expect(() => new CostTable({ ...CALIBRATION, primitives })).toThrow(UsageError);
    expect(() => new CostTable({ ...CALIBRATION, primitives })).toThrow(
      'calibration linux-6.18-x86_64 has no fault_cow_copy in primitives',
    );
    expect(() => new CostTable({ ...CALIBRATION, models })).toThrow('has no munmap in models');
  });
});

describe('the time of charges', () => {
  it('is calls and pages at their prices, the dearest path first', () => {
    const { calibration, totalNs, paths } = COSTS.timeOf(
      charged(['fault-anon-hot', 3, 3], ['dontneed', 2, 100], ['syscall', 1, 0]),
    );
    expect(calibration).toBe('linux-6.18-x86_64');
    expect(paths).toEqual([
      { path: 'dontneed', calls: 2, pages: 100, ns: 2 * 1285 + 100 * 195 },
      { path: 'fault-anon-hot', calls: 3, pages: 3, ns: 3 * 1118 },
      { path: 'syscall', calls: 1, pages: 0, ns: 164.6 },
    ]);
    expect(totalNs).toBeCloseTo(22070 + 3354 + 164.6);
  });

  it('moves by one path where its figure doubles', () => {
    const work = charged(['fault-cow', 10, 10], ['fault-anon-cold', 5, 5]);
    const [before, after] = [COSTS, new CostTable(withDoubled('fault_cow_copy'))].map((each) =>
      each.timeOf(work),
    );
    expect(after?.totalNs).toBeCloseTo((before?.totalNs ?? 0) + 10 * 1468);
    expect(after?.paths.find(({ path }) => path === 'fault-anon-cold')).toEqual(
      before?.paths.find(({ path }) => path === 'fault-anon-cold'),
    );
  });

  it('of a path that was never taken is not there', () => {
    expect(COSTS.timeOf(new Work())).toMatchObject({ totalNs: 0, paths: [] });
  });
});

describe('the parts of a measured call add up to it:', () => {
  const sum = (...parts: readonly (readonly [PathName, number, number])[]): number =>
    COSTS.timeOf(charged(...parts)).totalNs;

  it.each<[string, number]>([
    ['mprotect_split', sum(['vma-attributes', 1, 0], ['split', 0, 2])],
    ['mprotect_merge', sum(['vma-attributes', 1, 0], ['merge', 0, 2])],
    [
      'mprotect_split_faulted',
      sum(['vma-attributes', 1, 0], ['split', 0, 2], ['split-written', 0, 2], ['mprotect-read-only', 1, 1]),
    ],
    [
      'mprotect_merge_faulted',
      sum(['vma-attributes', 1, 0], ['merge', 0, 2], ['merge-written', 0, 2], ['mprotect-writable', 1, 1]),
    ],
    ['munmap_512', sum(['munmap-whole', 1, 0], ['munmap-pages', 1, 512])],
    // Measured otherwise than the parts: holds within 2 %.
    ['munmap_split_faulted', sum(['munmap-split', 1, 0], ['split-written', 0, 2], ['munmap-pages', 1, 1])],
    ['mremap_move_32768_unaligned', sum(['mremap-move-entries', 1, 32768])],
    ['mremap_move_32768_pmd', sum(['mremap-move-tables', 1, 64])],
    ['mremap_move_split_1', sum(['mremap-move-entries', 1, 1], ['mremap-split', 0, 2])],
    ['mremap_dontunmap_1', sum(['mremap-dontunmap', 1, 0], ['mremap-move-entries', 0, 1])],
    ['dontneed_1_thp_mapped', sum(['dontneed', 1, 1], ['pmd-split', 0, 1])],
    ['fork_vmas_faulted_1000', sum(['fork', 1, 0], ['fork-written-vmas', 0, 1000], ['fork-pages', 0, 1000])],
    ['fork_pages_65536', sum(['fork', 1, 0], ['fork-pages', 0, 65536])],
    ['fork_thp_128', sum(['fork', 1, 0], ['fork-huge-pages', 0, 128])],
    ['fork_vmas_1000_exit', sum(['exit', 1, 0], ['exit-vmas', 0, 1000])],
  ])('%s', (figure, parts) => {
    expect(Math.abs(parts / measured(figure) - 1)).toBeLessThan(0.02);
  });
});
