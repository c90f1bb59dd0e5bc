/**
 * Page tables as far as vmas depend on them: what each touched page holds, and which 2 MiB ranges have a table.
 *
 * A vma's history shows in its pages: a guard marker makes an access fail, an empty table entry decides whether a huge page (and with it an
 * anon_vma) comes, a page that is mapped twice refuses a move of the proposals. One leaf holds the 512 entries of 2 MiB, found by
 * the number of that range; a leaf that does not exist is a pmd that is none.
 *
 * Invariants
 *   [leaf-used]      `nrUsed` is the number of entries that are not none
 *   [pte-frame]      anonymous, file and swap entries hold a frame and count in its mapcount, once; zero and guard entries hold none
 *   [pte-in-vma]     every entry lies in a vma
 * Cost    whole-range operations walk leaves, then touched entries; 2.6 KiB a leaf
 * Linux   mm/memory.c: zap_pte_range, copy_page_range; mm/mremap.c: move_page_tables; arch pgtable.h
 * Left out   upper levels, table counts as a figure, dirty and young bits, huge pages as one unit
 */
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { type Frames, ZERO_FRAME } from './frames.ts';

/** What an entry is. */
export type PteKind = 'none' | 'anon' | 'zero' | 'file' | 'guard' | 'swap';

const KINDS: readonly PteKind[] = ['none', 'anon', 'zero', 'file', 'guard', 'swap'];
const NONE = 0;
const ANON = 1;
const ZERO = 2;
const FILE = 3;
const GUARD = 4;
const SWAP = 5;
const CODE: Readonly<Record<PteKind, number>> = {
  none: NONE,
  anon: ANON,
  zero: ZERO,
  file: FILE,
  guard: GUARD,
  swap: SWAP,
};
const PTES = 512;
const MAX_SPARE = 64;

interface PteLeaf {
  readonly kinds: Uint8Array;
  readonly frames: Int32Array;
  nrUsed: number;
}

const newLeaf = (): PteLeaf => ({ kinds: new Uint8Array(PTES), frames: new Int32Array(PTES), nrUsed: 0 });
const leafKey = (addr: Addr): number => Math.floor(addr / PMD_SIZE);
/** The low 21 bits survive `&` and `>>` whatever is above them. */
const indexIn = (addr: Addr): number => (addr & (PMD_SIZE - 1)) >> 12;

/** What a zap leaves in place. */
export interface ZapOptions {
  /** Guard markers stay (MADV_DONTNEED, MADV_FREE); munmap takes them too. */
  readonly keepGuards: boolean;
}

/** The tables of one address space. */
export class PageTable {
  readonly #leaves = new Map<number, PteLeaf>();
  /** Empty leaves to use again: making their arrays costs more than filling them. */
  readonly #spare: PteLeaf[] = [];
  readonly #frames: Frames;

  /** @param frames  the frames of the kernel that owns the address space */
  constructor(frames: Frames) {
    this.#frames = frames;
  }

  /** Returns what the entry for `addr` is. */
  kind(addr: Addr): PteKind {
    const leaf = this.#leaves.get(leafKey(addr));
    return leaf === undefined ? 'none' : (KINDS[leaf.kinds[indexIn(addr)] as number] as PteKind);
  }
  /** Returns the frame in the entry for `addr`, which holds one (`anon`, `zero`, `file`, `swap`). */
  frame(addr: Addr): number {
    return this.#leaves.get(leafKey(addr))?.frames[indexIn(addr)] ?? ZERO_FRAME;
  }
  /** Tells whether the 2 MiB around `addr` have a table. */
  hasTable(addr: Addr): boolean {
    return this.#leaves.has(leafKey(addr));
  }
  /** Returns how many entries of the 2 MiB around `addr` are not none. */
  nrUsed(addr: Addr): number {
    return this.#leaves.get(leafKey(addr))?.nrUsed ?? 0;
  }

