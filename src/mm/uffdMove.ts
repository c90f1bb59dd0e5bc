/**
 * UFFDIO_MOVE: pages change their place within one address space, without a copy and without new mappings.
 *
 *   source   |A|A| |A|   -->   |.|.| |.|       the same frames under other entries: the vma's own pages, exclusively its own
 *   target   | | | | |   -->   |A|A| |A|       with ALLOW_SRC_HOLES what is not there counts as moved
 *
 * Page by page, ascending; a huge page as a whole where both sides fit and the target has no table. What is moved comes writable, young, as dirty as it
 * was, without protection by userfaultfd; a swap entry is moved as it is. Where `uffdMove` is `remap`, the rules are those of the older
 * proposal: what counts is that a page is mapped once now, and either side may be the registered one.
 *
 * Cost    linear in pages
 * Linux   mm/userfaultfd.c: move_pages, move_pages_ptes, move_pages_huge_pmd, validate_move_areas; spec/userfaultfd.md 7, 15.3
 * Left out   pages of another address space (older rules), locked folios, large folios in the swap cache
 */
import { EAGAIN, EEXIST, EFAULT, EINVAL, ENOENT } from '../abi/errno.ts';
import { UFFDIO_MODE_DONTWAKE, UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES } from '../abi/userfaultfd.ts';
import { Unmodelled } from '../base/assert.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { HUGE, NONE } from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import type { UffdContext } from './uffdContext.ts';
import { earlyAnswer, type FillResult, fillAnswer, untouched } from './uffdFill.ts';
import { hugeVerdict, MovedRun, type MoveRules, moveHuge, movePage } from './uffdMovePage.ts';
import { isValidRange } from './uffdRange.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import {
  VM_ACCESS_FLAGS,
  VM_EXEC,
  VM_IO,
  VM_LOCKED,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
  VM_WRITE,
} from './vmFlags.ts';

/** The argument of UFFDIO_MOVE. */
export interface UffdMoveRequest {
  readonly start: Addr;
  readonly source: Addr;
  readonly len: number;
  readonly mode: number;
  readonly readOnly?: boolean;
}

/** Tells which rules hold, if any. */
const moveVerdict = (mm: Mm): 'off' | 'move' | 'remap' => mm.kernel.features.uffdMove;
const isRemap = (mm: Mm): boolean => moveVerdict(mm) === 'remap';

/**
 * UFFDIO_MOVE.
 * @param request  the structure, null if it cannot be read; @param caller  the address space of who calls
 * Refusals   EAGAIN changing, partial · EFAULT bad-pointer, not-movable (markers) · EINVAL other address space, bad-range, bad-flags, and what
 *            `areasVerdict` refuses · ENOENT not-mapped, no-page · EEXIST page-exists · EBUSY not-movable (shared)
 */
export function uffdMove(context: UffdContext, request: UffdMoveRequest | null, caller: Mm): FillResult {
  const { mm } = context;
  if (moveVerdict(mm) === 'off') return untouched(EINVAL, 'not-configured');
  const early = earlyAnswer(context, request);
  if (early !== null || request === null) return early ?? untouched(EFAULT, 'bad-pointer');
  if (caller !== mm && isRemap(mm))
    throw new Unmodelled('UFFDIO_REMAP between two address spaces', 'docs/scope.md#userfaultfd');
  if (caller !== mm || mm.gone) return untouched(EINVAL, 'not-permitted');
  const { start, source, len, mode } = request;
  if (!isValidRange(request) || !isValidRange({ start: source, len })) return untouched(EINVAL, 'bad-range');
  if (mode > (UFFDIO_MODE_DONTWAKE | UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES)) return untouched(EINVAL, 'bad-flags');
  const areas = findAreas(mm, start, source);
  const refusal = 'why' in areas ? notMapped(mm) : registeredVerdict(context, areas, request);
  if ('why' in areas || refusal.why !== 'ok') return fillAnswer(context, request, 0, refusal);
  const rules = isRemap(mm) ? 'remap' : 'move';
  const holes = (mode & UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES) !== 0;
  const { moved, stopped } = movePagesBetween(mm, areas, { start, source, len, holes, rules });
  return fillAnswer(context, request, moved, stopped);
}

/** The two vmas of a move. */
export interface MoveAreas {
  readonly target: Vma;
  readonly source: Vma;
}

/** The answer where nothing is mapped. */
const notMapped = (mm: Mm): SysResult => refused(isRemap(mm) ? EINVAL : ENOENT, 'not-mapped');

/** A move of pages from one range to another. */
export interface PagesMove {
  readonly start: Addr;
  readonly source: Addr;
  readonly len: number;
  /** What is not there counts as moved. */
  readonly holes: boolean;
  readonly rules: MoveRules;
}

