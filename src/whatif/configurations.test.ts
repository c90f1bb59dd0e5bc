import { describe, expect, it } from 'vitest';
import { UsageError } from '../base/assert.ts';
import { LINUX_6_18 } from '../mm/index.ts';
import { type Configuration, configurations, mergeTrials, parseVary } from './configurations.ts';
import { parseProbe } from './probes.ts';
import { findRewrite, REWRITES } from './rewrites.ts';

const PGOFF = { name: 'mergePgoffOnMove', value: 'on' } as const;
const ACROSS = { name: 'mergeAcrossAnonVma', value: 'on' } as const;
const base = LINUX_6_18;
const labels = (found: readonly Configuration[]): string[] => found.map(({ label }) => label);

describe('what is compared', () => {
  it('the baseline, each switch alone, all together', () => {
    const found = configurations({ base, settings: [PGOFF, ACROSS] });
    expect(labels(found)).toEqual(['baseline', 'mergePgoffOnMove', 'mergeAcrossAnonVma', 'both']);
    expect(found.map(({ features }) => [features.mergePgoffOnMove, features.mergeAcrossAnonVma])).toEqual([
      ['off', 'off'],
      ['on', 'off'],
      ['off', 'on'],
      ['on', 'on'],
    ]);
  });

  it('one switch has no column for all together', () => {
    expect(labels(configurations({ base, settings: [PGOFF] }))).toEqual(['baseline', 'mergePgoffOnMove']);
  });

  it('three changes, of which one is a rewrite, bring the switches that it needs', () => {
    const found = configurations({ base, settings: [PGOFF, ACROSS], rewrites: ['mremap=relocate'] });
    expect(labels(found)).toEqual([
      'baseline',
      'mergePgoffOnMove',
      'mergeAcrossAnonVma',
      'as mremap=relocate',
      'all',
    ]);
    expect(found.map(({ features }) => features.mremapRelocateAnon)).toEqual([
      'off',
      'off',
      'off',
      'on',
      'on',
    ]);
  });

  it('two values of one switch have no column together', () => {
    const settings = (['anonVma', 'mapcount'] as const).map(
      (value) => ({ name: 'mergeSharingCheck', value }) as const,
    );
    expect(labels(configurations({ base, settings }))).toEqual([
      'baseline',
      'mergeSharingCheck=anonVma',
      'mergeSharingCheck=mapcount',
    ]);
  });

  it('each value of what is varied, of a switch or a parameter', () => {
    const found = configurations({ base, vary: [parseVary('thp=never,always'), parseVary('pages=1,2')] });
    expect(labels(found)).toEqual([
      'thp=never pages=1',
      'thp=never pages=2',
      'thp=always pages=1',
      'thp=always pages=2',
    ]);
    expect(found.map(({ features, params }) => [features.thp, params])).toEqual([
      ['never', { pages: '1' }],
      ['never', { pages: '2' }],
      ['always', { pages: '1' }],
      ['always', { pages: '2' }],
    ]);
  });

  it('with what is set in all of them', () => {
    const found = configurations({ base, settings: [PGOFF], vary: [parseVary('pages=1,2')] });
    expect(labels(found)).toEqual(['pages=1', 'pages=2']);
    expect(found.map(({ features }) => features.mergePgoffOnMove)).toEqual(['on', 'on']);
    expect(found.map(({ changes }) => changes)).toEqual([['pages=1'], ['pages=2']]);
    expect(() =>
      configurations({ base, settings: [PGOFF], vary: [parseVary('mergePgoffOnMove=off,on')] }),
    ).toThrow('both set and varied');
  });

  it.each([
    ['thp', 'names nothing to vary'],
    ['=1,2', 'names nothing to vary'],
    ['thp=never,,always', 'names nothing to vary'],
    ['thp=never,sometimes', 'thp takes one of never, madvise, always'],
  ])('--vary %s is refused', (text, problem) => {
    expect(() => parseVary(text)).toThrow(UsageError);
    expect(() => parseVary(text)).toThrow(problem);
  });
});

describe('trials', () => {
  const [plain] = configurations({ base }) as [Configuration];
  it('are the two halves of seed 004, both, and the successor', () => {
    expect(labels(mergeTrials(plain))).toEqual([
      'mergePgoffOnMove',
      'mergeAcrossAnonVma',
      'both',
      'as mremap=relocate',
    ]);
  });
  it('leave out what is on already', () => {
    const on = { ...plain, features: { ...base, mergePgoffOnMove: 'on' } } as const;
    expect(labels(mergeTrials(on))).toEqual(['mergeAcrossAnonVma', 'as mremap=relocate']);
  });
});

describe('columns', () => {
  it('of a rewrite of which a recording does not tell all are two, the least and the most', () => {
    const found = configurations({ base, rewrites: ['free=dontneed'] });
    expect(found.map(({ label, bound }) => [label, bound])).toEqual([
      ['baseline', null],
      ['as free=dontneed, least', 'least'],
      ['as free=dontneed, most', 'most'],
    ]);
    const complete = configurations({ base, rewrites: ['free=dontneed'], isComplete: true });
    expect(labels(complete)).toEqual(['baseline', 'as free=dontneed']);
  });

  it('never make two other calls of one, nor two probes at once', () => {
    expect(labels(configurations({ base, rewrites: ['dontneed=free', 'dontneed=none'] }))).toEqual([
      'baseline',
      'as dontneed=free',
      'as dontneed=none',
    ]);
    const probes = ['snapshot:fork@5', 'snapshot:wp-default@5'];
    expect(labels(configurations({ base, probes, isComplete: true }))).toEqual([
      'baseline',
      'probe snapshot:fork@5',
      'probe snapshot:wp-default@5',
    ]);
  });

  it('all have a probe that only looks', () => {
    const found = configurations({ base, settings: [PGOFF], probes: ['bloat'] });
    expect(found.map(({ probes = [] }) => probes.map(({ name }) => name))).toEqual([
      ['probe bloat'],
      ['probe bloat'],
    ]);
  });
});

describe('rewrites and probes', () => {
  it('are refused with what there is', () => {
    expect(() => findRewrite('mremap=copy')).toThrow("no rewrite 'mremap=copy'");
    expect(() => parseProbe('bloats')).toThrow("no probe 'bloats'");
    for (const text of ['bloat:1', 'snapshot:fork', 'snapshot:spoon@1', 'dirty:fork/1s', 'dirty:wp-async/0s'])
      expect(() => parseProbe(text)).toThrow(`no probe '${text}'`);
  });
  it('are named as they are asked for', () => {
    for (const text of [
      'bloat',
      'snapshot:wp-unpopulated@12',
      'dirty:soft-dirty/100ms',
      'dirty:wp-async/50ops',
    ])
      expect(parseProbe(text).name).toBe(`probe ${text}`);
    for (const { rule, name } of REWRITES) expect(name).toBe(`as ${rule}`);
  });
});
