/**
 * The lists of pages from which memory is got back: who was used lately is active, who was not is inactive.
 *
 * A new page comes to the front of an inactive list. vmscan.ts takes pages from the back, one batch at a time ("isolates" them), and puts those back that
 * stay: to the front of the list that their flags say then. Pages with a place in swap (anonymous ones, shared memory) and those without (pages of files
 * on disks, lazily freed ones) are on lists of their own, for each group of processes; pages that somebody has locked in memory are on none that is looked
 * through. A huge folio is on a list once, for its first page, and counts as 512.
 *
 * Lists exist only where memory can get short: the first limit makes them (memoryLimit.ts), of the pages there are then by frame number. A kernel
 * without one pays a comparison for each page taken and given back.
 *
 * Invariants   [lru-lists]       every frame in use, but those of the kernel's own image, is on one list of its group, the one its flags say or that of
 *                                the unevictable; lists are linked both ways; their counts are the pages on them
 *              [memory-charged]  (memoryGroup.ts)
 * Cost         10 bytes a frame; taking, giving back and moving a page is O(1)
 * Linux        mm/swap.c: lru_add, lru_lazyfree, folio_activate; include/linux/mm_inline.h: lruvec_add_folio; mm/vmscan.c: isolate_lru_folios,
 *              move_folios_to_lru
 * Left out     the batches in which a CPU holds pages back before they come on a list or change it; generations (MGLRU); the shadow entries that tell
 *              that a page comes back too soon (mm/workingset.c): nothing that is read back becomes active at once
 */
import {
  FRAME_ACTIVE,
  FRAME_CACHED,
  FRAME_SWAPBACKED,
  type Frames,
  type FrameWatcher,
  HUGE_PAGES,
  type Pfn,
} from './frames.ts';
import { LRU, type LruList, type MemoryGroup } from './memoryGroup.ts';

/** The lists of all groups of one kernel. */
export class Lru implements FrameWatcher {
  readonly #frames: Frames;
  #next = new Int32Array(1024);
  #prev = new Int32Array(1024);
  #list = new Uint8Array(1024);
  #group = new Uint16Array(1024);
  readonly #groups: (MemoryGroup | null)[] = [null];
  /** Who is charged for pages that are taken. */
  current: MemoryGroup;

  /**
   * @param frames   the pages; those that are in use come on the lists
   * @param root     the group of pages that belong to nobody
   * @param groupOf  returns whose a page is that is there already
   */
  constructor(frames: Frames, root: MemoryGroup, groupOf: (pfn: Pfn) => MemoryGroup) {
    this.#frames = frames;
    this.current = root;
    for (let pfn = 1; pfn < frames.limit; pfn++) {
      if (!frames.isUsed(pfn)) continue;
      const pages = frames.isLarge(pfn) ? HUGE_PAGES : 1;
      this.current = groupOf(pfn);
      this.added(pfn, pages);
      pfn += pages - 1;
    }
    this.current = root;
    frames.watcher = this;
  }

