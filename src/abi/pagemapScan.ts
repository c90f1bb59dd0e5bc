/**
 * Constants of PAGEMAP_SCAN: flags and categories.
 *
 * Source: include/uapi/linux/fs.h; spec/userfaultfd.md 13.
 */

/** Size of the argument structure in bytes. */
export const PM_SCAN_ARG_SIZE = 96;
/** Write-protect the pages that match. */
export const PM_SCAN_WP_MATCHING = 1;
/** Stop at memory that is not registered for asynchronous write-protection. */
export const PM_SCAN_CHECK_WPASYNC = 2;

/** Categories of a page. */
export const PAGE_IS_WPALLOWED = 1;
export const PAGE_IS_WRITTEN = 2;
export const PAGE_IS_FILE = 4;
export const PAGE_IS_PRESENT = 8;
export const PAGE_IS_SWAPPED = 16;
export const PAGE_IS_PFNZERO = 32;
export const PAGE_IS_HUGE = 64;
export const PAGE_IS_SOFT_DIRTY = 128;
export const PAGE_IS_GUARD = 256;
/** All of them. */
export const PM_SCAN_CATEGORIES = 0x1ff;

/** Categories by the names that ops files have for them, ascending. */
export const PAGE_CATEGORIES: ReadonlyMap<string, number> = new Map([
  ['WPALLOWED', PAGE_IS_WPALLOWED],
  ['WRITTEN', PAGE_IS_WRITTEN],
  ['FILE', PAGE_IS_FILE],
  ['PRESENT', PAGE_IS_PRESENT],
  ['SWAPPED', PAGE_IS_SWAPPED],
  ['PFNZERO', PAGE_IS_PFNZERO],
  ['HUGE', PAGE_IS_HUGE],
  ['SOFT_DIRTY', PAGE_IS_SOFT_DIRTY],
  ['GUARD', PAGE_IS_GUARD],
]);

/** Prints categories by name, `0` for none. */
export const categoriesText = (categories: number): string =>
  categories === 0
    ? '0'
    : [...PAGE_CATEGORIES].flatMap(([name, bit]) => (categories & bit ? [name] : [])).join('|');
