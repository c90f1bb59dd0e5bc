/**
 * What seed 004 asks of the pages of a range, and what it does to them: are they shared; give them another anon_vma or page offset.
 *
 * A page knows its anon_vma and its page offset there, so a merge across anon_vmas, or a fresh page offset on a move, has to visit every page of
 * the range, lock it, and wait for those that are just being migrated; that is the price the seed's cover letter asks about.
 *
 * Cost    linear in the touched entries of the range
 * Linux   seed 004 patches 4 and 5; mm/rmap.c: folio_move_anon_rmap; spec/vma.md 15.1
 */
import { type Addr, nrPagesIn, PAGE_SIZE, type Pgoff } from '../base/units.ts';
import type { AnonVma } from './anonVma.ts';
import { HUGE_PAGES, type Pfn } from './frames.ts';
import { splitFolio } from './hugeMemory.ts';
import { waitForMigration } from './migration.ts';
import type { Mm } from './mm.ts';
import { HUGE, KIND_MASK, PRESENT, SWAP } from './pte.ts';
import { FACT } from './work.ts';

/** Calls `each` for every anonymous page of [start, end) that is present, with its frame. */
function forEachAnon(mm: Mm, start: Addr, end: Addr, each: (addr: Addr, pfn: Pfn) => void): void {
  const { frames } = mm.kernel;
  mm.pages.forEach(start, end, (addr, low, high) => {
    if ((low & KIND_MASK) !== PRESENT || !frames.isAnon(high)) return;
    const pages = low & HUGE ? HUGE_PAGES : 1;
    for (let i = 0; i < pages; i++) {
      const at = addr + i * PAGE_SIZE;
      if (at >= start && at < end) each(at, high + i);
    }
  });
}

/** Tells whether an anonymous page (or swap entry) of [start, end) is mapped somewhere else too. */
export function hasSharedPage(mm: Mm, start: Addr, end: Addr): boolean {
  const { frames, swap, work } = mm.kernel;
  waitForMigration(mm, start, end);
  let shared = false;
  forEachAnon(mm, start, end, (_addr, pfn) => {
    work.count(FACT.pagesAskedForSharing);
    if (frames.mapcount(pfn) > 1) shared = true;
  });
  mm.pages.forEach(start, end, (_addr, low, high) => {
    if ((low & KIND_MASK) === SWAP && swap.count(high) > 1) shared = true;
  });
  return shared;
}

/** Returns how many present anonymous pages [start, end) has. */
export function countAnonPages(mm: Mm, start: Addr, end: Addr): number {
  let pages = 0;
  forEachAnon(mm, start, end, () => {
    pages++;
  });
  return pages;
}

/**
 * Gives the anonymous pages of a range another anon_vma, or other page offsets, or both.
 * A huge folio of which only a part lies there is broken up first: its pages have to belong together.
 * @param to    the anon_vma, and the page offset of `range.start` in it
 * @returns     how many pages were changed
 */
export function rehomePages(
  mm: Mm,
  range: { readonly start: Addr; readonly end: Addr },
  to: { readonly anonVma: AnonVma; readonly pgoff: Pgoff },
): number {
  const { frames, work } = mm.kernel;
  const { start, end } = range;
  const owner = to.anonVma.id;
  waitForMigration(mm, start, end);
  breakFoliosAtEdges(mm, start, end);
  let pages = 0;
  forEachAnon(mm, start, end, (addr, pfn) => {
    const index = to.pgoff + nrPagesIn(addr - start);
    const rewritten = frames.index(pfn) !== index;
    const rehomed = frames.owner(pfn) !== owner;
    if (!rewritten && !rehomed) return;
    pages++;
    if (rewritten) work.count(FACT.indexesRewritten);
    if (rehomed) work.count(FACT.anonVmasRewritten);
    work.count(FACT.pageLocksTaken);
    frames.setOwner(pfn, owner, index);
  });
  if (pages > 0) work.count(FACT.rmapLocksTaken, 2);
  return pages;
}

/** Breaks the huge folios up that reach beyond [start, end). */
function breakFoliosAtEdges(mm: Mm, start: Addr, end: Addr): void {
  const { frames } = mm.kernel;
  const pfns = new Map<Pfn, number>();
  forEachAnon(mm, start, end, (_addr, pfn) => {
    if (!frames.isLarge(pfn)) return;
    const head = pfn - (pfn % HUGE_PAGES);
    pfns.set(head, (pfns.get(head) ?? 0) + 1);
  });
  for (const [head, n] of pfns) if (n < HUGE_PAGES) splitFolio(mm, head);
}
