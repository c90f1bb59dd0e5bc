/**
 * mremap(2): resize or move mappings. Also where seed 004 patch 4 and its successor live; pages without their mappings: mremapOnlyPages.ts.
 *
 * One record is threaded through the call: what the program gave, then what was found. Order of a move:
 *
 *   parameters -> vma checks -> (FIXED) unmap target -> (shrink) unmap source tail -> address -> copy vma -> move pages -> unmap source
 *
 * so some failures leave the target gone and some leave it whole (spec/vma.md 6.4). A moved vma keeps its page offset once it was written,
 * unless a proposal recomputes it.
 *
 * Invariants   [remap-bytes] what was at the old place is at the new one, page by page; [remap-count] without DONTUNMAP a move adds no
 *              vma beyond the splits of its edges
 * Cost         O(log n + touched pages of the moved range)
 * Linux        mm/mremap.c; mm/vma.c: copy_vma; spec/vma.md 6, 15
 */
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import {
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MREMAP_MUST_RELOCATE_ANON,
  MREMAP_ONLYPAGES,
  MREMAP_ONLYPAGES_HOLES,
  MREMAP_RELOCATE_ANON,
} from '../abi/mman.ts';
import { type Addr, isPageAligned, nrPagesIn, pageCeil, TASK_SIZE } from '../base/units.ts';
import { accountVm, exceededLimit, type Mm, mayCommit, mayLockMore } from './mm.ts';
import type { NewMapping } from './mmap.ts';
import { moveVma } from './moveVma.ts';
import { canMoveOnlyPages, moveOnlyPages } from './mremapOnlyPages.ts';
import { unmapRange } from './munmap.ts';
import { settlePlacement } from './placement.ts';
import { populateRange } from './populate.ts';
import { OK, ok, refused, type SysResult } from './result.ts';
import { getUnmappedArea } from './unmappedArea.ts';
import type { Vma } from './vma.ts';
import { mergeNewRange } from './vmaMerge.ts';
import {
  VM_ACCOUNT,
  VM_DONTEXPAND,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYSHARE,
  VM_PFNMAP,
  VM_SEALED,
  VM_SHARED,
} from './vmFlags.ts';

/** The arguments of mremap as the program gave them; bytes. */
export interface MremapRequest {
  readonly addr: Addr;
  readonly oldLen: number;
  readonly newLen: number;
  readonly flags: number;
  readonly newAddr: Addr;
  /** Where the kernel put it, when that is known from a recording. */
  readonly chosen: Addr | null;
}

/** One move or resize of one vma's piece; lengths are page aligned. */
export interface Remap {
  readonly flags: number;
  readonly chosen: Addr | null;
  addr: Addr;
  oldLen: number;
  newLen: number;
  newAddr: Addr;
  /** Announcements about what was in the way at the new address: the move is announced after them. */
  earlyEvents: number;
}

const impliesNewAddr = (remap: Remap): boolean => (remap.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;

/** Tells which flag bits the kernel knows. */
const isKnownFlags = (mm: Mm, flags: number): boolean => {
  const relocate =
    mm.kernel.features.mremapRelocateAnon === 'on' ? MREMAP_RELOCATE_ANON | MREMAP_MUST_RELOCATE_ANON : 0;
  return (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP | relocate)) === 0;
};

/** Checks that need no vma. spec/vma.md 6.1. */
function checkParameters(mm: Mm, remap: Remap): SysResult {
  const { flags, addr, oldLen, newLen, newAddr } = remap;
  if (!isKnownFlags(mm, flags)) return refused(EINVAL, 'bad-flags');
  if (flags & (MREMAP_RELOCATE_ANON | MREMAP_MUST_RELOCATE_ANON) && (flags & MREMAP_MAYMOVE) === 0)
    return refused(EINVAL, 'bad-flags');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (newLen === 0) return refused(EINVAL, 'bad-length');
  if (newLen > TASK_SIZE) return refused(EINVAL, 'bad-length');
  if (!impliesNewAddr(remap)) return OK;
  if (newAddr > TASK_SIZE - newLen) return refused(EINVAL, 'bad-range');
  if (!isPageAligned(newAddr)) return refused(EINVAL, 'unaligned');
  if ((flags & MREMAP_MAYMOVE) === 0) return refused(EINVAL, 'bad-flags');
  if (flags & MREMAP_DONTUNMAP && oldLen !== newLen) return refused(EINVAL, 'bad-length');
  if ((addr + oldLen) % 2 ** 64 > newAddr && newAddr + newLen > addr) return refused(EINVAL, 'overlap');
  return mm.mapCount + 2 >= mm.maxMapCount - 3 ? refused(ENOMEM, 'map-count') : OK;
}

