/**
 * Rows of seed 001 about protecting a range that was never touched: the two contradictory tables of the thread, on 6.18 with small and with huge
 * pages, and with the reporters' own figures as prices.
 */
import { numberParam } from '../workloads/index.ts';
import type { ExperimentInput } from './experiment.ts';
import {
  calibrationOfReport,
  FIRST_REPORT,
  measuredProtect,
  type Report,
  SECOND_REPORT,
  TABLE_BYTES,
} from './protectFigures.ts';
import { type Method, type ProtectResult, protectRange, TESTS } from './protectRange.ts';
import { type Row, rowOf } from './row.ts';

type Results = ReadonlyMap<Method, ProtectResult>;

/** Filling in and protecting: what the tests print. */
const totalNs = ({ prefaultNs, protectNs }: ProtectResult): number => prefaultNs + protectNs;

const SMALL_ORDER: readonly Method[] = ['default', 'wp-unpopulated', 'populate-read', 'pre-read'];
const HUGE_ORDER: readonly Method[] = ['default', 'populate-read', 'pre-read', 'wp-unpopulated'];
const SECOND_ORDER: readonly Method[] = ['default', 'populate-read', 'wp-unpopulated', 'pre-read'];

/** Pairs of tests whose quotient is shown, the dearer one first. */
const QUOTIENTS: Readonly<Record<'small' | 'huge', readonly (readonly [Method, Method])[]>> = {
  small: [
    ['pre-read', 'populate-read'],
    ['populate-read', 'wp-unpopulated'],
    ['pre-read', 'wp-unpopulated'],
  ],
  huge: [
    ['pre-read', 'populate-read'],
    ['wp-unpopulated', 'populate-read'],
    ['wp-unpopulated', 'pre-read'],
  ],
};

/** Of the pairs of an order, how many take their time in that order. */
export function pairsInOrder(order: readonly Method[], ns: (method: Method) => number): number {
  let pairs = 0;
  order.forEach((first, i) => {
    for (const second of order.slice(i + 1)) if (ns(first) < ns(second)) pairs++;
  });
  return pairs;
}
const pairsOf = (n: number): number => (n * (n - 1)) / 2;

const quotient = (results: Results | null, a: Method, b: Method): number | null => {
  const [one, other] = [results?.get(a), results?.get(b)];
  return one === undefined || other === undefined ? null : totalNs(one) / totalNs(other);
};
const published = ({ totalUs }: Report, a: Method, b: Method): number =>
  (totalUs[a as keyof typeof totalUs] ?? 0) / (totalUs[b as keyof typeof totalUs] ?? 1);

/** Milliseconds for people. */
export const msText = (ns: number): string =>
  ns < 10_000 ? `${Number((ns / 1000).toFixed(1))} µs` : `${Number((ns / 1e6).toPrecision(4))} ms`;

function modelledTable(
  input: ExperimentInput,
  of: { bytes: number; huge: boolean; calibration?: ExperimentInput['costs']['calibration'] },
): Results {
  const calibration = of.calibration ?? input.costs.calibration;
  return new Map(TESTS.map((method) => [method, protectRange({ ...of, calibration, method })]));
}

/** What this kernel does, or what was measured with the same size, or null. */
function referenceTable({ kernel }: ExperimentInput, bytes: number, huge: boolean): Results | null {
  const results = new Map<Method, ProtectResult>();
  for (const method of TESTS) {
    const asked = { method, huge, bytes };
    const result = kernel === null ? measuredProtect(asked) : kernel.protect(asked);
    if (result === null) return null;
    results.set(method, result);
  }
  return results;
}

