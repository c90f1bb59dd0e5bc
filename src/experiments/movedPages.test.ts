import { describe, expect, it } from 'vitest';
import { CALIBRATION, COSTS } from '../../test/support/calibration.ts';
import { settleParams } from '../workloads/index.ts';
import { compact, MODES } from './compaction.ts';
import type { Experiment, KernelLoads, Reproduction } from './experiment.ts';
import { lostStores } from './lostPages.ts';
import { nsAPage } from './movePages.ts';
import { calibrationOfReport, FIRST_REPORT, measuredProtect, SECOND_REPORT } from './protectFigures.ts';
import { protectRange } from './protectRange.ts';
import { pairsInOrder } from './protectRows.ts';
import { SEED_000 } from './seed000.ts';
import { SEED_001 } from './seed001.ts';

const MIB = 2 ** 20;

const run = (
  experiment: Experiment,
  given: Record<string, number>,
  kernel: KernelLoads | null = null,
): Reproduction =>
  experiment.run({
    params: settleParams({ name: `seed ${experiment.seed}`, params: experiment.params }, given),
    recordings: [],
    costs: COSTS,
    kernel,
    timed: null,
    progress: () => {},
  });

describe('a compaction', () => {
  it.each(MODES)('by %s allocates, copies and gives back what it should, and loses no page', (mode) => {
    const plan = { calibration: CALIBRATION, mode, pages: 1024, threads: 1 } as const;
    const asked = compact({ ...plan, access: 'random', batch: 1 });
    const ahead = compact({ ...plan, access: 'collector', batch: 16 });
    const [targets, gathered] = [768, 256];
    const allocated = { protnone: gathered, copy: targets, continue: gathered, move: 0 }[mode];
    const inVain = mode === 'copy' || mode === 'move' ? targets : 0;
    expect([asked.pagesAllocated, ahead.pagesAllocated]).toEqual([allocated + inVain, allocated]);
    expect(ahead.pagesCopied).toBe(mode === 'copy' ? targets : 0);
    expect(ahead.pagesGivenBack).toBe({ protnone: 512, copy: 1024, continue: 1024, move: 272 }[mode]);
    expect(asked.moreVmas > 10).toBe(mode === 'protnone');
  });

  it('is done by several collectors in less time, and with any number of pages at a time', () => {
    const plan = { calibration: CALIBRATION, mode: 'move', access: 'collector', pages: 1024 } as const;
    const alone = compact({ ...plan, batch: 48, threads: 1 });
    const together = compact({ ...plan, batch: 48, threads: 3 });
    expect(together.runNs).toBeLessThan(alone.runNs);
    expect(together.pagesAllocated).toBe(0);
  });
});

describe('UFFDIO_MOVE', () => {
  it('is cheaper than UFFDIO_COPY, and the more so the more pages an ioctl has', () => {
    const gap = (batch: number): number =>
      nsAPage(CALIBRATION, 'copy', batch) / nsAPage(CALIBRATION, 'move', batch);
    expect(gap(1)).toBeGreaterThan(1);
    expect(gap(512)).toBeGreaterThan(gap(1));
  });
});

describe('protecting a range', () => {
  const plan = { calibration: CALIBRATION, bytes: 8 * MIB, huge: false } as const;

  it('needs a table for each 2 MiB of markers, and none where nothing is protected', () => {
    expect(protectRange({ ...plan, method: 'wp-unpopulated' }).tableBytes).toBe(5 * 4096);
    expect(protectRange({ ...plan, method: 'default' }).tableBytes).toBe(0);
  });

  it('makes stores to markers fault twice', () => {
    const faults = (method: 'wp-unpopulated' | 'populate-read'): number =>
      protectRange({ ...plan, method, writesOfFour: 4 }).writeFaults;
    expect([faults('wp-unpopulated'), faults('populate-read')]).toEqual([4096, 2048]);
  });

  it('loses stores to what is not there, without markers', () => {
    expect(lostStores(CALIBRATION, 'default', 64)).toBe(32);
    expect(lostStores(CALIBRATION, 'wp-unpopulated', 64)).toBe(0);
  });

  it('was measured with two sizes', () => {
    expect(measuredProtect({ method: 'default', huge: false, bytes: MIB })).toBeNull();
    expect(measuredProtect({ method: 'no-uffd', huge: false, bytes: MIB, writesOfFour: 4 })).toBeNull();
    expect(measuredProtect({ method: 'wp-unpopulated', huge: true, bytes: 10 * 2 ** 30 })?.tableBytes).toBe(
      20_520 * 1024,
    );
  });

  it('has the order of each report with the prices of its reporter', () => {
    const order = (report: typeof FIRST_REPORT): number => {
      const calibration = calibrationOfReport(report, CALIBRATION);
      const { huge } = report;
      const ns = (method: 'default' | 'pre-read' | 'populate-read' | 'wp-unpopulated'): number => {
        const { prefaultNs, protectNs } = protectRange({ calibration, bytes: 64 * MIB, huge, method });
        return prefaultNs + protectNs;
      };
      const methods = ['default', 'pre-read', 'populate-read', 'wp-unpopulated'] as const;
      const sorted = [...methods].sort((a, b) => report.totalUs[a] - report.totalUs[b]);
      return pairsInOrder(sorted, (method) => ns(method as 'default'));
    };
    expect([order(FIRST_REPORT), order(SECOND_REPORT)]).toEqual([6, 6]);
  });
});

