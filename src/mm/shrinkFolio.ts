/**
 * One page that reclaim has taken off an inactive list: it goes, it stays for another round, or it becomes active.
 *
 *   somebody has it locked ........... it is set aside
 *   used since it was last asked ..... for the first time it stays, and is remembered as used; then, or if several entries say so, it becomes active
 *   anonymous, written ............... to swap: every entry that maps it becomes a swap entry. No room, or held by the kernel: active, or it stays
 *   freed lazily ..................... dropped, unless it was written since: then it counts as others do again
 *   shared memory .................... unmapped everywhere, then to swap; one that was never written becomes a hole again
 *   of a file on a disk .............. clean: unmapped everywhere and dropped. Dirty: it is written back, and stays until it is met again
 *   huge ............................. broken up, and each of its pages goes by itself; pages of zeros are spared only where it is partly mapped, or
 *                                      there is no room for all of it
 *
 * Linux      mm/vmscan.c: shrink_folio_list, folio_check_references; mm/rmap.c: folio_referenced_one, try_to_unmap_one; mm/shmem.c: shmem_writeout
 * Left out   locks that somebody else has; huge folios that are written to swap whole; the time that a page spends being written
 */
import { type Addr, PMD_SIZE } from '../base/units.ts';
import {
  FRAME_ANON,
  FRAME_DIRTY,
  FRAME_LOCK_MISSED,
  FRAME_REFERENCED,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  HUGE_PAGES,
  type Pfn,
} from './frames.ts';
import { dissolveFolio, splitFolio, swapOutFolio, unmapFolio } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import { cleanPage } from './pageCache.ts';
import {
  DIRTY,
  EXCLUSIVE,
  HUGE,
  KIND_MASK,
  MARKER,
  MARKER_UFFD_WP,
  NONE,
  PRESENT,
  SOFT_DIRTY,
  SWAP,
  UFFD_WP,
  YOUNG,
} from './pte.ts';
import { releaseEntry } from './rmap.ts';
import { type FlushBatch, type Place, placesOf } from './rmapPlaces.ts';
import { VM_DROPPABLE, VM_EXEC, VM_LOCKED } from './vmFlags.ts';
import { FACT } from './work.ts';
import { isProtectionKept } from './zap.ts';

/** What becomes of a page that was taken off a list; `split`: its pages are single ones now, and on no list. */
export type Shrunk = 'gone' | 'kept' | 'active' | 'locked' | 'split';

/** What the entries of a folio say. */
interface References {
  /** Entries through which it was used since that was last asked. */
  readonly young: number;
  readonly isLocked: boolean;
  readonly isCode: boolean;
}

/** Tries to get the folio at `pfn` back, which is on no list. @param batch  where entries are noted that are taken away */
export function shrinkFolio(kernel: Kernel, pfn: Pfn, batch: FlushBatch): Shrunk {
  const { frames } = kernel;
  if (frames.isLarge(pfn)) return shrinkLarge(kernel, pfn);
  const places = placesOf(kernel, pfn);
  const verdict = referenceVerdict(kernel, pfn, referencesOf(places));
  if (verdict !== 'gone') return verdict;
  if (frames.isPinned(pfn) || places.length !== frames.mapcount(pfn)) return 'kept';
  // An entry of a page that is being migrated maps it, and cannot be changed now.
  if (places.some(({ mm, addr }) => (mm.pages.low(addr) & KIND_MASK) !== PRESENT)) return 'kept';
  const flags = frames.flags(pfn);
  if ((flags & (FRAME_ANON | FRAME_SWAPBACKED)) === FRAME_ANON)
    return dropLazyFree(kernel, pfn, places, batch);
  if (flags & FRAME_SHMEM) return shrinkShared(kernel, pfn, places, batch);
  return flags & FRAME_SWAPBACKED
    ? swapOut(kernel, pfn, places, batch)
    : evictFile(kernel, pfn, places, batch);
}

