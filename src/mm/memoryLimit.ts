/**
 * Memory that has an end: limits of groups of processes, the size of the machine, and what happens when they are met.
 *
 * A page is charged before the fault that takes it is served, while nothing is under way, so getting memory back may change any table. What other
 * operations take (copies by fork, writes to files, userfaultfd) is charged when they are over, and may exceed a limit till then.
 *
 *   a group above its limit ...... reclaim in it, 32 pages or more; as long as pages go, again; 16 times in a row without any: out of memory
 *   a machine below its marks .... `low`: kswapd, up to `high`; `min`: whoever asks reclaims, as above
 *   out of memory ................ a process is chosen and killed (`onOutOfMemory`); the one that asks goes on once another one is gone
 *
 * Huge pages are not worth it: after one attempt the fault goes on with small ones.
 *
 * Linux   mm/memcontrol.c: try_charge_memcg, memory_max_write, memory_reclaim; mm/page_alloc.c: __alloc_pages_slowpath; mm/oom_kill.c
 * Left out   throttling of those who reclaim, charges for kernel memory but page tables
 */
import { EAGAIN } from '../abi/errno.ts';
import { type Addr, PAGE_SIZE, pageFloor } from '../base/units.ts';
import type { AccessRequest } from './fault.ts';
import { HUGE_PAGES } from './frames.ts';
import { canFaultHuge, mayMapHugeZero } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import { LRU, type MemoryGroup } from './memoryGroup.ts';
import type { Mm } from './mm.ts';
import {
  EXCLUSIVE,
  HUGE,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_POISON,
  MARKER_PURGED,
  NONE,
  PRESENT,
  SWAP,
  WRITE,
  ZERO_PAGE,
} from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { linearIndex } from './rmap.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { VM_MAYSHARE, VM_PFNMAP, VM_SHARED } from './vmFlags.ts';
import { Reclaim } from './vmscan.ts';
import { FACT } from './work.ts';

/** Attempts in a row that get nothing back. Linux: MAX_RECLAIM_RETRIES */
const MAX_RETRIES = 16;
/** As long as something goes, a request for so few pages is tried again without end. Linux: 1 << PAGE_ALLOC_COSTLY_ORDER */
const SMALL = 8;

/** Returns what gets memory of `kernel` back; from the first call on its pages are on lists. @param first  who is charged then for pages of files that nobody maps */
export function reclaimOf(kernel: Kernel, first = kernel.rootGroup): Reclaim {
  if (kernel.reclaim === null) {
    kernel.reclaim = new Reclaim(kernel, first);
    // Whoever makes the first limit is charged for what that operation takes.
    kernel.reclaim.lru.current = first;
  }
  return kernel.reclaim;
}

/**
 * Limits the memory of the group of `mm`; what is above goes now, and processes are killed if it cannot.
 * @param bytes  rounded down to pages; infinity takes the limit away
 * @returns      0, whatever had to be done. Linux: memory_max_write()
 */
export function setMemoryLimit(mm: Mm, bytes: number): SysResult {
  const { kernel, memory } = mm;
  const reclaim = reclaimOf(kernel, memory);
  memory.limit = Math.floor(bytes / PAGE_SIZE);
  let retries = MAX_RETRIES;
  while (memory.usage > memory.limit) {
    if (retries > 0) {
      if (reclaim.free(memory, memory.usage - memory.limit) === 0) retries--;
      continue;
    }
    if (killOne(kernel, memory, mm) !== 'other') break;
  }
  return OK;
}

/**
 * Asks to get `bytes` of the group of `mm` back (memory.reclaim).
 * Refusals   EAGAIN partial (less than that went). Linux: user_proactive_reclaim()
 */
