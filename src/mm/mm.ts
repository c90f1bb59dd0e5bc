/**
 * One address space: its vmas, its totals, its limits.
 *
 * Invariants (verify.ts)
 *   [map-count]   `mapCount` is the number of vmas
 *   [total-vm]    `totalVm`, `dataVm`, `execVm`, `stackVm` are the sums over the vmas by kind
 *   [locked-vm]   `lockedVm` is the sum over VM_LOCKED vmas plus `lockedLeak` (what MREMAP_DONTUNMAP of locked memory leaves behind)
 * Linux   struct mm_struct
 */

import { RLIM_INFINITY } from '../abi/mman.ts';
import { GapTree } from '../base/gapTree.ts';
import { type Addr, nrPagesIn, PAGE_SIZE } from '../base/units.ts';
import type { Cause } from './events.ts';
import type { Kernel } from './kernel.ts';
import { MemoryGroup } from './memoryGroup.ts';
import { PageTable } from './pageTable.ts';
import { isCounted, type PtReclaimMode } from './ptReclaim.ts';
import type { ScanState } from './ptScan.ts';
import type { Announcement } from './uffdEvents.ts';
import { type FileObject, nrPagesOf, Vma } from './vma.ts';
import {
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_NOHUGEPAGE,
  VM_SHARED,
  VM_WRITE,
} from './vmFlags.ts';
import type { VrangeTree } from './vrangeTree.ts';
import { FACT } from './work.ts';

/** A soft and a hard limit in bytes. */
export interface Rlimit {
  readonly soft: number;
  readonly hard: number;
}
/** The limits that memory management tests. */
export interface Rlimits {
  as: Rlimit;
  data: Rlimit;
  stack: Rlimit;
  memlock: Rlimit;
}

const UNLIMITED: Rlimit = { soft: RLIM_INFINITY, hard: RLIM_INFINITY };
/** The limits of a Debian root shell. */
export const defaultRlimits = (): Rlimits => ({
  as: UNLIMITED,
  data: UNLIMITED,
  stack: { soft: 8 * 2 ** 20, hard: RLIM_INFINITY },
  memlock: { soft: 8 * 2 ** 20, hard: 8 * 2 ** 20 },
});

/** One address space. Fields are written by the files of mm/; everybody else reads. */
export class Mm {
  readonly kernel: Kernel;
  readonly id: number;
  readonly vmas = new GapTree<Vma>();
  readonly pages: PageTable;
  mapCount = 0;
  /** The vmas this process may have, where other mappings than those followed here take up the rest of vm.max_map_count; null: all. */
  ownMapLimit: number | null = null;
  totalVm = 0;
  /** The most pages that were mapped at once, as far as it was noted: before the total went down. Linux: hiwater_vm. */
  hiwaterVm = 0;
  dataVm = 0;
  execVm = 0;
  stackVm = 0;
  lockedVm = 0;
  lockedLeak = 0;
  /** Resident pages: anonymous, of files, of shared memory; and entries that hold a swap slot. Linux: rss_stat. */
  rssAnon = 0;
  rssFile = 0;
  rssShmem = 0;
  nrSwap = 0;
  /** The most pages that were resident at once. */
  hiwaterRss = 0;
  /** Faults that were served, without and with reading from a device. */
  minFlt = 0;
  majFlt = 0;
  /** VM_LOCKED and VM_LOCKONFAULT of mlockall(MCL_FUTURE), added to every new mapping. */
  defFlags = 0;
  /** PR_SET_MEMORY_MERGE. */
  memoryMerge = false;
  /** PR_SET_THP_DISABLE: no huge page comes by a fault, or only where MADV_HUGEPAGE asked for them. */
  thpDisabled: 'no' | 'all' | 'unadvised' = 'no';
  /** PR_SET_MDWE, and whether a child does without. */
  mdwe = false;
  mdweNotInherited = false;
  startBrk: Addr = 0;
  brk: Addr = 0;
  /** First and last byte of the program's code, and of its data. */
  startCode: Addr = 0;
  endCode: Addr = 0;
  startData: Addr = 0;
  endData: Addr = 0;
  startStack: Addr = 0;
  /** Where top-down searches begin. */
  mmapBase: Addr = 0x7fff_f7ff_f000;
  limits: Rlimits = defaultRlimits();
  /** Its last user is gone: only userfaultfd contexts still refer to it. Linux: mm_users is 0 */
  gone = false;
  /** PR_SET_PT_RECLAIM: whether its tables are scanned for; null: as the machine says. */
  ptReclaim: PtReclaimMode | null = null;
  /** Tables that a zap left to be looked at again, where somebody lets time pass before that (`recheckTables`); null: at once. */
  recheck: Addr[] | null = null;
  /** How far scanning its tables has come; null: it never was. */
  ptScan: ScanState | null = null;
  /** Its volatile ranges (vrange.ts); null: none was ever marked. Linux: nothing; vroot in v7 to v10 of the series. */
  vranges: VrangeTree | null = null;
  /** Changes that userfaultfd contexts are to be told of once the call that made them is over, in order (uffdEvents.ts). */
  readonly announcements: Announcement[] = [];
  /** With whom its memory is counted. */
  readonly memory: MemoryGroup;
  /** The process has CAP_IPC_LOCK, CAP_SYS_ADMIN and so on. */
  privileged = true;

