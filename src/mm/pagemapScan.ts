/**
 * PAGEMAP_SCAN: which pages of a range are of which categories, and write-protecting those that match in the same step.
 *
 * What matters to its users is WRITTEN: not protected by userfaultfd since the last time. Where the context of a vma lets writes through and notes
 * them, a scan that protects what it reports is "what was written since", with nobody stopped.
 *
 *   nothing mapped, a table there ....... WRITTEN
 *   nothing mapped, no table ............ WRITTEN if the vma is registered for write-protection, else nothing
 *   any marker, a swap entry ............ SWAPPED, and WRITTEN unless it is protected
 *
 * Cost    linear in the tables of the range, 512 steps each; ranges without tables are one step a GiB
 * Linux   fs/proc/task_mmu.c: do_pagemap_scan, pagemap_scan_pmd_entry, pagemap_scan_output; spec/userfaultfd.md 13
 */
import { EFAULT, EINVAL, EPERM } from '../abi/errno.ts';
import {
  PAGE_IS_FILE,
  PAGE_IS_GUARD,
  PAGE_IS_HUGE,
  PAGE_IS_PFNZERO,
  PAGE_IS_PRESENT,
  PAGE_IS_SOFT_DIRTY,
  PAGE_IS_SWAPPED,
  PAGE_IS_WPALLOWED,
  PAGE_IS_WRITTEN,
  PM_SCAN_ARG_SIZE,
  PM_SCAN_CATEGORIES,
  PM_SCAN_CHECK_WPASYNC,
  PM_SCAN_WP_MATCHING,
} from '../abi/pagemapScan.ts';
import {
  type Addr,
  floorTo,
  isPageAligned,
  PAGE_SIZE,
  PMD_SIZE,
  pageCeil,
  TASK_SIZE,
} from '../base/units.ts';
import { HUGE_PAGES } from './frames.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { ScanOutput, type ScanRegion } from './pagemapScanOutput.ts';
import {
  HUGE,
  isMarkerPmd,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_UFFD_WP,
  NONE,
  PRESENT,
  SOFT_DIRTY,
  UFFD_WP,
  ZERO_PAGE,
} from './pte.ts';
import { ok, refused, type SysResult } from './result.ts';
import { writtenBit } from './storeBits.ts';
import { TlbGather } from './tlb.ts';
import { canScanProtect, protectForUffd, protectOne } from './uffdProtect.ts';
import type { Vma } from './vma.ts';
import { VM_PFNMAP, VM_SOFTDIRTY, VM_UFFD_WP } from './vmFlags.ts';
import { FACT } from './work.ts';

/** The argument of PAGEMAP_SCAN. */
export interface ScanRequest {
  readonly size: number;
  readonly flags: number;
  readonly start: Addr;
  readonly end: Addr;
  /** Where regions go: memory that can be written, none, memory that cannot, or no user address at all. */
  readonly vec: 'set' | 'none' | 'unwritable' | 'bad';
  readonly vecLen: number;
  readonly maxPages: number;
  readonly inverted: number;
  readonly mask: number;
  readonly anyof: number;
  readonly returned: number;
}

/** The answer: the number of regions; `walkEnd` is null where it was not written. */
export interface ScanResult extends SysResult {
  readonly walkEnd: Addr | null;
  readonly regions: readonly ScanRegion[];
}

/** Checks the argument, in the kernel's order. */
function checkRequest(request: ScanRequest): SysResult | null {
  const { size, flags, start, end, vec, vecLen } = request;
  if (size !== PM_SCAN_ARG_SIZE) return refused(EINVAL, 'bad-length');
  if (flags > (PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC)) return refused(EINVAL, 'bad-flags');
  const masks = [request.inverted, request.mask, request.anyof, request.returned];
  if (masks.some((mask) => mask > PM_SCAN_CATEGORIES)) return refused(EINVAL, 'bad-flags');
  if (!isPageAligned(start)) return refused(EINVAL, 'unaligned');
  if (start > TASK_SIZE || end < start || end > TASK_SIZE) return refused(EFAULT, 'bad-range');
  if (vec === 'none' && vecLen !== 0) return refused(EINVAL, 'bad-pointer');
  return vec === 'bad' ? refused(EFAULT, 'bad-pointer') : null;
}

/**
 * PAGEMAP_SCAN on /proc/PID/pagemap of `mm`. Of a process that is gone, whose file is still open, nothing is found.
 * @param request  null if the structure cannot be read
 * Refusals   EFAULT bad-pointer, bad-range · EINVAL bad-length, bad-flags, unaligned · EPERM not-registered (CHECK_WPASYNC; vmas
 *            before the one that is refused are protected)
 */
