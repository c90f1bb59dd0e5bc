import { describe, expect, it } from 'vitest';
import { COSTS } from '../../test/support/calibration.ts';
import { MREMAP_MAYMOVE } from '../abi/mman.ts';
import { UsageError } from '../base/assert.ts';
import type { Program } from '../machine/index.ts';
import { LINUX_6_18 } from '../mm/index.ts';
import type { ReplayOp } from '../replay/index.ts';
import { PlacementOrder } from '../replay/play/placementOrder.ts';
import { FIRST_TASK, parseWorkloadSpec, settleParams, Task, type Workload } from '../workloads/index.ts';
import { metricsOf, remarksOf, sentenceOf } from './comparison.ts';
import { configurations, mergeTrials, parseVary } from './configurations.ts';
import { explainInput } from './explanation.ts';
import { type LaneResult, type RunResult, runInput } from './run.ts';
import type { ProgramRun } from './runInput.ts';

const PAGE = 4096;
const SEED_004 = configurations({
  base: LINUX_6_18,
  settings: [
    { name: 'mergePgoffOnMove', value: 'on' },
    { name: 'mergeAcrossAnonVma', value: 'on' },
  ],
});

const workload = (text: string): ProgramRun => ({
  kind: 'workload',
  name: text,
  spec: parseWorkloadSpec(text),
  seed: 1,
});

/** A program of a test as an input. */
function written(program: (w: Task) => Program): ProgramRun {
  const made: Workload = {
    name: 'written',
    title: 'a program of a test',
    text: '',
    params: {},
    *program() {
      yield* program(new Task(FIRST_TASK));
    },
  };
  return { kind: 'workload', name: 'written', spec: { workload: made, params: settleParams(made) }, seed: 1 };
}

const vmas = (result: RunResult): number[] =>
  result.lanes.map(({ processes }) => processes[0]?.vmas.end ?? 0);
const lane = (result: RunResult, i: number): LaneResult => result.lanes[i] as LaneResult;

