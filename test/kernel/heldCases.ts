/**
 * Holds cases against the running kernel, a test each: what the tests of pages and of userfaultfd have in common.
 */
import { statfsSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { MADV_HUGEPAGE } from '../../src/abi/mman.ts';
import type { Case } from '../spec/caseFile.ts';
import { compareCase } from '../spec/compareCase.ts';
import { needsExt4, needsSwap, whyNotOn } from '../spec/pageCases.ts';
import { leaveOut } from './leftOut.ts';
import { buildOracle, type OracleRun, runOracle, whyNoOracle } from './oracle.ts';
import type { CaseObservation } from './protocol.ts';

const EXT4 = 0xef53;

/** The kernel's collapser comes by every ten seconds and takes small pages that are advised to be huge. */
const mayBeCollapsed = (c: Case): boolean =>
  c.steps.some(({ step }) => step.op === 'adv' && step.arg === MADV_HUGEPAGE);

/** Why a case cannot be observed on this machine, or null. */
function whyNotHere(c: Case, seen: CaseObservation): string | null {
  const swap = c.steps.findIndex(({ step }) => step.op === 'swap');
  const answer = seen.steps[swap];
  if (needsSwap(c) && answer?.kind === 'answer' && answer.text !== '0') return answer.text;
  return needsExt4(c) && statfsSync('/tmp').type !== EXT4 ? '/tmp is not ext4' : null;
}

/** Makes the tests of all cases that are for the kernel. @param what  what they are about, as it stands in the titles */
export function holdCasesOnKernel(what: string, all: readonly Case[]): void {
  const cases = all.filter((c) => whyNotOn('kernel', c) === null);
  const why = whyNoOracle();

  describe.runIf(why === null)(`the running kernel answers cases about ${what} as written`, () => {
    let run: OracleRun;
    beforeAll(() => {
      run = runOracle(buildOracle(), cases);
    });

    const observe = (i: number): CaseObservation => {
      const c = cases[i] as Case;
      let seen = run.observations[i] as CaseObservation;
      const again = mayBeCollapsed(c) ? 2 : 0;
      for (let n = 0; n < again && compareCase(c, seen.steps).differences.length > 0; n++)
        seen = runOracle(buildOracle(), [c]).observations[0] as CaseObservation;
      return seen;
    };

    it.for(cases.map((c, i) => [c.id, c.title, i] as const))('%s %s', ([, , i], context) => {
      const c = cases[i] as Case;
      const seen = observe(i);
      const whyNot = whyNotHere(c, seen);
      if (whyNot !== null) leaveOut(context, `${c.id}: ${whyNot}`);
      expect(seen.notes).toEqual([]);
      expect(compareCase(c, seen.steps)).toEqual({ differences: [], modelOnly: 0 });
    });
  });

  it('is Linux 6.18 with root and a C compiler', (context) => {
    if (why !== null) leaveOut(context, `cases about ${what} on the running kernel: ${why}`);
    expect(why).toBeNull();
  });
}
