/**
 * fork, on pages: the child's tables become a copy of the parent's.
 *
 * Anonymous pages are shared: both sides lose write access and exclusiveness, so the next store of either asks whether it is alone. Swap
 * slots and markers are counted and copied, tables are copied even if they are empty, and upper levels even where nothing of this vma is. What a
 * file can bring back is not copied at all: whether a vma's tables are is decided in fork.ts.
 *
 * Cost    linear in the touched entries of the vma
 * Linux   mm/memory.c: copy_page_range, copy_present_ptes, copy_nonpresent_pte; mm/huge_memory.c: copy_huge_pmd
 */
import { type Addr, PMD_SIZE } from '../base/units.ts';
import { FRAME_ANON, FRAME_SHMEM, HUGE_PAGES } from './frames.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import {
  DIRTY,
  EXCLUSIVE,
  HUGE,
  holdsFrame,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_UFFD_WP,
  NO_DEPOSIT,
  SWAP,
  UFFD_WP,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { mapNewAnon } from './rmap.ts';
import { PGDIR_SIZE, PUD_SIZE } from './tableTree.ts';
import type { Vma } from './vma.ts';
import { VM_SHARED, VM_UFFD_WP, VM_WRITE } from './vmFlags.ts';
import { FACT } from './work.ts';

/** Where `copyEntries` wants the copy of an entry: beside what the entry becomes. */
const COPY = 16;

/**
 * Copies the entries of `vma`, which belongs to `parent`, into `child`.
 * @param copy  the child's vma; where it is registered for write-protection too, bits and markers of userfaultfd are copied
 */
export function copyPages(parent: Mm, child: Mm, vma: Vma, copy: Vma): void {
  const keepsWp = (copy.flags & VM_UFFD_WP) !== 0;
  copyUpperLevels(parent, child, vma);
  parent.pages.forEachSlot(vma.start, vma.end, (base, pmd) => {
    if (isMarkerPmd(pmd)) {
      if (!keepsWp) return;
      child.pages.setHuge(base, pmd, parent.pages.pmdHigh(base));
    } else {
      if (pmd & HUGE) {
        const isHeld = pmd & EXCLUSIVE && parent.kernel.frames.isPinned(parent.pages.pmdHigh(base));
        if (!isHeld) {
          copyHuge(parent, child, base, keepsWp);
          return;
        }
        splitPmd(parent, vma, base);
      }
      if (child.pages.makeTable(base)) countCopy(parent, base);
      copyTable(parent, child, {
        vma,
        copy,
        start: Math.max(base, vma.start),
        end: Math.min(base + PMD_SIZE, vma.end),
        keepsWp,
      });
    }
  });
}

/** The child gets a table for the one at `base`. */
function countCopy({ pages, kernel }: Mm, base: Addr): void {
  kernel.work.count(FACT.ptCopiedByFork);
  if (pages.nrUsed(base) === 0) kernel.work.count(FACT.ptCopiedEmptyByFork);
}

/** Makes the pud and pmd pages that the walk over the parent's makes on its way. */
function copyUpperLevels(parent: Mm, child: Mm, vma: Vma): void {
  for (let at = vma.start; at < vma.end; at = (Math.floor(at / PUD_SIZE) + 1) * PUD_SIZE) {
    if (!parent.pages.hasPudPage(at)) {
      at = (Math.floor(at / PGDIR_SIZE) + 1) * PGDIR_SIZE - PUD_SIZE;
      continue;
    }
    child.pages.makePudPage(at);
    if (!parent.pages.hasPmdPage(at) || child.pages.hasPmdPage(at)) continue;
    child.pages.makePmdPage(at);
    if (parent.pages.nrSlots(at) === 0) parent.kernel.work.count(FACT.pmdPagesCopiedEmptyByFork);
  }
}

