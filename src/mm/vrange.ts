/**
 * vrange(2), the call of seed 002: memory that the kernel may throw away while its owner does not need it.
 *
 *   VOLATILE     the pages stay readable and writable; under pressure they go (vrangePurge.ts), and who touches one that went gets SIGBUS
 *   NOVOLATILE   they are the owner's again, who is told whether something in this range was purged; what was purged reads as zeros
 *
 * All or nothing: an error changes nothing. Volatility belongs to addresses and not to vmas: splits, merges, mprotect and advice leave it alone, munmap ends it, mremap takes it
 * along, fork copies it. With `vrangeLock=write` it is a flag of vmas besides, as in the later versions of the series: it splits and merges them.
 *
 * Cost    O(log nodes); NOVOLATILE of a node from which something was purged looks at the entries of the range
 * Linux   never merged; seed 002 (v7), results and rules where its versions differ: spec/volatile-ranges.md 3.1
 * Left out   files and shared memory, which v8 to v10 had
 */
import { EINVAL, ENOMEM, ENOSYS } from '../abi/errno.ts';
import { VRANGE_FULL, VRANGE_NOVOLATILE, VRANGE_PARTIAL, VRANGE_VOLATILE } from '../abi/vrange.ts';
import { type Addr, isPageAligned, TASK_SIZE } from '../base/units.ts';
import type { VrangeEffect } from './events.ts';
import type { Features } from './features.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { KIND_MASK, MARKER, MARKER_PURGED, NONE } from './pte.ts';
import { OK, ok, refused, type SysResult } from './result.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { modifyVma } from './vmaMerge.ts';
import { VM_LOCKED, VM_SHARED, VM_SPECIAL } from './vmFlags.ts';
import { type VrangeBehavior, VrangeTree } from './vrangeTree.ts';
import { FACT } from './work.ts';

/** Tells whether the call exists. */
export const canVrange = ({ kernel }: Mm): boolean => kernel.features.vrange === 'on';

/** What the call locks: nothing of the address space, or mmap_lock for reading, or for writing. */
export type VrangeLock = Features['vrangeLock'];

/** Decides what the call locks. */
export const vrangeLockVerdict = ({ features }: Kernel): VrangeLock => features.vrangeLock;

/** Tells whether volatility is a flag of vmas too. */
const isVmaFlag = ({ kernel }: Mm): boolean => vrangeLockVerdict(kernel) === 'write';

/** The arguments of vrange. */
export interface VrangeRequest {
  readonly addr: Addr;
  /** Bytes, whole pages. */
  readonly len: number;
  /** VRANGE_VOLATILE or VRANGE_NOVOLATILE. */
  readonly mode: number;
  /** VRANGE_FULL or VRANGE_PARTIAL. */
  readonly behavior?: number;
}

/**
 * vrange(2).
 *
 * @returns  0; 1 from NOVOLATILE if a page of the range was purged
 * Refusals  ENOSYS not-configured · EINVAL unaligned, bad-length, wraps, bad-flags, not-anonymous, special, locked · ENOMEM hole, map-count
 * Events    vrange; vmaSplit, vmaMerge with vrangeLock=write
 * Source    spec/volatile-ranges.md 3.1, 3.2
 */
export function vrange(mm: Mm, request: VrangeRequest): SysResult {
  const { addr, len, mode, behavior = VRANGE_FULL } = request;
  if (!canVrange(mm)) return refused(ENOSYS, 'not-configured');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (len <= 0 || !isPageAligned(len)) return refused(EINVAL, 'bad-length');
  if (addr + len >= 2 ** 64) return refused(EINVAL, 'wraps');
  if (addr + len > TASK_SIZE) return refused(ENOMEM, 'hole');
  if (mode !== VRANGE_VOLATILE && mode !== VRANGE_NOVOLATILE) return refused(EINVAL, 'bad-flags');
  if (behavior !== VRANGE_FULL && behavior !== VRANGE_PARTIAL) return refused(EINVAL, 'bad-flags');
  const range = { start: addr, end: addr + len };
  const unfit = refusalFor(mm, range, mode);
  if (unfit !== null) return unfit;
  if (isVmaFlag(mm) && !flagVmas(mm, range, mode === VRANGE_VOLATILE)) return refused(ENOMEM, 'map-count');
  if (mode === VRANGE_NOVOLATILE) return takeBack(mm, range) > 0 ? ok(1) : OK;
  mark(mm, range, behavior === VRANGE_FULL ? 'full' : 'partial');
  return OK;
}

/** Marks a range. */
function mark(mm: Mm, range: { start: Addr; end: Addr }, behavior: VrangeBehavior): void {
  const { kernel } = mm;
  const { work, vrangeLru } = kernel;
  work.count(FACT.vrangeVolatileCalls);
  mm.vranges ??= new VrangeTree(mm, vrangeLru);
  const absorbed = mm.vranges.mark(range, behavior);
  if (absorbed !== null && absorbed > 0) work.count(FACT.vrangesMerged, absorbed);
  if (kernel.emit === null) return;
  const effect = absorbed === null ? 'already' : absorbed > 0 ? 'joined' : 'marked';
  announce(mm, range, { effect, behavior, absorbed: absorbed ?? 0 });
}

