/**
 * Seed 002, "Support vrange for anonymous page": its figures, and today's.
 *
 * The author's machine with one constant fitted; where the gain comes from; other designs, other numbers of CPUs; the same program on Linux 6.18 with what
 * allocators do instead. docs/proposals/volatile-ranges.md tells what they mean.
 */
import { seedRows } from './ebizzy2013.ts';
import { TODAY_TIMING, todayRows } from './ebizzyToday.ts';
import type { Experiment, ExperimentInput, Reproduction } from './experiment.ts';

const TITLE = 'Support vrange for anonymous page';

function run(input: ExperimentInput): Reproduction {
  return { seed: '002', title: TITLE, rows: [...seedRows(input), ...todayRows(input)] };
}

/** The experiment of seed 002. */
export const SEED_002: Experiment = {
  seed: '002',
  title: TITLE,
  params: {
    cpus: {
      default: 64,
      unit: 'CPUs',
      text: 'largest machine on which the gain is looked at',
      min: 1,
      max: 64,
    },
  },
  playsRecordings: false,
  timing: TODAY_TIMING,
  run,
};
