/**
 * Whether a snapshot that was not read yet is what the model has, character by character: of thousands of snapshots in a row nearly all are, and need not
 * be made into lists of vmas and pages for that.
 *
 * All that compareSnapshot.ts holds against the model is held against it here, in the order in which opsrun prints it. What is not exactly so, be it only
 * written otherwise, does not match, and is then read and compared there, which tells what differs.
 *
 * Cost    linear in the text and in the touched entries; nothing is allocated a line
 */
import type { Addr } from '../../base/units.ts';
import type { Machine } from '../../machine/index.ts';
import {
  clearFigures,
  gatherFigures,
  type Mm,
  noFigures,
  permsOf,
  pssBytes,
  type Vma,
  vmaDisplayName,
  vmFlagCodes,
  vmFlagsOfCodes,
} from '../../mm/index.ts';
import type { SnapshotText } from '../item.ts';
import { CHILD, SELF } from '../opsSnapshot.ts';
import type { InternalsComparison } from './snapshotInternals.ts';
import { SnapshotCursor } from './snapshotText.ts';
import { hasSamePages } from './windowPages.ts';

const PAGE = 4096;
/** Figures of a vma line: those that are compared one by one, and the sums of the clean and the dirty ones. */
const [NR_FIGURES, NR_SPLIT, NR_SIDES] = [7, 4, 2];

/** What a snapshot is held against besides the model. */
export interface EarlierSnapshots {
  /** Clean and dirty pages are compared as one sum. */
  readonly areSidesOpen: boolean;
  readonly internals: InternalsComparison;
  /** Returns how many kB of page tables the kernel is to have for a process that has `ours` in the model; null: this is the first time we see it. */
  expectedTables(task: number, ours: number): number | null;
}

/** How many kB of page tables a process had when it was first seen. */
export interface FirstTables {
  readonly task: number;
  readonly kernel: number;
  readonly ours: number;
}

/** The end of a vma line with flags; null: those of the model are none that such a line can tell. */
const flagsTexts = new Map<number, string | null>();

function flagsText(flags: number): string | null {
  let text = flagsTexts.get(flags);
  if (text === undefined) {
    const codes = vmFlagCodes(flags);
    text = vmFlagsOfCodes(codes === '' ? [] : codes.split(' ')) === flags ? ` flags=${codes}\n` : null;
    flagsTexts.set(flags, text);
  }
  return text;
}

/** Holds one snapshot after the other against the model. */
export class SnapshotMatcher {
  readonly #at = new SnapshotCursor();
  readonly #sums = noFigures();
  readonly #earlier: EarlierSnapshots;
  /** What was compared in the snapshot at hand, as SnapshotCounts has it. */
  vmas = 0;
  figures = 0;
  tables = 0;
  /** Processes that are seen for the first time in it. */
  firsts: FirstTables[] = [];

  constructor(earlier: EarlierSnapshots) {
    this.#earlier = earlier;
  }

  /** Pages of the window that were compared. */
  get pages(): number {
    return this.#at.nrPages;
  }

  /** Tells whether a snapshot says what the model has in `window`, in every process. If not, what was counted means nothing. */
  matches(
    snapshot: SnapshotText,
    machine: Machine,
    window: { readonly start: Addr; readonly end: Addr },
  ): boolean {
    const at = this.#at;
    at.start(snapshot);
    this.vmas = this.figures = this.tables = 0;
    this.firsts = [];
    let task: number = SELF;
    if (!at.accept('self')) return false;
    while (this.#matchesProcess(task, machine, window)) {
      if (at.atEnd) return true;
      if (!at.accept('child ')) return false;
      task = CHILD + at.decimal();
    }
    return false;
  }

