/**
 * PR_SET_MEMORY_MERGE: the process asks that all its pages may be merged with equal ones. Here only the flag that says so: which vmas
 * have VM_MERGEABLE decides which of them merge with each other.
 *
 * The switch sets or clears the flag of every vma at once, without merging or splitting any; new vmas then start with it.
 * Linux      mm/ksm.c: ksm_enable_merge_any, ksm_disable_merge_any, vma_ksm_compatible; spec/vma.md 3.2
 * Left out   KSM pages
 */
import type { Mm } from './mm.ts';
import { OK, type SysResult } from './result.ts';
import { VM_DROPPABLE, VM_MAYSHARE, VM_MERGEABLE, VM_SHARED, VM_SPECIAL } from './vmFlags.ts';

const NO_KSM = VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_DROPPABLE;

/** Returns `flags` as MADV_MERGEABLE leaves them: shared, special and droppable memory takes no part. */
export const mergeableFlags = (flags: number): number => (flags & NO_KSM ? flags : flags | VM_MERGEABLE);

/**
 * prctl(PR_SET_MEMORY_MERGE).
 * Cost     one step a vma when the switch moves
 * Events   flags
 */
export function setMemoryMerge(mm: Mm, on: boolean): SysResult {
  if (mm.memoryMerge === on) return OK;
  mm.memoryMerge = on;
  const { kernel } = mm;
  for (const vma of mm.vmas) {
    const flags = on ? mergeableFlags(vma.flags) : vma.flags & ~VM_MERGEABLE;
    if (flags === vma.flags) continue;
    vma.flags = flags;
    kernel.emit?.({ kind: 'flags', op: kernel.opNr, mm: mm.id, vma: vma.id, flags, cause: 'ksm' });
  }
  return OK;
}