/** Finds the vmas. The target gets its anon_vma even if nothing is moved then. Linux: find_vmas_mm_locked() */
export function findAreas(mm: Mm, start: Addr, from: Addr): MoveAreas | SysResult {
  const target = mm.vmas.at(start);
  if (target === null) return refused(ENOENT, 'not-mapped');
  if ((target.flags & VM_SHARED) === 0) prepareAnonVma(mm.kernel, target);
  const source = mm.vmas.at(from);
  return source === null ? refused(ENOENT, 'not-mapped') : { target, source };
}

/** Tells whether UFFDIO_MOVE may move pages between these vmas. */
function registeredVerdict(context: UffdContext, areas: MoveAreas, request: UffdMoveRequest): SysResult {
  const { target, source } = areas;
  if (context.isChanging) return refused(EAGAIN, 'changing');
  const isOlder = isRemap(context.mm);
  const isRegistered = isOlder ? target.uffd !== null || source.uffd !== null : target.uffd === context;
  return areasVerdict(areas, request, isOlder ? 'remap' : 'move', isRegistered);
}

/**
 * Tells whether the access of two vmas is alike: the same, or (older rules) the same as far as entries show it. Those of private memory that may be
 * written are like those of memory that may be read.
 */
function isAccessAlike(a: number, b: number, rules: MoveRules): boolean {
  if (rules === 'move') return ((a ^ b) & VM_ACCESS_FLAGS) === 0;
  const hasNone = (flags: number): boolean => (flags & VM_ACCESS_FLAGS) === 0;
  return hasNone(a) === hasNone(b) && ((a ^ b) & VM_EXEC) === 0;
}

/**
 * Tells whether pages may be moved between these vmas.
 * @param isRegistered  what had to be registered is; asked last but one. Linux: validate_move_areas()
 */
export function areasVerdict(
  { target, source }: MoveAreas,
  range: { readonly start: Addr; readonly source: Addr; readonly len: number },
  rules: MoveRules,
  isRegistered: boolean,
): SysResult {
  const { len } = range;
  if (source.flags & VM_SHARED) return refused(EINVAL, 'not-anonymous');
  if (range.source + len > source.end) return refused(EINVAL, 'crosses-vma');
  if (target.flags & VM_SHARED) return refused(EINVAL, 'not-anonymous');
  if (range.start + len > target.end) return refused(EINVAL, 'crosses-vma');
  if (!isAccessAlike(source.flags, target.flags, rules)) return refused(EINVAL, 'no-access');
  if ((source.flags ^ target.flags) & VM_LOCKED) return refused(EINVAL, 'locked');
  if (rules === 'move' && (source.flags & VM_WRITE) === 0) return refused(EINVAL, 'no-access');
  if ((source.flags | target.flags) & (VM_PFNMAP | VM_IO | VM_MIXEDMAP)) return refused(EINVAL, 'special');
  if (!isRegistered) return refused(EINVAL, 'not-registered');
  return isAnonymousVma(source) && isAnonymousVma(target) ? OK : refused(EINVAL, 'not-anonymous');
}

/** Moves pages until one cannot be moved. Returns the bytes that were, and why it stopped. */
export function movePagesBetween(
  mm: Mm,
  areas: MoveAreas,
  request: PagesMove,
): { readonly moved: number; readonly stopped: SysResult } {
  const { pages } = mm;
  const { holes, rules } = request;
  const run = new MovedRun(mm);
  for (let moved = 0; moved < request.len; ) {
    const from = request.source + moved;
    const to = request.start + moved;
    const stop = (stopped: SysResult): { moved: number; stopped: SysResult } => {
      run.flush();
      return { moved, stopped };
    };
    if (!pages.hasPmdPage(from)) {
      if (!holes) return stop(refused(ENOENT, 'no-page'));
      pages.makePmdPage(from);
    }
    pages.makePmdPage(to);
    if (pages.pmd(to) & HUGE) return stop(refused(EEXIST, 'page-exists'));
    if (pages.pmd(from) & HUGE) {
      const whole = isWhole(from, to, request.len - moved) && pages.pmd(to) === NONE;
      const refusal = hugeVerdict(mm, from, rules, whole);
      if (refusal.why !== 'ok') return stop(refusal);
      if (whole) {
        moveHuge(mm, areas, from, to);
        moved += PMD_SIZE;
      } else splitPmd(mm, areas.source, floorTo(from, PMD_SIZE));
      continue;
    }
    if (pages.pmd(from) === NONE) {
      if (!holes) return stop(refused(ENOENT, 'no-page'));
      pages.makeTable(from);
    }
    pages.makeTable(to);
    const result = movePage(mm, areas, { from, to, holes, rules });
    if (result.why !== 'ok') return stop(result);
    run.add(from, to);
    moved += PAGE_SIZE;
  }
  run.flush();
  return { moved: request.len, stopped: OK };
}

/** Tells whether a huge page can be moved without breaking it up, as far as addresses go. Linux: move_splits_huge_pmd() */
const isWhole = (from: Addr, to: Addr, len: number): boolean =>
  from % PMD_SIZE === 0 && to % PMD_SIZE === 0 && len >= PMD_SIZE;