describe('lanes side by side', () => {
  it('give each configuration its own machine', () => {
    expect(vmas(runInput(workload('workload:slide,pages=50'), SEED_004))).toEqual([50, 1, 50, 1]);
    expect(vmas(runInput(workload('workload:reserve-commit,pages=1000'), SEED_004))).toEqual([
      325, 325, 1, 1,
    ]);
  });

  it('say where they part, and as what', () => {
    const result = runInput(workload('workload:slide,pages=50'), SEED_004);
    const [, moved, across] = result.lanes;
    expect(moved?.firstDifference?.place.call).toMatch(
      /^mremap\(0x[0-9a-f]+, 4096, 4096, MREMAP_MAYMOVE\|MREMAP_FIXED, 0x/,
    );
    expect(moved?.firstDifference).toMatchObject({ baseline: expect.stringContaining('pgoff-gap') });
    expect(across?.firstDifference).toBeNull();
  });

  it('play the same when they are the same', () => {
    const same = configurations({ base: LINUX_6_18, settings: [{ name: 'mremapManyVmas', value: 'on' }] });
    const result = runInput(workload('workload:fork-server,rounds=5'), same, { verify: 'end' });
    const [one, other] = result.lanes.map(({ counts, processes }) => ({ counts, rows: processes[0]?.rows }));
    expect(other).toEqual(one);
    expect(lane(result, 1).firstDifference).toBeNull();
  });

  it('tell a call that is answered differently', () => {
    const over = written(function* (w) {
      const at = yield* w.mmap(3 * PAGE);
      yield* w.munmap(at + PAGE, PAGE);
      yield* w.touch(at);
      yield* w.touch(at + 2 * PAGE);
      yield* w.mmap(PAGE, { at: at + PAGE });
      // Two vmas for the baseline, which refuses; one where it merged across anon_vmas.
      yield* w.attempt({
        call: 'mremap',
        addr: at,
        oldLen: 3 * PAGE,
        newLen: 4 * PAGE,
        flags: MREMAP_MAYMOVE,
        newAddr: 0,
      });
    });
    const result = runInput(over, SEED_004);
    expect(result.lanes.map(({ results }) => results.differ)).toEqual([0, 0, 1, 1]);
    expect(lane(result, 2).results.first).toMatchObject({ baseline: '-1 EFAULT (crosses-vma)' });
    expect(remarksOf(result).map(({ text }) => text)).toContainEqual(
      expect.stringMatching(
        /^op 6: 0x[0-9a-f]+, baseline -1 EFAULT \(crosses-vma\); 1 call answered differently$/,
      ),
    );
  });

  it('count the end of the main process although it exits', () => {
    const result = runInput(
      written(function* (w) {
        yield* w.mmap(PAGE);
        yield* w.exit();
      }),
      SEED_004.slice(0, 1),
    );
    expect(vmas(result)).toEqual([1]);
  });

  it('of other parameters are other programs', () => {
    const found = configurations({ base: LINUX_6_18, vary: [parseVary('pages=10,20')] });
    const result = runInput(workload('workload:slide'), found);
    expect(vmas(result)).toEqual([10, 20]);
    expect(result.lanes.map(({ isOtherProgram }) => isOtherProgram)).toEqual([false, true]);
    expect(remarksOf(result)).toMatchObject([
      { label: 'pages=20', text: expect.stringContaining('another program') },
    ]);
  });

  it('refuse parameters that an input does not have', () => {
    const found = configurations({ base: LINUX_6_18, vary: [parseVary('colour=red,blue')] });
    expect(() => runInput(workload('workload:slide'), found)).toThrow(UsageError);
    const items = { kind: 'items', name: 'x', config: {}, items: () => [] } as const;
    expect(() => runInput(items, found)).toThrow('x is no workload, so there is no colour to vary');
  });
});

describe('what is said', () => {
  it('in one sentence where nothing changes', () => {
    const unmoved = written(function* (w) {
      yield* w.mmap(PAGE);
    });
    const result = runInput(unmoved, SEED_004);
    expect(sentenceOf(result)).toBe(
      'written: neither switch changes anything: at the end no neighbours differ only in offset or anon_vma; there is no mremap and no merge fails on the anon_vma.',
    );
  });

  it('of a column that changes nothing, with the reason', () => {
    expect(remarksOf(runInput(workload('workload:reserve-commit,pages=100'), SEED_004))).toMatchObject([
      { label: 'mergePgoffOnMove', text: 'changes nothing: there is no mremap' },
      { label: 'mergeAcrossAnonVma' },
      { label: 'both' },
    ]);
    expect(remarksOf(runInput(workload('workload:fork-server'), SEED_004))).toMatchObject([
      { label: 'mergePgoffOnMove' },
      {
        label: 'mergeAcrossAnonVma',
        text: expect.stringMatching(
          /^changes nothing: \d+ merges fail on the anon_vma, and none more is done with it; \d+ fail on memory shared by fork then$/,
        ),
      },
      { label: 'both' },
    ]);
  });

  it('in numbers that are called by two words', () => {
    const result = runInput(workload('workload:slide,pages=50'), SEED_004);
    const numbers = metricsOf(lane(result, 0), result, COSTS).map(
      ({ group, name, value }) => `${group} ${name} ${value}`,
    );
    expect(numbers.slice(0, 4)).toEqual([
      'vmas end 50',
      'vmas peak 75',
      'blocked pairs all 49',
      'blocked pairs only pgoff 49',
    ]);
  });
});

describe('an explanation', () => {
  const [baseline] = SEED_004;
  it('tries the proposals on each pair', () => {
    if (baseline === undefined) throw new RangeError('no baseline');
    const found = explainInput(workload('workload:slide,pages=50'), baseline, {
      trials: mergeTrials(baseline),
    });
    expect(found.trials).toEqual([
      { label: 'mergePgoffOnMove', joined: 49 },
      { label: 'mergeAcrossAnonVma', joined: 0 },
      { label: 'both', joined: 49 },
      { label: 'as mremap=relocate', joined: 49 },
    ]);
    expect(found.processes[0]?.groups).toHaveLength(1);
    expect(found.processes[0]?.groups[0]).toMatchObject({
      obstacles: 'pgoff',
      isBlockedPair: true,
      joinedBy: ['mergePgoffOnMove', 'both', 'as mremap=relocate'],
    });
  });

  it('names the operations behind offset and anon_vma', () => {
    if (baseline === undefined) throw new RangeError('no baseline');
    const { groups } =
      explainInput(workload('workload:realloc,slots=40,operations=800'), baseline).processes[0] ?? {};
    const pair = groups?.flatMap(({ pairs }) => pairs).find(({ kind }) => kind === 'both');
    expect(pair?.offsets.length).toBeGreaterThan(0);
    for (const { place } of pair?.offsets ?? []) expect(place?.call).toMatch(/^mremap\(/);
    expect(pair?.anonVmas.map(({ place }) => place?.call.split(' ')[0])).toEqual(['write', 'write']);
  });

  it('says that memory was shared when it was moved', () => {
    if (baseline === undefined) throw new RangeError('no baseline');
    const found = explainInput(workload('workload:fork-server'), baseline, { trials: mergeTrials(baseline) });
    const groups = found.processes[0]?.groups ?? [];
    expect(groups.find(({ wasSharedWhenMoved }) => wasSharedWhenMoved)).toMatchObject({ joinedBy: [] });
  });
});

describe('the order of overlapping calls', () => {
  const call = (nr: number, line: number, at: { entry: number; exit: number }, addr: number): ReplayOp => ({
    kind: 'op',
    nr,
    line,
    file: 'x',
    task: nr,
    op: { call: 'mmap', addr: 0, len: PAGE, prot: 3, flags: 0x22, fd: -1, offset: 0 },
    chosen: { addr },
    recorded: { kind: 'value', value: addr },
    ...at,
    at: at.exit,
    overlaps: true,
  });

  it('follows from an address below one that was handed out meanwhile', () => {
    const order = new PlacementOrder();
    order.took(call(1, 11, { entry: 20, exit: 30 }, 0x1000), true);
    order.took(call(2, 10, { entry: 10, exit: 40 }, 0x2000), false);
    expect([...order.placements]).toEqual([[10, 29.5]]);
    expect(order.nrFound).toBe(1);
  });

  it.each([
    ['was no surprise', false, { entry: 10, exit: 40 }, 0x2000],
    ['does not touch it', true, { entry: 10, exit: 40 }, 0x3000],
    ['was entered later', true, { entry: 31, exit: 40 }, 0x2000],
  ])('does not where the address %s', (_why, misplaced, at, addr) => {
    const order = new PlacementOrder();
    order.took(call(1, 11, { entry: 20, exit: 30 }, 0x1000), misplaced);
    order.took(call(2, 10, at, addr), false);
    expect(order.nrFound).toBe(0);
  });
});
