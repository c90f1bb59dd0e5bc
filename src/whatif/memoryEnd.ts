/**
 * What address spaces hold at the end: what is resident, what of it the kernel may take without asking, and tables without entries.
 *
 * A page that several of them map counts in each, as in their Rss.
 * Cost   reads counters; a visit of all pages only where something was given to MADV_FREE or made volatile
 */
import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { FACT, figuresOf, type Mm } from '../mm/index.ts';
import { HUGE, holdsFrame } from '../mm/pte.ts';

/** Memory of address spaces, bytes; tables are counted. */
export interface MemoryEnd {
  readonly resident: number;
  /** Given to MADV_FREE and not written since. */
  readonly lazyFree: number;
  /** Resident in volatile ranges. */
  readonly volatile: number;
  readonly swapped: number;
  /** Tables of the lowest level without entries. */
  readonly emptyTables: number;
}

/** Returns what `mms` hold together. */
export function memoryOf(mms: readonly Mm[]): MemoryEnd {
  let sum: MemoryEnd = { resident: 0, lazyFree: 0, volatile: 0, swapped: 0, emptyTables: 0 };
  for (const mm of mms) sum = added(sum, ofOne(mm));
  return sum;
}

/** Returns the sum of two. */
export const added = (a: MemoryEnd, b: MemoryEnd): MemoryEnd => ({
  resident: a.resident + b.resident,
  lazyFree: a.lazyFree + b.lazyFree,
  volatile: a.volatile + b.volatile,
  swapped: a.swapped + b.swapped,
  emptyTables: a.emptyTables + b.emptyTables,
});

function ofOne(mm: Mm): MemoryEnd {
  const gaveAway = (mm.kernel.work.facts[FACT.pagesLazyFreed] as number) > 0;
  return {
    resident: (mm.rssAnon + mm.rssFile + mm.rssShmem) * PAGE_SIZE,
    lazyFree: gaveAway ? lazyFreeOf(mm) : 0,
    volatile: volatileOf(mm),
    swapped: mm.nrSwap * PAGE_SIZE,
    emptyTables: mm.pages.nrEmpty,
  };
}

function lazyFreeOf(mm: Mm): number {
  let bytes = 0;
  for (const vma of mm.vmas) if (vma.file === null) bytes += figuresOf(mm, vma).lazyFree;
  return bytes;
}

function volatileOf(mm: Mm): number {
  if (mm.vranges === null) return 0;
  let bytes = 0;
  for (const { start, end } of mm.vranges)
    mm.pages.forEach(start, end, (addr, low) => {
      if (!holdsFrame(low)) return;
      const to = Math.min(addr + (low & HUGE ? PMD_SIZE : PAGE_SIZE), end);
      bytes += to - Math.max(addr, start);
    });
  return bytes;
}
