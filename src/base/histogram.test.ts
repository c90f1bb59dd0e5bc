import { describe, expect, it } from 'vitest';
import { Histogram } from './histogram.ts';
import { Prng } from './prng.ts';

describe('a histogram', () => {
  it('of nothing says 0', () => {
    const none = new Histogram();
    expect([none.count, none.sum, none.max, none.quantile(0.5)]).toEqual([0, 0, 0, 0]);
  });

  it('keeps small whole numbers exactly', () => {
    const small = new Histogram();
    for (let i = 0; i < 16; i++) small.add(i);
    expect([small.quantile(0.01), small.quantile(0.5), small.quantile(1)]).toEqual([0, 7, 15]);
  });

  it('has quantiles of values up to hours to 4 %, and never above the largest', () => {
    const prng = new Prng(3);
    const all: number[] = [];
    const times = new Histogram();
    for (let i = 0; i < 20_000; i++) {
      const ns = 16 * 10 ** (11.5 * prng.unit());
      all.push(ns);
      times.add(ns);
    }
    all.sort((a, b) => a - b);
    for (const q of [0.01, 0.25, 0.5, 0.9, 0.99, 1]) {
      const exact = all[Math.ceil(q * all.length) - 1] as number;
      expect(Math.abs(times.quantile(q) / exact - 1), String(q)).toBeLessThan(0.04);
    }
    expect(times.quantile(1)).toBeLessThanOrEqual(times.max);
  });

  it('adds another one', () => {
    const [a, b] = [new Histogram(), new Histogram()];
    a.add(5);
    b.add(2 ** 40);
    a.addAll(b);
    expect([a.count, a.sum, a.max, a.quantile(0.5)]).toEqual([2, 5 + 2 ** 40, 2 ** 40, 5]);
  });
});
