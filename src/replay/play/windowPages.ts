/**
 * The pages of a window as an ops file shows them: runs of one state, eight columns (ten in files with userfaultfd) and the first word.
 *
 * Neighbouring runs of the same state are one run, wherever the file (or a table) happens to break them. Whether the model agrees is found
 * out number by number; runs of the model are made only to tell how it differs.
 * Cost   linear in the touched entries of the window
 */
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { entryState, type Mm, PAGE_STATE, type Vma } from '../../mm/index.ts';
import type { SnapshotPages } from '../item.ts';

/** Neighbouring pages in one state. */
export interface StateRun {
  readonly start: Addr;
  end: Addr;
  /** P S F X D G Z H, or dashes; with W and the kind of a marker behind them where the file shows those. */
  readonly flags: string;
  /** First word of each page; null where there is no page to read. */
  readonly stamp: number | null;
  /** Line of the file, for recorded runs. */
  readonly line: number;
}

/** A window of addresses. */
interface Window {
  readonly start: Addr;
  readonly end: Addr;
}

const COLUMNS: readonly (readonly [letter: string, bit: number])[] = [
  ['P', PAGE_STATE.present],
  ['S', PAGE_STATE.swap],
  ['F', PAGE_STATE.file],
  ['X', PAGE_STATE.exclusive],
  // Soft-dirty: the kernel is built without.
  ['D', 0],
  ['G', PAGE_STATE.guard],
  ['Z', PAGE_STATE.zero],
  ['H', PAGE_STATE.huge],
];
/** What the last of ten columns says: the kind of a marker, the first of these that fits. */
const MARKERS: readonly (readonly [letter: string, bit: number])[] = [
  ['g', PAGE_STATE.guard],
  ['p', PAGE_STATE.poison],
  ['w', PAGE_STATE.wpMarker],
];
const SHOWN = COLUMNS.reduce((bits, [, bit]) => bits | bit, 0);
const SHOWN_UFFD = MARKERS.reduce((bits, [, bit]) => bits | bit, SHOWN | PAGE_STATE.uffdWp);
/** How many columns a file shows that shows all. */
const NR_COLUMNS_UFFD = 10;
const BITS_OF_A_HUGE_PAGE = PAGE_STATE.present | PAGE_STATE.huge;
/** In place of a state that no page of the model has, and of the stamp of a page that cannot be read. */
const IMPOSSIBLE = -1;
const NO_STAMP = -1;

function flagsText(state: number, isUffd: boolean): string {
  const columns = COLUMNS.map(([letter, bit]) => (state & bit ? letter : '-')).join('');
  if (!isUffd) return columns;
  const marker = MARKERS.find(([, bit]) => state & bit)?.[0] ?? '-';
  return `${columns}${state & PAGE_STATE.uffdWp ? 'W' : '-'}${marker}`;
}

const DASH = 45;
const LETTERS = Uint8Array.from(COLUMNS, ([letter]) => letter.charCodeAt(0));
const BITS = Int32Array.from(COLUMNS, ([, bit]) => (bit === 0 ? IMPOSSIBLE : bit));

/** Returns the bits that the eight columns at `at` of `text` stand for; below zero for what no page of the model is. */
export function stateOfColumns(text: string, at: number): number {
  let state = 0;
  for (let i = 0; i < LETTERS.length; i++) {
    const code = text.charCodeAt(at + i);
    if (code === DASH) continue;
    state = code === LETTERS[i] ? state | (BITS[i] as number) : IMPOSSIBLE;
    if (state === IMPOSSIBLE) break;
  }
  return state;
}

const stateOfFlags = new Map<string, number>();

