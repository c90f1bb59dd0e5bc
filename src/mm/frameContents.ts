/**
 * What a page holds: all of it, or as much as shows a lost or duplicated page.
 *
 * `FingerprintContents` keeps one word, for scale; `BytesContents` all 4,096 bytes of pages that were written, for workloads that move data.
 * A page that was never written is zero and takes nothing in either.
 */
import { ARENA_WORDS, Arena, type ArenaPage } from '../base/arena.ts';
import { UsageError } from '../base/assert.ts';

/** How contents are kept. Frames are numbered as in frames.ts; words are the first eight bytes of a page as a number below 2^53. */
export interface FrameContents {
  /** Makes room for frames below `size`. */
  grow(size: number): void;
  /** Makes the page zero. */
  zero(pfn: number): void;
  /** The page is not used any more. */
  release(pfn: number): void;
  /** Makes `to` hold what `from` holds. */
  copy(from: number, to: number): void;
  /** Tells whether the page is zero, as far as it is kept. */
  isZero(pfn: number): boolean;
  /** Returns the first word. */
  firstWord(pfn: number): number;
  /** Writes the first word. */
  setFirstWord(pfn: number, word: number): void;
  /** Returns the eight bytes at `offset`, a multiple of 8, as a number below 2^53. Who keeps only first words knows offset 0. */
  word(pfn: number, offset: number): number;
  /** Writes eight bytes at `offset`. */
  setWord(pfn: number, offset: number, word: number): void;
}

/** Refuses the rest of a page of which only the first word is kept. */
function onlyFirst(offset: number): void {
  if (offset !== 0)
    throw new UsageError(
      'only the first word of each page is kept',
      'contents that keep whole pages (BytesContents)',
    );
}

/** One word a page: 8 bytes a frame. */
export class FingerprintContents implements FrameContents {
  #words = new Float64Array(1024);

  grow(size: number): void {
    const words = new Float64Array(size);
    words.set(this.#words);
    this.#words = words;
  }
  zero(pfn: number): void {
    this.#words[pfn] = 0;
  }
  release(_pfn: number): void {}
  copy(from: number, to: number): void {
    this.#words[to] = this.#words[from] as number;
  }
  isZero(pfn: number): boolean {
    return this.#words[pfn] === 0;
  }
  firstWord(pfn: number): number {
    return this.#words[pfn] as number;
  }
  setFirstWord(pfn: number, word: number): void {
    this.#words[pfn] = word;
  }
  word(pfn: number, offset: number): number {
    onlyFirst(offset);
    return this.firstWord(pfn);
  }
  setWord(pfn: number, offset: number, word: number): void {
    onlyFirst(offset);
    this.setFirstWord(pfn, word);
  }
}

const WORD = 2 ** 32;

/** Whole pages, from an arena, given out when a page is first written. */
export class BytesContents implements FrameContents {
  readonly #arena: Arena;
  #pages = new Int32Array(1024);

  /** @param arena  where the pages go */
  constructor(arena: Arena = new Arena()) {
    this.#arena = arena;
  }

  grow(size: number): void {
    const pages = new Int32Array(size);
    pages.set(this.#pages);
    this.#pages = pages;
  }
  zero(pfn: number): void {
    this.release(pfn);
  }
  release(pfn: number): void {
    const page = this.#pages[pfn] as ArenaPage;
    if (page === 0) return;
    this.words(pfn).fill(0);
    this.#arena.release(page);
    this.#pages[pfn] = 0;
  }
  copy(from: number, to: number): void {
    if (this.#pages[from] === 0) this.release(to);
    else this.words(to).set(this.words(from));
  }
  /** Returns the 1,024 words of the page, making them if it was zero. Little-endian; writes go to the page. */
  words(pfn: number): Uint32Array {
    let page = this.#pages[pfn] as ArenaPage;
    if (page === 0) {
      page = this.#arena.allocate();
      this.#pages[pfn] = page;
    }
    const offset = this.#arena.offset(page);
    return this.#arena.words(page).subarray(offset, offset + ARENA_WORDS);
  }
  isZero(pfn: number): boolean {
    return this.#pages[pfn] === 0 || this.words(pfn).every((word) => word === 0);
  }
  firstWord(pfn: number): number {
    return this.word(pfn, 0);
  }
  setFirstWord(pfn: number, word: number): void {
    this.setWord(pfn, 0, word);
  }
  word(pfn: number, offset: number): number {
    const page = this.#pages[pfn] as ArenaPage;
    if (page === 0) return 0;
    const words = this.#arena.words(page);
    const at = this.#arena.offset(page) + (offset >> 2);
    return (words[at] as number) + (words[at + 1] as number) * WORD;
  }
  setWord(pfn: number, offset: number, word: number): void {
    let page = this.#pages[pfn] as ArenaPage;
    if (page === 0) {
      if (word === 0) return;
      page = this.#arena.allocate();
      this.#pages[pfn] = page;
    }
    const words = this.#arena.words(page);
    const at = this.#arena.offset(page) + (offset >> 2);
    words[at] = word % WORD;
    words[at + 1] = Math.floor(word / WORD);
  }
}
