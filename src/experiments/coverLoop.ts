/**
 * Rows of seed 003 about the loop that all postings quote, what counting entries costs, and forks with empty tables.
 *
 * What a table holds between being filled and given back does not matter where nobody looks at the clock: there one page of each is written. With a scan every
 * 100 ms all are, because what a period leaves is what the program empties in it.
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { Features } from '../mm/index.ts';
import { numberParam } from '../workloads/index.ts';
import { runAlone, timed } from './alone.ts';
import { BEFORE_KIB, type BloatRun, runBloat } from './bloatRun.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';
import type { ForkLoad, Timing } from './timedLoads.ts';

/** Tables of the published loop: 50 GiB. */
const PUBLISHED_TABLES = 25_600;

interface Loop {
  readonly what: string;
  readonly recipe: 'cover' | 'cover-split';
  readonly ptReclaim: Features['ptReclaim'];
  readonly advise?: 'dontneed' | 'end';
  readonly published?: number;
  readonly measured?: number;
}

const LOOPS: readonly Loop[] = [
  { what: 'tables are never freed', recipe: 'cover', ptReclaim: 'off', published: 102_640 },
  {
    what: 'MADV_DONTNEED frees them (6.14)',
    recipe: 'cover',
    ptReclaim: 'sync',
    published: 240,
    measured: 240,
  },
  { what: 'the same, given back in halves', recipe: 'cover-split', ptReclaim: 'sync', measured: 102_644 },
  {
    what: 'then all of it by one MADV_DONTNEED',
    recipe: 'cover-split',
    ptReclaim: 'sync',
    advise: 'dontneed',
    measured: 244,
  },
  { what: 'halves, MADV_PT_RECLAIM at the end', recipe: 'cover-split', ptReclaim: 'off', advise: 'end' },
  {
    what: 'entries are counted (2021), halves',
    recipe: 'cover-split',
    ptReclaim: 'refcount',
    published: 248,
  },
];

/** The loop under each policy. */
export function coverRows(input: ExperimentInput): Row[] {
  const tables = numberParam(input.params, 'tables');
  const { calibration } = input.costs;
  const isPublished = tables === PUBLISHED_TABLES;
  const label = `loop over ${(tables * 2) / 1024} GiB`;
  const rows = LOOPS.map(({ what, recipe, ptReclaim, advise = 'no', published, measured }) => {
    input.progress(`${label}, ${what}`);
    const run = runBloat({
      calibration,
      recipe,
      params: { tables, written: 1, advise },
      features: { ptReclaim },
    });
    const needed = BEFORE_KIB + 4 * Math.ceil(tables / 512);
    return rowOf({
      name: `${label}: ${what}`,
      published: isPublished ? (published ?? null) : null,
      measured: isPublished ? (measured ?? null) : null,
      modelled: BEFORE_KIB + run.endKib,
      unit: 'KiB',
      // What the program of the postings has before differs from one to the other.
      tolerance: 0.05,
      within: [needed, needed + 4 * tables],
      note: 'VmPTE; 40 KiB of it are the program before the loop',
    });
  });
  return [...rows, ...scanRows(input, tables, label)];
}

/** So many tables are enough to see what is left between two scans: some thirty of them. */
const SCANNED_TABLES = 4096;

