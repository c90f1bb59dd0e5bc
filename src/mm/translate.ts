/**
 * Accesses that need no fault, as the processor makes them: the entry allows it, gets its young and dirty bits, and the frame is known.
 *
 * For programs that read and write the bytes of their memory. What comes back as a miss goes through `accessPage` (fault.ts).
 *
 * Cost    one tree look-up (the last vma is tried first) and one table walk
 * Linux   none: this is the hardware; the vma is asked because entries do not tell reading from no access
 */
import { type Addr, pageFloor, pteIndex } from '../base/units.ts';
import type { FaultAccess } from './fault.ts';
import type { Pfn } from './frames.ts';
import type { Mm } from './mm.ts';
import { DIRTY, HUGE, KIND_MASK, NONE, PRESENT, WRITE, YOUNG, ZERO_PAGE } from './pte.ts';
import { VM_EXEC, VM_READ, VM_WRITE } from './vmFlags.ts';
import { PATH } from './work.ts';

/** What `translate` returns when the access needs a fault. */
export const MISS = -1;

const MARK_DIRTY = PATH['mark-dirty'];
const VM_ANY = VM_READ | VM_WRITE | VM_EXEC;

/** Tells whether the entry `low` lets a load, or a store, through. */
const isOpen = (low: number, write: boolean): boolean => {
  const kind = low & KIND_MASK;
  return write ? kind === PRESENT && (low & WRITE) !== 0 : kind === PRESENT || kind === ZERO_PAGE;
};

/**
 * Makes one access at `addr` if it needs no fault.
 * @returns  the frame (ZERO_FRAME where the zero page is mapped), or MISS: nothing was changed then
 */
export function translate(mm: Mm, addr: Addr, access: FaultAccess): Pfn | typeof MISS {
  const write = access === 'write';
  const needed = write ? VM_WRITE : access === 'exec' ? VM_EXEC : VM_ANY;
  const vma = mm.vmas.at(addr);
  if (vma === null || (vma.flags & needed) === 0) return MISS;
  const { pages } = mm;
  const low = pages.low(addr);
  if (low === NONE) return translateHuge(mm, addr, write);
  if (!isOpen(low, write)) return MISS;
  if ((low & KIND_MASK) === ZERO_PAGE) return 0;
  const bits = write ? DIRTY | YOUNG : YOUNG;
  if ((low & bits) !== bits) {
    pages.setLow(pageFloor(addr), low | bits);
    if (write && (low & DIRTY) === 0) mm.kernel.work.charge(MARK_DIRTY, 1);
  }
  return pages.high(addr);
}

function translateHuge({ pages }: Mm, addr: Addr, write: boolean): Pfn | typeof MISS {
  const pmd = pages.pmd(addr);
  if ((pmd & HUGE) === 0 || !isOpen(pmd, write)) return MISS;
  if ((pmd & KIND_MASK) === ZERO_PAGE) return 0;
  const bits = write ? DIRTY | YOUNG : YOUNG;
  if ((pmd & bits) !== bits) pages.setHugeLow(addr, pmd | bits);
  return pages.pmdHigh(addr) + pteIndex(addr);
}
