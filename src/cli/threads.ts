/**
 * Workloads of several threads as inputs of `run` and `compare`: opened, run once for each configuration, printed as one table.
 *
 * They run by themselves, one configuration after the other: time decides the order of their operations, so there are no steps that two
 * configurations could take together.
 */
import { UsageError } from '../base/assert.ts';
import type { CostTable } from '../machine/index.ts';
import { markdownTable, type TimedRun, textTable, timeMetrics, timeTable } from '../report/index.ts';
import type { ActReport } from '../whatif/acts/act.ts';
import { ThreadActs } from '../whatif/acts/threadActs.ts';
import { actJson, actLines, seriesTable } from '../whatif/actsText.ts';
import type { Configuration } from '../whatif/configurations.ts';
import { parseThreadedSpec, runThreaded, settleParams, type ThreadedSpec } from '../workloads/index.ts';
import { isModule, loadThreaded } from './input/workloadModule.ts';
import { isWorkloadName } from './inputs.ts';
import { note, print, styled } from './output.ts';
import { KERNEL_MODELLED, packageVersion } from './version.ts';

/** An input whose threads run in virtual time. */
export interface ThreadedInput {
  /** As the user gave it. */
  readonly name: string;
  readonly spec: ThreadedSpec;
}

/** A run, and what rewrites and probes did in it. */
export interface ActedRun extends TimedRun {
  readonly acts: readonly ActReport[];
}

/** How to run it. */
export interface ThreadedOptions {
  readonly costs: CostTable;
  readonly seed: number;
  /** Virtual CPUs; what the workload says, or two, when left out. */
  readonly cpus?: number | undefined;
}

/** How to print it. */
export interface PrintOptions {
  readonly json?: true | undefined;
  readonly markdown?: true | undefined;
  readonly quiet?: true | undefined;
  /** Settings that hold in every column; none when left out. */
  readonly everywhere?: readonly string[];
}

/** Opens a workload of several threads; null if `text` is another input. */
export function openThreaded(text: string): ThreadedInput | null {
  if (isWorkloadName(text)) {
    const spec = parseThreadedSpec(text);
    return spec === null ? null : { name: text, spec };
  }
  const workload = isModule(text) ? loadThreaded(text) : null;
  return workload === null ? null : { name: text, spec: { workload, params: settleParams(workload) } };
}

/** Returns `input` at the size at which it happened. @throws UsageError when it has only one */
export function atFullSize({ name, spec }: ThreadedInput): ThreadedInput {
  const { workload, params } = spec;
  if (workload.full === undefined) throw new UsageError(`${name} has only one size`, 'no --full');
  return { name: `${name} --full`, spec: { workload, params: { ...params, ...workload.full } } };
}

/** Runs `input` in one configuration. */
export function runColumn(
  { spec }: ThreadedInput,
  configuration: Configuration,
  options: ThreadedOptions,
): ActedRun {
  const kinds = [...configuration.rewrites, ...(configuration.probes ?? [])];
  const watch = kinds.length === 0 ? null : new ThreadActs(kinds);
  const { features, params, label } = configuration;
  const { costs, seed, cpus } = options;
  const settled = settleParams(spec.workload, { ...spec.params, ...params });
  const settings = {
    calibration: costs.calibration,
    features,
    seed,
    ...(cpus === undefined ? {} : { cpus }),
    ...(watch === null ? {} : { watch }),
  };
  const { report, figures, simulation } = runThreaded({ workload: spec.workload, params: settled }, settings);
  return { label, report, figures, remarks: simulation.remarks, acts: watch?.end() ?? [] };
}

/**
 * Runs `input` in each configuration. A program that cannot go on in one of them, because a switch is missing there, say, has a column that says so, as long as
 * there is one in which it can.
 */