  /** Sets the entry for `addr`, which may hold something; counts the frame (`zero` and `guard` have none of their own). */
  set(addr: Addr, kind: Exclude<PteKind, 'none'>, frame: number = ZERO_FRAME): void {
    const key = leafKey(addr);
    const leaf = this.#leaves.get(key) ?? this.#makeLeaf(key);
    const index = indexIn(addr);
    if (frame !== ZERO_FRAME) this.#frames.addMapping(frame, 1);
    this.#drop(leaf, index);
    leaf.kinds[index] = CODE[kind];
    leaf.frames[index] = frame;
    leaf.nrUsed++;
  }

  /** Changes a present entry into a swap entry of the same frame, or back. */
  retype(addr: Addr, kind: 'anon' | 'swap'): void {
    const leaf = this.#leaves.get(leafKey(addr));
    if (leaf !== undefined) leaf.kinds[indexIn(addr)] = CODE[kind];
  }

  /** Makes sure that the 2 MiB around `addr` have a table (an access that maps nothing makes one too). */
  populateTable(addr: Addr): void {
    const key = leafKey(addr);
    if (!this.#leaves.has(key)) this.#makeLeaf(key);
  }

  #makeLeaf(key: number): PteLeaf {
    const leaf = this.#spare.pop() ?? newLeaf();
    this.#leaves.set(key, leaf);
    return leaf;
  }

