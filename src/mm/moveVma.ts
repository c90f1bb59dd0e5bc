/**
 * Moving one piece of one vma: the copy at the new place, the pages, what becomes of the old place.
 *
 * What the page offset of the copy is, is decided here, once:
 *   unfaulted anonymous            the page number of the new address (baseline)
 *   faulted anonymous, baseline    unchanged, so it merges only with what it was cut from
 *   seed 004 patch 4               the page number of the new address, if neither the anon_vma nor a page of the vma is shared
 *   MREMAP_RELOCATE_ANON           the same, with a new or the neighbour's anon_vma, done even if nothing merges now
 *
 * Linux   mm/mremap.c: move_vma, unmap_source_vma, dontunmap_complete; mm/vma.c: copy_vma; spec/vma.md 6.5, 15.1, 15.4
 * Left out   failure half-way through the pages and moving everything back
 */
import { EFAULT, EINVAL, ENOMEM } from '../abi/errno.ts';
import { MREMAP_DONTUNMAP, MREMAP_MUST_RELOCATE_ANON, MREMAP_RELOCATE_ANON } from '../abi/mman.ts';
import { type Addr, anonymousPgoff, nrPagesIn, type Pgoff } from '../base/units.ts';
import { type AnonVma, cloneAnonVma, isUnsharedAnonVma, prepareAnonVma, unlinkAnonVmas } from './anonVma.ts';
import type { PgoffUpdate } from './events.ts';
import type { Merge } from './mergeVerdict.ts';
import { accountVm, duplicateVma, type Mm, mayCommit } from './mm.ts';
import { movePages } from './movePages.ts';
import type { Remap } from './mremap.ts';
import { gatherVmas, removeVmas } from './munmap.ts';
import { hasSharedPage, rehomePages } from './pages.ts';
import { ok, refused, type SysResult } from './result.ts';
import { linearIndex } from './rmap.ts';
import { prepareRemapEvent } from './uffdEvents.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { canMergeNewRange, insertVma, mergeNewRange } from './vmaMerge.ts';
import { VM_ACCOUNT, VM_LOCKED, VM_LOCKED_MASK } from './vmFlags.ts';
import { moveVolatile } from './vrange.ts';
import { FACT } from './work.ts';

const isRelocationAsked = (remap: Remap): boolean =>
  (remap.flags & (MREMAP_RELOCATE_ANON | MREMAP_MUST_RELOCATE_ANON)) !== 0;

/** Decides whether the copy of `vma` may get a fresh page offset, and why (not). */
function pgoffUpdateVerdict(mm: Mm, remap: Remap, vma: Vma): PgoffUpdate {
  if (!isAnonymousVma(vma)) return 'not-anonymous';
  if (vma.anonVma === null) return 'unfaulted';
  if (isRelocationAsked(remap)) return relocationVerdict(mm, remap, vma, vma.anonVma);
  const on = mm.kernel.features;
  if (on.mergePgoffOnMove === 'off') return 'kept';
  if (on.mergeSharingCheck !== 'mapcount' && !isUnsharedAnonVma(vma.anonVma)) return 'shared-anon-vma';
  const byPage = on.mergeSharingCheck !== 'anonVma' && hasSharedPage(mm, vma.start, vma.end);
  return byPage ? 'shared-page' : 'updated';
}

/** Decides for the successor. It looks at the moved part only, and leaves the ordinary way alone where that merges. */
function relocationVerdict(mm: Mm, remap: Remap, vma: Vma, anonVma: AnonVma): PgoffUpdate {
  const { addr, oldLen } = remap;
  if (canMergeNewRange(copiedRange(mm, remap, vma, { pgoff: pgoffAt(vma, addr), anonVma }))) return 'kept';
  if (!isUnsharedAnonVma(anonVma)) return 'shared-anon-vma';
  return hasSharedPage(mm, addr, addr + oldLen) ? 'shared-page' : 'relocated';
}