export function pagemapScan(mm: Mm, request: ScanRequest | null): ScanResult {
  const none = (result: SysResult): ScanResult => ({ ...result, walkEnd: null, regions: [] });
  if (request === null) return none(refused(EFAULT, 'bad-pointer'));
  const wrong = checkRequest(request);
  if (wrong !== null) return none(wrong);
  const scan = new Scan(mm, request);
  const refusal = scan.run();
  const { output } = scan;
  const walkEnd = output.stoppedAt ?? pageCeil(request.end);
  const { regions } = output;
  if (request.vec === 'unwritable' && regions.length > 0)
    return { ...refused(EFAULT, 'bad-pointer'), walkEnd, regions: [] };
  return { ...(refusal ?? ok(regions.length)), walkEnd, regions: refusal === null ? regions : [] };
}

/** Tells whether all pages of `vma` count as written since clear_refs. */
const isAllDirty = (vma: Vma): boolean => (vma.flags & VM_SOFTDIRTY) !== 0;

/** One scan. Steps return false when it is to stop, because there is no room for what comes. */
class Scan {
  readonly output: ScanOutput;
  readonly #mm: Mm;
  readonly #request: ScanRequest;
  readonly #protects: boolean;
  #vmaCategory = 0;
  /** The bit of userfaultfd that means written: none, or itself. */
  #writtenBit = 0;

  constructor(mm: Mm, request: ScanRequest) {
    this.#mm = mm;
    this.#request = request;
    this.#protects = (request.flags & PM_SCAN_WP_MATCHING) !== 0;
    this.output = new ScanOutput(request);
  }

