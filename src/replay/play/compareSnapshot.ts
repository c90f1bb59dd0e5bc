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
} from '../../mm/index.ts';
import type { Snapshot, SnapshotProcess, SnapshotVma } from '../item.ts';
import type { Difference } from './difference.ts';
import { HANDLER_TABLES_KB } from './executor.ts';
import { InternalsComparison } from './snapshotInternals.ts';
import { firstDifference, modelRuns, recordedRuns, runText } from './windowPages.ts';

const PAGE = 4096;

/** How many of each were compared. */
export interface SnapshotCounts {
  vmas: number;
  figures: number;
  pages: number;
  tables: number;
  internals: number;
}

/** Figures of smaps by name, in kB; those of the dirty and clean kind apart. */
const FIGURES: readonly (readonly [name: string, of: (sums: MemoryFigures) => number])[] = [
  ['Rss', (sums) => sums.resident],
  ['Anonymous', (sums) => sums.anonymous],
  ['AnonHugePages', (sums) => sums.anonymousThp],
  ['ShmemPmdMapped', (sums) => sums.shmemThp],
  ['FilePmdMapped', (sums) => sums.fileThp],
  ['Locked', (sums) => pssBytes(sums.pssLocked)],
  ['Swap', (sums) => sums.swap],
];
const SPLIT: readonly (readonly [name: string, of: (sums: MemoryFigures) => number])[] = [
  ['Shared_Clean', (sums) => sums.sharedClean],
  ['Shared_Dirty', (sums) => sums.sharedDirty],
  ['Private_Clean', (sums) => sums.privateClean],
  ['Private_Dirty', (sums) => sums.privateDirty],
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

/** The snapshots of one ops file, one after the other: tables are compared with the first of each process. */
export class SnapshotComparison {
  readonly #report: (difference: Difference) => void;
  /** The process that the window belongs to; the others are its children. */
  #parent: number | null = null;
  readonly #firstTables = new Map<number, { readonly kernel: number; readonly ours: number }>();
  /** Processes that took a signal, whose handler runs outside the window. */
  readonly #signalled = new Set<number>();
  readonly #internals = new InternalsComparison();
  /** An MADV_FREE was among the operations so far. */
  #lazyFreed = false;
  readonly counts: SnapshotCounts = { vmas: 0, figures: 0, pages: 0, tables: 0, internals: 0 };

  /** @param report  is called for each difference */
  constructor(report: (difference: Difference) => void) {
    this.#report = report;
  }

  /** The sequence has freed memory lazily. */
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

  /** Compares one snapshot. @param window  the part of the address space the file speaks about */
  compare(
    snapshot: Snapshot,
    machine: Machine,
    window: { readonly start: Addr; readonly end: Addr } | null,
  ): void {
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
        this.#compareTables(snapshot, recorded, mm);
      }
    }
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
    const vmas = [...mm.vmas].filter(
      (vma) => window === null || (vma.start < window.end && vma.end > window.start),
    );
    for (const [i, line] of recorded.vmas.entries()) {
      this.counts.vmas++;
      const vma = vmas[i];
      const kernel = recordedText(line);
      const ours = vma === undefined ? '(no more vmas)' : snapshotText(mm, vma);
      if (kernel !== ours)
        this.#tell(snapshot, line.line, 'vma', {
          what: `vma line of process ${recorded.task}`,
          kernel,
          ours,
        });
      if (vma === undefined || vma.start !== line.start || vma.end !== line.end) return false;
      this.#compareFigures(snapshot, line, mm, vma);
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
    const exact = this.#lazyFreed ? FIGURES : [...FIGURES, ...SPLIT];
    for (const [name, of] of exact) {
      this.counts.figures++;
      const kernel = line.figures.get(name) ?? 0;
      if (kernel !== kB(of(sums))) wrong(name, kernel, kB(of(sums)));
    }
    if (!this.#lazyFreed) return;
    for (const side of ['Shared', 'Private']) {
      this.counts.figures++;
      const names = [`${side}_Clean`, `${side}_Dirty`];
      const kernel = names.reduce((sum, name) => sum + (line.figures.get(name) ?? 0), 0);
      const ours = SPLIT.filter(([name]) => names.includes(name)).reduce(
        (sum, [, of]) => sum + kB(of(sums)),
        0,
      );
      if (kernel !== ours) wrong(names.join(' + '), kernel, ours);
    }
  }

  #compareInternals(snapshot: Snapshot, recorded: SnapshotProcess, mm: Mm): void {
    if (recorded.internals === null) return;
    const wrong = this.#internals.firstDifference(mm, recorded.internals);
    this.counts.internals = this.#internals.compared;
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
    const kernel = recordedRuns(recorded.pages);
    for (const { start, end } of kernel) this.counts.pages += (end - start) / PAGE;
    const found = firstDifference(kernel, modelRuns(mm, window));
    if (found === null) return;
    this.#tell(snapshot, found.kernel?.line ?? recorded.line, 'page', {
      what: `pages of process ${recorded.task}`,
      kernel: runText(found.kernel),
      ours: runText(found.ours),
    });
  }

  /** A child's tables for the executor's own code are not copied by fork; those of its signal handler come with the first signal. */
  #handlerTablesKb(task: number): number {
    return task !== this.#parent && this.#signalled.has(task) ? HANDLER_TABLES_KB : 0;
  }

  #compareTables(snapshot: Snapshot, recorded: SnapshotProcess, mm: Mm): void {
    const kernel = recorded.pageTablesKb;
    const ours = mm.pages.bytes / 1024 + this.#handlerTablesKb(recorded.task);
    const first = this.#firstTables.get(recorded.task);
    if (first === undefined) {
      this.#firstTables.set(recorded.task, { kernel, ours });
      return;
    }
    this.counts.tables++;
    if (kernel - first.kernel === ours - first.ours) return;
    this.#tell(snapshot, recorded.line, 'count', {
      what: `page tables of process ${recorded.task} since its first snapshot`,
      kernel: `${kernel - first.kernel} kB`,
      ours: `${ours - first.ours} kB`,
    });
  }
}
