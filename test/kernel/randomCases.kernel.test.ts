import { describe, expect, it } from 'vitest';
import { firstDifference } from '../random/differences.ts';
import { type RandomOptions, randomCase } from '../random/randomCase.ts';
import { type RunKernel, shrink } from '../random/shrink.ts';
import { compareCase } from '../spec/compareCase.ts';
import { loadFuzzedCases } from '../spec/vmaCases.ts';
import { leaveOut } from './leftOut.ts';
import { buildOracle, runOracle, whyNoOracle } from './oracle.ts';

const why = whyNoOracle();

/** What is drawn, from which seed on, and how many cases of it. Seeds of FAULTLINE_SEED and above instead, when that is set. */
const BATCHES: readonly (readonly [name: string, options: RandomOptions, seed: number, nrCases: number])[] = [
  ['anything', { nrSteps: 40 }, 1, 60],
  [
    'small ranges and children',
    { nrSteps: 60, pages: 96, rarities: ['fork', 'guard', 'lock', 'shared', 'elsewhere'] },
    101,
    20,
  ],
  ['huge pages', { nrSteps: 60, pages: 2048, huge: true, rarities: ['guard', 'elsewhere', 'fork'] }, 201, 20],
  [
    'huge pages of shared memory',
    { nrSteps: 60, pages: 2048, huge: true, rarities: ['shared', 'lock'] },
    301,
    10,
  ],
  [
    'seals, stacks, files',
    { nrSteps: 60, rarities: ['seal', 'growsdown', 'memfd', 'file', 'stack', 'limits'] },
    401,
    20,
  ],
  ['arguments that are refused', { nrSteps: 60, rarities: ['refused', 'elsewhere'] }, 501, 20],
  ['registered memory', { nrSteps: 40, rarities: ['uffd', 'memfd', 'guard'] }, 601, 10],
];

const shift = Number(process.env['FAULTLINE_SEED'] ?? '0');

describe.runIf(why === null)('model and running kernel give the same', () => {
  const caserun = why === null ? buildOracle() : '';
  const run: RunKernel = (cases) =>
    runOracle(caserun, cases).observations.map(({ steps, notes }) => (notes.length === 0 ? steps : null));

  it.each(BATCHES)('in random cases: %s', (_name, options, seed, nrCases) => {
    const seeds = Array.from({ length: nrCases }, (_, i) => shift + seed + i);
    const cases = seeds.map((s) => randomCase(s, options));
    const seen = run(cases);
    for (const [i, c] of cases.entries()) {
      const given = seen[i] ?? null;
      const found = given === null ? 'the case did not come to its end' : firstDifference(c, given);
      if (found !== null)
        expect.unreachable(`seed ${seeds[i]}: ${JSON.stringify(shrink(c, run) ?? found, null, 1)}`);
    }
    expect(cases.flatMap((c) => c.steps).length).toBeGreaterThan(nrCases * options.nrSteps);
  });

  const fuzzed = loadFuzzedCases();
  it.each(fuzzed.map((c) => [c.id, c.title, c] as const))('%s %s', (_id, _title, c) => {
    const [{ steps, notes } = { steps: [], notes: ['no answer'] }] = runOracle(caserun, [c]).observations;
    expect(notes).toEqual([]);
    expect(compareCase(c, steps)).toEqual({ differences: [], modelOnly: 0 });
  });
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `random cases on the running kernel: ${why}`);
  expect(why).toBeNull();
});
