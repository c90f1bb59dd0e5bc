/**
 * The pages of one process at the end of a recording: runs of pagemap, figures of smaps, totals of status.
 *
 * Of anonymous memory all is determined but which pages are dirty or were used lately. Of a private mapping of a file the program's own copies are:
 * Anonymous, AnonHugePages, Swap; what else is resident is in the page cache. Locked is the part of Pss of a locked vma, so in a mapping of a file it is held
 * against the Pss beside it.
 * What the kernel does when it likes (comparePages.ts) is taken from the runs, and the figures have to agree with that.
 */
import { type Addr, hexRange, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import {
  figuresOf,
  isAnonymousVma,
  type MemoryFigures,
  type Mm,
  pssBytes,
  VM_LOCKED,
  type Vma,
} from '../../mm/index.ts';
import type { EndState } from '../item.ts';
import type { SmapsEntry } from '../smaps.ts';
import { statusBytes } from '../stat.ts';
import {
  comparePages,
  noOpenPages,
  type OpenPages,
  type PageConditions,
  type PinnedPages,
  RecordedRuns,
} from './comparePages.ts';
import type { Difference } from './difference.ts';

const KB = 1024;
const OPEN_NAMES = Object.keys(noOpenPages()) as readonly (keyof OpenPages)[];

/** What was compared: pages, and figures. */
export interface EndPageCounts {
  pages: number;
  figures: number;
}

/** A figure in bytes: the kernel's, and ours, which may be less by what is doubtful. */
interface Figure {
  readonly name: string;
  readonly kernel: number | null;
  readonly ours: number;
  readonly doubtful?: number;
}

/** Compares the pages of all processes of one recording. */
export class EndPages {
  readonly #report: (difference: Difference) => void;
  readonly #conditions: PageConditions;
  readonly counts: EndPageCounts = { pages: 0, figures: 0 };

  /** @param report  is called for each difference */
  constructor(report: (difference: Difference) => void, conditions: PageConditions) {
    this.#report = report;
    this.#conditions = conditions;
  }

  /** Compares one process, whose vmas are known to agree. @param pinned  pages that may have come without a fault line; what is found is taken away */
  compare(end: EndState, mm: Mm, pinned: PinnedPages): void {
    const runs = new RecordedRuns(end.pages());
    const blocks = new Map<Addr, SmapsEntry>();
    for (const entry of end.smaps ?? []) blocks.set(entry.maps.start, entry);
    const total = noOpenPages();
    for (const vma of mm.vmas) {
      const sums = figuresOf(mm, vma);
      const block = blocks.get(vma.start) ?? null;
      const open = end.hasPages
        ? this.#comparePages(end, runs, { mm, vma, sums, block, pinned })
        : noOpenPages();
      for (const name of OPEN_NAMES) total[name] += open[name];
      if (block !== null) this.#compareFigures(end, block, { vma, sums, open });
    }
    const rest = runs.strayBefore(Number.POSITIVE_INFINITY);
    if (rest !== null) this.#stray(end, rest);
    this.#compareTotals(end, mm, total);
  }

  #comparePages(
    end: EndState,
    runs: RecordedRuns,
    of: {
      readonly mm: Mm;
      readonly vma: Vma;
      readonly sums: MemoryFigures;
      readonly block: SmapsEntry | null;
      readonly pinned: PinnedPages;
    },
  ): OpenPages {
    const { mm, vma, sums, block, pinned } = of;
    const stray = runs.strayBefore(vma.start);
    if (stray !== null) this.#stray(end, stray);
    const huge = ((block?.figures.get('AnonHugePages') ?? 0) * KB - sums.anonymousThp) / PMD_SIZE;
    const spans = runs.within(vma);
    const recorded = { spans, lineBefore: runs.lineBefore };
    const { pages, difference, open } = comparePages(mm, vma, recorded, {
      ...this.#conditions,
      hugeMore: huge,
      pinned,
    });
    this.counts.pages += pages;
    if (difference !== null)
      this.#tell(end.files.pagemap, difference.line, {
        kind: 'page',
        what: `pages of ${hexRange(vma.start, vma.end)}`,
        kernel: difference.kernel,
        ours: difference.ours,
      });
    return open;
  }

  #stray(end: EndState, { start, line }: { readonly start: Addr; readonly line: number }): void {
    this.#tell(end.files.pagemap, line, {
      kind: 'page',
      what: 'pages outside all vmas',
      kernel: start.toString(16),
      ours: '(nothing)',
    });
  }

  #compareFigures(
    end: EndState,
    block: SmapsEntry,
    of: { readonly vma: Vma; readonly sums: MemoryFigures; readonly open: OpenPages },
  ): void {
    const { vma } = of;
    const names = [...block.figures.keys()];
    for (const figure of figuresToCompare(block, of)) {
      const line = block.maps.line + 1 + names.indexOf(figure.name);
      this.#compareFigure(end.files.smaps, line, figure, hexRange(vma.start, vma.end));
    }
  }

  /** Compares the totals of status that are determined: anonymous pages, swap entries, page tables. */
  #compareTotals(end: EndState, mm: Mm, open: OpenPages): void {
    const { status } = end;
    if (status === null) return;
    const figure = (name: string, ours: number, doubtful = 0): Figure => ({
      name,
      kernel: statusBytes(status, name),
      ours,
      doubtful: doubtful * PAGE_SIZE,
    });
    const totals = [
      figure('RssAnon', (mm.rssAnon + moreOwn(open)) * PAGE_SIZE, open.doubtful),
      figure('VmSwap', (mm.nrSwap + open.swapped) * PAGE_SIZE),
    ];
    // Whether a page came or not may have cost a table.
    if (open.unsettled === 0) totals.push(figure('VmPTE', mm.pages.bytes));
    const names = [...status.keys()];
    for (const total of totals)
      this.#compareFigure(end.files.status, names.indexOf(total.name) + 1, total, 'the process');
  }

  #compareFigure(file: string, line: number, figure: Figure, of: string): void {
    const { name, kernel, ours, doubtful = 0 } = figure;
    if (kernel === null) return;
    this.counts.figures++;
    if (kernel >= ours - doubtful && kernel <= ours) return;
    this.#tell(file, line, {
      kind: 'page',
      what: `${name} of ${of}`,
      kernel: `${kernel / KB} kB`,
      ours: `${doubtful > 0 ? `${(ours - doubtful) / KB} to ` : ''}${ours / KB} kB`,
    });
  }

  #tell(file: string, line: number, found: Pick<Difference, 'kind' | 'what' | 'kernel' | 'ours'>): void {
    this.#report({ file, line, op: null, ...found });
  }
}

