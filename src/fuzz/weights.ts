/**
 * How often which argument is drawn: proportions that the modes share. Those of plain calls are the ones of the recorded sequences
 * (opfuzz), a little rounded.
 */
import type { Weights } from './deck.ts';

/** Advice of madvise(): what programs give, and two that no kernel knows. */
export const ADVICE: Weights = {
  MADV_DONTNEED: 58,
  MADV_POPULATE_WRITE: 24,
  MADV_GUARD_INSTALL: 20,
  MADV_FREE: 22,
  MADV_NOHUGEPAGE: 14,
  MADV_POPULATE_READ: 14,
  MADV_DONTFORK: 17,
  MADV_HUGEPAGE: 12,
  MADV_GUARD_REMOVE: 12,
  MADV_DONTDUMP: 12,
  MADV_DOFORK: 12,
  MADV_DONTNEED_LOCKED: 10,
  MADV_KEEPONFORK: 9,
  MADV_COLD: 6,
  MADV_WIPEONFORK: 8,
  MADV_COLLAPSE: 5,
  MADV_DODUMP: 8,
  MADV_NORMAL: 6,
  MADV_RANDOM: 6,
  MADV_SEQUENTIAL: 6,
  MADV_WILLNEED: 3,
  MADV_REMOVE: 4,
  MADV_PAGEOUT: 2,
  MADV_MERGEABLE: 3,
  MADV_UNMERGEABLE: 3,
  '5': 1,
  '26': 1,
};

/** Advice about what pages hold. */
export const PAGE_ADVICE: Weights = {
  MADV_DONTNEED: 60,
  MADV_FREE: 40,
  MADV_POPULATE_WRITE: 35,
  MADV_POPULATE_READ: 35,
  MADV_GUARD_INSTALL: 25,
  MADV_GUARD_REMOVE: 15,
  MADV_DONTNEED_LOCKED: 12,
  MADV_COLD: 12,
  MADV_PAGEOUT: 6,
  MADV_WILLNEED: 3,
  MADV_WIPEONFORK: 10,
  MADV_KEEPONFORK: 8,
  MADV_DONTFORK: 4,
  MADV_DOFORK: 4,
  MADV_REMOVE: 4,
  MADV_COLLAPSE: 4,
  MADV_HUGEPAGE: 4,
};

/** Advice about forks, and a little about pages. */
export const FORK_ADVICE: Weights = {
  MADV_WIPEONFORK: 30,
  MADV_KEEPONFORK: 18,
  MADV_DONTFORK: 22,
  MADV_DOFORK: 16,
  MADV_DONTNEED: 30,
  MADV_FREE: 12,
  MADV_POPULATE_WRITE: 16,
  MADV_POPULATE_READ: 10,
  MADV_GUARD_INSTALL: 10,
  MADV_GUARD_REMOVE: 5,
  MADV_COLD: 4,
  MADV_PAGEOUT: 2,
  MADV_DONTDUMP: 4,
  MADV_DODUMP: 3,
};

/** Advice about huge pages. */
export const HUGE_ADVICE: Weights = {
  MADV_HUGEPAGE: 60,
  MADV_NOHUGEPAGE: 14,
  MADV_COLLAPSE: 26,
  MADV_DONTNEED: 40,
  MADV_FREE: 22,
  MADV_POPULATE_WRITE: 24,
  MADV_POPULATE_READ: 16,
  MADV_GUARD_INSTALL: 14,
  MADV_GUARD_REMOVE: 7,
  MADV_DONTNEED_LOCKED: 6,
  MADV_COLD: 6,
  MADV_PAGEOUT: 4,
  MADV_WIPEONFORK: 4,
  MADV_KEEPONFORK: 3,
  MADV_DONTFORK: 3,
  MADV_DOFORK: 2,
};

