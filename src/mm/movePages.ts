/**
 * mremap, on pages: entries change their address, whole tables at a time where they can.
 *
 * Going up by the larger of the steps that both addresses and the rest of the range allow: a pmd page (1 GiB), a table or a huge mapping
 * (2 MiB), else entry by entry, for which the destination gets a table even if there is nothing to move. What was moved leaves empty tables
 * behind; munmap of the source frees them where nobody else needs them.
 *
 *   +--------+--------+---          a range that begins inside a table, at the same place inside a table at the destination, is begun at the
 *   |    ####|########|##           start of the table if nothing else is mapped below: then it moves as a whole
 *   +--------+--------+---
 *
 * Cost    linear in tables, or in touched entries where tables cannot move
 * Linux   mm/mremap.c: move_page_tables, move_ptes, move_normal_pmd, move_huge_pmd, try_realign_addr
 */
import { type Addr, PMD_SIZE } from '../base/units.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { HUGE, NONE } from './pte.ts';
import { PUD_SIZE } from './tableTree.ts';
import { dropUffdBits } from './uffdProtect.ts';
import type { Vma } from './vma.ts';
import { FACT } from './work.ts';

/** What is to be moved where. */
export interface PageMove {
  readonly from: Addr;
  readonly to: Addr;
  /** Bytes. */
  readonly len: number;
  /** The vma that `from` lies in, and the one that `to` lies in. */
  readonly source: Vma;
  readonly target: Vma;
  /** Tables may not move as a whole, because each page has to be looked at (seed 004: index and anon_vma are rewritten). */
  readonly byEntry?: boolean;
}

/** Moves the entries of a range. There are none at the destination. */
export function movePages(mm: Mm, move: PageMove): void {
  if (move.len === 0) return;
  const below = realignment(move);
  let from = move.from - below;
  let to = move.to - below;
  const end = move.from + move.len;
  const wasBlank = mm.pages.isBlank(from, end);
  const start = from;
  const unprotects = isUnprotectedByMove(move.source);
  while (from < end) {
    const step = moveStep(mm, move, { from, to, end });
    if (unprotects) dropUffdBits(mm, to, to + step);
    from += step;
    to += step;
  }
  if (!wasBlank) mm.kernel.tlb.flush(mm, start, end, false);
}

/** Tells whether protection by userfaultfd does not come along: nobody asked to be told of moves. Linux: vma_has_uffd_without_event_remap() */
const isUnprotectedByMove = (vma: Vma): boolean => vma.uffd !== null && !vma.uffd.eventRemap;

/** Tells whether `vma` starts at `start` and nothing is mapped in the `bytes` below. Linux: can_align_down(). */
const isAloneBelow = (vma: Vma, start: Addr, bytes: number): boolean =>
  vma.start === start && (vma.prev === null || vma.prev.end <= start - bytes);

/** Returns by how many bytes the move may begin earlier. Linux: can_realign_addr(). */
function realignment(move: PageMove): number {
  const above = move.from % PMD_SIZE;
  const reachesNext = move.len >= PMD_SIZE - above;
  const may =
    reachesNext &&
    above === move.to % PMD_SIZE &&
    isAloneBelow(move.source, move.from, above) &&
    isAloneBelow(move.target, move.to, above);
  return may ? above : 0;
}

interface Step {
  readonly from: Addr;
  readonly to: Addr;
  readonly end: Addr;
}

/** Returns how far the next step of at most `size` goes. Linux: get_extent(). */
const extent = (size: number, { from, to, end }: Step): number =>
  Math.min(size - (from % size), size - (to % size), end - from);

/** Moves one step and returns its length in bytes. */
function moveStep(mm: Mm, move: PageMove, at: Step): number {
  const { pages, kernel } = mm;
  const { from, to } = at;
  const big = extent(PUD_SIZE, at);
  if (!pages.hasPmdPage(from)) return big;
  pages.makePudPage(to);
  const allTables = move.byEntry !== true && !isUnprotectedByMove(move.source);
  if (allTables && big === PUD_SIZE && !pages.hasPmdPage(to)) {
    pages.forEachSlot(from, from + PUD_SIZE, () => kernel.work.count(FACT.tablesMoved));
    pages.movePud(from, to);
    return PUD_SIZE;
  }
  const small = extent(PMD_SIZE, at);
  const pmd = pages.pmd(from);
  if (pmd === NONE) return small;
  pages.makePmdPage(to);
  const whole = small === PMD_SIZE;
  if (whole && (pmd & HUGE || allTables) && pages.movePmd(from, to)) {
    kernel.work.count(pmd & HUGE ? FACT.pmdsMoved : FACT.tablesMoved);
    if (pmd & HUGE) pages.setHugeLow(to, pmd | kernel.softDirtyBit);
    return small;
  }
  if (pmd & HUGE) {
    splitPmd(mm, move.source, from - (from % PMD_SIZE));
    if (pages.pmd(from) === NONE) return small;
  }
  moveEntries(mm, at, small);
  return small;
}

function moveEntries(mm: Mm, at: Step, len: number): void {
  const { pages, kernel } = mm;
  const { from, to } = at;
  pages.makeTable(to);
  kernel.work.count(FACT.ptesMoved, pages.moveEntries(from, to, len));
  // What moved is new to who tracks writes; entries of tables that move as a whole are not touched. Linux: move_soft_dirty_pte()
  const noted = kernel.softDirtyBit;
  if (noted !== 0) pages.transform(to, to + len, (low) => low | noted);
}
