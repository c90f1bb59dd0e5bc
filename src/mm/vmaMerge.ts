/**
 * Merging and splitting vmas: whether a range may join its neighbours, why not, and doing it.
 *
 * A Merge is a proposed range with its attributes and the two neighbours. Three kinds:
 *   new       no vma exists for the range yet (mmap, brk, growth in place)
 *   copied    as new, but it will hold the memory of `copiedFrom` (mremap)
 *   modify    part or all of `middle` gets new attributes (mprotect, mlock, madvise …)
 *
 *        prev        the range       next                     prev keeps its identity when both sides join;
 *   |-----------|...............|-----------|                 with next alone, next grows down
 *
 * Every test returns a verdict from a closed list; every attempt is an event with the verdicts of both sides. Nothing merges
 * retroactively: two compatible vmas stay apart until an operation touches their border.
 *
 * Invariants   [merge-exact] the union of ranges is the same before and after; [merge-sticky] sticky flags are never lost
 * Cost         O(log n) for the tree, O(chain) for anon_vmas
 * Linux        mm/vma.c: vma_merge_new_range, vma_merge_existing_range, vma_modify, __split_vma; spec/vma.md 14 and 15
 */
import { must } from '../base/assert.ts';
import { type Addr, nrPagesIn, type Pgoff } from '../base/units.ts';
import { adoptAnonVma, cloneAnonVma, putAgain, unlinkAnonVmas } from './anonVma.ts';
import type { Cause } from './events.ts';
import { splitPmdAt } from './hugeMemory.ts';
import {
  bothVerdict,
  isJoin,
  type Merge,
  type MergeVerdict,
  predecessorVerdict,
  successorVerdict,
} from './mergeVerdict.ts';
import { duplicateVma, joinVma, linkVma, type Mm } from './mm.ts';
import { rehomePages } from './pages.ts';
import { linearIndex } from './rmap.ts';
import type { UffdContext } from './uffdContext.ts';
import type { MappedFile, Vma } from './vma.ts';
import { VM_SPECIAL, VM_STICKY } from './vmFlags.ts';
import { FACT } from './work.ts';

/** Tells the listeners of one attempt: the verdicts of both sides, and who took the range. */
function emitMerge(
  merge: Merge,
  verdicts: readonly [MergeVerdict, MergeVerdict, MergeVerdict],
  survivor: Vma | null,
): void {
  const { mm, cause, start, end } = merge;
  const [predecessor, successor, both] = verdicts;
  const merged = survivor !== null;
  mm.kernel.emit?.({
    kind: 'vmaMerge',
    op: mm.kernel.opNr,
    mm: mm.id,
    cause,
    start,
    end,
    merged,
    survivor: merged ? survivor.id : null,
    predecessor,
    successor,
    both,
  });
}

/** Lets `vma` take free room next to it, keeping its pgoff in step with its start. */
function growVma(merge: Merge, vma: Vma, start: Addr, end: Addr): void {
  vma.pgoff -= nrPagesIn(vma.start - start);
  merge.mm.vmas.resize(vma, start, end);
  putAgain(vma);
  merge.mm.kernel.work.count(FACT.vmasGrown);
}

/** Folds `gone`, which touches `survivor`, into it: anon_vma links, range, count. */
function absorb(merge: Merge, survivor: Vma, gone: Vma): void {
  rehome(merge, survivor, gone, gone);
  const { work } = merge.mm.kernel;
  work.count(FACT.vmasMerged);
  if (isInTree(survivor)) work.count(FACT.writtenVmasMerged);
  unlinkAnonVmas(merge.mm.kernel, gone);
  joinVma(merge.mm, survivor, gone, merge.cause);
  putAgain(survivor);
}

/** Tells whether a tree leads from pages to `vma`: that of its anon_vmas, or of its file. */
const isInTree = (vma: Vma): boolean => vma.anonVma !== null || vma.file !== null;

/** Tells the listeners the borders of a vma that grew. */
function emitResize(merge: Merge, vma: Vma): void {
  const { kernel, id } = merge.mm;
  kernel.emit?.({
    kind: 'vmaResize',
    op: kernel.opNr,
    mm: id,
    vma: vma.id,
    start: vma.start,
    end: vma.end,
    cause: merge.cause,
  });
}

/** Pages that come under another anon_vma are re-homed (seed 004 patch 5). */
function rehome(merge: Merge, survivor: Vma, source: Vma, range: { start: Addr; end: Addr }): void {
  const from = source.anonVma;
  const to = survivor.anonVma;
  if (from === null || to === null || from === to) return;
  const { start, end } = range;
  const pages = rehomePages(merge.mm, { start, end }, { anonVma: to, pgoff: linearIndex(source, start) });
  merge.mm.kernel.emit?.({
    kind: 'anonVmaRehome',
    op: merge.mm.kernel.opNr,
    mm: merge.mm.id,
    from: from.id,
    to: to.id,
    start,
    end,
    pages,
  });
}

