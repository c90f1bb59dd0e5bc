/**
 * The specification of userfaultfd ends with 100 numbered cases. Each has rows of uffd.cases, whose names begin with its number; each row runs on the
 * model and on the running kernel, but for those that are named here, whose titles say where not, and why.
 */
import { describe, expect, it } from 'vitest';
import type { Case } from './caseFile.ts';
import { loadUffdCases, whyNotOn } from './pageCases.ts';

const NR_CASES = 100;
/** Rows that only the kernel runs: its scanner of equal pages is not modelled (docs/scope.md). */
const KERNEL_ALONE: readonly string[] = ['U51b'];
const rows = loadUffdCases();

/** Returns the number of the case that a row is about. */
const numberOf = (c: Case): number => Number(/^U(\d+)[a-z]?$/.exec(c.id)?.[1] ?? Number.NaN);

const rowsOf = (nr: number): Case[] => rows.filter((c) => numberOf(c) === nr);

describe('each numbered case of the specification has rows', () => {
  it.each(Array.from({ length: NR_CASES }, (_, i) => [i + 1, rowsOf(i + 1).map(({ id }) => id)] as const))(
    '%i: %s',
    (nr, ids) => {
      expect(ids.filter((id) => !KERNEL_ALONE.includes(id))).not.toEqual([]);
      for (const row of rowsOf(nr)) {
        expect(row.steps.length).toBeGreaterThan(1);
        expect(whyNotOn('kernel', row), row.id).toBeNull();
        if (!KERNEL_ALONE.includes(row.id)) expect(whyNotOn('model', row), row.id).toBeNull();
      }
    },
  );

  it('and no row is about another', () => {
    const others = rows.filter((c) => !(numberOf(c) >= 1 && numberOf(c) <= NR_CASES));
    expect(others.map(({ id }) => id)).toEqual([]);
  });
});
