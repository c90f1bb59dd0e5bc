/**
 * The flags of frames (frames.ts).
 *
 * Linux   include/linux/page-flags.h
 */

/** Belongs to an anon_vma. */
export const FRAME_ANON = 1;
/** Has to be kept when memory gets short; an anonymous page without it is lazyfree. */
export const FRAME_SWAPBACKED = 2;
/** Written since it was last clean; entries have bits of their own. */
export const FRAME_DIRTY = 4;
/** In the page cache. */
export const FRAME_CACHED = 8;
/** Of shared memory, not of a file on a disk. */
export const FRAME_SHMEM = 16;
/** Part of a huge folio. */
export const FRAME_LARGE = 32;
/** In the swap cache: its slot still holds the same content. */
export const FRAME_SWAPCACHE = 64;
/** Given out. */
export const FRAME_USED = 128;
/** Used by itself, by a call or through an entry that is gone: young without an entry that is. Linux: PG_referenced */
export const FRAME_REFERENCED = 256;
/** Used like that twice: on the list of pages that are kept longer. Linux: PG_active */
export const FRAME_ACTIVE = 512;
/** The kernel holds it, to copy from or to it later; of a huge folio, all of it. */
export const FRAME_PINNED = 1024;
/** Mapped by memory that is locked, and itself not locked until that is noticed. Linux: PG_mlocked is missing */
export const FRAME_LOCK_MISSED = 2048;

/** Stays though nothing maps it. */
export const IN_A_CACHE = FRAME_CACHED | FRAME_SWAPCACHE;
export const HELD = IN_A_CACHE | FRAME_PINNED;
