/**
 * What pages hold, one word a page, for as many pages as an address space has: pages that were never given a word hold zero and take nothing.
 *
 * Cost    8 bytes for each page of 64 neighbours of which one holds a word
 */

/** Pages that are kept together. */
const CHUNK = 64;

/** A page that holds one word here and another one there. */
export interface Difference {
  readonly page: number;
  readonly here: number;
  readonly there: number;
}

/** Words by page number. */
export class PageWords {
  readonly #chunks = new Map<number, Float64Array>();

  /** Returns the word of `page`; 0 unless it was given one. */
  get(page: number): number {
    return this.#chunks.get(Math.floor(page / CHUNK))?.[page % CHUNK] ?? 0;
  }
  /** Gives `page` a word. */
  set(page: number, word: number): void {
    const key = Math.floor(page / CHUNK);
    let chunk = this.#chunks.get(key);
    if (chunk === undefined) {
      if (word === 0) return;
      chunk = new Float64Array(CHUNK);
      this.#chunks.set(key, chunk);
    }
    chunk[page % CHUNK] = word;
  }
  /** Iterates over the pages that may hold something, ascending: all of each group in which one was given a word. */
  *pages(): Generator<number> {
    for (const key of this.#keys()) for (let i = 0; i < CHUNK; i++) yield key * CHUNK + i;
  }
  #keys(): number[] {
    return [...this.#chunks.keys()].sort((a, b) => a - b);
  }
  /** Returns the pages that hold another word in `other`, ascending. */
  differences(other: PageWords): Difference[] {
    const found: Difference[] = [];
    const keys = [...new Set([...this.#keys(), ...other.#keys()])].sort((a, b) => a - b);
    for (const key of keys) {
      const [mine, its] = [this.#chunks.get(key), other.#chunks.get(key)];
      for (let i = 0; i < CHUNK; i++) {
        const [here, there] = [mine?.[i] ?? 0, its?.[i] ?? 0];
        if (here !== there) found.push({ page: key * CHUNK + i, here, there });
      }
    }
    return found;
  }
}
