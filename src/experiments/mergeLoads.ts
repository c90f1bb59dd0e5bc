/**
 * The loads of seed 004: reserve-commit, realloc and slide, each on 6.18 and with the halves of the proposal.
 *
 * What was measured belongs to the parameters it was measured with; with others the running kernel has to be asked, or nothing stands beside.
 */
import { Prng } from '../base/prng.ts';
import { Machine } from '../machine/index.ts';
import { type Features, Kernel, LINUX_6_18, verifyMm, vmaRows } from '../mm/index.ts';
import { numberParam, parseWorkloadSpec, runWorkload } from '../workloads/index.ts';
import type { ExperimentInput, KernelLoads } from './experiment.ts';
import { HALVES } from './recordings.ts';
import { type Row, rowOf } from './row.ts';

/** Sizes with which the loads were measured, and the defaults. */
export const MEASURED_PAGES = 1000;
export const MEASURED_OPERATIONS = 40_000;

/** Linux 6.18.44, x86-64. Orders of pages are those of our seeds; the realloc load is experiment `merge` of the calibration programs. */
const MEASURED = {
  reserveCommit: { 1: 325, 2: 346, 3: 334 } as Readonly<Record<number, number>>,
  /** Median of three orders of other seeds: 326, 336, 341. */
  reserveCommitMedian: 336,
  realloc: { none: 901, all: 1707, half: 1699 } as Readonly<Record<string, number>>,
  /** What experiment `merge` counts when neighbours with equal access are taken for one, three of which are not blocks. */
  reallocIfAllMerged: 898,
  slide: { one: 1000, independent: 1000 } as Readonly<Record<string, number>>,
};

const ORDERS = [1, 2, 3] as const;
const HOLE_PAGES = 10;

/** Runs a workload to its end and returns how many readable and writable vmas its process has. */
function vmasOf(text: string, on: Partial<Features>): number {
  const machine = new Machine(new Kernel({ ...LINUX_6_18, ...on }));
  const { mm } = runWorkload(machine, parseWorkloadSpec(text), 1);
  if (mm === null) return 0;
  verifyMm(mm);
  return vmaRows(mm).filter(({ perms }) => perms === 'rw-p').length;
}

/** Returns what the running kernel gives, or what was measured with the same parameters, or null. */
function reference(
  kernel: KernelLoads | null,
  ask: (loads: KernelLoads) => number,
  measured: number | undefined,
): number | null {
  return kernel === null ? (measured ?? null) : ask(kernel);
}

const only = (value: number): readonly [number, number] => [value, value];

