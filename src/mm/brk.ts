/**
 * brk(2): moving the end of the heap. Never returns an error: the answer is the break as it is afterwards.
 *
 * Linux   mm/mmap.c: brk, do_brk_flags; spec/vma.md 7
 * Left out   CONFIG_COMPAT_BRK
 */
import { type Addr, anonymousPgoff, nrPagesIn, PAGE_SIZE, pageCeil, TASK_SIZE } from '../base/units.ts';
import { accountVm, exceededLimit, type Mm, mayCommit, mayLockMore } from './mm.ts';
import { unmapRange } from './munmap.ts';
import { populateRange } from './populate.ts';
import { ok, type SysResult, type Why } from './result.ts';
import { softDirtyFlag } from './storeBits.ts';
import { startGap } from './unmappedArea.ts';
import { Vma } from './vma.ts';
import { insertVma, mergeNewRange, newRangeMerge } from './vmaMerge.ts';
import {
  VM_ACCOUNT,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAY_ALL,
  VM_MERGEABLE,
  VM_READ,
  VM_WRITE,
} from './vmFlags.ts';

/**
 * brk(2).
 *
 * @param addr  the wanted break in bytes; 0 asks for the present one
 * @returns     the break afterwards; `why` tells why a wish was not granted
 * Events       vmaMerge, vmaCreate, vmaRemove
 */
export function brk(mm: Mm, addr: Addr): SysResult {
  const why = changeBrk(mm, addr);
  return why === 'ok' ? ok(mm.brk) : { ret: mm.brk, why };
}

function changeBrk(mm: Mm, addr: Addr): Why {
  if (addr < mm.startBrk) return 'ok';
  if (addr - mm.startBrk + (mm.endData - mm.startData) > mm.limits.data.soft) return 'data-limit';
  const newEnd = pageCeil(addr);
  const oldEnd = pageCeil(mm.brk);
  if (newEnd < oldEnd && addr <= mm.brk) return shrinkBrk(mm, addr, newEnd, oldEnd);
  if (newEnd > oldEnd) {
    const why = growHeap(mm, oldEnd, newEnd);
    if (why !== 'ok') return why;
  }
  mm.brk = addr;
  if (newEnd > oldEnd && (mm.defFlags & (VM_LOCKED | VM_LOCKONFAULT)) === VM_LOCKED)
    populateRange(mm, oldEnd, newEnd, { ignoreErrors: true });
  return 'ok';
}

function shrinkBrk(mm: Mm, addr: Addr, newEnd: Addr, oldEnd: Addr): Why {
  const vma = mm.vmas.firstEndingAbove(newEnd);
  if (vma === null || vma.start >= oldEnd) return 'not-mapped';
  const result = unmapRange(mm, newEnd, oldEnd, 'brk');
  if (result.why !== 'ok') return result.why;
  mm.brk = addr;
  return 'ok';
}

/** Adds [start, end) to the heap: the vma that ends there grows, or a new one begins. Never joins the vma above. */
function growHeap(mm: Mm, start: Addr, end: Addr): Why {
  const pages = nrPagesIn(end - start);
  if (end > TASK_SIZE) return 'beyond-task-size';
  if (!mayLockMore(mm, mm.defFlags, end - start)) return 'locked-limit';
  const above = mm.vmas.firstEndingAbove(start);
  if (above !== null && end + PAGE_SIZE > startGap(mm, above)) return 'heap-blocked';
  let flags = VM_READ | VM_WRITE | VM_MAY_ALL | VM_ACCOUNT | mm.defFlags;
  if (mm.memoryMerge) flags |= VM_MERGEABLE;
  const limit = exceededLimit(mm, flags, pages);
  if (limit !== null) return limit;
  if (mm.mapCount > mm.maxMapCount) return 'map-count';
  if (!mayCommit(mm, pages)) return 'overcommit';
  mm.kernel.commit(pages);
  const range = { start, end, flags, pgoff: anonymousPgoff(start), file: null };
  const merge = { ...newRangeMerge(mm, range, 'brk'), leftOnly: true };
  // Only vmas of the heap are looked at: one that lies below start_brk is no candidate even if it touches.
  const extended = merge.prev !== null && merge.prev.end > mm.startBrk ? mergeNewRange(merge) : null;
  const vma = extended ?? insertVma(mm, new Vma(mm.kernel.nextVmaId(), range), 'brk');
  vma.flags |= softDirtyFlag(mm.kernel);
  accountVm(mm, flags, pages);
  if (flags & VM_LOCKED) mm.lockedVm += pages;
  return 'ok';
}
