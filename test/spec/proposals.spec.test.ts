import { describe, expect, it } from 'vitest';
import type { FeatureName } from '../../src/mm/index.ts';
import { LINUX_6_18 } from '../../src/mm/index.ts';
import type { Case } from './caseFile.ts';
import { compareCase } from './compareCase.ts';
import { featuresOf, loadProposalCases } from './proposalCases.ts';
import { runOnModel } from './vmaModel.ts';

const all = loadProposalCases();

/** Tells whether a case runs as the kernel is. */
const isPlain = (c: Case): boolean => JSON.stringify(featuresOf(c)) === JSON.stringify(LINUX_6_18);

describe('the model does what the text of a proposal says', () => {
  it.each(all.map((c, i) => [c.id, c.title, i] as const))('%s %s', (_id, _title, i) => {
    const c = all[i] as Case;
    expect(compareCase(c, runOnModel(c, featuresOf(c))).differences).toEqual([]);
  });

  it('has a name for each', () => {
    expect(new Set(all.map((c) => c.id)).size).toBe(all.length);
  });
});

describe('each case is about the switch that it names', () => {
  // Where nothing of it differs with the switches off, it says nothing about them.
  it.each(all.filter((c) => !isPlain(c)).map((c) => [c.id, c] as const))('%s', (_id, c) => {
    let differs = true;
    try {
      differs = compareCase(c, runOnModel(c)).differences.length > 0;
    } catch {
      // Under other switches the case may ask for what is not there then.
    }
    expect(differs).toBe(true);
  });

  it.each([
    'mremapOnlyPages',
    'anonPgoffZero',
    'softDirty',
    'wpAsync',
    'wpUnpopulated',
  ] satisfies FeatureName[])('%s has cases', (name) => {
    expect(all.some((c) => featuresOf(c)[name] !== LINUX_6_18[name])).toBe(true);
  });
});
