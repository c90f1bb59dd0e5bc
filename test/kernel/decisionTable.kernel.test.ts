import { beforeAll, describe, expect, it } from 'vitest';
import { DECISION_TABLE, type DecisionRow } from '../../src/experiments/decisionTable.ts';
import type { Case } from '../spec/caseFile.ts';
import { compareCase } from '../spec/compareCase.ts';
import { caseOfRow } from '../spec/decisionCases.ts';
import { leaveOut } from './leftOut.ts';
import { buildOracle, type OracleRun, runOracle, whyNoOracle } from './oracle.ts';

const rows: readonly DecisionRow[] = DECISION_TABLE.filter(({ modelOnly }) => modelOnly === null);
const why = whyNoOracle();

describe.runIf(why === null)('column B of the decision table is what the running kernel does', () => {
  const cases: readonly Case[] = rows.map(caseOfRow);
  let run: OracleRun;
  beforeAll(() => {
    run = runOracle(buildOracle(), cases);
  });

  it.each(rows.map(({ nr, title }, i) => [nr, title, i] as const))('%s %s', (_nr, _title, i) => {
    const observation = run.observations[i];
    expect(observation?.notes).toEqual([]);
    expect(compareCase(cases[i] as Case, observation?.steps ?? [])).toEqual({
      differences: [],
      modelOnly: 0,
    });
  });

  it('in nearly every row: the others are about switches, files and pages that it does not have', () => {
    expect(DECISION_TABLE.length - rows.length).toBeLessThanOrEqual(8);
  });
});

it('is asked about the decision table', (context) => {
  if (why !== null) leaveOut(context, `column B of the decision table: ${why}`);
  expect(why).toBeNull();
});
