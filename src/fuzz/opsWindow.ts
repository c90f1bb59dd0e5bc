/**
 * What a generator of operations remembers of the window: roughly which pages are mapped and where mappings begin and end, so that most
 * of what it draws hits something, and much of it at a border.
 *
 * It follows no rule of memory management and is often wrong; only what is drawn depends on it, never what is right.
 * Cost   linear in the pages of the window for each question
 */
import type { Prng } from '../base/prng.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';

/** Pages [first, end) of the window. */
export interface PageRange {
  readonly first: number;
  readonly end: number;
}

/** How ranges are drawn: likelihoods of where one starts (the rest is any page) and of how long it is (the rest is to an end). */
export interface RangeTaste {
  readonly pages: number;
  /** Starts where a mapping begins or ends; where the last range did; where that ended; at the start of the window; at 2 MiB. */
  readonly edge: number;
  readonly lastStart: number;
  readonly lastEnd: number;
  readonly low: number;
  readonly aligned: number;
  /** Is short: up to `shortPages`; is long: up to `longPages`; has whole 2 MiB. */
  readonly short: number;
  readonly long: number;
  readonly whole: number;
  readonly shortPages: number;
  readonly longPages: number;
}

const PMD_PAGES = PMD_SIZE / PAGE_SIZE;

/** The window of one sequence while it is drawn. */
export class OpsWindow {
  readonly pages: number;
  readonly #start: Addr;
  readonly #taste: RangeTaste;
  readonly #random: Prng;
  /** Number of the mapping of each page; 0: none. */
  readonly #mapping: Uint16Array;
  #lastMapping = 0;
  #last: PageRange = { first: 0, end: 1 };

  constructor(start: Addr, taste: RangeTaste, random: Prng) {
    this.pages = taste.pages;
    this.#start = start;
    this.#taste = taste;
    this.#random = random;
    this.#mapping = new Uint16Array(taste.pages);
  }

  /** Returns the address of a page. */
  at(page: number): Addr {
    return this.#start + page * PAGE_SIZE;
  }

  /** Draws a range that lies in the window and has a page at least. */
  range(): PageRange {
    const first = this.#first();
    const range = { first, end: Math.min(this.pages, first + this.#length(first)) };
    this.#last = range;
    return range;
  }

  /** Draws a page from which `length` pages lie in the window; a range is cut where there is none. */
  place(length: number): number {
    return Math.max(0, Math.min(this.#first(), this.pages - length));
  }

  /** Something new is mapped there. */
  map({ first, end }: PageRange): void {
    this.#mapping.fill(++this.#lastMapping, first, end);
  }

  /** Nothing is mapped there any more. */
  unmap({ first, end }: PageRange): void {
    this.#mapping.fill(0, first, end);
  }

  /** What was in `from` is now at `to`, as long as it was. */
  move({ first, end }: PageRange, to: number, leaves: boolean): void {
    const moved = this.#mapping.slice(first, end);
    if (!leaves) this.unmap({ first, end });
    this.#mapping.set(moved.subarray(0, Math.max(0, this.pages - to)), to);
  }

  #first(): number {
    const { edge, lastStart, lastEnd, low, aligned } = this.#taste;
    let roll = this.#random.unit();
    const chance = (likelihood: number): boolean => {
      roll -= likelihood;
      return roll < 0;
    };
    if (chance(edge)) return this.#edge();
    if (chance(lastStart)) return this.#last.first;
    if (chance(lastEnd)) return Math.min(this.#last.end, this.pages - 1);
    if (chance(low)) return 0;
    if (chance(aligned)) return this.#random.below(Math.ceil(this.pages / PMD_PAGES)) * PMD_PAGES;
    return this.#random.below(this.pages);
  }

  /** Returns a page where a mapping begins or ends. */
  #edge(): number {
    const edges: number[] = [];
    for (let page = 1; page < this.pages; page++)
      if (this.#mapping[page] !== this.#mapping[page - 1]) edges.push(page);
    return edges.length === 0 ? 0 : this.#random.pick([0, ...edges]);
  }

  #length(first: number): number {
    const { short, long, whole, shortPages, longPages } = this.#taste;
    const roll = this.#random.unit();
    if (roll < short) return 1 + this.#random.below(shortPages);
    if (roll < short + long) return 1 + this.#random.below(longPages);
    if (roll < short + long + whole) return PMD_PAGES * (1 + this.#random.below(3));
    if (roll < short + long + whole + 0.08) return this.pages - first;
    const mapping = this.#mapping[first];
    let end = first + 1;
    while (end < this.pages && this.#mapping[end] === mapping) end++;
    return end - first;
  }
}
