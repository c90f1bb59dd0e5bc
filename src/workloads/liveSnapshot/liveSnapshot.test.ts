import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { ModelBug } from '../../base/assert.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { Simulation } from '../../machine/index.ts';
import { type Features, LINUX_6_18 } from '../../mm/index.ts';
import { runThreaded, type ThreadedRun, type ThreadedWorkload } from '../threaded.ts';
import { type ParamValue, settleParams } from '../workload.ts';
import { LIVE_SNAPSHOT } from './liveSnapshot.ts';
import type { MethodName } from './method.ts';
import { runScript, type Script, type ScriptStep } from './script.ts';

/** A small guest with holes. */
const SMALL = { size: 2 ** 25, touched: 20, cluster: 64 };

function run(
  given: Readonly<Record<string, ParamValue>>,
  of: { seed?: number; workload?: ThreadedWorkload; features?: Features } = {},
): ThreadedRun {
  const { workload = LIVE_SNAPSHOT, seed = 1, features = LINUX_6_18 } = of;
  const params = settleParams(workload, { ...SMALL, ...given });
  return runThreaded({ workload, params }, { calibration: CALIBRATION, seed, features });
}
const figure = (came: ThreadedRun, name: string): number => came.figures[name] ?? Number.NaN;
const lost = (given: Readonly<Record<string, ParamValue>>): number => figure(run(given), 'pages lost');

/** Plays steps on 16 pages and returns the pages that were lost, and why. */
function play(method: MethodName, use: Script['use'], steps: readonly ScriptStep[]): string[] {
  const script: Script = {
    shape: { nrPages: 16, backing: 'anon', hugepage: false },
    method,
    use,
    finding: 'scan',
    steps,
  };
  const result = runScript(new Simulation({ calibration: CALIBRATION, contents: 'fingerprint' }), script);
  if ('refused' in result) return [result.refused];
  return result.lost.map(({ page, why, held, saved }) => `${page} ${why} ${held} ${saved}`);
}
const write = (page: number): ScriptStep => ({ step: 'write', page });
const read = (page: number): ScriptStep => ({ step: 'read', page });
const discard = (page: number): ScriptStep => ({ step: 'discard', page });
const save = (first: number, end: number): ScriptStep => ({ step: 'save', first, end });
const ARM: ScriptStep = { step: 'arm' };
const ROUND: ScriptStep = { step: 'round' };

describe('a snapshot of one moment, step by step', () => {
  // Page 1 was written, 2 only read, 3 never touched; then all three are written. Page 4 is written behind its save.
  const holes = [write(1), read(2), ARM, write(1), write(2), write(3), save(0, 8), write(4)];

  it('with the default protection loses what was not there', () => {
    expect(play('wp-default', 'snapshot', holes)).toEqual(['3 not-there 0 4']);
  });

  it('loses nothing where holes are protected, read in before, or left to a child', () => {
    for (const method of ['wp-unpopulated', 'pre-read', 'populate-read', 'fork'] as const)
      expect(play(method, 'snapshot', holes)).toEqual([]);
  });

  it('loses what is given back before it is saved, unless a child has it', () => {
    const balloon = [write(1), write(2), ARM, save(0, 2), discard(1), discard(2)];
    expect(play('wp-unpopulated', 'snapshot', balloon)).toEqual(['2 discarded 2 0']);
    expect(play('fork', 'snapshot', balloon)).toEqual([]);
  });
});

describe('copying until little is left, step by step', () => {
  const again = [write(1), ARM, save(0, 16), write(1), write(2), ROUND, write(2), write(1)];

  it('finds every store again that is noticed', () => {
    for (const method of ['wp-unpopulated', 'pre-read', 'populate-read', 'wp-async'] as const)
      expect(play(method, 'precopy', again)).toEqual([]);
  });

  it('misses stores to what was not there when it was protected, and copies an old page', () => {
    expect(play('wp-default', 'precopy', again)).toEqual(['2 not-there 4 0']);
  });

  it('misses pages given back, but for those that a scan finds without their marker', () => {
    const balloon = [write(1), ARM, save(0, 16), discard(1)];
    expect(play('wp-unpopulated', 'precopy', balloon)).toEqual(['1 discarded 0 1']);
    expect(play('wp-async', 'precopy', balloon)).toEqual([]);
  });
});

