import { beforeAll, describe, expect, it } from 'vitest';
import type { Case } from '../spec/caseFile.ts';
import { compareCase, type Verdict } from '../spec/compareCase.ts';
import { loadVmaCases } from '../spec/vmaCases.ts';
import { leaveOut } from './leftOut.ts';
import { buildOracle, memoryAndSwap, type OracleRun, runOracle, whyNoOracle } from './oracle.ts';
import type { CaseObservation } from './protocol.ts';

const TWENTY_GIB = 20 * 2 ** 30;

/** On a machine with less than 20 GiB of memory and swap the heuristic of overcommit mode 0 refuses what W03 asks for. */
const forThisMachine = (c: Case): Case =>
  c.id !== 'W03' || memoryAndSwap() >= TWENTY_GIB
    ? c
    : {
        ...c,
        steps: c.steps.map((s) =>
          s.text.includes('20G') ? { ...s, expected: { kind: 'answer', text: '-ENOMEM' } } : s,
        ),
      };

const cases = loadVmaCases().map(forThisMachine);
const why = whyNoOracle();

describe.runIf(why === null)('the running kernel, with its own structures read by BPF', () => {
  let run: OracleRun;
  beforeAll(() => {
    run = runOracle(buildOracle(), cases);
  });

  /** Committed_AS is the machine's: when something else allocates a GiB meanwhile, the case is measured again. */
  const observe = (i: number): CaseObservation => {
    const c = cases[i] as Case;
    let seen = run.observations[i] as CaseObservation;
    const shared = c.steps.some(({ step }) => step.op === 'comm');
    for (let again = 0; shared && again < 3 && compareCase(c, seen.steps).differences.length > 0; again++) {
      seen = runOracle(buildOracle(), [c]).observations[0] as CaseObservation;
    }
    return seen;
  };

  it('shows pgoff and anon_vma', () => {
    expect(run.source).toBe('bpf');
  });

  it.each(cases.map((c, i) => [c.id, c.title, i] as const))('%s %s', (_id, _title, i) => {
    const { steps, notes } = observe(i);
    expect(notes).toEqual([]);
    expect(compareCase(cases[i] as Case, steps)).toEqual({ differences: [], modelOnly: 0 });
  });
});

describe.runIf(why === null)('the running kernel, without BPF', () => {
  it('gives the same but for pgoff and anon_vma, which are then model-only', () => {
    const some = cases.filter((c) => !c.steps.some(({ step }) => step.op === 'fill'));
    const run = runOracle(buildOracle(), some, ['--smaps']);
    expect(run.source).toBe('smaps: asked for');
    const verdicts = some.map((c, i): Verdict => compareCase(c, run.observations[i]?.steps ?? []));
    expect(verdicts.flatMap((v) => v.differences)).toEqual([]);
    expect(verdicts.reduce((n, v) => n + v.modelOnly, 0)).toBeGreaterThan(500);
  });
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `cases on the running kernel: ${why}`);
  expect(why).toBeNull();
});