/** Tells whether a neighbour would take the range of `merge`, which has no vma yet. Changes nothing. */
export const canMergeNewRange = (merge: Merge): boolean =>
  isJoin(predecessorVerdict(merge)) || isJoin(successorVerdict(merge));

/**
 * Tries to let the neighbours take a range that has no vma yet.
 * @returns the vma that now covers it, or null: the caller inserts one
 */
export function mergeNewRange(merge: Merge): Vma | null {
  const { prev, next, start, end } = merge;
  if (prev === null && next === null) return null;
  const predecessor = predecessorVerdict(merge);
  let successor = successorVerdict(merge);
  const left = isJoin(predecessor);
  let right = isJoin(successor);
  const both = left && right ? bothVerdict(merge) : 'not-tried';
  if (left && right && !isJoin(both)) right = false;
  if (left && right && next?.file?.object.hasClose) {
    right = false;
    successor = 'has-close';
  }
  const survivor = left ? prev : right ? next : null;
  if (merge.mm.kernel.emit !== null) emitMerge(merge, [predecessor, successor, both], survivor);
  if (survivor === null) return null;
  if (left && right) {
    const gone = must(next, '[merge] joined on both sides');
    adoptAnonVma(survivor, gone);
    stick(survivor, gone.flags);
    growVma(merge, survivor, survivor.start, end);
    absorb(merge, survivor, gone);
  } else growVma(merge, survivor, Math.min(survivor.start, start), Math.max(survivor.end, end));
  emitResize(merge, survivor);
  if (merge.copiedFrom !== null && merge.anonVma !== null) adoptAnonVma(survivor, merge.copiedFrom);
  stick(survivor, merge.flags);
  return survivor;
}

const stick = (vma: Vma, flags: number): void => {
  vma.flags |= flags & VM_STICKY;
};

/**
 * Tries to let the neighbours take [start, end) of `middle` with its new attributes.
 * @returns the vma that now covers the range, or null: the caller splits
 */
function mergeExistingRange(merge: Merge, middle: Vma): Vma | null {
  const { start, end } = merge;
  const leftSide = start === middle.start;
  const rightSide = end === middle.end;
  if (merge.flags & VM_SPECIAL || (!leftSide && !rightSide)) return null;
  const predecessor = leftSide ? predecessorVerdict(merge) : 'not-tried';
  let successor: MergeVerdict = rightSide ? successorVerdict(merge) : 'not-tried';
  const left = isJoin(predecessor);
  let right = isJoin(successor);
  const both = left && right ? bothVerdict(merge) : 'not-tried';
  if (left && right && !isJoin(both)) right = false;
  const removesMiddle = leftSide && rightSide;
  const blocked = (left || right) && removesMiddle && middle.file?.object.hasClose === true;
  if (!blocked && left && right && merge.next?.file?.object.hasClose) {
    right = false;
    successor = 'has-close';
  }
  if (blocked) successor = 'has-close';
  const survivor = blocked ? null : left ? merge.prev : right ? merge.next : null;
  if (merge.mm.kernel.emit !== null) emitMerge(merge, [predecessor, successor, both], survivor);
  if (survivor === null) return null;
  const other = left && right ? must(merge.next, '[merge] joined on both sides') : null;
  takeExisting(merge, { survivor, middle, next: other, removesMiddle });
  return survivor;
}

/** Moves the range from `middle` to `survivor`, and all of `next` too when both sides join. */
function takeExisting(
  merge: Merge,
  parts: {
    readonly survivor: Vma;
    readonly middle: Vma;
    readonly next: Vma | null;
    readonly removesMiddle: boolean;
  },
): void {
  const { survivor, middle, next, removesMiddle } = parts;
  const { start, end } = merge;
  adoptAnonVma(survivor, next?.anonVma ? next : middle);
  const sticky = merge.flags | middle.flags | (next?.flags ?? 0);
  if (removesMiddle) absorb(merge, survivor, middle);
  else {
    rehome(merge, survivor, middle, merge);
    splitPmdAt(merge.mm, middle, start === middle.start ? end : start);
    merge.mm.kernel.work.count(FACT.bordersMoved);
    const pages = nrPagesIn(end - start);
    if (start === middle.start) {
      merge.mm.vmas.moveBorder(survivor, middle, end);
      middle.pgoff += pages;
    } else {
      merge.mm.vmas.moveBorder(middle, survivor, start);
      survivor.pgoff -= pages;
    }
    putAgain(survivor);
    putAgain(middle);
    emitResize(merge, middle);
  }
  if (next !== null) absorb(merge, survivor, next);
  emitResize(merge, survivor);
  stick(survivor, sticky);
}