  /** Makes an empty address space of `kernel`. @param memory  with whom its memory is counted; by default nobody */
  constructor(kernel: Kernel, memory = new MemoryGroup()) {
    this.kernel = kernel;
    this.memory = memory;
    memory.mms.add(this);
    this.id = kernel.nextMmId();
    this.pages = new PageTable(kernel.tables, isCounted(kernel));
  }

  /** The most vmas there may be. */
  get maxMapCount(): number {
    return this.ownMapLimit ?? this.kernel.config.maxMapCount;
  }
}

/** Tells whether the process has switched huge pages off for vmas with `flags`. Linux: vma_thp_disabled(). */
export const isThpDisabled = ({ thpDisabled }: Mm, flags: number): boolean =>
  (flags & VM_NOHUGEPAGE) !== 0 ||
  thpDisabled === 'all' ||
  (thpDisabled === 'unadvised' && (flags & VM_HUGEPAGE) === 0);

/** Adds `vma` to the address space. Totals are the caller's business (`accountVm`). */
export function linkVma(mm: Mm, vma: Vma, cause: Cause, from: Vma | null = null): void {
  mm.vmas.insert(vma);
  mm.mapCount++;
  vma.mm = mm;
  if (vma.file !== null) vma.file.object.vmas.add(vma);
  mm.kernel.emit?.({
    kind: 'vmaCreate',
    op: mm.kernel.opNr,
    mm: mm.id,
    vma: vma.id,
    start: vma.start,
    end: vma.end,
    pgoff: vma.pgoff,
    cause,
    from: from?.id ?? null,
  });
}

/** Counts that `vma` is about to be taken out of its address space, while it still has its anon_vma. */
export function countRemoved({ work }: Kernel, vma: Vma): void {
  work.count(FACT.vmasRemoved);
  if (vma.anonVma !== null) work.count(FACT.writtenVmasRemoved);
}

/** Takes `vma` out of the address space. */
export function unlinkVma(mm: Mm, vma: Vma, cause: Cause): void {
  mm.vmas.remove(vma);
  forgetVma(mm, vma, cause, null);
}

/** Takes `gone` out of the address space and gives its range to `survivor`, which touches it on either side. */
export function joinVma(mm: Mm, survivor: Vma, gone: Vma, cause: Cause): void {
  if (gone.start < survivor.start) survivor.pgoff -= nrPagesOf(gone);
  mm.vmas.join(survivor, gone);
  forgetVma(mm, gone, cause, survivor);
}

/** Counts and tells that `vma` is no more; `into` is the vma that absorbed it. */
function forgetVma(mm: Mm, vma: Vma, cause: Cause, into: Vma | null): void {
  mm.mapCount--;
  vma.mm = null;
  if (vma.file !== null) {
    const { object } = vma.file;
    object.vmas.delete(vma);
    if (object.vmas.size === 0) releaseObject(mm.kernel, object);
  }
  mm.kernel.emit?.({
    kind: 'vmaRemove',
    op: mm.kernel.opNr,
    mm: mm.id,
    vma: vma.id,
    cause,
    into: into?.id ?? null,
  });
}