export function reclaimMemory(mm: Mm, bytes: number): SysResult {
  const wanted = Math.floor(bytes / PAGE_SIZE);
  const reclaim = reclaimOf(mm.kernel, mm.memory);
  reclaim.rescue(mm.memory);
  let done = 0;
  for (let retries = MAX_RETRIES; done < wanted; ) {
    const batch = retries === MAX_RETRIES ? Math.ceil((wanted - done) / 4) : wanted - done;
    const went = reclaim.free(mm.memory, batch);
    if (went === 0 && retries-- === 0) return refused(EAGAIN, 'partial');
    done += went;
  }
  return OK;
}

/** Sets how much memory the machine has. @param bytes  rounded down to pages; infinity: as much as it takes */
export function setMemorySize(kernel: Kernel, bytes: number): SysResult {
  kernel.memoryPages = Math.floor(bytes / PAGE_SIZE);
  makeRoom(kernel, null, 0);
  return OK;
}

/**
 * Makes room for the pages that a fault is about to take. Called with nothing under way; entries may be others afterwards.
 * @returns  whether there is room; `small`: but not for a huge page; `killed`: nothing could be got back, and the process that faults ends
 */
export function chargeFault(mm: Mm, vma: Vma, request: AccessRequest): 'charged' | 'small' | 'killed' {
  const { kernel, memory } = mm;
  const reclaim = reclaimOf(kernel);
  reclaim.lru.current = memory;
  let isSmall = false;
  // What was there to be copied may be gone afterwards, and has to be read first.
  for (let round = 0; round < 2; round++) {
    const wanted = pagesTaken(mm, vma, request);
    if (wanted === 0 || hasRoom(kernel, memory, wanted)) break;
    isSmall = wanted === HUGE_PAGES && !triedForHuge(reclaim, mm);
    const pages = isSmall ? 1 : wanted;
    if (!charge(kernel, memory, mm, pages) || !makeRoom(kernel, mm, pages)) return 'killed';
  }
  return isSmall ? 'small' : 'charged';
}

/** One attempt is made for a huge page. Linux: __GFP_NORETRY */
function triedForHuge(reclaim: Reclaim, { kernel, memory }: Mm): boolean {
  reclaim.free(memory.usage + HUGE_PAGES > memory.limit ? memory : null, HUGE_PAGES);
  return hasRoom(kernel, memory, HUGE_PAGES);
}

function hasRoom(kernel: Kernel, group: MemoryGroup, pages: number): boolean {
  if (group.usage + pages > group.limit) return false;
  if (kernel.memoryPages === Number.POSITIVE_INFINITY) return true;
  const { freePages, watermarks } = reclaimOf(kernel);
  return freePages - pages >= watermarks.low;
}

/** Makes room for `pages` more in a group. Returns false if whoever asks is killed for it. Linux: try_charge_memcg() */
function charge(kernel: Kernel, group: MemoryGroup, asking: Mm | null, pages: number): boolean {
  const reclaim = reclaimOf(kernel);
  for (let retries = MAX_RETRIES; group.usage + pages > group.limit; ) {
    group.events.max++;
    kernel.work.count(FACT.limitsMet);
    const went = reclaim.free(group, pages);
    if (group.usage + pages <= group.limit) return true;
    if ((went > 0 && pages <= SMALL) || retries-- > 0) continue;
    if (killOne(kernel, group, asking) !== 'other') return false;
    retries = MAX_RETRIES;
  }
  return true;
}

/** Keeps enough of the machine's memory free for `pages` more. Returns false if whoever asks is killed for it. */
function makeRoom(kernel: Kernel, asking: Mm | null, pages: number): boolean {
  if (kernel.memoryPages === Number.POSITIVE_INFINITY) return true;
  const reclaim = reclaimOf(kernel);
  const { min, low, high } = reclaim.watermarks;
  if (reclaim.freePages - pages < low)
    while (reclaim.freePages < high && reclaim.free(null, high - reclaim.freePages, 'kswapd') > 0);
  for (let retries = MAX_RETRIES; reclaim.freePages - pages < min; ) {
    if (reclaim.free(null, pages) > 0 || retries-- > 0) continue;
    if (killOne(kernel, null, asking) !== 'other') return false;
    retries = MAX_RETRIES;
  }
  return true;
}

