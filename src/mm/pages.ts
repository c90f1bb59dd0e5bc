/**
 * Questions about the pages of a range that decisions about vmas ask.
 *
 * Linux   what walk_page_vma() and page_mapcount() answer in seed 004; spec/vma.md 15.1
 * Cost    linear in the touched pages of the range
 */
import type { Addr } from '../base/units.ts';
import type { Mm } from './mm.ts';

/** Tells whether an anonymous page (or swap entry) of [start, end) is mapped somewhere else too. */
export function hasSharedPage(mm: Mm, start: Addr, end: Addr): boolean {
  let shared = false;
  mm.pages.forEach(start, end, (_addr, kind, frame) => {
    if ((kind === 'anon' || kind === 'swap') && mm.kernel.frames.mapcount(frame) > 1) shared = true;
  });
  return shared;
}

/** Returns how many present anonymous pages [start, end) has. */
export function countAnonPages(mm: Mm, start: Addr, end: Addr): number {
  let pages = 0;
  mm.pages.forEach(start, end, (_addr, kind) => {
    if (kind === 'anon') pages++;
  });
  return pages;
}
