/**
 * Folios of shared memory between 4 KiB and 2 MiB: what is left of a huge one when a part of it is cut away.
 *
 * A folio is cut at a page by halving: the half without the page stays as it is, the other is halved again, until the page is alone. Here their pages
 * are single frames; what is kept is which of them belong together, because a load brings all of a folio along, and a store maps all of it.
 *
 * Invariant   a folio of order k begins at a multiple of 2^k, has 2^k pages, all of them in the page cache, and k is 1 to 8
 * Cost        eight look-ups a page, where the object has any
 * Linux       mm/huge_memory.c: folio_split (6.16 and later: not into equal parts); mm/truncate.c: truncate_inode_partial_folio
 * Left out    that they are shared, swapped out and deactivated as one: there they are single pages
 */
import type { Pgoff } from '../base/units.ts';
import { HUGE_PAGES } from './frames.ts';
import type { FileObject } from './vma.ts';

/** Pages of an object that belong together. */
export interface CutFolio {
  readonly first: Pgoff;
  /** A power of two. */
  readonly pages: number;
}

/** The parts of cut folios of all objects. */
export class CutFolios {
  /** By object id: pages by page offset of the first. */
  readonly #folios = new Map<number, Map<Pgoff, number>>();

  /** Returns the folio that page `pgoff` of `object` is part of; null: the page is alone, or in a huge one. */
  find(object: FileObject, pgoff: Pgoff): CutFolio | null {
    const folios = this.#folios.get(object.id);
    if (folios === undefined) return null;
    for (let pages = 2; pages < HUGE_PAGES; pages *= 2) {
      const first = pgoff - (pgoff % pages);
      if (folios.get(first) === pages) return { first, pages };
    }
    return null;
  }

  /** Cuts `folio`, huge or not, at page `at`, which is alone then. */
  cut(object: FileObject, folio: CutFolio, at: Pgoff): void {
    const folios = this.#folios.get(object.id) ?? new Map<Pgoff, number>();
    this.#folios.set(object.id, folios);
    folios.delete(folio.first);
    let { first, pages } = folio;
    while (pages > 1) {
      pages /= 2;
      const isAbove = at >= first + pages;
      if (pages > 1) folios.set(isAbove ? first : first + pages, pages);
      if (isAbove) first += pages;
    }
  }

  /** Pages from `from` to below `to` leave the page cache: no page is left that belongs to one of them. */
  forget(object: FileObject, from: Pgoff, to: Pgoff): void {
    const folios = this.#folios.get(object.id);
    if (folios === undefined) return;
    for (const [first, pages] of folios) if (first < to && first + pages > from) folios.delete(first);
    if (folios.size === 0) this.#folios.delete(object.id);
  }
}
