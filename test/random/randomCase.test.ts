import { describe, expect, it } from 'vitest';
import type { Case } from '../spec/caseFile.ts';
import { firstDifference } from './differences.ts';
import { ON_DEMAND, RARITIES } from './draws.ts';
import { caseOf, modelCase, randomCase } from './randomCase.ts';
import { type RunKernel, shrink } from './shrink.ts';

const texts = (c: Case): string[] => c.steps.map((s) => s.text);
const answers = (c: Case) => c.steps.map((s) => s.expected);

describe('a random case', () => {
  it('is decided by its seed', () => {
    expect(texts(randomCase(7, { nrSteps: 30 }))).toEqual(texts(randomCase(7, { nrSteps: 30 })));
    expect(texts(randomCase(7, { nrSteps: 30 }))).not.toEqual(texts(randomCase(8, { nrSteps: 30 })));
  });

  it('draws every operation of the notation that it is meant to', () => {
    const drawn = new Set(
      [...RARITIES, ...ON_DEMAND].flatMap((rarity, i) =>
        texts(randomCase(i, { nrSteps: 150, rarities: [rarity] })).map((text) => text.split(' ')[0]),
      ),
    );
    const wanted =
      'map unmap prot remap touch read touchto readto adv name lock lock2 unlock lockall forkhold at drop seal mbind mbind0 ' +
      'ksmall limit brk val pfn mincore msync shmat padv uffdreg uffdunreg fd fillfd file shmget uffd uid fill tables vmas';
    expect(wanted.split(' ').filter((op) => !drawn.has(op))).toEqual([]);
  });

  it('looks after each step that may change something', () => {
    const c = randomCase(3, { nrSteps: 20, pages: 2048, rarities: [] });
    expect(texts(c).slice(0, 3)).toEqual(['map 0 2048 rw pf', 'vmas', 'tables 0 2048']);
  });
});

describe('a difference between two runs', () => {
  const operations = ['map 0 4 rw pf', 'touch 0 1', 'map 8 4 rw pf', 'touch 8 1'];
  const c = modelCase(operations, false) as Case;

  it('is none where only the names of anon_vmas differ', () => {
    const renamed = answers(c).map((e) =>
      e.kind !== 'vmas'
        ? e
        : {
            ...e,
            vmas: e.vmas.map((v) =>
              typeof v.anon === 'string'
                ? v
                : { ...v, anon: { ...v.anon, label: `${v.anon.label}7`, root: `${v.anon.root}7` } },
            ),
          },
    );
    expect(firstDifference(c, renamed)).toBeNull();
  });

  it('is the first step that differs', () => {
    const other = answers(modelCase(operations.with(2, 'map 8 4 r pf'), false) as Case);
    expect(firstDifference(c, other)).toMatchObject({ at: 5, text: 'vmas' });
  });

  it('is shrunk to what it takes', () => {
    /** A kernel that refuses to map where an odd page is asked for. */
    const run: RunKernel = (cases) =>
      cases.map((one) =>
        one.steps.map((s) =>
          /^map \d*[13579] /.test(s.text) ? { kind: 'answer', text: '-EINVAL' } : s.expected,
        ),
      );
    const long = modelCase([...operations, 'unmap 2 1', 'map 13 7 rw pf', 'prot 0 4 r'], false) as Case;
    expect(shrink(long, run)?.operations).toEqual(['map 1 1 rw pf']);
  });

  it('is not looked for in steps that make no sense', () => {
    expect(modelCase(['drop 3'], false)).toBeNull();
    expect(caseOf(['vmas']).steps).toHaveLength(1);
  });
});