  /** Tells whether no entry of [start, end) can hold anything, by looking at the tables alone. */
  isBlank(start: Addr, end: Addr): boolean {
    for (let key = leafKey(start); key <= leafKey(end - 1); key++)
      if ((this.#leaves.get(key)?.nrUsed ?? 0) > 0) return false;
    return true;
  }

  /** Fills [start, end), which is blank, with new anonymous pages, or with the zero page. */
  fillBlank(start: Addr, end: Addr, kind: 'anon' | 'zero'): void {
    const code = CODE[kind];
    for (let addr = start; addr < end; ) {
      const key = leafKey(addr);
      const leaf = this.#leaves.get(key) ?? this.#makeLeaf(key);
      const stop = Math.min(end, (key + 1) * PMD_SIZE);
      const low = indexIn(addr);
      const high = low + (stop - addr) / PAGE_SIZE;
      leaf.kinds.fill(code, low, high);
      leaf.nrUsed += high - low;
      for (let i = low; i < high && code === ANON; i++) {
        const frame = this.#frames.allocate(0);
        this.#frames.addMapping(frame, 1);
        leaf.frames[i] = frame;
      }
      addr = stop;
    }
  }

  /** Empties entry `index` and lets go of its frame. */
  #drop(leaf: PteLeaf, index: number): void {
    const kind = leaf.kinds[index];
    if (kind === NONE) return;
    const frame = leaf.frames[index] as number;
    if (frame !== ZERO_FRAME && this.#frames.addMapping(frame, -1) === 0 && kind !== FILE)
      this.#frames.release(frame);
    leaf.kinds[index] = NONE;
    leaf.frames[index] = 0;
    leaf.nrUsed--;
  }

  /** Calls `each` for every leaf that overlaps [start, end), ascending, with the entry numbers from `low` to below `high`. */
  #forEachLeaf(
    start: Addr,
    end: Addr,
    each: (leaf: PteLeaf, base: Addr, low: number, high: number) => void,
  ): void {
    const firstKey = leafKey(start);
    const lastKey = leafKey(end - 1);
    const visit = (key: number): void => {
      const leaf = this.#leaves.get(key);
      if (leaf === undefined) return;
      const base = key * PMD_SIZE;
      each(leaf, base, Math.max(0, (start - base) / PAGE_SIZE), Math.min(PTES, (end - base) / PAGE_SIZE));
    };
    if (lastKey - firstKey <= this.#leaves.size) for (let key = firstKey; key <= lastKey; key++) visit(key);
    else
      [...this.#leaves.keys()]
        .filter((key) => key >= firstKey && key <= lastKey)
        .sort((a, b) => a - b)
        .forEach(visit);
  }

  /** Empties the entries of [start, end). */
  zap(start: Addr, end: Addr, options: ZapOptions): void {
    if (start >= end) return;
    this.#forEachLeaf(start, end, (leaf, _base, low, high) => {
      for (let i = low; i < high && leaf.nrUsed > 0; i++) {
        const kind = leaf.kinds[i];
        if (kind !== NONE && !(kind === GUARD && options.keepGuards)) this.#drop(leaf, i);
      }
    });
  }

  /** Frees the tables whose 2 MiB lie whole within [floor, ceiling) and that overlap [start, end). They are empty. Linux: free_pgtables(). */
  freeTables(start: Addr, end: Addr, floor: Addr, ceiling: Addr): void {
    if (this.#leaves.size === 0 || start >= end) return;
    const keys: number[] = [];
    this.#forEachLeaf(start, end, (leaf, base) => {
      if (leaf.nrUsed === 0 && base >= floor && base + PMD_SIZE <= ceiling) keys.push(leafKey(base));
    });
    for (const key of keys) {
      const leaf = this.#leaves.get(key);
      if (leaf !== undefined && this.#spare.length < MAX_SPARE) this.#spare.push(leaf);
      this.#leaves.delete(key);
    }
  }

  /**
   * Moves the entries of [from, from+len) to `to`, where there are none. A table that fits moves as a whole and leaves none behind; otherwise
   * the old one stays, and new ones are made for what it covered, even if it was empty. Linux: move_page_tables().
   */
  move(from: Addr, to: Addr, len: number): void {
    if (len === 0) return;
    const aligned = (to - from) % PMD_SIZE === 0;
    this.#forEachLeaf(from, from + len, (leaf, base, low, high) => {
      const target = to + (base + low * PAGE_SIZE - from);
      if (aligned && high - low === PTES && !this.hasTable(target)) {
        this.#leaves.delete(leafKey(base));
        this.#leaves.set(leafKey(target), leaf);
      } else this.#moveEntries(leaf, target, low, high);
    });
  }

  #moveEntries(leaf: PteLeaf, target: Addr, low: number, high: number): void {
    this.populateTable(target);
    this.populateTable(target + (high - low - 1) * PAGE_SIZE);
    for (let i = low; i < high && leaf.nrUsed > 0; i++) {
      const kind = leaf.kinds[i] as number;
      if (kind === NONE) continue;
      const frame = leaf.frames[i] as number;
      this.set(target + (i - low) * PAGE_SIZE, KINDS[kind] as Exclude<PteKind, 'none'>, frame);
      this.#drop(leaf, i);
    }
  }

  /** Copies the entries of [start, end) into a child's tables: frames are shared, markers copied, tables made even if empty. Linux: copy_page_range(). */
  copyTo(child: PageTable, start: Addr, end: Addr): void {
    this.#forEachLeaf(start, end, (leaf, base, low, high) => {
      child.populateTable(Math.max(base, start));
      for (let i = low; i < high; i++) {
        const kind = leaf.kinds[i] as number;
        if (kind !== NONE)
          child.set(base + i * PAGE_SIZE, KINDS[kind] as Exclude<PteKind, 'none'>, leaf.frames[i] as number);
      }
    });
  }

  /** Calls `each` for every entry of [start, end) that is not none, ascending. */
  forEach(start: Addr, end: Addr, each: (addr: Addr, kind: PteKind, frame: number) => void): void {
    if (start >= end) return;
    this.#forEachLeaf(start, end, (leaf, base, low, high) => {
      for (let i = low; i < high && leaf.nrUsed > 0; i++) {
        const kind = leaf.kinds[i] as number;
        if (kind !== NONE) each(base + i * PAGE_SIZE, KINDS[kind] as PteKind, leaf.frames[i] as number);
      }
    });
  }

  /** Returns the first entry count that is wrong, in words, or null. For verify.ts. */
  verify(): string | null {
    for (const [key, leaf] of this.#leaves) {
      let used = 0;
      for (let i = 0; i < PTES; i++) if (leaf.kinds[i] !== NONE) used++;
      if (used !== leaf.nrUsed)
        return `[leaf-used] table of 0x${(key * PMD_SIZE).toString(16)} says ${leaf.nrUsed}, holds ${used}`;
    }
    return null;
  }
}
