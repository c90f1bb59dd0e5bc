/**
 * What a fuzzing run prints at its end: a table by mode, coverage by group with what was not reached, and the result in a sentence.
 */
import { join } from 'node:path';
import { COVERAGE_UNIVERSE, type CoverageGroup } from '../../fuzz/coverage.ts';
import { counted, grouped } from '../../report/index.ts';
import { styled } from '../output.ts';
import type { MachineFacts } from './machineFacts.ts';
import { rate } from './progress.ts';
import { addSums, NO_SUMS, type Sums } from './totals.ts';

/** What a run came to. */
export interface FuzzOutcome extends MachineFacts {
  readonly mode: string;
  readonly seed: number;
  readonly every: number;
  /** How long it ran, in all its parts, and what CPU time model and kernel took. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly modes: readonly (readonly [mode: string, sums: Sums])[];
  /** Modes that were left out, each with its reason. */
  readonly leftOut: readonly string[];
  /** Where files of differences are. */
  readonly folder: string;
  readonly isInterrupted: boolean;
}

const HEADS = [
  'ops',
  'sequences',
  'results',
  'touches',
  'vmas',
  'pages',
  'counts',
  'ops/s/core',
  'differences',
  'unsteady',
] as const;
/** Hundreds of millions fit. */
const MIN_WIDTH = 9;

/** What can be reached with the switches as linux-6.18 has them. */
export const REACHABLE = COVERAGE_UNIVERSE.filter(({ group }) => group !== 'switch');

/** Returns the sums of all modes. The same seed in two modes is two sequences. */
const allSums = ({ modes }: FuzzOutcome): Sums => ({
  ...modes.reduce((all, [, sums]) => addSums(all, sums), NO_SUMS),
  differing: modes.flatMap(([, { differing }]) => differing),
  unsteady: modes.flatMap(([, { unsteady }]) => unsteady),
});

/** Returns the report as text. */
export function reportText(outcome: FuzzOutcome): string {
  const all = allSums(outcome);
  const rows = outcome.modes.map(([mode, sums]) => row(mode, cellsOf(sums, cpuOf(sums, all, outcome))));
  if (rows.length > 1) rows.push(row('all', cellsOf(all, outcome.cpuSeconds)));
  const lines = [styled('bold', row('mode', HEADS)), ...rows, '', ...coverageLines(all.coverage), ''];
  for (const why of outcome.leftOut) lines.push(`left out: ${why}`);
  if (all.unsteady.length > 0) lines.push(`unsteady: ${seedsText(outcome)}`);
  lines.push(conclusion(outcome, all));
  return `${lines.join('\n')}\n`;
}

/** Returns the same as data. */
export function reportJson(outcome: FuzzOutcome): object {
  const all = allSums(outcome);
  const { kernel, config, mode, seed, every, seconds, cpuSeconds, leftOut, isInterrupted } = outcome;
  const numbers = (sums: Sums, cpu: number): object => {
    const { sequences, ops, compared, differing, unsteady } = sums;
    return { sequences, ops, compared, opsPerCoreSecond: rate(ops, cpu), differing, unsteady };
  };
  const reached = new Set(all.coverage);
  return {
    kernel,
    config,
    mode,
    seed,
    every,
    seconds,
    cpuSeconds,
    opsPerSecond: rate(all.ops, seconds),
    modes: Object.fromEntries(
      outcome.modes.map(([name, sums]) => [name, numbers(sums, cpuOf(sums, all, outcome))]),
    ),
    all: numbers(all, cpuSeconds),
    coverage: {
      reached: REACHABLE.filter(({ key }) => reached.has(key)).length,
      universe: REACHABLE.length,
      unreached: REACHABLE.filter(({ key }) => !reached.has(key)).map(({ key }) => key),
    },
    leftOut,
    files: filesOf(outcome),
    interrupted: isInterrupted,
  };
}

/** CPU time of one mode: its share of all by the time that threads and executors were busy with it. */
function cpuOf(sums: Sums, all: Sums, { cpuSeconds }: FuzzOutcome): number {
  const busy = all.kernelMs + all.modelMs;
  return busy === 0 ? 0 : (cpuSeconds * (sums.kernelMs + sums.modelMs)) / busy;
}

function cellsOf(sums: Sums, cpuSeconds: number): string[] {
  const { ops, sequences, compared, differing, unsteady } = sums;
  const { results, touches, vmas, pages, counts } = compared;
  const speed = rate(ops, cpuSeconds);
  const numbers = [
    ops,
    sequences,
    results,
    touches,
    vmas,
    pages,
    counts,
    speed,
    differing.length,
    unsteady.length,
  ];
  return numbers.map(grouped);
}

const row = (name: string, cells: readonly string[]): string =>
  name.padEnd(6) +
  cells.map((cell, i) => cell.padStart(Math.max(MIN_WIDTH, HEADS[i]?.length ?? 0) + 2)).join('');

/** Groups in the order of the list, a line each; what is not reached below. */
function coverageLines(keys: readonly string[]): string[] {
  const reached = new Set(keys);
  const groups = new Map<CoverageGroup, { all: number; unreached: string[] }>();
  for (const { key, group } of REACHABLE) {
    const found = groups.get(group) ?? { all: 0, unreached: [] };
    groups.set(group, found);
    found.all++;
    if (!reached.has(key)) found.unreached.push(key);
  }
  const nr = REACHABLE.filter(({ key }) => reached.has(key)).length;
  const lines = [
    `coverage: ${nr} of ${REACHABLE.length} verdicts, reasons, errnos, events and kinds of faults`,
  ];
  for (const [group, { all, unreached }] of groups) {
    const rest = unreached.length === 0 ? '' : `  not ${unreached.join(' ')}`;
    lines.push(...folded(`  ${group.padEnd(12)} ${`${all - unreached.length}/${all}`.padStart(7)}${rest}`));
  }
  return lines;
}

const WIDTH = 150;

function folded(text: string): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > WIDTH) {
    const at = rest.lastIndexOf(' ', WIDTH);
    lines.push(rest.slice(0, at));
    rest = `${' '.repeat(28)}${rest.slice(at + 1)}`;
  }
  return [...lines, rest];
}

const seedsText = ({ modes }: FuzzOutcome): string =>
  modes.flatMap(([mode, { unsteady }]) => unsteady.map((seed) => `${mode} ${seed}`)).join(', ');

/** The files of all differences. */
const filesOf = ({ folder, modes }: FuzzOutcome): string[] =>
  modes.flatMap(([mode, { differing }]) => differing.map((seed) => join(folder, `${mode}-${seed}.ops`)));

const MAX_FILES = 20;

function listed(files: readonly string[]): string {
  const more = files.length - MAX_FILES;
  return `${files.slice(0, MAX_FILES).join(' ')}${more > 0 ? ` and ${grouped(more)} more` : ''}`;
}

function conclusion(outcome: FuzzOutcome, all: Sums): string {
  const { differing } = all;
  const how = `${counted(all.ops, 'operation')}, ${grouped(rate(all.ops, outcome.seconds))} a second: `;
  const what =
    differing.length === 0
      ? 'model and kernel agree'
      : `${counted(differing.length, 'sequence differs', 'sequences differ')}: ${listed(filesOf(outcome))}`;
  return styled(differing.length === 0 ? 'green' : 'red', `${how}${what}`);
}