/** Advice for memory of files. */
export const FILE_ADVICE: Weights = {
  MADV_DONTNEED: 40,
  MADV_REMOVE: 24,
  MADV_POPULATE_READ: 20,
  MADV_POPULATE_WRITE: 20,
  MADV_COLD: 10,
  MADV_PAGEOUT: 10,
  MADV_FREE: 6,
  MADV_WILLNEED: 8,
  MADV_RANDOM: 4,
  MADV_SEQUENTIAL: 4,
  MADV_NORMAL: 4,
  MADV_GUARD_INSTALL: 10,
  MADV_GUARD_REMOVE: 5,
  MADV_DONTFORK: 5,
  MADV_DOFORK: 4,
  MADV_WIPEONFORK: 3,
  MADV_KEEPONFORK: 3,
  MADV_DONTNEED_LOCKED: 4,
  MADV_HUGEPAGE: 2,
  MADV_COLLAPSE: 2,
};

/** Advice for memory that is in swap, or about to be. */
export const SWAP_ADVICE: Weights = {
  MADV_PAGEOUT: 120,
  MADV_DONTNEED: 30,
  MADV_FREE: 16,
  MADV_WILLNEED: 26,
  MADV_COLD: 14,
  MADV_POPULATE_READ: 16,
  MADV_POPULATE_WRITE: 20,
  MADV_GUARD_INSTALL: 8,
  MADV_GUARD_REMOVE: 5,
  MADV_DONTNEED_LOCKED: 5,
  MADV_HUGEPAGE: 8,
  MADV_COLLAPSE: 6,
  MADV_REMOVE: 8,
  MADV_WIPEONFORK: 5,
  MADV_KEEPONFORK: 4,
  MADV_DONTFORK: 4,
  MADV_DOFORK: 3,
};

/** Advice where memory is asked back. */
export const PRESSURE_ADVICE: Weights = { ...SWAP_ADVICE, MADV_FREE: 90, MADV_PAGEOUT: 40, MADV_COLD: 24 };

/** Advice that empties page tables, and what keeps them. */
export const TABLE_ADVICE: Weights = {
  MADV_DONTNEED: 130,
  MADV_DONTNEED_LOCKED: 20,
  MADV_FREE: 26,
  MADV_PAGEOUT: 34,
  MADV_POPULATE_WRITE: 22,
  MADV_POPULATE_READ: 22,
  MADV_GUARD_INSTALL: 22,
  MADV_GUARD_REMOVE: 20,
  MADV_HUGEPAGE: 12,
  MADV_NOHUGEPAGE: 6,
  MADV_COLLAPSE: 14,
  MADV_REMOVE: 10,
  MADV_COLD: 4,
  MADV_WIPEONFORK: 3,
  MADV_DONTFORK: 3,
  MADV_DOFORK: 2,
};

/** Advice where userfaultfd looks on. */
export const UFFD_ADVICE: Weights = {
  MADV_DONTNEED: 40,
  MADV_PAGEOUT: 30,
  MADV_FREE: 10,
  MADV_REMOVE: 8,
  MADV_WILLNEED: 4,
  MADV_COLD: 4,
  MADV_POPULATE_READ: 14,
  MADV_POPULATE_WRITE: 16,
  MADV_GUARD_INSTALL: 16,
  MADV_GUARD_REMOVE: 8,
  MADV_HUGEPAGE: 10,
  MADV_NOHUGEPAGE: 2,
  MADV_COLLAPSE: 7,
  MADV_DONTNEED_LOCKED: 4,
  MADV_DONTFORK: 3,
  MADV_DOFORK: 2,
  MADV_WIPEONFORK: 2,
  MADV_KEEPONFORK: 1,
};

/** Protections where userfaultfd looks on. */
export const UFFD_PROTECTIONS: Weights = {
  'PROT_READ|PROT_WRITE': 88,
  PROT_READ: 8,
  PROT_NONE: 4,
};

/** Protections of mmap() and mprotect(). */
export const PROTECTIONS: Weights = {
  'PROT_READ|PROT_WRITE': 72,
  PROT_READ: 14,
  PROT_NONE: 9,
  PROT_WRITE: 2,
  'PROT_READ|PROT_WRITE|PROT_EXEC': 3,
  'PROT_READ|PROT_EXEC': 2,
};

