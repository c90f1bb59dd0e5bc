import { describe, expect, it } from 'vitest';
import { GapTree, type Leaf } from './gapTree.ts';
import { Prng } from './prng.ts';

type Branch = NonNullable<Leaf<Range>['parent']>;

class Range {
  start: number;
  end: number;
  prev: Range | null = null;
  next: Range | null = null;
  home: Leaf<Range> | null = null;
  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
  }
}

const SPACE = 400;

/** The stupid model: one boolean a unit, and the list of ranges. */
class Units {
  readonly taken: (Range | null)[] = Array(SPACE).fill(null);
  put(range: Range): void {
    for (let i = range.start; i < range.end; i++) this.taken[i] = range;
  }
  clear(range: Range): void {
    this.taken.forEach((owner, i) => {
      if (owner === range) this.taken[i] = null;
    });
  }
  highest(low: number, high: number, size: number): number | null {
    for (let end = high; end - size >= low; end--) {
      if (this.taken.slice(end - size, end).every((owner) => owner === null)) return end;
    }
    return null;
  }
  lowest(low: number, high: number, size: number): number | null {
    for (let start = low; start + size <= high; start++) {
      if (this.taken.slice(start, start + size).every((owner) => owner === null)) return start;
    }
    return null;
  }
}

/** Now and then joins a range with the one above it, or moves the border between them. */
function joinOrShift(tree: GapTree<Range>, units: Units, item: Range, prng: Prng): void {
  const { next } = item;
  if (next === null || next.start !== item.end) return;
  const choice = prng.below(4);
  if (choice === 0) {
    units.clear(next);
    tree.join(item, next);
    units.put(item);
  } else if (choice === 1) {
    units.clear(item);
    tree.join(next, item);
    units.put(next);
  } else if (choice === 2 && item.end - item.start > 1) {
    tree.moveBorder(item, next, item.end - 1);
    units.put(next);
  }
}

describe('GapTree against an array of units', () => {
  for (let seed = 1; seed <= 12; seed++) {
    it(`agrees on look-ups and gaps after every step, seed ${seed}`, () => {
      const prng = new Prng(seed);
      const tree = new GapTree<Range>();
      const units = new Units();
      for (let step = 0; step < 700; step++) {
        const at = prng.below(SPACE - 3);
        const owner = units.taken[at] ?? null;
        if (owner === null) {
          let end = at + 1;
          while (end < at + 1 + prng.below(3) && units.taken[end] === null && end < SPACE) end++;
          const range = new Range(at, end);
          tree.insert(range);
          units.put(range);
        } else if (prng.below(3) > 0 || owner.end - owner.start < 2) {
          if (prng.below(2) === 0 || seed % 3 === 0) {
            tree.remove(owner);
            units.clear(owner);
          }
        } else {
          units.clear(owner);
          const shape = prng.below(4);
          if (shape === 0) tree.resize(owner, owner.start + 1, owner.end);
          else if (shape === 1) tree.resize(owner, owner.start, owner.end - 1);
          else {
            const other = new Range(0, 0);
            tree.splitAt(owner, other, owner.start + 1, shape === 2);
            units.put(other);
          }
          units.put(owner);
          joinOrShift(tree, units, owner, prng);
        }
        expect(tree.verify()).toBeNull();
        const probe = prng.below(SPACE);
        expect(tree.at(probe)).toBe(units.taken[probe] ?? null);
        const above = units.taken.find((range, i) => i >= probe && range !== null) ?? null;
        expect(tree.firstEndingAbove(probe)).toBe(above);
        const low = prng.below(SPACE / 2);
        const high = low + 1 + prng.below(SPACE - low);
        const size = 1 + prng.below(6);
        expect(tree.highestGapEnd(low, high, size)).toBe(units.highest(low, high, size));
        expect(tree.lowestGapStart(low, high, size)).toBe(units.lowest(low, high, size));
      }
      expect([...tree].length).toBe(tree.size);
    });
  }

  it('refuses a range that overlaps another', () => {
    const tree = new GapTree<Range>();
    tree.insert(new Range(10, 20));
    expect(() => tree.insert(new Range(19, 30))).toThrow('gap-tree-order');
    expect(() => tree.insert(new Range(5, 11))).toThrow('gap-tree-order');
  });
});

describe('GapTree.verify names what is broken', () => {
  /** Three levels' worth of ranges with one unit between them. */
  const grown = (): { tree: GapTree<Range>; ranges: Range[] } => {
    const tree = new GapTree<Range>();
    const ranges = Array.from({ length: 600 }, (_, i) => new Range(2 * i + 1, 2 * i + 2));
    for (const range of ranges) tree.insert(range);
    return { tree, ranges };
  };
  const leafOf = (range: Range): Leaf<Range> => range.home as Leaf<Range>;
  const BREAKERS: readonly (readonly [string, string, (ranges: Range[]) => void])[] = [
    ['an empty range', 'gap-tree-order', (r) => ((r[5] as Range).end = (r[5] as Range).start)],
    ['an overlap', 'gap-tree-order', (r) => ((r[5] as Range).end += 2)],
    ['a list that skips one', 'gap-tree-order', (r) => ((r[5] as Range).next = r[7] as Range)],
    ['a list that goes back to another', 'gap-tree-order', (r) => ((r[5] as Range).prev = null)],
    ['a range lost from its leaf', 'gap-tree-order', (r) => leafOf(r[599] as Range).items.pop()],
    ['a range at home elsewhere', 'gap-tree-order', (r) => ((r[5] as Range).home = leafOf(r[500] as Range))],
    ['a leaf with another parent', 'gap-tree-order', (r) => (leafOf(r[5] as Range).parent = null)],
    [
      'a wrong first address',
      'gap-tree-first',
      (r) => (leafOf(r[5] as Range).parent as Branch).firsts.fill(0, 0, 1),
    ],
    ['a gap too large in a leaf', 'gap-tree-gap', (r) => leafOf(r[5] as Range).maxGap++],
    ['a gap too small in a branch', 'gap-tree-gap', (r) => (leafOf(r[5] as Range).parent as Branch).maxGap--],
  ];
  it.each(BREAKERS)('%s', (_what, name, breakIt) => {
    const { tree, ranges } = grown();
    expect(tree.verify()).toBeNull();
    breakIt(ranges);
    expect(tree.verify()).toContain(`[${name}]`);
  });
});
