import { describe, expect, it } from 'vitest';
import type { Case } from './caseFile.ts';
import { compareCase } from './compareCase.ts';
import { loadPageCases, whyNotOn } from './pageCases.ts';
import { runOnModel } from './vmaModel.ts';

const cases = loadPageCases().filter((c) => whyNotOn('model', c) === null);

/** Cases in which the model is known to differ. One that it answers as the kernel does is to be taken off the list. */
const DIFFERS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'pages of the page cache that are referenced as such': ['FK08'],
  }).flatMap(([why, ids]) => ids.map((id) => [id, why] as const)),
);

describe('the model answers cases about pages as the kernel does', () => {
  it.each(cases.map((c, i) => [c.id, c.title, i] as const))('%s %s', (id, _title, i) => {
    const c = cases[i] as Case;
    const { differences } = compareCase(c, runOnModel(c));
    const known = DIFFERS.get(id);
    if (known !== undefined) expect(differences, `no difference any more: ${known}`).not.toEqual([]);
    else expect(differences).toEqual([]);
  });

  it('has no difference listed for a case that does not run', () => {
    const ids = new Set(cases.map((c) => c.id));
    expect([...DIFFERS.keys()].filter((id) => !ids.has(id))).toEqual([]);
  });
});
