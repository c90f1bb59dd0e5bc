/**
 * How much of each list is looked through: by size and priority, by `swappiness`, and by what looking cost lately.
 *
 * Linux   mm/vmscan.c (6.18): prepare_scan_control, get_scan_count, calculate_pressure_balance, inactive_is_low, shrink_lruvec (the part that
 *         gives the other kind its share once enough has gone)
 * Left out   protection by memory.low, file_is_tiny and cache_trim_mode's retry in kswapd, swappiness of single groups
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import { EVICTABLE, LRU, type LruList, type MemoryGroup } from './memoryGroup.ts';

/** One attempt to get memory back. Linux: struct scan_control */
export interface ScanControl {
  readonly group: MemoryGroup | null;
  readonly by: 'direct' | 'kswapd';
  readonly wanted: number;
  readonly swappiness: number;
  priority: number;
  reclaimed: number;
  /** Active pages may become inactive. */
  readonly mayDeactivate: { anon: boolean; file: boolean };
  /** They may whatever the sizes of the lists are. */
  force: boolean;
  /** They would have, if they had been allowed to. */
  skippedDeactivate: boolean;
}

/** Lists by kind. */
const LISTS = {
  anon: [LRU.inactiveAnon, LRU.activeAnon],
  file: [LRU.inactiveFile, LRU.activeFile],
} as const;

/** Tells whether a group has so few inactive pages of a kind that active ones should become inactive. Linux: inactive_is_low() */
export function isInactiveLow(group: MemoryGroup, kind: 'anon' | 'file'): boolean {
  const inactive = group.size(LISTS[kind][0]);
  const active = group.size(LISTS[kind][1]);
  const gib = Math.floor(((inactive + active) * PAGE_SIZE) / 2 ** 30);
  const ratio = gib === 0 ? 1 : Math.floor(Math.sqrt(10 * gib));
  return inactive * ratio < active;
}

/** What decides between pages with and without a place in swap. */
type Balance = 'file' | 'equal' | 'by-cost';

function balanceOf(kernel: Kernel, group: MemoryGroup, sc: ScanControl): Balance {
  if (!kernel.swap.hasRoom) return 'file';
  if (sc.group !== null && sc.swappiness === 0) return 'file';
  if (sc.priority === 0 && sc.swappiness > 0) return 'equal';
  // Plenty of pages of files that were used once: they go first.
  if (Math.floor(group.size(LRU.inactiveFile) / 2 ** sc.priority) > 0 && !sc.mayDeactivate.file)
    return 'file';
  return 'by-cost';
}

/** Returns how many pages of each list, by LruList, are to be looked at; null: none of any. */
export function scanCounts(kernel: Kernel, group: MemoryGroup, sc: ScanControl): Float64Array | null {
  if (EVICTABLE.every((list) => group.size(list) < 2 ** sc.priority)) return null;
  const counts = new Float64Array(LRU.unevictable);
  const balance = balanceOf(kernel, group, sc);
  const total = group.anonCost + group.fileCost;
  const anonCost = total + group.anonCost;
  const fileCost = total + group.fileCost;
  const sum = anonCost + fileCost;
  const share = {
    anon: (sc.swappiness * (sum + 1)) / (anonCost + 1),
    file: ((200 - sc.swappiness) * (sum + 1)) / (fileCost + 1),
  };
  for (const kind of ['anon', 'file'] as const)
    for (const list of LISTS[kind]) {
      const scan = Math.floor(group.size(list) / 2 ** sc.priority);
      if (balance === 'equal' || (balance === 'file' && kind === 'file')) counts[list] = scan;
      else if (balance === 'by-cost')
        counts[list] = Math.floor((scan * share[kind]) / (share.anon + share.file + 1));
    }
  return counts;
}

/**
 * Enough has gone: the kind of which less is left to look at is left alone, of the other the same share is looked at as of that one.
 * @param counts   what is left, changed here; @param targets  what was to be looked at
 * @returns        whether there is anything left to do
 */
export function balanceAfter(counts: Float64Array, targets: Float64Array): boolean {
  const sum = (of: Float64Array, lists: readonly LruList[]): number =>
    lists.reduce<number>((all, list) => all + (of[list] as number), 0);
  const left = { anon: sum(counts, LISTS.anon), file: sum(counts, LISTS.file) };
  if (left.anon === 0 || left.file === 0) return false;
  const [less, more] = left.file > left.anon ? (['anon', 'file'] as const) : (['file', 'anon'] as const);
  const percent = Math.floor((left[less] * 100) / (sum(targets, LISTS[less]) + 1));
  for (const list of LISTS[less]) counts[list] = 0;
  for (const list of LISTS[more]) {
    const target = targets[list] as number;
    const done = target - (counts[list] as number);
    counts[list] = Math.max(0, Math.floor((target * (100 - percent)) / 100) - done);
  }
  return true;
}
