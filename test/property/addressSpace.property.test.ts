/**
 * Random calls against a page-array model.
 *
 * Strategy    runs of up to 60 calls in a window of 20 pages, by up to three processes, on several machines at once that differ in their
 *             switches; after each call every machine is held against the pages, and every invariant is checked.
 * Invariants  [merge-exact] [merge-sticky] [remap-bytes], and all that verifyMm and verifyKernel know
 * Not reached limits and overcommit, stacks, huge pages, userfaultfd, policies and names; calls whose answer depends on where vmas begin,
 *             where the machines differ in that
 */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { type Features, LINUX_6_18 } from '../../src/mm/index.ts';
import { startState } from './commands.ts';
import { command } from './drawnCalls.ts';

/** Runs `nrRuns` sequences of up to `maxCommands` calls on machines with these switches. */
function runCalls(
  how: { seed: number; nrRuns: number; maxCommands: number },
  features: fc.Arbitrary<readonly Features[]>,
): void {
  const { seed, nrRuns, maxCommands } = how;
  const calls = fc.commands([command], { maxCommands, size: 'max' });
  fc.assert(
    fc.property(features, calls, (switches, commands) => {
      fc.modelRun(() => startState(switches), commands);
    }),
    { seed, numRuns: nrRuns },
  );
}

const onOff = ['off', 'on'] as const;
/** Every position of the switches of seed 004 and of what came of it. */
const COMBINATIONS: readonly Features[] = onOff.flatMap((mergePgoffOnMove) =>
  onOff.flatMap((mergeAcrossAnonVma) =>
    onOff.flatMap((mergeAfterResize) =>
      onOff.flatMap((mergeFaultedWithUnfaulted) =>
        (['anonVma', 'mapcount', 'both'] as const).map((mergeSharingCheck) => ({
          ...LINUX_6_18,
          thp: 'never' as const,
          mergePgoffOnMove,
          mergeAcrossAnonVma,
          mergeAfterResize,
          mergeFaultedWithUnfaulted,
          mergeSharingCheck,
        })),
      ),
    ),
  ),
);
const BASELINE: Features = { ...LINUX_6_18, thp: 'never' };
const ALL_ON: Features = {
  ...BASELINE,
  mergePgoffOnMove: 'on',
  mergeAcrossAnonVma: 'on',
  mremapRelocateAnon: 'on',
};

/** A machine with the switches off, one with them all on, and one at random between. */
const threeSettings = fc
  .constantFrom(...COMBINATIONS)
  .map((drawn): readonly Features[] => [BASELINE, ALL_ON, drawn]);

describe('random calls agree with an array of pages', () => {
  it('as linux-6.18', () => {
    runCalls({ seed: 1, nrRuns: 200, maxCommands: 60 }, fc.constant([BASELINE]));
  });
  it('whatever the switches of seed 004 say', () => {
    runCalls({ seed: 2, nrRuns: 150, maxCommands: 60 }, threeSettings);
  });
  it('in every combination of these switches at once', () => {
    runCalls({ seed: 3, nrRuns: 8, maxCommands: 60 }, fc.constant(COMBINATIONS));
  });
  it('without moves of several vmas', () => {
    const alone = { mremapManyVmas: 'off' } as const;
    runCalls(
      { seed: 4, nrRuns: 60, maxCommands: 60 },
      fc.constant([
        { ...BASELINE, ...alone },
        { ...ALL_ON, ...alone },
      ]),
    );
  });
});
