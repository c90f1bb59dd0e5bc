/**
 * A group of processes whose memory is counted together and may be limited: a memory cgroup (version 2).
 *
 * A process that a machine starts has a group of its own, and all that it forks, and they fork, are in it. Counted are the pages that its processes were
 * the first to ask for, and the page tables of all of them. What was asked for while no limit was set anywhere is counted when the first one is.
 *
 * Invariants   [memory-charged] `charged` is the number of frames in use that a group was charged for
 *              [lru-lists] the lists of its pages, which lru.ts alone changes
 * Linux        mm/memcontrol.c: struct mem_cgroup, memory.max, memory.events; struct lruvec
 * Left out     kernel memory but page tables, memory.high, .low, .min and .swap.max, nested groups, moving a process to another group, batches of
 *              charges that a CPU holds back (MEMCG_CHARGE_BATCH)
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { Pfn } from './frames.ts';
import type { Mm } from './mm.ts';

/** Lists of a group: none, inactive and active ones of pages with and without a place in swap, unevictable. Linux: enum lru_list */
export const LRU = {
  none: 0,
  inactiveAnon: 1,
  activeAnon: 2,
  inactiveFile: 3,
  activeFile: 4,
  unevictable: 5,
} as const;
/** A member of LRU. */
export type LruList = (typeof LRU)[keyof typeof LRU];
/** The lists that are looked through for pages that can go. */
export const EVICTABLE: readonly LruList[] = [1, 2, 3, 4];
const NR_LISTS = 6;

/** What happened to a group. Linux: memory.events */
export interface MemoryEvents {
  /** The limit was met. */
  max: number;
  /** Nothing could be got back. */
  oom: number;
  /** A process was killed for it. */
  oomKill: number;
}

/**
 * Chooses and kills a process when nothing can be got back. @param group  of this group; null: of the whole machine; @param asking  who needs memory
 * @returns  whether it is the one that asks (which then ends), another one, or there is nobody
 */
export type OutOfMemory = (group: MemoryGroup | null, asking: Mm | null) => 'asking' | 'other' | 'nobody';

/** One group. Fields are written by memoryLimit.ts, lru.ts and vmscan.ts; everybody else reads. */
export class MemoryGroup {
  /** The most pages it may have. Linux: memory.max */
  limit = Number.POSITIVE_INFINITY;
  /** Pages it was charged for, without tables. */
  charged = 0;
  /** The most that `usage` was after a charge. */
  peak = 0;
  readonly events: MemoryEvents = { max: 0, oom: 0, oomKill: 0 };
  /** Its address spaces. */
  readonly mms = new Set<Mm>();
  /** By LruList: the first and the last page (0: none), and how many pages there are. */
  readonly heads = new Int32Array(NR_LISTS);
  readonly tails = new Int32Array(NR_LISTS);
  readonly pages = new Float64Array(NR_LISTS);
  /** What it cost lately to get pages back that have a place in swap, and others: writes, and looks in vain. Linux: anon_cost, file_cost */
  anonCost = 0;
  fileCost = 0;
  /** Number of the group on the lists; 0: none of its pages ever was there. */
  index = 0;
  /** Pages locked when the unevictable ones were last looked through. */
  lockedSeen = 0;

  /** Pages of its tables. */
  get tables(): number {
    let bytes = 0;
    for (const mm of this.mms) bytes += mm.pages.bytes;
    return bytes / PAGE_SIZE;
  }
  /** Pages that count against the limit. Linux: memory.current */
  get usage(): number {
    return this.charged + this.tables;
  }
  /** Pages its processes have locked. */
  get locked(): number {
    let pages = 0;
    for (const mm of this.mms) pages += mm.lockedVm;
    return pages;
  }
  /** Returns the page that was longest on `list`, or 0. */
  last(list: LruList): Pfn {
    return this.tails[list] as Pfn;
  }
  /** Returns how many pages are on `list`. */
  size(list: LruList): number {
    return this.pages[list] as number;
  }
}