/** Somebody has to go, unless pages were only set aside as locked that are not any more. */
function killOne(
  kernel: Kernel,
  group: MemoryGroup | null,
  asking: Mm | null,
): 'asking' | 'other' | 'nobody' {
  const reclaim = reclaimOf(kernel);
  const groups = group === null ? reclaim.lru.groups : [group];
  for (const each of groups) if (each.size(LRU.unevictable) > 0) reclaim.rescue(each);
  if (groups.some((each) => reclaim.free(each, 1) > 0)) return 'other';
  if (group !== null) group.events.oom++;
  const killed = kernel.onOutOfMemory?.(group, asking) ?? 'asking';
  if (killed === 'nobody') return killed;
  kernel.work.count(FACT.oomKills);
  if (group !== null) group.events.oomKill++;
  return killed;
}

/** An operation is over that was not charged page by page: what it took beyond a limit goes. Returns false if its process is killed for it. */
export function settleMemory(mm: Mm): boolean {
  const { memory, kernel } = mm;
  memory.peak = Math.max(memory.peak, memory.usage);
  return charge(kernel, memory, mm, 0) && makeRoom(kernel, mm, 0);
}

/** Returns how many pages the fault for an access takes; 0: none, or there is no fault. */
function pagesTaken(mm: Mm, vma: Vma, request: AccessRequest): number {
  const page = pageFloor(request.addr);
  const write = request.access === 'write';
  const pmd = mm.pages.pmd(page);
  if (isMarkerPmd(pmd) || pmd === NONE) {
    if (canFaultHuge(mm, vma, page)) return write || !mayMapHugeZero(mm) ? HUGE_PAGES : 0;
    return pmd === NONE ? takenByNew(mm, vma, page, write) : 1;
  }
  if (pmd & HUGE) {
    if (!write || pmd & WRITE) return 0;
    return (pmd & KIND_MASK) === ZERO_PAGE ? HUGE_PAGES : 1;
  }
  const low = mm.pages.low(page);
  switch (low & KIND_MASK) {
    case PRESENT:
      return write && (low & WRITE) === 0 ? takenByStore(mm, vma, low, mm.pages.high(page)) : 0;
    case ZERO_PAGE:
      return write ? 1 : 0;
    case SWAP:
      return takenBySwapped(mm, low, mm.pages.high(page), write);
    case MARKER:
      if (mm.pages.high(page) & (MARKER_POISON | MARKER_GUARD | MARKER_PURGED)) return 0;
      return takenByNew(mm, vma, page, write);
    default:
      return takenByNew(mm, vma, page, write);
  }
}

function takenByStore({ kernel: { frames } }: Mm, vma: Vma, low: number, pfn: number): number {
  if (!frames.isAnon(pfn)) return vma.flags & (VM_SHARED | VM_MAYSHARE) ? 0 : 1;
  return low & EXCLUSIVE || frames.refcount(pfn) === 1 ? 0 : 1;
}

function takenBySwapped({ kernel: { swap } }: Mm, low: number, slot: number, write: boolean): number {
  const read = swap.cached(slot) === 0 ? 1 : 0;
  return write && (low & EXCLUSIVE) === 0 && swap.count(slot) > 1 ? read + 1 : read;
}

/** Nothing is mapped there. */
function takenByNew({ kernel }: Mm, vma: Vma, page: Addr, write: boolean): number {
  if (isAnonymousVma(vma)) return write ? 1 : 0;
  if (vma.flags & VM_PFNMAP || vma.file === null) return 0;
  const { object } = vma.file;
  const pgoff = linearIndex(vma, page);
  const copy = write && (vma.flags & (VM_SHARED | VM_MAYSHARE)) === 0 ? 1 : 0;
  if (object.size !== null && pgoff * PAGE_SIZE >= object.size) return 0;
  return kernel.cache.has(object, pgoff) ? copy : copy + 1;
}
