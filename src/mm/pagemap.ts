/**
 * The word that /proc/PID/pagemap has for a page.
 *
 *   bits 0-54  frame number if present; swap type (0-4) and slot (5-54) if swapped or a marker
 *   bit 55  soft-dirty, if that is kept    56  mapped exactly once   57  write-protected by userfaultfd
 *   bit 58  guard marker   61  of a file or shared memory   62  swapped or a marker   63  present
 *
 * Linux   fs/proc/task_mmu.c: pte_to_pagemap_entry; spec/userfaultfd.md
 */
import { EINVAL } from '../abi/errno.ts';
import { type Addr, PAGE_SIZE, pageFloor, TASK_SIZE } from '../base/units.ts';
import { HUGE_PAGES } from './frames.ts';
import type { Mm } from './mm.ts';
import {
  HUGE,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_POISON,
  MARKER_PURGED,
  MARKER_UFFD_WP,
  MIGRATION,
  PRESENT,
  SOFT_DIRTY,
  SWAP,
  UFFD_WP,
  ZERO_PAGE,
} from './pte.ts';
import { ok, refused, type SysResult } from './result.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { VM_PFNMAP, VM_SOFTDIRTY } from './vmFlags.ts';

/** Bits of a pagemap word above the frame number, as powers of two. */
export const PAGEMAP = {
  softDirty: 2n ** 55n,
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
  /** Written since clear_refs, or in memory that is new since. */
  readonly softDirty: boolean;
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
  softDirty: false,
  zero: false,
  huge: false,
  number: 0,
  swapType: 0,
};

/** Types of swap entries fit into five bits. Linux: MAX_SWAPFILES_SHIFT. */
const SWAP_TYPES = 32n;
/** Markers have the highest type. Linux: SWP_PTE_MARKER. */
const MARKER_TYPE = 31;

/** The state of a page as one number: these bits added up, 0 for none. */
export const PAGE_STATE = {
  present: 1,
  swap: 2,
  file: 4,
  exclusive: 8,
  guard: 16,
  zero: 32,
  huge: 64,
  uffdWp: 128,
  /** What kind of marker it is, where pagemap itself does not tell. */
  poison: 256,
  wpMarker: 512,
} as const;

/**
 * Returns the state of a page, as bits of PAGE_STATE.
 * @param vma   the vma it is in, or null
 * @param low   word 0 of its entry, or of the huge mapping that it is part of; @param high  word 1, of a huge mapping its first frame
 */
export function entryState(mm: Mm, vma: Vma | null, low: number, high: number): number {
  const uffdWp = low & UFFD_WP ? PAGE_STATE.uffdWp : 0;
  switch (low & KIND_MASK) {
    case PRESENT: {
      // Of 2 MiB mapped at once the kernel asks the first page, whichever it tells of.
      const { frames } = mm.kernel;
      const file = frames.isAnon(high) ? 0 : PAGE_STATE.file;
      const exclusive = frames.mapcount(high) === 1 ? PAGE_STATE.exclusive : 0;
      return PAGE_STATE.present | file | exclusive | uffdWp | (low & HUGE ? PAGE_STATE.huge : 0);
    }
    case ZERO_PAGE:
      // The huge zero page is a folio like any other, and no anonymous one; the small one is passed over.
      if (low & HUGE)
        return PAGE_STATE.present | PAGE_STATE.file | PAGE_STATE.zero | PAGE_STATE.huge | uffdWp;
      // What maps memory without pages is not looked at.
      return vma !== null && vma.flags & VM_PFNMAP ? 0 : PAGE_STATE.present | PAGE_STATE.zero | uffdWp;
    case SWAP:
      return PAGE_STATE.swap | uffdWp | (vma !== null && isShared(vma) ? PAGE_STATE.file : 0);
    case MARKER:
      if (high & MARKER_GUARD) return PAGE_STATE.swap | PAGE_STATE.guard | uffdWp;
      if (high & MARKER_PURGED) return PAGE_STATE.swap | uffdWp;
      return (
        PAGE_STATE.swap |
        (high & MARKER_POISON ? PAGE_STATE.poison | uffdWp : PAGE_STATE.wpMarker | PAGE_STATE.uffdWp)
      );
    case MIGRATION:
      return PAGE_STATE.swap;
    default:
      return 0;
  }
}

