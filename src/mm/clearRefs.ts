/**
 * /proc/PID/clear_refs: forgetting which pages were accessed, or written.
 *
 *   1, 2, 3   the accessed bit, of all memory, of vmas without a file, of vmas with one
 *   4         the soft-dirty bit, and that a vma is new; what is mapped loses write access, so that the next store is noted. Where the kernel keeps no
 *             such bit it is taken and does nothing
 *   5         the peak of resident memory
 *
 * Cost    linear in touched entries
 * Linux   fs/proc/task_mmu.c: clear_refs_write, clear_refs_pte_range, clear_soft_dirty. 4 is from its text: the kernel that was measured keeps
 *         no soft-dirty bits
 * Left out   pinned pages, which keep write access there
 */
import { EINVAL } from '../abi/errno.ts';
import type { Mm } from './mm.ts';
import { HUGE, KIND_MASK, PRESENT, SOFT_DIRTY, WRITE, YOUNG } from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { isSoftDirtyKept } from './storeBits.ts';
import type { Vma } from './vma.ts';
import { VM_PFNMAP, VM_SOFTDIRTY } from './vmFlags.ts';
import { FACT } from './work.ts';

/** What can be written to the file. */
export const CLEAR_REFS = { all: 1, anon: 2, mapped: 3, softDirty: 4, hiwaterRss: 5 } as const;

/**
 * Does what writing `what` to /proc/PID/clear_refs of `mm` does.
 * Refusals   EINVAL bad-flags
 * Events     flags (vmas that are not new any more)
 */
export function clearRefs(mm: Mm, what: number): SysResult {
  if (!Number.isInteger(what) || what < CLEAR_REFS.all || what > CLEAR_REFS.hiwaterRss)
    return refused(EINVAL, 'bad-flags');
  if (what === CLEAR_REFS.hiwaterRss) mm.hiwaterRss = mm.rssAnon + mm.rssFile + mm.rssShmem;
  else if (what !== CLEAR_REFS.softDirty) clearAccessed(mm, what);
  else if (isSoftDirtyKept(mm.kernel)) clearSoftDirty(mm);
  return OK;
}

/** Tells whether the pages of `vma` are among those meant. */
const isMeant = (vma: Vma, what: number): boolean => {
  if (vma.flags & VM_PFNMAP) return false;
  if (what === CLEAR_REFS.all) return true;
  return (what === CLEAR_REFS.anon) === (vma.file === null);
};

function clearAccessed(mm: Mm, what: number): void {
  const { pages, kernel } = mm;
  for (const vma of mm.vmas) {
    if (!isMeant(vma, what)) continue;
    const forget = (low: number, high: number): number => {
      if ((low & KIND_MASK) !== PRESENT) return low;
      kernel.frames.clearReferenced(high);
      return low & ~YOUNG;
    };
    pages.forEachSlot(vma.start, vma.end, (base, pmd) => {
      if (pmd & HUGE) pages.setHugeLow(base, forget(pmd, pages.pmdHigh(base)));
    });
    pages.transform(vma.start, vma.end, forget);
  }
}

function clearSoftDirty(mm: Mm): void {
  const { pages, kernel } = mm;
  for (const vma of mm.vmas) {
    if (vma.flags & VM_SOFTDIRTY) {
      vma.flags &= ~VM_SOFTDIRTY;
      const { id, flags } = vma;
      kernel.emit?.({ kind: 'flags', op: kernel.opNr, mm: mm.id, vma: id, flags, cause: 'clear_refs' });
    }
    if (vma.flags & VM_PFNMAP) continue;
    let [ptes, pmds] = [0, 0];
    const forget = (low: number): number => {
      if (low & HUGE) pmds++;
      else ptes++;
      return low & ~(SOFT_DIRTY | WRITE);
    };
    pages.forEachSlot(vma.start, vma.end, (base, pmd) => {
      if (pmd & HUGE) pages.setHugeLow(base, forget(pmd));
    });
    pages.transform(vma.start, vma.end, forget);
    kernel.work.count(FACT.ptesReprotected, ptes);
    kernel.work.count(FACT.pmdsReprotected, pmds);
  }
  kernel.tlb.flushAll(mm);
}
