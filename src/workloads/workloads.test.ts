import { describe, expect, it } from 'vitest';
import { ModelBug, UsageError } from '../base/assert.ts';
import { Machine, type Op, type Outcome, type Step } from '../machine/index.ts';
import {
  type Features,
  Kernel,
  LINUX_6_18,
  type Mm,
  pageAt,
  verifyAnonVmas,
  verifyMm,
  vmaRows,
} from '../mm/index.ts';
import {
  FIRST_TASK,
  findWorkload,
  parseWorkloadSpec,
  runWorkload,
  settleParams,
  Task,
  WORKLOADS,
  type Workload,
} from './index.ts';

interface Ran {
  readonly mm: Mm;
  readonly steps: readonly (Step & { readonly outcome: Outcome })[];
}

function run(text: string, on: Partial<Features> = {}, config: { maxMapCount?: number } = {}): Ran {
  const machine = new Machine(new Kernel({ ...LINUX_6_18, ...on }, config));
  const steps: (Step & { readonly outcome: Outcome })[] = [];
  const spec = parseWorkloadSpec(text);
  const process = runWorkload(machine, spec, 1, (_nr, step, outcome) => steps.push({ ...step, outcome }));
  const mm = process.mm as Mm;
  verifyMm(mm);
  verifyAnonVmas(machine.processes.flatMap((each) => (each.mm === null ? [] : [each.mm])));
  return { mm, steps };
}

const PATCH_4 = { mergePgoffOnMove: 'on' } as const;
const PATCH_5 = { mergeAcrossAnonVma: 'on' } as const;
const readWrite = (mm: Mm): number => vmaRows(mm).filter(({ perms }) => perms === 'rw-p').length;

describe('reserve-commit', () => {
  // What the running kernel has after the same orders: cases RNDa to RNDc of test/spec/vma.cases.
  it.each([
    [1, 325],
    [2, 346],
    [3, 334],
  ])('leaves with order %i the vmas that the kernel leaves', (seed, vmas) => {
    expect(run(`workload:reserve-commit,seed=${seed}`).mm.mapCount).toBe(vmas);
    expect(run(`workload:reserve-commit,seed=${seed}`, PATCH_4).mm.mapCount).toBe(vmas);
    expect(run(`workload:reserve-commit,seed=${seed}`, PATCH_5).mm.mapCount).toBe(1);
  });

  it('commits blocks, the last one smaller, with and without MAP_NORESERVE', () => {
    const { mm, steps } = run('workload:reserve-commit,pages=10,block=4,noreserve=yes', PATCH_5);
    expect(steps.filter(({ op }) => op.call === 'mprotect')).toHaveLength(3);
    expect(vmaRows(mm).map(({ perms, flagCodes }) => `${perms} ${flagCodes}`)).toEqual([
      'rw-p rd wr mr mw me nr',
    ]);
  });

  it('ends where the map limit refuses a commit', () => {
    const { mm, steps } = run('workload:reserve-commit', {}, { maxMapCount: 100 });
    expect(mm.mapCount).toBe(100);
    expect(steps.at(-1)?.outcome).toMatchObject({ kind: 'errno', errno: 'ENOMEM', why: 'map-count' });
  });
});

describe('realloc', () => {
  // Linux 6.18.44, experiment `merge`: vmas at the end, moves, growth in place, shrinks, frees.
  it.each([
    ['none', 901],
    ['all', 1707],
    ['half', 1699],
  ])('with touch=%s leaves exactly the vmas that were measured', (touch, vmas) => {
    const { mm, steps } = run(`workload:realloc,touch=${touch}`);
    expect(readWrite(mm)).toBe(vmas);
    const counts = { moves: 0, inPlace: 0, shrinks: 0, frees: 0 };
    for (const { op, outcome } of steps) {
      if (op.call === 'munmap') counts.frees++;
      if (op.call !== 'mremap' || outcome.kind !== 'value') continue;
      if (op.newLen <= op.oldLen) counts.shrinks++;
      else if (outcome.value === op.addr) counts.inPlace++;
      else counts.moves++;
    }
    // One munmap makes the hole.
    expect(counts).toEqual({ moves: 17_346, inPlace: 5865, shrinks: 6440, frees: 4290 + 1 });
  });

  it('merges as if it had never been written with both patches, and nearly so with the offsets alone', () => {
    expect(readWrite(run('workload:realloc', { ...PATCH_4, ...PATCH_5 }).mm)).toBe(901);
    expect(readWrite(run('workload:realloc', PATCH_4).mm)).toBe(962);
    expect(readWrite(run('workload:realloc', PATCH_5).mm)).toBe(1702);
  });
});

describe('slide', () => {
  it.each([
    ['one', {}, 50],
    ['one', PATCH_4, 1],
    ['one', PATCH_5, 50],
    ['independent', {}, 50],
    ['independent', PATCH_4, 50],
    ['independent', { ...PATCH_4, ...PATCH_5 }, 1],
  ] as const)(
    'of pages from %s source(s) with %o leaves %i vmas and every page its contents',
    (sources, on, vmas) => {
      const { mm } = run(`workload:slide,pages=50,sources=${sources}`, on);
      expect(mm.mapCount).toBe(vmas);
      const start = vmaRows(mm)[0]?.start ?? 0;
      const stamps = Array.from({ length: 50 }, (_, i) => pageAt(mm, start + i * 4096).stamp);
      expect(stamps).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    },
  );
});

