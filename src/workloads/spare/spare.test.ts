import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { verifyKernel } from '../../mm/index.ts';
import { type Figures, runThreaded, settleParams, type ThreadedWorkload } from '../index.ts';
import { CACHE } from './cache.ts';
import { DEEP_STACK } from './deepStack.ts';
import { MANAGED_HEAP } from './managedHeap.ts';
import { SWAPLESS } from './swapless.ts';
import { WAYS } from './ways.ts';

type Given = Readonly<Record<string, string | number>>;

function run(workload: ThreadedWorkload, given: Given): Figures {
  const params = settleParams(workload, given);
  const { figures, simulation } = runThreaded({ workload, params }, { calibration: CALIBRATION });
  verifyKernel(simulation.kernel, []);
  return figures;
}
const of = (workload: ThreadedWorkload, given: Given, name: string): number =>
  run(workload, given)[name] ?? Number.NaN;

describe('cache', () => {
  const SMALL = { objects: 16, size: '64K', accesses: 200, limit: '512K' };
  it.each(['vrange', 'free', 'dontneed'])(
    'with way=%s finds every object as it was built, or builds it',
    (way) => {
      expect(of(CACHE, { ...SMALL, way }, 'objects built again')).toBeGreaterThan(0);
    },
  );
  it('is told by SIGBUS, if it wants to', () => {
    const told = run(CACHE, { ...SMALL, use: 'sigbus' });
    expect(told['SIGBUS handled']).toBe(told['objects built again']);
    expect(told['SIGBUS handled']).toBeGreaterThan(10);
  });
  it('keeps all where memory does not get short, and loses all where it is given back', () => {
    const plenty = { ...SMALL, limit: 0 };
    for (const way of ['vrange', 'free', 'none'])
      expect(of(CACHE, { ...plenty, way }, 'objects built again')).toBe(0);
    expect(of(CACHE, { ...plenty, way: 'dontneed' }, 'objects built again')).toBeGreaterThan(150);
  });
  it('writes to swap what it keeps, and nothing that it let go', () => {
    const swapped = (way: string): number => of(CACHE, { ...SMALL, way, swap: '4M' }, 'pages swapped out');
    expect(swapped('none')).toBeGreaterThan(0);
    expect([swapped('vrange'), swapped('free')]).toEqual([0, 0]);
  });
});

describe('managed-heap', () => {
  const SMALL = { regions: 8, size: '64K', collections: 8, native: '256K' };
  it.each(WAYS)('with way=%s has in its regions what was written', (way) => {
    expect(of(MANAGED_HEAP, { ...SMALL, way }, 'regions taken')).toBeGreaterThan(30);
  });
  it('gets its regions back as they were, unless they are given back or memory is short', () => {
    const kept = (way: string, more: Given = {}): number =>
      of(MANAGED_HEAP, { ...SMALL, way, ...more }, 'of them as they were left');
    expect(kept('vrange')).toBe(kept('none'));
    expect(kept('dontneed')).toBe(0);
    expect(kept('vrange', { limit: '384K', swap: '4M' })).toBeLessThan(kept('vrange'));
  });
});

describe('deep-stack', () => {
  const SMALL = { rounds: 3 };
  it('takes least time volatile, most given back, and only that frees at once', () => {
    const both = (way: string): number => of(DEEP_STACK, { ...SMALL, way }, 'going deep again, ns');
    expect(both('vrange')).toBeLessThan(both('free'));
    expect(both('free')).toBeLessThan(both('dontneed'));
    const resident = (way: string): number =>
      of(DEEP_STACK, { ...SMALL, way }, 'resident after letting go, KiB');
    // spec/volatile-ranges.md 8 and 10.39: 60 frames of 64 KiB, measured 3,916 to 72 kB
    expect(['dontneed', 'free', 'vrange'].map(resident)).toEqual([64, 3840, 3840]);
  });
});

describe('swapless', () => {
  const SMALL = { memory: '4M', cache: '3M', need: '3M' };
  it.each(['vrange', 'free', 'dontneed'])('lives with way=%s', (way) => {
    const lives = run(SWAPLESS, { ...SMALL, way });
    expect(lives['programs killed for want of memory']).toBe(0);
    expect(lives['second program wrote, KiB']).toBe(3072);
    expect(lives['the program that caches lives']).toBe(1);
  });
  it('kills somebody where the cache is kept, unless there is swap', () => {
    const kept = run(SWAPLESS, { ...SMALL, way: 'none' });
    expect(kept['programs killed for want of memory']).toBe(1);
    const swapped = run(SWAPLESS, { ...SMALL, way: 'none', swap: '8M' });
    expect(swapped['programs killed for want of memory']).toBe(0);
    expect(swapped['objects intact']).toBe(12);
    expect(swapped['pages swapped out']).toBeGreaterThan(0);
  });
});
