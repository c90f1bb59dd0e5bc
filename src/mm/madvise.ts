/**
 * madvise(2).
 *
 * The walk goes over holes and reports them at the end; any other error stops it, and what was done stays. Advice that changes flags goes
 * through merge-else-split; a full map there is EAGAIN. POPULATE_* is another walk (populate.ts).
 *
 * Linux   mm/madvise.c; spec/vma.md 10
 * Left out   HWPOISON, SOFT_OFFLINE; reclaim behind COLD and PAGEOUT beyond swap entries
 */
import { EACCES, EAGAIN, EINVAL, ENOMEM, EOPNOTSUPP, EPERM } from '../abi/errno.ts';
import { F_SEAL_FUTURE_WRITE, F_SEAL_WRITE } from '../abi/fcntl.ts';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_HWPOISON,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NONVOLATILE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_PT_RECLAIM,
  MADV_PT_RECLAIM_MARK,
  MADV_PT_RECLAIM_UNMARK,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_SOFT_OFFLINE,
  MADV_UNMERGEABLE,
  MADV_VOLATILE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../abi/mman.ts';
import { Unmodelled } from '../base/assert.ts';
import { type Addr, isPageAligned, pageCeil } from '../base/units.ts';
import { newFlags } from './adviceFlags.ts';
import { collapseRange } from './collapse.ts';
import type { Pfn } from './frames.ts';
import { lazyFreeRange } from './lazyFree.ts';
import {
  coldRange,
  discardRange,
  type FileRange,
  fileRangeOf,
  hugeFoliosIn,
  installGuards,
  pageOutRange,
  punchHole,
  removeGuards,
} from './madvisePages.ts';
import type { Mm } from './mm.ts';
import { readFile } from './pageCache.ts';
import { MadvisePopulate } from './populate.ts';
import { isAdviceKnown, reclaimTables } from './ptReclaim.ts';
import { isRefused, OK, refused, type SysResult } from './result.ts';
import { linearIndex } from './rmap.ts';
import { readAhead } from './swapFault.ts';
import { finished, isWait, type UffdWait } from './uffdContext.ts';
import { announceRemove } from './uffdEvents.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { modifyVma } from './vmaMerge.ts';
import { VM_LOCKED, VM_MAYWRITE, VM_PFNMAP, VM_SEALED, VM_SHARED, VM_SPECIAL, VM_WRITE } from './vmFlags.ts';
import { canVrange } from './vrange.ts';
import { madviseVolatile } from './vrangeForms.ts';

const KNOWN = new Set([
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_DONTDUMP,
  MADV_DODUMP,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_DONTNEED_LOCKED,
  MADV_COLLAPSE,
  MADV_HWPOISON,
  MADV_SOFT_OFFLINE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
]);
/** Advice that brings pages in. */
const POPULATES: ReadonlyMap<number, 'read' | 'write'> = new Map([
  [MADV_POPULATE_READ, 'read'],
  [MADV_POPULATE_WRITE, 'write'],
]);
/** Advice that gathers pages over all of its range, and gives them back at the end. */
const GATHERS: ReadonlySet<number> = new Set([MADV_DONTNEED, MADV_DONTNEED_LOCKED]);
/** Advice that throws data away; on sealed memory it needs write access or a file. */
const DISCARDS = new Set([
  MADV_FREE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_WIPEONFORK,
  MADV_GUARD_INSTALL,
]);

/** Tells whether this is advice of seed 003, and known. */
const isOfTables = ({ kernel }: Mm, advice: number): boolean =>
  advice >= MADV_PT_RECLAIM && advice <= MADV_PT_RECLAIM_UNMARK && isAdviceKnown(kernel);

/** Tells whether this is advice of seed 002, and known. */
const isOfVranges = (mm: Mm, advice: number): boolean =>
  (advice === MADV_VOLATILE || advice === MADV_NONVOLATILE) && canVrange(mm);

/** Checks that need no vma. Returns the end of the range, or the answer. */
function checkRange(mm: Mm, addr: Addr, len: number, advice: number): { end: Addr } | SysResult {
  if (!KNOWN.has(advice) && !isOfTables(mm, advice) && !isOfVranges(mm, advice))
    return refused(EINVAL, 'bad-advice');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  const bytes = pageCeil(len);
  if (bytes >= 2 ** 64) return refused(EINVAL, 'wraps');
  const end = addr + bytes;
  if (end >= 2 ** 64) return refused(EINVAL, 'wraps');
  return bytes === 0 ? OK : { end };
}

/**
 * madvise(2).
 *
 * @param addr    page aligned; len bytes, rounded up
 * @param advice  MADV_*
 * @returns       0
 * Refusals       EINVAL bad-advice, unaligned, wraps, locked, not-anonymous, special, droppable, no-huge-page, no-access · ENOMEM hole ·
 *                EAGAIN map-count · EPERM sealed · EACCES not-shared · EFAULT populate-failed
 * Events         vmaMerge, vmaSplit, flags
 */
