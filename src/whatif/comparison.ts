/**
 * The table of `compare`: rows of numbers for each input, a column for each configuration, and below it where each of them first differs.
 *
 * A row is named by two words, which are also the names in JSON: `vmas end` is `vmas.end`. Rows in which every column is 0 are left out, but for
 * the first ones of each input. A change stands beside its number where there is one.
 */
import type { CostTable } from '../machine/index.ts';
import type { RefusedVerdict } from '../report/index.ts';
import { type Cell, counted, PAIR_KINDS, REFUSALS, type Row, type Table } from '../report/index.ts';
import type { Bound } from './acts/act.ts';
import { lockMetrics, memoryMetrics, modelledMetrics, TIME_GROUP, workMetrics } from './costMetrics.ts';
import { placeText } from './placeBook.ts';
import type { Divergence, LaneResult, RunResult } from './run.ts';
import { isUnchanged, nothingChanges, otherWork, whyUnchanged } from './unchanged.ts';

/** One number of a lane, with the two words it is called by. */
export interface Metric {
  readonly group: string;
  readonly name: string;
  /** Null where it is not known. */
  readonly value: number | null;
  /** What stands behind it in a table, which then shows no change. */
  readonly unit?: '%';
  /** Printed even if it is 0 everywhere. */
  readonly always: boolean;
}

/** Refusals that the proposals are about have rows of their own; the others are one row. */
const OWN_ROW: ReadonlySet<RefusedVerdict> = new Set<RefusedVerdict>([
  'pgoff-gap',
  'anon-vma-differs',
  'anon-vma-shared',
  'fork-child',
  'unfaulted-neighbour',
  'flags-differ',
]);

/** Returns the numbers of a lane of `result` in the order in which they are printed; times are modelled with the prices of `costs`. */
export function metricsOf(lane: LaneResult, result: RunResult, costs: CostTable): Metric[] {
  const { counts, pairs, processes } = lane;
  const main = processes.find(({ isMain }) => isMain);
  const metric = (group: string, name: string, value: number, always = false): Metric => ({
    group,
    name,
    value,
    always,
  });
  const all =
    processes.length > 1
      ? [
          metric(
            'vmas',
            `end, ${processes.length} processes`,
            total(processes.map(({ vmas }) => vmas.end)),
            true,
          ),
          metric('vmas', 'peak, all processes', counts.vmas.peak, true),
        ]
      : [];
  const refused = counts.merges.refused;
  const others = REFUSALS.filter((verdict) => !OWN_ROW.has(verdict));
  return [
    metric('vmas', 'end', main?.vmas.end ?? 0, true),
    metric('vmas', 'peak', main?.vmas.peak ?? counts.vmas.peak, true),
    ...all,
    metric('blocked pairs', 'all', pairs.pairs, true),
    ...PAIR_KINDS.map((kind) => metric('blocked pairs', PAIR_NAMES[kind], pairs[kind])),
    metric('merges', 'done', total(Object.values(counts.merges.joined)), true),
    ...[...OWN_ROW].map((verdict) => metric('merges not done', verdict, refused[verdict] ?? 0)),
    metric('merges not done', 'other reasons', total(others.map((verdict) => refused[verdict] ?? 0))),
    ...workMetrics(lane),
    ...memoryMetrics(lane, result),
    metric('pages', 'rehomed', counts.rehomed.pages),
    ...lockMetrics(lane),
    metric('calls', 'answered differently', lane.results.differ),
    ...rulesOf(result).map((rule) => metric('rewritten', rule, lane.rewritten[rule] ?? 0)),
    ...modelledMetrics(lane, result, costs),
  ];
}

/** The rules of all columns. */
const rulesOf = ({ lanes }: RunResult): string[] => [
  ...new Set(lanes.flatMap(({ rewritten }) => Object.keys(rewritten))),
];

const PAIR_NAMES = {
  pgoff: 'only pgoff',
  anon_vma: 'only anon_vma',
  both: 'both',
  chain: 'fork chain',
  mergeable: 'nothing in the way',
} as const;

const total = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n, 0);

/** Returns the table of one or several inputs. All of them have the same configurations. */
export function comparisonTable(results: readonly RunResult[], costs: CostTable): Table {
  const labels = results[0]?.lanes.map(({ configuration }) => configuration.label) ?? [];
  return {
    header: ['', '', ...labels],
    nrLabels: 2,
    rows: results.flatMap((result) => inputRows(result, costs, results.length > 1)),
  };
}

function inputRows(result: RunResult, costs: CostTable, separate: boolean): Row[] {
  const columns = result.lanes.map((lane) => metricsOf(lane, result, costs));
  const [baseline = []] = columns;
  const rows: Row[] = [{ heading: headingOf(result) }];
  let group = '';
  for (const { group: named, name, always, unit } of namesOf(columns)) {
    const found = columns.map((column) =>
      column.find((metric) => metric.group === named && metric.name === name),
    );
    const values = found.map((metric) => metric?.value ?? 0);
    if (!always && values.every((value) => value === 0)) continue;
    const before = baseline.find((metric) => metric.group === named && metric.name === name)?.value ?? 0;
    const cells =
      unit === '%'
        ? found.map((metric) => percentText(metric?.value ?? null))
        : values.map((value, i): Cell => {
            const change = i === 0 ? null : value - before;
            const bound = markOf({ group: named, name }, result.lanes[i]?.bound ?? null);
            return bound === null ? { value, change } : { value, change, bound };
          });
    rows.push({ cells: [`  ${group === named ? '' : named}`, name, ...cells] });
    group = named;
  }
  return separate ? [{ heading: '' }, ...rows] : rows;
}