  #matchesProcess(
    task: number,
    machine: Machine,
    window: { readonly start: Addr; readonly end: Addr },
  ): boolean {
    const at = this.#at;
    const mm = machine.processOf(task)?.mm ?? null;
    if (mm === null || !at.accept(' pgtables_kb=')) return false;
    if (!this.#matchesTables(task, at.decimal(), mm.pages.bytes / 1024)) return false;
    const hasSwap = at.accept(' swap_kb=');
    if (hasSwap && at.decimal() !== (mm.nrSwap * PAGE) / 1024) return false;
    if (hasSwap) this.figures++;
    if (!at.endOfLine()) return false;
    for (
      let vma = mm.vmas.firstEndingAbove(window.start);
      vma !== null && vma.start < window.end;
      vma = vma.next
    )
      if (!this.#matchesVma(mm, vma, hasSwap)) return false;
    while (at.accept('internal '))
      if (!at.internals() || this.#earlier.internals.differenceOf(mm, at.row) !== null) return false;
    return hasSamePages(mm, window, at);
  }

  #matchesTables(task: number, kernel: number, ours: number): boolean {
    const expected = this.#earlier.expectedTables(task, ours);
    if (expected === null) {
      this.firsts.push({ task, kernel, ours });
      return kernel >= 0;
    }
    this.tables++;
    return kernel === expected;
  }

  #matchesVma(mm: Mm, vma: Vma, hasSwap: boolean): boolean {
    const at = this.#at;
    if (!at.accept('vma ') || !at.isRange(vma.start, vma.end)) return false;
    if (!at.accept(' ') || !at.accept(permsOf(vma.flags)) || !at.accept(' ')) return false;
    if (at.hex() !== (vma.file === null ? 0 : vma.pgoff * PAGE)) return false;
    const name = vmaDisplayName(mm, vma);
    if (name !== '' && !(at.accept(' ') && at.accept(name))) return false;
    this.vmas++;
    if (!this.#matchesFigures(mm, vma, hasSwap)) return false;
    const flags = flagsText(vma.flags);
    return flags !== null && at.accept(flags);
  }

  /** What is 0 is not in the line. */
  #is(token: string, bytes: number): boolean {
    const kB = Math.floor(bytes / 1024);
    return kB === 0 || (this.#at.accept(token) && this.#at.decimal() === kB);
  }

  #matchesFigures(mm: Mm, vma: Vma, hasSwap: boolean): boolean {
    const at = this.#at;
    const sums = this.#sums;
    clearFigures(sums);
    gatherFigures(mm, vma, sums);
    if (!this.#is(' Rss=', sums.resident) || !this.#matchesSides()) return false;
    if (!this.#is(' Anonymous=', sums.anonymous)) return false;
    // How many there are is not determined.
    at.figure(' LazyFree=');
    this.figures += NR_FIGURES + (this.#earlier.areSidesOpen ? NR_SIDES : NR_SPLIT) + (hasSwap ? 1 : 0);
    return (
      this.#is(' AnonHugePages=', sums.anonymousThp) &&
      this.#is(' ShmemPmdMapped=', sums.shmemThp) &&
      this.#is(' FilePmdMapped=', sums.fileThp) &&
      this.#is(' Swap=', sums.swap) &&
      (!hasSwap || this.#is(' SwapPss=', pssBytes(sums.swapPss))) &&
      this.#is(' Locked=', pssBytes(sums.pssLocked))
    );
  }

  #matchesSides(): boolean {
    const at = this.#at;
    const sums = this.#sums;
    if (!this.#earlier.areSidesOpen)
      return (
        this.#is(' Shared_Clean=', sums.sharedClean) &&
        this.#is(' Shared_Dirty=', sums.sharedDirty) &&
        this.#is(' Private_Clean=', sums.privateClean) &&
        this.#is(' Private_Dirty=', sums.privateDirty)
      );
    const shared = at.figure(' Shared_Clean=') + at.figure(' Shared_Dirty=');
    const own = at.figure(' Private_Clean=') + at.figure(' Private_Dirty=');
    return (
      shared * 1024 === sums.sharedClean + sums.sharedDirty &&
      own * 1024 === sums.privateClean + sums.privateDirty
    );
  }
}
