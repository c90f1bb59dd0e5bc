/**
 * What a generator of operations remembers of the window: roughly which pages are mapped and where mappings begin and end, so that most
 * of what it draws hits something, and much of it at a border.
 *
 * It follows no rule of memory management and is often wrong; only what is drawn depends on it, never what is right.
 * Cost   linear in the pages of a range; in those of the window for the first question after a change
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

/** Ranges of a narrow sequence: they begin and end at multiples of `cell` pages, below `cells` of them. So they meet often. */
export interface Grid {
  readonly cell: number;
  readonly cells: number;
}

/** What a page allows; each includes those before it. */
export type PageAccess = 'none' | 'mapped' | 'read' | 'write';

const ACCESS: readonly PageAccess[] = ['none', 'mapped', 'read', 'write'];
/** How often a range may have holes, and how often one is drawn again that begins in a hole. */
const HOLES = 0.12;
const TRIES = 6;
/** How often a narrow sequence leaves its grid. */
const OFF_GRID = 0.12;
/** How often a page is the one before an edge; as often it is the one behind it. */
const BESIDE = 0.05;
/** How often a range goes on to the end of the window. */
const TO_THE_END = 0.04;
const PMD_PAGES = PMD_SIZE / PAGE_SIZE;

/** The window of one sequence while it is drawn. */
export class OpsWindow {
  readonly pages: number;
  readonly #start: Addr;
  readonly #taste: RangeTaste;
  readonly #random: Prng;
  readonly #grid: Grid | null;
  /** Number of the mapping of each page; 0: none. */
  readonly #mapping: Uint16Array;
  /** What each page allows: index into ACCESS. */
  readonly #access: Uint8Array;
  #lastMapping = 0;
  #last: PageRange = { first: 0, end: 1 };
  /** Where mappings begin and end; null: not known since something changed. */
  #edges: readonly number[] | null = null;

  constructor(start: Addr, taste: RangeTaste, random: Prng, grid: Grid | null = null) {
    this.pages = taste.pages;
    this.#start = start;
    this.#taste = taste;
    this.#random = random;
    this.#grid = grid;
    this.#mapping = new Uint16Array(taste.pages);
    this.#access = new Uint8Array(taste.pages);
  }