/** Tells what a call did. */
function announce(
  mm: Mm,
  { start, end }: { start: Addr; end: Addr },
  what: {
    effect: VrangeEffect;
    behavior?: VrangeBehavior;
    absorbed?: number;
    split?: number;
    purged?: number;
  },
): void {
  const { effect, behavior = null, absorbed = 0, split = 0, purged = 0 } = what;
  const { kernel } = mm;
  kernel.emit?.({
    kind: 'vrange',
    op: kernel.opNr,
    mm: mm.id,
    start,
    end,
    effect,
    behavior,
    absorbed,
    split,
    purged,
  });
}

/** Returns why the memory of a range cannot be volatile, or null. Lowest address first. */
function refusalFor(mm: Mm, range: { start: Addr; end: Addr }, mode: number): SysResult | null {
  for (let at = range.start; at < range.end; ) {
    const vma = mm.vmas.at(at);
    if (vma === null) return refused(ENOMEM, 'hole');
    if (vma.flags & VM_SHARED || !isAnonymousVma(vma)) return refused(EINVAL, 'not-anonymous');
    if (vma.flags & VM_SPECIAL) return refused(EINVAL, 'special');
    if (mode === VRANGE_VOLATILE && vma.flags & VM_LOCKED) return refused(EINVAL, 'locked');
    at = vma.end;
  }
  return null;
}

/** Sets or clears the flag of the vmas in a range. Returns false if there may be no more vmas; then nothing has changed. */
function flagVmas(mm: Mm, range: { start: Addr; end: Addr }, isVolatile: boolean): boolean {
  // At most two splits: without room for them nothing is begun.
  if (splitsNeeded(mm, range, isVolatile) > mm.maxMapCount - mm.mapCount) return false;
  for (let at = range.start; at < range.end; ) {
    const vma = mm.vmas.at(at) as Vma;
    const piece = { start: at, end: Math.min(vma.end, range.end), cause: 'vrange' as const };
    at = piece.end;
    if (vma.isVolatile !== isVolatile) modifyVma(mm, vma, piece, { isVolatile });
  }
  return true;
}

function splitsNeeded(mm: Mm, { start, end }: { start: Addr; end: Addr }, isVolatile: boolean): number {
  const isCut = (at: Addr): boolean => {
    const vma = mm.vmas.at(at);
    return vma !== null && vma.start < at && vma.isVolatile !== isVolatile;
  };
  return (isCut(start) ? 1 : 0) + (isCut(end) ? 1 : 0);
}

/** Ends volatility of a range. Returns how many of its pages were purged; they read as zeros from now on. */
function takeBack(mm: Mm, range: { start: Addr; end: Addr }): number {
  const { work } = mm.kernel;
  work.count(FACT.vrangeNovolatileCalls);
  const { vranges } = mm;
  const nodes = vranges === null ? [] : vranges.overlapping(range);
  if (vranges === null || nodes.length === 0) {
    announce(mm, range, { effect: 'nothing' });
    return 0;
  }
  let purged = 0;
  for (const node of nodes) {
    if (!node.hint) continue;
    const found = unmarkPurged(mm, Math.max(range.start, node.start), Math.min(range.end, node.end));
    if (found === 0) work.count(FACT.vrangeFalseHintWalks);
    purged += found;
  }
  const split = vranges.clear(range, nodes);
  if (split > 0) work.count(FACT.vrangesSplit, split);
  announce(mm, range, { effect: purged > 0 ? 'lost' : 'intact', split, purged });
  return purged;
}

/** Clears the markers of what was purged in [start, end). Returns how many there were. */
function unmarkPurged(mm: Mm, start: Addr, end: Addr): number {
  let found = 0;
  let walked = 0;
  mm.pages.transform(start, end, (low, high) => {
    walked++;
    if ((low & KIND_MASK) !== MARKER || high !== MARKER_PURGED) return low;
    found++;
    return NONE;
  });
  mm.kernel.work.count(FACT.vrangePagesWalked, walked);
  mm.kernel.work.count(FACT.markersZapped, found);
  return found;
}

/** Memory of [start, end) is gone, or new: nothing there is volatile. */
export const forgetVolatile = (mm: Mm, start: Addr, end: Addr): void => {
  mm.vranges?.clear({ start, end });
};

/** Pages were moved: volatility goes with them. */
export const moveVolatile = (mm: Mm, from: Addr, to: Addr, len: number): void => {
  mm.vranges?.move(from, to, len);
};

/** The child of a fork has the volatile ranges of its parent, where it has its memory. */
export function copyVolatile(parent: Mm, child: Mm): void {
  if (parent.vranges === null || parent.vranges.size === 0) return;
  child.vranges = new VrangeTree(child, child.kernel.vrangeLru);
  parent.vranges.copyTo(child.vranges);
  let from = 0;
  for (const vma of child.vmas) {
    if (from < vma.start) child.vranges.clear({ start: from, end: vma.start });
    from = vma.end;
  }
  child.vranges.clear({ start: from, end: TASK_SIZE });
}

/** The address space goes. */
export function dropVolatile(mm: Mm): void {
  mm.vranges?.dispose();
  mm.vranges = null;
}

/** Tells whether the page at `addr` is in a volatile range. */
export const isVolatileAt = (mm: Mm, addr: Addr): boolean => mm.vranges?.at(addr) != null;
