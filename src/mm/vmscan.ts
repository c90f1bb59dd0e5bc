/**
 * Getting memory back: how much of which list is looked through, until enough pages have gone.
 *
 *   a round ......... at each priority from 12 down to 0: volatile ranges are purged (from priority 10 on, or at once where nothing can be swapped),
 *                     partly mapped huge folios are broken up, then each list is looked through, 1/2^priority of it; it ends when enough has gone
 *   inactive list ... 32 pages are taken off its end; each goes, stays for another round, or becomes active (shrinkFolio.ts)
 *   active list ..... 32 pages are taken off its end; all become inactive, but code that was just used
 *   how much ........ of pages with a place in swap and of others by `swappiness` and by what each of them cost lately (scanCounts.ts)
 *
 * Who is short of memory pays (direct); a machine that is below its low watermark has kswapd do it beforehand, as if on another CPU.
 *
 * Facts      lruScanned, lruRotated, lruActivated, lruDeactivated, lruDiscarded, fileEvicted, reclaimedDirect, reclaimedKswapd, pagesPurged,
 *            pagesSwappedOut
 * Charges    a page that is looked at and stays costs what one of MADV_COLD costs, one that is swapped out what one of MADV_PAGEOUT, one that is dropped what
 *            one of MADV_DONTNEED, one of a file what unmapping it costs; what is purged charges itself (vrangePurge.ts)
 * Cost       linear in the pages looked at, and in who maps them
 * Linux      mm/vmscan.c (6.18, classic LRU): do_try_to_free_pages, shrink_node, shrink_lruvec, shrink_inactive_list, shrink_active_list, balance_pgdat
 * Left out   waiting for writes (a device is as fast as memory: compressed memory), throttling, compaction, shrinkers but that of huge folios, refaults
 */
import { PAGE_SIZE } from '../base/units.ts';
import { FRAME_ACTIVE, HUGE_PAGES, type Pfn } from './frames.ts';
import { splitFolio } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import { Lru } from './lru.ts';
import { EVICTABLE, LRU, type LruList, type MemoryGroup } from './memoryGroup.ts';
import { FlushBatch, placesOf } from './rmapPlaces.ts';
import { balanceAfter, isInactiveLow, type ScanControl, scanCounts } from './scanCounts.ts';
import { isCodeInUse, shrinkFolio } from './shrinkFolio.ts';
import { purgeVolatile } from './vrangePurge.ts';
import { FACT, type Fact, PATH } from './work.ts';

/** Pages that are taken off a list at a time, and the least that is asked for. Linux: SWAP_CLUSTER_MAX */
export const SWAP_CLUSTER_MAX = 32;
const DEF_PRIORITY = 12;
/** From this priority on volatile ranges go before anything is looked at. spec/volatile-ranges.md 3.4 */
const PURGE_PRIORITY = DEF_PRIORITY - 2;

/** Who gets memory back: somebody who needs it, or kswapd. */
export type Reclaimer = 'direct' | 'kswapd';

/** What gets memory of one kernel back. */
export class Reclaim {
  readonly kernel: Kernel;
  readonly lru: Lru;
  /** vm.swappiness, 0 to 200. */
  swappiness: number;
  /** How many huge folios had ever become partly mapped when all of them were last broken up. */
  #deferredSeen = 0;

  /** @param kernel  its pages come on lists now; @param first  who is charged for those of files that nobody maps */
  constructor(kernel: Kernel, first: MemoryGroup) {
    this.kernel = kernel;
    this.swappiness = kernel.config.swappiness;
    this.lru = new Lru(kernel.frames, kernel.rootGroup, (pfn) => {
      let group: MemoryGroup | null = null;
      for (const { mm } of placesOf(kernel, pfn)) group ??= mm.memory;
      return group ?? first;
    });
  }

