import { describe, expect, it } from 'vitest';
import arenaThreads from '../../examples/workloads/arena-threads.ts';
import ownGc from '../../examples/workloads/own-gc.ts';
import pageServer from '../../examples/workloads/page-server.ts';
import { CALIBRATION } from '../../test/support/calibration.ts';
import { ModelBug } from '../base/assert.ts';
import { PAGE_SIZE, TASK_SIZE } from '../base/units.ts';
import { LINUX_6_18 } from '../mm/index.ts';
import { runThreaded, type ThreadedRun, type ThreadedWorkload } from './threaded.ts';
import { type ParamValue, settleParams } from './workload.ts';

function run(
  workload: ThreadedWorkload,
  given: Record<string, ParamValue>,
  options: Partial<Parameters<typeof runThreaded>[1]> = {},
): ThreadedRun {
  const params = settleParams(workload, given);
  return runThreaded({ workload, params }, { calibration: CALIBRATION, ...options });
}
const counted = ({ report }: ThreadedRun, what: string): number =>
  report.throughput.find((each) => each.what === what)?.count ?? 0;

describe('own-gc', () => {
  it('collects while the mutator reads, and both bring pages back', () => {
    const came = run(ownGc, { pages: 64, cycles: 2 });
    expect(counted(came, 'reads')).toBeGreaterThan(100);
    const byMutator = came.figures['pages brought by the mutator'] ?? 0;
    expect(byMutator).toBeGreaterThan(0);
    expect(byMutator).toBeLessThan(128);
  });

  it('is the same run with the same seed, and another one with another', () => {
    const [a, b, c] = [1, 1, 2].map((seed) => run(ownGc, { pages: 16, cycles: 2 }, { seed }).report);
    expect(JSON.stringify(a)).toBe(JSON.stringify(b));
    expect(c?.elapsedNs).not.toBe(a?.elapsedNs);
  });

  it('notices a byte that was flipped', () => {
    const broken: ThreadedWorkload = {
      ...ownGc,
      *main(t, params, prng) {
        yield* t.spawn('vandal', function* (w) {
          yield* w.sleep(1_000_000);
          const { frames } = t.simulation.kernel;
          const found: number[] = [];
          t.mm?.pages.forEach(0, TASK_SIZE, (_addr, _low, high) => found.push(high));
          // Every object of one page.
          for (let at = 0; at < PAGE_SIZE; at += 16) frames.contents.setWord(found[3] ?? 0, at, 77_777_777);
        });
        return yield* ownGc.main(t, params, prng);
      },
    };
    expect(() => run(broken, { pages: 16, cycles: 20 })).toThrow(ModelBug);
  });
});

describe('arena-threads', () => {
  it('is faster with arenas, and they wait for mmap_lock less', () => {
    const few = { buffers: 40 };
    const waited = ({ report }: ThreadedRun): number =>
      report.locks
        .filter(({ name }) => name === 'mmap_lock')
        .reduce((sum, { waitedNs }) => sum + waitedNs, 0);
    const [byMmap, byArena] = [run(arenaThreads, few), run(arenaThreads, { ...few, allocator: 'arena' })];
    expect(counted(byMmap, 'buffers')).toBe(80);
    expect(byArena.report.elapsedNs).toBeLessThan(byMmap.report.elapsedNs);
    expect(waited(byArena)).toBeLessThan(waited(byMmap) / 5);
  });

  it('waits for the faults of other threads in the vma it changes, where vmas are locked one by one', () => {
    const features = { ...LINUX_6_18, perVmaLocks: 'off' } as const;
    const contended = ({ report }: ThreadedRun): number =>
      report.locks.find(({ name, mode }) => name === 'vma lock' && mode === 'write')?.contended ?? 0;
    expect(contended(run(arenaThreads, {}))).toBeGreaterThan(50);
    expect(contended(run(arenaThreads, {}, { features }))).toBe(0);
  });
});

describe('page-server', () => {
  it('serves every page, with fewer requests in batches', () => {
    const [one, eight] = [run(pageServer, { pages: 40 }), run(pageServer, { pages: 40, batch: 8 })];
    expect([counted(one, 'pages'), one.figures['requests']]).toEqual([80, 80]);
    expect([counted(eight, 'pages'), eight.figures['requests']]).toEqual([80, 10]);
    expect(eight.report.elapsedNs).toBeLessThan(one.report.elapsedNs);
  });

  it('runs on one CPU with switches and no wake-ups', () => {
    const { report } = run(pageServer, { pages: 20 }, { cpus: 1 });
    expect(report.cpus).toHaveLength(1);
    expect(report.cpus[0]?.switches).toBeGreaterThan(40);
  });
});
