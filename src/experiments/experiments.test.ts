import { describe, expect, it } from 'vitest';
import { COSTS } from '../../test/support/calibration.ts';
import { LINUX_6_18, type MmEvent } from '../mm/index.ts';
import { filesInMemory, vmaInternals } from '../replay/index.ts';
import type { EndState } from '../replay/item.ts';
import { smapsEntries } from '../replay/smaps.ts';
import { settleParams } from '../workloads/index.ts';
import { FailedMerges } from './failedMerges.ts';
import { EXPERIMENTS, type KernelLoads } from './index.ts';
import { kernelPairs } from './kernelPairs.ts';
import { type Figure, rowOf } from './row.ts';
import { SEED_004 } from './seed004.ts';
import { exploreSharing } from './sharingStates.ts';
import { playSituation } from './situation.ts';

describe('a row', () => {
  const holds = (figure: Partial<Figure>): boolean =>
    rowOf({ name: 'x', modelled: 100, unit: 'vmas', ...figure }).holds;

  it.each<[string, Partial<Figure>, boolean]>([
    ['without a reference holds', {}, true],
    ['holds where it is exact', { measured: 100 }, true],
    ['is exact unless it says otherwise', { measured: 101 }, false],
    ['may be off by a share of the reference', { measured: 104, tolerance: 0.05 }, true],
    ['may not be off by more', { measured: 106, tolerance: 0.05 }, false],
    ['must agree with every reference', { measured: 100, published: 99 }, false],
    ['must be within its bounds', { within: [1, 99] }, false],
    [
      'of shares is held by the difference',
      { unit: 'share', modelled: 0, published: 0.027, tolerance: 0.03 },
      true,
    ],
    ['of shares may fail, too', { unit: 'share', modelled: 0.06, published: 0.027, tolerance: 0.03 }, false],
  ])('%s', (_what, figure, expected) => {
    expect(holds(figure)).toBe(expected);
  });

  it('has null where there is nothing', () => {
    expect(rowOf({ name: 'x', modelled: 1, unit: 'vmas' })).toEqual({
      name: 'x',
      published: null,
      measured: null,
      modelled: 1,
      unit: 'vmas',
      tolerance: 0,
      holds: true,
      note: null,
      prices: null,
      known: null,
    });
  });
});

describe('small states', () => {
  const bound = { depth: 4, pages: 2, processes: 3 };
  const both = { ...LINUX_6_18, mergePgoffOnMove: 'on', mergeAcrossAnonVma: 'on' } as const;

  it('have no page that is shared behind the back of the anon_vma, with and without the proposal', () => {
    expect(exploreSharing(bound)).toMatchObject({ missed: 0, smallestMissed: null });
    expect(exploreSharing({ ...bound, features: both })).toMatchObject({ missed: 0, smallestMissed: null });
  });

  it('have vmas that the anon_vma refuses although nothing is shared; the smallest takes three operations', () => {
    const { cautious, smallestCautious } = exploreSharing(bound);
    expect(cautious).toBeGreaterThan(100);
    expect(smallestCautious).toEqual(['A writes page 0', 'A forks B', 'A writes page 0']);
    expect(exploreSharing({ ...bound, depth: 2 }).cautious).toBe(0);
  });

  it('are the same ones each time, and more of them with more operations', () => {
    expect(exploreSharing({ ...bound, depth: 3 })).toEqual(exploreSharing({ ...bound, depth: 3 }));
    const states = [0, 1, 2, 3].map((depth) => exploreSharing({ ...bound, depth }).states);
    expect(states).toEqual([...states].sort((a, b) => a - b));
    expect(states[0]).toBe(1);
  });
});

describe('failed merges', () => {
  const count = (events: readonly Partial<MmEvent>[]): FailedMerges['counts'] => {
    const failed = new FailedMerges();
    for (const event of events) failed.add(event as MmEvent);
    return failed.counts;
  };
  const merge = (predecessor: string, successor = 'none', more = {}): Partial<MmEvent> =>
    ({
      kind: 'vmaMerge',
      cause: 'mremap',
      merged: false,
      predecessor,
      successor,
      both: 'not-tried',
      ...more,
    }) as never;
  const move = (pgoffUpdate: string): Partial<MmEvent> => ({ kind: 'vmaMove', pgoffUpdate }) as never;

  it('are attempts in which nothing but offset, anon_vma or forks is in the way', () => {
    expect(
      count([merge('pgoff-gap'), merge('flags-differ', 'gap'), merge('gap', 'anon-vma-differs')]),
    ).toEqual({
      failed: 2,
      bySharing: 0,
    });
    expect(count([merge('join-null', 'join-null', { merged: true, both: 'anon-vma-differs' })]).failed).toBe(
      1,
    );
  });

  it('fail by sharing where the anon_vma is shared, or where a move kept its offset because of it', () => {
    expect(count([merge('anon-vma-shared', 'fork-child')])).toEqual({ failed: 1, bySharing: 1 });
    expect(count([merge('pgoff-gap'), move('shared-anon-vma')])).toEqual({ failed: 1, bySharing: 1 });
    expect(count([merge('pgoff-gap'), move('kept')])).toEqual({ failed: 1, bySharing: 0 });
    expect(count([merge('pgoff-gap'), merge('gap'), move('shared-page')])).toEqual({
      failed: 1,
      bySharing: 0,
    });
  });
});

