/**
 * The volatile ranges of one address space, and the order in which those of all address spaces are purged.
 *
 * A node is a range of addresses, not of vmas: marking costs no page table, no split and no merge. Nodes are disjoint; those that merely touch stay
 * apart, because two objects beside each other are purged apart. `hint` says that something in the node was purged since it came to be, so
 * that taking volatility back has to look at page tables only then; it may be true in vain, never false in vain.
 *
 * Invariants   [vrange-tree]   nodes are disjoint, not empty, page aligned, and lie in mapped memory
 *              [vrange-lru]    the list of the kernel holds every node of every address space once
 *              [vrange-hint]   an entry that was purged lies in a node with a hint
 * Cost    O(log nodes) for the first node, one step for each more
 * Linux   never merged; posted as vroot and v_rb in v7 to v10 of the series of seed 002. spec/volatile-ranges.md 3.2
 * Left out   the lock of the tree, which machine/ prices
 */
import { GapTree, type Leaf, type Span } from '../base/gapTree.ts';
import type { Addr } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { FACT } from './work.ts';

/** `full`: once a page of a range goes all of them may as well; `partial`: a few at a time. */
export type VrangeBehavior = 'full' | 'partial';

/** What the call does: the kernel may throw the range away from now on, or not any more. */
export type VrangeMode = 'volatile' | 'novolatile';

/** One volatile range. Only this file writes its fields, but for `hint`. */
export class VrangeNode implements Span<VrangeNode> {
  readonly mm: Mm;
  start: Addr;
  end: Addr;
  readonly behavior: VrangeBehavior;
  /** Something in it was purged. */
  hint: boolean;
  prev: VrangeNode | null = null;
  next: VrangeNode | null = null;
  home: Leaf<VrangeNode> | null = null;
  /** Neighbours in the order of purging. */
  newer: VrangeNode | null = null;
  older: VrangeNode | null = null;

  constructor(
    mm: Mm,
    at: {
      readonly start: Addr;
      readonly end: Addr;
      readonly behavior: VrangeBehavior;
      readonly hint: boolean;
    },
  ) {
    this.mm = mm;
    this.start = at.start;
    this.end = at.end;
    this.behavior = at.behavior;
    this.hint = at.hint;
  }
}

/** The nodes of all address spaces of a kernel by the time they were last marked or changed. */
export class VrangeLru {
  #newest: VrangeNode | null = null;
  #oldest: VrangeNode | null = null;
  #size = 0;

  /** How many nodes there are. */
  get size(): number {
    return this.#size;
  }
  /** The node whose turn it is to be purged, or null. */
  get oldest(): VrangeNode | null {
    return this.#oldest;
  }
  /** Puts a node at the end of the queue. */
  add(node: VrangeNode): void {
    node.older = this.#newest;
    node.newer = null;
    if (this.#newest === null) this.#oldest = node;
    else this.#newest.newer = node;
    this.#newest = node;
    this.#size++;
  }
  /** Takes a node out. */
  remove(node: VrangeNode): void {
    if (node.older === null) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === null) this.#newest = node.older;
    else node.newer.older = node.older;
    node.newer = null;
    node.older = null;
    this.#size--;
  }
  /** Puts a node at the end of the queue once more. */
  rotate(node: VrangeNode): void {
    this.remove(node);
    this.add(node);
  }
  /** Iterates over the nodes, the oldest first. For verify.ts. */
  *[Symbol.iterator](): Generator<VrangeNode> {
    for (let node = this.#oldest; node !== null; node = node.newer) yield node;
  }
}

/** A range, half open. */
interface Range {
  readonly start: Addr;
  readonly end: Addr;
}

/** The volatile ranges of one address space. */
export class VrangeTree {
  readonly #mm: Mm;
  readonly #lru: VrangeLru;
  readonly #nodes = new GapTree<VrangeNode>();

  constructor(mm: Mm, lru: VrangeLru) {
    this.#mm = mm;
    this.#lru = lru;
  }