  /**
   * Tries to get pages back.
   * @param group   of this group; null: of the whole machine
   * @param wanted  pages; at least 32 are asked for
   * @returns       pages that went, which may be more
   */
  free(group: MemoryGroup | null, wanted: number, by: Reclaimer = 'direct'): number {
    const { work } = this.kernel;
    const { onCharge } = work;
    // kswapd takes nobody's time.
    if (by === 'kswapd') work.onCharge = null;
    const before = new Float64Array(work.facts);
    const sc: ScanControl = {
      group,
      by,
      wanted: Math.max(wanted, SWAP_CLUSTER_MAX),
      priority: DEF_PRIORITY,
      reclaimed: 0,
      swappiness: this.swappiness,
      mayDeactivate: { anon: true, file: true },
      force: false,
      skippedDeactivate: false,
    };
    if (this.kernel.swap.hasRoom) this.kernel.cache.materialiseReserved();
    this.#rounds(sc);
    if (sc.reclaimed === 0 && sc.skippedDeactivate) {
      sc.force = true;
      this.#rounds(sc);
    }
    work.count(by === 'kswapd' ? FACT.reclaimedKswapd : FACT.reclaimedDirect, sc.reclaimed);
    this.#charge(before);
    work.onCharge = onCharge;
    return sc.reclaimed;
  }