describe('blocked pairs as the kernel showed them', () => {
  const block = (at: string, perms: string, flags: string, name = ''): string =>
    `${at} ${perms} 00000000 00:00 0 ${name}\nRss:  4 kB\nVmFlags: ${flags} \n`;
  const smaps =
    block('10000-11000', 'rw-p', 'rd wr mr mw me ac') +
    block('11000-12000', 'rw-p', 'rd wr mr mw me ac gu') +
    block('12000-13000', 'rw-p', 'rd wr mr mw me ac') +
    block('13000-14000', 'rw-p', 'rd wr mr mw me ac') +
    block('14000-15000', 'r--p', 'rd mr mw me ac') +
    block('16000-17000', 'r--p', 'rd mr mw me ac');
  const line = (at: string, pgoff: string, anonVma: string): string =>
    `${at} flags=73 pgoff=${pgoff} anon_vma=${anonVma} root=${anonVma} parent=${anonVma} children=1 vmas=1 chain=1 file=-\n`;
  const vmas =
    line('10000-11000', '10', 'a1') +
    line('11000-12000', '11', 'a2') +
    line('12000-13000', '99', 'a2') +
    line('13000-14000', '13', 'a3') +
    line('14000-15000', '14', '-') +
    line('16000-17000', '16', '-');
  const files = filesInMemory('x', { 'smaps.end': smaps, 'vmas.end': vmas });
  const end = (withVmas: boolean): EndState =>
    ({
      smaps: [...smapsEntries(files, 'smaps.end')],
      vmas: withVmas ? [...vmaInternals(files, 'vmas.end')] : null,
    }) as unknown as EndState;

  it('are told apart where the recording has page offsets and anon_vmas', () => {
    expect(kernelPairs(end(true))).toEqual({
      vmas: 6,
      pairs: 3,
      kinds: { anonVma: 1, pgoff: 1, both: 1 },
    });
  });

  it('are only counted where it has not, and not at all without smaps', () => {
    expect(kernelPairs(end(false))).toEqual({ vmas: 6, pairs: 3, kinds: null });
    expect(kernelPairs({ ...end(false), smaps: null })).toBeNull();
  });
});

describe('a situation', () => {
  it('says which call was refused and does nothing after it', () => {
    const { refused, vmas } = playSituation('map 0 2 rw pf; remap 5 1 1 mf 9; unmap 0 2', {
      features: LINUX_6_18,
    });
    expect(refused).toBe('EFAULT');
    expect(vmas).toHaveLength(1);
  });

  it.each([
    ['fly 0 1', "no operation 'fly'"],
    ['map 0 1 rq pf', "unknown letter 'q'"],
  ])('refuses %s', (steps, message) => {
    expect(() => playSituation(steps, { features: LINUX_6_18 })).toThrow(message);
  });
});

describe('a row', () => {
  it('that does not hold may have a reason that is known; one that holds has none', () => {
    const known = 'it is so';
    const row = (modelled: number) => rowOf({ name: 'x', unit: 'KiB', measured: 10, modelled, known });
    expect([row(11), row(10)].map((each) => [each.holds, each.known])).toEqual([
      [false, known],
      [true, null],
    ]);
  });
});

describe('seed 004', () => {
  const run = (given: Record<string, number>, kernel: KernelLoads | null = null) =>
    SEED_004.run({
      params: settleParams({ name: 'seed 004', params: SEED_004.params }, given),
      recordings: [],
      costs: COSTS,
      kernel,
      timed: null,
      progress: () => {},
    });

  it('is among the experiments', () => {
    expect(EXPERIMENTS.map(({ seed }) => seed)).toEqual(['000', '001', '002', '003', '004']);
  });

  it('has measured figures only for the sizes they were measured with', () => {
    const { rows } = run({ pages: 60, operations: 300, depth: 2 });
    expect(rows.map(({ measured }) => measured)).toEqual(rows.map(() => null));
    expect(rows.filter(({ holds }) => !holds)).toEqual([]);
  });

  it('asks the kernel with the same orders and sizes, and a row that the kernel contradicts does not hold', () => {
    const asked: unknown[] = [];
    const kernel: KernelLoads = {
      reserveCommit: (order) => asked.push(order.length),
      realloc: (load) => asked.push(load),
      slide: (load) => asked.push(load),
      protect: () => expect.unreachable(),
      lostStores: () => expect.unreachable(),
      nsAPage: () => expect.unreachable(),
      vmasAtLimit: () => expect.unreachable(),
      moveRefused: () => expect.unreachable(),
      compaction: () => expect.unreachable(),
      slideSwapped: () => expect.unreachable(),
    };
    const { rows } = run({ pages: 60, operations: 300, depth: 2 }, kernel);
    expect(asked).toEqual([
      60,
      60,
      60,
      { operations: 300, touch: 'none', hole: 10 },
      { operations: 300, touch: 'all', hole: 10 },
      { operations: 300, touch: 'half', hole: 10 },
      { pages: 60, sources: 'one' },
      { pages: 60, sources: 'independent' },
    ]);
    expect(rows.filter(({ measured }) => measured !== null).map(({ holds }) => holds)).toEqual(
      Array(8).fill(false),
    );
  });
});
