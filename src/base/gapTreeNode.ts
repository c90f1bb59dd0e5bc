/**
 * The nodes of a gap tree (gapTree.ts), and what can be done to one of them without knowing the tree.
 *
 * A node knows two numbers of each range (in a leaf) or child (in a branch): where it starts, and its gap, the largest hole that it
 * knows. They are kept side by side in arrays of numbers, so a search reads a few cache lines and no object. A change of a gap climbs
 * as long as it changes the largest one of a node.
 *
 * Arrays are shifted by hand: `splice` makes a new array each time and costs more than the rest of an update.
 */
import { ModelBug } from './assert.ts';

/** Most ranges of a leaf, and most children of a branch. */
export const MAX_FILL = 32;

/** What a range lends the tree. Only the tree writes these fields once the range is inserted. */
export interface Span<T> {
  start: number;
  end: number;
  prev: T | null;
  next: T | null;
  home: Leaf<T> | null;
}

interface NodeBase<T> {
  parent: Branch<T> | null;
  /** Where each range or child starts. */
  readonly firsts: number[];
  /** The hole below each range; the largest one of each child. */
  readonly gaps: number[];
  /** The largest of `gaps`; 0 when there are none. */
  maxGap: number;
}
/** The bottom level: ranges in ascending order. */
export interface Leaf<T> extends NodeBase<T> {
  readonly items: T[];
  readonly kids: null;
}
/** Any other level: children in ascending order, at least one. */
export interface Branch<T> extends NodeBase<T> {
  readonly items: null;
  readonly kids: TreeNode<T>[];
}
/** A node of either kind. */
export type TreeNode<T> = Leaf<T> | Branch<T>;

/** Makes a leaf without ranges. */
export function newLeaf<T>(): Leaf<T> {
  return { parent: null, firsts: [], gaps: [], maxGap: 0, items: [], kids: null };
}

/** Makes a branch of `kids`, which are told their parent. */
export function newBranch<T>(kids: TreeNode<T>[]): Branch<T> {
  const firsts = kids.map((kid) => kid.firsts[0] as number);
  const gaps = kids.map((kid) => kid.maxGap);
  const branch: Branch<T> = { parent: null, firsts, gaps, maxGap: largest(gaps), items: null, kids };
  for (const kid of kids) kid.parent = branch;
  return branch;
}

/** Returns the hole below `item`: down to the range before it, or to 0. */
export const gapBelow = <T extends Span<T>>(item: T): number =>
  item.start - (item.prev === null ? 0 : item.prev.end);

/** Returns the largest number, or 0. */
export function largest(gaps: readonly number[]): number {
  let max = 0;
  for (let i = 0; i < gaps.length; i++) if ((gaps[i] as number) > max) max = gaps[i] as number;
  return max;
}

/** Returns the last index whose number is at most `addr`, or -1. */
export function lastAtOrBelow(firsts: readonly number[], addr: number): number {
  let low = 0;
  let high = firsts.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if ((firsts[mid] as number) <= addr) low = mid + 1;
    else high = mid;
  }
  return low - 1;
}

/** Returns where `item` stands in its leaf. */
export function indexIn<T extends Span<T>>(leaf: Leaf<T>, item: T): number {
  const index = lastAtOrBelow(leaf.firsts, item.start);
  if (leaf.items[index] !== item) throw new ModelBug('[gap-tree-order] a range is not in its leaf');
  return index;
}

/** Puts `item` at `index` of `leaf`, which may be full by one then. */
export function insertItem<T extends Span<T>>(leaf: Leaf<T>, index: number, item: T): void {
  const { items, firsts, gaps } = leaf;
  const gap = gapBelow(item);
  let i = items.length;
  items.push(item);
  firsts.push(item.start);
  gaps.push(gap);
  for (; i > index; i--) {
    items[i] = items[i - 1] as T;
    firsts[i] = firsts[i - 1] as number;
    gaps[i] = gaps[i - 1] as number;
  }
  items[index] = item;
  firsts[index] = item.start;
  gaps[index] = gap;
  item.home = leaf;
  if (index === 0) tellFirst(leaf);
  if (gap > leaf.maxGap) setMaxGap(leaf, gap);
}

/** Takes the item at `index` out of `leaf`, which may be empty then. */
export function removeItem<T extends Span<T>>(leaf: Leaf<T>, index: number): void {
  const { items, firsts, gaps } = leaf;
  const last = items.length - 1;
  const gap = gaps[index] as number;
  (items[index] as T).home = null;
  for (let i = index; i < last; i++) {
    items[i] = items[i + 1] as T;
    firsts[i] = firsts[i + 1] as number;
    gaps[i] = gaps[i + 1] as number;
  }
  items.pop();
  firsts.pop();
  gaps.pop();
  if (index === 0 && last > 0) tellFirst(leaf);
  if (gap === leaf.maxGap) refreshMaxGap(leaf);
}

/** Gives `item` another start, which stays above the range below it. Its gap is the caller's business. */
export function setStart<T extends Span<T>>(leaf: Leaf<T>, index: number, start: number): void {
  (leaf.items[index] as T).start = start;
  leaf.firsts[index] = start;
  if (index === 0) tellFirst(leaf);
}