/** Returns the page offset of `addr`, which lies in `vma`. */
const pgoffAt = (vma: Vma, addr: Addr): Pgoff => vma.pgoff + nrPagesIn(addr - vma.start);

/**
 * Moves `remap.oldLen` bytes of `vma` at `remap.addr` to `remap.newAddr`, where `remap.newLen` bytes are free.
 * Refusals   ENOMEM map-count, overcommit · EINVAL special · EFAULT relocate-refused (MREMAP_MUST_RELOCATE_ANON)
 */
export function moveVma(mm: Mm, remap: Remap, vma: Vma): SysResult {
  if (mm.mapCount >= mm.maxMapCount - 3) return refused(ENOMEM, 'map-count');
  const isWhole = vma.start === remap.addr && vma.end === remap.addr + remap.oldLen;
  if (vma.special !== null && !isWhole) return refused(EINVAL, 'special');
  const dontUnmap = (remap.flags & MREMAP_DONTUNMAP) !== 0;
  const charge =
    vma.flags & VM_ACCOUNT ? nrPagesIn(dontUnmap ? remap.newLen : remap.newLen - remap.oldLen) : 0;
  if (charge > 0 && !mayCommit(mm, charge)) return refused(ENOMEM, 'overcommit');
  const update = pgoffUpdateVerdict(mm, remap, vma);
  const refusedShare = update === 'shared-anon-vma' || update === 'shared-page';
  if (remap.flags & MREMAP_MUST_RELOCATE_ANON && (refusedShare || update === 'not-anonymous'))
    return refused(EFAULT, 'relocate-refused');
  mm.kernel.commit(charge);
  const sourceAnonVma = vma.anonVma;
  const moved = copyVma(mm, remap, vma, update);
  const { flags } = vma;
  // The copy may have merged with what it is a copy of.
  const source = moved.start <= remap.addr && remap.addr < moved.end ? moved : vma;
  const isRewritten = update === 'updated' || update === 'relocated';
  movePages(mm, {
    from: remap.addr,
    to: remap.newAddr,
    len: remap.oldLen,
    source,
    target: moved,
    byEntry: isRewritten,
  });
  moveVolatile(mm, remap.addr, remap.newAddr, remap.oldLen);
  if (isRewritten || sourceAnonVma !== moved.anonVma) rehomeMoved(mm, remap, moved, sourceAnonVma);
  mm.kernel.work.count(FACT.vmasMoved);
  prepareRemapEvent(mm, moved, remap);
  // For a moment both places count, which is no peak.
  const { hiwaterVm } = mm;
  accountVm(mm, flags, nrPagesIn(remap.newLen));
  if (flags & VM_LOCKED) mm.lockedVm += nrPagesIn(remap.newLen);
  if (dontUnmap) keepSource(mm, remap, source, moved);
  else unmapSource(mm, remap);
  mm.hiwaterVm = hiwaterVm;
  return ok(remap.newAddr);
}

/** Makes (or finds by merging) the vma at the new place. */
function copyVma(mm: Mm, remap: Remap, vma: Vma, update: PgoffUpdate): Vma {
  const { addr, newAddr, newLen } = remap;
  const faulted = vma.anonVma !== null;
  const oldPgoff = pgoffAt(vma, addr);
  const relocated = update === 'relocated';
  const fresh = update === 'unfaulted' || update === 'updated' || relocated;
  const pgoff = fresh ? anonymousPgoff(newAddr) : oldPgoff;
  // What is relocated comes as if it had never been written: it takes the anon_vma that it finds, or a new one.
  const anonVma = relocated ? null : vma.anonVma;
  const merged = mergeNewRange(copiedRange(mm, remap, vma, { pgoff, anonVma }));
  const target = merged ?? insertCopy(mm, remap, vma, { pgoff, relocated });
  if (relocated) prepareAnonVma(mm.kernel, target);
  const { kernel } = mm;
  if (merged !== null)
    kernel.emit?.({ kind: 'pgoffMerge', op: kernel.opNr, mm: mm.id, faulted, updated: fresh });
  kernel.emit?.({
    kind: 'vmaMove',
    op: kernel.opNr,
    mm: mm.id,
    source: vma.id,
    vma: target.id,
    from: addr,
    to: newAddr,
    len: newLen,
    pgoffBefore: oldPgoff,
    pgoffAfter: pgoff,
    pgoffUpdate: update,
  });
  return target;
}