/** Shared anonymous memory dies with its last vma: its charge and its pages go. */
function releaseObject(kernel: Kernel, object: FileObject): void {
  if (object.kind !== 'shmem') return;
  kernel.commit(-object.chargedPages);
  kernel.cache.drop(object, 0, Number.POSITIVE_INFINITY);
}

/** Returns a copy of `vma` with the same attributes, without anon_vma, in no address space. */
export function duplicateVma(kernel: Kernel, vma: Vma): Vma {
  const copy = new Vma(kernel.nextVmaId(), vma);
  copy.uffd = vma.uffd;
  copy.name = vma.name;
  copy.policy = vma.policy;
  copy.special = vma.special;
  copy.isVolatile = vma.isVolatile;
  copy.isPtReclaimed = vma.isPtReclaimed;
  return copy;
}

/** Adds `pages` (may be negative) of a vma with `flags` to the totals. Linux: vm_stat_account(). */
export function accountVm(mm: Mm, flags: number, pages: number): void {
  if (pages < 0 && mm.totalVm > mm.hiwaterVm) mm.hiwaterVm = mm.totalVm;
  mm.totalVm += pages;
  if ((flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) === VM_EXEC) mm.execVm += pages;
  else if (flags & VM_GROWSDOWN) mm.stackVm += pages;
  else if (isDataMapping(flags)) mm.dataVm += pages;
}

const isDataMapping = (flags: number): boolean =>
  (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE;

/** Returns the limit that `pages` more of a mapping with `flags` would exceed, or null. Linux: may_expand_vm(); spec/vma.md 12.2. */
export function exceededLimit(
  mm: Mm,
  flags: number,
  pages: number,
): 'address-space-limit' | 'data-limit' | null {
  const { as, data } = mm.limits;
  if (mm.totalVm + pages > Math.floor(as.soft / PAGE_SIZE)) return 'address-space-limit';
  if (!isDataMapping(flags) || mm.dataVm + pages <= Math.floor(data.soft / PAGE_SIZE)) return null;
  const zeroIsNoLimit = data.soft === 0 && mm.dataVm + pages <= Math.floor(data.hard / PAGE_SIZE);
  return zeroIsNoLimit ? null : 'data-limit';
}

/** Tells whether `bytes` more of a mapping with `flags` may be locked. Linux: mlock_future_ok(). */
export function mayLockMore(mm: Mm, flags: number, bytes: number): boolean {
  if ((flags & VM_LOCKED) === 0 || mm.privileged) return true;
  return mm.lockedVm + nrPagesIn(bytes) <= Math.floor(mm.limits.memlock.soft / PAGE_SIZE);
}

/** Tells whether the process may lock memory at all. Linux: can_do_mlock(). */
export const mayLock = (mm: Mm): boolean => mm.privileged || mm.limits.memlock.soft !== 0;

/** Tells whether `pages` more may be committed for this process. */
export const mayCommit = (mm: Mm, pages: number): boolean =>
  mm.kernel.mayCommit(pages, mm.totalVm, mm.privileged);

/** Counts pages that VM_LOCKED vmas among [start, end) already hold. Linux: count_mm_mlocked_page_nr(). */
export function countLocked(mm: Mm, start: Addr, end: Addr): number {
  let pages = 0;
  for (let vma = mm.vmas.firstEndingAbove(start); vma !== null && vma.start < end; vma = vma.next) {
    if (vma.flags & VM_LOCKED) pages += nrPagesIn(Math.min(vma.end, end) - Math.max(vma.start, start));
  }
  return pages;
}

/** Sums what the counters must be. For verify.ts. */
export function recount(mm: Mm): {
  mapCount: number;
  totalVm: number;
  dataVm: number;
  execVm: number;
  stackVm: number;
  lockedVm: number;
} {
  const sums = { mapCount: 0, totalVm: 0, dataVm: 0, execVm: 0, stackVm: 0, lockedVm: 0 };
  for (const vma of mm.vmas) {
    const pages = nrPagesOf(vma);
    sums.mapCount++;
    sums.totalVm += pages;
    if ((vma.flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) === VM_EXEC) sums.execVm += pages;
    else if (vma.flags & VM_GROWSDOWN) sums.stackVm += pages;
    else if (isDataMapping(vma.flags)) sums.dataVm += pages;
    if (vma.flags & VM_LOCKED) sums.lockedVm += pages;
  }
  return sums;
}
