/**
 * A run in virtual time as rows: for one run, or several side by side with what changed against the first one.
 *
 * Times are whole microseconds, shares whole percent, figures of the program whole numbers. A row that is zero in every column is left out, but for the time itself.
 */
import type { ThreadReport, TimeReport } from '../machine/index.ts';
import type { Row, Table } from './table.ts';

/** One number of a run. Rows of several runs are matched by group and name. */
export interface TimeMetric {
  readonly group: string;
  readonly name: string;
  readonly value: number;
}

/** A run with the figures that its program tells itself. */
export interface TimedRun {
  readonly label: string;
  readonly report: TimeReport;
  readonly figures: Readonly<Record<string, number>>;
  /** What its program has to say besides numbers. */
  readonly remarks?: readonly string[];
}

/** So many paths have rows of their own, and so many threads. */
const NR_PATHS = 8;
const NR_THREADS = 8;

const microseconds = (ns: number): number => Math.round(ns / 1000);
const percent = (share: number): number => Math.round(100 * share);

/** Returns the numbers of a run. */
export function timeMetrics({ report, figures }: Omit<TimedRun, 'label'>): TimeMetric[] {
  const group =
    (name: string) =>
    (row: readonly [string, number]): TimeMetric => ({ group: name, name: row[0], value: row[1] });
  const rows: readonly (readonly [string, readonly (readonly [string, number])[]])[] = [
    ['time', [['elapsed, µs', microseconds(report.elapsedNs)]]],
    ['program', [...programRows(report), ...Object.entries(figures).map(wholeFigure)]],
    ['stalls, µs', stallRows(report.threads)],
    ['CPUs', cpuRows(report)],
    ['locks', lockRows(report)],
    ['volatile ranges', vrangeRows(report)],
    ['scans for empty page tables', scanRows(report)],
    ['dearest paths, µs', pathRows(report)],
  ];
  return rows.flatMap(([name, each]) => each.map(group(name)));
}

const wholeFigure = ([name, value]: [string, number]): [string, number] => [name, Math.round(value)];

const programRows = ({ throughput }: TimeReport): [string, number][] =>
  throughput.flatMap(({ what, count, perSecond }): [string, number][] => [
    [what, count],
    [`${what} a second`, Math.round(perSecond)],
  ]);

/** How long accesses and calls kept threads from going on: of each thread the longest. */
function stallRows(threads: readonly ThreadReport[]): [string, number][] {
  const shown = threads.length > NR_THREADS ? [] : threads;
  const longest = (of: readonly ThreadReport[]): number =>
    Math.max(0, ...of.map(({ stalls }) => microseconds(stalls.maxNs)));
  const rows = shown.map((thread): [string, number] => [`${thread.name}, longest`, longest([thread])]);
  const worst = (pick: (thread: ThreadReport) => number): number =>
    Math.max(0, ...threads.map((thread) => microseconds(pick(thread))));
  return [
    ['longest of all', longest(threads)],
    ['99 % of a thread, worst', worst(({ stalls }) => stalls.p99Ns)],
    ['half of a thread, worst', worst(({ stalls }) => stalls.p50Ns)],
    ...rows,
  ];
}

function cpuRows({ cpus }: TimeReport): [string, number][] {
  const sum = (pick: (cpu: TimeReport['cpus'][number]) => number): number =>
    cpus.reduce((all, cpu) => all + pick(cpu), 0);
  return [
    ...cpus.map(({ cpu, utilisation }): [string, number] => [`CPU ${cpu} busy, %`, percent(utilisation)]),
    ['switches', sum(({ switches }) => switches)],
    ['interrupted by others', sum(({ interrupts }) => interrupts)],
    ['spinning, µs', microseconds(sum(({ spinNs }) => spinNs))],
  ];
}

const lockRows = ({ locks }: TimeReport): [string, number][] =>
  locks.flatMap(({ name, mode, contended, waitedNs, longestWaitNs }): [string, number][] => [
    [`${name}, ${mode}: had to wait`, contended],
    [`${name}, ${mode}: waited, µs`, microseconds(waitedNs)],
    [`${name}, ${mode}: longest, µs`, microseconds(longestWaitNs)],
  ]);

const vrangeRows = ({ facts }: TimeReport): [string, number][] => [
  ['calls', facts.vrangeVolatileCalls + facts.vrangeNovolatileCalls],
  ['pages purged', facts.pagesPurged],
  ['pages purged, more than wanted', facts.vrangeOvershoot],
  ['entries looked at for purging', facts.purgePagesScanned],
  ['SIGBUS for what was purged', facts.purgedTouched],
];

const scanRows = ({ facts, scans, elapsedNs }: TimeReport): [string, number][] => [
  ['scans', facts.ptScans],
  ['tables looked at', facts.ptScans === 0 ? 0 : facts.ptScanTables],
  ['tables freed', facts.ptFreedAsync],
  ['time, µs', microseconds(scans.allNs)],
  ['time, % of the run', percent(elapsedNs === 0 ? 0 : scans.allNs / elapsedNs)],
  ['longest pause, µs', microseconds(scans.longestNs)],
  ['put off: vmas were being changed', facts.ptScanTrylockFailed],
  ['not empty any more when locked', facts.ptRaceKept],
  ['faults that began again', facts.ptMapRetries],
  ['freed and made again within a second', facts.ptScans === 0 ? 0 : facts.ptReallocated],
];

function pathRows({ work }: TimeReport): [string, number][] {
  const shown = work.paths.slice(0, NR_PATHS);
  const restNs = work.paths.slice(NR_PATHS).reduce((sum, { ns }) => sum + ns, 0);
  return [
    ...shown.map(({ path, ns }): [string, number] => [path, microseconds(ns)]),
    ['other paths', microseconds(restNs)],
  ];
}

/** Returns a table with a column for each run; the first one is what the others are held against. */
export function timeTable(title: string, runs: readonly TimedRun[]): Table {
  const columns = runs.map((run) => timeMetrics(run));
  const valueIn = (column: number, key: TimeMetric): number =>
    columns[column]?.find(({ group, name }) => group === key.group && name === key.name)?.value ?? 0;
  const rows: Row[] = [];
  for (const key of allKeys(columns)) {
    const values = runs.map((_run, column) => valueIn(column, key));
    if (key.group !== 'time' && values.every((value) => value === 0)) continue;
    if (!rows.some((row) => 'heading' in row && row.heading === key.group)) rows.push({ heading: key.group });
    const cells = values.map((value, column) => ({
      value,
      change: column === 0 ? null : value - (values[0] as number),
    }));
    rows.push({ cells: [`  ${key.name}`, ...cells] });
  }
  return { header: [title, ...runs.map(({ label }) => label)], nrLabels: 1, rows };
}

/** The rows of all columns, by group in order of appearance. */
function allKeys(columns: readonly (readonly TimeMetric[])[]): TimeMetric[] {
  const groups = new Map<string, Map<string, TimeMetric>>();
  for (const metric of columns.flat()) {
    const names = groups.get(metric.group) ?? new Map<string, TimeMetric>();
    groups.set(metric.group, names);
    if (!names.has(metric.name)) names.set(metric.name, metric);
  }
  return [...groups.values()].flatMap((names) => [...names.values()]);
}
