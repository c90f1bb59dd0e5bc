/**
 * Rows about work and time: page tables, faults, pages, and where the modelled time goes.
 *
 * Counts are exact. Times are charges x prices of a calibration, in whole microseconds; the dearest paths have rows of their own, the others
 * are summed. Where a switch of seed 004 is set and the recording knows its processor time, the extra time stands beside it in per cent, as the
 * cover letter gives it.
 */
import type { CostTable } from '../machine/index.ts';
import type { FaultName, FeatureName, PathName } from '../mm/index.ts';
import type { Metric } from './comparison.ts';
import type { LaneEnd } from './lane.ts';
import type { LaneResult, RunResult } from './run.ts';
import { changedFeatures } from './unchanged.ts';

/** The group of modelled times. */
export const TIME_GROUP = 'modelled time, µs';
const TABLE_KB = 4;
/** So many paths have rows of their own. */
const NR_PATHS = 8;

const metric = (group: string, name: string, value: number): Metric => ({
  group,
  name,
  value,
  always: false,
});

/** Returns what was done to pages and tables; what seed 004 does besides to have them its way. */
export function workMetrics({ work, memory }: LaneEnd): Metric[] {
  const { pageTables, faults, nrFaults, vranges, facts } = work;
  return [
    metric('page tables', 'end, kB', pageTables.end / 1024),
    metric('page tables', 'peak, kB', pageTables.peak / 1024),
    metric('page tables', 'empty at the end, kB', memory.emptyTables * TABLE_KB),
    metric('page tables', 'freed by MADV_DONTNEED', facts.ptFreedSync),
    metric('page tables', 'freed by scans', facts.ptFreedAsync),
    metric('page tables', 'freed by MADV_PT_RECLAIM', facts.ptFreedAdvised),
    metric('page tables', 'freed with their last entry', facts.ptFreedCounted),
    metric('page tables', 'moved', facts.tablesMoved),
    metric('faults', 'all', nrFaults),
    ...(Object.keys(faults) as FaultName[]).map((kind) => metric('faults', kind, faults[kind])),
    metric('pages', 'allocated', facts.pagesAllocated),
    metric('pages', 'zeroed', facts.pagesZeroed),
    metric('pages', 'copied', facts.pagesCopied),
    metric('pages', 'asked whether shared', facts.pagesAskedForSharing),
    metric('pages', 'given another index', facts.indexesRewritten),
    metric('volatile ranges', 'calls', facts.vrangeVolatileCalls + facts.vrangeNovolatileCalls),
    metric('volatile ranges', 'peak', vranges.peak),
    metric('volatile ranges', 'pages purged', facts.pagesPurged),
    metric('volatile ranges', 'purged pages touched', facts.purgedTouched + facts.purgedCopied),
  ];
}

/**
 * Returns what is resident at the end, and what of it the kernel may take at once. Told where some lane gives memory away in that way, or ends with
 * more or less than the baseline.
 */
export function memoryMetrics({ memory }: LaneEnd, { lanes }: RunResult): Metric[] {
  const isTold = lanes.some(
    (lane) =>
      lane.memory.lazyFree > 0 ||
      lane.memory.volatile > 0 ||
      lane.memory.resident !== lanes[0]?.memory.resident,
  );
  if (!isTold) return [];
  return [
    metric('memory', 'resident at the end, kB', memory.resident / 1024),
    metric('memory', 'of it given to MADV_FREE, kB', memory.lazyFree / 1024),
    metric('memory', 'of it volatile, kB', memory.volatile / 1024),
    metric('memory', 'in swap, kB', memory.swapped / 1024),
  ];
}

/** Returns what was locked, waited for and flushed. */
export function lockMetrics({ work }: LaneEnd): Metric[] {
  const { facts } = work;
  return [
    metric('locks', 'of pages', facts.pageLocksTaken),
    metric('locks', 'of reverse mappings', facts.rmapLocksTaken),
    metric('waits', 'for migrations', facts.migrationsWaitedFor),
    metric('TLB', 'flushes', facts.tlbFlushes),
    metric('TLB', 'of everything', facts.tlbFullFlushes),
  ];
}

const SWITCHES_OF_004: ReadonlySet<FeatureName> = new Set<FeatureName>([
  'mergePgoffOnMove',
  'mergeAcrossAnonVma',
]);

/** Tells whether a lane has a switch of seed 004 set otherwise than the baseline. */
const isOfSeed004 = (lane: LaneResult, baseline: LaneResult): boolean =>
  changedFeatures(lane, baseline).some((name) => SWITCHES_OF_004.has(name));

/** Returns the share of the recorded processor time that `lane` takes more than `baseline`, by the model; null where it is not known. */
export function extraShare(lane: LaneEnd, baseline: LaneEnd, costs: CostTable): number | null {
  const { cpuNs } = baseline;
  if (cpuNs === null) return null;
  const total = ({ work }: LaneEnd): number => costs.timeOf(work.charges).totalNs;
  return (total(lane) - total(baseline)) / cpuNs;
}

/** Returns the modelled time of a lane: all of it, the dearest paths of `result`, the rest. */
export function modelledMetrics(lane: LaneResult, result: RunResult, costs: CostTable): Metric[] {
  const baseline = result.lanes[0] as LaneResult;
  const shown = dearestPaths(result, costs);
  const { totalNs, paths } = costs.timeOf(lane.work.charges);
  const microseconds = (ns: number): number => Math.round(ns / 1000);
  const timeOf = (path: PathName): number => paths.find((each) => each.path === path)?.ns ?? 0;
  const own = shown.reduce((sum, path) => sum + timeOf(path), 0);
  const group = TIME_GROUP;
  return [
    metric(group, 'all', microseconds(totalNs)),
    ...shown.map((path) => metric(group, path, microseconds(timeOf(path)))),
    metric(group, 'other paths', microseconds(totalNs - own)),
    ...extraMetric(lane, result, { baseline, costs }),
  ];
}

function extraMetric(
  lane: LaneResult,
  result: RunResult,
  { baseline, costs }: { readonly baseline: LaneResult; readonly costs: CostTable },
): Metric[] {
  if (!result.lanes.some((each) => isOfSeed004(each, baseline))) return [];
  const share = isOfSeed004(lane, baseline) ? extraShare(lane, baseline, costs) : null;
  // Rounded as it is printed, so that JSON has the same number.
  const value = share === null ? null : Math.round(share * 1_000_000) / 10_000;
  return [{ group: 'extra time', name: 'of user+system', value, unit: '%', always: baseline.cpuNs !== null }];
}

/** Returns the paths that take most time in any lane, those of the baseline first. */
function dearestPaths(result: RunResult, costs: CostTable): PathName[] {
  const most = new Map<PathName, number>();
  for (const { work } of result.lanes)
    for (const { path, ns } of costs.timeOf(work.charges).paths)
      most.set(path, Math.max(most.get(path) ?? 0, ns));
  return [...most]
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, NR_PATHS)
    .map(([path]) => path);
}