describe('live-snapshot', () => {
  it('loses pages with wp-default and with no other method', () => {
    expect(lost({ method: 'wp-default' })).toBeGreaterThan(0);
    for (const method of ['fork', 'pre-read', 'populate-read', 'wp-unpopulated', 'wp-async'])
      expect(lost({ method })).toBe(0);
  });

  it('names pages that were lost, and why', () => {
    const { simulation, figures } = run({ method: 'wp-default' });
    expect(simulation.remarks[0]).toMatch(
      /^lost page \d+: not there when it was protected; memory held 0, the snapshot holds \d+$/,
    );
    expect(figures['  not there when it was protected']).toBe(figures['pages lost']);
  });

  it('marks every page that is not there, and makes the tables for that', () => {
    const came = run({ method: 'wp-unpopulated', touched: 0, writers: 0 });
    const pages = SMALL.size / PAGE_SIZE;
    expect(figure(came, 'markers set')).toBe(pages);
    expect(figure(came, 'tables made by arming, kB')).toBe((pages / 512) * 4);
    expect(figure(run({ method: 'wp-default', touched: 0, writers: 0 }), 'markers set')).toBe(0);
  });

  it('prepares longest with reads of every page, and stops the guest for the protection', () => {
    const [unpopulated, populated, read] = ['wp-unpopulated', 'populate-read', 'pre-read'].map((method) =>
      figure(run({ method }), 'to arm, µs'),
    ) as [number, number, number];
    expect(unpopulated).toBeLessThan(populated);
    expect(populated).toBeLessThan(read);
  });

  it('works without reads of what is there: QEMU reads all of it', () => {
    expect(lost({ method: 'wp-unpopulated', find: 'read' })).toBe(0);
    expect(lost({ method: 'wp-default', find: 'read' })).toBeGreaterThan(0);
  });

  it('of shared memory is none of the moment with fork, and needs no feature with userfaultfd', () => {
    expect(lost({ method: 'fork', backing: 'shmem' })).toBeGreaterThan(0);
    expect(lost({ method: 'wp-default', backing: 'shmem' })).toBe(0);
  });

  it('of a file says that the kernel refuses it, and scans work', () => {
    const came = run({ method: 'wp-unpopulated', backing: 'file' });
    expect(came.figures).toEqual({ 'refused by the kernel': 1 });
    expect(came.simulation.remarks).toEqual(['refused: UFFDIO_REGISTER: EINVAL (not-anonymous)']);
    expect(lost({ method: 'wp-async', backing: 'file' })).toBe(0);
  });

  it('tells which kernel has not got the method', () => {
    const features: Features = { ...LINUX_6_18, wpUnpopulated: 'off' };
    expect(run({ method: 'wp-unpopulated' }, { features }).simulation.remarks[0]).toMatch(
      /^refused: UFFDIO_API/,
    );
  });

  it('copies in rounds, fewer pages each time', () => {
    for (const method of ['wp-async', 'wp-unpopulated']) {
      const came = run({ method, use: 'precopy', threshold: 8 });
      expect(figure(came, 'pages lost')).toBe(0);
      expect(figure(came, 'rounds')).toBeGreaterThan(1);
    }
    expect(lost({ method: 'wp-default', use: 'precopy' })).toBeGreaterThan(0);
  });

  it('splits huge pages that are written one by one', () => {
    const given = { method: 'wp-unpopulated', hugepage: 'on', cluster: 512 };
    const came = run(given);
    expect(figure(came, 'huge mappings split')).toBeGreaterThan(0);
    expect(figure(came, 'huge pages at the end')).toBeLessThan(figure(came, 'huge pages before'));
  });

  it('with soft-dirty bits says that nobody measured them, and stops the guest in every round', () => {
    const features: Features = { ...LINUX_6_18, softDirty: 'on' };
    const [soft, scanned] = [
      run({ method: 'soft-dirty' }, { features }),
      run({ method: 'wp-async' }, { features }),
    ];
    expect(soft.simulation.remarks[0]).toMatch(/^unmeasured/);
    expect([figure(soft, 'pages lost'), figure(soft, 'markers set')]).toEqual([0, 0]);
    expect(figure(soft, 'guest stopped, µs')).toBeGreaterThan(2 * figure(scanned, 'guest stopped, µs'));
    expect(run({ method: 'soft-dirty' }).simulation.remarks[0]).toMatch(/^refused: the kernel keeps no/);
  });

  it('with the bit turned around needs no markers, but does not hear of pages given back', () => {
    const features: Features = { ...LINUX_6_18, wpAsync: 'inverted' };
    const came = run({ method: 'wp-async' }, { features });
    expect([figure(came, 'pages lost'), figure(came, 'markers set')]).toEqual([0, 0]);
    const given = { method: 'wp-async', balloon: 20_000 };
    expect(figure(run(given, { features }), '  given back, and nobody was told')).toBeGreaterThan(0);
    expect(lost(given)).toBe(0);
  });

  it('with marks one level up makes no table until a page is written, and protects as well', () => {
    const features: Features = { ...LINUX_6_18, wpUnpopulated: 'pmdMarkers' };
    expect(figure(run({ method: 'wp-unpopulated', anywhere: 100 }, { features }), 'pages lost')).toBe(0);
    const given = { method: 'wp-unpopulated', touched: 0, writers: 0 };
    const came = run(given, { features });
    expect(figure(came, 'tables made by arming, kB')).toBe(0);
    expect(figure(run(given), 'tables made by arming, kB')).toBe((SMALL.size / 2 ** 21) * 4);
    expect(figure(came, 'to arm, µs')).toBeLessThan(figure(run(given), 'to arm, µs'));
  });

  it('without the huge zero page takes memory for every hole that is read in', () => {
    const given = { method: 'populate-read', hugepage: 'on', touched: 0, writers: 0 };
    const features: Features = { ...LINUX_6_18, hugeZeroPage: 'off' };
    expect(figure(run(given, { features }), 'pages allocated')).toBe(SMALL.size / PAGE_SIZE);
    expect(figure(run(given), 'pages allocated')).toBe(0);
  });

  it('restores the guest page by page', () => {
    const came = run({ method: 'wp-unpopulated', restore: 500 });
    expect(figure(came, 'restored: pages copied')).toBeGreaterThan(50);
    expect(figure(came, 'restored: zero pages')).toBeGreaterThan(200);
  });

  it('is the same run with the same seed, and another one with another', () => {
    const [a, b, c] = [1, 1, 2].map((seed) => run({ balloon: 20_000 }, { seed }));
    expect(JSON.stringify(a?.report)).toBe(JSON.stringify(b?.report));
    expect(a?.figures).toEqual(b?.figures);
    expect(c?.report.elapsedNs).not.toBe(a?.report.elapsedNs);
  });

  it('notices a word that nobody stored', () => {
    const broken: ThreadedWorkload = {
      ...LIVE_SNAPSHOT,
      *main(t, params, prng) {
        yield* t.spawn('vandal', function* (v) {
          yield* v.sleep(3_000_000);
          const { frames } = t.simulation.kernel;
          for (let pfn = 1; pfn < 200; pfn++)
            if (frames.stamp(pfn) !== 0) frames.contents.setWord(pfn, 0, 999_999_999);
        });
        return yield* LIVE_SNAPSHOT.main(t, params, prng);
      },
    };
    expect(() => run({ method: 'pre-read', touched: 100 }, { workload: broken })).toThrow(ModelBug);
  });
});
