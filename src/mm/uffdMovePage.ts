/**
 * Moving one page, or one huge page, for UFFDIO_MOVE.
 *
 * Linux   mm/userfaultfd.c: move_pages_ptes, move_present_ptes, move_swap_pte, move_zeropage_pte, move_pages_huge_pmd; spec/userfaultfd.md 7.2, 7.4
 */
import { EBUSY, EEXIST, EFAULT, ENOENT } from '../abi/errno.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { HUGE_PAGES, headOf, type Pfn } from './frames.ts';
import { splitFolio } from './hugeMemory.ts';
import { waitForMigration } from './migration.ts';
import type { Mm } from './mm.ts';
import {
  DIRTY,
  EXCLUSIVE,
  isMarkerPmd,
  KIND_MASK,
  MIGRATION,
  NONE,
  PRESENT,
  SWAP,
  UFFD_WP,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { linearIndex } from './rmap.ts';
import { isInverted, storeBits } from './storeBits.ts';
import type { MoveAreas } from './uffdMove.ts';
import type { Vma } from './vma.ts';
import { VM_WRITE } from './vmFlags.ts';
import { FACT } from './work.ts';

/** By which rules pages may be moved. */
export type MoveRules = 'move' | 'remap';

/** Tells whether `pfn`, held by an entry with these bits, belongs to nobody else: for ever, or (older rules) just now. */
const isOwn = (mm: Mm, low: number, pfn: Pfn, rules: MoveRules): boolean =>
  rules === 'move'
    ? (low & EXCLUSIVE) !== 0 && !mm.kernel.frames.isPinned(pfn)
    : mm.kernel.frames.mapcount(pfn) === 1;

/**
 * Of a huge folio the first page is asked whether it is exclusive, whichever is to be moved. If nothing maps it any more, it is what it was when it was
 * last mapped: by its first owner, where no fork came before.
 */
const isHeadFree = ({ kernel }: Mm, pfn: Pfn, rules: MoveRules): boolean =>
  rules === 'move' && kernel.frames.mapcount(headOf(pfn)) === 0 && !kernel.frames.isPinned(pfn);

/**
 * Tells whether the huge page at `from` may be moved, or broken up to be moved in parts. What the kernel holds at the moment may be broken up.
 * @param whole  it is to be moved as one
 */
export function hugeVerdict(mm: Mm, from: Addr, rules: MoveRules, whole: boolean): SysResult {
  const pmd = mm.pages.pmd(from);
  if (isMarkerPmd(pmd)) return refused(EFAULT, 'not-movable');
  const isZero = (pmd & KIND_MASK) === ZERO_PAGE;
  const mayPart = !whole && rules === 'move' && (pmd & EXCLUSIVE) !== 0;
  const may = isZero ? rules === 'move' : mayPart || isOwn(mm, pmd, mm.pages.pmdHigh(from), rules);
  return may ? OK : refused(EBUSY, 'not-movable');
}

/** A moved page is its vma's own: where that may write, it is writable at once. */
const writeBit = (vma: Vma): number => (vma.flags & VM_WRITE ? WRITE : 0);

/** Moves 2 MiB with their deposited table. The target has no pmd. */
export function moveHuge(mm: Mm, { target }: MoveAreas, from: Addr, to: Addr): void {
  const { pages, kernel } = mm;
  const pmd = pages.pmd(from);
  const head = pages.pmdHigh(from);
  pages.movePmd(from, to);
  kernel.work.count(FACT.pmdsMoved);
  kernel.tlb.flush(mm, from, from + PMD_SIZE, false);
  if ((pmd & KIND_MASK) === ZERO_PAGE) {
    pages.setHugeLow(to, ZERO_PAGE | YOUNG);
    return;
  }
  for (let i = 0; i < HUGE_PAGES; i++)
    kernel.frames.setOwner(head + i, target.anonVma?.id ?? 0, linearIndex(target, to) + i);
  pages.setHugeLow(to, PRESENT | writeBit(target) | storeBits(mm, target) | YOUNG | EXCLUSIVE);
}

/** One page of a move. */
interface PageMove {
  readonly from: Addr;
  readonly to: Addr;
  /** What is not there counts as moved. */
  readonly holes: boolean;
  readonly rules: MoveRules;
}

/** Moves what the entry of `from` holds to `to`. Both have tables. Returns 0, or why it cannot be moved. */
export function movePage(mm: Mm, areas: MoveAreas, move: PageMove): SysResult {
  const { pages, kernel } = mm;
  const { from, to, rules } = move;
  if (pages.low(to) !== NONE) return refused(EEXIST, 'page-exists');
  if ((pages.low(from) & KIND_MASK) === MIGRATION) waitForMigration(mm, from, from + PAGE_SIZE);
  const low = pages.low(from);
  const high = pages.high(from);
  switch (low & KIND_MASK) {
    case NONE:
      return move.holes ? OK : refused(ENOENT, 'no-page');
    case ZERO_PAGE:
      if (rules === 'remap') return refused(EBUSY, 'not-movable');
      settle(mm, move, ZERO_PAGE | YOUNG, 0);
      return OK;
    case SWAP: {
      const own = rules === 'move' ? (low & EXCLUSIVE) !== 0 : kernel.swap.count(high) === 1;
      if (!own) return refused(EBUSY, 'not-movable');
      const cached = kernel.swap.cached(high);
      if (cached !== 0) rehome(mm, areas, to, cached);
      settle(mm, move, movedSwap(mm, areas, low), high);
      return OK;
    }
    case PRESENT:
      return movePresent(mm, areas, move);
    default:
      return refused(EFAULT, 'not-movable');
  }
}

function movePresent(mm: Mm, areas: MoveAreas, move: PageMove): SysResult {
  const { pages, kernel } = mm;
  const { from, to, rules } = move;
  const pfn = pages.high(from);
  if (!kernel.frames.isAnon(pfn)) return refused(EBUSY, 'not-movable');
  const isLarge = kernel.frames.isLarge(pfn);
  if (!isOwn(mm, pages.low(from), pfn, rules) && !(isLarge && isHeadFree(mm, pfn, rules)))
    return refused(EBUSY, 'not-movable');
  if (isLarge) {
    // Then all is looked at once more: a page of zeros has become the zero page.
    splitFolio(mm, pfn);
    return movePage(mm, areas, move);
  }
  const low = pages.low(from);
  const noted = storeBits(mm, areas.target);
  const dirty = rules === 'remap' ? noted : (noted & ~DIRTY) | (low & DIRTY);
  rehome(mm, areas, to, pfn);
  settle(mm, move, PRESENT | writeBit(areas.target) | YOUNG | EXCLUSIVE | dirty, pfn);
  return OK;
}

/** A swap entry keeps its bits and counts as written at its new place, for who tracks that. */
function movedSwap(mm: Mm, { source, target }: MoveAreas, low: number): number {
  const noted = storeBits(mm, target) & ~DIRTY;
  // A bit that means protected on one side means written on the other.
  return isInverted(source) === isInverted(target) ? low | noted : (low & ~UFFD_WP) | noted;
}

/** The page belongs to the target's anon_vma from now on, at its place there. */
function rehome(mm: Mm, { target }: MoveAreas, to: Addr, pfn: Pfn): void {
  mm.kernel.frames.setOwner(pfn, target.anonVma?.id ?? 0, linearIndex(target, to));
}

function settle(mm: Mm, { from, to }: PageMove, low: number, high: number): void {
  const { pages, kernel } = mm;
  pages.set(from, NONE, 0);
  pages.set(to, low, high);
  kernel.work.count(FACT.ptesMoved);
  if ((low & KIND_MASK) === SWAP) kernel.work.count(FACT.swapPtesMoved);
  if ((low & KIND_MASK) === ZERO_PAGE) kernel.tlb.flush(mm, from, from + PAGE_SIZE, false);
}

/** Small pages that were moved in a row: translations of all of them are dropped at once. Linux: move_present_ptes() */
export class MovedRun {
  readonly #mm: Mm;
  #start: Addr = 0;
  #end: Addr = 0;

  constructor(mm: Mm) {
    this.#mm = mm;
  }
  /** The entry of `from` was moved to `to`. Entries of one table, on both sides, make a run. */
  add(from: Addr, to: Addr): void {
    const isPresent = (this.#mm.pages.low(to) & KIND_MASK) === PRESENT;
    const isNewTable = from % PMD_SIZE === 0 || to % PMD_SIZE === 0;
    if (!isPresent || isNewTable || from !== this.#end) this.flush();
    if (!isPresent) return;
    if (this.#start === this.#end) this.#start = from;
    this.#end = from + PAGE_SIZE;
  }
  /** The run is over. */
  flush(): void {
    if (this.#start !== this.#end) this.#mm.kernel.tlb.flush(this.#mm, this.#start, this.#end, false);
    this.#start = this.#end;
  }
}
