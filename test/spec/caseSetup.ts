/**
 * What a case finds when it starts, so that answers which depend on it are the same in every run, on the kernel and on the model.
 *
 * - The highest gap below the mmap base ends `TOP_PAGES` pages above a multiple of 2 MiB; there is no other gap. A written
 *   page begins there. The cases of `TOP_ALIGNED` were measured in a process where the gap ended at the multiple itself.
 * - There is a heap of `HEAP_PAGES` touched pages, inherited from the process that the case was forked from. brk0, the first
 *   break seen, is its end.
 * - In the window of 64 GiB above B nothing is mapped.
 * - What `fill` approaches is vm.max_map_count: 65530 on the kernel; on the model a smaller one, except for the cases of `FULL_MAP_LIMIT`,
 *   because no rule depends on the number.
 */

/** Pages by which the highest gap goes beyond a multiple of 2 MiB (oracle/caserun.c has the same number). */
export const TOP_PAGES = 100;
/** Pages of the inherited heap (oracle/caserun.c has the same number). */
export const HEAP_PAGES = 33;
/** Cases whose written addresses show that the highest gap ended at a multiple of 2 MiB. */
export const TOP_ALIGNED: ReadonlySet<string> = new Set(['A01']);
/** The model's max_map_count in a case with `fill`. */
export const SMALL_MAP_LIMIT = 1000;
/** Cases with `fill` that the model too runs with the real limit. */
export const FULL_MAP_LIMIT: ReadonlySet<string> = new Set(['U06']);
