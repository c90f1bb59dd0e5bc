/**
 * The experiments there are, one for each seed that is modelled.
 */
import type { Experiment } from './experiment.ts';
import { SEED_004 } from './seed004.ts';

export type { Experiment, ExperimentInput, KernelLoads, Recording, Reproduction } from './experiment.ts';
export type { Row } from './row.ts';

/** Every experiment, by seed. */
export const EXPERIMENTS: readonly Experiment[] = [SEED_004];
