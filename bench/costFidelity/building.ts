/**
 * What families of scenarios are built of: sizes at random, areas of memory, timed stretches.
 */
import { MADV_NOHUGEPAGE, MADV_POPULATE_WRITE, PROT_READ, PROT_WRITE } from '../../src/abi/mman.ts';
import { UFFD_FEATURE_WP_ASYNC, UFFD_FEATURE_WP_UNPOPULATED } from '../../src/abi/userfaultfd.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { Need, Step } from './scenario.ts';

/** What memory is mapped with. */
export const RW = PROT_READ | PROT_WRITE;
/** Pages of a table of the lowest level. */
export const TABLE = 512;
/** Where a second and a third area begin. */
export const [B, C] = [2 ** 20, 2 ** 21];
export const ASYNC = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED;
export const [MISSING, WP, MINOR] = [1, 2, 4];
export const [BEGIN, END]: readonly [Step, Step] = [['begin'], ['end']];

/** Draws sizes. */
export interface Draw {
  readonly prng: Prng;
  /** A number of pages from `low` to `high`, small ones as likely as large ones. */
  size(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
}

/** One way to do it. */
export interface Way {
  readonly way: string;
  readonly steps: readonly Step[];
}
/** What is to be done, and the ways to do it. */
export interface Situation {
  readonly what: string;
  readonly ways: readonly Way[];
  readonly needs?: readonly Need[];
  readonly waits?: boolean;
}

/** [from, from+n) in pieces of `batch` pages. */
export function pieces(
  from: number,
  n: number,
  batch: number,
  step: (page: number, nr: number) => Step,
): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < n; at += batch) steps.push(step(from + at, Math.min(batch, n - at)));
  return steps;
}
/** Maps small pages. */
export const small = (page: number, n: number): Step[] => [
  ['map', page, n, RW],
  ['advise', page, n, MADV_NOHUGEPAGE],
];
/** Maps small pages and brings them in. */
export const filled = (page: number, n: number): Step[] => [
  ...small(page, n),
  ['advise', page, n, MADV_POPULATE_WRITE],
];
/** Times what is between. */
export const timed = (...steps: readonly Step[]): Step[] => [BEGIN, ...steps, END];
/** Writes every `stride`-th page. */
export const write = (page: number, n: number, stride = 1): Step => ['write', page, n, stride];
