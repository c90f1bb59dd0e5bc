import { describe, expect, it } from 'vitest';
import { ARENA_PAGE, ARENA_WORDS, Arena } from './arena.ts';
import { Prng } from './prng.ts';

const wordsOf = (arena: Arena, page: number): Uint32Array =>
  arena.words(page).subarray(arena.offset(page), arena.offset(page) + ARENA_WORDS);

describe('Arena', () => {
  it('never gives out page 0', () => {
    const arena = new Arena(1);
    expect([arena.allocate(), arena.allocate()].includes(0)).toBe(false);
  });
  it('works with chunks of one page', () => {
    const arena = new Arena(0);
    const pages = [arena.allocate(), arena.allocate(), arena.allocate()];
    for (const page of pages) wordsOf(arena, page).fill(page);
    expect(pages.map((page) => wordsOf(arena, page)[1023])).toEqual([1, 2, 3]);
  });
  it('gives out zeroed pages that do not overlap, and never moves one', () => {
    const arena = new Arena(2);
    const pages = Array.from({ length: 40 }, () => arena.allocate());
    const first = wordsOf(arena, pages[0] as number);
    for (const page of pages) {
      expect(wordsOf(arena, page).every((word) => word === 0)).toBe(true);
      wordsOf(arena, page).fill(page);
    }
    for (const page of pages) expect(wordsOf(arena, page).every((word) => word === page)).toBe(true);
    expect(first.buffer).toBe(wordsOf(arena, pages[0] as number).buffer);
    expect(new Set(pages).size).toBe(40);
  });
  it('gives a page that came back out again before it makes new ones', () => {
    const arena = new Arena(3);
    const pages = [arena.allocate(), arena.allocate(), arena.allocate()];
    arena.release(pages[1] as number);
    expect([arena.nrUsed, arena.allocate(), arena.nrUsed, arena.limit]).toEqual([2, pages[1], 3, 4]);
  });
  it('grows by whole chunks', () => {
    const arena = new Arena(4);
    expect([arena.bytes, arena.nrUsed]).toEqual([0, 0]);
    arena.allocate();
    expect(arena.bytes).toBe(16 * ARENA_PAGE);
    // Page 0 lies in the first chunk and is not given out.
    for (let i = 0; i < 15; i++) arena.allocate();
    expect([arena.bytes, arena.nrUsed, arena.limit]).toEqual([32 * ARENA_PAGE, 16, 17]);
  });
  it.each([1, 4, 8])('keeps its pages apart in chunks of 2^%d', (log2) => {
    const arena = new Arena(log2);
    const prng = new Prng(log2);
    const held = new Map<number, number>();
    for (let step = 0; step < 800; step++) {
      const page = prng.pick([0, ...held.keys()]);
      if (prng.below(3) > 0 || page === 0) {
        const fresh = arena.allocate();
        expect([held.has(fresh), wordsOf(arena, fresh)[0]]).toEqual([false, 0]);
        wordsOf(arena, fresh)[0] = step + 1;
        held.set(fresh, step + 1);
      } else {
        expect(wordsOf(arena, page)[0]).toBe(held.get(page));
        wordsOf(arena, page)[0] = 0;
        arena.release(page);
        held.delete(page);
      }
    }
    expect(arena.nrUsed).toBe(held.size);
  });
});
