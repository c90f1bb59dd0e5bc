/**
 * The pages of a window as an ops file shows them: runs of one state, eight columns and the first word.
 *
 * Neighbouring runs of the same state are one run, wherever the file (or a table) happens to break them.
 * Cost   linear in the touched entries of the window
 */
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { forEachPage, type Mm, pageAt, pagemapBits } from '../../mm/index.ts';
import type { SnapshotPages } from '../item.ts';

/** Neighbouring pages in one state. */
export interface StateRun {
  readonly start: Addr;
  end: Addr;
  /** P S F X D G Z H, or dashes. */
  readonly flags: string;
  /** First word of each page; null where there is no page to read. */
  readonly stamp: number | null;
  /** Line of the file, for recorded runs. */
  readonly line: number;
}

/** Appends a run, or makes the last one longer. */
function append(runs: StateRun[], run: StateRun): void {
  const last = runs.at(-1);
  if (last !== undefined && last.end === run.start && last.flags === run.flags && last.stamp === run.stamp)
    last.end = run.end;
  else runs.push(run);
}

/** Returns the recorded runs, joined. */
export function recordedRuns(pages: readonly SnapshotPages[]): StateRun[] {
  const runs: StateRun[] = [];
  // Of a page that is not present there is no word to read.
  for (const { start, end, flags, stamp, line } of pages)
    append(runs, { start, end, flags, stamp: flags.startsWith('P') ? stamp : null, line });
  return runs;
}

/** Returns the runs that the model has in `window`. */
export function modelRuns(mm: Mm, window: { readonly start: Addr; readonly end: Addr }): StateRun[] {
  const runs: StateRun[] = [];
  forEachPage(mm, window.start, window.end, (addr) => {
    const bits = pagemapBits(mm, addr);
    const column = (letter: string, on: boolean): string => (on ? letter : '-');
    const flags =
      column('P', bits.present) +
      column('S', bits.swap) +
      column('F', bits.file) +
      column('X', bits.exclusive) +
      '-' +
      column('G', bits.guard) +
      column('Z', bits.zero) +
      column('H', bits.huge);
    const stamp = bits.present ? pageAt(mm, addr).stamp : null;
    append(runs, { start: addr, end: addr + PAGE_SIZE, flags, stamp, line: 0 });
  });
  return runs;
}

/** Prints a run as the file does. */
export const runText = (run: StateRun | undefined): string =>
  run === undefined
    ? '(nothing)'
    : `${run.start.toString(16)}-${run.end.toString(16)} ${run.flags}${run.stamp === null ? '' : ` v=${run.stamp}`}`;

/** Returns the first place at which two lists of runs differ, with the runs there (undefined: nothing there), or null. */
export function firstDifference(
  kernel: readonly StateRun[],
  ours: readonly StateRun[],
): { readonly kernel: StateRun | undefined; readonly ours: StateRun | undefined } | null {
  for (let i = 0; i < Math.max(kernel.length, ours.length); i++) {
    const k = kernel[i];
    const o = ours[i];
    if (
      k === undefined ||
      o === undefined ||
      k.start !== o.start ||
      k.end !== o.end ||
      k.flags !== o.flags ||
      k.stamp !== o.stamp
    )
      return { kernel: k, ours: o };
  }
  return null;
}
