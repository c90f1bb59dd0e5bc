/**
 * A comparison as text, as Markdown for a cover letter, and as JSON: the same numbers under the same names.
 */
import type { CostTable } from '../machine/index.ts';
import { markdownTable, textTable } from '../report/index.ts';
import { actJson, actLines, actsText, seriesTable } from './actsText.ts';
import {
  comparisonTable,
  metricsOf,
  openness,
  type Remark,
  remarksOf,
  sentenceOf,
  shortName,
} from './comparison.ts';
import type { Configuration } from './configurations.ts';
import type { Divergence, LaneResult, RunResult } from './run.ts';
import { isUnchanged, whyUnchanged } from './unchanged.ts';

/** What a report says about itself. */
export interface ReportContext {
  readonly version: string;
  /** Name of the profile of the baseline. */
  readonly profile: string;
  /** Release of the kernel that is modelled. */
  readonly kernel: string;
  readonly seed: number;
  /** Settings that hold in every column, `name=value`; none when left out. */
  readonly everywhere?: readonly string[];
}

/** What a report with times says about itself. */
export interface ComparisonContext extends ReportContext {
  /** What times are modelled with. */
  readonly costs: CostTable;
}

/** How a line is set off; identity where there are no colours. */
export type Emphasis = (text: string) => string;

const plain: Emphasis = (text) => text;

/** Returns the line at the foot of a report: all it takes to make it again. */
export function footer(
  context: ReportContext | ComparisonContext,
  configurations: readonly Configuration[],
): string {
  const { version, profile, kernel, seed, everywhere = [] } = context;
  const times =
    'costs' in context ? `, times modelled with calibration ${context.costs.calibration.name}` : '';
  const changes = [...new Set(configurations.flatMap((each) => each.changes))];
  const baseline = profile === kernel ? '' : ` (profile ${profile})`;
  const set = everywhere.length === 0 ? '' : ` with ${everywhere.join(' ')}`;
  return `faultline ${version}, model of ${kernel}${baseline}${set}, seed ${seed}${times}${changes.length === 0 ? '' : `; ${changes.join(', ')}`}`;
}

const configurationsOf = (results: readonly RunResult[]): Configuration[] =>
  (results[0]?.lanes ?? []).map(({ configuration }) => configuration);

