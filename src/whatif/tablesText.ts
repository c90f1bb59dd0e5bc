/**
 * Page tables and memory of an explanation as text: what is empty, since which calls, who would free it; what is resident, and what of it may go.
 */
import { hex } from '../base/units.ts';
import { counted, grouped } from '../report/index.ts';
import { placeText } from './placeBook.ts';
import type { EmptiedGroup, OnTheWay, PolicyTrial, ProcessTables } from './tables.ts';

/** What is told of tables. */
export interface TablesExplanation {
  readonly processes: readonly ProcessTables[];
  readonly onTheWay: OnTheWay;
  /** What was tried, the policy of the configuration first; empty where no table ever was empty. */
  readonly trials: readonly PolicyTrial[];
}

const EXAMPLES = 3;
const kB = (bytes: number): string => `${grouped(bytes / 1024)} kB`;
const ms = (ns: number): string => `${grouped(Math.round(ns / 1e6))} ms`;

/** Returns the lines about one process. @param all  every empty table by its address */
export function tablesLines(process: ProcessTables, all: boolean): string[] {
  const { tables, bytes, empty, resident, lazyFree, groups } = process;
  const some = `${grouped(empty)} of ${counted(tables, 'table')} of the lowest level`;
  return [
    `page tables: ${kB(bytes)}; ${empty === 0 ? 'none is empty' : `empty: ${some} (${kB(empty * 4096)})`}`,
    ...groups.flatMap((group) => groupLines(group, all)),
    `resident: ${kB(resident)}${lazyFree === 0 ? '' : `; of it ${kB(lazyFree)} were given to MADV_FREE and not written since: the kernel may take them without asking`}`,
  ];
}

function groupLines({ call, tables, bytes, first, bases }: EmptiedGroup, all: boolean): string[] {
  const sizes = call === null ? '' : sizesText(bytes);
  const who = call === null ? 'empty at the start' : `last emptied by ${call}${sizes}`;
  const shown = all ? bases : bases.slice(0, EXAMPLES);
  const more = bases.length - shown.length;
  return [
    `${grouped(tables).padStart(6)}  ${who}`,
    ...(first === null ? [] : [`          first ${placeText(first)} ${first.call}`]),
    `          at ${shown.map(hex).join(', ')}${more > 0 ? `, … ${grouped(more)} more (--all)` : ''}`,
  ];
}

function sizesText({ least, median, most }: EmptiedGroup['bytes']): string {
  if (most === 0) return '';
  return least === most
    ? ` of ${kB(least)}`
    : ` of ${kB(least)} to ${kB(most)}, half of them at most ${kB(median)}`;
}

/** Returns the lines about what was empty on the way, and the policies that were tried. */
export function policyLines({ onTheWay, trials }: TablesExplanation): string[] {
  const [own, ...others] = trials;
  if (own === undefined) return [];
  const { peak, emptied, refilled, freed, groups } = onTheWay;
  const width = Math.max(...trials.map(({ policy }) => policy.length)) + 'ptReclaim='.length + 2;
  const line = (name: string, text: string): string => `  ${name.padEnd(width)}${text}`;
  return [
    `page tables that lose their last entry, if nobody frees them: ${grouped(emptied)} (${grouped(refilled)} filled again, ${grouped(freed)} gone with their memory); at most ${grouped(peak)} empty at a time`,
    ...groups.map(
      ({ call, tables, bytes }) => `${grouped(tables).padStart(6)}  by ${call}${sizesText(bytes)}`,
    ),
    '',
    'who would free them (tried on this input, all processes)',
    ...[own, ...others].map((trial) => line(`ptReclaim=${trial.policy}`, trialText(trial))),
    line('MADV_PT_RECLAIM', 'when it is called, each table that is empty then, whichever VMAs share it'),
  ];
}

function trialText(trial: PolicyTrial): string {
  const { empty, emptyPeak, bytes, freedAtOnce, freedByScans, scans, longestNs, left } = trial;
  const why = Object.entries(left).map(([reason, n]) => `${grouped(n)}: ${reason}`);
  const waited = longestNs > 0 ? `, empty for ${ms(longestNs)} at most` : '';
  return [
    `${empty === 0 ? 'none' : grouped(empty)} left${empty === 0 ? '' : ` (${why.join(', ')})`}`,
    ...(freedAtOnce > 0 ? [`${grouped(freedAtOnce)} freed by the call that emptied them`] : []),
    ...(scans > 0 ? [`${grouped(freedByScans)} freed by ${counted(scans, 'scan')}${waited}`] : []),
    `page tables ${kB(bytes.end)} at the end, ${kB(bytes.peak)} at the peak`,
    `at most ${grouped(emptyPeak)} empty at a time`,
  ].join('; ');
}
