import { describe, expect, it } from 'vitest';
import { Frames, ZERO_FRAME } from './frames.ts';

describe('Frames', () => {
  it('never gives out the zero page', () => {
    expect(new Frames().allocate(5)).not.toBe(ZERO_FRAME);
  });
  it('gives freed numbers out again, clean', () => {
    const frames = new Frames();
    const first = frames.allocate(1);
    frames.addMapping(first, 1);
    frames.addMapping(first, -1);
    frames.release(first);
    const again = frames.allocate(2);
    expect([again, frames.stamp(again), frames.mapcount(again)]).toEqual([first, 2, 0]);
  });
  it('keeps counts and first words while it grows', () => {
    const frames = new Frames();
    const all = Array.from({ length: 5000 }, (_, i) => frames.allocate(i));
    for (const frame of all) frames.addMapping(frame, 1);
    expect(all.every((frame, i) => frames.stamp(frame) === i && frames.mapcount(frame) === 1)).toBe(true);
    expect([frames.nrUsed, new Set(all).size]).toEqual([5000, 5000]);
    expect(all.every((frame) => frame > 0 && frame < frames.limit)).toBe(true);
  });
  it('counts what is in use', () => {
    const frames = new Frames();
    const [a, b] = [frames.allocate(0), frames.allocate(0)];
    frames.release(a);
    expect([frames.nrUsed, frames.limit]).toEqual([1, b + 1]);
    frames.setStamp(b, 2 ** 52);
    expect(frames.stamp(b)).toBe(2 ** 52);
  });
});