/** Returns the comparison as aligned text without a newline at the end. */
export function comparisonText(
  results: readonly RunResult[],
  context: ComparisonContext,
  emphasis: { readonly strong: Emphasis; readonly faint: Emphasis } = { strong: plain, faint: plain },
): string {
  const headings = new Set(results.map((result) => result.input));
  const [header = '', ...lines] = textTable(comparisonTable(results, context.costs)).split('\n');
  const table = lines.map((line) => (line !== '' && !line.startsWith(' ') ? emphasis.strong(line) : line));
  const sentences = results.map(sentenceOf).filter((sentence) => sentence !== null);
  const parts = [
    [emphasis.strong(header), ...table].join('\n'),
    differencesText(results, headings.size > 1),
    actsText(results, context.costs),
    sentences.join('\n'),
    emphasis.faint(footer(context, configurationsOf(results))),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

/** A remark of a column that went as another one did says so instead of repeating it. */
function withoutRepeats(remarks: readonly Remark[]): Remark[] {
  const found = remarks.map((remark, i) => {
    const { label, text, call } = remark;
    const same = remarks
      .slice(0, i)
      .find((other) => call !== '' && other.call === call && other.text === text && other.label !== label);
    return same === undefined ? remark : { ...remark, call: '', text: `as ${same.label}` };
  });
  return found.filter(({ label, text }, i) => label !== found[i - 1]?.label || text !== found[i - 1]?.text);
}

/** Inputs with a longer name get a line of their own above their remarks. */
const NAME_COLUMN = 20;

function differencesText(results: readonly RunResult[], withInput: boolean): string {
  const remarks = results
    .filter((result) => sentenceOf(result) === null)
    .map((result) => withoutRepeats(remarksOf(result)));
  const all = remarks.flat();
  if (all.length === 0) return '';
  const width = (key: 'input' | 'label'): number => Math.max(...all.map((remark) => remark[key].length));
  const isBeside = withInput && width('input') <= NAME_COLUMN;
  const inputWidth = isBeside ? width('input') + 2 : 0;
  const labelWidth = width('label') + 2;
  const indent = ' '.repeat((withInput && !isBeside ? 4 : 2) + inputWidth + labelWidth);
  const lines = remarks.flatMap((ofInput) => [
    ...(withInput && !isBeside ? [`  ${ofInput[0]?.input ?? ''}`] : []),
    ...ofInput.flatMap((remark, i) => {
      const before = ofInput[i - 1];
      const input = before === undefined ? remark.input : '';
      const label = before?.label === remark.label ? '' : remark.label;
      const head = `${isBeside ? input.padEnd(inputWidth) : ''}${label.padEnd(labelWidth)}`;
      const first = head.padStart(indent.length) + remark.text;
      return remark.call === '' ? [first] : [first, indent + remark.call];
    }),
  ]);
  return ['where it first differs from the baseline', ...lines].join('\n');
}

/** Returns the comparison as Markdown without a newline at the end. */
export function comparisonMarkdown(results: readonly RunResult[], context: ComparisonContext): string {
  const remarks = results.flatMap((result) => {
    const sentence = sentenceOf(result);
    if (sentence !== null) return [`- ${sentence}`];
    return withoutRepeats(remarksOf(result)).map(({ input, label, call, text }) =>
      call === '' ? `- ${input}, ${label}: ${text}` : `- ${input}, ${label}: ${text}: \`${call}\``,
    );
  });
  return [
    markdownTable(comparisonTable(results, context.costs)),
    remarks.join('\n'),
    ...actsMarkdown(results, context.costs),
    `_${footer(context, configurationsOf(results))}_`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function actsMarkdown(results: readonly RunResult[], costs: CostTable): string[] {
  return results.flatMap(({ input, lanes }) =>
    lanes.flatMap(({ configuration, acts }) =>
      acts.flatMap((act) => [
        `${shortName(input)}, ${configuration.label}, ${act.name}:\n\n${actLines(act, costs)
          .map((line) => `- ${line}`)
          .join('\n')}`,
        ...(act.series === undefined || act.series.rows.length === 0
          ? []
          : [markdownTable(seriesTable(act.series))]),
      ]),
    ),
  );
}

/** Returns the comparison as plain data for JSON. */
export function comparisonJson(results: readonly RunResult[], context: ComparisonContext): unknown {
  const { costs, ...about } = context;
  const { name, measured } = costs.calibration;
  return {
    ...about,
    calibration: { name, measured },
    inputs: results.map((result) => inputJson(result, costs)),
  };
}

function inputJson(result: RunResult, costs: CostTable): unknown {
  const [baseline] = result.lanes;
  return {
    input: result.input,
    operations: result.ops,
    sentence: sentenceOf(result),
    warnings: result.warnings.map(({ what, count, text }) => ({ what, count, text })),
    configurations: result.lanes.map((lane) => laneJson(lane, baseline as LaneResult, { result, costs })),
  };
}

function laneJson(
  lane: LaneResult,
  baseline: LaneResult,
  of: { readonly result: RunResult; readonly costs: CostTable },
): unknown {
  const { configuration, processes, counts, calls, firstDifference, results, work, cpuNs } = lane;
  const { pageTables, faults, vranges, facts, charges } = work;
  return {
    label: configuration.label,
    changes: configuration.changes,
    features: configuration.features,
    params: configuration.params,
    numbers: numbersOf(lane, of),
    ...boundJson(lane, of),
    changesNothing: lane !== baseline && isUnchanged(lane, baseline) ? whyUnchanged(lane, baseline) : null,
    firstDifference: divergenceJson(firstDifference),
    answeredDifferently: { calls: results.differ, first: divergenceJson(results.first) },
    processes: processes.map(({ pid, isMain, vmas, pairs }) => ({ pid, isMain, vmas, pairs })),
    ...(lane.acts.length === 0
      ? {}
      : {
          acts: lane.acts.map((act) => actJson(act, of.costs)),
          diverged: { calls: lane.diverged.calls, first: lane.diverged.first },
        }),
    calls,
    counts,
    memory: lane.memory,
    work: { pageTables, faults, vranges, facts },
    modelled: of.costs.timeOf(charges),
    cpuNs,
  };
}

/** Which of the numbers are bounds, and which only one of many possible values; nothing where all are exact. */
function boundJson(lane: LaneResult, of: { readonly result: RunResult; readonly costs: CostTable }): object {
  if (lane.bound === null) return {};
  const metrics = metricsOf(lane, of.result, of.costs);
  const named = (kind: 'bound' | 'open'): string[] =>
    metrics.filter((each) => openness(each) === kind).map(({ group, name }) => `${group}.${name}`);
  return { bound: lane.bound, bounds: named('bound'), notBounded: named('open') };
}

/** The rows of the table by their two words, zeros too. */
function numbersOf(
  lane: LaneResult,
  of: { readonly result: RunResult; readonly costs: CostTable },
): Record<string, Record<string, number | null>> {
  const numbers: Record<string, Record<string, number | null>> = {};
  for (const { group, name, value } of metricsOf(lane, of.result, of.costs)) {
    const of = numbers[group] ?? {};
    of[name] = value;
    numbers[group] = of;
  }
  return numbers;
}

const divergenceJson = (divergence: Divergence | null): unknown =>
  divergence === null ? null : { ...divergence.place, here: divergence.here, baseline: divergence.baseline };