  /** Returns what a child of fork has: the same, from then on its own. */
  copy(): OpsWindow {
    const copy = new OpsWindow(this.#start, this.#taste, this.#random, this.#grid);
    copy.#mapping.set(this.#mapping);
    copy.#access.set(this.#access);
    copy.#lastMapping = this.#lastMapping;
    copy.#last = this.#last;
    return copy;
  }

  /** Tells whether nothing is mapped in a range. */
  isFree({ first, end }: PageRange): boolean {
    return this.#mapping.subarray(first, end).every((mapping) => mapping === 0);
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

  /** Draws a range as `range` does, most often one without holes that has the access `least` throughout. */
  mappedRange(least: PageAccess = 'mapped'): PageRange {
    let { first, end } = this.range();
    if (this.#random.unit() < HOLES) return { first, end };
    const wanted = ACCESS.indexOf(least);
    const isFine = (page: number): boolean => (this.#access[page] as number) >= wanted;
    for (let tries = 0; !isFine(first) && tries < TRIES; tries++) ({ first, end } = this.range());
    let fine = first + 1;
    while (fine < end && isFine(fine)) fine++;
    this.#last = { first, end: fine };
    return this.#last;
  }

  /** Draws a page, most often where a mapping begins or ends. */
  page(): number {
    return this.#first();
  }

  /** Draws a page from which `length` pages lie in the window; a range is cut where there is none. */
  place(length: number): number {
    return Math.max(0, Math.min(this.#first(), this.pages - length));
  }

  /** Draws a new number of pages for a range: a little more or less, much more, half; whole cells of a grid; up to what is next. */
  otherLength({ first, end }: PageRange): number {
    const old = end - first;
    const cell = this.#isOnGrid() ? (this.#grid as Grid).cell : 1;
    const next = this.#allEdges().find((edge) => edge > end) ?? this.pages;
    const fresh = this.#random.pick([
      old + cell,
      next - first,
      old + cell * (1 + this.#random.below(cell === 1 ? 16 : 3)),
      cell * Math.max(1, Math.floor((old - 1 - this.#random.below(old)) / cell)),
      cell * (Math.ceil(old / cell) + 1 + this.#random.below(Math.ceil(old / cell))),
      old >> 1,
    ]);
    return Math.max(1, Math.min(fresh, this.pages));
  }

  /** Something new is mapped there. */
  map({ first, end }: PageRange, access: PageAccess): void {
    this.#edges = null;
    this.#mapping.fill(++this.#lastMapping, first, end);
    this.#access.fill(ACCESS.indexOf(access), first, end);
  }

  /** Nothing is mapped there any more. */
  unmap({ first, end }: PageRange): void {
    this.#edges = null;
    this.#mapping.fill(0, first, end);
    this.#access.fill(0, first, end);
  }

  /** What is mapped there has another access. */
  protect({ first, end }: PageRange, access: PageAccess): void {
    const hole = this.#mapping.subarray(0, end).indexOf(0, first);
    this.#access.fill(ACCESS.indexOf(access), first, hole < 0 ? end : hole);
  }

  /** What was in a range is now at `to`, with `pages` pages, unless that cannot have worked. */
  move({ first, end }: PageRange, to: number, pages: number, leaves: boolean): void {
    if (this.#mapping[first] === 0 || (to < end && to + pages > first)) return;
    const [mapping, access] = [this.#mapping.slice(first, end), this.#access.slice(first, end)];
    if (!leaves) this.unmap({ first, end });
    this.map({ first: to, end: to + pages }, ACCESS[access.at(-1) as number] as PageAccess);
    const length = Math.min(pages, this.pages - to);
    this.#mapping.set(mapping.subarray(0, length), to);
    this.#access.set(access.subarray(0, length), to);
  }

  #first(): number {
    if (this.#isOnGrid()) {
      const { cell, cells } = this.#grid as Grid;
      return cell * this.#random.below(cells);
    }
    const { edge, lastStart, lastEnd, low, aligned } = this.#taste;
    let roll = this.#random.unit();
    const chance = (likelihood: number): boolean => {
      roll -= likelihood;
      return roll < 0;
    };
    if (chance(edge)) return this.#beside(this.#edge());
    if (chance(lastStart)) return this.#last.first;
    if (chance(lastEnd)) return Math.min(this.#last.end, this.pages - 1);
    if (chance(low)) return 0;
    if (chance(aligned))
      return this.#beside(this.#random.below(Math.ceil(this.pages / PMD_PAGES)) * PMD_PAGES);
    return this.#random.below(this.pages);
  }

  /** Returns `page`, now and then the one before or behind it. */
  #beside(page: number): number {
    const roll = this.#random.unit();
    const beside = roll < BESIDE ? page - 1 : roll < 2 * BESIDE ? page + 1 : page;
    return Math.max(0, Math.min(this.pages - 1, beside));
  }

  /** Returns a page where a mapping begins or ends. */
  #edge(): number {
    const edges = this.#allEdges();
    return edges[this.#random.below(edges.length)] as number;
  }

  #allEdges(): readonly number[] {
    if (this.#edges !== null) return this.#edges;
    const edges: number[] = [0];
    const mapping = this.#mapping;
    for (let page = 1; page < this.pages; page++) if (mapping[page] !== mapping[page - 1]) edges.push(page);
    this.#edges = edges;
    return edges;
  }

  #isOnGrid(): boolean {
    return this.#grid !== null && this.#random.unit() > OFF_GRID;
  }

  #length(first: number): number {
    if (this.#isOnGrid()) {
      const { cell, cells } = this.#grid as Grid;
      const most = cells - Math.floor(first / cell);
      const few = 1 + this.#random.below(this.#random.unit() < 0.85 ? 3 : cells);
      return cell * Math.max(1, Math.min(few, most)) - (first % cell);
    }
    const { short, long, whole, shortPages, longPages } = this.#taste;
    let roll = this.#random.unit();
    const chance = (likelihood: number): boolean => {
      roll -= likelihood;
      return roll < 0;
    };
    if (chance(short)) return 1 + this.#random.below(shortPages);
    if (chance(long)) return 1 + this.#random.below(longPages);
    if (chance(whole)) return PMD_PAGES * (1 + this.#random.below(3));
    if (chance(TO_THE_END)) return this.pages - first;
    // To the end of this mapping or of one behind it, over what lies between.
    const behind = this.#allEdges().filter((edge) => edge > first);
    const end = behind[Math.min(this.#random.below(4), behind.length - 1)] ?? this.pages;
    return Math.max(1, this.#beside(end) - first);
  }
}
