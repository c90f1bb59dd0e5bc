/**
 * Whether a vma may have huge pages of 2 MiB at all: `THPeligible` of smaps, and what khugepaged asks first.
 *
 * The switch allows it for the flags of the vma, the process has not switched it off, and at least one aligned 2 MiB lies inside. Files on a disk never have any
 * (the kernel modelled is built without); shared memory only where that is switched on for all.
 *
 * Linux   mm/huge_memory.c: __thp_vma_allowable_orders
 */
import { floorTo, PMD_SIZE } from '../base/units.ts';
import { HUGE_PAGES } from './frames.ts';
import { isThpDisabled, type Mm } from './mm.ts';
import { linearIndex } from './rmap.ts';
import { isAnonymousVma, isSharedMemory, type Vma } from './vma.ts';
import { VM_HUGEPAGE } from './vmFlags.ts';

/** Tells whether huge pages may be in `vma` now. */
export function isHugeEligible(mm: Mm, vma: Vma): boolean {
  if (isThpDisabled(mm, vma.flags)) return false;
  const base = floorTo(vma.end - PMD_SIZE, PMD_SIZE);
  if (base < vma.start) return false;
  if (!isAnonymousVma(vma)) return isSharedEligible(mm, vma);
  const { thp } = mm.kernel.features;
  return thp === 'always' || (thp === 'madvise' && (vma.flags & VM_HUGEPAGE) !== 0);
}

const isSharedEligible = (mm: Mm, vma: Vma): boolean =>
  mm.kernel.config.shmemHuge &&
  vma.file !== null &&
  isSharedMemory(vma.file.object) &&
  linearIndex(vma, floorTo(vma.end - PMD_SIZE, PMD_SIZE)) % HUGE_PAGES === 0;
