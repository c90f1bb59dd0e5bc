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
import { comparePages, type OpenPages, type PageConditions, RecordedRuns } from './comparePages.ts';
import type { Difference } from './difference.ts';

const KB = 1024;
const NONE_OPEN: OpenPages = { dropped: 0, swapped: 0, filled: 0, collapsed: 0 };

/** What was compared: pages, and figures. */
export interface EndPageCounts {
  pages: number;
  figures: number;
}

/** A figure of smaps in kB: its name, ours, and what the kernel may have done to it. */
interface Figure {
  readonly name: string;
  readonly kernel: number | undefined;
  readonly ours: number;
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

  /** Compares one process, whose vmas are known to agree. */
  compare(end: EndState, mm: Mm): void {
    const runs = new RecordedRuns(end.pages());
    const blocks = new Map<Addr, SmapsEntry>();
    for (const entry of end.smaps ?? []) blocks.set(entry.maps.start, entry);
    const total = { ...NONE_OPEN };
    for (const vma of mm.vmas) {
      const sums = figuresOf(mm, vma);
      const block = blocks.get(vma.start) ?? null;
      const open = end.hasPages ? this.#comparePages(end, runs, { mm, vma, sums, block }) : NONE_OPEN;
      for (const name of ['dropped', 'swapped', 'filled', 'collapsed'] as const) total[name] += open[name];
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
    },
  ): OpenPages {
    const { mm, vma, sums, block } = of;
    const stray = runs.strayBefore(vma.start);
    if (stray !== null) this.#stray(end, stray);
    const huge = ((block?.figures.get('AnonHugePages') ?? 0) * KB - sums.anonymousThp) / PMD_SIZE;
    const { pages, difference, open } = comparePages(mm, vma, runs.within(vma), {
      ...this.#conditions,
      hugeMore: huge,
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
    for (const { name, kernel, ours } of figuresToCompare(block, of)) {
      if (kernel === undefined) continue;
      this.counts.figures++;
      if (kernel === ours) continue;
      this.#tell(end.files.smaps, block.maps.line + 1 + names.indexOf(name), {
        kind: 'page',
        what: `${name} of ${hexRange(vma.start, vma.end)}`,
        kernel: `${kernel} kB`,
        ours: `${ours} kB`,
      });
    }
  }

  /** Compares the totals of status that are determined: anonymous pages, swap entries, page tables. */
  #compareTotals(end: EndState, mm: Mm, open: OpenPages): void {
    if (end.status === null) return;
    const anon = mm.rssAnon - open.dropped - open.swapped + open.filled;
    const totals = [
      ['RssAnon', anon * PAGE_SIZE],
      ['VmSwap', (mm.nrSwap + open.swapped) * PAGE_SIZE],
      ['VmPTE', mm.pages.bytes],
    ] as const;
    const names = [...end.status.keys()];
    for (const [name, ours] of totals) {
      const kernel = statusBytes(end.status, name);
      if (kernel === null) continue;
      this.counts.figures++;
      if (kernel === ours) continue;
      this.#tell(end.files.status, names.indexOf(name) + 1, {
        kind: 'count',
        what: `${name} of the process`,
        kernel: `${kernel / KB} kB`,
        ours: `${ours / KB} kB`,
      });
    }
  }

  #tell(file: string, line: number, found: Pick<Difference, 'kind' | 'what' | 'kernel' | 'ours'>): void {
    this.#report({ file, line, op: null, ...found });
  }
}

/** Returns the figures of a block that are determined, in kB. */
function figuresToCompare(
  { figures }: SmapsEntry,
  of: { readonly vma: Vma; readonly sums: MemoryFigures; readonly open: OpenPages },
): readonly Figure[] {
  const { vma, sums, open } = of;
  const kB = (bytes: number): number => Math.floor(bytes / KB);
  const more = (open.filled - open.dropped - open.swapped) * PAGE_SIZE;
  const figure = (name: string, bytes: number): Figure => ({
    name,
    kernel: figures.get(name),
    ours: kB(bytes),
  });
  const own = [
    figure('Anonymous', sums.anonymous + more),
    figure('AnonHugePages', sums.anonymousThp + open.collapsed * PMD_SIZE),
    figure('Swap', sums.swap + open.swapped * PAGE_SIZE),
  ];
  const isLocked = (vma.flags & VM_LOCKED) !== 0;
  const isKnown = isAnonymousVma(vma) && more === 0;
  const locked = isKnown
    ? figure('Locked', pssBytes(sums.pssLocked))
    : {
        name: 'Locked',
        kernel: figures.get('Locked'),
        ours: isLocked ? (figures.get('Pss') ?? 0) : 0,
      };
  if (!isAnonymousVma(vma)) return [...own, locked];
  const resident = [...own, locked, figure('Rss', sums.resident + more)];
  if (!isKnown) return resident;
  const sum = (one: string, other: string): number => (figures.get(one) ?? 0) + (figures.get(other) ?? 0);
  return [
    ...resident,
    figure('Pss', pssBytes(sums.pss)),
    {
      name: 'Shared_Dirty',
      kernel: sum('Shared_Clean', 'Shared_Dirty'),
      ours: kB(sums.sharedClean + sums.sharedDirty),
    },
    {
      name: 'Private_Dirty',
      kernel: sum('Private_Clean', 'Private_Dirty'),
      ours: kB(sums.privateClean + sums.privateDirty),
    },
  ];
}
