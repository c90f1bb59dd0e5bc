/**
 * An ordered set of disjoint ranges with the gaps between them: a B+ tree whose nodes know the largest gap below them.
 *
 * Look-up, insertion, removal, resizing and the search for the highest or lowest gap of a size are O(log n); the neighbours
 * of a range are one step away, because ranges are also linked in a list. Ranges are objects of the caller that lend the tree five fields
 * (`start`, `end`, `prev`, `next`, and `home`, the leaf they live in), so nothing is wrapped and nothing is allocated per look-up.
 *
 * Invariants (checked by `verify`)
 *   [gap-tree-order]  ranges are disjoint, not empty and ascending, in the leaves and in the list alike
 *   [gap-tree-first]  every node knows the first address of each child, or the start of each range
 *   [gap-tree-gap]    every leaf knows `start - prev.end` of each range (`prev.end` of the first one is 0), every branch the largest
 *                     gap of each child, and each of them its own largest one
 *
 * Cost    about 3 levels for 30,000 ranges; an update touches one leaf (at most 32 ranges) and rarely more than its parent; the
 *         range that was found last is tried first
 * Linux   lib/maple_tree.c plays this part for struct vm_area_struct; the shape here is our own
 */
import { ModelBug } from './assert.ts';
import {
  gapBelow,
  highestIn,
  indexIn,
  insertItem,
  type Leaf,
  largest,
  lastAtOrBelow,
  lowestIn,
  MAX_FILL,
  newBranch,
  newLeaf,
  refreshMaxGap,
  removeItem,
  type Span,
  setGap,
  setStart,
  type TreeNode,
  tellFirst,
  wrongNode,
} from './gapTreeNode.ts';

export type { Leaf, Span } from './gapTreeNode.ts';

const MIN_FILL = 10;

/** Tells whether `addr`, which is not below `item`, is below the range after it: then `item` is the last one that starts at or below. */
const isBelowNext = <T extends Span<T>>({ next }: T, addr: number): boolean =>
  next === null || addr < next.start;

/** The ordered set. One instance owns its ranges: a range is in at most one tree. */
export class GapTree<T extends Span<T>> {
  #root: TreeNode<T> = newLeaf();
  #size = 0;
  #head: T | null = null;
  #tail: T | null = null;
  /** The range that was found last: the next look-up often is about it. */
  #recent: T | null = null;

  /** Number of ranges. */
  get size(): number {
    return this.#size;
  }
  /** The lowest range, or null. */
  get first(): T | null {
    return this.#head;
  }
  /** The highest range, or null. */
  get last(): T | null {
    return this.#tail;
  }

  /** Returns the first range that ends above `addr` (it may start above it too), or null. Linux: find_vma(). */
  firstEndingAbove(addr: number): T | null {
    const item = this.#lastStartingAtOrBelow(addr);
    if (item === null) return this.#head;
    return item.end > addr ? item : item.next;
  }

  /** Returns the range that contains `addr`, or null. */
  at(addr: number): T | null {
    const item = this.#lastStartingAtOrBelow(addr);
    return item !== null && item.end > addr ? item : null;
  }

