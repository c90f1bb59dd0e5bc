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
 * Cost        a scan is linear in the tables of the vmas it visits; MADV_PT_RECLAIM in those of its range
 * Linux       mm/pt_reclaim.c (sync); the rest was never merged: RFC 3/3 of seed 003, pte_ref of 2021. spec/pt-reclaim.md 4
 * Left out    the race of an access with the check for emptiness, a busy mmap_lock, scans of address spaces in which nobody runs, grace periods
 */
import { EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, floorTo, isPageAligned, PMD_SIZE, pageCeil } from '../base/units.ts';
import type { Features } from './features.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { firstHole } from './mseal.ts';
import { PUD_SIZE } from './pageTable.ts';
import { EMPTY_TABLE, KIND_MASK } from './pte.ts';
import type { ScanTunables } from './ptScanTunables.ts';
import { OK, refused, type SysResult } from './result.ts';
import { TlbGather } from './tlb.ts';
import type { Vma } from './vma.ts';
import { VM_HUGEPAGE, VM_IO, VM_MIXEDMAP, VM_PFNMAP, VM_UFFD_WP } from './vmFlags.ts';
import { FACT } from './work.ts';

/** Whether a process wants to be scanned: prctl(PR_SET_PT_RECLAIM). */
export type PtReclaimMode = Features['ptReclaimMode'];

/** Where the scan of an address space has come to. */
export class ScanState {
  /** Where the next one begins. */
  offset: Addr = 0;
  /** How many scans in a row found a table empty, by its address. */
  readonly seen = new Map<Addr, number>();
}

/** What one scan did. */
export interface ScanStop {
  readonly vmas: number;
  /** Tables whose 512 entries were read. */
  readonly tables: number;
  readonly freed: number;
  /** It reached the end of the address space. */
  readonly isWhole: boolean;
}

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
function isVisited(mm: Mm, vma: Vma, tunables: ScanTunables): boolean {
  const mode = mm.ptReclaim ?? mm.kernel.features.ptReclaimMode;
  if (mode === 'never' || (mode === 'madvise' && !vma.isPtReclaimed)) return false;
  if (vma.flags & (VM_HUGEPAGE | VM_PFNMAP | VM_IO | VM_MIXEDMAP) || vma.special !== null) return false;
  return tunables.scanUffdWp || (vma.flags & VM_UFFD_WP) === 0;
}

/**
 * One scan of an address space, from where the last one stopped.
 * Facts   ptScans, ptScanTables, ptFreedAsync
 */
export function scanTables(mm: Mm): ScanStop {
  const tunables = mm.kernel.config.ptScan;
  mm.ptScan ??= new ScanState();
  const scan = new Scan(mm, mm.ptScan, tunables);
  return scan.run();
}

class Scan {
  readonly #mm: Mm;
  readonly #state: ScanState;
  readonly #tunables: ScanTunables;
  readonly #tlb: TlbGather;
  #vmas = 0;
  #tables = 0;
  #freed = 0;
  /** Bytes of whole tables that were visited. */
  #visited = 0;

  constructor(mm: Mm, state: ScanState, tunables: ScanTunables) {
    this.#mm = mm;
    this.#state = state;
    this.#tunables = tunables;
    this.#tlb = new TlbGather(mm);
  }

