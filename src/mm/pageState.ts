/**
 * One page of an address space as others want to know it: what is there, without faulting it in.
 *
 * Linux   what pagemap, mincore and a debugger would see; the huge mapping around a page is looked through
 */
import { type Addr, PAGE_SIZE, pageFloor } from '../base/units.ts';
import { FRAME_SWAPBACKED, HUGE_PAGES, type Pfn } from './frames.ts';
import type { Mm } from './mm.ts';
import {
  HUGE,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_POISON,
  MARKER_PURGED,
  MIGRATION,
  PRESENT,
  SWAP,
  ZERO_PAGE,
} from './pte.ts';

/** What is at an address. `anonymous` and `file` are present pages (shared memory is `file`). */
export type PageKind =
  | 'none'
  | 'anonymous'
  | 'file'
  | 'zeroPage'
  | 'swap'
  | 'guard'
  | 'poison'
  | 'purged'
  | 'uffdWp'
  | 'migration';

/** The state of one page. */
export interface PageState {
  readonly kind: PageKind;
  /** The frame of a present page, the slot of a swapped one, else 0. */
  readonly number: Pfn;
  /** Part of a mapping of 2 MiB at once. */
  readonly isHuge: boolean;
  /** Word 0 of the entry (pte.ts): its bits. */
  readonly low: number;
  /** The first word of the page; 0 where there is none. */
  readonly stamp: number;
}

const markerKind = (marker: number): PageKind => {
  if (marker & MARKER_GUARD) return 'guard';
  if (marker & MARKER_PURGED) return 'purged';
  return marker & MARKER_POISON ? 'poison' : 'uffdWp';
};

/** Returns the state of the page that holds `addr`. */
export function pageAt(mm: Mm, addr: Addr): PageState {
  const { pages, kernel } = mm;
  const page = pageFloor(addr);
  const pmd = pages.pmd(page);
  const isHuge = (pmd & HUGE) !== 0;
  const low = isHuge ? pmd : pages.low(page);
  const inFolio = isHuge && !isMarkerPmd(pmd) ? (page / PAGE_SIZE) % HUGE_PAGES : 0;
  const high = isHuge ? pages.pmdHigh(page) + inFolio : pages.high(page);
  const state = (kind: PageKind, number = 0, stamp = 0): PageState => ({ kind, number, isHuge, low, stamp });
  switch (low & KIND_MASK) {
    case PRESENT:
      return state(kernel.frames.isAnon(high) ? 'anonymous' : 'file', high, kernel.frames.stamp(high));
    case ZERO_PAGE:
      return state('zeroPage');
    case SWAP:
      return state('swap', high, kernel.swap.stamp(high));
    case MARKER:
      return state(markerKind(high));
    case MIGRATION:
      return state('migration', high);
    default:
      return state('none');
  }
}

/** Tells whether the page at `addr` was given away by MADV_FREE, and may be dropped if nobody has written it since. */
export function isLazyFree(mm: Mm, addr: Addr): boolean {
  const { kind, number } = pageAt(mm, addr);
  return kind === 'anonymous' && (mm.kernel.frames.flags(number) & FRAME_SWAPBACKED) === 0;
}

/** Calls `each` for every page of [start, end) at which something is (mapped, swapped, marked), ascending; of 2 MiB mapped at once, for each of their pages. */
export function forEachPage(mm: Mm, start: Addr, end: Addr, each: (addr: Addr) => void): void {
  mm.pages.forEach(start, end, (addr, low) => {
    if ((low & HUGE) === 0) {
      each(addr);
      return;
    }
    for (let i = 0; i < HUGE_PAGES; i++) {
      const page = addr + i * PAGE_SIZE;
      if (page >= start && page < end) each(page);
    }
  });
}

/** Calls `each` with the first word of every page of [start, end) that is mapped or swapped and whose first word is not zero, ascending. */
export function forEachWord(mm: Mm, start: Addr, end: Addr, each: (addr: Addr, word: number) => void): void {
  const { frames, swap } = mm.kernel;
  mm.pages.forEach(start, end, (addr, low, high) => {
    const kind = low & KIND_MASK;
    if (kind !== PRESENT && kind !== SWAP) return;
    const nr = low & HUGE ? HUGE_PAGES : 1;
    for (let i = 0; i < nr; i++) {
      const page = addr + i * PAGE_SIZE;
      const word = kind === PRESENT ? frames.stamp(high + i) : swap.stamp(high);
      if (word !== 0 && page >= start && page < end) each(page, word);
    }
  });
}