/** Returns the bits that eight columns stand for. */
function stateOf(flags: string): number {
  let state = stateOfFlags.get(flags);
  if (state === undefined) {
    state = 0;
    for (const [i, [letter, bit]] of COLUMNS.entries())
      if (flags[i] === letter) state = bit === 0 ? IMPOSSIBLE : state | bit;
    if (flags[COLUMNS.length] === 'W') state |= PAGE_STATE.uffdWp;
    const marker = MARKERS.find(([letter]) => flags[COLUMNS.length + 1] === letter)?.[1] ?? 0;
    // A guard without its column, or the other way round, is none.
    if (flags.length === NR_COLUMNS_UFFD && (marker === PAGE_STATE.guard) !== (flags[5] === 'G'))
      state = IMPOSSIBLE;
    state = state === IMPOSSIBLE ? state : state | marker;
    stateOfFlags.set(flags, state);
  }
  return state;
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

/** Is told of each page that is something, ascending: its state without what is not shown, and its first word. */
type PageVisitor = (addr: Addr, state: number, stamp: number) => void;

/** Visits the pages of `window` at which something is. */
function visitPages(mm: Mm, window: Window, visit: PageVisitor, isUffd: boolean): void {
  const { frames } = mm.kernel;
  const shown = isUffd ? SHOWN_UFFD : SHOWN;
  let vma: Vma | null = mm.vmas.firstEndingAbove(window.start);
  mm.pages.forEach(window.start, window.end, (addr, low, high) => {
    while (vma !== null && vma.end <= addr) vma = vma.next;
    const state = entryState(mm, vma !== null && vma.start <= addr ? vma : null, low, high) & shown;
    // Memory without pages is shown as nothing, but counts as something that is there.
    if ((state & BITS_OF_A_HUGE_PAGE) !== BITS_OF_A_HUGE_PAGE) {
      const isPage = (state & (PAGE_STATE.present | PAGE_STATE.zero)) === PAGE_STATE.present;
      visit(addr, state, isPage ? frames.stamp(high) : state & PAGE_STATE.present ? 0 : NO_STAMP);
      return;
    }
    const isZero = (state & PAGE_STATE.zero) !== 0;
    const last = Math.min(window.end, addr + HUGE_BYTES);
    for (let page = Math.max(window.start, addr); page < last; page += PAGE_SIZE)
      visit(page, state, isZero ? 0 : frames.stamp(high + (page - addr) / PAGE_SIZE));
  });
}

const HUGE_BYTES = 512 * PAGE_SIZE;

/** Returns the runs that the model has in `window`. @param isUffd  with all columns */
export function modelRuns(mm: Mm, window: Window, isUffd = false): StateRun[] {
  const runs: StateRun[] = [];
  const visit: PageVisitor = (addr, state, stamp) =>
    append(runs, {
      start: addr,
      end: addr + PAGE_SIZE,
      flags: flagsText(state, isUffd),
      stamp: stamp === NO_STAMP ? null : stamp,
      line: 0,
    });
  visitPages(mm, window, visit, isUffd);
  return runs;
}

/** Recorded runs, one after the other. */
export interface RunSource {
  /** The run that `next` came to: its range, the bits of its pages, and the first word of each, below zero where there is no page to read. */
  readonly from: Addr;
  readonly to: Addr;
  readonly state: number;
  readonly word: number;
  /** Goes on to the next run. Returns whether there is one. */
  next(): boolean;
}

/** The runs of a list. */
export class ListedRuns implements RunSource {
  readonly #runs: readonly SnapshotPages[];
  #next = 0;
  from = 0;
  to = 0;
  state = 0;
  word = 0;

  constructor(runs: readonly SnapshotPages[]) {
    this.#runs = runs;
  }
  next(): boolean {
    const run = this.#runs[this.#next++];
    if (run === undefined) return false;
    this.from = run.start;
    this.to = run.end;
    this.state = stateOf(run.flags);
    this.word = this.state & PAGE_STATE.present ? (run.stamp ?? NO_STAMP) : NO_STAMP;
    return true;
  }
}

/** Tells whether the model has in `window` exactly the pages that were recorded. @param isUffd  with all columns */
export function hasSamePages(mm: Mm, window: Window, recorded: RunSource, isUffd = false): boolean {
  let isSame = true;
  /** Where the recorded run that is being used up goes on, where it ends, and what its pages are. */
  let [from, to, wanted, word] = [0, 0, 0, 0];
  const visit: PageVisitor = (addr, state, stamp) => {
    if (!isSame) return;
    if (from === to) {
      isSame = recorded.next();
      from = recorded.from;
      to = recorded.to;
      wanted = recorded.state;
      word = recorded.word;
    }
    if (addr !== from || state !== wanted || stamp !== word) isSame = false;
    from += PAGE_SIZE;
  };
  visitPages(mm, window, visit, isUffd);
  return isSame && from === to && !recorded.next();
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