  run(): ScanStop {
    const { work } = this.#mm.kernel;
    const { vmas } = this.#mm;
    const { offset } = this.#state;
    const stopped = this.#walk(vmas.firstEndingAbove(offset) === null ? 0 : offset);
    this.#tlb.finish();
    const end = stopped !== null && vmas.firstEndingAbove(stopped) !== null ? stopped : null;
    this.#state.offset = end ?? 0;
    work.count(FACT.ptScans);
    work.count(FACT.ptScanTables, this.#tables);
    return { vmas: this.#vmas, tables: this.#tables, freed: this.#freed, isWhole: end === null };
  }

  /** Goes on from `begin`. Returns where it stopped; null at the end of the address space. */
  #walk(begin: Addr): Addr | null {
    const { size, stop, maxPerStop } = this.#tunables;
    for (let vma = this.#mm.vmas.firstEndingAbove(begin); vma !== null; vma = vma.next) {
      if (!isVisited(this.#mm, vma, this.#tunables)) continue;
      const from = Math.max(begin, vma.start);
      const stopped = this.#visit(Math.ceil(from / PMD_SIZE) * PMD_SIZE, floorTo(vma.end, PMD_SIZE));
      if (stopped !== null) return stopped;
      // Counted from where the scan began, holes and all: the first one of an address space, from 0, ends with its first vma.
      if ((stop === 'vmaEnd' && vma.end - begin >= size) || this.#freed >= maxPerStop) return vma.end;
    }
    return null;
  }

  /** Visits the whole tables of [start, end). Returns where it had to stop, or null. */
  #visit(start: Addr, end: Addr): Addr | null {
    if (start >= end) return null;
    this.#vmas++;
    const { size, stop, maxPerStop } = this.#tunables;
    const until = stop === 'exact' ? Math.min(end, start + (size - this.#visited)) : end;
    const slots: { readonly base: Addr; readonly isEmpty: boolean }[] = [];
    this.#mm.pages.forEachSlot(start, until, (base, pmd) => {
      if (this.#mm.pages.hasTable(base)) slots.push({ base, isEmpty: (pmd & KIND_MASK) === EMPTY_TABLE });
    });
    for (const { base, isEmpty } of slots) {
      this.#tables++;
      if (isEmpty) this.#found(base);
      else this.#state.seen.delete(base);
      if (this.#freed >= maxPerStop) return base + PMD_SIZE;
    }
    this.#visited += until - start;
    if (this.#tunables.upper) freeUpper(this.#mm, start, until);
    return until < end ? until : null;
  }

  #found(base: Addr): void {
    const { seen } = this.#state;
    const before = seen.get(base) ?? 0;
    if (before < this.#tunables.minAge) {
      seen.set(base, before + 1);
      return;
    }
    seen.delete(base);
    freeEmpty(this.#mm, base, this.#tlb);
    if (!this.#tunables.batchFlush) this.#tlb.finish();
    this.#freed++;
    this.#mm.kernel.work.count(FACT.ptFreedAsync);
  }
}

function freeEmpty(mm: Mm, base: Addr, tlb: TlbGather): void {
  mm.pages.freeTable(base);
  tlb.freedTable(base, base + PMD_SIZE);
}

/** Frees the pages of the level above that hold nothing, of each GiB of which a part lies in [start, end). */
function freeUpper(mm: Mm, start: Addr, end: Addr): void {
  for (let at = floorTo(start, PUD_SIZE); at < end; at += PUD_SIZE) mm.pages.freeEmptyPmdPage(at);
}

/**
 * madvise(MADV_PT_RECLAIM): frees every table without entries that lies whole in the range, whoever shares it.
 * @param addr  page aligned; len bytes, rounded up to pages; both ends are then rounded inward to 2 MiB
 * Refusals     EINVAL unaligned · ENOMEM hole (the rest is done)
 */
export function reclaimTables(mm: Mm, addr: Addr, len: number): SysResult {
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  const end = addr + pageCeil(len);
  const [from, to] = [Math.ceil(addr / PMD_SIZE) * PMD_SIZE, floorTo(end, PMD_SIZE)];
  const empty: Addr[] = [];
  let tables = 0;
  mm.pages.forEachSlot(from, to, (base, pmd) => {
    if (mm.pages.hasTable(base)) tables++;
    if ((pmd & KIND_MASK) === EMPTY_TABLE) empty.push(base);
  });
  const tlb = new TlbGather(mm);
  for (const base of empty) freeEmpty(mm, base, tlb);
  tlb.finish();
  const { work, config } = mm.kernel;
  work.count(FACT.ptScanTables, tables);
  work.count(FACT.ptFreedAdvised, empty.length);
  if (config.ptScan.upper) freeUpper(mm, from, to);
  return firstHole(mm, addr, end) === null ? OK : refused(ENOMEM, 'hole');
}

/** An operation is over: with `refcount` the tables that it left without entries go. Linux: nothing; free_pte_table() of the series of 2021. */
export function settleTables(mm: Mm): void {
  const emptied = mm.pages.emptied?.take((base) => (mm.pages.pmd(base) & KIND_MASK) === EMPTY_TABLE) ?? [];
  if (emptied.length === 0) return;
  const tlb = new TlbGather(mm);
  for (const base of emptied) freeEmpty(mm, base, tlb);
  tlb.finish();
  mm.kernel.work.count(FACT.ptFreedCounted, emptied.length);
}
