import { describe, expect, it } from 'vitest';
import type { Case } from './caseFile.ts';
import { compareCase } from './compareCase.ts';
import { loadVolatileCases, whyNotOn } from './pageCases.ts';
import { runOnModel } from './vmaModel.ts';

const cases = loadVolatileCases().filter((c) => whyNotOn('model', c) === null);

describe('the model answers cases about what volatile ranges became as the kernel does', () => {
  it.each(cases.map((c, i) => [c.id, c.title, i] as const))('%s %s', (_id, _title, i) => {
    const c = cases[i] as Case;
    expect(compareCase(c, runOnModel(c)).differences).toEqual([]);
  });
});
