import { describe, expect, it } from 'vitest';
import type { ResultLine } from '../fuzz/runFiles.ts';
import { type CountedLine, CountedLines } from './counted.ts';

const CONFIG = { thp: 'madvise', shmemThp: 'never', overcommit: 0, maxMapCount: 65_530, swapKb: 0 };

/** What a run of seeds from `seed` on did: 200 operations a sequence, and as many results. */
function run(seed: number, sequences: number, more: Partial<ResultLine> = {}): ResultLine {
  const ops = sequences * 200;
  return {
    format: 1,
    faultline: '0.1.0',
    kernel: '6.18.44',
    config: CONFIG,
    mode: 'vma',
    draws: 'abc',
    seed,
    every: 25,
    sequences,
    ops,
    compared: { results: ops, vmas: 0, touches: 0, pages: 0, counts: 0 },
    differing: [],
    unsteady: [],
    coverage: ['predecessor:gap'],
    kernelMs: 1,
    modelMs: 1,
    ...more,
  };
}

function counted(...runs: readonly ResultLine[]): { added: string[]; lines: readonly CountedLine[] } {
  const all = new CountedLines([]);
  const added = runs.map((each) => all.add(each));
  return { added, lines: all.lines };
}

describe('results of runs', () => {
  it('are added up, and ranges of seeds that touch become one', () => {
    const { added, lines } = counted(run(1, 10), run(21, 5, { coverage: ['why:hole'] }), run(11, 10));
    expect(added).toEqual(['counted', 'counted', 'counted']);
    expect(lines.length).toBe(1);
    expect(lines[0]).toMatchObject({ seeds: [[1, 25]], sequences: 25, ops: 5000, open: [] });
    expect(lines[0]?.compared.results).toBe(5000);
    expect(lines[0]?.coverage).toEqual(['predecessor:gap', 'why:hole']);
  });

  it('count once for each seed', () => {
    const { added, lines } = counted(run(1, 10), run(1, 10), run(3, 2), run(8, 10));
    expect(added).toEqual(['counted', 'there-already', 'there-already', 'overlaps']);
    expect(lines[0]).toMatchObject({ seeds: [[1, 10]], ops: 2000 });
  });

  it('of another kernel, other settings, another mode or another drawing are other results', () => {
    const other = { ...CONFIG, thp: 'always' };
    const { added, lines } = counted(
      run(1, 10),
      run(1, 10, { kernel: '6.18.50' }),
      run(1, 10, { config: other }),
      run(1, 10, { mode: 'fork' }),
      run(1, 10, { draws: 'xyz' }),
    );
    expect(added).toEqual(Array(5).fill('counted'));
    expect(lines.length).toBe(5);
    expect(lines.map(({ kernel, mode, draws }) => `${kernel} ${mode} ${draws}`)).toEqual([
      '6.18.44 vma abc',
      '6.18.44 fork abc',
      '6.18.44 vma abc',
      '6.18.44 vma xyz',
      '6.18.50 vma abc',
    ]);
  });

  it('that differed are open until the same seed agrees', () => {
    const first = counted(run(1, 10, { differing: [4, 7], unsteady: [9] }));
    expect(first.lines[0]).toMatchObject({ open: [4, 7], closed: [], unsteady: [9] });
    const later = counted(run(1, 10, { differing: [4, 7] }), run(4, 1), run(7, 1, { differing: [7] }));
    expect(later.lines[0]).toMatchObject({ open: [7], closed: [4], ops: 2000 });
    const worse = counted(run(1, 10, { differing: [4] }), run(4, 1), run(1, 10, { differing: [4, 5] }));
    expect(worse.lines[0]).toMatchObject({ open: [4, 5], closed: [] });
  });
});

describe('sums of another place', () => {
  it('are added when no seed is the same', () => {
    const all = new CountedLines(counted(run(1, 10)).lines);
    const [there] = counted(run(100, 5, { differing: [101] })).lines;
    expect(all.merge(there as CountedLine)).toEqual([]);
    expect(all.lines[0]).toMatchObject({
      seeds: [
        [1, 10],
        [100, 5],
      ],
      ops: 3000,
      open: [101],
    });
  });

  it('are left out, and named, when some are', () => {
    const all = new CountedLines(counted(run(1, 10)).lines);
    const [there] = counted(run(5, 1), run(100, 5)).lines;
    expect(all.merge(there as CountedLine)).toEqual([[5, 1]]);
    expect(all.lines[0]).toMatchObject({ seeds: [[1, 10]], ops: 2000 });
  });
});
