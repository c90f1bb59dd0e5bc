/**
 * One entry of a page table: 8 bytes, in two words.
 *
 *   word 0   bits 0-2   kind: what the other word means
 *            bit 3      write       a store needs no fault
 *            bit 4      dirty       a store happened since the bit was cleared
 *            bit 5      young       an access happened since the bit was cleared
 *            bit 6      uffdWp      write-protected by userfaultfd
 *            bit 7      softDirty   not used by linux-6.18 as configured
 *            bit 8      exclusive   anonymous: nobody else can map the page (PageAnonExclusive, or its bit in a swap entry)
 *            bit 9      huge        in a pmd: maps 2 MiB
 *            bit 10     noDeposit   in a huge pmd: no pte table is put aside for a split (files: they are unmapped instead)
 *   word 1   present: frame number · swap: slot · marker: MARKER_ bits · migration: frame number · table: arena page of the table
 *
 * All zero is none. A pmd, pud and pgd entry is `table`, or `emptyTable` for a table that exists and holds nothing (it has no storage), or a
 * pmd that maps 2 MiB (`present` or `zeroPage` with `huge`; with `wpUnpopulated=pmdMarkers` also a `marker` with `huge` and `noDeposit`). This is the layout that a table walker outside this language reads.
 *
 * Linux   arch/x86/include/asm/pgtable_types.h, include/linux/swapops.h. There a bit of `struct page` says exclusive; an exclusive page is
 *         mapped once, so the entry can carry it
 */

/** Low bits of word 0: the kind. */
export const KIND_MASK = 7;
export const NONE = 0;
export const PRESENT = 1;
export const ZERO_PAGE = 2;
export const SWAP = 3;
export const MARKER = 4;
export const MIGRATION = 5;
export const TABLE = 6;
export const EMPTY_TABLE = 7;

/** A store needs no fault. */
export const WRITE = 1 << 3;
/** A store happened since the bit was cleared. */
export const DIRTY = 1 << 4;
/** An access happened since the bit was cleared. */
export const YOUNG = 1 << 5;
/** Write-protected by userfaultfd. */
export const UFFD_WP = 1 << 6;
/** Written since soft-dirty was cleared. */
export const SOFT_DIRTY = 1 << 7;
/** Anonymous, and nobody else can map the page. */
export const EXCLUSIVE = 1 << 8;
/** In a pmd: maps 2 MiB at once. */
export const HUGE = 1 << 9;
/** In a huge pmd: no pte table is put aside. */
export const NO_DEPOSIT = 1 << 10;

/** Word 1 of a marker. */
export const MARKER_UFFD_WP = 1;
export const MARKER_POISON = 2;
export const MARKER_GUARD = 4;
/** A page of a volatile range that was thrown away (seed 002). */
export const MARKER_PURGED = 8;

/** What an entry is, in words. */
export type PteKind =
  | 'none'
  | 'present'
  | 'zeroPage'
  | 'swap'
  | 'marker'
  | 'migration'
  | 'table'
  | 'emptyTable';

const KINDS: readonly PteKind[] = [
  'none',
  'present',
  'zeroPage',
  'swap',
  'marker',
  'migration',
  'table',
  'emptyTable',
];

/** Returns the kind of an entry from its word 0, as a number. */
export const kindOf = (low: number): number => low & KIND_MASK;
/** Returns the kind of an entry from its word 0, in words. */
export const kindName = (low: number): PteKind => KINDS[low & KIND_MASK] as PteKind;
/** Tells whether an entry maps a page, be it the zero page. */
export const isPresent = (low: number): boolean => {
  const kind = low & KIND_MASK;
  return kind === PRESENT || kind === ZERO_PAGE;
};
/** Tells whether an entry counts in the map count of the frame in its word 1. */
export const holdsFrame = (low: number): boolean => {
  const kind = low & KIND_MASK;
  return kind === PRESENT || kind === MIGRATION;
};
/** Tells whether an entry is a guard marker. */
export const isGuard = (low: number, high: number): boolean =>
  (low & KIND_MASK) === MARKER && (high & MARKER_GUARD) !== 0;
/** A pmd that marks 2 MiB, without a table. */
export const MARKER_PMD = MARKER | HUGE | NO_DEPOSIT;
/** Tells whether a pmd marks 2 MiB at once, and maps nothing. */
export const isMarkerPmd = (pmd: number): boolean => (pmd & (HUGE | KIND_MASK)) === (HUGE | MARKER);
/** Tells whether a pmd maps 2 MiB at once. */
export const isHugePmd = (pmd: number): boolean => (pmd & HUGE) !== 0;
