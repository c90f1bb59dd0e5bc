/**
 * What hardware access the entries of a vma get when they are set, from the flags of the vma.
 *
 * Linux   vm_get_page_prot(), vma_wants_writenotify(), vma_wants_manual_pte_write_upgrade()
 */
import { isTracked } from './storeBits.ts';
import { isSharedMemory, type Vma } from './vma.ts';
import { VM_SHARED, VM_UFFD_WP, VM_WRITE } from './vmFlags.ts';

/** Tells whether the first store to each page of a shared mapping has to be noted: by its file (shared memory does not), or by who tracks writes. */
export const isWriteNotified = (vma: Vma): boolean =>
  (vma.flags & (VM_SHARED | VM_WRITE)) === (VM_SHARED | VM_WRITE) &&
  ((vma.flags & VM_UFFD_WP) !== 0 || isTracked(vma) || isNotifiedFile(vma));

/** Tells whether the file of `vma` wants to know of the first store to each page. Linux: vm_ops_needs_writenotify() */
const isNotifiedFile = (vma: Vma): boolean => vma.file !== null && !isSharedMemory(vma.file.object);

/**
 * Tells whether entries of `vma`, which may be written, gain write access one by one when its access changes: not in shared memory that is tracked, where
 * even pages that were stored to take a fault. Linux: vma_wants_manual_pte_write_upgrade()
 */
export const isUpgradedByPage = (vma: Vma): boolean =>
  vma.flags & VM_SHARED ? isNotifiedFile(vma) : (vma.flags & VM_WRITE) !== 0;

/** Tells whether every entry of `vma` is writable from the start: shared, writable, and nobody has to be told of the first store. */
export const isSharedWritable = (vma: Vma): boolean =>
  (vma.flags & (VM_SHARED | VM_WRITE)) === (VM_SHARED | VM_WRITE) && !isWriteNotified(vma);