function copiedRange(mm: Mm, remap: Remap, vma: Vma, as: { pgoff: Pgoff; anonVma: AnonVma | null }): Merge {
  const next = mm.vmas.firstEndingAbove(remap.newAddr);
  return {
    mm,
    cause: 'mremap',
    start: remap.newAddr,
    end: remap.newAddr + remap.newLen,
    flags: vma.flags,
    pgoff: as.pgoff,
    file: vma.file,
    anonVma: as.anonVma,
    policy: vma.policy,
    uffd: vma.uffd,
    name: vma.name,
    isVolatile: vma.isVolatile,
    isPtReclaimed: vma.isPtReclaimed,
    prev: next === null ? mm.vmas.last : next.prev,
    next,
    middle: null,
    copiedFrom: vma,
    leftOnly: false,
  };
}

function insertCopy(mm: Mm, remap: Remap, vma: Vma, how: { pgoff: Pgoff; relocated: boolean }): Vma {
  const copy = duplicateVma(mm.kernel, vma);
  copy.start = remap.newAddr;
  copy.end = remap.newAddr + remap.newLen;
  copy.pgoff = how.pgoff;
  if (!how.relocated) cloneAnonVma(copy, vma);
  return insertVma(mm, copy, 'mremap', vma);
}

/** Moved pages that come under another anon_vma, or at other page offsets, are told so (seed 004 and its successor). */
function rehomeMoved(mm: Mm, remap: Remap, moved: Vma, from: AnonVma | null): void {
  const to = moved.anonVma;
  if (from === null || to === null) return;
  const { newAddr, oldLen } = remap;
  const range = { start: newAddr, end: newAddr + oldLen };
  const pages = rehomePages(mm, range, { anonVma: to, pgoff: linearIndex(moved, newAddr) });
  if (from === to) return;
  mm.kernel.emit?.({
    kind: 'anonVmaRehome',
    op: mm.kernel.opNr,
    mm: mm.id,
    from: from.id,
    to: to.id,
    ...range,
    pages,
  });
}

/** DONTUNMAP: the source stays mapped and empty, loses its lock, and its anon_vma if all of it was moved. */
function keepSource(mm: Mm, remap: Remap, vma: Vma, moved: Vma): void {
  if (vma.flags & VM_LOCKED) mm.lockedLeak += nrPagesIn(vma.end - vma.start);
  vma.flags &= ~VM_LOCKED_MASK;
  const whole = remap.addr === vma.start && remap.addr + remap.oldLen === vma.end;
  if (vma !== moved && whole) unlinkAnonVmas(mm.kernel, vma);
  const { kernel } = mm;
  kernel.emit?.({
    kind: 'flags',
    op: kernel.opNr,
    mm: mm.id,
    vma: vma.id,
    flags: vma.flags,
    cause: 'mremap',
  });
}

/**
 * Unmaps what was moved. Its promise went along with it, so nothing is given back. The splits need no room: the caller left four vmas' worth.
 */
function unmapSource(mm: Mm, remap: Remap): void {
  if (remap.oldLen === 0) return;
  const gathered = gatherVmas(mm, remap.addr, remap.addr + remap.oldLen, 'mremap');
  if (!('why' in gathered)) removeVmas(mm, gathered, { cause: 'mremap', uncommit: false });
}
