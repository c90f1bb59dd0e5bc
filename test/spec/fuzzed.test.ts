import { describe, expect, it } from 'vitest';
import { compareCase } from './compareCase.ts';
import { loadFuzzedCases } from './vmaCases.ts';
import { runOnModel } from './vmaModel.ts';

describe('the model answers cases that random ones were cut down to as the kernel does', () => {
  it.each(loadFuzzedCases().map((c) => [c.id, c.title, c] as const))('%s %s', (_id, _title, c) => {
    expect(compareCase(c, runOnModel(c))).toEqual({ differences: [], modelOnly: 0 });
  });
});
