/**
 * Page tables that hold nothing: who frees them, and when (seed 003).
 *
 *   off        only munmap, where no vma needs them, and exit
 *   sync       MADV_DONTNEED, where it covers all 2 MiB of a table within one vma (zap.ts; Linux since 6.14)
 *   async      besides or instead, a scan now and then by whoever runs in the address space (the seed)
 *   refcount   the operation that takes the last entry out (posted in 2021 and 2022)
 *
 * and MADV_PT_RECLAIM, which frees at once what is empty in a range. None of them ever changes what an access returns: only entries that are none go, so
 * markers of any kind keep their table.
 *
 * Invariant   [pt-counted]  with `refcount` no table is empty between operations
 * Cost        ptScan.ts for a scan; MADV_PT_RECLAIM is linear in the tables of its range
 * Linux       mm/pt_reclaim.c (sync); the rest was never merged: RFC 3/3 of seed 003, pte_ref of 2021. spec/pt-reclaim.md 4
 * Left out    the arch hook that state beside a none entry would need (s390)
 */
import { EAGAIN, EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, ceilTo, floorTo, isPageAligned, PMD_SIZE, pageCeil } from '../base/units.ts';
import type { Features } from './features.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { firstHole } from './mseal.ts';
import { EMPTY_TABLE, KIND_MASK } from './pte.ts';
import type { ScanTunables } from './ptScanTunables.ts';
import { OK, refused, type SysResult } from './result.ts';
import { PUD_SIZE } from './tableTree.ts';
import { TlbGather } from './tlb.ts';
import type { Vma } from './vma.ts';
import { VM_HUGEPAGE, VM_IO, VM_MIXEDMAP, VM_PFNMAP, VM_UFFD_WP } from './vmFlags.ts';
import { FACT, PATH, type Work } from './work.ts';

const ENTRIES = 512;

/** Whether a process wants to be scanned: prctl(PR_SET_PT_RECLAIM). */
export type PtReclaimMode = Features['ptReclaimMode'];

/** Tells whether tables are scanned for. */
export const isScanned = ({ features }: Kernel): boolean =>
  features.ptReclaim === 'async' || features.ptReclaim === 'sync+async';

/** Tells whether a table goes with its last entry. */
export const isCounted = ({ features }: Kernel): boolean => features.ptReclaim === 'refcount';

/** Tells whether MADV_DONTNEED frees the tables it leaves empty. */
export const isFreedByDiscard = ({ features }: Kernel): boolean =>
  features.ptReclaim === 'sync' || features.ptReclaim === 'sync+async';

/** Tells whether MADV_PT_RECLAIM, and marking for the scan, are known. */
export const isAdviceKnown = ({ features }: Kernel): boolean => features.madvPtReclaim === 'on';

/** Tells whether the scan visits `vma`. */
export function isVisited(mm: Mm, vma: Vma, tunables: ScanTunables): boolean {
  const mode = mm.ptReclaim ?? mm.kernel.features.ptReclaimMode;
  if (mode === 'never' || (mode === 'madvise' && !vma.isPtReclaimed)) return false;
  if (vma.flags & (VM_HUGEPAGE | VM_PFNMAP | VM_IO | VM_MIXEDMAP) || vma.special !== null) return false;
  return tunables.scanUffdWp || (vma.flags & VM_UFFD_WP) === 0;
}

/** Frees the table at `base`, which is empty. */
export function freeEmpty(mm: Mm, base: Addr, tlb: TlbGather): void {
  mm.pages.freeTable(base);
  mm.pages.empties.reuse.tableFreed(base);
  tlb.freedTable(base, base + PMD_SIZE);
}

/** Frees the pages of the level above that hold nothing, of each GiB of which a part lies in [start, end). */
function freeUpper(mm: Mm, start: Addr, end: Addr): void {
  for (let at = floorTo(start, PUD_SIZE); at < end; at += PUD_SIZE) freeUpperAt(mm, at);
}
/** Frees the page of the level above for the GiB of `addr`, if it holds nothing. Fact: pmdPagesReclaimed */
export function freeUpperAt({ pages, kernel }: Mm, addr: Addr): void {
  if (pages.freeEmptyPmdPage(addr)) kernel.work.count(FACT.pmdPagesReclaimed);
}

/** madvise(MADV_PT_RECLAIM) on its way: it looks without locks first, and who has a clock lets time pass before it clears what it found. */
export class RangeReclaim {
  readonly #mm: Mm;
  readonly #start: Addr;
  readonly #end: Addr;
  readonly #found: Addr[] = [];

  /** @param addr  page aligned; `len` bytes, rounded up to pages; both ends are then rounded inward to 2 MiB */
  constructor(mm: Mm, addr: Addr, len: number) {
    this.#mm = mm;
    this.#start = addr;
    this.#end = addr + pageCeil(len);
  }

