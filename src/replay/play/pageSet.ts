/**
 * A set of pages of several address spaces.
 */
import type { Addr } from '../../base/units.ts';
import type { Mm } from '../../mm/index.ts';

/** Pages, each by its address space and the address of its first byte. */
export class PageSet {
  readonly #pages = new Map<Mm, Set<Addr>>();

  /** Adds a page. */
  add(mm: Mm, page: Addr): void {
    const pages = this.#pages.get(mm);
    if (pages === undefined) this.#pages.set(mm, new Set([page]));
    else pages.add(page);
  }
  /** Adds to `to` what `from` has. */
  copy(from: Mm, to: Mm): void {
    for (const page of this.#pages.get(from) ?? []) this.add(to, page);
  }
  /** Takes a page out, if it is there. */
  delete(mm: Mm, page: Addr): void {
    this.#pages.get(mm)?.delete(page);
  }
  /** Tells whether a page is there. */
  has(mm: Mm, page: Addr): boolean {
    return this.#pages.get(mm)?.has(page) === true;
  }
}
