/**
 * The scenarios of `npm run cost-fidelity` on this kernel: each comes to its end and takes some time. How long is not looked at.
 */
import { describe, expect, it } from 'vitest';
import { drawScenarios } from '../../bench/costFidelity/draw.ts';
import { KernelTimes } from '../../bench/costFidelity/kernel.ts';
import { buildProgram } from '../../src/cli/fuzz/oraclePrograms.ts';
import { leaveOut } from './leftOut.ts';
import { whyNoOracle } from './oracle.ts';

const why = whyNoOracle();

describe.runIf(why === null)('scenarios', () => {
  it('of every family come to their end on the kernel', () => {
    const scenarios = drawScenarios(5);
    const times = new KernelTimes(buildProgram('cost'), scenarios);
    times.measure(1, 1);
    const failed = times.measured.flatMap(({ ns, why }, i) =>
      ns === null || ns <= 0 ? [`${scenarios[i]?.situation}: ${scenarios[i]?.way}: ${why}`] : [],
    );
    expect(failed).toEqual([]);
  });
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `scenarios on the running kernel: ${why}`);
  expect(why).toBeNull();
});
