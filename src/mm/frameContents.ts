/**
 * What a page holds: all of it, or as much as shows a lost or duplicated page.
 *
 * `FingerprintContents` keeps the first word, for scale, and another one for all the others where a page was ever filled with one; `BytesContents` all 4,096 bytes of pages that were written, for workloads that move data.
 * A page that was never written is zero and takes nothing in either.
 */
import { ARENA_PAGE, ARENA_WORDS, Arena, type ArenaPage } from '../base/arena.ts';
import { UsageError } from '../base/assert.ts';

/**
 * Of a page of which only the first word is kept: that word is zero and the rest is not. Writing it where the first word is something else changes
 * nothing. As a number it is zero.
 */
export const REST_WRITTEN = -0;

/** A page whose words behind the first are all the same, and not zero. */
interface FilledPage {
  readonly first: number;
  readonly rest: number;
}

/** A page as it was when it was saved: its first word, or all its words where they are kept and not zero. */
export type SavedPage = number | FilledPage | Uint32Array;

/** How contents are kept. Frames are numbered as in frames.ts; words are the first eight bytes of a page as a number below 2^53. */
export interface FrameContents {
  /** All bytes are kept; otherwise the first word of each page. */
  readonly keepsBytes: boolean;
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
  /** Writes the first word, or notes that the rest was written (REST_WRITTEN). */
  setFirstWord(pfn: number, word: number): void;
  /** Writes `word` all over the page. */
  fillWords(pfn: number, word: number): void;
  /**
   * Makes `to` hold the 4,096 bytes from `offset` (a multiple of 8, not 0) of `from` on, the last of them from the start of `next`. Who keeps only
   * first words takes none of `next`.
   */
  copyAcross(from: { readonly pfn: number; readonly offset: number }, next: number, to: number): void;
  /** Returns the eight bytes at `offset`, a multiple of 8, as a number below 2^53. Who keeps only first words knows offset 0. */
  word(pfn: number, offset: number): number;
  /** Writes eight bytes at `offset`. */
  setWord(pfn: number, offset: number, word: number): void;
  /** Copies `len` bytes from `offset` of the page on, to `into` from `at` on. Who keeps only first words refuses, here and below. */
  readBytes(pfn: number, offset: number, into: Uint8Array, at: number, len: number): void;
  /** Copies `len` bytes of `from`, from `at` on, into the page from `offset` on. */
  writeBytes(pfn: number, offset: number, from: Uint8Array, at: number, len: number): void;
  /** Copies `len` bytes within or between pages; where they overlap, as if through a buffer. Whole pages of first words can be copied, too. */
  copyBytes(
    from: { readonly pfn: number; readonly offset: number },
    to: { readonly pfn: number; readonly offset: number },
    len: number,
  ): void;
  /** Returns what the page holds, to be kept elsewhere. */
  save(pfn: number): SavedPage;
  /** Makes the page hold what was saved. */
  restore(pfn: number, saved: SavedPage): void;
}

/** Returns the first word of a saved page. */
export function firstWordOf(saved: SavedPage): number {
  if (typeof saved === 'number') return saved;
  return 'first' in saved ? saved.first : (saved[0] as number) + (saved[1] as number) * WORD;
}

const WORD = 2 ** 32;

/** Refuses the rest of a page of which only the first word is kept. */
function onlyFirst(offset: number): void {
  if (offset !== 0) refuseBytes();
}
function refuseBytes(): never {
  throw new UsageError(
    'only the first word of each page is kept',
    'contents that keep whole pages (BytesContents)',
  );
}

const larger = (words: Float64Array, size: number): Float64Array<ArrayBuffer> => {
  const grown = new Float64Array(size);
  grown.set(words);
  return grown;
};

/** One word a page, 8 bytes a frame; two where pages are filled with a word. */
export class FingerprintContents implements FrameContents {
  readonly keepsBytes = false;
  #words = new Float64Array(1024);
  /** What all words behind the first are; null as long as no page was filled. */
  #rest: Float64Array | null = null;

