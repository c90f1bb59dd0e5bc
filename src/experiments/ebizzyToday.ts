/**
 * Rows of seed 002 about today's machine: the same program with a buffer that is given back in one way or another, on Linux 6.18 with two CPUs.
 *
 * Measured and modelled are records a second of CPU time, with the prices that were measured in the same run: none is fitted, and none is another machine's. What vrange would
 * cost nobody can measure; three pairs of calls stand for it, one for each of the designs that were posted.
 */
import type { Purge } from '../workloads/index.ts';
import { type EbizzyRun, runEbizzy } from './ebizzyRun.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';
import type { RecordsLoad, Timing } from './timedLoads.ts';

const THREADS = 2;
const CPUS = 2;
const SIZES = [10, 512] as const;
const WAYS: readonly Purge[] = ['free', 'vma-flag', 'read-lock', 'syscall', 'none'];
const NAMES: Readonly<Partial<Record<Purge, string>>> = {
  free: 'MADV_FREE',
  'vma-flag': 'two flag flips (VMA flag, v1–v6, v11–v14)',
  'read-lock': 'two calls that read mmap_lock (v8–v10)',
  syscall: 'two empty calls (own lock, v7)',
  none: 'nothing',
};

const loadOf = (chunks: number, purge: Purge): RecordsLoad => ({
  kind: 'records',
  chunks,
  purge,
  threads: THREADS,
});

/** What is timed for these rows. */
export const TODAY_TIMING: Timing = {
  groups: ['base', 'vmas', 'faults', 'zaps', 'inspection', 'threads'],
  loads: () =>
    SIZES.flatMap((chunks) => (['dontneed', ...WAYS] as const).map((purge) => loadOf(chunks, purge))),
};

/** One way to give buffers back: what was measured, and the model's run. */
interface Way {
  readonly purge: Purge;
  readonly measured: readonly number[] | null;
  readonly run: EbizzyRun;
}

function wayOf(input: ExperimentInput, chunks: number, purge: Purge): Way {
  return {
    purge,
    measured: input.timed?.figures(loadOf(chunks, purge)) ?? null,
    run: runEbizzy({
      calibration: (input.timed ?? input.costs).calibration,
      cpus: CPUS,
      params: { threads: THREADS, chunks, purge, rng: 'fixed', ms: 10 },
    }),
  };
}

/** Returns how `a` and `b` are to each other in what was measured, or null. */
function measuredRatio(a: Way, b: Way): number | null {
  const [one, other] = [a.measured?.[0], b.measured?.[0]];
  return one === undefined || other === undefined ? null : one / other;
}

function tableRows(input: ExperimentInput, chunks: (typeof SIZES)[number]): Row[] {
  const label = `2 CPUs, ${chunks} chunks`;
  input.progress(label);
  const base = wayOf(input, chunks, 'dontneed');
  const ways = WAYS.map((purge) => wayOf(input, chunks, purge));
  const texts = [base, ...ways].map(
    ({ purge, run, measured }) => `${purge} ${run.perCpuSecond}, measured ${measured?.[0] ?? '–'}`,
  );
  const note = `records a second of CPU time; modelled: ${texts.join('; ')}`;
  const prices = input.timed?.about ?? null;
  const faults = base.measured?.[1];
  return [
    rowOf({
      name: `${label}: faults a record with DONTNEED`,
      measured: faults === undefined ? null : faults / 100,
      modelled: base.run.faultsPerRecord,
      unit: 'faults',
    }),
    ...ways.map((way) =>
      rowOf({
        name: `${label}: ${NAMES[way.purge]} / DONTNEED`,
        measured: measuredRatio(way, base),
        modelled: way.run.perCpuSecond / base.run.perCpuSecond,
        unit: 'times',
        tolerance: 0.25,
        within: [1, Number.POSITIVE_INFINITY],
        note,
        prices,
      }),
    ),
  ];
}

/** All rows about today's machine. */
export const todayRows = (input: ExperimentInput): Row[] =>
  SIZES.flatMap((chunks) => tableRows(input, chunks));
