/**
 * Changing the access of entries after the flags of their vma changed.
 *
 * Write access is taken from entries when the vma loses it. When it gains it, shared memory becomes writable at once, and of private memory those
 * pages that this vma has exclusively; every other page takes a fault at its first store. Entries that are absent stay absent.
 *
 * Cost    linear in the touched entries of the range
 * Linux   mm/mprotect.c: change_protection, can_change_pte_writable; mm/huge_memory.c: change_huge_pmd
 */
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { HUGE_PAGES } from './frames.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { DIRTY, EXCLUSIVE, HUGE, KIND_MASK, MIGRATION, PRESENT, UFFD_WP, WRITE, ZERO_PAGE } from './pte.ts';
import { isInverted, isStoreAwaited } from './storeBits.ts';
import { TlbGather } from './tlb.ts';
import type { Vma } from './vma.ts';
import { isSharedWritable, isUpgradedByPage } from './vmaAccess.ts';
import { VM_EXEC, VM_READ, VM_SHARED, VM_UFFD_WP, VM_WRITE } from './vmFlags.ts';
import { FACT } from './work.ts';

/** Tells whether userfaultfd wants to know of stores to a page; a bit that is left over from an earlier registration does nothing. Linux: userfaultfd_pte_wp() */
export const isProtected = (vma: Vma, low: number): boolean =>
  (vma.flags & VM_UFFD_WP) !== 0 && ((low & UFFD_WP) !== 0) !== isInverted(vma);

/** Tells whether an entry that is mapped without write access may get it without a fault. Linux: can_change_pte_writable(). */
export function mayBecomeWritable(mm: Mm, vma: Vma, low: number, high: number): boolean {
  if ((vma.flags & VM_WRITE) === 0 || isProtected(vma, low) || isStoreAwaited(vma, low)) return false;
  if (vma.flags & VM_SHARED) return isSharedWritable(vma) || (isUpgradedByPage(vma) && (low & DIRTY) !== 0);
  return (low & EXCLUSIVE) !== 0 && mm.kernel.frames.isAnon(high);
}

/** Tells whether an entry that is mapped has less access than before. `was` are the flags that the vma had. */
const isRestricted = (vma: Vma, was: number, low: number, now: number): boolean =>
  (low & ~now & WRITE) !== 0 || (was & ~vma.flags & (VM_READ | VM_EXEC)) !== 0;

/** Gives the entries of [start, end) the access that the flags of `vma` now allow. @param was  the flags it had */
export function protectPages(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, was: number): void {
  const { start, end } = range;
  const { pages, kernel } = mm;
  const { work } = kernel;
  const tlb = new TlbGather(mm);
  let [ptes, pmds] = [0, 0];
  // Of the 2 MiB that are being changed: the first and the last entry that has less access than before.
  let [first, last] = [-1, -1];
  const change = (low: number, high: number, index: number): number => {
    const kind = low & KIND_MASK;
    // A page under way is written to its new frame with the access that its entry says.
    if (kind === MIGRATION) return vma.flags & VM_WRITE ? low : low & ~WRITE;
    if (kind !== PRESENT && kind !== ZERO_PAGE) return low;
    if (low & HUGE) pmds++;
    else ptes++;
    const writable = kind === PRESENT && mayBecomeWritable(mm, vma, low, high);
    const now = writable ? low | WRITE : low & ~WRITE;
    if (isRestricted(vma, was, low, now)) {
      if (first < 0) first = index;
      last = low & HUGE ? HUGE_PAGES - 1 : index;
    }
    return now;
  };
  const flush = (base: Addr): void => {
    if (first >= 0) tlb.changed(base + first * PAGE_SIZE, base + (last + 1) * PAGE_SIZE);
    first = -1;
  };
  pages.forEachSlot(start, end, (base, pmd) => {
    const from = Math.max(start, base);
    const to = Math.min(end, base + PMD_SIZE);
    if (pmd & HUGE) {
      if (to - from === PMD_SIZE) {
        pages.setHugeLow(base, change(pmd, pages.pmdHigh(base), 0));
        flush(base);
        return;
      }
      splitPmd(mm, vma, base);
    }
    pages.transformTable(from, to, change);
    flush(base);
  });
  work.count(FACT.ptesReprotected, ptes);
  work.count(FACT.pmdsReprotected, pmds);
  tlb.finish();
}
