/**
 * Pages of words: storage that is given out and taken back in units of 4 KiB.
 *
 * Page tables and page contents live here, so that a reader outside this language (the walker of a guest, in wasm) can be pointed at
 * them: chunks are plain buffers, a page never moves, its number says where it is. Page 0 is never given out.
 *
 * Invariant   a page that is given out is all zero; who gives one back has made it so
 * Cost        O(1); memory grows by whole chunks and is never returned
 */

/** Bytes of one arena page. */
export const ARENA_PAGE = 4096;
/** 32-bit words of one arena page. */
export const ARENA_WORDS = ARENA_PAGE / 4;

/** The number of a page of an arena; 0 is none. */
export type ArenaPage = number & { readonly unit?: 'arenaPage' };

/** A store of zeroed 4 KiB pages. */
export class Arena {
  readonly #chunks: Uint32Array[] = [];
  readonly #shift: number;
  readonly #free: ArenaPage[] = [];
  #next = 1;

  /** @param pagesPerChunkLog2  how much is taken from the engine at a time: 2^n pages; 8 is 1 MiB, 14 is 64 MiB */
  constructor(pagesPerChunkLog2 = 8) {
    this.#shift = pagesPerChunkLog2;
  }

  /** Gives out a page that is all zero. */
  allocate(): ArenaPage {
    const page = this.#free.pop() ?? this.#next++;
    const chunk = page >>> this.#shift;
    // Twice for the first page, if page 0 has a chunk of its own.
    while (chunk >= this.#chunks.length) this.#chunks.push(new Uint32Array(ARENA_WORDS << this.#shift));
    return page;
  }

  /** Takes back `page`, which the caller has made all zero again. */
  release(page: ArenaPage): void {
    this.#free.push(page);
  }

  /** Returns the words of the chunk that holds `page`; those of the page begin at `offset(page)`. */
  words(page: ArenaPage): Uint32Array {
    return this.#chunks[page >>> this.#shift] as Uint32Array;
  }
  /** Returns where the words of `page` begin in its chunk. */
  offset(page: ArenaPage): number {
    return (page & ((1 << this.#shift) - 1)) * ARENA_WORDS;
  }

  /** Every page number given out so far is below this. */
  get limit(): number {
    return this.#next;
  }
  /** Number of pages that are given out. */
  get nrUsed(): number {
    return this.#next - 1 - this.#free.length;
  }
  /** Bytes taken from the engine. */
  get bytes(): number {
    return this.#chunks.length * (ARENA_PAGE << this.#shift);
  }
}