/** Checks of the vma that holds `remap.addr`. spec/vma.md 6.2. */
function checkVma(mm: Mm, remap: Remap, vma: Vma | null): SysResult {
  const { addr, oldLen, newLen } = remap;
  if (vma === null) return refused(EFAULT, 'not-mapped');
  if (vma.flags & VM_SEALED) return refused(EPERM, 'sealed');
  if (newLen <= oldLen && !impliesNewAddr(remap)) return OK;
  if (oldLen === 0 && (vma.flags & (VM_SHARED | VM_MAYSHARE)) === 0)
    return refused(EINVAL, 'private-duplicate');
  if (remap.flags & MREMAP_DONTUNMAP && vma.flags & (VM_DONTEXPAND | VM_PFNMAP))
    return refused(EINVAL, 'dont-expand');
  if (Math.min(oldLen, newLen) > vma.end - addr) return refused(EFAULT, 'crosses-vma');
  if (newLen <= oldLen) return OK;
  if (vma.flags & (VM_DONTEXPAND | VM_PFNMAP)) return refused(EFAULT, 'dont-expand');
  const delta = newLen - oldLen;
  if (!mayLockMore(mm, vma.flags, delta)) return refused(EAGAIN, 'locked-limit');
  const limit = exceededLimit(mm, vma.flags, nrPagesIn(delta));
  return limit === null ? OK : refused(ENOMEM, limit);
}

/**
 * mremap(2).
 *
 * @param request  lengths in bytes, rounded up to pages; flags MREMAP_*; newAddr counts with FIXED, and with DONTUNMAP as a hint
 * @returns        the address of the mapping afterwards
 * Refusals        EINVAL, EFAULT, EPERM, ENOMEM, EAGAIN in the order of spec/vma.md 6.1 to 6.6
 * Events          vmaMove, vmaMerge, pgoffMerge, vmaCreate, vmaSplit, vmaRemove, vmaResize, placement
 */
export function mremap(mm: Mm, request: MremapRequest): SysResult {
  const { result, populate } = remapWithoutPages(mm, request);
  if (populate !== null) populateRange(mm, populate.start, populate.end, { ignoreErrors: true });
  return result;
}

/** Does what `mremap` does but for populating what locked memory grew by, which may have to wait. */
export function remapWithoutPages(mm: Mm, request: MremapRequest): NewMapping {
  if (request.flags & (MREMAP_ONLYPAGES | MREMAP_ONLYPAGES_HOLES) && canMoveOnlyPages(mm))
    return { result: moveOnlyPages(mm, request), populate: null };
  const remap: Remap = {
    flags: request.flags,
    chosen: request.chosen,
    addr: request.addr,
    oldLen: pageCeil(request.oldLen) % 2 ** 64,
    newLen: pageCeil(request.newLen) % 2 ** 64,
    newAddr: request.newAddr,
    earlyEvents: 0,
  };
  const parameters = checkParameters(mm, remap);
  if (parameters.why !== 'ok') return { result: parameters, populate: null };
  if (remap.flags & MREMAP_FIXED && remap.oldLen === remap.newLen)
    return { result: moveMany(mm, remap), populate: null };
  const vma = mm.vmas.at(remap.addr);
  const allowed = checkVma(mm, remap, vma);
  if (allowed.why !== 'ok' || vma === null) return { result: allowed, populate: null };
  const grows = remap.newLen > remap.oldLen && (vma.flags & (VM_LOCKED | VM_LOCKONFAULT)) === VM_LOCKED;
  const { oldLen, newLen } = remap;
  const result = impliesNewAddr(remap) ? moveTo(mm, remap) : resizeAt(mm, remap, vma);
  const isPopulated = result.why === 'ok' && grows;
  const populate = isPopulated ? { start: result.ret + oldLen, end: result.ret + newLen } : null;
  return { result, populate };
}

/** Tells whether a move of several vmas may begin: the switch, nothing registered with userfaultfd, no file that places its mappings itself. */
const canMoveWithOthers = (mm: Mm, vma: Vma): boolean =>
  mm.kernel.features.mremapManyVmas === 'on' &&
  vma.uffd === null &&
  vma.file?.object.kind !== 'sysv' &&
  vma.file?.object.kind !== 'zero';

/** Moves every vma of [addr, addr+oldLen) in order, keeping the gaps. An error leaves the pieces before it moved. spec/vma.md 6.6. */
function moveMany(mm: Mm, remap: Remap): SysResult {
  const start = remap.addr;
  const end = start + remap.oldLen;
  const delta = remap.newAddr - start;
  let result: SysResult | null = null;
  let vma = mm.vmas.firstEndingAbove(start);
  // Moved pieces never land inside [start, end), so going on from the last piece's old end sees each source vma once.
  for (
    let from = start;
    from < end && vma !== null && vma.start < end;
    vma = mm.vmas.firstEndingAbove(from)
  ) {
    const addr = Math.max(vma.start, start);
    const stop = Math.min(vma.end, end);
    if (result === null && start < addr) return refused(EFAULT, 'not-mapped');
    if (!canMoveWithOthers(mm, vma) && (result !== null || vma.end < end))
      return refused(EFAULT, 'several-vmas');
    const piece: Remap = { ...remap, addr, oldLen: stop - addr, newLen: stop - addr, newAddr: addr + delta };
    const allowed = checkVma(mm, piece, vma);
    const moved = allowed.why === 'ok' ? moveTo(mm, piece) : allowed;
    if (moved.why !== 'ok') return moved;
    result ??= moved;
    from = stop;
  }
  return result ?? refused(EFAULT, 'not-mapped');
}