/** Breaks a huge folio up if it may go. */
function shrinkLarge(kernel: Kernel, head: Pfn): Shrunk {
  const { frames } = kernel;
  const places = placesOfFolio(kernel, head);
  const verdict = referenceVerdict(kernel, head, referencesOf(places));
  if (verdict !== 'gone') return verdict;
  if (frames.isPinned(head)) return 'kept';
  if (frames.flags(head) & FRAME_SHMEM) {
    unmapFolio({ kernel }, head);
    if (swapOutFolio({ kernel }, head)) return 'gone';
    if (!frames.isLarge(head)) return 'split';
  }
  if (mayGoWhole(kernel, head)) dissolveFolio({ kernel }, head);
  else splitFolio({ kernel }, head);
  return 'split';
}

/** Tells whether no page of a huge folio is spared, be it all zeros: it is dropped as a whole, or goes to swap as a whole, where there is room for it. */
function mayGoWhole({ frames, swap }: Kernel, head: Pfn): boolean {
  for (let i = 0; i < HUGE_PAGES; i++) if (frames.mapcount(head + i) === 0) return false;
  const isSwapped = (frames.flags(head) & FRAME_SWAPBACKED) !== 0;
  return !isSwapped || swap.nrUsed + HUGE_PAGES <= swap.totalPages;
}

/** Everybody who maps a page of the folio; 2 MiB that are mapped at once count once. */
function placesOfFolio(kernel: Kernel, head: Pfn): Place[] {
  const whole = placesOf(kernel, head).filter(({ mm, addr }) => (mm.pages.pmd(addr) & HUGE) !== 0);
  const places = [...whole];
  for (let i = 0; i < HUGE_PAGES; i++)
    if (kernel.frames.mapcount(head + i) > kernel.frames.entireMapcount(head + i))
      for (const place of placesOf(kernel, head + i))
        if ((place.mm.pages.pmd(place.addr) & HUGE) === 0) places.push(place);
  return places;
}

/** Asks the entries, which are not young afterwards. Linux: folio_referenced() */
function referencesOf(places: readonly Place[]): References {
  let [young, isLocked, isCode] = [0, false, false];
  for (const { mm, vma, addr } of places) {
    if (vma.flags & VM_LOCKED) {
      isLocked = true;
      continue;
    }
    if (!clearYoung(mm.pages, addr)) continue;
    young++;
    isCode ||= (vma.flags & VM_EXEC) !== 0;
  }
  return { young, isLocked, isCode };
}

function clearYoung(pages: Place['mm']['pages'], addr: Addr): boolean {
  const pmd = pages.pmd(addr);
  if (pmd & HUGE) {
    if (pmd & YOUNG) pages.setHugeLow(addr - (addr % PMD_SIZE), pmd & ~YOUNG);
    return (pmd & YOUNG) !== 0;
  }
  const low = pages.low(addr);
  if ((low & KIND_MASK) !== PRESENT || (low & YOUNG) === 0) return false;
  pages.setLow(addr, low & ~YOUNG);
  return true;
}

/** Linux: folio_check_references() */
function referenceVerdict(kernel: Kernel, pfn: Pfn, { young, isLocked, isCode }: References): Shrunk {
  const { frames } = kernel;
  if (isLocked) {
    frames.setFlags(pfn, 0, FRAME_LOCK_MISSED);
    return 'locked';
  }
  const wasReferenced = frames.isReferenced(pfn);
  frames.clearReferenced(pfn);
  if (young === 0) return 'gone';
  frames.setFlags(pfn, FRAME_REFERENCED);
  if (wasReferenced || young > 1) return 'active';
  return isCode && (frames.flags(pfn) & FRAME_SWAPBACKED) === 0 ? 'active' : 'kept';
}

/** Whether a page from the end of an active list stays active: code that was used since. Linux: shrink_active_list() */
export function isCodeInUse(kernel: Kernel, pfn: Pfn): 'kept' | 'inactive' | 'locked' {
  const { frames } = kernel;
  const places = frames.isLarge(pfn) ? placesOfFolio(kernel, pfn) : placesOf(kernel, pfn);
  const { young, isLocked, isCode } = referencesOf(places);
  if (isLocked) return 'locked';
  const isReferenced = frames.isReferenced(pfn);
  frames.clearReferenced(pfn);
  const isFile = (frames.flags(pfn) & FRAME_SWAPBACKED) === 0;
  return (young > 0 || isReferenced) && isCode && isFile ? 'kept' : 'inactive';
}

