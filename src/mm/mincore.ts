/**
 * mincore(2) and msync(2): calls that look at a range and change nothing in it that its owner sees.
 *
 * Linux   mm/mincore.c, mm/msync.c; spec/vma.md 11
 */
import { EBUSY, EINVAL, ENOMEM } from '../abi/errno.ts';
import { MS_ASYNC, MS_INVALIDATE, MS_SYNC } from '../abi/mman.ts';
import { type Addr, isPageAligned, nrPagesIn, PAGE_SIZE, pageCeil, TASK_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { firstHole } from './mseal.ts';
import { writeBack } from './pageCache.ts';
import { OK, refused, type SysResult } from './result.ts';
import { linearIndex } from './rmap.ts';
import type { Vma } from './vma.ts';
import { VM_LOCKED, VM_SHARED } from './vmFlags.ts';

/**
 * mincore(2).
 * @param addr  page aligned; len bytes, rounded up
 * @returns     0 and one flag a page in `resident`
 * Refusals     EINVAL unaligned · ENOMEM beyond-task-size, hole
 */
export function mincore(
  mm: Mm,
  addr: Addr,
  len: number,
): SysResult & { readonly resident?: readonly boolean[] } {
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (addr > TASK_SIZE || len > TASK_SIZE - addr) return refused(ENOMEM, 'beyond-task-size');
  const end = addr + pageCeil(len);
  if (firstHole(mm, addr, end) !== null) return refused(ENOMEM, 'hole');
  const resident: boolean[] = [];
  let vma = mm.vmas.at(addr);
  for (let at = addr; at < end; at += PAGE_SIZE) {
    while (vma !== null && vma.end <= at) vma = vma.next;
    resident.push(vma !== null && (isHidden(mm, vma) || isResident(mm, vma, at)));
  }
  return { ...OK, resident };
}

/** Tells whether every page counts as there, because whose file it is does not want to be looked at: root's on a disk, and who asks is not root. */
const isHidden = (mm: Mm, { file }: Vma): boolean =>
  !mm.privileged && file !== null && file.object.isInMemory;

/** Anonymous memory: something is mapped. Files: the page is in the page cache, mapped or not. */
function isResident(mm: Mm, vma: Vma, addr: Addr): boolean {
  const kind = mm.pages.kind(addr);
  if (kind === 'present' || kind === 'zeroPage' || kind === 'migration') return true;
  if (kind === 'swap') return mm.kernel.swap.cached(mm.pages.high(addr)) !== 0;
  // A marker hides nothing of a file.
  if (vma.file === null || (kind !== 'none' && kind !== 'marker')) return false;
  const { kernel } = mm;
  const { object } = vma.file;
  const pgoff = vma.pgoff + nrPagesIn(addr - vma.start);
  const slot = kernel.sharedSwap.slotOf(object, pgoff);
  return slot === null ? kernel.cache.has(object, pgoff) : kernel.swap.cached(slot) !== 0;
}

/**
 * msync(2).
 * Refusals   EINVAL bad-flags, unaligned · ENOMEM wraps, hole (after the rest was done) · EBUSY locked (MS_INVALIDATE)
 */
export function msync(mm: Mm, addr: Addr, len: number, flags: number): SysResult {
  if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) return refused(EINVAL, 'bad-flags');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (flags & MS_ASYNC && flags & MS_SYNC) return refused(EINVAL, 'bad-flags');
  const bytes = pageCeil(len);
  if (bytes >= 2 ** 64) return OK; // a length that wraps to nothing
  if (addr + bytes >= 2 ** 64) return refused(ENOMEM, 'wraps');
  const end = addr + bytes;
  let hole = false;
  for (let from = addr; from < end; ) {
    const vma = mm.vmas.firstEndingAbove(from);
    if (vma === null) return refused(ENOMEM, 'hole');
    if (vma.start > from) {
      hole = true;
      if (flags === MS_ASYNC || vma.start >= end) break;
    }
    if (flags & MS_INVALIDATE && vma.flags & VM_LOCKED) return refused(EBUSY, 'locked');
    if (flags & MS_SYNC && vma.file !== null && vma.flags & VM_SHARED)
      writeBack(
        mm.kernel,
        vma.file.object,
        linearIndex(vma, Math.max(from, vma.start)),
        linearIndex(vma, Math.min(end, vma.end)),
      );
    from = vma.end;
  }
  return hole ? refused(ENOMEM, 'hole') : OK;
}
