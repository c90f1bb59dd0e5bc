/**
 * fork and exit of an address space.
 *
 * Each vma of the parent, ascending: DONTCOPY ones are left out; the copy is unlocked, loses its userfaultfd registration (unless the context
 * asked for fork events; then it gets one of its own, and the fork has to be announced), and gets an anon_vma of its own under the parent's. Nothing merges, no map limit is asked. Tables are copied only
 * where something would be lost otherwise; elsewhere the child faults anew.
 *
 * Linux   mm/mmap.c: dup_mmap, exit_mmap; mm/memory.c: vma_needs_copy; spec/vma.md 13
 */
import { ENOMEM } from '../abi/errno.ts';
import { TASK_SIZE } from '../base/units.ts';
import { forkAnonVma, unlinkAnonVmas } from './anonVma.ts';
import { copyPages } from './copyPages.ts';
import { accountVm, countRemoved, duplicateVma, linkVma, Mm, mayCommit, unlinkVma } from './mm.ts';
import { refused, type SysResult } from './result.ts';
import { TlbGather } from './tlb.ts';
import { announceFork, type ForkedContexts, forkContext } from './uffdEvents.ts';
import { nrPagesOf, type Vma } from './vma.ts';
import {
  VM_ACCOUNT,
  VM_DONTCOPY,
  VM_LOCKED_MASK,
  VM_MAYBE_GUARD,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_UFFD_WP,
  VM_WIPEONFORK,
} from './vmFlags.ts';
import { copyVolatile, dropVolatile } from './vrange.ts';
import { FACT } from './work.ts';
import { UNMAP, zapInto } from './zap.ts';

/** Tells whether page tables of `vma` are copied into `copy`, whose registration may differ. Linux: vma_needs_copy(). */
const isTableCopied = (vma: Vma, copy: Vma): boolean =>
  vma.anonVma !== null || (copy.flags & (VM_PFNMAP | VM_MIXEDMAP | VM_MAYBE_GUARD | VM_UFFD_WP)) !== 0;

/**
 * Copies the address space `parent`.
 * @returns  the child, or ENOMEM overcommit (then nothing is left of the child)
 * Events    vmaCreate and anonVmaCreate for the child
 */
export function forkMm(parent: Mm): Mm | SysResult {
  const { kernel } = parent;
  const child = new Mm(kernel, parent.memory);
  copySettings(parent, child);
  const forked: ForkedContexts = new Map();
  for (const vma of parent.vmas) {
    if (vma.flags & VM_DONTCOPY) continue;
    if (vma.flags & VM_ACCOUNT) {
      if (!mayCommit(parent, nrPagesOf(vma))) {
        kernel.tlb.flushAll(parent);
        announceFork(parent, forked, false);
        exitMm(child);
        return refused(ENOMEM, 'overcommit');
      }
      kernel.commit(nrPagesOf(vma));
    }
    copyForChild(parent, child, vma, forked);
  }
  copyVolatile(parent, child);
  kernel.tlb.flushAll(parent);
  announceFork(parent, forked, true);
  // Peaks are its own.
  child.hiwaterVm = child.totalVm;
  child.hiwaterRss = child.rssAnon + child.rssFile + child.rssShmem;
  return child;
}

function copySettings(parent: Mm, child: Mm): void {
  child.memoryMerge = parent.memoryMerge;
  child.mdwe = parent.mdwe && !parent.mdweNotInherited;
  child.ownMapLimit = parent.ownMapLimit;
  child.thpDisabled = parent.thpDisabled;
  child.ptReclaim = parent.ptReclaim;
  child.startBrk = parent.startBrk;
  child.brk = parent.brk;
  child.startCode = parent.startCode;
  child.endCode = parent.endCode;
  child.startData = parent.startData;
  child.endData = parent.endData;
  child.startStack = parent.startStack;
  child.mmapBase = parent.mmapBase;
  child.limits = { ...parent.limits };
  child.privileged = parent.privileged;
}

function copyForChild(parent: Mm, child: Mm, vma: Vma, forked: ForkedContexts): void {
  const copy = duplicateVma(child.kernel, vma);
  copy.flags &= ~VM_LOCKED_MASK;
  forkContext(child, copy, forked);
  linkVma(child, copy, 'fork', vma);
  const wiped = (vma.flags & VM_WIPEONFORK) !== 0;
  if (!wiped) forkAnonVma(child.kernel, copy, vma);
  accountVm(child, copy.flags, nrPagesOf(copy));
  if (!wiped && isTableCopied(vma, copy)) copyPages(parent, child, vma, copy);
  const { work } = child.kernel;
  work.count(FACT.vmasCopied);
  if (copy.anonVma !== null) work.count(FACT.writtenVmasCopied);
}

/** Takes everything down: pages, anon_vma links, promises. The Mm is empty afterwards. */
export function exitMm(mm: Mm): void {
  const tlb = new TlbGather(mm);
  dropVolatile(mm);
  for (const vma of mm.vmas) {
    zapInto(mm, vma, { start: vma.start, end: vma.end, tlb }, UNMAP);
    if (vma.flags & VM_ACCOUNT) mm.kernel.commit(-nrPagesOf(vma));
    accountVm(mm, vma.flags, -nrPagesOf(vma));
    countRemoved(mm.kernel, vma);
    unlinkAnonVmas(mm.kernel, vma);
    unlinkVma(mm, vma, 'exit');
  }
  mm.pages.freeTables(0, TASK_SIZE, 0, Number.MAX_SAFE_INTEGER);
  mm.pages.freeRoot();
  tlb.finish();
  mm.lockedVm = 0;
  mm.lockedLeak = 0;
  mm.memory.mms.delete(mm);
  mm.gone = true;
}
