import { describe, expect, it } from 'vitest';
import { Prng } from './prng.ts';

const take = (seed: number, n: number): number[] => {
  const prng = new Prng(seed);
  return Array.from({ length: n }, () => prng.u32());
};

describe('Prng', () => {
  it('gives these numbers, on every machine and in every version', () => {
    expect(take(1, 4)).toEqual([393_288_148, 2_174_103_013, 3_814_759_091, 2_092_745_082]);
  });
  it('gives other numbers for every seed, and looks at its low 32 bits', () => {
    const firsts = Array.from({ length: 1000 }, (_, seed) => take(seed, 2).join(' '));
    expect(new Set(firsts).size).toBe(1000);
    expect(take(2 ** 32 + 5, 3)).toEqual(take(5, 3));
    expect(take(-1, 3)).toEqual(take(2 ** 32 - 1, 3));
  });
  it('draws all of 0 to n - 1, about equally often', () => {
    const prng = new Prng(7);
    const drawn = Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const at = prng.below(10);
      drawn[at] = (drawn[at] ?? 0) + 1;
    }
    for (const count of drawn) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
  it('stays below 1 and below n', () => {
    const prng = new Prng(3);
    for (let i = 0; i < 1000; i++) {
      expect(prng.unit()).toBeLessThan(1);
      expect(prng.below(2 ** 32)).toBeLessThan(2 ** 32);
      expect(prng.below(1)).toBe(0);
    }
  });
  it('picks from and shuffles all there is', () => {
    const prng = new Prng(9);
    const items = [...'abcdefgh'];
    expect(new Set(Array.from({ length: 200 }, () => prng.pick(items))).size).toBe(8);
    const shuffled = prng.shuffle([...items]);
    expect(shuffled).not.toEqual(items);
    expect([...shuffled].sort()).toEqual(items);
    expect(prng.shuffle([])).toEqual([]);
  });
});
