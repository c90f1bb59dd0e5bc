/**
 * What the kernel notes in an entry when it lets a store through, and where the next store has to be noted.
 *
 *   dirty        always
 *   soft-dirty   if the kernel keeps that bit (`softDirty`): written since /proc/PID/clear_refs was told so
 *   uffd-wp      in memory registered with a context that turns the bit around (`wpAsync=inverted`): written since it was cleared
 *
 * The processor knows of the first only. Where one of the others is to be set, the entry has no write access until it is: so a store
 * that needs a fault sets all of them, and one that needs none finds them set.
 *
 * Invariants   [soft-dirty] in memory that is tracked, an entry with write access is soft-dirty
 *              [uffd-inverted] where a context turns the bit around, an entry with write access has it
 * Linux        arch/x86: pte_mkdirty; mm/internal.h: vma_soft_dirty_enabled, pte_needs_soft_dirty_wp; `inverted` is in no kernel (seed 001)
 */
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { DIRTY, SOFT_DIRTY, UFFD_WP } from './pte.ts';
import type { Vma } from './vma.ts';
import { VM_SOFTDIRTY, VM_UFFD_WP } from './vmFlags.ts';

/** Tells whether entries have a soft-dirty bit. Linux: pgtable_supports_soft_dirty() */
export const isSoftDirtyKept = (kernel: Kernel): boolean => kernel.features.softDirty === 'on';

/** The bit that `kernel` keeps beside dirty: SOFT_DIRTY, or 0. */
export const softDirtyBit = (kernel: Kernel): number => (isSoftDirtyKept(kernel) ? SOFT_DIRTY : 0);

/** The flag of vmas that are new: all of their pages count as written. */
export const softDirtyFlag = (kernel: Kernel): number => (isSoftDirtyKept(kernel) ? VM_SOFTDIRTY : 0);

/** Tells whether writes to `vma` are noted page by page: it is not new since clear_refs. Linux: vma_soft_dirty_enabled() */
export const isTracked = (vma: Vma): boolean =>
  (vma.flags & VM_SOFTDIRTY) === 0 && vma.mm !== null && isSoftDirtyKept(vma.mm.kernel);

/** Tells whether the first store to an entry with these bits has to be noted. Linux: pte_needs_soft_dirty_wp() */
export const isStoreAwaited = (vma: Vma, low: number): boolean => (low & SOFT_DIRTY) === 0 && isTracked(vma);

/** Tells whether the bit of userfaultfd means written, and not protected, in `vma`. */
export const isInverted = (vma: Vma): boolean =>
  (vma.flags & VM_UFFD_WP) !== 0 && vma.uffd?.isInverted === true;

/** UFFD_WP where that means written, else 0. */
export const writtenBit = (vma: Vma): number =>
  (vma.flags & VM_UFFD_WP) !== 0 && vma.uffd?.isInverted === true ? UFFD_WP : 0;

/** The bits that a store leaves in an entry of `vma`, besides write access and young. */
export const storeBits = (mm: Mm, vma: Vma): number =>
  DIRTY | mm.kernel.softDirtyBit | (vma.flags & VM_UFFD_WP ? writtenBit(vma) : 0);
