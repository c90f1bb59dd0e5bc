import { describe, expect, it } from 'vitest';
import { ARENA_WORDS, Arena } from '../base/arena.ts';
import { Prng } from '../base/prng.ts';
import { BytesContents, FingerprintContents, type FrameContents } from './frameContents.ts';

const STRATEGIES: readonly (readonly [string, () => FrameContents])[] = [
  ['a word', () => new FingerprintContents()],
  ['all bytes', () => new BytesContents()],
];

describe.each(STRATEGIES)('contents that keep %s', (_name, make) => {
  it('are zero until they are written', () => {
    expect([0, 1, 1023].map((pfn) => make().firstWord(pfn))).toEqual([0, 0, 0]);
  });
  it.each([1, 2 ** 31, 2 ** 32, 2 ** 32 + 5, 2 ** 53 - 1])('hold the word %d', (word) => {
    const contents = make();
    contents.setFirstWord(7, word);
    expect([contents.firstWord(7), contents.firstWord(6), contents.firstWord(8)]).toEqual([word, 0, 0]);
    contents.setFirstWord(7, 0);
    expect(contents.firstWord(7)).toBe(0);
  });
  it('copy a page; what is written to one later is not in the other', () => {
    const contents = make();
    contents.setFirstWord(1, 11);
    contents.copy(1, 2);
    contents.setFirstWord(1, 12);
    expect([contents.firstWord(1), contents.firstWord(2)]).toEqual([12, 11]);
    contents.copy(3, 2);
    expect(contents.firstWord(2)).toBe(0);
  });
  it('become zero', () => {
    const contents = make();
    contents.setFirstWord(1, 11);
    contents.zero(1);
    expect(contents.firstWord(1)).toBe(0);
  });
  it('stay when there is room for more', () => {
    const contents = make();
    contents.setFirstWord(1000, 5);
    contents.grow(5000);
    contents.setFirstWord(4999, 6);
    expect([contents.firstWord(1000), contents.firstWord(4999), contents.firstWord(4000)]).toEqual([5, 6, 0]);
  });
});

describe('both strategies', () => {
  it.each([1, 2, 3])('say the same whatever happens, seed %d', (seed) => {
    const prng = new Prng(seed);
    const [words, bytes] = [new FingerprintContents(), new BytesContents()];
    let limit = 1024;
    for (let step = 0; step < 1500; step++) {
      const pfn = prng.below(prng.pick([8, limit]));
      const other = prng.below(8);
      const word = prng.pick([0, prng.below(2 ** 32), prng.u32() * 2 ** 20 + 3]);
      const kind = prng.below(50);
      const offset = 8 * (1 + prng.below(20));
      const next = 8 + prng.below(8);
      if (kind === 0) limit += 512;
      for (const contents of [words, bytes]) {
        if (kind === 0) contents.grow(limit);
        else if (kind < 15) contents.setFirstWord(pfn, word);
        else if (kind < 25) contents.copy(other, pfn);
        // A page that is not used any more is zeroed before it is used again.
        else if (kind < 30) contents.release(pfn);
        else if (kind < 40) contents.zero(pfn);
        else if (kind < 43) contents.fillWords(pfn, word);
        else if (kind < 46) contents.restore(pfn, contents.save(other));
        else if (pfn !== other) contents.copyAcross({ pfn: other, offset }, next, pfn);
        if (kind >= 25 && kind < 40) contents.zero(pfn);
      }
      // REST_WRITTEN is a zero, too.
      expect([words.firstWord(pfn) + 0, words.firstWord(other) + 0]).toEqual([
        bytes.firstWord(pfn),
        bytes.firstWord(other),
      ]);
    }
    for (let pfn = 0; pfn < limit; pfn++) expect(words.firstWord(pfn) + 0).toBe(bytes.firstWord(pfn));
  });
});

describe('all bytes', () => {
  it('are kept and copied', () => {
    const contents = new BytesContents();
    const page = contents.words(3);
    page.set(Array.from({ length: ARENA_WORDS }, (_, i) => i * 7));
    contents.copy(3, 4);
    expect([...contents.words(4)]).toEqual([...page]);
    contents.words(4)[500] = 1;
    expect(page[500]).toBe(3500);
  });
  it('begin with the first word, little-endian', () => {
    const contents = new BytesContents();
    contents.words(3).set([5, 6, 7]);
    expect(contents.firstWord(3)).toBe(6 * 2 ** 32 + 5);
    contents.setFirstWord(3, 2 ** 33 + 1);
    expect([...contents.words(3).subarray(0, 3)]).toEqual([1, 2, 7]);
  });
  it('take memory only for pages that were written', () => {
    const arena = new Arena();
    const contents = new BytesContents(arena);
    contents.setFirstWord(1, 0);
    contents.copy(1, 2);
    contents.zero(3);
    expect(arena.nrUsed).toBe(0);
    contents.setFirstWord(1, 9);
    contents.copy(1, 2);
    expect(arena.nrUsed).toBe(2);
    contents.copy(5, 2);
    contents.release(1);
    expect(arena.nrUsed).toBe(0);
  });
  it('are gone when the page is used again', () => {
    const contents = new BytesContents();
    contents.words(1).fill(0xffff_ffff);
    contents.release(1);
    expect(contents.words(2).every((word) => word === 0)).toBe(true);
    expect(contents.words(1).every((word) => word === 0)).toBe(true);
  });
});