  /** What was done costs what the measured paths do that do the same to a page. */
  #charge(before: Float64Array): void {
    const { work } = this.kernel;
    const since = (fact: Fact): number => (work.facts[fact] as number) - (before[fact] as number);
    const gone = since(FACT.lruDiscarded) + since(FACT.pagesSwappedOut) + since(FACT.fileEvicted);
    const charge = (path: keyof typeof PATH, pages: number): void => {
      if (pages > 0) work.charge(PATH[path], 0, pages);
    };
    charge('madv-cold', Math.max(0, since(FACT.lruScanned) - gone));
    charge('madv-pageout', since(FACT.pagesSwappedOut) - since(FACT.zerosSwappedOut));
    charge('madv-pageout-zero', since(FACT.zerosSwappedOut));
    charge('dontneed', since(FACT.lruDiscarded));
    charge('zap-file', since(FACT.fileEvicted));
    charge('folio-split', since(FACT.foliosSplit));
  }

  #rounds(sc: ScanControl): void {
    for (sc.priority = DEF_PRIORITY; sc.priority >= 0; sc.priority--) {
      if (this.#isPurgeDue(sc))
        this.#counting(sc, () => purgeVolatile(this.kernel, this.#left(sc), sc.group));
      if (sc.reclaimed >= sc.wanted) return;
      if (sc.priority <= PURGE_PRIORITY) this.#counting(sc, () => this.#splitDeferred(sc));
      const groups = sc.group === null ? this.lru.groups : [sc.group];
      for (const group of groups) this.#shrinkGroup(group, sc);
      if (sc.reclaimed >= sc.wanted) return;
    }
  }
  #left({ wanted, reclaimed }: ScanControl): number {
    return Math.max(1, wanted - reclaimed);
  }
  /** Counts what frames go while `act` runs. */
  #counting(sc: ScanControl, act: () => void): void {
    const before = this.kernel.frames.nrUsed;
    act();
    sc.reclaimed += before - this.kernel.frames.nrUsed;
  }
  #isPurgeDue({ priority }: ScanControl): boolean {
    const { vrangeLru, swap } = this.kernel;
    return vrangeLru.size > 0 && (priority <= PURGE_PRIORITY || !swap.hasRoom);
  }

  /** Breaks up huge folios of which only a part is mapped: the rest goes. Linux: deferred_split_scan() */
  #splitDeferred({ group }: ScanControl): void {
    const { kernel, lru } = this;
    const deferred = kernel.work.facts[FACT.foliosDeferred] as number;
    if (deferred === this.#deferredSeen) return;
    let isAll = true;
    for (const head of kernel.frames.deferredFolios())
      if (kernel.frames.isPinned(head) || (group !== null && lru.groupOf(head) !== group)) isAll = false;
      else splitFolio(this, head);
    if (isAll) this.#deferredSeen = deferred;
  }

  /** Linux: shrink_lruvec() */
  #shrinkGroup(group: MemoryGroup, sc: ScanControl): void {
    this.#rescueUnlocked(group);
    for (const kind of ['anon', 'file'] as const)
      sc.mayDeactivate[kind] = sc.force || isInactiveLow(group, kind);
    const counts = scanCounts(this.kernel, group, sc);
    if (counts !== null) this.#shrinkLists(group, counts, sc);
    if (this.kernel.swap.totalPages > 0 && isInactiveLow(group, 'anon'))
      this.#shrinkActive(group, LRU.activeAnon, SWAP_CLUSTER_MAX);
  }
  /** @param counts  what is to be looked at, by LruList; changed here */
  #shrinkLists(group: MemoryGroup, counts: Float64Array, sc: ScanControl): void {
    const targets = Float64Array.from(counts);
    let isAdjusted = sc.group === null && sc.by === 'direct' && sc.priority === DEF_PRIORITY;
    const left = (list: LruList): number => counts[list] as number;
    while (left(LRU.inactiveAnon) + left(LRU.activeFile) + left(LRU.inactiveFile) > 0) {
      for (const list of EVICTABLE) {
        const n = Math.min(left(list), SWAP_CLUSTER_MAX);
        if (n === 0) continue;
        counts[list] = left(list) - n;
        this.#shrinkList(group, list, n, sc);
      }
      if (sc.reclaimed < sc.wanted || isAdjusted) continue;
      if (!balanceAfter(counts, targets)) break;
      isAdjusted = true;
    }
  }

  #shrinkList(group: MemoryGroup, list: LruList, pages: number, sc: ScanControl): void {
    if (list === LRU.inactiveAnon || list === LRU.inactiveFile) this.#shrinkInactive(group, list, pages, sc);
    else if (sc.mayDeactivate[list === LRU.activeAnon ? 'anon' : 'file'])
      this.#shrinkActive(group, list, pages);
    else sc.skippedDeactivate = true;
  }

  /** Takes folios off the end of a list until `pages` pages were taken. */
  #isolate(group: MemoryGroup, list: LruList, pages: number): Pfn[] {
    const taken: Pfn[] = [];
    const { frames } = this.kernel;
    for (let n = 0; n < pages; ) {
      const pfn = group.last(list);
      if (pfn === 0) break;
      this.lru.isolate(pfn);
      taken.push(pfn);
      n += frames.isLarge(pfn) ? HUGE_PAGES : 1;
    }
    return taken;
  }

  #shrinkInactive(group: MemoryGroup, list: LruList, pages: number, sc: ScanControl): void {
    const { work, frames } = this.kernel;
    const taken = this.#isolate(group, list, pages);
    const batch = new FlushBatch();
    const before = frames.nrUsed;
    const [written, scanned] = [work.facts[FACT.pagesSwappedOut] as number, this.#pagesOf(taken)];
    work.count(FACT.lruScanned, scanned);
    // What a huge folio is broken into is looked at in the same go.
    for (const pfn of taken) {
      const came = shrinkFolio(this.kernel, pfn, batch);
      if (came === 'split') taken.push(...this.#partsOf(pfn));
      else if (came !== 'gone') this.#putBack(pfn, came);
    }
    batch.finish();
    const reclaimed = before - frames.nrUsed;
    sc.reclaimed += reclaimed;
    const kind = list === LRU.inactiveAnon ? 'anonCost' : 'fileCost';
    const io = ((work.facts[FACT.pagesSwappedOut] as number) - written) * SWAP_CLUSTER_MAX;
    this.#noteCost(group, kind, io + Math.max(0, scanned - reclaimed));
  }
  #pagesOf(folios: readonly Pfn[]): number {
    let pages = 0;
    for (const pfn of folios) pages += this.kernel.frames.isLarge(pfn) ? HUGE_PAGES : 1;
    return pages;
  }
  *#partsOf(head: Pfn): Generator<Pfn> {
    for (let i = 0; i < HUGE_PAGES; i++) if (this.kernel.frames.isUsed(head + i)) yield head + i;
  }
  #putBack(pfn: Pfn, verdict: 'kept' | 'active' | 'locked'): void {
    const { work, frames } = this.kernel;
    if (verdict === 'locked') {
      this.lru.putAway(pfn);
      return;
    }
    work.count(verdict === 'active' ? FACT.lruActivated : FACT.lruRotated);
    if (verdict === 'active') frames.setFlags(pfn, FRAME_ACTIVE);
    this.lru.putBack(pfn);
  }

  /** Linux: shrink_active_list() */
  #shrinkActive(group: MemoryGroup, list: LruList, pages: number): void {
    const { work, frames } = this.kernel;
    const taken = this.#isolate(group, list, pages);
    work.count(FACT.lruScanned, this.#pagesOf(taken));
    let rotated = 0;
    for (const pfn of taken) {
      const verdict = isCodeInUse(this.kernel, pfn);
      if (verdict === 'locked') {
        this.lru.putAway(pfn);
        continue;
      }
      if (verdict === 'kept') {
        rotated++;
        work.count(FACT.lruRotated);
      } else {
        work.count(FACT.lruDeactivated);
        frames.setFlags(pfn, 0, FRAME_ACTIVE);
      }
      this.lru.putBack(pfn);
    }
    this.#noteCost(group, list === LRU.activeAnon ? 'anonCost' : 'fileCost', rotated);
  }

  /** Older costs count half as soon as there are enough of them. Linux: lru_note_cost() */
  #noteCost(group: MemoryGroup, kind: 'anonCost' | 'fileCost', cost: number): void {
    group[kind] += cost;
    let size = 0;
    for (const list of EVICTABLE) size += group.size(list);
    if (group.anonCost + group.fileCost <= size / 4) return;
    group.anonCost = Math.floor(group.anonCost / 2);
    group.fileCost = Math.floor(group.fileCost / 2);
  }

  /** Pages that were locked are looked at again once less is locked than when that was last done. */
  #rescueUnlocked(group: MemoryGroup): void {
    if (group.size(LRU.unevictable) === 0) return;
    const { locked } = group;
    if (locked === group.lockedSeen) return;
    group.lockedSeen = locked;
    this.rescue(group);
  }
  /** Puts all pages of `group` that were set aside as locked back on the lists: who is still locked is found out when it is looked at. Linux: munlock_folio() */
  rescue(group: MemoryGroup): void {
    while (group.last(LRU.unevictable) !== 0) {
      const pfn = group.last(LRU.unevictable);
      this.lru.isolate(pfn);
      this.lru.putBack(pfn);
    }
  }

  /** Pages of the machine that nobody has; infinity where its size is not set. */
  get freePages(): number {
    const { kernel } = this;
    return kernel.memoryPages - kernel.frames.nrUsed - kernel.work.nrTables;
  }
  /** Pages that have to be free: below `low` kswapd works until there are `high`, below `min` who needs memory works itself. */
  get watermarks(): { readonly min: number; readonly low: number; readonly high: number } {
    return watermarksOf(this.kernel.memoryPages);
  }
}

/** Returns the watermarks of a machine with so many pages. Linux: calculate_min_free_kbytes(), __setup_per_zone_wmarks() */
export function watermarksOf(pages: number): { min: number; low: number; high: number } {
  const kB = (pages * PAGE_SIZE) / 1024;
  const minKb = Math.min(262_144, Math.max(128, Math.floor(Math.sqrt(kB * 16))));
  const min = Math.floor(minKb / 4);
  const gap = Math.max(Math.floor(min / 4), Math.floor(pages / 1000));
  return { min, low: min + gap, high: min + 2 * gap };
}