/** Protections that only mprotect() takes, or nobody. */
export const ODD_PROTECTIONS: Weights = {
  'PROT_READ|PROT_GROWSDOWN': 3,
  'PROT_READ|PROT_WRITE|PROT_GROWSDOWN': 3,
  'PROT_READ|PROT_GROWSUP': 2,
  'PROT_READ|PROT_GROWSDOWN|PROT_GROWSUP': 1,
  '0x10': 2,
};

/** Flags of mremap(). */
export const REMAPS: Weights = {
  'MREMAP_MAYMOVE|MREMAP_FIXED': 48,
  '0': 22,
  'MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP': 17,
  MREMAP_MAYMOVE: 10,
  'MREMAP_MAYMOVE|MREMAP_DONTUNMAP': 3,
};
/** Flags of mremap() that are refused. */
export const ODD_REMAPS: Weights = {
  MREMAP_FIXED: 2,
  MREMAP_DONTUNMAP: 2,
  'MREMAP_FIXED|MREMAP_DONTUNMAP': 1,
  'MREMAP_MAYMOVE|0x8': 2,
};

/**
 * Kinds of mappings: flags without MAP_ANONYMOUS and without what says where. A letter before them is the kind of file: `m` a memfd,
 * `f` a regular one.
 */
export const MAPS: Weights = {
  MAP_PRIVATE: 100,
  MAP_SHARED: 9,
  'MAP_PRIVATE|MAP_POPULATE': 10,
  'MAP_PRIVATE|MAP_NORESERVE': 9,
};
/** Kinds of mappings that few programs make. */
export const RARE_MAPS: Weights = {
  'MAP_PRIVATE|MAP_LOCKED': 3,
  'MAP_PRIVATE|MAP_GROWSDOWN': 6,
  MAP_DROPPABLE: 6,
  'MAP_DROPPABLE|MAP_POPULATE': 1,
  'MAP_PRIVATE|MAP_STACK': 3,
  'MAP_PRIVATE|MAP_POPULATE|MAP_NONBLOCK': 1,
  'MAP_SHARED|MAP_POPULATE': 2,
  'MAP_SHARED|MAP_NORESERVE': 2,
  'MAP_SHARED|MAP_LOCKED': 1,
  'MAP_PRIVATE|MAP_GROWSDOWN|MAP_NORESERVE': 1,
  'MAP_SHARED|MAP_GROWSDOWN': 1,
  'MAP_DROPPABLE|MAP_LOCKED': 1,
  // No type, two, and flags that nobody knows.
  MAP_NORESERVE: 1,
  'MAP_SHARED|MAP_PRIVATE': 1,
  'MAP_SHARED_VALIDATE|0x8000000': 1,
};
/** Mappings of memory that can be in swap. */
export const SWAP_MAPS: Weights = {
  MAP_PRIVATE: 100,
  MAP_SHARED: 16,
  'MAP_PRIVATE|MAP_POPULATE': 14,
  'MAP_PRIVATE|MAP_NORESERVE': 6,
  'MAP_SHARED|MAP_POPULATE': 5,
  'm MAP_SHARED': 14,
  'm MAP_PRIVATE': 14,
  'MAP_PRIVATE|MAP_GROWSDOWN': 4,
  MAP_DROPPABLE: 6,
};

/** Mappings of files, and the memory that is like them. */
export const FILE_MAPS: Weights = {
  'm MAP_SHARED': 50,
  'm MAP_PRIVATE': 40,
  'm MAP_SHARED|MAP_POPULATE': 6,
  'm MAP_PRIVATE|MAP_POPULATE': 6,
  'm MAP_PRIVATE|MAP_NORESERVE': 3,
  'f MAP_SHARED': 18,
  'f MAP_PRIVATE': 24,
  'f MAP_PRIVATE|MAP_POPULATE': 3,
  MAP_SHARED: 24,
  MAP_PRIVATE: 10,
};