  /** Reads the tables that lie whole in the range. Facts: ptScanTables, ptScanEntries, ptScanSlots; charges pt-scan, pt-scan-absent */
  look(): void {
    const { pages, kernel } = this.#mm;
    const { work, config } = kernel;
    const [from, to] = this.#tables();
    let [tables, slots] = [0, 0];
    for (let at = from; at < to; at = floorTo(at, PUD_SIZE) + PUD_SIZE)
      if (pages.hasPmdPage(at)) slots += (Math.min(to, floorTo(at, PUD_SIZE) + PUD_SIZE) - at) / PMD_SIZE;
    pages.forEachSlot(from, to, (base, pmd) => {
      if (pages.hasTable(base)) tables++;
      if ((pmd & KIND_MASK) === EMPTY_TABLE) this.#found.push(base);
    });
    work.count(FACT.ptScanTables, tables);
    work.count(FACT.ptScanSlots, slots - tables);
    work.charge(PATH['pt-scan-absent'], 0, slots - tables);
    chargeEntries(work, config.ptScan, tables * ENTRIES);
  }

  /**
   * Locks what was found empty, looks again, and frees it. Facts: ptFreedAdvised, ptRaceKept; charge dontneed-tables
   * Refusals  ENOMEM hole (the rest is done) · EAGAIN changing (a table is not empty any more)
   */
  clearFound(): SysResult {
    const { pages, kernel } = this.#mm;
    const { work, config } = kernel;
    const tlb = new TlbGather(this.#mm);
    let freed = 0;
    for (const base of this.#found) {
      if ((pages.pmd(base) & KIND_MASK) !== EMPTY_TABLE) continue;
      freeEmpty(this.#mm, base, tlb);
      freed++;
    }
    tlb.finish();
    work.count(FACT.ptFreedAdvised, freed);
    work.count(FACT.ptRaceKept, this.#found.length - freed);
    work.charge(PATH['dontneed-tables'], 0, freed);
    const [from, to] = this.#tables();
    if (config.ptScan.upper) freeUpper(this.#mm, from, to);
    if (firstHole(this.#mm, this.#start, this.#end) !== null) return refused(ENOMEM, 'hole');
    return freed === this.#found.length ? OK : refused(EAGAIN, 'changing');
  }

  #tables(): readonly [Addr, Addr] {
    return [ceilTo(this.#start, PMD_SIZE), floorTo(this.#end, PMD_SIZE)];
  }
}

/**
 * madvise(MADV_PT_RECLAIM): frees every table without entries that lies whole in the range, whoever shares it.
 * Refusals  EINVAL unaligned; those of RangeReclaim
 */
export function reclaimTables(mm: Mm, addr: Addr, len: number): SysResult {
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  const call = new RangeReclaim(mm, addr, len);
  call.look();
  return call.clearFound();
}

/** Charges reading `entries` of tables, and counts them: ptScanEntries, pt-scan or pt-given. */
export function chargeEntries(work: Work, { entryNs }: ScanTunables, entries: number): void {
  work.count(FACT.ptScanEntries, entries);
  if (entryNs === null) work.charge(PATH['pt-scan'], 0, entries);
  else work.charge(PATH['pt-given'], 0, entries * entryNs);
}

/**
 * Looks again at tables that a zap emptied and whose lock it had given up before it had come to their end (`mm.recheck`), and frees those that still are.
 * Facts  ptFreedSync, ptFreedSlow, ptRaceKept
 */
export function recheckTables(mm: Mm, bases: readonly Addr[]): void {
  const { pages, kernel } = mm;
  const tlb = new TlbGather(mm);
  for (const base of bases) {
    if ((pages.pmd(base) & KIND_MASK) !== EMPTY_TABLE) {
      kernel.work.count(FACT.ptRaceKept);
      continue;
    }
    freeEmpty(mm, base, tlb);
    kernel.work.count(FACT.ptFreedSync);
    kernel.work.count(FACT.ptFreedSlow);
  }
  tlb.finish();
}

/** An operation is over: with `refcount` the tables that it left without entries go. Linux: nothing; free_pte_table() of the series of 2021. */
export function settleTables(mm: Mm): void {
  const noted = mm.pages.empties.emptied?.take() ?? [];
  if (noted.length === 0) return;
  const tlb = new TlbGather(mm);
  const emptied: Addr[] = [];
  for (const base of noted) {
    if ((mm.pages.pmd(base) & KIND_MASK) !== EMPTY_TABLE) continue;
    freeEmpty(mm, base, tlb);
    emptied.push(base);
  }
  if (emptied.length === 0) return;
  tlb.finish();
  if (mm.kernel.config.ptScan.upper) for (const base of emptied) freeUpperAt(mm, base);
  const { work } = mm.kernel;
  work.count(FACT.ptFreedCounted, emptied.length);
  work.charge(PATH['dontneed-tables'], 0, emptied.length);
}