  /** Number of nodes. */
  get size(): number {
    return this.#nodes.size;
  }
  /** Returns the node that contains `addr`, or null. */
  at(addr: Addr): VrangeNode | null {
    return this.#nodes.at(addr);
  }
  /** Iterates over the nodes, ascending. */
  [Symbol.iterator](): Iterator<VrangeNode> {
    return this.#nodes[Symbol.iterator]();
  }
  /** Returns the nodes that overlap [start, end), ascending. */
  overlapping({ start, end }: Range): VrangeNode[] {
    const nodes: VrangeNode[] = [];
    for (let node = this.#nodes.firstEndingAbove(start); node !== null && node.start < end; node = node.next)
      nodes.push(node);
    this.#mm.kernel.work.count(FACT.vrangeTreeSteps, 1 + nodes.length);
    return nodes;
  }
  /** Checks the tree. Returns null, or a sentence. */
  verify(): string | null {
    return this.#nodes.verify();
  }

  #insert(start: Addr, end: Addr, behavior: VrangeBehavior, hint: boolean): void {
    const node = new VrangeNode(this.#mm, { start, end, behavior, hint });
    this.#nodes.insert(node);
    this.#lru.add(node);
    this.#mm.kernel.work.vrangesChanged(1);
  }
  #remove(node: VrangeNode): void {
    this.#nodes.remove(node);
    this.#lru.remove(node);
    this.#mm.kernel.work.vrangesChanged(-1);
  }

  /**
   * Marks a range. A node of the same behavior that contains it already stays as it is, with its place in the queue; else all of the same behavior that overlap
   * it become one with it, and those of the other behavior lose what of them lies inside.
   * @returns  how many nodes were absorbed; null: there was nothing to do
   */
  mark(range: Range, behavior: VrangeBehavior): number | null {
    let { start, end } = range;
    const first = this.#nodes.firstEndingAbove(start);
    if (first === null || first.start >= end) {
      this.#mm.kernel.work.count(FACT.vrangeTreeSteps);
      this.#insert(start, end, behavior, false);
      return 0;
    }
    if (first.start <= start && end <= first.end && first.behavior === behavior) {
      this.#mm.kernel.work.count(FACT.vrangeTreeSteps, 2);
      return null;
    }
    const overlapped = this.overlapping(range);
    const same = overlapped.filter((node) => node.behavior === behavior);
    // What was purged under the other behavior is in the new node from now on.
    const hint = overlapped.some((node) => node.hint);
    this.clear(range, overlapped);
    for (const node of same) {
      start = Math.min(start, node.start);
      end = Math.max(end, node.end);
    }
    for (const node of this.overlapping({ start, end })) this.#remove(node);
    this.#insert(start, end, behavior, hint);
    return same.length;
  }

  /**
   * Takes volatility away from a range: nodes inside it go, others lose that part, one that reaches beyond both ends becomes two. What is left counts as just
   * marked.
   * @param overlapped  the nodes that overlap the range, where they are known
   * @returns           how many nodes became two
   */
  clear(range: Range, overlapped: readonly VrangeNode[] = this.overlapping(range)): number {
    let split = 0;
    for (const node of overlapped) {
      const { start, end, behavior, hint } = node;
      this.#remove(node);
      if (start < range.start) this.#insert(start, range.start, behavior, hint);
      if (range.end < end) this.#insert(range.end, end, behavior, hint);
      if (start < range.start && range.end < end) split++;
    }
    return split;
  }

  /** Moves what is volatile in [from, from + len) to `to`, where nothing is. Linux: nothing like it; mremap went unnoticed. */
  move(from: Addr, to: Addr, len: number): void {
    const range = { start: from, end: from + len };
    const moved = this.overlapping(range).map(({ start, end, behavior, hint }) => ({
      start: Math.max(start, range.start) + (to - from),
      end: Math.min(end, range.end) + (to - from),
      behavior,
      hint,
    }));
    this.clear(range);
    for (const { start, end, behavior, hint } of moved) this.#insert(start, end, behavior, hint);
  }

  /** Makes `child` have the same nodes, but where it has no memory. They are younger than all others, in the same order among themselves. */
  copyTo(child: VrangeTree): void {
    for (const node of this.#lru)
      if (node.mm === this.#mm) child.#insert(node.start, node.end, node.behavior, node.hint);
  }

  /** Forgets all nodes: the address space goes. */
  dispose(): void {
    for (const node of this.overlapping({ start: 0, end: Number.POSITIVE_INFINITY })) this.#remove(node);
  }
}