/** Of several marks the first of these is told. */
function markerOf(marks: number): number {
  if (marks & MARKER_GUARD) return MARKER_GUARD;
  if (marks & MARKER_PURGED) return MARKER_PURGED;
  return marks & MARKER_POISON ? MARKER_POISON : MARKER_UFFD_WP;
}

const isShared = (vma: Vma): boolean => !isAnonymousVma(vma) && vma.anonVma === null;

/** Returns the bits of the page at `addr`. */
export function pagemapBits(mm: Mm, addr: Addr): PagemapBits {
  const { pages } = mm;
  const page = pageFloor(addr);
  const pmd = pages.pmd(page);
  const isHuge = (pmd & HUGE) !== 0;
  const low = isHuge ? pmd : pages.low(page);
  const high = isHuge ? pages.pmdHigh(page) : pages.high(page);
  const vma = mm.vmas.at(page);
  const state = entryState(mm, vma, low, high);
  const softDirty = (low & SOFT_DIRTY) !== 0 || (vma !== null && (vma.flags & VM_SOFTDIRTY) !== 0);
  if (state === 0) return softDirty ? { ...EMPTY, softDirty } : EMPTY;
  const kind = low & KIND_MASK;
  const isMarker = kind === MARKER;
  const inFolio = isHuge && kind === PRESENT ? (page / PAGE_SIZE) % HUGE_PAGES : 0;
  return {
    present: (state & PAGE_STATE.present) !== 0,
    swap: (state & PAGE_STATE.swap) !== 0,
    file: (state & PAGE_STATE.file) !== 0,
    exclusive: (state & PAGE_STATE.exclusive) !== 0,
    uffdWp: (state & PAGE_STATE.uffdWp) !== 0,
    guard: (state & PAGE_STATE.guard) !== 0,
    softDirty,
    zero: (state & PAGE_STATE.zero) !== 0,
    huge: (state & PAGE_STATE.huge) !== 0,
    number: isMarker ? markerOf(high) : kind === ZERO_PAGE ? 0 : high + inFolio,
    swapType: isMarker ? MARKER_TYPE : 0,
  };
}

/** Bytes of a word, one for each page. */
const WORD_BYTES = 8;

/**
 * read(2) of /proc/PID/pagemap: how many of `bytes` at `offset` there are.
 * Refusals   EINVAL unaligned: both are multiples of a word
 * Linux      fs/proc/task_mmu.c: pagemap_read
 */
export function pagemapRead(mm: Mm, offset: number, bytes: number): SysResult {
  if (offset % WORD_BYTES !== 0 || bytes % WORD_BYTES !== 0) return refused(EINVAL, 'unaligned');
  const end = (TASK_SIZE / PAGE_SIZE) * WORD_BYTES;
  return ok(mm.gone ? 0 : Math.max(0, Math.min(bytes, end - offset)));
}

/**
 * Returns the pagemap word of the page at `addr`.
 * @param isPrivileged  who opened the file had CAP_SYS_ADMIN: others see no frames, and not what is in swap or marked
 */
export function pagemapWord(mm: Mm, addr: Addr, isPrivileged = true): bigint {
  const bits = pagemapBits(mm, addr);
  let word = !isPrivileged
    ? 0n
    : bits.present
      ? BigInt(bits.number)
      : BigInt(bits.number) * SWAP_TYPES + BigInt(bits.swapType);
  if (bits.softDirty) word |= PAGEMAP.softDirty;
  if (bits.exclusive) word |= PAGEMAP.exclusive;
  if (bits.uffdWp) word |= PAGEMAP.uffdWp;
  if (bits.guard) word |= PAGEMAP.guard;
  if (bits.file) word |= PAGEMAP.file;
  if (bits.swap) word |= PAGEMAP.swap;
  if (bits.present) word |= PAGEMAP.present;
  return word;
}
