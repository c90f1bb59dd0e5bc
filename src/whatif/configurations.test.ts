import { describe, expect, it } from 'vitest';
import { UsageError } from '../base/assert.ts';
import type { Op } from '../machine/index.ts';
import { LINUX_6_18 } from '../mm/index.ts';
import { type Configuration, configurations, mergeTrials, parseVary } from './configurations.ts';
import { findRewrite } from './rewrites.ts';

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

  it('both, when both are asked for', () => {
    const found = configurations({ base, settings: [PGOFF], vary: [parseVary('pages=1,2')] });
    expect(labels(found)).toEqual([
      'pages=1',
      'pages=1 mergePgoffOnMove',
      'pages=2',
      'pages=2 mergePgoffOnMove',
    ]);
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

describe('mremap=relocate', () => {
  const { rewritten } = findRewrite('mremap=relocate');
  const mremap = (flags: number): Op => ({
    call: 'mremap',
    addr: 0,
    oldLen: 1,
    newLen: 1,
    flags,
    newAddr: 0,
  });
  it('asks for relocation where a move is allowed', () => {
    expect(rewritten(mremap(1))).toEqual(mremap(9));
    expect(rewritten(mremap(3))).toEqual(mremap(11));
    expect(rewritten(mremap(0))).toBeNull();
    expect(rewritten({ call: 'munmap', addr: 0, len: 1 })).toBeNull();
  });
  it('is the only rule', () => {
    expect(() => findRewrite('mremap=copy')).toThrow("no rewrite 'mremap=copy'");
  });
});
