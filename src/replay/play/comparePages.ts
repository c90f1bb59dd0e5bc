/**
 * The pages of one vma at the end of a recording: the runs of pagemap against the model, as far as a recording determines them.
 *
 * Of anonymous memory every page is compared: present, swap entry or marker, mapped only here, write-protected by userfaultfd. Of a private mapping of
 * a file the copies that the program made are, and markers; its other pages are in the page cache, of which nobody tells. Of shared
 * memory only markers are.
 *
 * Five things are not in the recording, only what came of them. Each is taken as it is found, and the figures of smaps must
 * then agree with it:
 *   dropped     a page that MADV_FREE gave away is gone
 *   swapped     a page is in swap; only where the machine has any
 *   unsettled   a page came while a call of another thread took pages away or copied them: whether the call met it is open
 *   pinned      the kernel brought it in for direct I/O and the like, which leaves no fault line: then the process was charged a fault more for each
 *   collapsed   khugepaged has made 2 MiB of a vma that may have huge pages into one: all of it is present and mapped only here
 *
 * Cost   linear in the pages of the vma that are not empty
 */
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import {
  isAnonymousVma,
  isHugeEligible,
  isLazyFree,
  type Mm,
  NO_PAGEMAP_FLAGS,
  pageAt,
  pagemapFlags,
  pagemapRuns,
  type Vma,
} from '../../mm/index.ts';
import type { PageRun } from '../pagemapRle.ts';

/** Neighbouring pages that look alike: P, S, F, X or dashes, then W or nothing. */
interface Span {
  readonly start: Addr;
  readonly end: Addr;
  readonly flags: string;
  /** Line of the file; 0 for ours. */
  readonly line: number;
}

const EMPTY = NO_PAGEMAP_FLAGS;
const OWN = 'P--X';

/** The first place that differs. */
export interface PageDifference {
  readonly line: number;
  readonly kernel: string;
  readonly ours: string;
}

/** What is found to be otherwise than ours, and may be, in pages. */
export interface OpenPages {
  dropped: number;
  swapped: number;
  /** Anonymous pages that 2 MiB have and we had not, and how many such 2 MiB there are. */
  filled: number;
  collapsed: number;
  /** Pages of which pagemap does not say whether they are the zero page or one that is shared. */
  doubtful: number;
  /** Pages of which it is open how they look, and that look otherwise than ours. */
  unsettled: number;
}

/** Returns counts of nothing. */
export const noOpenPages = (): OpenPages => ({
  dropped: 0,
  swapped: 0,
  filled: 0,
  collapsed: 0,
  doubtful: 0,
  unsettled: 0,
});

/** What the comparison of one vma came to. */
export interface PageComparison {
  readonly pages: number;
  readonly difference: PageDifference | null;
  readonly open: OpenPages;
}

/** A recorded machine, as far as its pages depend on it. */
export interface PageConditions {
  /** There is a swap device. */
  readonly hasSwap: boolean;
  /** Tells whether it is open how a page looks. */
  readonly isUnsettled: (mm: Mm, page: Addr) => boolean;
}

/** How many pages may have come without a fault line: as many as the process was charged faults more. */
export interface PinnedPages {
  left: number;
}

/** Tells whether a page that looks like `flags` is one whose state is determined in `vma`. */
function isDetermined(vma: Vma, isAnonymous: boolean, flags: string): boolean {
  if (isAnonymous) return true;
  if (vma.special !== null) return false;
  return flags[1] === 'S' || (flags[0] === 'P' && flags[2] !== 'F');
}

/** The recorded runs of one process, asked for vma by vma in rising order. */
export class RecordedRuns {
  readonly #runs: Iterator<PageRun>;
  #run: PageRun | null = null;
  #isBegun = false;
  /** What lies below has been returned. */
  #done: Addr = 0;
  #line = 0;
  /** Number of the line before those of the vma that was asked for last. */
  lineBefore = 0;

  constructor(runs: Iterable<PageRun>) {
    this.#runs = runs[Symbol.iterator]();
  }

