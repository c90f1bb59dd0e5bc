/**
 * Snapshots on the running kernel: the same steps lose the same pages, with the same contents, by every method.
 */
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/fuzz/oraclePrograms.ts';
import { BACKINGS } from '../../src/workloads/liveSnapshot/guestMemory.ts';
import { METHODS, type MethodName } from '../../src/workloads/liveSnapshot/method.ts';
import { leaveOut } from './leftOut.ts';
import { whyNoOracle } from './oracle.ts';
import { type Drawn, drawScript, seenOnKernel, seenOnModel } from './snapshotScripts.ts';

/** The kernel is built without soft-dirty bits. */
const ASKED = METHODS.filter((method) => method !== 'soft-dirty');
const SEEDS = 3;

function* drawn(): Generator<Drawn> {
  for (const method of ASKED)
    for (const use of usesOf(method))
      for (const backing of BACKINGS)
        for (const finding of ['scan', 'read'] as const)
          for (const hugepage of backing === 'anon' ? [false, true] : [false])
            yield { method, use, backing, finding, hugepage };
}

const usesOf = (method: MethodName): Drawn['use'][] => {
  if (method === 'fork') return ['snapshot'];
  return method === 'wp-async' ? ['precopy'] : ['snapshot', 'precopy'];
};

const why = whyNoOracle();
const CASES = [...drawn()].map(
  (of) =>
    [
      `${of.method} ${of.use} of ${of.backing}${of.hugepage ? ', huge pages' : ''}, found by ${of.finding}`,
      of,
    ] as const,
);

describe.runIf(why === null)('the running kernel loses the pages of a snapshot that the model loses', () => {
  it.for(CASES)('%s', ([, of]) => {
    const program = buildProgram('snapshot');
    for (let seed = 1; seed <= SEEDS; seed++) {
      const script = drawScript(of, seed);
      expect({ seed, ...seenOnModel(script) }).toEqual({ seed, ...seenOnKernel(program, script) });
    }
  });
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `snapshots on the running kernel: ${why}`);
  expect(why).toBeNull();
});
