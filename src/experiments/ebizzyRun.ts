/**
 * One run of ebizzy for seed 002: on a machine, with a calibration, and what it came to.
 */
import type { Calibration, CrossCpuPrices, TimeReport } from '../machine/index.ts';
import { calibrationFigures } from '../machine/index.ts';
import { FACT, type Features, LINUX_6_18 } from '../mm/index.ts';
import {
  type Params,
  type ParamValue,
  runThreaded,
  settleParams,
  THREADED_WORKLOADS,
  type ThreadedWorkload,
} from '../workloads/index.ts';

/** What is run. */
export interface EbizzyPlan {
  readonly calibration: Calibration;
  readonly features?: Partial<Features>;
  readonly cpus: number;
  readonly crossCpu?: Partial<CrossCpuPrices>;
  /** Of the workload `ebizzy`; keys are looked up by page unless told. */
  readonly params: Readonly<Record<string, ParamValue>>;
}

/** What it came to. */
export interface EbizzyRun {
  readonly records: number;
  readonly perSecond: number;
  /** A second of CPU time. */
  readonly perCpuSecond: number;
  readonly faultsPerRecord: number;
  readonly report: TimeReport;
  /** Of the whole run, its start included. */
  readonly zeroedPages: number;
}

const EBIZZY = THREADED_WORKLOADS.find(({ name }) => name === 'ebizzy') as ThreadedWorkload;

/** Runs it. Throws ModelBug when a record is not found. */
export function runEbizzy({ calibration, features = {}, cpus, crossCpu, params }: EbizzyPlan): EbizzyRun {
  const settled: Params = settleParams(EBIZZY, { contents: 'pages', ...params });
  const { figures, report, simulation } = runThreaded(
    { workload: EBIZZY, params: settled },
    {
      calibration,
      cpus,
      features: { ...LINUX_6_18, vrange: 'on', ...features },
      ...(crossCpu === undefined ? {} : { crossCpu }),
    },
  );
  const figure = (name: string): number => figures[name] ?? Number.NaN;
  return {
    records: figure('records'),
    perSecond: figure('records a second'),
    perCpuSecond: figure('records a CPU second'),
    faultsPerRecord: figure('faults in 100 records') / 100,
    report,
    zeroedPages: simulation.kernel.work.facts[FACT.pagesZeroed] as number,
  };
}

/**
 * Interrupts between CPUs that leave no guest: the cheapest exception that was measured, a fault that finds its page its own, stands in for taking
 * one; who asks waits for one.
 */
export function bareMetalLike(calibration: Calibration): Partial<CrossCpuPrices> {
  const ns = calibrationFigures(calibration).figure('fault_cow_reuse');
  return { shootdownNs: ns, shootdownTargetNs: ns };
}

/** Returns `base` without what a fault costs more in the middle of a copy, most of which is translation in two stages: what a machine without a host under it pays. */
export const withoutNesting = (base: Calibration): Calibration => ({
  ...base,
  primitives: base.primitives.filter(({ name }) => name !== 'fault_anon_copied'),
});

/** Returns `base` with other nanoseconds for some of its figures. */
export function withFigures(
  base: Calibration,
  ns: Readonly<Record<string, number>>,
  name: string,
): Calibration {
  return {
    ...base,
    name,
    primitives: base.primitives.map((figure) => {
      const given = ns[figure.name];
      return given === undefined ? figure : { ...figure, median: given, floor: given };
    }),
  };
}