/** Groups of numbers that depend on accesses which a recording may not tell. VMAs, merges and answers do not. */
const OPEN: ReadonlySet<string> = new Set([
  'page tables',
  'memory',
  'faults',
  'pages',
  'locks',
  'waits',
  'TLB',
  TIME_GROUP,
]);
/** Sums that grow with every access: bounds where accesses are missing. The other numbers of these groups may be more or less. */
const MONOTONE: ReadonlySet<string> = new Set([
  'page tables end, kB',
  'page tables peak, kB',
  'memory resident at the end, kB',
  'faults all',
  'pages allocated',
  `${TIME_GROUP} all`,
]);
/** What a number is where accesses are missing: a bound, open, or exact all the same. */
export function openness({ group, name }: Pick<Metric, 'group' | 'name'>): 'bound' | 'open' | 'exact' {
  if (!OPEN.has(group)) return 'exact';
  return MONOTONE.has(`${group} ${name}`) ? 'bound' : 'open';
}
function markOf(metric: Pick<Metric, 'group' | 'name'>, bound: Bound): '≥' | '≤' | '~' | null {
  const kind = bound === null ? 'exact' : openness(metric);
  if (kind === 'exact') return null;
  if (kind === 'open' || bound === 'some') return '~';
  return bound === 'least' ? '≥' : '≤';
}

const percentText = (value: number | null): string =>
  value === null ? '' : `${value > 0 ? '+' : ''}${value.toFixed(4)} %`;

/** The names of all columns in order; a column may have one more than the first. */
function namesOf(columns: readonly (readonly Metric[])[]): Metric[] {
  const seen = new Map<string, Metric>();
  for (const metric of columns.flat()) {
    const key = `${metric.group} ${metric.name}`;
    if (!seen.has(key)) seen.set(key, metric);
  }
  const longest = columns.reduce<readonly Metric[]>((a, b) => (b.length > a.length ? b : a), []);
  const order = longest.map(({ group, name }) => `${group} ${name}`);
  return [...seen].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)).map(([, metric]) => metric);
}

/** `beam  (1,569 calls, 108,625 page faults)`: what was played. An ops file touches pages itself, a recording has its page faults. */
function headingOf(result: RunResult): string {
  const { calls, processes } = result.lanes[0] as LaneResult;
  const touches = calls['touch'] ?? 0;
  const nrCalls = total(Object.values(calls)) - touches;
  const many =
    processes.length > 1 ? `; ${counted(processes.length, 'process', 'processes')} at the end` : '';
  const touched =
    result.summary?.format === 'recording'
      ? counted(touches, 'page fault')
      : counted(touches, 'touch', 'touches');
  return `${shortName(result.input)}  (${counted(nrCalls, 'call')}, ${touched}${many})`;
}

/** Returns the last part of a path, which is enough to tell inputs apart in a table. */
export const shortName = (input: string): string =>
  input.startsWith('workload:') ? input : (input.replace(/\/+$/, '').split('/').at(-1) ?? input);

/** What is said below the table about one input: where each configuration first differs, or that none does and why. */
export interface Remark {
  readonly input: string;
  readonly label: string;
  /** What happened, and where: `op 4,183 syscalls.strace:1234`; or why nothing did. */
  readonly text: string;
  /** The call in which it happened; empty where nothing did. */
  readonly call: string;
}

/** Returns a sentence for an input that nothing changes, else null. */
export function sentenceOf(result: RunResult): string | null {
  const [baseline, ...lanes] = result.lanes;
  if (baseline === undefined || lanes.length === 0 || !lanes.every((lane) => isUnchanged(lane, baseline)))
    return null;
  return nothingChanges(shortName(result.input), lanes, baseline);
}

/** Returns the remarks on the columns of one input. */
export function remarksOf(result: RunResult): Remark[] {
  const [baseline, ...lanes] = result.lanes;
  if (baseline === undefined) return [];
  const input = shortName(result.input);
  return lanes.flatMap((lane): Remark[] => {
    const { label } = lane.configuration;
    if (lane.isOtherProgram)
      return [
        { input, label, call: '', text: 'another program: its operations cannot be held side by side' },
      ];
    if (isUnchanged(lane, baseline))
      return [{ input, label, call: '', text: `changes nothing: ${whyUnchanged(lane, baseline)}` }];
    const { firstDifference: first, results } = lane;
    const other = otherWork(lane, baseline);
    return [
      ...(first === null && results.differ === 0 && other !== null
        ? [{ input, label, call: '', text: other }]
        : []),
      ...(first === null ? [] : [divergence(input, label, first)]),
      ...(results.first === null
        ? []
        : [
            {
              ...divergence(input, label, results.first),
              text: `${placeText(results.first.place)}: ${results.first.here}, baseline ${results.first.baseline}; ${counted(results.differ, 'call')} answered differently`,
            },
          ]),
      ...divergedRemarks(input, label, lane),
    ];
  });
}

/** Where a lane with rewrites or probes goes another way than the recording. */
function divergedRemarks(input: string, label: string, { diverged }: LaneResult): Remark[] {
  const { first, calls } = diverged;
  if (first === null) return [];
  const { place, modelled, recorded } = first;
  const rest = calls === 1 ? '' : `; ${counted(calls, 'call')} answered otherwise than recorded`;
  const text = `diverges from ${placeText(place)}: modelled ${modelled}, recorded ${recorded}${rest}`;
  return [{ input, label, text, call: place.call }];
}

function divergence(input: string, label: string, { place, here, baseline }: Divergence): Remark {
  return { input, label, text: `${placeText(place)}: ${here}; baseline ${baseline}`, call: place.call };
}
