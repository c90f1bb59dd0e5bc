/**
 * The word that /proc/PID/pagemap has for a page.
 *
 *   bits 0-54  frame number if present; swap type (0-4) and slot (5-54) if swapped or a marker
 *   bit 55  soft-dirty (never: not compiled in)   56  mapped exactly once   57  write-protected by userfaultfd
 *   bit 58  guard marker   61  of a file or shared memory   62  swapped or a marker   63  present
 *
 * Linux   fs/proc/task_mmu.c: pte_to_pagemap_entry; spec/userfaultfd.md
 */
import type { Addr } from '../base/units.ts';
import { headOf } from './frames.ts';
import type { Mm } from './mm.ts';
import { pageAt } from './pageState.ts';
import { MARKER_GUARD, MARKER_POISON, MARKER_UFFD_WP, UFFD_WP } from './pte.ts';
import { isAnonymousVma } from './vma.ts';
import { VM_PFNMAP } from './vmFlags.ts';

/** Bits of a pagemap word above the frame number, as powers of two. */
export const PAGEMAP = {
  exclusive: 2n ** 56n,
  uffdWp: 2n ** 57n,
  guard: 2n ** 58n,
  file: 2n ** 61n,
  swap: 2n ** 62n,
  present: 2n ** 63n,
} as const;

/** What pagemap says of one page, taken apart. */
export interface PagemapBits {
  readonly present: boolean;
  readonly swap: boolean;
  readonly file: boolean;
  readonly exclusive: boolean;
  readonly uffdWp: boolean;
  readonly guard: boolean;
  /** Not in the word itself, but what PAGEMAP_SCAN tells: the zero page, part of 2 MiB mapped at once. */
  readonly zero: boolean;
  readonly huge: boolean;
  /** Frame, or slot, or what a marker marks, or 0. */
  readonly number: number;
  /** The type of a swap entry: 0 for the first device, another number for markers. */
  readonly swapType: number;
}

const EMPTY: PagemapBits = {
  present: false,
  swap: false,
  file: false,
  exclusive: false,
  uffdWp: false,
  guard: false,
  zero: false,
  huge: false,
  number: 0,
  swapType: 0,
};

/** Types of swap entries fit into five bits. Linux: MAX_SWAPFILES_SHIFT. */
const SWAP_TYPES = 32n;
/** Markers have the highest type. Linux: SWP_PTE_MARKER. */
const MARK = { swap: true, swapType: 31 } as const;

/** Returns the bits of the page at `addr`. */
export function pagemapBits(mm: Mm, addr: Addr): PagemapBits {
  const { kind, number, isHuge, low } = pageAt(mm, addr);
  const uffdWp = (low & UFFD_WP) !== 0;
  switch (kind) {
    case 'none':
      return EMPTY;
    case 'anonymous':
    case 'file': {
      // Of 2 MiB mapped at once the kernel asks the first page, whichever it tells of.
      const exclusive = mm.kernel.frames.mapcount(isHuge ? headOf(number) : number) === 1;
      return { ...EMPTY, present: true, file: kind === 'file', exclusive, uffdWp, huge: isHuge, number };
    }
    case 'zeroPage':
      // What maps memory without pages is not looked at. The huge zero page is a folio like any other, and no anonymous one; the small one is passed over.
      if (!isHuge && isWithoutPages(mm, addr)) return EMPTY;
      return { ...EMPTY, present: true, file: isHuge, zero: true, huge: isHuge, uffdWp };
    case 'swap':
      return { ...EMPTY, swap: true, file: isShared(mm, addr), uffdWp, number };
    case 'guard':
      return { ...EMPTY, ...MARK, guard: true, number: MARKER_GUARD };
    case 'poison':
      return { ...EMPTY, ...MARK, uffdWp, number: MARKER_POISON };
    case 'uffdWp':
      return { ...EMPTY, ...MARK, uffdWp: true, number: MARKER_UFFD_WP };
    case 'migration':
      return { ...EMPTY, swap: true, number };
  }
}

const isWithoutPages = (mm: Mm, addr: Addr): boolean => ((mm.vmas.at(addr)?.flags ?? 0) & VM_PFNMAP) !== 0;

const isShared = (mm: Mm, addr: Addr): boolean => {
  const vma = mm.vmas.at(addr);
  return vma !== null && !isAnonymousVma(vma) && vma.anonVma === null;
};

/** Returns the pagemap word of the page at `addr`. */
export function pagemapWord(mm: Mm, addr: Addr): bigint {
  const bits = pagemapBits(mm, addr);
  let word = bits.present ? BigInt(bits.number) : BigInt(bits.number) * SWAP_TYPES + BigInt(bits.swapType);
  if (bits.exclusive) word |= PAGEMAP.exclusive;
  if (bits.uffdWp) word |= PAGEMAP.uffdWp;
  if (bits.guard) word |= PAGEMAP.guard;
  if (bits.file) word |= PAGEMAP.file;
  if (bits.swap) word |= PAGEMAP.swap;
  if (bits.present) word |= PAGEMAP.present;
  return word;
}
