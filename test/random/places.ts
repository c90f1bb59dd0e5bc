/**
 * Where a random operation goes: at the borders of what is mapped, at the edges of 2 MiB, anywhere; and how far it reaches.
 *
 * Pages are counted from the start of the window, as in the notation of the case files.
 */
import type { Prng } from '../../src/base/prng.ts';
import { PAGE, WINDOW } from '../spec/caseStep.ts';
import type { TargetVma } from '../spec/caseTarget.ts';

/** Pages that one page table maps. */
export const PMD_PAGES = 512;

/** A first page and how many. */
export type Range = readonly [start: number, pages: number];

const pageOf = (addr: number): number => (addr - Number(WINDOW)) / Number(PAGE);

/** Draws places in a window of `pages` pages, looking at what `vmas` gives at that moment. */
export class Places {
  readonly pages: number;
  readonly #rng: Prng;
  readonly #vmas: () => readonly TargetVma[];
  readonly #huge: boolean;

  /** @param huge  about half of the ranges are whole 2 MiB */
  constructor(rng: Prng, vmas: () => readonly TargetVma[], size: { pages: number; huge: boolean }) {
    this.#rng = rng;
    this.#vmas = vmas;
    this.pages = size.pages;
    this.#huge = size.huge;
  }

  /** Is true in `percent` of 100 times. */
  chance(percent: number): boolean {
    return this.#rng.below(100) < percent;
  }

  /** Draws a page, most often at or beside a border. */
  page(): number {
    const vmas = this.#vmas();
    const kind = this.#rng.below(10);
    if (kind < 6 && vmas.length > 0) {
      const vma = this.#rng.pick(vmas);
      const border = pageOf(this.chance(65) ? vma.start : vma.end);
      return this.#clamp(border + (this.chance(25) ? this.#rng.pick([-2, -1, 1, 2]) : 0));
    }
    if (kind < 8 && this.pages > PMD_PAGES)
      return this.#clamp(this.#rng.below(this.pages / PMD_PAGES) * PMD_PAGES + (this.chance(20) ? 1 : 0));
    return this.#rng.below(this.pages);
  }
  #clamp(page: number): number {
    return Math.max(0, Math.min(this.pages - 1, page));
  }

  /** Draws how many pages from `start`: to a border, few, or many. */
  reach(start: number): number {
    const room = this.pages - start;
    const kind = this.#rng.below(10);
    const borders = this.#vmas()
      .map((v) => pageOf(v.end) - start)
      .filter((n) => n > 0 && n <= room);
    if (kind < 4 && borders.length > 0)
      return Math.max(1, this.#rng.pick(borders) - (this.chance(20) ? 1 : 0));
    if (kind < 6 && this.pages > PMD_PAGES)
      return Math.min(room, PMD_PAGES * (1 + this.#rng.below(this.pages / PMD_PAGES)));
    if (kind < 9) return 1 + this.#rng.below(Math.min(room, 16));
    return 1 + this.#rng.below(room);
  }

  /** Draws a range. */
  range(): Range {
    if (this.#huge && this.chance(45)) return this.wholeRange();
    const start = this.page();
    return [start, this.reach(start)];
  }

  /** Draws one or two whole 2 MiB, now and then without the first page. */
  wholeRange(): Range {
    const nrWindows = this.pages / PMD_PAGES;
    const first = this.#rng.below(nrWindows);
    const nr = 1 + this.#rng.below(Math.min(2, nrWindows - first));
    const cut = this.chance(15) ? 1 : 0;
    return [first * PMD_PAGES + cut, nr * PMD_PAGES - cut];
  }

  /** Draws the whole 2 MiB windows inside one vma, if one has any, and sometimes a page beside them. */
  windowsOfOne(): Range {
    const whole = this.#vmas()
      .map((v): Range => {
        const first = Math.ceil(pageOf(v.start) / PMD_PAGES) * PMD_PAGES;
        return [first, Math.floor(pageOf(v.end) / PMD_PAGES) * PMD_PAGES - first];
      })
      .filter(([, pages]) => pages > 0);
    if (whole.length === 0) return this.range();
    const [first, pages] = this.#rng.pick(whole);
    const before = this.chance(20) && first > 0 ? 1 : 0;
    return [first - before, pages + before + (this.chance(20) ? 1 : 0)];
  }
}
