/**
 * What was timed of seeds 002 and 003, as it comes with the program.
 */
import { readTimedFile, timedLoadsOf } from '../../src/cli/reproduce/timedFile.ts';
import type { TimedLoads } from '../../src/experiments/index.ts';

/** Returns the loads of a seed, and the prices of the same run. */
export const timedLoads = (seed: '002' | '003'): TimedLoads => timedLoadsOf(readTimedFile(seed));
