/**
 * Seed 001, "mm/uffd: UFFD_FEATURE_WP_UNPOPULATED": its claims as figures.
 *
 * The two tables of the thread that contradict each other, what each way costs when the memory is written afterwards, the variants of which the thread
 * thought, and which stores each way misses. docs/proposals/uffd-wp-unpopulated.md tells what they mean.
 */
import type { Experiment, ExperimentInput, Reproduction } from './experiment.ts';
import { laterRows } from './laterWrites.ts';
import { lostRows } from './lostPages.ts';
import { protectRows } from './protectRows.ts';
import { protectVariantRows } from './protectVariants.ts';

const TITLE = 'UFFD_FEATURE_WP_UNPOPULATED';

function run(input: ExperimentInput): Reproduction {
  const rows = [...protectRows(input), ...laterRows(input), ...protectVariantRows(input), ...lostRows(input)];
  return { seed: '001', title: TITLE, rows };
}

/** The experiment of seed 001. */
export const SEED_001: Experiment = {
  seed: '001',
  title: TITLE,
  params: {
    gib: { default: 10, unit: 'GiB', text: 'size of the range that is protected', min: 1, max: 64 },
    later: {
      default: 1024,
      unit: 'MiB',
      text: 'size of the range that is protected and then written',
      min: 2,
      max: 65_536,
    },
    tracked: { default: 1024, unit: 'pages', text: 'pages whose stores are tracked', min: 4, max: 1_000_000 },
  },
  playsRecordings: false,
  run,
};