export const madvise = (mm: Mm, addr: Addr, len: number, advice: number): SysResult =>
  plainDiscard(mm, addr, len, advice) ?? finished(new Madvise(mm, { addr, len, advice }).step());

/** MADV_DONTNEED of a part of one vma that nothing is said against, nor anybody told of; null: it is something else. Of vectors it is each member. */
function plainDiscard(mm: Mm, addr: Addr, len: number, advice: number): SysResult | null {
  if (advice !== MADV_DONTNEED || !isPageAligned(addr)) return null;
  const end = addr + pageCeil(len);
  const vma = mm.vmas.at(addr);
  if (vma === null || end === addr || vma.end < end || vma.uffd !== null) return null;
  if (vma.flags & (VM_PFNMAP | VM_LOCKED | VM_SEALED)) return null;
  return discardRange(mm, vma, { start: addr, end });
}

/** The arguments of madvise. */
export interface MadviseRequest {
  readonly addr: Addr;
  readonly len: number;
  readonly advice: number;
  readonly tid?: number;
}

/** One call of madvise, under way: stepped again where it had to wait for userfaultfd. */
export class Madvise {
  readonly #mm: Mm;
  readonly #advice: number;
  readonly #end: Addr;
  readonly #checked: SysResult | null;
  readonly #populate: MadvisePopulate | null;
  #from: Addr;
  #hasGap = false;
  /** Where the piece ends that was announced as about to be removed; 0: none was. */
  #announcedTo: Addr = 0;
  /** What a hole is punched into that was announced: the file is known from then on, whatever is mapped there when it was read. */
  #hole: FileRange | null = null;
  /** Huge folios of which pages were taken away: they are given back at the end, and whoever comes while the call waits finds them in use. */
  readonly #gathered: Pfn[] = [];
  #isWaiting = false;

