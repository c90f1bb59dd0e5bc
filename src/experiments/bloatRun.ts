/** One run of a recipe bloat/* for seed 003, and what it came to. */
import type { Calibration, TimeReport } from '../machine/index.ts';
import { type Features, LINUX_6_18 } from '../mm/index.ts';
import {
  type Figures,
  type ParamValue,
  runThreaded,
  settleParams,
  THREADED_WORKLOADS,
  type ThreadedWorkload,
} from '../workloads/index.ts';

/** What is run: a recipe by the rest of its name. */
export interface BloatPlan {
  readonly calibration: Calibration;
  readonly recipe: string;
  readonly params?: Readonly<Record<string, ParamValue>>;
  readonly features?: Partial<Features>;
}

/** What it came to. VmPTE in KiB, without what the program had before. */
export interface BloatRun {
  readonly mostKib: number;
  readonly endKib: number;
  readonly emptyKib: number;
  readonly figures: Figures;
  readonly report: TimeReport;
}

/** Runs it. Throws ModelBug when its memory is not as it was left. */
export function runBloat({ calibration, recipe, params = {}, features = {} }: BloatPlan): BloatRun {
  const workload = THREADED_WORKLOADS.find(({ name }) => name === `bloat/${recipe}`) as ThreadedWorkload;
  const { figures, report } = runThreaded(
    { workload, params: settleParams(workload, params) },
    { calibration, features: { ...LINUX_6_18, ...features } },
  );
  const figure = (name: string): number => figures[name] ?? Number.NaN;
  return {
    mostKib: figure('VmPTE at the most, KiB'),
    endKib: figure('VmPTE at the end, KiB'),
    emptyKib: figure('of it tables without entries, KiB'),
    figures,
    report,
  };
}

/** VmPTE that the programs had which were measured, before they began, KiB. */
export const BEFORE_KIB = 40;