  #current(): PageRun | null {
    if (!this.#isBegun) this.#next();
    return this.#run;
  }
  #next(): void {
    const result = this.#runs.next();
    this.#run = result.done === true ? null : result.value;
    this.#isBegun = true;
  }

  /** Returns where recorded pages begin below `addr` that have not been returned, and in which line; null: nowhere. */
  strayBefore(addr: Addr): { readonly start: Addr; readonly line: number } | null {
    const run = this.#current();
    if (run === null) return null;
    const start = Math.max(run.start, this.#done);
    return start < addr ? { start, line: run.line } : null;
  }

  /** Returns the parts of the runs that lie in `vma`. */
  within(vma: Vma): Span[] {
    const spans: Span[] = [];
    this.lineBefore = this.#line;
    for (let run = this.#current(); run !== null && run.start < vma.end; run = this.#run) {
      const start = Math.max(run.start, vma.start);
      const end = Math.min(run.end, vma.end);
      if (start < end) spans.push({ start, end, flags: pagemapFlags(run), line: run.line });
      this.#line = run.line;
      // A run that reaches beyond the vma goes on in the next one.
      if (run.end > vma.end) break;
      this.#next();
    }
    this.#done = vma.end;
    return spans;
  }
}

/** Returns what the model has in `vma`. */
const modelSpans = (mm: Mm, vma: Vma): Span[] =>
  pagemapRuns(mm, vma).map(({ start, end, flags }) => ({ start, end, flags, line: 0 }));

/** A range in which both sides look the same all over. */
interface Stretch {
  readonly start: Addr;
  readonly end: Addr;
  readonly kernel: string;
  readonly ours: string;
  /** Line of the kernel's run, or of the run nearest to the hole. */
  readonly line: number;
}

/** Returns the line of a hole: of the run that ends there and may have been cut short, else the one in which a run is missing. */
function lineOfHole(before: Span | undefined, after: Span | undefined, at: Addr, lineBefore: number): number {
  if (before?.end === at) return before.line;
  return after?.line ?? (before?.line ?? lineBefore) + 1;
}

/** Yields the ranges of `vma` where at least one side has something, ascending. */
function* stretches(
  vma: Vma,
  kernel: readonly Span[],
  ours: readonly Span[],
  lineBefore: number,
): Generator<Stretch> {
  let k = 0;
  let o = 0;
  for (let at = vma.start; at < vma.end; ) {
    while (k < kernel.length && (kernel[k] as Span).end <= at) k++;
    while (o < ours.length && (ours[o] as Span).end <= at) o++;
    const [theirs, own] = [kernel[k], ours[o]];
    if (theirs === undefined && own === undefined) return;
    const borders = [theirs?.start, theirs?.end, own?.start, own?.end].filter(
      (border) => border !== undefined && border > at,
    );
    const end = Math.min(...(borders as number[]));
    const has = (span: Span | undefined): boolean => span !== undefined && span.start <= at;
    if (has(theirs) || has(own)) {
      const line = has(theirs) ? (theirs as Span).line : lineOfHole(kernel[k - 1], theirs, at, lineBefore);
      const flags = (span: Span | undefined): string => (has(span) ? (span as Span).flags : EMPTY);
      const [kernelFlags, ownFlags] = [flags(theirs), flags(own)];
      if (kernelFlags !== EMPTY || ownFlags !== EMPTY)
        yield { start: at, end, kernel: kernelFlags, ours: ownFlags, line };
    }
    at = end;
  }
}

function isAll({ start, end }: Stretch, holds: (page: Addr) => boolean): boolean {
  for (let page = start; page < end; page += PAGE_SIZE) if (!holds(page)) return false;
  return true;
}

/** Tells whether a page that looks like `flags` is one of the program's own. */
const isOwn = (flags: string, zero: boolean): boolean => flags.startsWith('P--') && !zero;

/** Tells whether the pages of a stretch may have been pinned by the kernel, and takes them from what is left. */
function isPinned(isAnonymous: boolean, stretch: Stretch, pinned: PinnedPages, open: OpenPages): boolean {
  const pages = (stretch.end - stretch.start) / PAGE_SIZE;
  if (!isAnonymous || stretch.kernel !== OWN || stretch.ours !== EMPTY || pages > pinned.left) return false;
  pinned.left -= pages;
  open.filled += pages;
  open.unsettled += pages;
  return true;
}

