import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import { TimeHeap } from './timeHeap.ts';

describe('TimeHeap', () => {
  it('gives items by time, equal times in the order they came', () => {
    const random = new Prng(7);
    const heap = new TimeHeap<{ readonly time: number; readonly nr: number }>();
    const all = Array.from({ length: 500 }, (_, nr) => ({ time: random.below(50), nr }));
    for (const item of all) heap.push(item, item.time);
    const out: { readonly time: number; readonly nr: number }[] = [];
    for (let item = heap.pop(); item !== null; item = heap.pop()) out.push(item);
    expect(out).toEqual(all.toSorted((a, b) => a.time - b.time || a.nr - b.nr));
    expect([heap.size, heap.firstTime]).toEqual([0, Number.POSITIVE_INFINITY]);
  });

  it('keeps the order when pushes and pops alternate', () => {
    const random = new Prng(8);
    const heap = new TimeHeap<number>();
    let now = 0;
    for (let i = 0; i < 300; i++) {
      heap.push(i, now + random.below(20));
      if (random.below(3) === 0) continue;
      const first = heap.firstTime;
      heap.pop();
      expect(first).toBeGreaterThanOrEqual(now);
      now = first;
    }
  });
});