function copyTable(
  parent: Mm,
  child: Mm,
  what: {
    readonly vma: Vma;
    readonly copy: Vma;
    readonly start: Addr;
    readonly end: Addr;
    readonly keepsWp: boolean;
  },
): void {
  const { frames, swap, work } = parent.kernel;
  const pinned = frames.hasPins ? pinnedPages(parent, what.start, what.end) : [];
  const shared = (what.vma.flags & VM_SHARED) !== 0;
  const { id } = child;
  let [anon, shmem, file, swapped] = [0, 0, 0, 0];
  let protectedPtes = 0;
  const dropped = what.keepsWp ? 0 : UFFD_WP;
  const copied = parent.pages.copyEntries(child.pages, what.start, what.end, (low, high) => {
    if (holdsFrame(low)) {
      if (pinned.length > 0 && isHeldPage(parent, low, high)) return low;
      const flags = frames.addPte(high, id);
      if (flags & FRAME_ANON) anon++;
      else if (flags & FRAME_SHMEM) shmem++;
      else file++;
      // A shared mapping's copy begins clean: its file knows that the page is dirty.
      if (shared) return low | ((low & ~(dropped | DIRTY | YOUNG)) << COPY);
      if (low & WRITE) protectedPtes++;
      return (low & ~(WRITE | EXCLUSIVE)) | ((low & ~(dropped | WRITE | EXCLUSIVE | YOUNG)) << COPY);
    }
    const kind = low & KIND_MASK;
    if (kind === SWAP) {
      swap.dup(high);
      swapped++;
      return (low & ~EXCLUSIVE) | ((low & ~(dropped | EXCLUSIVE)) << COPY);
    }
    if (kind !== MARKER) return low | ((low & ~dropped) << COPY);
    // Of a marker the mark alone is copied.
    return high === MARKER_UFFD_WP && !what.keepsWp ? low : low | (MARKER << COPY);
  });
  child.rssAnon += anon;
  child.rssShmem += shmem;
  child.rssFile += file;
  child.nrSwap += swapped;
  work.count(FACT.ptesCopied, copied);
  work.count(FACT.ptesWriteProtected, protectedPtes);
  for (const { addr, low, high } of pinned) {
    const wp = what.keepsWp ? low & UFFD_WP : 0;
    const writable = what.copy.flags & VM_WRITE && wp === 0 ? WRITE : 0;
    const pfn = mapNewAnon(child, what.copy, addr, writable | wp | DIRTY | YOUNG | EXCLUSIVE);
    frames.contents.copy(high, pfn);
    work.count(FACT.pagesCopied);
  }
}

/** Tells whether an entry holds a page of its own that the kernel is copying to or from: it stays its own, the child gets a copy. Linux: copy_present_page() */
const isHeldPage = ({ kernel: { frames } }: Mm, low: number, high: number): boolean =>
  (low & EXCLUSIVE) !== 0 && frames.isAnon(high) && frames.isPinned(high);

function pinnedPages(
  mm: Mm,
  start: Addr,
  end: Addr,
): readonly { readonly addr: Addr; readonly low: number; readonly high: number }[] {
  const found: { addr: Addr; low: number; high: number }[] = [];
  mm.pages.forEach(start, end, (addr, low, high) => {
    if (holdsFrame(low) && isHeldPage(mm, low, high)) found.push({ addr, low, high });
  });
  return found;
}

/** Copies 2 MiB that are mapped at once, with a table of its own put aside. Those of files come back by a fault. */
function copyHuge(parent: Mm, child: Mm, base: Addr, keepsWp: boolean): void {
  const pmd = parent.pages.pmd(base);
  if (pmd & NO_DEPOSIT) return;
  parent.kernel.work.count(FACT.pmdsCopied);
  const head = parent.pages.pmdHigh(base);
  if ((pmd & KIND_MASK) === ZERO_PAGE) {
    child.pages.setHuge(base, ZERO_PAGE | (keepsWp ? pmd & UFFD_WP : 0), 0);
    return;
  }
  const { frames } = parent.kernel;
  frames.addEntire(head, child.id);
  child.rssAnon += HUGE_PAGES;
  parent.pages.setHugeLow(base, pmd & ~(WRITE | EXCLUSIVE));
  child.pages.setHuge(base, pmd & ~(WRITE | EXCLUSIVE | YOUNG | (keepsWp ? 0 : UFFD_WP)), head);
}