describe('fork-server', () => {
  it('keeps memory apart that children share, whatever the proposal', () => {
    const both = { ...PATCH_4, ...PATCH_5 };
    const alone = run('workload:fork-server,children=0', both).mm.mapCount;
    const forked = run('workload:fork-server,children=4', both).mm.mapCount;
    expect(alone).toBeLessThan(run('workload:fork-server,children=0').mm.mapCount / 2);
    expect(forked).toBeGreaterThan(2 * alone);
  });

  it('has so many children alive at a time', () => {
    const { steps } = run('workload:fork-server,blocks=5,children=3,rounds=10');
    let alive = 0;
    let most = 0;
    for (const { op } of steps) {
      if (op.call === 'clone') alive++;
      if (op.call === 'exit_group') alive--;
      most = Math.max(most, alive);
    }
    expect({ most, alive }).toEqual({ most: 3, alive: 0 });
  });
});

describe('every workload', () => {
  it.each(WORKLOADS.map(({ name }) => name))('%s does the same again with the same seed', (name) => {
    const small: Record<string, string> = {
      'reserve-commit': 'pages=100',
      realloc: 'slots=50,operations=1000',
      slide: 'pages=20',
      'fork-server': 'blocks=10,rounds=5',
    };
    const text = `workload:${name},${small[name]}`;
    expect(run(text).steps).toEqual(run(text).steps);
    expect(findWorkload(name)?.text.length).toBeGreaterThan(50);
  });
});

describe('the text of a workload', () => {
  it('takes sizes, words and defaults', () => {
    expect(parseWorkloadSpec('workload:reserve-commit,pages=2K,noreserve=yes').params).toEqual({
      pages: 2048,
      block: 1,
      noreserve: 'yes',
      seed: 0,
    });
    expect(settleParams(findWorkload('slide') as Workload, { pages: 7 })).toEqual({
      pages: 7,
      sources: 'one',
    });
  });

  it.each([
    ['workload:nothing', "there is no workload 'nothing'", 'reserve-commit, realloc, slide, fork-server'],
    ['workload:slide,size=3', "has no parameter 'size'", 'one of pages, sources'],
    ['workload:slide,pages', "'pages' is no parameter", 'key=value'],
    ['workload:slide,pages=many', 'pages=many is not possible', 'pages=NUMBER from 1 to 1048576 (pages)'],
    ['workload:slide,pages=0', 'pages=0 is not possible', 'from 1'],
    ['workload:slide,pages=1.5', 'pages=1.5 is not possible', 'from 1'],
    ['workload:realloc,touch=some', 'touch=some is not possible', 'touch=all|none|half'],
  ])('refuses %s', (text, problem, wanted) => {
    const error = (() => {
      try {
        return parseWorkloadSpec(text);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).message).toContain(problem);
    expect((error as UsageError).wanted).toContain(wanted);
  });
});

describe('a task', () => {
  const workload = (program: Workload['program']): Workload => ({
    name: 'own',
    title: '',
    text: '',
    params: {},
    program,
  });
  const running = (program: Workload['program']) => () =>
    runWorkload(new Machine(new Kernel()), { workload: workload(program), params: {} }, 1);

  it('says which call was refused, where and why', () => {
    expect(
      running(function* () {
        yield* new Task(FIRST_TASK).munmap(0x1001, 4096);
      }),
    ).toThrow('munmap(0x1001, 4096) of the workload was refused: EINVAL (unaligned)');
    expect(
      running(function* () {
        yield* new Task(FIRST_TASK).touch(0x7000);
      }),
    ).toThrow('touch(0x7000, 4096) of the workload ended in SIGSEGV (SEGV_MAPERR) at 0x7000');
    expect(
      running(function* () {
        yield* new Task(99).touch(0x7000);
      }),
    ).toThrow('a thread that does not exist');
  });

  it('hands an expected refusal over as a value', () => {
    const seen: Outcome[] = [];
    const op: Op = { call: 'munmap', addr: 1, len: 1 };
    running(function* () {
      seen.push(yield* new Task(FIRST_TASK).attempt(op));
    })();
    expect(seen).toEqual([{ kind: 'errno', errno: 'EINVAL', why: 'unaligned' }]);
  });

  it('takes an end state that is not what the program must have for a bug', () => {
    expect(
      running(function* () {
        const w = new Task(FIRST_TASK);
        yield* w.expectMemory(yield* w.mmap(4096), 4096);
      }),
    ).toThrow(ModelBug);
    expect(
      running(function* () {
        const w = new Task(FIRST_TASK);
        yield* w.expectNothing(yield* w.mmap(4096));
      }),
    ).toThrow('[workload-end]');
  });
});
