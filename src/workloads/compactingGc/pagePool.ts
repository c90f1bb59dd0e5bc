/**
 * Pages that hold nothing any more and are used again, last in, first out, in runs that lie in a row: one call can hand over a run.
 */
import { type Addr, PAGE_SIZE } from '../../base/units.ts';

/** A pool of pages. */
export class PagePool {
  readonly #runs: { at: Addr; pages: number }[] = [];

  /** Empties it. */
  clear(): void {
    this.#runs.length = 0;
  }
  /** Adds a page; to the last run if it lies behind it. */
  put(at: Addr): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.at + last.pages * PAGE_SIZE === at) last.pages++;
    else this.#runs.push({ at, pages: 1 });
  }
  /** Takes up to `pages` pages in a row, from the end of the last run; null when there are none. */
  take(pages: number): { readonly at: Addr; readonly pages: number } | null {
    const last = this.#runs.at(-1);
    if (last === undefined) return null;
    const taken = Math.min(pages, last.pages);
    last.pages -= taken;
    const at = last.at + last.pages * PAGE_SIZE;
    if (last.pages === 0) this.#runs.pop();
    return { at, pages: taken };
  }
}