/** The loop while somebody scans every 100 ms. */
function scanRows(input: ExperimentInput, tables: number, label: string): Row[] {
  input.progress(`${label}, scanned for`);
  const { calibration } = input.costs;
  const features = { ptReclaim: 'async' } as const;
  const some = Math.min(tables, SCANNED_TABLES);
  const run = runBloat({ calibration, recipe: 'cover', params: { tables: some }, features });
  const settled = runBloat({ calibration, recipe: 'cover', params: { tables: 1024, settle: 150 }, features });
  const upperKib = 4 * Math.ceil(tables / 512);
  const left = (run.figures['tables freed by scans'] ?? 0) / (run.figures['scans'] ?? 1);
  const scanNs = run.report.work.paths
    .filter(({ path }) => path.startsWith('pt-'))
    .reduce((sum, { ns }) => sum + ns, 0);
  return [
    rowOf({
      name: `${label}: scanned every 100 ms, before a scan`,
      published: tables === PUBLISHED_TABLES ? 756 : null,
      modelled: BEFORE_KIB + upperKib + 4 * Math.round(left),
      unit: 'KiB',
      tolerance: 0.25,
      note: `the program, ${upperKib} KiB of upper levels, and the ${Math.round(left)} tables that it empties in a period (of a loop over ${(some * 2) / 1024} GiB): no constant. Before the first scan it is twice that`,
    }),
    rowOf({
      name: 'loop over 2 GiB: scanned every 100 ms, when all is over',
      modelled: BEFORE_KIB + settled.endKib,
      unit: 'KiB',
      within: [BEFORE_KIB + 8, BEFORE_KIB + 12],
      note: 'the program and two pages of the level above',
    }),
    rowOf({
      name: `loop over ${(some * 2) / 1024} GiB: share of the time that the scans take`,
      modelled: scanNs / run.report.elapsedNs,
      unit: 'share',
      within: [0, 0.05],
      note: `${run.figures['scans']} scans, ${run.figures['tables that scans looked at']} tables looked at`,
    }),
  ];
}

/** Page faults with and without entries being counted. */
export function countingRow(input: ExperimentInput): Row {
  const { calibration } = input.costs;
  const bytes = 64 * 2 ** 20;
  const faultsNs = (ptReclaim: Features['ptReclaim']): number =>
    runAlone({ calibration, features: { ptReclaim } }, function* (t) {
      const area = yield* t.mmap(bytes);
      return yield* timed(t, t.touch(area, bytes));
    });
  const [plain, counted] = [faultsNs('off'), faultsNs('refcount')];
  return rowOf({
    name: `page faults a minute, one thread, entries counted (${bytes / PAGE_SIZE} faults)`,
    published: -0.0064,
    modelled: plain / counted - 1,
    unit: 'share',
    tolerance: 0.01,
    note: 'the price put in is 10 ns a fault (ptReclaim.refNs), as the published -0.4 to -1.2 % would have it; published for 8 and 16 threads: -1.17 % and -0.36 %',
  });
}

const forkLoad = (tables: number, freed: boolean): ForkLoad => ({ kind: 'fork', tables, freed });

/** What is timed for the rows about forks. */
export const FORK_TIMING: Timing = {
  groups: ['base', 'faults', 'zaps', 'fork'],
  loads: (params) => [true, false].map((freed) => forkLoad(numberParam(params, 'tables'), freed)),
};

/** Forks of a process whose tables are empty. */
export function forkRows(input: ExperimentInput): Row[] {
  const tables = numberParam(input.params, 'tables');
  input.progress('forks');
  const { calibration } = input.timed ?? input.costs;
  const fork = (ptReclaim: Features['ptReclaim']): BloatRun =>
    runBloat({
      calibration,
      recipe: 'fork-server',
      params: { tables, requests: 1, alive: 1 },
      features: { ptReclaim },
    });
  const [bloated, lean] = [fork('sync'), fork('refcount')];
  const us = ({ figures }: BloatRun): number => figures['fork, us'] ?? Number.NaN;
  const row = (what: string, run: BloatRun, freed: boolean): Row =>
    rowOf({
      name: `fork of a process with ${what}`,
      measured: input.timed?.figures(forkLoad(tables, freed))?.[0] ?? null,
      modelled: us(run),
      unit: 'us',
      tolerance: 0.25,
      within: [0, Number.POSITIVE_INFINITY],
      note: 'fork copies empty tables: it makes a table for each, out of memory that is in no cache where they are many',
      prices: input.timed?.about ?? null,
    });
  return [
    row(`${tables} empty tables`, bloated, false),
    row('none of them', lean, true),
    rowOf({
      name: `tables of a child of a process with ${tables} empty ones`,
      modelled: (bloated.figures['VmPTE of all processes at the most, KiB'] ?? 0) / 2 / bloated.endKib,
      unit: 'times',
      within: [0.99, 1.01],
      note: "as many as its parent's",
    }),
  ];
}
