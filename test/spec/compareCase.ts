/**
 * Holds what a target gave in one case against what is expected, step by step.
 */
import { MCL_CURRENT } from '../../src/abi/mman.ts';
import type { Case } from './caseFile.ts';
import { difference, type Expectation } from './expectation.ts';

/** The result of one case. */
export interface Verdict {
  /** One line for each step that differs. */
  readonly differences: readonly string[];
  /** Number of vmas of which the observer could not see everything. */
  readonly modelOnly: number;
}

/** Tells whether locked_vm counts pages of the program itself in this case, so that only its changes mean something. */
const locksProgram = (c: Case): boolean =>
  c.steps.some(({ step }) => step.op === 'lockall' && (step.arg & MCL_CURRENT) !== 0);

/** Moves all locked_vm that are not zero so that the first is `to`. */
const rebaseLocked = (observations: readonly Expectation[], to: number): Expectation[] => {
  const first = observations.find((o) => o.kind === 'vmas' && o.lockedVm !== 0);
  const by = first?.kind === 'vmas' ? to - first.lockedVm : 0;
  return observations.map((o) =>
    o.kind === 'vmas' && o.lockedVm !== 0 ? { ...o, lockedVm: o.lockedVm + by } : o,
  );
};

/** Compares the observations of a case, one a step, with what is expected. */
export function compareCase(c: Case, observed: readonly Expectation[]): Verdict {
  const written = c.steps.map((s) => s.expected);
  const wanted = locksProgram(c) ? rebaseLocked(written, 1000) : written;
  const given = locksProgram(c) ? rebaseLocked(observed, 1000) : observed;
  const differences: string[] = [];
  let modelOnly = 0;
  for (const [i, step] of c.steps.entries()) {
    const got = given[i];
    const diff = got && difference(wanted[i] as Expectation, got, () => modelOnly++);
    if (diff === undefined) differences.push(`line ${step.line}: ${step.text}: no answer`);
    else if (diff !== null) {
      differences.push(`line ${step.line}: ${step.text}: expected ${diff.written}, got ${diff.seen}`);
    }
  }
  return { differences, modelOnly };
}
