/**
 * What rewrites and probes did, as text below a table: how often, to how much, what was left as it is, and what is certain about it.
 */
import type { Charges, CostTable } from '../machine/index.ts';
import { counted, grouped, type Table, textTable } from '../report/index.ts';
import type { ActReport } from './acts/act.ts';
import { shortName } from './comparison.ts';
import type { LaneResult, RunResult } from './run.ts';

/** The acts of one column. */
interface Told {
  readonly label: string;
  readonly lines: readonly string[];
}

/** Returns what an act did, a line each. */
export function actLines(
  { name, applied, left, figures, remarks, priced = {} }: ActReport,
  costs: CostTable,
): string[] {
  const leftAlone = Object.entries(left).map(([why, n]) => `${grouped(n)} ${why}`);
  const isRewrite = name.startsWith('as ');
  const times = Object.entries(priced).map(
    ([what, charges]) => `${what}, modelled: ${grouped(microseconds(charges, costs))} µs`,
  );
  const said = [
    ...Object.entries(figures)
      .filter(([, value]) => value !== 0)
      .map(([what, value]) => `${what} ${numberText(value)}`),
    ...times,
  ];
  return [
    ...(isRewrite
      ? [
          `${counted(applied, 'call')} changed${leftAlone.length === 0 ? '' : `; left as they are: ${leftAlone.join(', ')}`}`,
        ]
      : []),
    ...(said.length === 0 ? [] : [said.join('; ')]),
    ...(isRewrite && applied === 0 ? [] : remarks),
  ];
}

/** Returns what a part of the work is worth. */
export const microseconds = (charges: Charges, costs: CostTable): number =>
  Math.round(costs.timeOf(charges).totalNs / 1000);

const numberText = (value: number): string => (Number.isInteger(value) ? grouped(value) : tenths(value));
/** One digit behind the point. */
const tenths = (value: number): string =>
  `${grouped(Math.trunc(value))}.${Math.abs(Math.round((value % 1) * 10)) % 10}`;
/** Columns of which every number has a digit behind the point. */
const IN_TENTHS = /^ms$|%$/;

/** Returns the lines below the table about what rewrites and probes did; empty where there are none. */
export function actsText(results: readonly RunResult[], costs: CostTable): string {
  const parts = results
    .map((result) => inputText(result, costs, results.length > 1))
    .filter((text) => text !== '');
  return parts.join('\n\n');
}

function inputText(result: RunResult, costs: CostTable, withInput: boolean): string {
  const known = new Set<string>();
  const told = result.lanes.flatMap((lane) => toldOf(lane, costs, known));
  if (told.length === 0) return '';
  const width = Math.max(...told.map(({ label }) => label.length)) + 2;
  const lines = told.flatMap(({ label, lines: said }) =>
    said.map((line, i) => `  ${(i === 0 ? label : '').padEnd(width)}${line}`),
  );
  const title = `what was changed and watched on the way${withInput ? `, ${shortName(result.input)}` : ''}`;
  return [[title, ...lines].join('\n'), ...seriesTexts(result)].join('\n\n');
}

/** One entry for each act. @param known  remarks that were made; none is made twice */
function toldOf({ configuration, acts }: LaneResult, costs: CostTable, known: Set<string>): Told[] {
  return acts
    .filter(({ name }) => name !== 'as mremap=relocate')
    .map((act) => {
      const { label } = configuration;
      const remarks = act.remarks.filter((remark) => !known.has(remark));
      for (const remark of remarks) known.add(remark);
      const title = label.startsWith(act.name) ? label : `${label}: ${act.name}`;
      return { label: title, lines: actLines({ ...act, remarks }, costs) };
    });
}

/** What was seen over time, a table for each act that has it. */
function seriesTexts({ lanes }: RunResult): string[] {
  return lanes.flatMap(({ configuration, acts }) =>
    acts.flatMap(({ name, series }) =>
      series === undefined || series.rows.length === 0
        ? []
        : [
            `${configuration.label.startsWith(name) ? configuration.label : `${name}, ${configuration.label}`}\n${textTable(seriesTable(series))}`,
          ],
    ),
  );
}

/** Returns what was seen over time as a table. */
export function seriesTable({ titles, rows }: NonNullable<ActReport['series']>): Table {
  return {
    header: ['', ...titles],
    nrLabels: 1,
    rows: rows.map((row) => ({
      cells: ['', ...row.map((value, i) => (IN_TENTHS.test(titles[i] ?? '') ? tenths : numberText)(value))],
    })),
  };
}

/** Returns an act as plain data, with its times in place of charges. */
export const actJson = ({ priced = {}, ...act }: ActReport, costs: CostTable): object => ({
  ...act,
  modelledMicroseconds: Object.fromEntries(
    Object.entries(priced).map(([what, charges]) => [what, microseconds(charges, costs)]),
  ),
});
