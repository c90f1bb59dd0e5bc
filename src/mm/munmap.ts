/**
 * Removing mappings: munmap, and what MAP_FIXED, mremap and brk do to what is in their way.
 *
 * Two steps, as in the kernel: gather (split the edges, look for seals) and remove. A refusal in the first step leaves the
 * splits it made; that is visible and specified.
 *
 *   first |------A------|   |--B--|  |------C------|
 *   range        |----------------------|
 *   after |--A--|                        |---C'----|     one split at each edge, no limit asked for these two
 *
 * Cost    O(log n + vmas removed)
 * Linux   mm/vma.c: vms_gather_munmap_vmas, vms_complete_munmap_vmas; spec/vma.md 4
 */
import { EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { type Addr, isPageAligned, PMD_SIZE, pageCeil, TASK_SIZE } from '../base/units.ts';
import { unlinkAnonVmas } from './anonVma.ts';
import type { Cause } from './events.ts';
import { accountVm, countRemoved, type Mm, unlinkVma } from './mm.ts';
import { OK, refused, type SysResult } from './result.ts';
import { TlbGather } from './tlb.ts';
import { prepareUnmapEvent } from './uffdEvents.ts';
import { nrPagesOf, type Vma } from './vma.ts';
import { maySplit, splitVma } from './vmaMerge.ts';
import { VM_ACCOUNT, VM_LOCKED, VM_SEALED } from './vmFlags.ts';
import { forgetVolatile } from './vrange.ts';
import { FACT } from './work.ts';
import { UNMAP, zapInto } from './zap.ts';

/** What lies in a range that is about to be replaced or removed. */
export interface Gathered {
  readonly nrPages: number;
  readonly nrAccounted: number;
  readonly vmas: readonly Vma[];
}

const NOTHING: Gathered = { nrPages: 0, nrAccounted: 0, vmas: [] };

/**
 * Splits the edges of [start, end) and lists the vmas inside.
 * @returns the list, or ENOMEM map-count (a hole strictly inside one vma at the limit) · EPERM sealed · EINVAL special (the kernel's own
 *          pages are whole or gone); earlier splits stay
 */
export function gatherVmas(mm: Mm, start: Addr, end: Addr, cause: Cause): Gathered | SysResult {
  let vma = mm.vmas.firstEndingAbove(start);
  if (vma !== null && vma.start < start) {
    if (end < vma.end && !maySplit(mm)) return refused(ENOMEM, 'map-count');
    if (vma.flags & VM_SEALED) return refused(EPERM, 'sealed');
    if (vma.special !== null) return refused(EINVAL, 'special');
    vma = splitVma(mm, vma, start, cause);
  }
  if (vma === null || vma.start >= end) return NOTHING;
  const vmas: Vma[] = [];
  let nrPages = 0;
  let nrAccounted = 0;
  for (; vma !== null && vma.start < end; vma = vma.next) {
    if (vma.flags & VM_SEALED) return refused(EPERM, 'sealed');
    if (vma.end > end && vma.special !== null) return refused(EINVAL, 'special');
    if (vma.end > end) splitVma(mm, vma, end, cause);
    vmas.push(vma);
    prepareUnmapEvent(mm, vma, start, end);
    nrPages += nrPagesOf(vma);
    if (vma.flags & VM_ACCOUNT) nrAccounted += nrPagesOf(vma);
  }
  return { nrPages, nrAccounted, vmas };
}

/** Removes gathered vmas with their pages and totals; `uncommit` gives their accounted pages back. */
export function removeVmas(
  mm: Mm,
  gathered: Gathered,
  how: { readonly cause: Cause; readonly uncommit: boolean },
): void {
  const { vmas } = gathered;
  if (vmas.length === 0) return;
  const first = vmas[0] as Vma;
  const last = vmas[vmas.length - 1] as Vma;
  const { start } = first;
  const { end } = last;
  const floor = first.prev?.end ?? 0;
  const ceiling = last.next?.start ?? TASK_SIZE + PMD_SIZE;
  const tlb = new TlbGather(mm);
  forgetVolatile(mm, start, end);
  for (const vma of vmas) {
    const pages = nrPagesOf(vma);
    zapInto(mm, vma, { start: vma.start, end: vma.end, tlb }, UNMAP);
    accountVm(mm, vma.flags, -pages);
    if (vma.flags & VM_LOCKED) mm.lockedVm -= pages;
    countRemoved(mm.kernel, vma);
    unlinkAnonVmas(mm.kernel, vma);
    unlinkVma(mm, vma, how.cause);
  }
  const tables = mm.pages.bytes;
  const before = mm.pages.nrPtes;
  mm.pages.freeTables(start, end, floor, ceiling);
  mm.kernel.work.count(FACT.ptFreedUnmapped, before - mm.pages.nrPtes);
  if (mm.pages.bytes < tables) tlb.freedTable(start, end);
  tlb.finish();
  if (how.uncommit) mm.kernel.commit(-gathered.nrAccounted);
}

/** Unmaps [start, end), page aligned. Refusals as `gatherVmas`. */
export function unmapRange(mm: Mm, start: Addr, end: Addr, cause: Cause): SysResult {
  const gathered = gatherVmas(mm, start, end, cause);
  if ('why' in gathered) return gathered;
  removeVmas(mm, gathered, { cause, uncommit: true });
  return OK;
}

/**
 * munmap(2).
 *
 * @param addr  page aligned
 * @param len   bytes, rounded up to pages
 * @returns     0 (also when nothing is mapped there)
 * Refusals     EINVAL unaligned, bad-length, bad-range · ENOMEM map-count · EPERM sealed (the split at `addr` stays)
 * Events       vmaSplit, vmaRemove
 * Source       spec/vma.md 4
 */
export function munmap(mm: Mm, addr: Addr, len: number): SysResult {
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (addr > TASK_SIZE || len > TASK_SIZE - addr) return refused(EINVAL, 'bad-range');
  if (len === 0) return refused(EINVAL, 'bad-length');
  return unmapRange(mm, addr, addr + pageCeil(len), 'munmap');
}
