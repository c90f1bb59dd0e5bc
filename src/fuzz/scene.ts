/**
 * What a generator remembers while it draws a sequence: the processes and roughly what each has mapped, files, segments, and what the
 * sequence may draw at all.
 *
 * It follows no rule of memory management and is often wrong; only what is drawn depends on it, never what is right.
 */
import { Prng } from '../base/prng.ts';
import { hex, PAGE_SIZE } from '../base/units.ts';
import { Deck, type Weights } from './deck.ts';
import type { ModeTable } from './modeTable.ts';
import { type Grid, OpsWindow, type PageAccess, type PageRange } from './opsWindow.ts';
import { RANGE_TASTES, type WindowKind } from './rangeTastes.ts';
import { UFFD_PROFILES, UffdNotes } from './uffdNotes.ts';
import { ODD_PROTECTIONS, ODD_REMAPS } from './weights.ts';

/** Where the window of every sequence begins. */
export const WINDOW = 0x2000_0000_0000;
/** The process that the sequence starts with, among the numbers of children. */
export const SELF = -1;

/** A file or segment by its name, and how many pages it has at most; of a regular file, exactly. */
export interface FileNote {
  readonly name: string;
  pages: number;
}

/** Returns what a page with these protection flags allows. */
export function accessOf(prot: string): PageAccess {
  if (prot.includes('PROT_WRITE')) return 'write';
  return prot.includes('PROT_READ') || prot.includes('PROT_EXEC') ? 'read' : 'mapped';
}

/** How often a sequence is narrow, and how often it does without much that its mode has. */
const NARROW = 0.45;
const MEAGRE = 0.45;
/** How often a row is left out of a meagre sequence. */
const LEFT_OUT = 0.45;

/** What takes a part of a file away. */
const CUTS = ['MADV_REMOVE', 'ftruncate', 'fallocate'];

/** The state of one sequence while it is drawn. */
export class Scene {
  readonly random: Prng;
  readonly mode: ModeTable;
  readonly kind: WindowKind;
  readonly calls: Deck;
  readonly advice: Deck;
  readonly maps: Deck;
  readonly protections: Deck;
  readonly oddProtections = new Deck(ODD_PROTECTIONS);
  readonly remaps: Deck;
  readonly oddRemaps = new Deck(ODD_REMAPS);
  readonly files: FileNote[] = [];
  readonly segments: FileNote[] = [];
  /** The children that live, by number. */
  readonly living: number[] = [];
  /** Who makes the call that is being drawn. */
  turn = SELF;
  forked = 0;
  /** The sequence has regular files, whose pages all stay in memory: what a disk would give back depends on the file system. */
  readonly hasRegular: boolean;
  /** A mapping that is more than the machine has is still there. */
  hasEnormous = false;
  /** Pages of the swap device that the sequence has; 0: none. Where memory is asked back, one in four has none. */
  readonly swapPages: number;
  /** MREMAP_DONTUNMAP is drawn. */
  readonly mayLeaveBehind: boolean;
  /** MADV_COLLAPSE is drawn, for others too. */
  readonly mayCollapse: boolean;
  /** What a sequence with userfaultfd remembers, else null. */
  readonly uffd: UffdNotes | null;
  /** A limit on address space was set. */
  hasSpaceLimit = false;
  readonly #windows = new Map<number, OpsWindow>();

  constructor(mode: ModeTable, seed: number) {
    // Each mode draws something else from the same seed.
    this.random = new Prng(Math.imul(seed, 0x9e37_79b1) ^ mode.stream);
    this.mode = mode;
    this.kind = Number(new Deck(mode.windows).draw(this.random)) as WindowKind;
    const left = new Set(
      Object.entries(mode.sometimes)
        .filter(([, likelihood]) => !this.chance(likelihood))
        .map(([name]) => name),
    );
    this.#avoidLocks(left);
    // What MREMAP_DONTUNMAP leaves behind is no longer locked, and its pages stay on the list of those that are, which is not modelled.
    this.mayLeaveBehind = !(
      mode.swapPages > 0 && ['mlock', 'mlock2'].some((call) => call in mode.calls && !left.has(call))
    );
    if (!this.mayLeaveBehind)
      for (const row of Object.keys(mode.remaps)) if (row.includes('DONTUNMAP')) left.add(row);
    const isSwapless = 'memoryReclaim' in mode.calls && this.chance(0.25);
    this.swapPages = isSwapless ? 0 : mode.swapPages;
    this.hasRegular = mode.setup === 'files' && this.chance(0.4);
    if (this.hasRegular) for (const row of ['MADV_REMOVE', 'MADV_PAGEOUT']) left.add(row);
    this.uffd = mode.setup === 'uffd' ? new UffdNotes(this) : null;
    this.#avoidLargeFolios(left);
    this.mayCollapse = !left.has('MADV_COLLAPSE');
    // What is drawn of little meets itself more often: some bugs show only so.
    const share = this.chance(MEAGRE) ? LEFT_OUT : 0;
    const deck = (weights: Weights): Deck => {
      const rows = Object.entries(weights).filter(([name]) => !left.has(name));
      const kept = rows.filter(([name]) => !this.chance(share) || mode.staples.includes(name));
      return new Deck(Object.fromEntries(kept.length === 0 ? rows : kept));
    };
    const profile = this.uffd === null ? {} : (UFFD_PROFILES[this.uffd.profile]?.calls ?? {});
    this.calls = deck({ ...mode.calls, ...profile });
    this.advice = deck(mode.advice);
    this.maps = deck(mode.maps);
    this.protections = deck(mode.protections);
    this.remaps = deck(mode.remaps);
    const taste = RANGE_TASTES[this.kind];
    this.#windows.set(SELF, new OpsWindow(WINDOW, taste, this.random, this.#grid()));
  }

