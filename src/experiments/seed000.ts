/**
 * Seed 000, "RFC for new feature to move pages from one vma to another without split": its claims as figures.
 *
 * One compaction of a heap by each strategy of the thread, a slide of pages that are in swap, what the ioctls cost, how many vmas protection makes, and
 * which mremap is refused. docs/proposals/uffd-move.md tells what they mean.
 */
import { numberParam } from '../workloads/index.ts';
import { COMPACTION_PARAMS, compactionRows } from './compactionRows.ts';
import type { Experiment, ExperimentInput, Reproduction } from './experiment.ts';
import { movePageRows } from './movePages.ts';

const TITLE = 'Moving pages from one vma to another without split';

function run(input: ExperimentInput): Reproduction {
  const rows = [...compactionRows(input), ...movePageRows(input, 2 * numberParam(input.params, 'live'))];
  return { seed: '000', title: TITLE, rows };
}

/** The experiment of seed 000. */
export const SEED_000: Experiment = {
  seed: '000',
  title: TITLE,
  params: {
    ...COMPACTION_PARAMS,
    live: {
      default: 8192,
      unit: 'pages',
      text: 'live pages in swap that are slid together',
      min: 1,
      max: 1_000_000,
    },
  },
  playsRecordings: false,
  run,
};
