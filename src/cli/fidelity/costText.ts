/**
 * Modelled times against measured ones, as text: of the terminal, and of docs/fidelity.md.
 */
import { type CostResults, type CostRow, type CostVerdict, isWithin, ratioOf } from './costVerdict.ts';

const MICRO = 1000;
const FULL = 1e5;

/** Returns a time in microseconds. */
export const microseconds = (ns: number): string => (ns / MICRO).toFixed(ns < FULL ? 1 : 0);

/** Returns the numbers of a row: measured, modelled, and the one by the other. */
export const costCells = (row: CostRow): readonly string[] => [
  microseconds(row.measuredNs),
  microseconds(row.modelledNs),
  ratioOf(row).toFixed(2),
];

/** What is put to a row: `.` more than 15 % off, `*` more than 30 %, `~` noisy when it was measured. */
export const costMark = (row: CostRow): string =>
  `${isWithin(row, 0.15) ? ' ' : isWithin(row, 0.3) ? '.' : '*'}${row.noisy ? '~' : ''}`.trimEnd();

const share = (n: number, of: number): string =>
  `${n} of ${of} (${of === 0 ? 0 : Math.round((100 * n) / of)} %)`;

/** Returns the sums, a line each. */
export const costSums = ({
  scenarios,
  within15,
  within30,
  pairs,
  ordered,
}: CostVerdict): readonly string[] => [
  `within 15 %: ${share(within15, scenarios)} scenarios, aimed at: half`,
  `within 30 %: ${share(within30, scenarios)} scenarios, aimed at: four in five`,
  `right order: ${share(ordered, pairs)} pairs of ways that differ by more than 1.3, aimed at: 95 %`,
];

const runText = ({ kernel, measured, seed, quick }: CostResults): string =>
  `Linux ${kernel}, ${measured}, seed ${seed}${quick ? ', --quick' : ''}`;

/** Returns the sums of the last run for the terminal; nothing where there was none. */
export const costLines = (results: CostResults | null): string[] =>
  results === null ? [] : [runText(results), ...costSums(results.verdict)].map((line) => `  ${line}`);

/** Returns the last run as the part of docs/fidelity.md. */
export function costMarkdown(results: CostResults | null): string {
  if (results === null) return 'No run yet.';
  const lines = [`${runText(results)}:`, '', ...costSums(results.verdict).map((line) => `- ${line}`), ''];
  lines.push('| situation | way | measured, µs | modelled, µs | modelled / measured | |');
  lines.push('|---|---|--:|--:|--:|---|');
  let before = '';
  for (const row of results.rows) {
    const situation = row.situation === before ? '' : row.situation;
    before = row.situation;
    const mark = costMark(row).trim().replace('*', '\\*');
    lines.push(`| ${[situation, row.way, ...costCells(row), mark].join(' | ')} |`);
  }
  lines.push(
    '',
    '`.` more than 15 % off, `*` more than 30 %, `~` rounds of the measurement lay further apart than 30 %.',
  );
  return lines.join('\n');
}