/** Takes the entry away that maps the page; protection by userfaultfd stays where there is no anonymous page. */
function unmap({ mm, vma, addr }: Place, pfn: Pfn, batch: FlushBatch): void {
  const low = mm.pages.low(addr);
  const isMarked = (low & UFFD_WP) !== 0 && !mm.kernel.frames.isAnon(pfn) && isProtectionKept(vma);
  releaseEntry(mm, low, pfn);
  mm.pages.set(addr, isMarked ? MARKER : NONE, isMarked ? MARKER_UFFD_WP : 0);
  batch.changed(mm, addr);
}

/** A page of private memory goes to swap, from everybody who has it. One that is in step with a slot, and that nothing maps, just goes. */
function swapOut(kernel: Kernel, pfn: Pfn, places: readonly Place[], batch: FlushBatch): Shrunk {
  const { frames, swap, work } = kernel;
  const content = frames.contents.save(pfn);
  const kept = swap.slotOf(pfn);
  if (places.length === 0) {
    if (kept === null) return 'kept';
    swap.forget(frames, pfn);
    work.count(FACT.pagesFreed);
    return 'gone';
  }
  const slot = kept ?? swap.allocate(content);
  if (slot === null) return 'active';
  for (let i = kept === null ? 1 : 0; i < places.length; i++) swap.dup(slot, content);
  if (kept !== null) swap.forget(frames, pfn);
  work.count(FACT.pagesSwappedOut);
  if (swap.isZeroFilled(slot)) work.count(FACT.zerosSwappedOut);
  for (const { mm, addr } of places) {
    const low = mm.pages.low(addr);
    releaseEntry(mm, low, pfn);
    mm.nrSwap++;
    mm.pages.set(addr, SWAP | (low & (EXCLUSIVE | UFFD_WP | SOFT_DIRTY)), slot);
    batch.changed(mm, addr);
  }
  return 'gone';
}

/** A lazily freed page: each entry lets it go, up to the first that says that it was written. */
function dropLazyFree(kernel: Kernel, pfn: Pfn, places: readonly Place[], batch: FlushBatch): Shrunk {
  const { frames, work } = kernel;
  // They are asked in the order of the interval tree of the anon_vma: by where their vmas begin.
  const inOrder = places.toSorted((a, b) => a.vma.pgoff - b.vma.pgoff || a.vma.putAt - b.vma.putAt);
  for (const place of inOrder) {
    const { mm, vma, addr } = place;
    if (mm.pages.low(addr) & DIRTY) frames.setFlags(pfn, FRAME_DIRTY);
    if (frames.flags(pfn) & FRAME_DIRTY && (vma.flags & VM_DROPPABLE) === 0) {
      frames.setFlags(pfn, FRAME_SWAPBACKED);
      return 'active';
    }
    unmap(place, pfn, batch);
  }
  work.count(FACT.lruDiscarded);
  return 'gone';
}

function shrinkShared(kernel: Kernel, pfn: Pfn, places: readonly Place[], batch: FlushBatch): Shrunk {
  const { frames, objects } = kernel;
  const [object, index] = [objects.get(frames.owner(pfn)), frames.index(pfn)];
  if (object === undefined) return 'kept';
  const isDirty =
    (frames.flags(pfn) & FRAME_DIRTY) !== 0 || places.some(({ mm, addr }) => mm.pages.low(addr) & DIRTY);
  if (isDirty && !kernel.swap.hasRoom) return 'active';
  for (const place of places) unmap(place, pfn, batch);
  if (isDirty) kernel.cache.swapOut(object, index);
  else kernel.cache.evict(object, index);
  return 'gone';
}

function evictFile(kernel: Kernel, pfn: Pfn, places: readonly Place[], batch: FlushBatch): Shrunk {
  const { frames, objects, work } = kernel;
  const [object, index] = [objects.get(frames.owner(pfn)), frames.index(pfn)];
  if (object === undefined) return 'kept';
  for (const { mm, addr } of places) if (mm.pages.low(addr) & DIRTY) frames.setFlags(pfn, FRAME_DIRTY);
  if (frames.flags(pfn) & FRAME_DIRTY) {
    cleanPage(kernel, object, index, pfn);
    work.count(FACT.fileWrittenBack);
    return 'active';
  }
  for (const place of places) unmap(place, pfn, batch);
  kernel.cache.evict(object, index);
  work.count(FACT.fileEvicted);
  return 'gone';
}