  /** The groups that have, or had, pages. */
  get groups(): readonly MemoryGroup[] {
    return this.#groups.filter((group) => group !== null);
  }
  /** Returns the list that a page is on; `none` for one that is isolated. */
  listOf(pfn: Pfn): LruList {
    return (this.#list[pfn] ?? LRU.none) as LruList;
  }
  /** Returns the group that was charged for a page, or null. */
  groupOf(pfn: Pfn): MemoryGroup | null {
    return this.#groups[this.#group[pfn] ?? 0] ?? null;
  }

  added(pfn: Pfn, pages: number): void {
    if (this.#isImage(pfn)) return;
    if (pfn + pages > this.#list.length) this.#grow(pfn + pages);
    const index = this.#indexOf(this.current);
    this.#group.fill(index, pfn, pfn + pages);
    this.current.charged += pages;
    this.#link(pfn, this.#listBy(pfn));
  }
  gone(pfn: Pfn): void {
    const group = this.groupOf(pfn);
    if (group === null) return;
    if (this.#list[pfn] !== LRU.none) this.#unlink(pfn);
    group.charged--;
    this.#group[pfn] = 0;
  }
  changed(pfn: Pfn): void {
    const list = this.#list[pfn] ?? LRU.none;
    if (list === LRU.none || list === LRU.unevictable) return;
    const now = this.#listBy(pfn);
    if (now === list) return;
    this.#unlink(pfn);
    this.#link(pfn, now);
  }
  split(head: Pfn): void {
    const list = this.listOf(head);
    if (list === LRU.none) return;
    this.#unlink(head);
    // The later ones first, so that the first page is in front. Linux: lru_add_split_folio()
    for (let i = HUGE_PAGES - 1; i >= 0; i--) this.#link(head + i, list, 1);
  }

  /** Takes a page off its list. */
  isolate(pfn: Pfn): void {
    this.#unlink(pfn);
  }
  /** Puts an isolated page to the front of the list that its flags say. */
  putBack(pfn: Pfn): void {
    this.#link(pfn, this.#listBy(pfn));
  }
  /** Puts an isolated page to those that cannot go. */
  putAway(pfn: Pfn): void {
    this.#link(pfn, LRU.unevictable);
  }
  /** Returns the page in front of `pfn` on its list, or 0. */
  before(pfn: Pfn): Pfn {
    return this.#prev[pfn] as Pfn;
  }

  /** Pages of the kernel's own image, which every program maps, are on no list. */
  #isImage(pfn: Pfn): boolean {
    return (this.#frames.flags(pfn) & FRAME_CACHED) !== 0 && this.#frames.owner(pfn) === 0;
  }
  #listBy(pfn: Pfn): LruList {
    const flags = this.#frames.flags(pfn);
    if (flags & FRAME_SWAPBACKED) return flags & FRAME_ACTIVE ? LRU.activeAnon : LRU.inactiveAnon;
    return flags & FRAME_ACTIVE ? LRU.activeFile : LRU.inactiveFile;
  }
  #indexOf(group: MemoryGroup): number {
    if (group.index === 0) {
      group.index = this.#groups.length;
      this.#groups.push(group);
    }
    return group.index;
  }
  #sizeOf(pfn: Pfn): number {
    return this.#frames.isLarge(pfn) ? HUGE_PAGES : 1;
  }
  #link(pfn: Pfn, list: LruList, pages = this.#sizeOf(pfn)): void {
    const group = this.#groups[this.#group[pfn] as number] as MemoryGroup;
    const first = group.heads[list] as Pfn;
    this.#next[pfn] = first;
    this.#prev[pfn] = 0;
    if (first === 0) group.tails[list] = pfn;
    else this.#prev[first] = pfn;
    group.heads[list] = pfn;
    group.pages[list] = group.size(list) + pages;
    this.#list[pfn] = list;
  }
  #unlink(pfn: Pfn): void {
    const group = this.#groups[this.#group[pfn] as number] as MemoryGroup;
    const list = this.#list[pfn] as LruList;
    const [before, after] = [this.#prev[pfn] as Pfn, this.#next[pfn] as Pfn];
    if (before === 0) group.heads[list] = after;
    else this.#next[before] = after;
    if (after === 0) group.tails[list] = before;
    else this.#prev[after] = before;
    group.pages[list] = group.size(list) - this.#sizeOf(pfn);
    this.#list[pfn] = LRU.none;
  }
  #grow(needed: number): void {
    const size = Math.ceil(needed * 1.25);
    this.#next = copied(this.#next, new Int32Array(size));
    this.#prev = copied(this.#prev, new Int32Array(size));
    this.#list = copied(this.#list, new Uint8Array(size));
    this.#group = copied(this.#group, new Uint16Array(size));
  }

  /** Returns what is wrong with the lists, or null. For verify.ts. */
  verify(): string | null {
    let listed = 0;
    for (const group of this.groups) {
      for (let list = 1; list <= LRU.unevictable; list++) {
        const wrong = this.#wrongList(group, list as LruList);
        if (typeof wrong === 'string') return wrong;
        listed += wrong;
      }
    }
    for (let pfn = 1; pfn < this.#frames.limit; pfn++) {
      if (!this.#frames.isUsed(pfn) || this.#isImage(pfn)) continue;
      if (this.#frames.isLarge(pfn) && pfn % HUGE_PAGES !== 0) continue;
      if (this.listOf(pfn) === LRU.none) return `frame ${pfn} is in use and on no list`;
      listed--;
    }
    return listed === 0 ? null : `${listed} frames more are on lists than are in use`;
  }
  /** Returns what is wrong with one list, or how many folios are on it. */
  #wrongList(group: MemoryGroup, list: LruList): string | number {
    let [folios, pages, before] = [0, 0, 0];
    for (let pfn = group.heads[list] as Pfn; pfn !== 0; pfn = this.#next[pfn] as Pfn) {
      if (this.#prev[pfn] !== before) return `frame ${pfn} does not know who is in front of it`;
      if (this.#list[pfn] !== list || this.groupOf(pfn) !== group) return `frame ${pfn} is on a wrong list`;
      if (!this.#frames.isUsed(pfn)) return `frame ${pfn} is on a list and not in use`;
      if (list !== LRU.unevictable && this.#listBy(pfn) !== list)
        return `frame ${pfn} is on list ${list}, its flags say ${this.#listBy(pfn)}`;
      folios++;
      pages += this.#sizeOf(pfn);
      before = pfn;
    }
    if (group.tails[list] !== before)
      return `list ${list} ends with frame ${group.tails[list]}, not ${before}`;
    return pages === group.size(list)
      ? folios
      : `list ${list} counts ${group.size(list)} pages, ${pages} are there`;
  }
  /** Returns what is wrong with what groups were charged for, or null. For verify.ts. */
  wrongCharge(): string | null {
    const charged = new Map<MemoryGroup, number>();
    for (let pfn = 1; pfn < this.#frames.limit; pfn++) {
      const group = this.groupOf(pfn);
      if (group === null) continue;
      if (!this.#frames.isUsed(pfn)) return `frame ${pfn} is charged for and not in use`;
      charged.set(group, (charged.get(group) ?? 0) + 1);
    }
    for (const group of this.groups)
      if (group.charged !== (charged.get(group) ?? 0))
        return `group ${group.index} is charged for ${group.charged} pages, ${charged.get(group) ?? 0} are its`;
    return null;
  }
}

/** Copies an array into a larger one. */
function copied<A extends Int32Array | Uint8Array | Uint16Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
