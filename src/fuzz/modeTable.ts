/**
 * What a mode of `faultline fuzz` is: how often it draws what. The widest of them, from which the others are made.
 */
import type { Weights } from './deck.ts';
import { ADVICE, MAPS, PROTECTIONS, RARE_MAPS, REMAPS } from './weights.ts';

/** How a mode draws. */
export interface ModeTable {
  /** Names of weights: kinds of windows, see rangeTastes.ts. */
  readonly windows: Weights;
  /** Names of draws. */
  readonly calls: Weights;
  readonly advice: Weights;
  readonly maps: Weights;
  readonly protections: Weights;
  readonly remaps: Weights;
  /** Likelihoods of rows of `calls`, `advice` and `maps` to take part in a sequence at all; those not named do. */
  readonly sometimes: Weights;
  /** Rows that every sequence has. */
  readonly staples: readonly string[];
  /** Likelihood of arguments that are refused or rounded. */
  readonly odd: number;
  /** Children that may live at the same time. */
  readonly children: number;
  /** Likelihood that a child makes the call, where there is one. */
  readonly turn: number;
  /** Number of the mode in the seed. */
  readonly stream: number;
  /** What a sequence begins with besides a mapping of the whole window. */
  readonly setup: 'nothing' | 'files' | 'limits' | 'swap' | 'uffd';
  /** Pages of the swap device that a sequence has; 0: none. */
  readonly swapPages: number;
}

/** What would spoil every sequence, or costs much, with the likelihood that a sequence has it. */
export const SOMETIMES: Weights = {
  mseal: 0.05,
  mdwe: 0.04,
  memoryMerge: 0.08,
  thpDisable: 0.1,
  mlockall: 0.12,
  munlockall: 0.3,
  mlock: 0.5,
  mlock2: 0.5,
  MADV_PAGEOUT: 0.1,
  MADV_COLLAPSE: 0.4,
  MADV_MERGEABLE: 0.3,
  MADV_UNMERGEABLE: 0.3,
  'MAP_PRIVATE|MAP_GROWSDOWN': 0.25,
  'MAP_PRIVATE|MAP_GROWSDOWN|MAP_NORESERVE': 0.25,
  MAP_DROPPABLE: 0.25,
  'MAP_DROPPABLE|MAP_POPULATE': 0.25,
  'MAP_DROPPABLE|MAP_LOCKED': 0.25,
};

/** What every sequence can draw. */
export const STAPLES = ['mmap', 'touch_write', 'MAP_PRIVATE', 'PROT_READ|PROT_WRITE'];

/** Every call about mappings. */
export const VMA: ModeTable = {
  windows: { '0': 85, '1': 15 },
  calls: {
    mmap: 180,
    munmap: 42,
    mprotect: 140,
    mremap: 170,
    madvise: 150,
    touch_write: 60,
    touch_read: 24,
    mlock: 9,
    mlock2: 8,
    munlock: 14,
    mlockall: 3,
    munlockall: 2,
    name: 10,
    mseal: 9,
    msync: 5,
    mincore: 5,
    mdwe: 2,
    memoryMerge: 4,
    process_madvise: 10,
    fork: 8,
    child_exit: 7,
    nop: 1,
  },
  advice: ADVICE,
  maps: { ...MAPS, ...RARE_MAPS },
  protections: PROTECTIONS,
  remaps: REMAPS,
  sometimes: SOMETIMES,
  staples: STAPLES,
  odd: 0.05,
  children: 2,
  turn: 0.15,
  stream: 1,
  setup: 'nothing',
  swapPages: 0,
};