  /** What is locked is populated: no machine has so much, and what `fill` maps is not the window's. */
  #avoidLocks(left: Set<string>): void {
    const { calls, maps, setup } = this.mode;
    const has = (call: string): boolean => call in calls && !left.has(call);
    const rows = [...Object.keys(calls), ...Object.keys(maps)];
    if (has('enormous')) for (const row of rows) if (/^mlock|LOCKED/.test(row)) left.add(row);
    // What reclaim makes of huge pages is modelled only of private ones of which nothing is locked.
    if (has('memoryReclaim') && this.kind !== 0) {
      left.add('MADV_COLLAPSE');
      for (const row of rows) if (/^mlock|LOCKED/.test(row)) left.add(row);
    }
    // In a large window it depends on what the executor has besides whether all may be locked.
    if (has('fill') || (setup === 'limits' && this.kind !== 0)) left.add('mlockall');
  }

  /**
   * Huge pages of shared memory come from MADV_COLLAPSE. A part of one that goes, or that comes back from swap by userfaultfd, leaves folios of sizes
   * that are not modelled.
   */
  #avoidLargeFolios(left: Set<string>): void {
    if (this.kind === 0) return;
    if (this.uffd !== null) {
      if (this.uffd.without === 'shared') return;
      const rows = ['punch', 'uffd_ftruncate', 'MADV_REMOVE', 'MADV_PAGEOUT'];
      for (const row of this.chance(0.5) ? ['MADV_COLLAPSE'] : rows) left.add(row);
    } else if (this.mode.setup === 'swap' && !left.has('MADV_COLLAPSE'))
      for (const row of CUTS) left.add(row);
  }

  #grid(): Grid | null {
    if (!this.chance(NARROW)) return null;
    const cell =
      this.kind === 0 ? this.random.pick([1, 1, 2, 3, 8]) : this.random.pick([1, 16, 256, 512, 512]);
    const most = RANGE_TASTES[this.kind].pages / cell;
    return { cell, cells: Math.min(most, 4 + this.random.below(7)) };
  }

  /** The window of who makes the call. */
  get window(): OpsWindow {
    return this.#windows.get(this.turn) as OpsWindow;
  }
  /** Is true as often as `likelihood` says, from 0 to 1. */
  chance(likelihood: number): boolean {
    return this.random.unit() < likelihood;
  }
  /** Returns the bytes of a range. */
  bytes({ first, end }: PageRange): number {
    return (end - first) * PAGE_SIZE;
  }
  /** Returns the address of a page as text. */
  at(page: number): string {
    return hex(this.window.at(page));
  }
  /** Returns a range as the first two arguments of a call. */
  text(range: PageRange): string {
    return `${this.at(range.first)}, ${this.bytes(range)}`;
  }

  /** Returns a range as the first two arguments of a call; now and then some that are refused or rounded. */
  args(range: PageRange): string {
    if (!this.chance(this.mode.odd)) return this.text(range);
    const start = this.window.at(range.first);
    const bytes = this.bytes(range);
    return this.random.pick([
      `${hex(start)}, ${bytes - 100}`,
      `${hex(start)}, ${bytes + 1}`,
      `${hex(start + 2048)}, ${bytes}`,
      `${hex(start)}, 0`,
      `${hex(start + 2048)}, 0`,
      // The end is below the start: nothing may reach what the program itself has mapped.
      `${hex(start)}, 0xfffffffffffff000`,
      `0x7ffffffff000, ${bytes}`,
      `0xfffffffffffff000, ${bytes}`,
    ]);
  }

  /** Draws who makes the next call. */
  takeTurn(): void {
    this.turn = this.living.length > 0 && this.chance(this.mode.turn) ? this.random.pick(this.living) : SELF;
  }
  /** Who makes the call forks. @returns the number of the child */
  fork(): number {
    const child = this.forked++;
    this.living.push(child);
    this.#windows.set(child, this.window.copy());
    return child;
  }
  /** A child is gone. */
  exit(child: number): void {
    this.living.splice(this.living.indexOf(child), 1);
    this.#windows.delete(child);
  }
}