/** Tells whether each page of a stretch is in a state that the kernel may have brought about on its own, and counts them. */
function isOpen(mm: Mm, stretch: Stretch, conditions: PageConditions, open: OpenPages): boolean {
  const { start, end, kernel, ours } = stretch;
  const pages = (end - start) / PAGE_SIZE;
  if (isAll(stretch, (page) => conditions.isUnsettled(mm, page))) {
    open.unsettled += pages;
    if (kernel === 'P---') open.doubtful += pages;
    if (kernel.startsWith('P') && !isOwn(ours, isZero(mm, start))) open.filled += pages;
    if (!kernel.startsWith('P') && isOwn(ours, isZero(mm, start))) open.dropped += pages;
    return true;
  }
  if (!ours.startsWith('P--')) return false;
  if (conditions.hasSwap && kernel === '-S--') {
    open.swapped += pages;
    return true;
  }
  if (kernel !== EMPTY) return false;
  if (!isAll(stretch, (page) => isLazyFree(mm, page))) return false;
  open.dropped += pages;
  return true;
}

/**
 * Compares the pages of `vma`.
 * @param recorded  the parts of the recorded runs that lie in it, and the number of the line before them
 * @param pinned    what may have come without a fault line, of which what is found is taken away
 * @param hugeMore  how many more 2 MiB are mapped at once by smaps than by us; 0 where that is not known
 */
export function comparePages(
  mm: Mm,
  vma: Vma,
  recorded: { readonly spans: readonly Span[]; readonly lineBefore: number },
  conditions: PageConditions & { readonly hugeMore: number; readonly pinned: PinnedPages },
): PageComparison {
  const isAnonymous = isAnonymousVma(vma);
  // What is not determined stays as a hole, so that a difference is told by the lines around it.
  const counted = (spans: readonly Span[]): readonly Span[] =>
    spans.map((span) => (isDetermined(vma, isAnonymous, span.flags) ? span : { ...span, flags: EMPTY }));
  const kernel = counted(recorded.spans);
  const open = noOpenPages();
  const windows = conditions.hugeMore > 0 && isHugeEligible(mm, vma) ? wholeWindows(kernel) : new Set<Addr>();
  const filled = new Set<Addr>();
  let pages = 0;
  let difference: PageDifference | null = null;
  for (const stretch of stretches(vma, kernel, counted(modelSpans(mm, vma)), recorded.lineBefore)) {
    const { start, end } = stretch;
    pages += (end - start) / PAGE_SIZE;
    if (stretch.kernel === stretch.ours || difference !== null) continue;
    if (stretch.kernel === OWN && isIn(windows, start, end)) {
      for (let at = floorTo(start, PMD_SIZE); at < end; at += PMD_SIZE) filled.add(at);
      if (!isOwn(stretch.ours, isZero(mm, start))) open.filled += (end - start) / PAGE_SIZE;
      continue;
    }
    if (isOpen(mm, stretch, conditions, open)) continue;
    if (isPinned(isAnonymous, stretch, conditions.pinned, open)) continue;
    difference = differenceAt(stretch);
  }
  open.collapsed = filled.size;
  return { pages, difference, open };
}

const isZero = (mm: Mm, addr: Addr): boolean => pageAt(mm, addr).kind === 'zeroPage';

/** Returns the aligned 2 MiB that are present and mapped only here. */
function wholeWindows(kernel: readonly Span[]): ReadonlySet<Addr> {
  const windows = new Set<Addr>();
  let from = 0;
  let to = -1;
  const flush = (): void => {
    for (let base = floorTo(from + PMD_SIZE - 1, PMD_SIZE); base + PMD_SIZE <= to; base += PMD_SIZE)
      windows.add(base);
  };
  for (const { start, end, flags } of kernel) {
    if (flags !== OWN) continue;
    if (start !== to) {
      flush();
      from = start;
    }
    to = end;
  }
  flush();
  return windows;
}

function isIn(windows: ReadonlySet<Addr>, start: Addr, end: Addr): boolean {
  for (let base = floorTo(start, PMD_SIZE); base < end; base += PMD_SIZE)
    if (!windows.has(base)) return false;
  return true;
}

const rangeText = ({ start, end }: Stretch, flags: string): string =>
  `${start.toString(16)}-${end.toString(16)} ${flags}`;

const differenceAt = (stretch: Stretch): PageDifference => ({
  line: stretch.line,
  kernel: rangeText(stretch, stretch.kernel),
  ours: rangeText(stretch, stretch.ours),
});