/** FIXED and/or DONTUNMAP. spec/vma.md 6.4. */
function moveTo(mm: Mm, remap: Remap): SysResult {
  if (remap.flags & MREMAP_FIXED) {
    const cleared = unmapRange(mm, remap.newAddr, remap.newAddr + remap.newLen, 'mremap');
    if (cleared.why !== 'ok') return cleared;
    if (mm.vmas.at(remap.addr) === null) return refused(EFAULT, 'not-mapped');
    remap.earlyEvents = mm.announcements.length;
  }
  if (remap.newLen < remap.oldLen) {
    const cut = cutTail(mm, remap);
    if (cut.why !== 'ok') return cut;
    remap.oldLen = remap.newLen;
  }
  const vma = mm.vmas.at(remap.addr);
  if (vma === null) return refused(EFAULT, 'not-mapped');
  if (remap.flags & MREMAP_DONTUNMAP) {
    const limit = exceededLimit(mm, vma.flags, nrPagesIn(remap.oldLen));
    if (limit !== null) return refused(ENOMEM, limit);
  }
  return placeAndMove(mm, remap, vma);
}

/** Unmaps what is beyond the new length, which may be far more than there is. */
function cutTail(mm: Mm, remap: Remap): SysResult {
  const { addr, oldLen, newLen } = remap;
  if (oldLen > TASK_SIZE - addr) return refused(EINVAL, 'bad-range');
  return unmapRange(mm, addr + newLen, addr + oldLen, 'mremap');
}

/** Finds the new address and moves there. */
function placeAndMove(mm: Mm, remap: Remap, vma: Vma): SysResult {
  const fixed = (remap.flags & MREMAP_FIXED) !== 0;
  const place = getUnmappedArea(mm, {
    hint: impliesNewAddr(remap) ? remap.newAddr : 0,
    len: remap.newLen,
    fixed,
    shared: (vma.flags & VM_MAYSHARE) !== 0,
    object: vma.file?.object ?? null,
    // Anonymous memory is aligned by its address, whatever its page offset.
    offset: vma.file === null ? 0 : (vma.pgoff + nrPagesIn(remap.addr - vma.start)) * 4096,
    low32: false,
    above4G: false,
  });
  if (typeof place !== 'number') return place;
  const keep = { start: remap.addr, end: remap.addr + remap.oldLen };
  remap.newAddr = fixed
    ? place
    : settlePlacement(mm, { predicted: place, chosen: remap.chosen, len: remap.newLen, keep });
  return moveVma(mm, remap, vma);
}

/** Without a new address: no-op, shrink, growth in place, or a move to where there is room. spec/vma.md 6.3. */
function resizeAt(mm: Mm, remap: Remap, vma: Vma): SysResult {
  const { addr, oldLen, newLen } = remap;
  if (newLen === oldLen) return ok(addr);
  if (newLen < oldLen) {
    const cut = cutTail(mm, remap);
    return cut.why === 'ok' ? ok(addr) : cut;
  }
  if (canGrowInPlace(remap, vma)) return growInPlace(mm, remap, vma);
  return remap.flags & MREMAP_MAYMOVE ? placeAndMove(mm, remap, vma) : refused(ENOMEM, 'may-not-move');
}

/** Tells whether the range ends where its vma ends and the room above is free. The guard gap of a stack above is not considered. */
function canGrowInPlace(remap: Remap, vma: Vma): boolean {
  if (remap.addr + remap.oldLen !== vma.end) return false;
  const end = vma.end + remap.newLen - remap.oldLen;
  return end <= TASK_SIZE && (vma.next === null || vma.next.start >= end);
}

/** Tells whether growth may absorb the vma that it reaches (seed 004 patch 2). */
const canAbsorbNext = (mm: Mm): boolean => mm.kernel.features.mergeAfterResize === 'on';

function growInPlace(mm: Mm, remap: Remap, vma: Vma): SysResult {
  const delta = remap.newLen - remap.oldLen;
  const pages = nrPagesIn(delta);
  const charge = vma.flags & VM_ACCOUNT ? pages : 0;
  if (charge !== 0 && !mayCommit(mm, charge)) return refused(ENOMEM, 'overcommit');
  const { flags } = vma;
  const grown = mergeNewRange({
    mm,
    cause: 'mremap',
    start: vma.end,
    end: vma.end + delta,
    flags,
    pgoff: vma.pgoff + nrPagesIn(vma.end - vma.start),
    file: vma.file,
    anonVma: vma.anonVma,
    policy: vma.policy,
    uffd: vma.uffd,
    name: vma.name,
    isVolatile: vma.isVolatile,
    isPtReclaimed: vma.isPtReclaimed,
    prev: vma,
    next: vma.next,
    middle: null,
    copiedFrom: null,
    leftOnly: !canAbsorbNext(mm),
  });
  if (grown === null) return refused(ENOMEM, 'cannot-extend');
  mm.kernel.commit(charge);
  accountVm(mm, flags, pages);
  if (flags & VM_LOCKED) mm.lockedVm += pages;
  return ok(remap.addr);
}