/** Tells the ancestors where `node` starts now. */
export function tellFirst<T>(node: TreeNode<T>): void {
  const first = node.firsts[0] as number;
  let kid = node;
  for (let parent = kid.parent; parent !== null; kid = parent, parent = kid.parent) {
    const index = parent.kids.indexOf(kid);
    parent.firsts[index] = first;
    if (index !== 0) return;
  }
}

/** Notes that entry `index` of `node` has the gap `gap` now. */
export function setGap<T>(node: TreeNode<T>, index: number, gap: number): void {
  const old = node.gaps[index] as number;
  node.gaps[index] = gap;
  if (gap > node.maxGap) setMaxGap(node, gap);
  else if (old === node.maxGap && gap < old) refreshMaxGap(node);
}

/** Finds the largest gap of `node` again. */
export function refreshMaxGap<T>(node: TreeNode<T>): void {
  const max = largest(node.gaps);
  if (max !== node.maxGap) setMaxGap(node, max);
}

function setMaxGap<T>(node: TreeNode<T>, max: number): void {
  node.maxGap = max;
  const { parent } = node;
  if (parent !== null) setGap(parent, parent.kids.indexOf(node), max);
}

/** Finds the highest gap of `size` within [low, high) below `node`; returns its end, or null. */
export function highestIn<T extends Span<T>>(
  node: TreeNode<T>,
  low: number,
  high: number,
  size: number,
): number | null {
  const { gaps, firsts, kids } = node;
  for (let i = gaps.length - 1; i >= 0; i--) {
    if ((gaps[i] as number) >= size) {
      const end =
        kids === null ? gapEnd(node, i, low, high, size) : highestIn(kids[i] as TreeNode<T>, low, high, size);
      if (end !== null) return end;
    }
    if ((firsts[i] as number) <= low) return null;
  }
  return null;
}

/** Returns the end of gap `i` of a leaf within [low, high) if `size` fits, or null. */
function gapEnd<T extends Span<T>>(
  leaf: Leaf<T>,
  i: number,
  low: number,
  high: number,
  size: number,
): number | null {
  const first = leaf.firsts[i] as number;
  const end = Math.min(first, high);
  return end - Math.max(first - (leaf.gaps[i] as number), low) >= size ? end : null;
}

/** Finds the lowest gap of `size` within [low, high) below `node`; returns its start, or null. */
export function lowestIn<T extends Span<T>>(
  node: TreeNode<T>,
  low: number,
  high: number,
  size: number,
): number | null {
  const { gaps, firsts, kids } = node;
  // The gap below an entry ends where it starts, so what starts at or below `low` is skipped; a child has more gaps than the first.
  const from = Math.max(lastAtOrBelow(firsts, low), 0);
  for (let i = from; i < gaps.length; i++) {
    if ((gaps[i] as number) < size) continue;
    const start =
      kids === null ? gapStart(node, i, low, high, size) : lowestIn(kids[i] as TreeNode<T>, low, high, size);
    if (start !== null) return start;
  }
  return null;
}

/** Returns the start of gap `i` of a leaf within [low, high) if `size` fits, or null. */
function gapStart<T extends Span<T>>(
  leaf: Leaf<T>,
  i: number,
  low: number,
  high: number,
  size: number,
): number | null {
  const first = leaf.firsts[i] as number;
  const start = Math.max(first - (leaf.gaps[i] as number), low);
  return Math.min(first, high) - start >= size ? start : null;
}

/** Returns what is wrong with `node` or below it, in words, or null. */
export function wrongNode<T extends Span<T>>(node: TreeNode<T>): string | null {
  const { firsts, gaps, maxGap } = node;
  if (maxGap !== largest(gaps))
    return `[gap-tree-gap] a node says ${maxGap}, its entries say ${largest(gaps)}`;
  const entries = node.kids ?? node.items;
  if (firsts.length !== entries.length || gaps.length !== entries.length)
    return '[gap-tree-order] a node has more numbers than entries';
  for (let i = 0; i < entries.length; i++) {
    const wrong =
      node.kids === null ? wrongItem(node, i) : (wrongKid(node, i) ?? wrongNode(node.kids[i] as TreeNode<T>));
    if (wrong !== null) return wrong;
  }
  return null;
}

function wrongItem<T extends Span<T>>(leaf: Leaf<T>, i: number): string | null {
  const item = leaf.items[i] as T;
  if (item.home !== leaf) return '[gap-tree-order] a range is not at home';
  if (item.start !== leaf.firsts[i])
    return `[gap-tree-first] a leaf says ${leaf.firsts[i]}, the range ${item.start}`;
  return gapBelow(item) === leaf.gaps[i]
    ? null
    : `[gap-tree-gap] a leaf says ${leaf.gaps[i]}, its range says ${gapBelow(item)}`;
}

function wrongKid<T>(branch: Branch<T>, i: number): string | null {
  const kid = branch.kids[i] as TreeNode<T>;
  if (kid.parent !== branch) return '[gap-tree-order] a child has another parent';
  if (kid.firsts[0] !== branch.firsts[i])
    return `[gap-tree-first] a branch says ${branch.firsts[i]}, its child starts at ${kid.firsts[0]}`;
  return kid.maxGap === branch.gaps[i]
    ? null
    : `[gap-tree-gap] a branch says ${branch.gaps[i]}, its child says ${kid.maxGap}`;
}