/**
 * Splits `vma` at `at`, whatever the map limit says. The new vma gets the upper part, or the lower one when `newBelow`.
 * @returns the new vma
 */
export function splitVma(mm: Mm, vma: Vma, at: Addr, cause: Cause, newBelow = false): Vma {
  const other = duplicateVma(mm.kernel, vma);
  const pages = nrPagesIn(at - vma.start);
  if (newBelow) vma.pgoff += pages;
  else other.pgoff = vma.pgoff + pages;
  mm.vmas.splitAt(vma, other, at, newBelow);
  cloneAnonVma(other, vma);
  putAgain(vma);
  mm.mapCount++;
  mm.kernel.work.count(FACT.vmasSplit);
  if (isInTree(vma)) mm.kernel.work.count(FACT.writtenVmasSplit);
  other.mm = mm;
  if (other.file !== null) other.file.object.vmas.add(other);
  splitPmdAt(mm, vma, at);
  mm.kernel.emit?.({
    kind: 'vmaSplit',
    op: mm.kernel.opNr,
    mm: mm.id,
    vma: vma.id,
    other: other.id,
    side: newBelow ? 'below' : 'above',
    at,
    cause,
  });
  return other;
}

/** The attributes an operation gives to a range; what is left out stays as it is. */
export interface NewAttributes {
  readonly flags?: number;
  readonly policy?: string | null;
  readonly uffd?: UffdContext | null;
  readonly name?: string | null;
  readonly isVolatile?: boolean;
  readonly isPtReclaimed?: boolean;
}

/**
 * Gives [start, end) of `vma` new attributes: joins a neighbour that already has them, else splits and sets them.
 *
 * @returns the vma that covers the range now (it may be larger), or null when a split met vm.max_map_count: then an earlier split
 *          of the low edge stays
 * Source   spec/vma.md 14.3; Linux vma_modify()
 */
export function modifyVma(
  mm: Mm,
  vma: Vma,
  range: { start: Addr; end: Addr; cause: Cause },
  attributes: NewAttributes,
): Vma | null {
  const { start, end, cause } = range;
  const { flags = vma.flags, policy = vma.policy, uffd = vma.uffd, name = vma.name } = attributes;
  const { isVolatile = vma.isVolatile, isPtReclaimed = vma.isPtReclaimed } = attributes;
  const merged = mergeExistingRange(
    {
      mm,
      cause,
      start,
      end,
      flags,
      policy,
      uffd,
      name,
      isVolatile,
      isPtReclaimed,
      pgoff: vma.pgoff + nrPagesIn(start - vma.start),
      file: vma.file,
      anonVma: vma.anonVma,
      prev: vma.prev,
      next: vma.next,
      middle: vma,
      copiedFrom: null,
      leftOnly: false,
    },
    vma,
  );
  if (merged !== null) return merged;
  if (vma.start < start) {
    if (!maySplit(mm)) return null;
    splitVma(mm, vma, start, cause, true);
  }
  if (vma.end > end) {
    if (!maySplit(mm)) return null;
    splitVma(mm, vma, end, cause);
  }
  vma.flags = flags | (vma.flags & VM_STICKY);
  vma.policy = policy;
  vma.uffd = uffd;
  vma.name = name;
  vma.isVolatile = isVolatile;
  vma.isPtReclaimed = isPtReclaimed;
  mm.kernel.emit?.({ kind: 'flags', op: mm.kernel.opNr, mm: mm.id, vma: vma.id, flags: vma.flags, cause });
  return vma;
}

/** Tells whether one more vma fits under vm.max_map_count, as every split but those of munmap asks. */
export const maySplit = (mm: Mm): boolean => mm.mapCount < mm.maxMapCount;

/** What a new mapping has. */
export interface NewRange {
  readonly start: Addr;
  readonly end: Addr;
  readonly flags: number;
  readonly pgoff: Pgoff;
  readonly file: MappedFile | null;
}

/** Returns the Merge that proposes a fresh range to its neighbours. */
export function newRangeMerge(mm: Mm, range: NewRange, cause: Cause): Merge {
  const next = mm.vmas.firstEndingAbove(range.start);
  return {
    mm,
    cause,
    start: range.start,
    end: range.end,
    flags: range.flags,
    pgoff: range.pgoff,
    file: range.file,
    anonVma: null,
    policy: null,
    uffd: null,
    name: null,
    prev: next === null ? mm.vmas.last : next.prev,
    next,
    middle: null,
    copiedFrom: null,
    leftOnly: false,
  };
}

/** Inserts a vma for a fresh range that no neighbour took. */
export function insertVma(mm: Mm, vma: Vma, cause: Cause, from: Vma | null = null): Vma {
  linkVma(mm, vma, cause, from);
  mm.kernel.work.count(FACT.vmasCreated);
  return vma;
}
