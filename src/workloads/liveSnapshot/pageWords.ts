/**
 * What pages hold, one word a page, for as many pages as an address space has: pages that were never given a word hold zero and take nothing.
 *
 * Cost    8 bytes for each page of 64 neighbours of which one holds a word
 */

/** Neighbouring pages that are kept together. */
const GROUP = 64;

/** A page that holds one word here and another one there. */
export interface Difference {
  readonly page: number;
  readonly here: number;
  readonly there: number;
}

/** Words by page number. */
export class PageWords {
  /** Where the words of a group begin, by the number of the group. */
  readonly #starts = new Map<number, number>();
  #words = new Float64Array(16 * GROUP);
  /** The group that was looked up last, and where it begins (-1: it has none). */
  #group = -1;
  #start = -1;

  #startOf(group: number): number {
    if (group !== this.#group) {
      this.#group = group;
      this.#start = this.#starts.get(group) ?? -1;
    }
    return this.#start;
  }
  /** Returns the word of `page`; 0 unless it was given one. */
  get(page: number): number {
    const start = this.#startOf(Math.floor(page / GROUP));
    return start < 0 ? 0 : (this.#words[start + (page % GROUP)] as number);
  }
  /** Gives `page` a word. */
  set(page: number, word: number): void {
    const group = Math.floor(page / GROUP);
    let start = this.#startOf(group);
    if (start < 0) {
      if (word === 0) return;
      start = this.#starts.size * GROUP;
      this.#starts.set(group, start);
      this.#start = start;
      if (start === this.#words.length) this.#grow();
    }
    this.#words[start + (page % GROUP)] = word;
  }
  #grow(): void {
    const words = new Float64Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
  }
  /** Iterates over the pages that may hold something, ascending: all of each group in which one was given a word. */
  *pages(): Generator<number> {
    for (const group of this.#groups()) for (let i = 0; i < GROUP; i++) yield group * GROUP + i;
  }
  #groups(): number[] {
    return [...this.#starts.keys()].sort((a, b) => a - b);
  }
  /** Returns the pages that hold another word in `other`, ascending. */
  differences(other: PageWords): Difference[] {
    const found: Difference[] = [];
    const note = (page: number): void => {
      const [here, there] = [this.get(page), other.get(page)];
      if (here !== there) found.push({ page, here, there });
    };
    for (const group of this.#groups()) for (let i = 0; i < GROUP; i++) note(group * GROUP + i);
    for (const group of other.#groups())
      if (this.#startOf(group) < 0) for (let i = 0; i < GROUP; i++) note(group * GROUP + i);
    return found.sort((a, b) => a.page - b.page);
  }
}
