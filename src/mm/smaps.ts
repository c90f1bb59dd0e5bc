/**
 * What smaps tells of the pages of a vma, as numbers: resident, shared, dirty, referenced, swapped, by the kernel's own rules.
 *
 * A page that several entries map is shared, and its part of Pss is the page divided by their number. The zero page and markers count nowhere.
 * The text is made in smapsText.ts.
 *
 * Units   bytes; Pss and its kin in 1/4096 of a byte, as the kernel sums them, so that rounding is the same
 * Cost    linear in the touched entries
 * Linux   fs/proc/task_mmu.c: smap_gather_stats, smaps_account, smaps_page_accumulate; spec/vma.md 16.2
 */
import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import {
  FRAME_ANON,
  FRAME_DIRTY,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  type Frames,
  HUGE_PAGES,
  type Pfn,
} from './frames.ts';
import type { Mm } from './mm.ts';
import { DIRTY, HUGE, holdsFrame, KIND_MASK, SWAP, YOUNG } from './pte.ts';
import { isSharedMemory, type Vma } from './vma.ts';
import { VM_LOCKED, VM_SHARED, VM_WRITE } from './vmFlags.ts';

/** The sums of one vma, or of several. */
export interface MemoryFigures {
  resident: number;
  sharedClean: number;
  sharedDirty: number;
  privateClean: number;
  privateDirty: number;
  referenced: number;
  anonymous: number;
  lazyFree: number;
  anonymousThp: number;
  shmemThp: number;
  fileThp: number;
  swap: number;
  /** The following in 1/4096 byte. */
  pss: number;
  pssDirty: number;
  pssAnon: number;
  pssFile: number;
  pssShmem: number;
  pssLocked: number;
  swapPss: number;
}

/** Fractions of a byte in the sums of Pss. Linux: PSS_SHIFT. */
export const PSS_UNIT = 4096;

/** Returns figures that are all 0. */
export const noFigures = (): MemoryFigures => ({
  resident: 0,
  sharedClean: 0,
  sharedDirty: 0,
  privateClean: 0,
  privateDirty: 0,
  referenced: 0,
  anonymous: 0,
  lazyFree: 0,
  anonymousThp: 0,
  shmemThp: 0,
  fileThp: 0,
  swap: 0,
  pss: 0,
  pssDirty: 0,
  pssAnon: 0,
  pssFile: 0,
  pssShmem: 0,
  pssLocked: 0,
  swapPss: 0,
});

/** Makes all figures 0 again. */
export function clearFigures(sums: MemoryFigures): void {
  sums.resident = sums.sharedClean = sums.sharedDirty = sums.privateClean = sums.privateDirty = 0;
  sums.referenced = sums.anonymous = sums.lazyFree = sums.anonymousThp = sums.shmemThp = sums.fileThp = 0;
  sums.swap = sums.pss = sums.pssDirty = sums.pssAnon = sums.pssFile = sums.pssShmem = 0;
  sums.pssLocked = sums.swapPss = 0;
}

/** Of a page in a locked vma, besides the bits of its entry. */
const LOCKED = 2 ** 30;

/** Adds the pages of `vma` to `sums`. */
export function gatherFigures(mm: Mm, vma: Vma, sums: MemoryFigures): void {
  const { swap, frames } = mm.kernel;
  const locked = (vma.flags & VM_LOCKED) !== 0;
  mm.pages.forEach(vma.start, vma.end, (_addr, low, high) => {
    const kind = low & KIND_MASK;
    if (kind === SWAP) {
      sums.swap += PAGE_SIZE;
      sums.swapPss += Math.floor((PAGE_SIZE * PSS_UNIT) / swap.count(high));
    } else if (holdsFrame(low)) {
      const bits = locked ? low | LOCKED : low;
      if ((low & HUGE) === 0) addPage(frames, high, bits, sums);
      else {
        addHuge(mm, high, sums);
        for (let i = 0; i < HUGE_PAGES; i++) addPage(frames, high + i, bits, sums);
      }
    }
  });
  if (mm.kernel.swap.nrUsed > 0) sums.swap += sharedSwapped(mm, vma) * PAGE_SIZE;
}