describe('seeds 000 and 001', () => {
  it('have rows that all hold with other sizes, and nothing measured that depends on the size', () => {
    const moved = run(SEED_000, { heap: 4, batch: 16, live: 64 });
    expect(moved.rows.filter(({ holds }) => !holds)).toEqual([]);
    expect(moved.rows.filter(({ measured }) => measured !== null).map(({ unit }) => unit)).toEqual([
      'times',
      'times',
      'vmas',
      'of 1',
      'of 1',
    ]);
    const marked = run(SEED_001, { gib: 1, later: 16, tracked: 64 });
    expect(marked.rows.filter(({ measured }) => measured !== null)).toEqual([]);
  });

  it('ask the kernel with the same sizes, and a row that the kernel contradicts does not hold', () => {
    const asked: string[] = [];
    const note = (what: string): number => {
      asked.push(what);
      return 3;
    };
    const kernel: KernelLoads = {
      reserveCommit: () => note('reserve-commit'),
      realloc: () => note('realloc'),
      slide: () => note('slide'),
      protect: ({ method, bytes }) => ({
        prefaultNs: note(`${method} ${bytes / MIB} MiB`),
        protectNs: 1,
        unprotectNs: 1,
        tableBytes: 1,
        writeNs: 1,
        writeFaults: 1,
      }),
      lostStores: ({ tracker, pages }) => note(`${tracker} ${pages}`),
      nsAPage: ({ way, batch }) => note(`${way} ${batch}`),
      vmasAtLimit: () => note('limit'),
      moveRefused: (isArmed) => note(`refused ${isArmed}`),
      compaction: ({ mode, access, pages, batch }) => ({
        armNs: note(`${mode} ${access} ${pages} ${batch}`),
        runNs: mode === 'move' ? 1e9 : 1,
        finishNs: 1,
        minorFaults: 3,
        pagesGivenBack: 3,
        moreVmas: 3,
      }),
      slideSwapped: ({ way, pages }) => ({
        ns: way === 'move' ? 1e9 : note(`slide ${pages}`),
        pagesRead: 3,
        residentKib: 3,
        pagesOutAgain: 3,
      }),
    };
    const moved = run(SEED_000, { heap: 2, live: 8 }, kernel);
    expect(asked.slice(0, 5)).toEqual([
      'protnone random 512 1',
      'copy random 512 1',
      'continue random 512 1',
      'move random 512 1',
      'protnone random-read 512 1',
    ]);
    expect(asked).toContain('move collector 512 64');
    expect(asked.slice(5 * 4 + 5)).toEqual([
      'copy 1',
      'move 1',
      'copy 512',
      'move 512',
      'limit',
      'refused false',
      'refused true',
      'slide 16',
    ]);
    const held = moved.rows.filter(({ measured }) => measured !== null).map(({ holds }) => holds);
    expect(held).toEqual(held.map(() => false));
    asked.length = 0;
    run(SEED_001, { gib: 1, later: 4, tracked: 16 }, kernel);
    expect(asked).toContain('wp-unpopulated 1024 MiB');
    expect(asked).toContain('no-uffd 4 MiB');
    expect(asked).toContain('wp-async 16');
  });
});