function tableRows(input: ExperimentInput, huge: boolean): Row[] {
  const bytes = numberParam(input.params, 'gib') * 2 ** 30;
  const pages = huge ? 'huge pages' : 'small pages';
  const name = `${bytes / 2 ** 30} GiB, ${pages}`;
  input.progress(name);
  const modelled = modelledTable(input, { bytes, huge });
  const measured = referenceTable(input, bytes, huge);
  const report = huge ? SECOND_REPORT : FIRST_REPORT;
  const isReported = bytes === report.bytes;
  const order = huge ? HUGE_ORDER : SMALL_ORDER;
  const of = (results: Results, method: Method): number => totalNs(results.get(method) as ProtectResult);
  const times = TESTS.map((method) => {
    const known = measured === null ? '' : `, measured ${msText(of(measured, method))}`;
    return `${method} ${msText(of(modelled, method))}${known}`;
  }).join('; ');
  const quotients = QUOTIENTS[huge ? 'huge' : 'small'].map(([a, b]) =>
    rowOf({
      name: `${name}: ${a} / ${b}`,
      published: isReported ? published(report, a, b) : null,
      measured: quotient(measured, a, b),
      modelled: quotient(modelled, a, b) ?? Number.NaN,
      unit: 'times',
      tolerance: 0.25,
      elsewhere: true,
      note: `modelled: ${times}; published by ${huge ? 'who tested the patch' : 'its author'}, on a machine of which nothing is known`,
    }),
  );
  return [
    rowOf({
      name: `${name}: pairs in the order ${order.join(' < ')}`,
      // The author's order; that of 6.18 with huge pages nobody published.
      published: isReported && !huge ? pairsInOrder(order, (m) => report.totalUs[m as 'default']) : null,
      measured: measured === null ? null : pairsInOrder(order, (m) => of(measured, m)),
      modelled: pairsInOrder(order, (m) => of(modelled, m)),
      unit: 'pairs',
      within: [pairsOf(order.length), pairsOf(order.length)],
      note: huge
        ? 'reading maps huge zero pages, so 5,120 entries of 10 GiB; markers are single entries, and cost what they cost with small pages'
        : 'the order of the table that came with the patch',
    }),
    ...quotients,
    tablesRow(name, modelled, measured),
  ];
}

function tablesRow(name: string, modelled: Results, measured: Results | null): Row {
  const kib = (results: Results): number => (results.get('wp-unpopulated')?.tableBytes ?? 0) / 1024;
  return rowOf({
    name: `${name}: page tables that the markers need`,
    measured: measured === null ? null : kib(measured),
    modelled: kib(modelled),
    unit: 'KiB',
    note: 'a table for each 2 MiB, and those above; VmPTE',
  });
}

/** The tests again, with the figures of a report as prices: whether the model takes the paths that the reporter paid for. */
function reportRows(input: ExperimentInput, report: Report, who: string): Row[] {
  input.progress(`the figures of ${who}`);
  const { bytes, huge, totalUs } = report;
  const calibration = calibrationOfReport(report, input.costs.calibration);
  const modelled = modelledTable(input, { bytes, huge, calibration });
  const order = huge ? SECOND_ORDER : SMALL_ORDER;
  const name = `prices of ${who}`;
  const note =
    'his total by test, divided by how often its path is taken, is the price of that path; all else is of the calibration';
  const ns = (method: Method): number => totalNs(modelled.get(method) as ProtectResult);
  return [
    rowOf({
      name: `${name}: pairs in the order ${order.join(' < ')}`,
      published: pairsInOrder(order, (m) => totalUs[m as 'default']),
      modelled: pairsInOrder(order, ns),
      unit: 'pairs',
      note,
    }),
    ...QUOTIENTS[huge ? 'huge' : 'small'].slice(0, 2).map(([a, b]) =>
      rowOf({
        name: `${name}: ${a} / ${b}`,
        published: published(report, a, b),
        modelled: quotient(modelled, a, b) ?? Number.NaN,
        unit: 'times',
        tolerance: 0.25,
        note,
      }),
    ),
  ];
}

/** All rows about the table. With another size than the published one, without the reporters' prices. */
export function protectRows(input: ExperimentInput): Row[] {
  const isPublishedSize = numberParam(input.params, 'gib') * 2 ** 30 === TABLE_BYTES;
  return [
    ...tableRows(input, false),
    ...tableRows(input, true),
    ...(isPublishedSize ? reportRows(input, SECOND_REPORT, 'the second tester') : []),
    ...(isPublishedSize ? reportRows(input, FIRST_REPORT, 'the author') : []),
  ];
}