/** How many pages of its own the process has more than we say. */
const moreOwn = (open: OpenPages): number => open.filled - open.dropped - open.swapped;

const inKb = (bytes: number): number => Math.floor(bytes / KB) * KB;

/** Returns the figures of a block that are determined. */
function figuresToCompare(
  { figures }: SmapsEntry,
  of: { readonly vma: Vma; readonly sums: MemoryFigures; readonly open: OpenPages },
): readonly Figure[] {
  const { vma, sums, open } = of;
  const isAnonymous = isAnonymousVma(vma);
  const recorded = (name: string): number | null => {
    const kB = figures.get(name);
    return kB === undefined ? null : kB * KB;
  };
  const figure = (name: string, bytes: number): Figure => ({
    name,
    kernel: recorded(name),
    ours: inKb(bytes),
  });
  const more = moreOwn(open) * PAGE_SIZE;
  const doubtful = open.doubtful * PAGE_SIZE;
  const isExact = isAnonymous && OPEN_NAMES.every((name) => open[name] === 0);
  // Locked is the Pss of a locked vma; of pages of files it is not known who shares them.
  const lockedPss = (vma.flags & VM_LOCKED) === 0 ? 0 : (recorded('Pss') ?? 0);
  const own = [
    { ...figure('Anonymous', sums.anonymous + more), doubtful },
    figure('AnonHugePages', sums.anonymousThp + open.collapsed * PMD_SIZE),
    figure('Swap', sums.swap + open.swapped * PAGE_SIZE),
    figure('Locked', isExact ? pssBytes(sums.pssLocked) : lockedPss),
  ];
  if (!isAnonymous) return own;
  const resident = [...own, { ...figure('Rss', sums.resident + more), doubtful }];
  if (!isExact) return resident;
  // Which pages are dirty is not compared.
  const both = (side: 'Shared' | 'Private', ours: number): Figure => {
    const name = `${side}_Dirty`;
    const [clean, dirty] = [recorded(`${side}_Clean`), recorded(name)];
    return { name, kernel: clean === null || dirty === null ? null : clean + dirty, ours };
  };
  return [
    ...resident,
    figure('Pss', pssBytes(sums.pss)),
    both('Shared', sums.sharedClean + sums.sharedDirty),
    both('Private', sums.privateClean + sums.privateDirty),
  ];
}
