/**
 * The experiments there are, one for each seed that is modelled.
 */
import type { Experiment } from './experiment.ts';
import { SEED_000 } from './seed000.ts';
import { SEED_001 } from './seed001.ts';
import { SEED_002 } from './seed002.ts';
import { SEED_003 } from './seed003.ts';
import { SEED_004 } from './seed004.ts';

export type { Experiment, ExperimentInput, KernelLoads, Recording, Reproduction } from './experiment.ts';
export type { Tracker } from './lostPages.ts';
export type { Way } from './movePages.ts';
export type { Asked } from './protectFigures.ts';
export type { ProtectResult } from './protectRange.ts';
export type { Row } from './row.ts';
export {
  isBetter,
  loadName,
  type PriceGroup,
  type TimedLoad,
  type TimedLoads,
  type Timing,
} from './timedLoads.ts';

/** Every experiment, by seed. */
export const EXPERIMENTS: readonly Experiment[] = [SEED_000, SEED_001, SEED_002, SEED_003, SEED_004];