  constructor(mm: Mm, request: MadviseRequest) {
    const { addr, len, advice } = request;
    const range = checkRange(mm, addr, len, advice);
    this.#mm = mm;
    this.#advice = advice;
    this.#from = addr;
    this.#checked = 'why' in range ? range : null;
    this.#end = 'why' in range ? 0 : range.end;
    const access = POPULATES.get(advice);
    this.#populate =
      access === undefined
        ? null
        : new MadvisePopulate(mm, { start: addr, end: this.#end }, access, request.tid);
  }

  /** Goes on. Returns the result, or what to wait for. */
  step(): SysResult | UffdWait {
    if (this.#checked !== null) return this.#checked;
    if (this.#populate !== null) return this.#populate.step();
    if (this.#advice === MADV_HWPOISON || this.#advice === MADV_SOFT_OFFLINE)
      throw new Unmodelled('MADV_HWPOISON', 'docs/scope.md#hwpoison');
    if (this.#advice === MADV_PT_RECLAIM) return reclaimTables(this.#mm, this.#from, this.#end - this.#from);
    if (isOfVranges(this.#mm, this.#advice)) return this.#vrange();
    const came = this.#walk();
    if (isWait(came) !== this.#isWaiting) this.#holdGathered(isWait(came));
    return came;
  }

  #holdGathered(isWaiting: boolean): void {
    for (const head of this.#gathered) this.#mm.kernel.frames.gather(head, isWaiting ? 1 : -1);
    this.#isWaiting = isWaiting;
  }

  #vrange(): SysResult {
    const range = { addr: this.#from, len: this.#end - this.#from };
    return madviseVolatile(this.#mm, range, this.#advice === MADV_VOLATILE ? 'volatile' : 'novolatile');
  }

  #walk(): SysResult | UffdWait {
    const mm = this.#mm;
    const end = this.#end;
    while (this.#from < end) {
      const announced = this.#announcedTo;
      this.#announcedTo = 0;
      if (this.#hole !== null) {
        const punched = punchHole(mm.kernel, this.#hole);
        this.#hole = null;
        if (isRefused(punched)) return punched;
        this.#from = announced;
        continue;
      }
      const vma = mm.vmas.firstEndingAbove(this.#from);
      if (vma === null) return refused(ENOMEM, 'hole');
      if (vma.start > this.#from) {
        // What was there when it was announced is gone.
        if (announced > 0) return refused(ENOMEM, 'hole');
        this.#hasGap = true;
        this.#from = vma.start;
        if (this.#from >= end) break;
      }
      const range = { start: this.#from, end: Math.min(vma.end, announced > 0 ? announced : end) };
      const huge = range.end < end && GATHERS.has(this.#advice) ? hugeFoliosIn(mm, range) : [];
      const covered = adviseVma(mm, vma, range, { advice: this.#advice, isAnnounced: announced > 0 });
      if (isWait(covered)) {
        this.#announcedTo = range.end;
        if (this.#advice === MADV_REMOVE) this.#hole = fileRangeOf(vma, range);
        return covered;
      }
      if ('why' in covered) return covered;
      this.#gather(huge);
      // Who has waited does not know where the vma ends that covers it now.
      this.#from = announced > 0 ? range.end : Math.max(range.end, covered.end);
    }
    return this.#hasGap ? refused(ENOMEM, 'hole') : OK;
  }
  #gather(huge: readonly Pfn[]): void {
    this.#gathered.push(...huge);
    if (this.#isWaiting) for (const head of huge) this.#mm.kernel.frames.gather(head, 1);
  }
}

/** Tells whether the seal of `vma` allows this advice. */
const isAllowedBySeal = (vma: Vma, advice: number): boolean =>
  (vma.flags & VM_SEALED) === 0 ||
  !DISCARDS.has(advice) ||
  !isAnonymousVma(vma) ||
  (vma.flags & VM_WRITE) !== 0;

/** The advice, and whether userfaultfd was told that the pages of this piece are about to be removed. */
interface Advice {
  readonly advice: number;
  readonly isAnnounced: boolean;
}

/** Applies the advice to [start, end) of `vma`. Returns the vma that covers it afterwards, the refusal, or what to wait for. */
function adviseVma(
  mm: Mm,
  vma: Vma,
  range: { start: Addr; end: Addr },
  what: Advice,
): Vma | SysResult | UffdWait {
  const { advice } = what;
  if (!isAllowedBySeal(vma, advice)) return refused(EPERM, 'sealed');
  if (advice === MADV_PT_RECLAIM_MARK || advice === MADV_PT_RECLAIM_UNMARK)
    return markTables(mm, vma, range, advice);
  const flags = newFlags(vma, advice);
  if (flags === null) {
    const done = advisePages(mm, vma, range, what);
    if (isWait(done)) return done;
    return done.why === 'ok' ? vma : done;
  }
  if (typeof flags !== 'number') return flags;
  if (flags === vma.flags) return vma;
  const { start, end } = range;
  return modifyVma(mm, vma, { start, end, cause: 'madvise' }, { flags }) ?? refused(EAGAIN, 'map-count');
}

/** MADV_PT_RECLAIM_MARK and _UNMARK. */
function markTables(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, advice: number): Vma | SysResult {
  const isPtReclaimed = advice === MADV_PT_RECLAIM_MARK;
  if (vma.isPtReclaimed === isPtReclaimed) return vma;
  return (
    modifyVma(mm, vma, { ...range, cause: 'madvise' }, { isPtReclaimed }) ?? refused(EAGAIN, 'map-count')
  );
}

/** Applies advice about pages to [start, end) of `vma`. */
function advisePages(
  mm: Mm,
  vma: Vma,
  range: { start: Addr; end: Addr },
  { advice, isAnnounced }: Advice,
): SysResult | UffdWait {
  const { flags } = vma;
  const announced = (): UffdWait | null => (isAnnounced ? null : announceRemove(vma, range.start, range.end));
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      if (flags & VM_PFNMAP || (advice === MADV_DONTNEED && flags & VM_LOCKED))
        return refused(EINVAL, 'locked');
      return announced() ?? discardRange(mm, vma, range);
    case MADV_FREE:
      if (flags & (VM_PFNMAP | VM_LOCKED)) return refused(EINVAL, 'locked');
      return (
        announced() ?? (isAnonymousVma(vma) ? lazyFreeRange(mm, range) : refused(EINVAL, 'not-anonymous'))
      );
    case MADV_COLD:
      return flags & (VM_LOCKED | VM_PFNMAP) ? refused(EINVAL, 'locked') : coldRange(mm, range);
    case MADV_PAGEOUT:
      return flags & (VM_LOCKED | VM_PFNMAP) ? refused(EINVAL, 'locked') : pageOutRange(mm, vma, range);
    case MADV_REMOVE:
      return removeAdvice(mm, vma, range, announced);
    case MADV_GUARD_INSTALL:
      if (flags & VM_LOCKED) return refused(EINVAL, 'locked');
      return flags & VM_SPECIAL ? refused(EINVAL, 'special') : installGuards(mm, vma, range);
    case MADV_GUARD_REMOVE:
      return flags & VM_SPECIAL ? refused(EINVAL, 'special') : removeGuards(mm, range);
    case MADV_COLLAPSE:
      return collapseRange(mm, vma, range);
    case MADV_WILLNEED:
      if (vma.file !== null)
        readFile(mm.kernel, vma.file.object, linearIndex(vma, range.start), linearIndex(vma, range.end));
      if (mm.kernel.swap.nrUsed > 0) readAhead(mm, vma, range.start, range.end);
      return OK;
    default:
      return OK;
  }
}

function removeAdvice(
  mm: Mm,
  vma: Vma,
  range: { start: Addr; end: Addr },
  announced: () => UffdWait | null,
): SysResult | UffdWait {
  if (vma.flags & VM_LOCKED) return refused(EINVAL, 'locked');
  if (vma.file === null) return refused(EINVAL, 'not-shared');
  if ((vma.flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE))
    return refused(EACCES, 'not-shared');
  if (vma.file.object.kind === 'device') return refused(EOPNOTSUPP, 'not-mappable');
  const waiting = announced();
  if (waiting !== null) return waiting;
  if (vma.file.object.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) return refused(EPERM, 'sealed');
  const hole = fileRangeOf(vma, range);
  return hole === null ? OK : punchHole(mm.kernel, hole);
}