  #lastStartingAtOrBelow(addr: number): T | null {
    const recent = this.#recent;
    if (recent !== null && recent.start <= addr && (addr < recent.end || isBelowNext(recent, addr)))
      return recent;
    let node = this.#root;
    while (node.kids !== null) {
      const index = lastAtOrBelow(node.firsts, addr);
      node = node.kids[index < 0 ? 0 : index] as TreeNode<T>;
    }
    const index = lastAtOrBelow(node.firsts, addr);
    if (index < 0) return null;
    const item = node.items[index] as T;
    this.#recent = item;
    return item;
  }

  /** Inserts `item`, whose range must be free. */
  insert(item: T): void {
    const before = this.#lastStartingAtOrBelow(item.start);
    const after = before === null ? this.#head : before.next;
    if (before !== null && before.end > item.start)
      throw new ModelBug('[gap-tree-order] an inserted range overlaps the one below');
    if (after !== null && after.start < item.end)
      throw new ModelBug('[gap-tree-order] an inserted range overlaps the one above');
    this.#link(item, before, after);
    this.#recent = item;
    const neighbour = before ?? after;
    const leaf = neighbour === null ? (this.#root as Leaf<T>) : (neighbour.home as Leaf<T>);
    const index = before === null ? 0 : indexIn(leaf, before) + 1;
    insertItem(leaf, index, item);
    this.#gapAfter(leaf, index);
    if (leaf.items.length > MAX_FILL) this.#split(leaf);
  }

  /** The range after entry `index` of `leaf`, which is linked, has another gap now. */
  #gapAfter(leaf: Leaf<T>, index: number): void {
    const { next } = leaf.items[index] as T;
    if (next === null) return;
    const home = next.home as Leaf<T>;
    setGap(home, home === leaf ? index + 1 : 0, gapBelow(next));
  }

  /** Removes `item`. Its fields keep their values; its neighbours' gap grows by its range. */
  remove(item: T): void {
    const leaf = item.home as Leaf<T>;
    const index = indexIn(leaf, item);
    const { next } = item;
    this.#unlink(item);
    if (next !== null) {
      const home = next.home as Leaf<T>;
      setGap(home, home === leaf ? index + 1 : 0, gapBelow(next));
    }
    removeItem(leaf, index);
    if (leaf.items.length < MIN_FILL) this.#thin(leaf);
  }

  /** Moves the borders of `item`; the new range must stay between its neighbours. */
  resize(item: T, start: number, end: number): void {
    const { prev, next } = item;
    if (start >= end) throw new ModelBug('[gap-tree-order] a resized range is empty');
    if (prev !== null && prev.end > start)
      throw new ModelBug('[gap-tree-order] a resized range overlaps the one below');
    if (next !== null && next.start < end)
      throw new ModelBug('[gap-tree-order] a resized range overlaps the one above');
    const leaf = item.home as Leaf<T>;
    const index = indexIn(leaf, item);
    if (item.start !== start) {
      setStart(leaf, index, start);
      setGap(leaf, index, gapBelow(item));
    }
    if (item.end === end) return;
    item.end = end;
    this.#gapAfter(leaf, index);
  }

  /**
   * Splits `item` at `at`: `other`, a new range, takes the upper part, or the lower one when `below`. No gap changes, so this is
   * cheaper than `resize` and `insert`.
   */
  splitAt(item: T, other: T, at: number, below: boolean): void {
    if (at <= item.start || at >= item.end)
      throw new ModelBug('[gap-tree-order] a split lies outside its range');
    const leaf = item.home as Leaf<T>;
    const index = indexIn(leaf, item);
    if (below) {
      other.start = item.start;
      other.end = at;
      setStart(leaf, index, at);
      this.#link(other, item.prev, item);
      insertItem(leaf, index, other);
      leaf.gaps[index + 1] = 0;
    } else {
      other.start = at;
      other.end = item.end;
      item.end = at;
      this.#link(other, item, item.next);
      insertItem(leaf, index + 1, other);
    }
    if (leaf.items.length > MAX_FILL) this.#split(leaf);
  }

  /** Moves the border between two touching ranges to `at`, which lies inside one of them. No gap changes. */
  moveBorder(left: T, right: T, at: number): void {
    if (left.next !== right || left.end !== right.start)
      throw new ModelBug('[gap-tree-order] a moved border is no border');
    if (at <= left.start || at >= right.end)
      throw new ModelBug('[gap-tree-order] a moved border leaves a range empty');
    const leaf = right.home as Leaf<T>;
    const index = indexIn(leaf, right);
    left.end = at;
    setStart(leaf, index, at);
  }

  /** Removes `gone`, which touches `survivor` on either side, and lets `survivor` take its range. */
  join(survivor: T, gone: T): void {
    const above = survivor.next === gone;
    if (!above && gone.next !== survivor)
      throw new ModelBug('[gap-tree-order] joined ranges are no neighbours');
    if (above ? survivor.end !== gone.start : gone.end !== survivor.start)
      throw new ModelBug('[gap-tree-order] joined ranges do not touch');
    const leaf = gone.home as Leaf<T>;
    const index = indexIn(leaf, gone);
    const { start, end } = gone;
    this.#unlink(gone);
    if (above) survivor.end = end;
    else {
      // The survivor takes the gap below the range that goes along.
      const home = survivor.home as Leaf<T>;
      const at = home === leaf ? index + 1 : 0;
      setStart(home, at, start);
      setGap(home, at, leaf.gaps[index] as number);
    }
    removeItem(leaf, index);
    if (leaf.items.length < MIN_FILL) this.#thin(leaf);
  }

  #link(item: T, before: T | null, after: T | null): void {
    item.prev = before;
    item.next = after;
    if (before === null) this.#head = item;
    else before.next = item;
    if (after === null) this.#tail = item;
    else after.prev = item;
    this.#size++;
  }

  #unlink(item: T): void {
    const { prev, next } = item;
    if (prev === null) this.#head = next;
    else prev.next = next;
    if (next === null) this.#tail = prev;
    else next.prev = prev;
    item.prev = null;
    item.next = null;
    if (this.#recent === item) this.#recent = null;
    this.#size--;
  }

  /**
   * Finds the highest gap of at least `size` bytes within [low, high).
   * @returns the end of that gap, cut to `high`; or null
   */
  highestGapEnd(low: number, high: number, size: number): number | null {
    if (high - low < size) return null;
    const topStart = Math.max(low, this.#tail === null ? 0 : this.#tail.end);
    if (high - topStart >= size) return high;
    return highestIn(this.#root, low, high, size);
  }

  /**
   * Finds the lowest gap of at least `size` bytes within [low, high).
   * @returns the start of that gap, raised to `low`; or null
   */
  lowestGapStart(low: number, high: number, size: number): number | null {
    if (high - low < size) return null;
    const found = lowestIn(this.#root, low, high, size);
    if (found !== null) return found;
    const start = Math.max(low, this.#tail === null ? 0 : this.#tail.end);
    return high - start >= size ? start : null;
  }

  /** Iterates over all ranges in ascending order. The range just yielded may be removed by the loop's body. */
  *[Symbol.iterator](): Iterator<T> {
    for (let item = this.#head; item !== null; ) {
      const next: T | null = item.next;
      yield item;
      item = next;
    }
  }

  #split(leaf: Leaf<T>): void {
    const right = newLeaf<T>();
    // Most insertions climb (allocators grow one way), so the left half stays fuller.
    for (const item of leaf.items.splice(MAX_FILL >> 1)) insertItem(right, right.items.length, item);
    leaf.firsts.length = leaf.items.length;
    leaf.gaps.length = leaf.items.length;
    leaf.maxGap = largest(leaf.gaps);
    this.#adopt(leaf, right);
  }

  /** Makes `right`, which has the upper part of what `left` had, the sibling after it; splits parents that overflow. */
  #adopt(left: TreeNode<T>, right: TreeNode<T>): void {
    const { parent } = left;
    if (parent === null) {
      this.#root = newBranch([left, right]);
      return;
    }
    const index = parent.kids.indexOf(left);
    parent.kids.splice(index + 1, 0, right);
    parent.firsts.splice(index + 1, 0, right.firsts[0] as number);
    parent.gaps.splice(index, 1, left.maxGap, right.maxGap);
    right.parent = parent;
    if (parent.kids.length <= MAX_FILL) return;
    const half = MAX_FILL >> 1;
    const sibling = newBranch(parent.kids.splice(half));
    parent.firsts.length = half;
    parent.gaps.length = half;
    parent.maxGap = largest(parent.gaps);
    this.#adopt(parent, sibling);
  }

  /** Takes a node without entries out of the tree. */
  #dropEmpty(node: TreeNode<T>): void {
    const { parent } = node;
    if (parent === null) return;
    const index = parent.kids.indexOf(node);
    parent.kids.splice(index, 1);
    parent.firsts.splice(index, 1);
    parent.gaps.splice(index, 1);
    node.parent = null;
    if (parent.kids.length === 0) {
      if (parent.parent === null) this.#root = newLeaf();
      else this.#dropEmpty(parent);
      return;
    }
    if (index === 0) tellFirst(parent);
    refreshMaxGap(parent);
    if (parent.parent === null && parent.kids.length === 1) {
      this.#root = parent.kids[0] as TreeNode<T>;
      this.#root.parent = null;
    }
  }

  /** Drops a leaf that is empty, or folds one that got thin into its right or left sibling when both fit into one. */
  #thin(leaf: Leaf<T>): void {
    if (leaf.items.length === 0) {
      this.#dropEmpty(leaf);
      return;
    }
    const { parent } = leaf;
    if (parent === null) return;
    const index = parent.kids.indexOf(leaf);
    const right = parent.kids[index + 1] as Leaf<T> | undefined;
    const left = index === 0 ? undefined : (parent.kids[index - 1] as Leaf<T>);
    const into = right !== undefined && right.items.length + leaf.items.length <= MAX_FILL - 4 ? leaf : left;
    const from = into === leaf ? right : leaf;
    if (into === undefined || from === undefined || into.items.length + from.items.length > MAX_FILL - 4)
      return;
    for (const item of from.items) insertItem(into, into.items.length, item);
    from.items.length = 0;
    this.#dropEmpty(from);
  }

  /** Returns the first broken invariant in words, or null. Visits everything: for tests and `--verify`. */
  verify(): string | null {
    let previous: T | null = null;
    let count = 0;
    for (const item of this.#walk(this.#root)) {
      if (item.start >= item.end) return `[gap-tree-order] empty range at ${item.start}`;
      if (previous !== null && previous.end > item.start) return `[gap-tree-order] overlap at ${item.start}`;
      if (item.prev !== previous)
        return `[gap-tree-order] the list and the leaves disagree before ${item.start}`;
      if (previous !== null && previous.next !== item)
        return `[gap-tree-order] the list and the leaves disagree after ${previous.start}`;
      previous = item;
      count++;
    }
    if (previous !== this.#tail) return '[gap-tree-order] the list does not end where the leaves end';
    if (count !== this.#size) return `[gap-tree-order] size ${this.#size}, leaves hold ${count}`;
    return wrongNode(this.#root);
  }

  *#walk(node: TreeNode<T>): Generator<T> {
    if (node.kids === null) yield* node.items;
    else for (const kid of node.kids) yield* this.#walk(kid);
  }
}
