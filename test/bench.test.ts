/**
 * Every benchmark on a tiny input, so that none can rot: it gives its rows, and two runs end in the same state.
 */
import { describe, expect, it } from 'vitest';
import { BENCHMARKS } from '../bench/benchmarks.ts';
import { References } from '../bench/references.ts';
import { median, summarize } from '../bench/rounds.ts';
import { leaveOut } from './kernel/leftOut.ts';

const references = new References();

describe('each benchmark runs', () => {
  for (const benchmark of BENCHMARKS)
    it(benchmark.rows.join(', '), () => {
      const first = benchmark.run({ tiny: true, references });
      const second = benchmark.run({ tiny: true, references });
      expect(first.map(({ bench }) => bench)).toEqual(benchmark.rows);
      expect(second.map(({ hash }) => hash)).toEqual(first.map(({ hash }) => hash));
      for (const { ours, reference, ratio, unit, hash, note } of first) {
        expect(ours).toBeGreaterThan(0);
        expect(ratio === null).toBe(reference === null);
        expect(reference === null ? note : unit).toMatch(/./);
        expect(hash).toMatch(/^[0-9a-f]{8}$/);
      }
    });
});

describe('the references', () => {
  it('do the same work on this kernel', (context) => {
    if (references.missing !== null) leaveOut(context, references.missing);
    expect(references.run('vma_pair', [40, 200])?.numbers.get('vmas')).toBe(40);
  });
});

describe('rounds', () => {
  it('take the median, and the median of the ratios of the rounds', () => {
    expect(median([5, 1, 9])).toBe(5);
    expect(summarize({ ours: [1, 2, 9], reference: [10, 4, 3] })).toEqual({
      ours: 2,
      reference: 4,
      ratio: 0.5,
    });
    expect(summarize({ ours: [3], reference: [] })).toEqual({ ours: 3, reference: null, ratio: null });
  });
});
