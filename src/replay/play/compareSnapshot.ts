/**
 * A snapshot inside an ops file against the model, in every living process: the vma lines of the window with their figures, the
 * runs of pages with their first words, and how the page tables grew since the first snapshot of the process.
 *
 * Two things a sequence does not determine after an MADV_FREE: how many of the pages the kernel has put on its list of lazily freed ones
 * (LazyFree), and, of those, whether they count as clean. So from then on clean and dirty are compared as one sum (docs/fidelity.md).
 */
import { type Addr, hexRange } from '../../base/units.ts';
import type { Machine } from '../../machine/index.ts';
import {
  figuresOf,
  type MemoryFigures,
  type Mm,
  permsOf,
  pssBytes,
  type Vma,
  vmaDisplayName,
  vmFlagCodes,
  vmFlagsOfCodes,
} from '../../mm/index.ts';
import type { Snapshot, SnapshotProcess, SnapshotText, SnapshotVma } from '../item.ts';
import { SELF } from '../opsSnapshot.ts';
import { compareCategories, compareUffd } from './compareUffdSnapshot.ts';
import type { Difference } from './difference.ts';
import { HANDLER_TABLES_KB } from './executor.ts';
import { type EarlierSnapshots, SnapshotMatcher } from './matchSnapshot.ts';
import { InternalsComparison } from './snapshotInternals.ts';
import {
  firstDifference,
  hasSamePages,
  ListedRuns,
  modelRuns,
  recordedRuns,
  runText,
} from './windowPages.ts';
import type { Workers } from './workers.ts';

const PAGE = 4096;

/** How many of each were compared. */
export interface SnapshotCounts {
  vmas: number;
  figures: number;
  pages: number;
  tables: number;
  internals: number;
}

interface Figure {
  readonly name: string;
  readonly of: (sums: MemoryFigures) => number;
}

/** Figures of smaps by name, in kB; those of the dirty and clean kind apart. */
const FIGURES: readonly Figure[] = [
  { name: 'Rss', of: (sums) => sums.resident },
  { name: 'Anonymous', of: (sums) => sums.anonymous },
  { name: 'AnonHugePages', of: (sums) => sums.anonymousThp },
  { name: 'ShmemPmdMapped', of: (sums) => sums.shmemThp },
  { name: 'FilePmdMapped', of: (sums) => sums.fileThp },
  { name: 'Locked', of: (sums) => pssBytes(sums.pssLocked) },
  { name: 'Swap', of: (sums) => sums.swap },
];
const SPLIT: readonly Figure[] = [
  { name: 'Shared_Clean', of: (sums) => sums.sharedClean },
  { name: 'Shared_Dirty', of: (sums) => sums.sharedDirty },
  { name: 'Private_Clean', of: (sums) => sums.privateClean },
  { name: 'Private_Dirty', of: (sums) => sums.privateDirty },
];
/** What is only shown of a machine with swap. */
const SWAP_PSS: Figure = { name: 'SwapPss', of: (sums) => pssBytes(sums.swapPss) };
const FIGURES_AND_SPLIT: readonly Figure[] = [...FIGURES, ...SPLIT];
/** Figures that are compared as one sum after MADV_FREE. */
const SIDES: readonly (readonly string[])[] = [
  ['Shared_Clean', 'Shared_Dirty'],
  ['Private_Clean', 'Private_Dirty'],
];

const kB = (bytes: number): number => Math.floor(bytes / 1024);

/** Prints a vma as a snapshot line does, without figures. */
function snapshotText(mm: Mm, vma: Vma): string {
  const offset = vma.file === null ? 0 : vma.pgoff * PAGE;
  const name = vmaDisplayName(mm, vma);
  return `${hexRange(vma.start, vma.end)} ${permsOf(vma.flags)} ${offset.toString(16).padStart(8, '0')}${name === '' ? '' : ` ${name}`} flags=${vmFlagCodes(vma.flags)}`;
}

const recordedText = (vma: SnapshotVma): string =>
  `${hexRange(vma.start, vma.end)} ${vma.perms} ${vma.offset.toString(16).padStart(8, '0')}${vma.name === '' ? '' : ` ${vma.name}`} flags=${vma.vmFlags.join(' ')}`;

