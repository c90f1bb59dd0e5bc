import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { type Features, LINUX_6_18, verifyKernel } from '../../mm/index.ts';
import { runThreaded, settleParams, type ThreadedRun } from '../index.ts';
import { PURGES } from './buffers.ts';
import { EBIZZY } from './ebizzy.ts';
import { EbizzyRng } from './generator.ts';

type Given = Readonly<Record<string, string | number>>;

const SMALL = { size: '64K', chunks: 4, ms: 1, threads: 2 } as const;

function run(given: Given = {}, on: Partial<Features> = {}, cpus = 2): ThreadedRun {
  const params = settleParams(EBIZZY, { ...SMALL, ...given });
  const features = { ...LINUX_6_18, vrange: 'on' as const, ...on };
  const ran = runThreaded({ workload: EBIZZY, params }, { calibration: CALIBRATION, features, cpus });
  verifyKernel(ran.simulation.kernel, []);
  return ran;
}
const figure = (name: string, given: Given = {}, on: Partial<Features> = {}): number =>
  run(given, on).figures[name] ?? Number.NaN;

describe('the generator', () => {
  // spec/volatile-ranges.md 10.35
  it('of ebizzy returns 0 for ever, the fixed one every chunk', () => {
    const published = new EbizzyRng('published', 7);
    expect(Array.from({ length: 50 }, () => published.below(10))).toEqual(new Array(50).fill(0));
    const fixed = new EbizzyRng('fixed', 7);
    expect(new Set(Array.from({ length: 200 }, () => fixed.below(10))).size).toBe(10);
  });
});

describe('ebizzy', () => {
  it.each(PURGES)('finds every key with purge=%s', (purge) => {
    expect(figure('records', { purge, rng: 'fixed' })).toBeGreaterThan(10);
  });
  it('does so by pages, too, with the same faults', () => {
    expect(figure('faults in 100 records', { contents: 'pages' })).toBe(1600);
    expect(figure('faults in 100 records', { contents: 'words' })).toBe(1600);
  });
  it.each([
    ['jemalloc', { dirty: 0 }],
    ['jemalloc', { dirty: 10 }],
    ['jemalloc', { retain: 'no' }],
    ['jemalloc', { purge: 'vrange' }],
    ['glibc', {}],
    ['glibc', { mmapThreshold: '16K', trimThreshold: '128K' }],
  ])('works with %s %o', (allocator, more) => {
    expect(figure('records', { allocator, rng: 'fixed', ...more })).toBeGreaterThan(10);
  });
  it('takes two threads a CPU unless told', () => {
    expect(
      run({ threads: 0 }, {}, 3).report.threads.filter(({ name }) => name.startsWith('ebizzy')).length,
    ).toBe(6);
  });
  it('uses vrange where the kernel has it, and DONTNEED elsewhere', () => {
    expect(figure('faults in 100 records', { purge: 'auto' })).toBe(0);
    expect(figure('faults in 100 records', { purge: 'auto' }, { vrange: 'off' })).toBe(1600);
  });
  it('does the same again with the same seed', () => {
    expect(run({ rng: 'fixed' }).figures).toEqual(run({ rng: 'fixed' }).figures);
  });
});

describe('what a buffer costs', () => {
  // The order measured on Linux 6.18 (spec/volatile-ranges.md 7.2), 512 KiB, two threads.
  it('goes from giving back, over freeing lazily, to nothing', () => {
    const rate = (purge: string): number => figure('records a CPU second', { purge, size: '512K', ms: 4 });
    const rates = ['dontneed', 'free', 'vma-flag', 'read-lock', 'syscall', 'none'].map(rate);
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
    expect(rate('none') / rate('dontneed')).toBeGreaterThan(10);
  });
  it('faults 128 times a record of 512 KiB that was given back, else never', () => {
    const faults = (purge: string): number => figure('faults in 100 records', { purge, size: '512K', ms: 3 });
    expect(['dontneed', 'munmap', 'free', 'none', 'vrange'].map(faults)).toEqual([12_800, 12_800, 0, 0, 0]);
  });
});
