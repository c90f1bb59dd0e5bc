/**
 * Rows of seed 002 about today's machine: the same program with a buffer that is given back in one way or another, on Linux 6.18 with two CPUs.
 *
 * The measured figures are records a second of CPU time, on a machine that did other things as well: its two threads seldom ran at the same time, and one that
 * does not run is not interrupted. So the model's two threads share a CPU; what they cost each other at the same time is a row of its own.
 *
 * Prices are those of the calibration, none is fitted. What vrange would cost nobody can measure; three pairs of calls stand for it, one for each of the
 * designs that were posted.
 */
import type { Purge } from '../workloads/index.ts';
import { type EbizzyRun, runEbizzy } from './ebizzyRun.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';

/** Records a second of CPU time. */
type ByPurge = Readonly<Partial<Record<Purge, number>>>;

const THREADS = 2;
const SIZES = [10, 512] as const;
const WAYS: readonly Purge[] = ['free', 'vma-flag', 'read-lock', 'syscall', 'none'];
const NAMES: Readonly<Partial<Record<Purge, string>>> = {
  free: 'MADV_FREE',
  'vma-flag': 'two flag flips (VMA flag, v1–v6, v11–v14)',
  'read-lock': 'two calls that read mmap_lock (v8–v10)',
  syscall: 'two empty calls (own lock, v7)',
  none: 'nothing',
};

/** Medians of five runs of two threads, on a machine that did other things as well. */
const MEASURED: Readonly<Record<(typeof SIZES)[number], ByPurge>> = {
  10: {
    dontneed: 3245,
    free: 36_471,
    none: 80_623,
    syscall: 76_528,
    'read-lock': 63_434,
    'vma-flag': 55_479,
  },
  512: {
    dontneed: 2970,
    free: 20_226,
    none: 32_281,
    syscall: 33_341,
    'read-lock': 29_639,
    'vma-flag': 27_415,
  },
};

function measuredOf({ kernel }: ExperimentInput, chunks: (typeof SIZES)[number]): ByPurge {
  if (kernel === null) return MEASURED[chunks];
  const ways: readonly Purge[] = ['dontneed', ...WAYS];
  return Object.fromEntries(
    ways.map((purge) => [purge, kernel.recordsACpuSecond({ chunks, purge, threads: THREADS })]),
  );
}

function modelled(input: ExperimentInput, chunks: number, purge: Purge, cpus = 1): EbizzyRun {
  return runEbizzy({
    calibration: input.costs.calibration,
    cpus,
    params: { threads: THREADS, chunks, purge, rng: 'fixed', ms: 10 },
  });
}

function tableRows(input: ExperimentInput, chunks: (typeof SIZES)[number]): Row[] {
  const label = `2 CPUs, ${chunks} chunks`;
  input.progress(label);
  const measured = measuredOf(input, chunks);
  const base = modelled(input, chunks, 'dontneed');
  const baseMeasured = measured.dontneed ?? Number.NaN;
  const runs = WAYS.map((purge) => ({ purge, run: modelled(input, chunks, purge) }));
  const texts = [{ purge: 'dontneed' as const, run: base }, ...runs].map(
    ({ purge, run }) => `${purge} ${run.perCpuSecond}, measured ${measured[purge] ?? '–'}`,
  );
  const note = `records a second of CPU time; modelled: ${texts.join('; ')}`;
  return [
    rowOf({
      name: `${label}: faults a record with DONTNEED`,
      measured: 128,
      modelled: base.faultsPerRecord,
      unit: 'faults',
    }),
    ...runs.map(({ purge, run }) =>
      rowOf({
        name: `${label}: ${NAMES[purge]} / DONTNEED`,
        measured: (measured[purge] ?? Number.NaN) / baseMeasured,
        modelled: run.perCpuSecond / base.perCpuSecond,
        unit: 'times',
        tolerance: 0.25,
        note,
      }),
    ),
  ];
}

/** All rows about today's machine. */
export const todayRows = (input: ExperimentInput): Row[] =>
  SIZES.flatMap((chunks) => tableRows(input, chunks));
