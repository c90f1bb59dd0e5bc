import { describe, expect, it } from 'vitest';
import type { Case } from './caseFile.ts';
import { compareCase } from './compareCase.ts';
import { loadUffdCases, whyNotOn } from './pageCases.ts';
import { runOnModel } from './vmaModel.ts';

const all = loadUffdCases();
const cases = all.filter((c) => whyNotOn('model', c) === null);

describe('the model answers cases about userfaultfd as the kernel does', () => {
  it.each(cases.map((c, i) => [c.id, c.title, i] as const))('%s %s', (_id, _title, i) => {
    const c = cases[i] as Case;
    expect(compareCase(c, runOnModel(c)).differences).toEqual([]);
  });

  it('has a name for each', () => {
    expect(new Set(all.map((c) => c.id)).size).toBe(all.length);
  });
});
