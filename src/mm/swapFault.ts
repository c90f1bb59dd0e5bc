/**
 * Accesses to pages that are in swap.
 *
 * The content is read into a new page, or found in the swap cache if another address space has read it already. An entry that held its slot
 * exclusively becomes exclusive and writable at once; so does the last reference to a slot.
 *
 * Linux   mm/memory.c: do_swap_page
 * Left out   read-ahead, the price of reading
 */
import type { Addr } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import type { AccessRequest } from './fault.ts';
import type { Mm } from './mm.ts';
import { DIRTY, EXCLUSIVE, PRESENT, WRITE, YOUNG } from './pte.ts';
import { anonFlags, linearIndex } from './rmap.ts';
import type { Vma } from './vma.ts';
import { VM_WRITE } from './vmFlags.ts';
import { FACT, type FaultName } from './work.ts';
import { writeFault } from './writeFault.ts';

/** Serves an access to `page`, whose entry holds a swap slot. */
export function swapIn(mm: Mm, vma: Vma, page: Addr, request: AccessRequest): FaultName {
  const { kernel, pages } = mm;
  const { frames, swap, work } = kernel;
  const write = request.access === 'write';
  const low = pages.low(page);
  const slot = pages.high(page);
  prepareAnonVma(kernel, vma);
  const cached = swap.cached(slot);
  let pfn = cached;
  if (pfn === 0) {
    // What others refer to as well belongs to the root: all of them descend from it.
    const anonVma = low & EXCLUSIVE || swap.count(slot) === 1 ? vma.anonVma : vma.anonVma?.root;
    pfn = frames.allocate(anonFlags(vma), anonVma?.id ?? 0, linearIndex(vma, page));
    frames.setStamp(pfn, swap.stamp(slot));
    swap.cache(frames, slot, pfn);
    work.count(FACT.pagesAllocated);
    work.count(FACT.pagesSwappedIn);
  }
  const alone = frames.mapcount(pfn) === 0 && swap.count(slot) === 1;
  const own = (low & EXCLUSIVE) !== 0 || alone;
  frames.addPte(pfn, mm.id);
  mm.rssAnon++;
  mm.nrSwap--;
  const writable = own && (vma.flags & VM_WRITE) !== 0;
  const bits = (own ? EXCLUSIVE : 0) | (writable ? WRITE : 0) | (writable && write ? DIRTY : 0);
  pages.set(page, PRESENT | YOUNG | bits, pfn);
  swap.drop(frames, slot);
  if (write && !writable) writeFault(mm, vma, page, request.stamp);
  else if (write && request.stamp !== null) frames.setStamp(pfn, request.stamp);
  return cached === 0 ? 'swap-in' : 'swap-cached';
}