/**
 * Returns how many pages of the shared memory that `vma` maps are in swap; where it has copies of its own, only those it would ask the file for. Of
 * 2 MiB that were written out as one all pages count wherever one is met. Linux: shmem_swap_usage(), shmem_partial_swap_usage()
 */
function sharedSwapped(mm: Mm, vma: Vma): number {
  const object = vma.file?.object;
  if (object === undefined || !isSharedMemory(object)) return 0;
  const { sharedSwap } = mm.kernel;
  const hasCopies = (vma.flags & (VM_SHARED | VM_WRITE)) === VM_WRITE;
  // A mapping of the whole file is told all that the file has there, behind its end too. Linux: shmem_swap_usage()
  if (!hasCopies && vma.pgoff === 0 && object.size !== null && vma.end - vma.start >= object.size)
    return sharedSwap.count(object);
  const met = new Set<string>();
  let pages = 0;
  for (const pgoff of sharedSwap.pagesOf(object)) {
    const addr = vma.start + (pgoff - vma.pgoff) * PAGE_SIZE;
    if (addr < vma.start || addr >= vma.end || (hasCopies && mm.pages.kind(addr) !== 'none')) continue;
    const first = sharedSwap.wholeOf(object, pgoff);
    if (first === null) pages++;
    // Where copies are looked for, each entry of a table is met by itself.
    else if (hasCopies && mm.pages.hasTable(addr)) pages += HUGE_PAGES;
    else {
      // It is met once, or in each 2 MiB without a table.
      const place = hasCopies ? `${first} ${addr - (addr % PMD_SIZE)}` : `${first}`;
      if (!met.has(place)) pages += HUGE_PAGES;
      met.add(place);
    }
  }
  return pages;
}

function addHuge(mm: Mm, head: Pfn, sums: MemoryFigures): void {
  const flags = mm.kernel.frames.flags(head);
  if (flags & FRAME_ANON) sums.anonymousThp += PMD_SIZE;
  else if (flags & FRAME_SHMEM) sums.shmemThp += PMD_SIZE;
  else sums.fileThp += PMD_SIZE;
}

/** Adds one page. @param bits  word 0 of its entry, and LOCKED */
function addPage(frames: Frames, pfn: Pfn, bits: number, sums: MemoryFigures): void {
  const flags = frames.flags(pfn);
  const mapcount = frames.mapcount(pfn);
  const dirty = (bits & DIRTY) !== 0 || (flags & FRAME_DIRTY) !== 0;
  const pss = mapcount > 1 ? Math.floor((PAGE_SIZE * PSS_UNIT) / mapcount) : PAGE_SIZE * PSS_UNIT;
  sums.resident += PAGE_SIZE;
  if (bits & YOUNG || frames.isReferenced(pfn)) sums.referenced += PAGE_SIZE;
  sums.pss += pss;
  if (dirty) sums.pssDirty += pss;
  if (bits & LOCKED) sums.pssLocked += pss;
  if (mapcount > 1) {
    if (dirty) sums.sharedDirty += PAGE_SIZE;
    else sums.sharedClean += PAGE_SIZE;
  } else if (dirty) sums.privateDirty += PAGE_SIZE;
  else sums.privateClean += PAGE_SIZE;
  if (flags & FRAME_ANON) {
    sums.anonymous += PAGE_SIZE;
    sums.pssAnon += pss;
    if ((flags & FRAME_SWAPBACKED) === 0 && !dirty) sums.lazyFree += PAGE_SIZE;
  } else if (flags & FRAME_SHMEM) sums.pssShmem += pss;
  else sums.pssFile += pss;
}

/** Returns the figures of `vma`. */
export function figuresOf(mm: Mm, vma: Vma): MemoryFigures {
  const sums = noFigures();
  gatherFigures(mm, vma, sums);
  return sums;
}

/** Rounds a sum of Pss to whole bytes, as it is printed. */
export const pssBytes = (sum: number): number => Math.floor(sum / PSS_UNIT);