function reserveCommitRows({ params, kernel }: ExperimentInput): Row[] {
  const pages = numberParam(params, 'pages');
  const isMeasured = pages === MEASURED_PAGES;
  const name = `reserve-commit, ${pages} pages`;
  const unit = 'vmas';
  const baseline = ORDERS.map((seed) => {
    const order = new Prng(seed).shuffle(Array.from({ length: pages }, (_, i) => i));
    const modelled = vmasOf(`workload:reserve-commit,pages=${pages},seed=${seed}`, {});
    const known = isMeasured ? MEASURED.reserveCommit[seed] : undefined;
    const measured = reference(kernel, (loads) => loads.reserveCommit(order), known);
    return rowOf({ name: `${name}, order ${seed}`, measured, modelled, unit });
  });
  const rows = [...baseline];
  if (isMeasured)
    rows.push(
      rowOf({
        name: `${name}, median of three orders`,
        measured: MEASURED.reserveCommitMedian,
        modelled: median(baseline.map(({ modelled }) => modelled)),
        unit,
        tolerance: 0.05,
        note: 'measured once with three other orders: 326, 336, 341',
      }),
    );
  const with4 = vmasOf(`workload:reserve-commit,pages=${pages},seed=1`, HALVES.patch4);
  const with5 = vmasOf(`workload:reserve-commit,pages=${pages},seed=1`, HALVES.patch5);
  rows.push(
    rowOf({
      name: `${name}, order 1, patch 4`,
      modelled: with4,
      unit,
      within: only(baseline[0]?.modelled ?? 0),
    }),
    rowOf({ name: `${name}, order 1, patch 5`, modelled: with5, unit, within: only(1) }),
  );
  return rows;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

function reallocRows({ params, kernel }: ExperimentInput): Row[] {
  const operations = numberParam(params, 'operations');
  const isMeasured = operations === MEASURED_OPERATIONS;
  const unit = 'vmas';
  const spec = (touch: string): string =>
    `workload:realloc,operations=${operations},touch=${touch},hole=${HOLE_PAGES}`;
  const baseline = (touch: string, name: string): Row => {
    const ask = (loads: KernelLoads): number => loads.realloc({ operations, touch, hole: HOLE_PAGES });
    const measured = reference(kernel, ask, isMeasured ? MEASURED.realloc[touch] : undefined);
    return rowOf({ name: `realloc, blocks ${name}`, measured, modelled: vmasOf(spec(touch), {}), unit });
  };
  const rows = [
    baseline('none', 'never written'),
    baseline('all', 'written'),
    baseline('half', 'written half of the times'),
  ];
  const written = rows[1]?.modelled ?? 0;
  const untouched = rows[0]?.modelled ?? 0;
  const patched = (half: 'patch4' | 'patch5'): number => vmasOf(spec('all'), HALVES[half]);
  rows.push(
    rowOf({
      name: 'realloc, blocks written, patch 4',
      modelled: patched('patch4'),
      unit,
      within: [untouched, written],
      note: 'does most of it alone: neighbours whose offsets continue share an anon_vma from the first write on',
    }),
    rowOf({
      name: 'realloc, blocks written, patch 5',
      modelled: patched('patch5'),
      unit,
      within: [untouched, written],
    }),
    rowOf({
      name: 'realloc, blocks written, both: all merged',
      measured: isMeasured ? MEASURED.reallocIfAllMerged : null,
      modelled: vmasOf(spec('all'), HALVES.both),
      unit,
      tolerance: 0.005,
      note: 'measured once, with neighbours of equal access counted as one in the whole process, where 3 of them are not blocks',
    }),
  );
  return rows;
}

function slideRows({ params, kernel }: ExperimentInput): Row[] {
  const pages = numberParam(params, 'pages');
  const unit = 'vmas';
  const known = pages === MEASURED_PAGES ? MEASURED.slide : {};
  const row = (sources: string, half: keyof typeof HALVES, expected: number | null): Row => {
    const label = half === 'baseline' ? '' : half === 'both' ? ', both' : `, patch ${half.slice(-1)}`;
    const modelled = vmasOf(`workload:slide,pages=${pages},sources=${sources}`, HALVES[half]);
    const measured =
      half === 'baseline'
        ? reference(kernel, (loads) => loads.slide({ pages, sources }), known[sources])
        : null;
    const name = `slide, ${pages} pages from ${sources === 'one' ? 'one mapping' : 'mappings of their own'}${label}`;
    return rowOf({
      name,
      measured,
      modelled,
      unit,
      ...(expected === null ? {} : { within: only(expected) }),
    });
  };
  return [
    row('one', 'baseline', null),
    row('one', 'patch4', 1),
    row('one', 'patch5', pages),
    row('independent', 'baseline', null),
    row('independent', 'patch4', pages),
    row('independent', 'both', 1),
  ];
}

/** Runs the three loads. */
export function mergeLoadRows(input: ExperimentInput): Row[] {
  const rows: Row[] = [];
  for (const [name, of] of [
    ['reserve-commit', reserveCommitRows],
    ['realloc', reallocRows],
    ['slide', slideRows],
  ] as const) {
    input.progress(name);
    rows.push(...of(input));
  }
  return rows;
}

/** Parameters of the loads. */
export const MERGE_LOAD_PARAMS = {
  pages: {
    default: MEASURED_PAGES,
    unit: 'pages',
    text: 'size of reserve-commit and of slide',
    min: 1,
    max: 100_000,
  },
  operations: {
    default: MEASURED_OPERATIONS,
    unit: 'operations',
    text: 'length of the realloc load',
    max: 10_000_000,
  },
} as const;
