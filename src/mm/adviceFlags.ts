/**
 * What advice about a vma does to its flags.
 *
 * Linux   mm/madvise.c: madvise_vma_behavior; spec/vma.md 10
 */
import { EINVAL } from '../abi/errno.ts';
import {
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WIPEONFORK,
} from '../abi/mman.ts';
import { mergeableFlags } from './ksm.ts';
import { refused, type SysResult } from './result.ts';
import type { Vma } from './vma.ts';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_HUGEPAGE,
  VM_IO,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
} from './vmFlags.ts';

/** Returns the flags after advice that changes flags, the refusal, or null for advice about pages. */
export function newFlags(vma: Vma, advice: number): number | SysResult | null {
  const { flags } = vma;
  switch (advice) {
    case MADV_NORMAL:
      return flags & ~(VM_RAND_READ | VM_SEQ_READ);
    case MADV_SEQUENTIAL:
      return (flags & ~VM_RAND_READ) | VM_SEQ_READ;
    case MADV_RANDOM:
      return (flags & ~VM_SEQ_READ) | VM_RAND_READ;
    case MADV_DONTFORK:
      return flags | VM_DONTCOPY;
    case MADV_DOFORK:
      return flags & VM_IO ? refused(EINVAL, 'special') : flags & ~VM_DONTCOPY;
    case MADV_WIPEONFORK:
      return vma.file !== null || flags & VM_SHARED
        ? refused(EINVAL, 'not-anonymous')
        : flags | VM_WIPEONFORK;
    case MADV_KEEPONFORK:
      return flags & VM_DROPPABLE ? refused(EINVAL, 'droppable') : flags & ~VM_WIPEONFORK;
    case MADV_DONTDUMP:
      return flags | VM_DONTDUMP;
    case MADV_DODUMP:
      if (flags & VM_DROPPABLE) return refused(EINVAL, 'droppable');
      return flags & VM_SPECIAL ? refused(EINVAL, 'special') : flags & ~VM_DONTDUMP;
    case MADV_MERGEABLE:
      return mergeableFlags(flags);
    case MADV_UNMERGEABLE:
      return flags & ~VM_MERGEABLE;
    case MADV_HUGEPAGE:
      return (flags & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
    case MADV_NOHUGEPAGE:
      return (flags & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
    default:
      return null;
  }
}
