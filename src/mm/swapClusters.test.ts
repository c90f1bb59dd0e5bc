import { describe, expect, it } from 'vitest';
import { SwapClusters, SwapReadAhead } from './swapClusters.ts';

describe('slots', () => {
  it('are taken in order, and those given back only when the cluster is full', () => {
    const clusters = new SwapClusters();
    const first = Array.from({ length: 512 }, () => clusters.take(4096));
    expect([first[0], first[511]]).toEqual([1, 512]);
    expect(clusters.take(4096)).toBe(513);
    clusters.give(7);
    clusters.give(9);
    expect(clusters.take(4096)).toBe(514);
    for (let i = 515; i <= 1024; i++) clusters.take(4096);
    expect([clusters.take(4096), clusters.take(4096), clusters.take(4096)]).toEqual([7, 9, 1025]);
  });
  it('of a cluster that is free again come after those of one that is partly used', () => {
    const clusters = new SwapClusters();
    for (let i = 1; i <= 1536; i++) clusters.take(4096);
    for (let slot = 1; slot <= 512; slot++) clusters.give(slot);
    clusters.give(600);
    expect([clusters.take(4096), clusters.take(4096)]).toEqual([600, 1]);
  });
});

describe('a small device', () => {
  it('gives every slot, and those that were given back', () => {
    const clusters = new SwapClusters();
    expect([1, 2, 3].map(() => clusters.take(3))).toEqual([1, 2, 3]);
    clusters.give(2);
    expect(clusters.take(3)).toBe(2);
  });
});

describe('a window of reading', () => {
  it('grows with what was of use, and shrinks by half at most', () => {
    const ahead = new SwapReadAhead();
    expect(ahead.window(100, 8)).toBe(8);
    expect(ahead.window(5000, 8)).toBe(4);
    expect(ahead.window(100, 8)).toBe(2);
    expect(ahead.window(5000, 8)).toBe(1);
    expect(ahead.window(5001, 8)).toBe(2);
    ahead.hit();
    expect(ahead.window(100, 8)).toBe(4);
    expect(ahead.window(100, 2)).toBe(2);
  });
});
