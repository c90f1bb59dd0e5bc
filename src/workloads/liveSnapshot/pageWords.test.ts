import { describe, expect, it } from 'vitest';
import { PageWords } from './pageWords.ts';

describe('words by page', () => {
  it('are zero until they are set, and again when they are set to zero', () => {
    const words = new PageWords();
    expect(words.get(5)).toBe(0);
    words.set(5, 7);
    words.set(2 ** 28, 8);
    expect([words.get(5), words.get(4), words.get(2 ** 28)]).toEqual([7, 0, 8]);
    words.set(5, 0);
    expect(words.get(5)).toBe(0);
  });

  it('differ page by page, ascending, also where one side has none', () => {
    const [a, b] = [new PageWords(), new PageWords()];
    a.set(1000, 1);
    a.set(3, 2);
    b.set(3, 2);
    b.set(4, 9);
    b.set(70, 0);
    expect(a.differences(b)).toEqual([
      { page: 4, here: 0, there: 9 },
      { page: 1000, here: 1, there: 0 },
    ]);
    expect(a.differences(a)).toEqual([]);
  });

  it('name the pages that may hold something', () => {
    const words = new PageWords();
    words.set(130, 1);
    expect([...words.pages()]).toEqual(Array.from({ length: 64 }, (_none, i) => 128 + i));
  });
});