  /** Returns why it was refused, or null. */
  run(): SysResult | null {
    const { start, flags } = this.#request;
    const end = pageCeil(this.#request.end);
    for (let vma = this.#mm.vmas.firstEndingAbove(start); vma !== null && vma.start < end; vma = vma.next) {
      const allowed = canScanProtect(this.#mm, vma);
      if (!allowed && flags & PM_SCAN_CHECK_WPASYNC) return refused(EPERM, 'not-registered');
      if ((!allowed && this.#protects) || vma.flags & VM_PFNMAP) continue;
      this.#writtenBit = writtenBit(vma);
      this.#vmaCategory = (allowed ? PAGE_IS_WPALLOWED : 0) | (isAllDirty(vma) ? PAGE_IS_SOFT_DIRTY : 0);
      const required = this.#request.mask & PAGE_IS_WPALLOWED;
      if (((this.#vmaCategory ^ this.#request.inverted) & required) !== required) continue;
      if (!this.#vma(vma, Math.max(start, vma.start), Math.min(end, vma.end))) return null;
    }
    return null;
  }

  #isWanted(categories: number): boolean {
    const { inverted, mask, anyof } = this.#request;
    const seen = categories ^ inverted;
    return (seen & mask) === mask && (anyof === 0 || (seen & anyof) !== 0);
  }

  /** Scans a part of one vma: what has tables, and the holes between. */
  #vma(vma: Vma, start: Addr, end: Addr): boolean {
    let at = start;
    const slots: Addr[] = [];
    this.#mm.pages.forEachSlot(start, end, (base) => slots.push(base));
    for (const base of slots) {
      const from = Math.max(base, start);
      if (at < from && !this.#hole(vma, at, from)) return false;
      at = Math.min(base + PMD_SIZE, end);
      if (!this.#slot(vma, from, at)) return false;
    }
    return at >= end || this.#hole(vma, at, end);
  }

  /** Scans what has no table. */
  #hole(vma: Vma, start: Addr, end: Addr): boolean {
    const categories =
      this.#vmaCategory | (vma.flags & VM_UFFD_WP && this.#writtenBit === 0 ? PAGE_IS_WRITTEN : 0);
    this.#mm.kernel.work.count(FACT.absentScanned, (end - start) / PAGE_SIZE);
    if (!this.#isWanted(categories)) return true;
    const stop = this.output.push(categories, start, end);
    this.#found((stop - start) / PAGE_SIZE);
    if (stop > start && this.#protects) protectForUffd(this.#mm, vma, { start, end: stop }, true);
    return !this.output.isFull;
  }

  #slot(vma: Vma, start: Addr, end: Addr): boolean {
    const base = floorTo(start, PMD_SIZE);
    if (this.#mm.pages.pmd(base) & HUGE && !this.#huge(vma, start, end)) return !this.output.isFull;
    return this.#table(vma, start, end);
  }

  /** Scans a part of 2 MiB that are mapped at once. Returns true if they had to be broken up, and are to be scanned as a table. */
  #huge(vma: Vma, start: Addr, end: Addr): boolean {
    const { pages, kernel } = this.#mm;
    const base = floorTo(start, PMD_SIZE);
    const pmd = pages.pmd(base);
    if (isMarkerPmd(pmd)) {
      const marked = this.#vmaCategory | PAGE_IS_SWAPPED | (this.#writtenBit === 0 ? 0 : PAGE_IS_WRITTEN);
      if (this.#isWanted(marked)) this.#found((this.output.push(marked, start, end) - start) / PAGE_SIZE);
      return false;
    }
    const isZero = (pmd & KIND_MASK) === ZERO_PAGE;
    kernel.work.count(FACT.entriesScanned);
    const isFile = !isZero && !kernel.frames.isAnon(pages.pmdHigh(base));
    const categories =
      this.#vmaCategory |
      PAGE_IS_PRESENT |
      PAGE_IS_HUGE |
      this.#written(pmd) |
      (isFile ? PAGE_IS_FILE : 0) |
      (isZero ? PAGE_IS_PFNZERO : 0);
    if (!this.#isWanted(categories)) return false;
    const stop = this.output.push(categories, start, end);
    if (stop > start) this.#found(1);
    if (stop === start || !this.#protects || (categories & PAGE_IS_WRITTEN) === 0) return false;
    if (stop - start < HUGE_PAGES * PAGE_SIZE) {
      splitPmd(this.#mm, vma, base);
      this.output.backOut(start, stop);
      return true;
    }
    protectForUffd(this.#mm, vma, { start, end: stop }, true);
    return false;
  }

  #found(entries: number): void {
    this.#mm.kernel.work.count(FACT.pagesScanned, entries);
  }

  /** Scans entries of one table; what lost write access is flushed at its end, at once. */
  #table(vma: Vma, start: Addr, end: Addr): boolean {
    const tlb = new TlbGather(this.#mm);
    const goesOn = this.#entries(vma, { start, end, tlb });
    tlb.finish();
    return goesOn;
  }
  #entries(vma: Vma, what: { readonly start: Addr; readonly end: Addr; readonly tlb: TlbGather }): boolean {
    const { pages } = this.#mm;
    const { start, end, tlb } = what;
    this.#mm.kernel.work.count(FACT.entriesScanned, (end - start) / PAGE_SIZE);
    const protectsAll = this.#protects && !this.output.isAsked;
    for (let addr = start; addr < end; addr += PAGE_SIZE) {
      const low = pages.low(addr);
      const categories = this.#vmaCategory | this.#categories(low, pages.high(addr));
      if (!protectsAll) {
        if (!this.#isWanted(categories)) continue;
        if (this.output.push(categories, addr, addr + PAGE_SIZE) === addr) return false;
        this.#found(1);
      }
      if (this.#protects && categories & PAGE_IS_WRITTEN) protectOne(this.#mm, vma, addr, tlb);
    }
    return true;
  }

  /** What an entry that is not none says of writes. */
  #written(low: number): number {
    const softDirty = low & SOFT_DIRTY ? PAGE_IS_SOFT_DIRTY : 0;
    return ((low ^ this.#writtenBit) & UFFD_WP ? 0 : PAGE_IS_WRITTEN) | softDirty;
  }

  /** Linux: pagemap_page_category() */
  #categories(low: number, high: number): number {
    const kind = low & KIND_MASK;
    const written = this.#written(low);
    if (kind === NONE) return this.#writtenBit === 0 ? PAGE_IS_WRITTEN : 0;
    if (kind === ZERO_PAGE) return PAGE_IS_PRESENT | PAGE_IS_PFNZERO | written;
    if (kind === PRESENT)
      return PAGE_IS_PRESENT | written | (this.#mm.kernel.frames.isAnon(high) ? 0 : PAGE_IS_FILE);
    if (kind !== MARKER) return PAGE_IS_SWAPPED | written;
    const guard = high & MARKER_GUARD ? PAGE_IS_GUARD : 0;
    if (high === MARKER_UFFD_WP) return PAGE_IS_SWAPPED | (this.#writtenBit === 0 ? 0 : PAGE_IS_WRITTEN);
    return PAGE_IS_SWAPPED | guard | written;
  }
}