export function runColumns(
  input: ThreadedInput,
  configurations: readonly Configuration[],
  options: ThreadedOptions,
): ActedRun[] {
  const runs: ActedRun[] = [];
  const refused: string[] = [];
  let first: UsageError | null = null;
  for (const configuration of configurations)
    try {
      runs.push(runColumn(input, configuration, options));
    } catch (error) {
      if (!(error instanceof UsageError) || configurations.length === 1) throw error;
      first ??= error;
      refused.push(`${configuration.label} is left out: ${error.message}`);
    }
  if (first !== null && runs.length === 0) throw first;
  for (const each of refused) note(each);
  return runs;
}

/** Prints the runs of one input side by side. */
export function printRuns(
  { name }: ThreadedInput,
  runs: readonly ActedRun[],
  options: ThreadedOptions & PrintOptions,
): void {
  const notes = [...new Set(runs.flatMap(({ report }) => report.notes))];
  if (options.json) {
    print(`${JSON.stringify(runsJson(name, runs, options))}\n`);
    return;
  }
  const table = timeTable(name, runs);
  const { name: calibration, measured } = options.costs.calibration;
  const { everywhere = [] } = options;
  const set = everywhere.length === 0 ? '' : ` with ${everywhere.join(' ')}`;
  const footer = `faultline ${packageVersion()}, model of ${KERNEL_MODELLED}${set}, seed ${options.seed}, times modelled with calibration ${calibration}, measured ${measured}`;
  const remarks = [...remarkLines(runs), ...actRemarks(runs, options.costs)];
  if (options.markdown) print(`${markdownTable(table)}\n\n${[...remarks, footer, ...notes].join('  \n')}\n`);
  else {
    const lines = textTable(table)
      .split('\n')
      .map((line, i) => (i === 0 || !line.startsWith(' ') ? styled('bold', line) : line));
    const told = remarks.length === 0 ? '' : `\n${remarks.join('\n')}\n`;
    const series = seriesTexts(runs).map((text) => `\n${text}\n`);
    print(`${lines.join('\n')}\n${told}${series.join('')}\n${styled('dim', footer)}\n`);
    if (!options.quiet) for (const each of notes) note(each);
  }
}

/** What the programs have to say, by column. */
const remarkLines = (runs: readonly TimedRun[]): string[] =>
  runs.flatMap(({ label, remarks = [] }) =>
    remarks.map((text) => (label === '' ? text : `${label}: ${text}`)),
  );

/** What rewrites and probes did, by column. */
const actRemarks = (runs: readonly ActedRun[], costs: CostTable): string[] =>
  runs.flatMap(({ label, acts }) =>
    acts.flatMap((act) =>
      actLines(act, costs).map(
        (line) => `${label.startsWith(act.name) ? label : `${label}: ${act.name}`}: ${line}`,
      ),
    ),
  );

/** What was seen over time, by column. */
const seriesTexts = (runs: readonly ActedRun[]): string[] =>
  runs.flatMap(({ label, acts }) =>
    acts.flatMap(({ name, series }) =>
      series === undefined || series.rows.length === 0
        ? []
        : [`${name}, ${label}\n${textTable(seriesTable(series))}`],
    ),
  );

/** The same numbers, under the same names; and the whole report. */
const runsJson = (
  input: string,
  runs: readonly ActedRun[],
  { seed, costs }: Pick<ThreadedOptions, 'seed' | 'costs'>,
): object => ({
  input,
  seed,
  configurations: runs.map((run) => ({
    label: run.label,
    metrics: timeMetrics(run),
    figures: run.figures,
    notes: run.report.notes,
    remarks: run.remarks ?? [],
    ...(run.acts.length === 0 ? {} : { acts: run.acts.map((act) => actJson(act, costs)) }),
    report: {
      ...run.report,
      threads: run.report.threads.map((thread) => ({
        ...thread,
        times: { ...thread.times, parkedNs: Object.fromEntries(thread.times.parkedNs) },
      })),
    },
  })),
});
