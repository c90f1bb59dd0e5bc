/**
 * How often what is drawn: the proportions of the recorded sequences (opfuzz), a little rounded, with every form they have.
 */
import type { RangeTaste } from './opsWindow.ts';

/** Likelihoods by name, in any unit. */
export type Weights = Readonly<Record<string, number>>;

/** Ranges, by mode. */
export const TASTES: readonly RangeTaste[] = [
  {
    pages: 96,
    edge: 0.68,
    lastStart: 0.08,
    lastEnd: 0.04,
    low: 0.01,
    aligned: 0,
    short: 0.82,
    long: 0.05,
    whole: 0,
    shortPages: 8,
    longPages: 32,
  },
  {
    pages: 2048,
    edge: 0.5,
    lastStart: 0.07,
    lastEnd: 0.05,
    low: 0.04,
    aligned: 0.05,
    short: 0.62,
    long: 0.24,
    whole: 0.04,
    shortPages: 16,
    longPages: 256,
  },
  {
    pages: 2048,
    edge: 0.44,
    lastStart: 0.15,
    lastEnd: 0.03,
    low: 0.1,
    aligned: 0.08,
    short: 0.36,
    long: 0.28,
    whole: 0.16,
    shortPages: 16,
    longPages: 512,
  },
];

/** Operations. */
export const CALLS: Weights = {
  mmap: 170,
  mremap: 165,
  madvise: 150,
  touch_write: 150,
  mprotect: 133,
  touch_read: 103,
  munmap: 40,
  munlock: 22,
  fork: 27,
  child_exit: 22,
  child_touch_write: 18,
  child_touch_read: 8,
  mlock: 8,
  mlock2: 8,
  prctl: 6,
  nop: 2,
};
/** Advice of madvise(). */
export const ADVICE: Weights = {
  MADV_DONTNEED: 58,
  MADV_POPULATE_WRITE: 32,
  MADV_GUARD_INSTALL: 27,
  MADV_FREE: 27,
  MADV_NOHUGEPAGE: 24,
  MADV_POPULATE_READ: 18,
  MADV_DONTFORK: 17,
  MADV_HUGEPAGE: 12,
  MADV_GUARD_REMOVE: 12,
  MADV_DONTDUMP: 12,
  MADV_DOFORK: 12,
  MADV_DONTNEED_LOCKED: 10,
  MADV_KEEPONFORK: 9,
  MADV_COLD: 9,
  MADV_WIPEONFORK: 8,
  MADV_COLLAPSE: 7,
  MADV_DODUMP: 4,
};
/** Where huge pages matter, they are asked for more often. */
export const HUGE_ADVICE: Weights = { ...ADVICE, MADV_HUGEPAGE: 40, MADV_COLLAPSE: 10 };
/** Advice that no recorded sequence has. */
export const RARE_ADVICE: Weights = {
  MADV_NORMAL: 4,
  MADV_RANDOM: 4,
  MADV_SEQUENTIAL: 4,
  MADV_WILLNEED: 4,
  MADV_REMOVE: 6,
  MADV_PAGEOUT: 4,
  MADV_MERGEABLE: 2,
  MADV_UNMERGEABLE: 2,
};
/** Protections of mmap() and mprotect(). */
export const PROTECTIONS: Weights = {
  'PROT_READ|PROT_WRITE': 72,
  PROT_READ: 14,
  PROT_NONE: 9,
  'PROT_READ|PROT_WRITE|PROT_EXEC': 3,
  'PROT_READ|PROT_EXEC': 2,
};
/** Flags of mremap(). */
export const REMAPS: Weights = {
  'MREMAP_MAYMOVE|MREMAP_FIXED': 48,
  '0': 22,
  'MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP': 17,
  MREMAP_MAYMOVE: 10,
  'MREMAP_MAYMOVE|MREMAP_DONTUNMAP': 3,
};