/** The flags that codes of a snapshot stand for; `none`: they are not what the model would print for any flags. */
const flagsOfCodes = new WeakMap<readonly string[], number | 'none'>();

function printedFlags(codes: readonly string[]): number | 'none' {
  let flags = flagsOfCodes.get(codes);
  if (flags === undefined) {
    const known = vmFlagsOfCodes(codes);
    flags = typeof known === 'number' && vmFlagCodes(known) === codes.join(' ') ? known : 'none';
    flagsOfCodes.set(codes, flags);
  }
  return flags;
}

/** Tells whether a line says of a vma what the model does, so that most need not be printed. */
const isSameLine = (mm: Mm, vma: Vma, line: SnapshotVma): boolean =>
  vma.start === line.start &&
  vma.end === line.end &&
  vma.flags === printedFlags(line.vmFlags) &&
  permsOf(vma.flags) === line.perms &&
  line.offset === (vma.file === null ? 0 : vma.pgoff * PAGE) &&
  line.name === vmaDisplayName(mm, vma);

/** Returns the vmas that have a part in the window. */
function vmasIn(mm: Mm, window: { readonly start: Addr; readonly end: Addr } | null): Vma[] {
  if (window === null) return [...mm.vmas];
  const vmas: Vma[] = [];
  for (
    let vma = mm.vmas.firstEndingAbove(window.start);
    vma !== null && vma.start < window.end;
    vma = vma.next
  )
    vmas.push(vma);
  return vmas;
}

/** The snapshots of one ops file, one after the other: tables are compared with the first of each process. */
export class SnapshotComparison implements EarlierSnapshots {
  readonly #report: (difference: Difference) => void;
  /** The process that the window belongs to; the others are its children. */
  #parent: number | null = null;
  readonly #firstTables = new Map<
    number,
    { readonly kernel: number; readonly ours: number; readonly handled: boolean }
  >();
  /** Processes that took a signal, whose handler runs outside the window. */
  readonly #signalled = new Set<number>();
  readonly internals = new InternalsComparison();
  readonly #matcher = new SnapshotMatcher(this);
  /** kB of page tables that its first signal brings a child; null: not known yet. */
  #handlerKb: number | null = null;
  /** An MADV_FREE was among the operations so far. */
  #lazyFreed = false;
  readonly counts: SnapshotCounts = { vmas: 0, figures: 0, pages: 0, tables: 0, internals: 0 };

  /** @param report  is called for each difference */
  constructor(report: (difference: Difference) => void) {
    this.#report = report;
  }

  /** The sequence has freed memory lazily, or copied a page for a pin: what is clean from now on depends on the batches of a CPU. */
  noteLazyFree(): void {
    this.#lazyFreed = true;
  }

  /** The process of thread `task` took a signal. */
  noteSignal(task: number): void {
    this.#signalled.add(task);
  }

  /** The process of thread `task` ended; another may get its number. */
  noteExit(task: number): void {
    this.#firstTables.delete(task);
    this.#signalled.delete(task);
  }