  grow(size: number): void {
    this.#words = larger(this.#words, size);
    if (this.#rest !== null) this.#rest = larger(this.#rest, size);
  }
  zero(pfn: number): void {
    this.#words[pfn] = 0;
    if (this.#rest !== null) this.#rest[pfn] = 0;
  }
  release(_pfn: number): void {}
  copy(from: number, to: number): void {
    this.#words[to] = this.#words[from] as number;
    if (this.#rest !== null) this.#rest[to] = this.#rest[from] as number;
  }
  isZero(pfn: number): boolean {
    return Object.is(this.#words[pfn], 0) && this.#restOf(pfn) === 0;
  }
  #restOf(pfn: number): number {
    return this.#rest === null ? 0 : (this.#rest[pfn] as number);
  }
  fillWords(pfn: number, word: number): void {
    this.#words[pfn] = word;
    this.#fillRest(pfn, word);
  }
  #fillRest(pfn: number, word: number): void {
    if (this.#rest === null && word !== 0) this.#rest = new Float64Array(this.#words.length);
    if (this.#rest !== null) this.#rest[pfn] = word;
  }
  copyAcross(from: { readonly pfn: number; readonly offset: number }, next: number, to: number): void {
    this.fillWords(to, this.#restOf(from.pfn));
    if (this.isZero(to) && this.firstWord(next) !== 0) this.#words[to] = REST_WRITTEN;
  }
  firstWord(pfn: number): number {
    return this.#words[pfn] as number;
  }
  setFirstWord(pfn: number, word: number): void {
    if (!Object.is(word, REST_WRITTEN) || this.#words[pfn] === 0) this.#words[pfn] = word;
  }
  word(pfn: number, offset: number): number {
    onlyFirst(offset);
    return this.firstWord(pfn);
  }
  setWord(pfn: number, offset: number, word: number): void {
    onlyFirst(offset);
    this.setFirstWord(pfn, word);
  }
  readBytes(): void {
    refuseBytes();
  }
  writeBytes(): void {
    refuseBytes();
  }
  copyBytes(
    from: { readonly pfn: number; readonly offset: number },
    to: { readonly pfn: number; readonly offset: number },
    len: number,
  ): void {
    if (from.offset !== 0 || to.offset !== 0 || len !== ARENA_PAGE) refuseBytes();
    this.copy(from.pfn, to.pfn);
  }
  save(pfn: number): SavedPage {
    const first = this.firstWord(pfn);
    const rest = this.#restOf(pfn);
    return rest === 0 ? first : { first, rest };
  }
  restore(pfn: number, saved: SavedPage): void {
    this.setFirstWord(pfn, firstWordOf(saved));
    this.#fillRest(pfn, typeof saved === 'object' && 'rest' in saved ? saved.rest : 0);
  }
}

/** Whole pages, from an arena, given out when a page is first written. */
export class BytesContents implements FrameContents {
  readonly keepsBytes = true;
  readonly #arena: Arena;
  #pages = new Int32Array(1024);
  /** The words of each page of the arena that was asked for: pages stay where they are, and a view costs more than most of what it is asked for. */
  readonly #views: (Uint32Array | null)[] = [];

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
    return this.#views[page] ?? this.#viewOf(page);
  }
  #viewOf(page: ArenaPage): Uint32Array {
    while (this.#views.length <= page) this.#views.push(null);
    const offset = this.#arena.offset(page);
    const view = this.#arena.words(page).subarray(offset, offset + ARENA_WORDS);
    this.#views[page] = view;
    return view;
  }
  isZero(pfn: number): boolean {
    return this.#pages[pfn] === 0 || this.words(pfn).every((word) => word === 0);
  }
  firstWord(pfn: number): number {
    return this.word(pfn, 0);
  }
  setFirstWord(pfn: number, word: number): void {
    if (!Object.is(word, REST_WRITTEN)) this.setWord(pfn, 0, word);
  }
  fillWords(pfn: number, word: number): void {
    const words = this.words(pfn);
    for (let i = 0; i < ARENA_WORDS; i += 2) {
      words[i] = word % WORD;
      words[i + 1] = Math.floor(word / WORD);
    }
  }
  copyAcross(from: { readonly pfn: number; readonly offset: number }, next: number, to: number): void {
    const kept = ARENA_PAGE - from.offset;
    this.copyBytes(from, { pfn: to, offset: 0 }, kept);
    this.copyBytes({ pfn: next, offset: 0 }, { pfn: to, offset: kept }, from.offset);
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
  readBytes(pfn: number, offset: number, into: Uint8Array, at: number, len: number): void {
    if (this.#pages[pfn] === 0) into.fill(0, at, at + len);
    else into.set(this.#bytes(pfn, offset, len), at);
  }
  writeBytes(pfn: number, offset: number, from: Uint8Array, at: number, len: number): void {
    this.#bytes(pfn, offset, len).set(from.subarray(at, at + len));
  }
  copyBytes(
    from: { readonly pfn: number; readonly offset: number },
    to: { readonly pfn: number; readonly offset: number },
    len: number,
  ): void {
    if (this.#pages[from.pfn] !== 0)
      this.#bytes(to.pfn, to.offset, len).set(this.#bytes(from.pfn, from.offset, len));
    else if (this.#pages[to.pfn] !== 0) this.#bytes(to.pfn, to.offset, len).fill(0);
  }
  /** Returns `len` bytes of the page, which gets storage if it had none; writes go to the page. */
  #bytes(pfn: number, offset: number, len: number): Uint8Array {
    const words = this.words(pfn);
    return new Uint8Array(words.buffer, words.byteOffset + offset, len);
  }
  save(pfn: number): SavedPage {
    return this.#pages[pfn] === 0 ? 0 : this.words(pfn).slice();
  }
  restore(pfn: number, saved: SavedPage): void {
    if (saved instanceof Uint32Array) this.words(pfn).set(saved);
    else if (typeof saved === 'object') {
      this.fillWords(pfn, saved.rest);
      this.setFirstWord(pfn, saved.first);
    } else {
      this.release(pfn);
      this.setFirstWord(pfn, saved);
    }
  }
}
