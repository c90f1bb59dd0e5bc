/**
 * Pages that are being migrated: the kernel moves a page to another frame while its entries say so.
 *
 * Migration has two ends. It starts by turning every entry that maps a page into a migration entry; it ends with a new frame, a copy, and the entries
 * back with the access they had. Between the two, whoever needs the page waits: an access, and seed 004 when it gives a page another index or
 * anon_vma. Here a wait lets the migration end at once and is counted; mremap, fork, mprotect and munmap do not wait.
 *
 * Invariant   a migration entry still counts in the map count of its frame and among the resident pages
 * Cost        the pages of the range and their reverse mappings
 * Linux       mm/migrate.c: try_to_migrate, remove_migration_ptes, migration_entry_wait
 * Left out    who asks for it (compaction, NUMA, memory offline): an operation of the input does
 */
import { type Addr, PMD_SIZE } from '../base/units.ts';
import { FRAME_SWAPCACHE, type Pfn } from './frames.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { HUGE, KIND_MASK, MIGRATION, PRESENT } from './pte.ts';
import { walkRmap } from './rmap.ts';
import { TlbGather } from './tlb.ts';
import { FACT } from './work.ts';

/**
 * Starts migrating the anonymous pages of [start, end) of `mm`, wherever else they are mapped.
 * @returns  how many pages
 */
export function startMigration(mm: Mm, start: Addr, end: Addr): number {
  const { kernel } = mm;
  breakHuge(mm, start, end);
  const pfns = new Set<Pfn>();
  mm.pages.transform(start, end, (low, high) => {
    if ((low & KIND_MASK) === PRESENT && kernel.frames.isAnon(high) && !kernel.frames.isLarge(high))
      pfns.add(high);
    return low;
  });
  for (const pfn of pfns) retype(kernel, pfn, MIGRATION);
  return pfns.size;
}

/** Huge folios are not migrated as a whole here: their mappings are broken up, their pages stay. */
function breakHuge(mm: Mm, start: Addr, end: Addr): void {
  mm.pages.forEachSlot(start, end, (base, pmd) => {
    const vma = mm.vmas.firstEndingAbove(base);
    if (pmd & HUGE && (pmd & KIND_MASK) === PRESENT && vma !== null) splitPmd(mm, vma, base);
  });
}

/** Turns every entry that holds `pfn` into one of `kind`, with the same bits. */
function retype(kernel: Kernel, pfn: Pfn, kind: number): void {
  walkRmap(kernel, pfn, (mm, _vma, addr) => {
    const tlb = new TlbGather(mm);
    mm.pages.setLow(addr, (mm.pages.low(addr) & ~KIND_MASK) | kind);
    tlb.changed(addr, addr + 4096);
    tlb.finish();
  });
}

/** Ends the migration of the pages of [start, end) of `mm`. Returns how many pages. */
export function endMigration(mm: Mm, start: Addr, end: Addr): number {
  const pfns = new Set<Pfn>();
  mm.pages.forEachSlot(start, end, (base) => {
    mm.pages.transform(Math.max(start, base), Math.min(end, base + PMD_SIZE), (low, high) => {
      if ((low & KIND_MASK) === MIGRATION) pfns.add(high);
      return low;
    });
  });
  for (const pfn of pfns) finish(mm.kernel, pfn);
  return pfns.size;
}

/** Somebody needs a page of [start, end) that is being migrated: it waits until that has ended. Returns how many pages were waited for. */
export function waitForMigration(mm: Mm, start: Addr, end: Addr): number {
  const pages = endMigration(mm, start, end);
  if (pages > 0) mm.kernel.work.count(FACT.migrationsWaitedFor, pages);
  return pages;
}

/** Gives the page of `pfn` a new frame. */
function finish(kernel: Kernel, pfn: Pfn): void {
  const { frames, work } = kernel;
  const to = frames.allocate(frames.flags(pfn), frames.owner(pfn), frames.index(pfn));
  frames.contents.copy(pfn, to);
  kernel.swap.migrate(pfn, to);
  frames.setFlags(pfn, 0, FRAME_SWAPCACHE);
  work.count(FACT.pagesAllocated);
  work.count(FACT.pagesCopied);
  const places: { readonly mm: Mm; readonly addr: Addr }[] = [];
  walkRmap(kernel, pfn, (mm, _vma, addr) => places.push({ mm, addr }));
  for (const { mm, addr } of places) {
    frames.addPte(to, mm.id);
    mm.pages.set(addr, (mm.pages.low(addr) & ~KIND_MASK) | PRESENT, to);
    work.count(FACT.pagesFreed, frames.dropPte(pfn, mm.id));
  }
}
