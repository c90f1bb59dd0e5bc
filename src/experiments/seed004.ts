/**
 * Seed 004, "Removing limitations of merging anonymous VMAs": its claims as figures.
 *
 * The loads that suffer, the decision table, the blocked pairs of recordings of real programs, the share of merges that sharing blocks,
 * and the question that the cover letter asks. docs/proposals/anon-vma-merge.md tells what they mean.
 */
import { LINUX_6_18 } from '../mm/index.ts';
import { numberParam } from '../workloads/index.ts';
import { playTable } from './decisionTable.ts';
import type { Experiment, ExperimentInput, Reproduction } from './experiment.ts';
import { MERGE_LOAD_PARAMS, mergeLoadRows } from './mergeLoads.ts';
import { recordingRows } from './recordingRows.ts';
import { HALVES } from './recordings.ts';
import { type Row, rowOf } from './row.ts';
import { exploreSharing } from './sharingStates.ts';

const TITLE = 'Removing limitations of merging anonymous VMAs';

function tableRow({ progress }: ExperimentInput): Row {
  progress('decision table');
  const cells = playTable();
  const wrong = cells.filter(({ expected, modelled }) => expected !== modelled);
  const list = wrong.map(
    ({ row, column, expected, modelled }) => `${row.nr} ${column}: ${modelled}, not ${expected}`,
  );
  return rowOf({
    name: 'decision table: cells that hold',
    published: cells.length,
    modelled: cells.length - wrong.length,
    unit: 'cells',
    note:
      wrong.length === 0
        ? 'column B is what the running kernel does, the others are what the patch texts mean'
        : list.join('; '),
  });
}

function questionRows({ params, progress }: ExperimentInput): Row[] {
  const depth = numberParam(params, 'depth');
  return (['baseline', 'both'] as const).flatMap((half) => {
    progress(half === 'baseline' ? 'small states' : 'small states with both halves');
    const features = { ...LINUX_6_18, ...HALVES[half] };
    const found = exploreSharing({ depth, pages: 2, processes: 3, features });
    const label = half === 'baseline' ? '6.18' : 'both halves';
    const states = `of ${found.states} states: 2 pages, up to 3 processes, up to ${depth} operations`;
    return [
      rowOf({
        name: `${label}: the anon_vma passes although a page is shared`,
        published: 0,
        modelled: found.missed,
        unit: 'states',
        note: `${states}${sequence(found.smallestMissed)}; published: the cover letter supposes that there are none`,
      }),
      rowOf({
        name: `${label}: the anon_vma refuses although no page is shared`,
        modelled: found.cautious,
        unit: 'states',
        within: [depth >= 3 ? 1 : 0, found.states],
        note: `${states}${sequence(found.smallestCautious)}`,
      }),
    ];
  });
}

const sequence = (steps: readonly string[] | null): string =>
  steps === null ? '' : `; a smallest one: ${steps.join(', ')}`;

function run(input: ExperimentInput): Reproduction {
  const rows = [...mergeLoadRows(input), tableRow(input), ...recordingRows(input), ...questionRows(input)];
  return { seed: '004', title: TITLE, rows };
}

/** The experiment of seed 004. */
export const SEED_004: Experiment = {
  seed: '004',
  title: TITLE,
  params: {
    ...MERGE_LOAD_PARAMS,
    depth: { default: 5, unit: 'operations', text: 'how far small states are enumerated', max: 8 },
  },
  playsRecordings: true,
  run,
};
