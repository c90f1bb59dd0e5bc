/**
 * Seed 003, reclaim of empty page tables: its figures, those of the postings before and after it, and what each policy would do.
 */
import { allocatorRows, policyRows } from './allocatorTables.ts';
import { countingRow, coverRows, FORK_TIMING, forkRows } from './coverLoop.ts';
import type { Experiment, ExperimentInput, Reproduction } from './experiment.ts';
import { fieldRows } from './fieldCase.ts';

const TITLE = 'asynchronously scan and free empty user PTE pages';

function run(input: ExperimentInput): Reproduction {
  const rows = [
    ...coverRows(input),
    countingRow(input),
    ...forkRows(input),
    ...allocatorRows(input),
    ...policyRows(input),
    ...fieldRows(input),
  ];
  return { seed: '003', title: TITLE, rows };
}

/** The experiment of seed 003. */
export const SEED_003: Experiment = {
  seed: '003',
  title: TITLE,
  params: {
    tables: {
      default: 25_600,
      unit: 'tables',
      text: 'tables of the loop, and of forks',
      min: 512,
      max: 2 ** 20,
    },
    blocks: {
      default: 20_000,
      unit: 'blocks',
      text: 'blocks of 64 KiB of the allocators; others in proportion',
      min: 200,
      max: 20_000,
    },
    scale: { default: 1000, unit: '', text: 'how much smaller than the field case', min: 1, max: 100_000 },
  },
  playsRecordings: false,
  timing: FORK_TIMING,
  run,
};
