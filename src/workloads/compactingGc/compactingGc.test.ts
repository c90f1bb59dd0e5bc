import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { LINUX_6_18, verifyKernel } from '../../mm/index.ts';
import { runThreaded, settleParams, type ThreadedRun } from '../index.ts';
import { COMPACTING_GC } from './compactingGc.ts';
import { STRATEGY_NAMES } from './strategies.ts';

type Given = Readonly<Record<string, string | number>>;
type Options = Omit<Parameters<typeof runThreaded>[1], 'calibration'>;

const SMALL = { heap: '2M', cycles: 2, mutators: 2 } as const;

function run(given: Given, options: Options = {}): ThreadedRun {
  const params = settleParams(COMPACTING_GC, { ...SMALL, ...given });
  return runThreaded({ workload: COMPACTING_GC, params }, { calibration: CALIBRATION, ...options });
}
const figures = (given: Given, options?: Options): Readonly<Record<string, number>> =>
  run(given, options).figures;

describe.each(STRATEGY_NAMES)('compacting with %s', (strategy) => {
  it('keeps every object, in every cycle', () => {
    const { figures: f, simulation } = run({ strategy, cycles: 3 });
    expect(f['cycles']).toBe(3);
    expect(f['objects checked']).toBeGreaterThan(3 * 4000);
    expect(f['pauses, all, µs']).toBeGreaterThan(0);
    verifyKernel(simulation.kernel, []);
  });

  it.each([
    ['messages', { sigbus: 'off' }],
    ['a registration for good', { register: 'once' }],
    ['one page a call', { pages: 1, cycles: 1 }],
    ['many threads', { mutators: 5, gc: 3 }],
    ['nobody who faults', { mutators: 0 }],
    ['no cold memory', { cold: 0, pages: 64 }],
    ['little that lives', { live: 10, fragmented: 50 }],
    ['all that lives', { live: 100, density: 100 }],
  ])('does so with %s', (_, more: Given) => {
    expect(figures({ strategy, ...more })['objects checked']).toBeGreaterThan(1000);
  });

  it('finds a byte that was flipped', () => {
    for (const seed of [1, 2, 3])
      expect(() => run({ strategy, inject: 'flip', seed, cycles: 1 })).toThrow(/^\[memory\] object \d+ /);
  });
  it('finds pages that were not handed over', () => {
    for (const seed of [1, 2, 3])
      expect(() => run({ strategy, inject: 'skip', seed, cycles: 1 })).toThrow(/^\[memory\] /);
  });
  it('gives the same figures for the same seed', () => {
    expect(figures({ strategy })).toEqual(figures({ strategy }));
    expect(figures({ strategy, seed: 2 })).not.toEqual(figures({ strategy, seed: 3 }));
  });
});

describe('what the strategies differ in', () => {
  /** Nobody but the collector: counts follow from the heap alone. */
  const alone = (strategy: string): Readonly<Record<string, number>> =>
    figures({ strategy, mutators: 0, cycles: 1, cold: 0 });

  it('pages allocated and copied', () => {
    const targets = alone('uffd-copy')['pages copied by the kernel'] as number;
    expect(alone('uffd-copy')['pages allocated']).toBe(targets + 16);
    expect(alone('uffd-move')['pages copied by the kernel']).toBe(0);
    // Some pages besides, before others come free.
    expect(alone('uffd-move')['pages allocated']).toBeLessThanOrEqual(32);
    expect(alone('uffd-move')['pages moved']).toBeGreaterThanOrEqual(targets);
    expect(alone('mremap-onlypages')).toMatchObject({
      'pages allocated': alone('uffd-move')['pages allocated'],
    });
    // Dense pages are updated in place; new pages are those that objects slide into.
    const slid = alone('uffd-continue')['pages allocated'] as number;
    expect(slid).toBeGreaterThan(0);
    expect(slid).toBeLessThan(targets);
    expect(alone('protnone')['pages allocated']).toBe(slid);
    for (const strategy of STRATEGY_NAMES)
      expect(alone(strategy)['pages copied in user space']).toBe(
        alone('uffd-move')['pages copied in user space'],
      );
  });

  it('vmas: one for each page in the worst case, or none', () => {
    const before = figures({ strategy: 'uffd-move', cycles: 1 })['vmas, peak'] as number;
    expect(before).toBeLessThan(10);
    expect(figures({ strategy: 'uffd-copy', cycles: 1 })['vmas, peak']).toBeLessThan(10);
    expect(figures({ strategy: 'uffd-continue', cycles: 1 })['vmas, peak']).toBeLessThan(10);
    expect(figures({ strategy: 'protnone', cycles: 1 })['vmas, peak']).toBeGreaterThan(2 * before);
    expect(figures({ strategy: 'mremap', cycles: 1 })['vmas, peak']).toBeGreaterThan(50);
  });

  it('cold pages: moved as they are in swap, or read', () => {
    const move = figures({ strategy: 'uffd-move', mutators: 0, cycles: 1, cold: 25 });
    expect(move['pages read from swap']).toBe(0);
    expect(move['pages written to swap']).toBe(0);
    const copy = figures({ strategy: 'uffd-copy', mutators: 0, cycles: 1, cold: 25 });
    expect(copy['pages read from swap']).toBe(64);
    expect(copy['pages written to swap']).toBe(64);
  });

  it('mremap: the next cycle is refused before 6.17, and on an armed heap', () => {
    const many = { features: { ...LINUX_6_18, mremapManyVmas: 'off' } } as const;
    expect(figures({ strategy: 'mremap' })['mremaps of the heap refused (EFAULT)']).toBe(0);
    const old = figures({ strategy: 'mremap' }, many);
    expect(old['mremaps of the heap refused (EFAULT)']).toBe(1);
    expect(old['calls in pauses']).toBeGreaterThan(20);
    const armed = figures({ strategy: 'mremap', register: 'once' });
    expect(armed['mremaps of the heap refused (EFAULT)']).toBe(1);
    expect(figures({ strategy: 'uffd-move', register: 'once' })['mremaps of the heap refused (EFAULT)']).toBe(
      0,
    );
  });

  it.each(['protnone', 'mremap'])('%s meets vm.max_map_count, and nothing is lost', (strategy) => {
    const few = figures({ strategy, cycles: 1, maps: 20 });
    expect(few['calls refused by max_map_count']).toBeGreaterThan(0);
    expect(few['vmas, peak']).toBeLessThanOrEqual(20);
    expect(figures({ strategy, cycles: 1 })['calls refused by max_map_count']).toBe(0);
  });
});

describe('options', () => {
  it('that let mremap leave more vmas than can be moved again are named', () => {
    expect(() => run({ strategy: 'mremap', maps: 40, cycles: 3 })).toThrow(/vm\.max_map_count/);
  });
  it('that leave nothing for dense regions are refused', () => {
    expect(() => run({ fragmented: 80, cold: 20 })).toThrow(/dense regions/);
  });
  it('of a profile without MOVE are refused by the kernel', () => {
    expect(() => run({ strategy: 'uffd-move' }, { features: { ...LINUX_6_18, uffdMove: 'off' } })).toThrow(
      /UFFDIO_MOVE/,
    );
  });
});