  /** Compares one snapshot. @param window  the part of the address space the file speaks about; @param workers  where threads sleep */
  compare(
    snapshot: Snapshot,
    machine: Machine,
    window: { readonly start: Addr; readonly end: Addr } | null,
    workers: Workers | null = null,
  ): void {
    if (snapshot.unread !== undefined && window !== null && this.#matches(snapshot.unread, machine, window))
      return;
    const { uffd } = snapshot;
    if (uffd !== null && workers !== null) {
      // There the files promise the sums only.
      this.#lazyFreed = true;
      this.counts.figures += compareUffd(snapshot, uffd, machine, workers, (kind, { line, ...found }) =>
        this.#tell(snapshot, line, kind, found),
      );
    }
    for (const recorded of snapshot.processes) {
      this.#parent ??= recorded.task;
      const mm = machine.processOf(recorded.task)?.mm ?? null;
      if (mm === null)
        this.#tell(snapshot, recorded.line, 'vma', {
          what: 'a process we do not have',
          kernel: String(recorded.task),
          ours: '',
        });
      else if (this.#compareVmas(snapshot, recorded, mm, window)) {
        this.#compareInternals(snapshot, recorded, mm);
        if (window !== null) this.#comparePages(snapshot, recorded, mm, window);
        if (window !== null && uffd !== null)
          this.counts.figures += compareCategories(recorded, mm, window, (kind, { line, ...found }) =>
            this.#tell(snapshot, line, kind, found),
          );
        this.#compareTables(snapshot, recorded, mm);
        this.#compareSwap(snapshot, recorded, mm);
      }
    }
  }

  /** Tells whether a snapshot that was not read yet says what we have, and then counts it as compared. */
  #matches(
    unread: SnapshotText,
    machine: Machine,
    window: { readonly start: Addr; readonly end: Addr },
  ): boolean {
    const before = this.internals.compared;
    this.#parent ??= SELF;
    const matcher = this.#matcher;
    if (!matcher.matches(unread, machine, window)) {
      this.internals.compared = before;
      return false;
    }
    const { counts } = this;
    counts.vmas += matcher.vmas;
    counts.figures += matcher.figures;
    counts.pages += matcher.pages;
    counts.tables += matcher.tables;
    counts.internals = this.internals.compared;
    for (const { task, kernel, ours } of matcher.firsts)
      this.#firstTables.set(task, { kernel, ours, handled: this.#hasHandled(task) });
    return true;
  }

  /** See EarlierSnapshots. */
  get areSidesOpen(): boolean {
    return this.#lazyFreed;
  }
  /** See EarlierSnapshots. */
  expectedTables(task: number, ours: number): number | null {
    const first = this.#firstTables.get(task);
    if (first === undefined) return null;
    const isHandled = this.#hasHandled(task) && !first.handled;
    return first.kernel + ours - first.ours + (isHandled ? (this.#handlerKb ?? HANDLER_TABLES_KB) : 0);
  }

  #tell(
    snapshot: Snapshot,
    line: number,
    kind: Difference['kind'],
    found: Pick<Difference, 'what' | 'kernel' | 'ours' | 'about'>,
  ): void {
    this.#report({ file: snapshot.file, line, op: snapshot.number, kind, ...found });
  }

  /** Compares the vma lines. Returns whether the ranges agree, so that what is in them can be compared. */
  #compareVmas(
    snapshot: Snapshot,
    recorded: SnapshotProcess,
    mm: Mm,
    window: { readonly start: Addr; readonly end: Addr } | null,
  ): boolean {
    const vmas = vmasIn(mm, window);
    for (let i = 0; i < recorded.vmas.length; i++) {
      const line = recorded.vmas[i] as SnapshotVma;
      this.counts.vmas++;
      const vma = vmas[i];
      if (vma === undefined || !isSameLine(mm, vma, line))
        this.#tell(snapshot, line.line, 'vma', {
          what: `vma line of process ${recorded.task}`,
          kernel: recordedText(line),
          ours: vma === undefined ? '(no more vmas)' : snapshotText(mm, vma),
        });
      if (vma === undefined || vma.start !== line.start || vma.end !== line.end) return false;
      this.#compareFigures(snapshot, line, mm, vma);
      if (recorded.swapKb !== null && snapshot.uffd === null)
        this.#compareFigure(snapshot, line, vma, SWAP_PSS, figuresOf(mm, vma));
    }
    const extra = vmas[recorded.vmas.length];
    if (extra === undefined) return true;
    this.#tell(snapshot, recorded.line, 'vma', {
      what: 'a vma more than the kernel has',
      kernel: '',
      ours: snapshotText(mm, extra),
    });
    return false;
  }

  #compareFigures(snapshot: Snapshot, line: SnapshotVma, mm: Mm, vma: Vma): void {
    const sums = figuresOf(mm, vma);
    const wrong = (name: string, kernel: number, ours: number): void =>
      this.#tell(snapshot, line.line, 'page', {
        what: `${name} of ${hexRange(vma.start, vma.end)}`,
        kernel: `${kernel} kB`,
        ours: `${ours} kB`,
      });
    const exact = this.#lazyFreed ? FIGURES : FIGURES_AND_SPLIT;
    for (let i = 0; i < exact.length; i++) {
      const { name, of } = exact[i] as Figure;
      const kernel = line.figures.get(name) ?? 0;
      const ours = kB(of(sums));
      if (kernel !== ours) wrong(name, kernel, ours);
    }
    this.counts.figures += exact.length;
    if (!this.#lazyFreed) return;
    for (const names of SIDES) {
      this.counts.figures++;
      const kernel = names.reduce((sum, name) => sum + (line.figures.get(name) ?? 0), 0);
      const ours = SPLIT.reduce((sum, { name, of }) => sum + (names.includes(name) ? kB(of(sums)) : 0), 0);
      if (kernel !== ours) wrong(names.join(' + '), kernel, ours);
    }
  }

  #compareFigure(snapshot: Snapshot, line: SnapshotVma, vma: Vma, figure: Figure, sums: MemoryFigures): void {
    this.counts.figures++;
    const kernel = line.figures.get(figure.name) ?? 0;
    const ours = kB(figure.of(sums));
    if (kernel === ours) return;
    this.#tell(snapshot, line.line, 'page', {
      what: `${figure.name} of ${hexRange(vma.start, vma.end)}`,
      kernel: `${kernel} kB`,
      ours: `${ours} kB`,
    });
  }

  #compareSwap(snapshot: Snapshot, recorded: SnapshotProcess, mm: Mm): void {
    if (recorded.swapKb === null) return;
    this.counts.figures++;
    const ours = (mm.nrSwap * PAGE) / 1024;
    if (recorded.swapKb === ours) return;
    this.#tell(snapshot, recorded.line, 'count', {
      what: `VmSwap of process ${recorded.task}`,
      kernel: `${recorded.swapKb} kB`,
      ours: `${ours} kB`,
    });
  }

  #compareInternals(snapshot: Snapshot, recorded: SnapshotProcess, mm: Mm): void {
    if (recorded.internals === null) return;
    const wrong = this.internals.firstDifference(mm, recorded.internals);
    this.counts.internals = this.internals.compared;
    if (wrong === null) return;
    const { line, ...found } = wrong;
    this.#tell(snapshot, line, 'internals', found);
  }

  #comparePages(
    snapshot: Snapshot,
    recorded: SnapshotProcess,
    mm: Mm,
    window: { readonly start: Addr; readonly end: Addr },
  ): void {
    for (const { start, end } of recorded.pages) this.counts.pages += (end - start) / PAGE;
    const isUffd = snapshot.uffd !== null;
    if (hasSamePages(mm, window, new ListedRuns(recorded.pages), isUffd)) return;
    const found = firstDifference(recordedRuns(recorded.pages), modelRuns(mm, window, isUffd));
    if (found === null) return;
    this.#tell(snapshot, found.kernel?.line ?? recorded.line, 'page', {
      what: `pages of process ${recorded.task}`,
      kernel: runText(found.kernel),
      ours: runText(found.ours),
    });
  }

  /** Tells whether the process has run its signal handler, outside the window: that of the process itself was prepared. */
  #hasHandled(task: number): boolean {
    return task !== this.#parent && this.#signalled.has(task);
  }

  /**
   * A child's tables for the executor's own code are not copied by fork; those of its signal handler come with the first signal. Where children close
   * userfaultfds first, some executors' have them from the start: the first child that took a signal shows which.
   */
  #compareTables(snapshot: Snapshot, recorded: SnapshotProcess, mm: Mm): void {
    const { task, pageTablesKb: kernel } = recorded;
    const ours = mm.pages.bytes / 1024;
    const handled = this.#hasHandled(task);
    const first = this.#firstTables.get(task);
    if (first === undefined) {
      this.#firstTables.set(task, { kernel, ours, handled });
      return;
    }
    this.counts.tables++;
    const grown = kernel - first.kernel;
    let expected = ours - first.ours;
    if (handled && !first.handled) {
      if (grown === expected && snapshot.uffd !== null) this.#handlerKb ??= 0;
      this.#handlerKb ??= HANDLER_TABLES_KB;
      expected += this.#handlerKb;
    }
    if (grown === expected) return;
    this.#tell(snapshot, recorded.line, 'count', {
      what: `page tables of process ${task} since its first snapshot`,
      kernel: `${grown} kB`,
      ours: `${expected} kB`,
    });
  }
}
