/**
 * What a system call is charged: the priced paths that it took, read off the facts that it caused.
 *
 * Facts are counted where things are done, deep in mm/; which path a call took is a matter of the whole call: a munmap that splits and one that
 * takes a whole vma are measured calls of their own. So the facts are looked at before and after. Faults charge themselves (mm/work.ts); the
 * pages that a call populates are faults.
 *
 *   mmap over an old mapping     a munmap and an mmap
 *   mprotect, advice, locks      one change of attributes, its splits and merges, its pages
 *   mremap                       a move of each vma: empty, entry by entry, or by tables; and its splits
 *   vrange                       a system call, one that reads mmap_lock, or a change of attributes; and entries that it looks at
 *   refused, nothing done        the system call alone
 *
 * Cost    one pass over the facts that a call can be charged for
 */
// Long because: every call about memory is charged here, in one switch, and the parts that calls have in common stand beside it.
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_NONVOLATILE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_PT_RECLAIM,
  MADV_REMOVE,
  MADV_VOLATILE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MREMAP_DONTUNMAP,
  MREMAP_ONLYPAGES,
  PROT_WRITE,
} from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import type { VrangeLock } from '../mm/vrange.ts';
import { FACT, type Fact, PATH, type Path, type Work } from '../mm/work.ts';
import type { MemoryOp } from './memoryCalls.ts';

/** The calibration's slow rate for pages begins beyond the largest call that still had the fast one. */
const LARGE_PAGES = 32768;

/** Numbers of the facts that a change of attributes is charged for: what mprotect, locks, names and their like do to vmas and entries. */
const OF_ATTRIBUTES = Uint8Array.of(
  FACT.vmasSplit,
  FACT.writtenVmasSplit,
  FACT.vmasMerged,
  FACT.writtenVmasMerged,
  FACT.bordersMoved,
  FACT.ptesReprotected,
  FACT.pmdsReprotected,
  FACT.pmdsSplit,
  FACT.foliosSplit,
  FACT.pagesLocked,
  FACT.pagesUnlocked,
  FACT.pagesAskedForSharing,
  FACT.indexesRewritten,
  FACT.anonVmasRewritten,
);
/** Numbers of the facts that vrange is charged for. */
const OF_VRANGES = Uint8Array.of(...OF_ATTRIBUTES, FACT.markersZapped, FACT.vrangePagesWalked);
/** Numbers of the facts that any call is charged for. */
const OF_CALLS = Uint8Array.of(
  ...OF_ATTRIBUTES,
  FACT.vmasCreated,
  FACT.vmasGrown,
  FACT.vmasRemoved,
  FACT.writtenVmasRemoved,
  FACT.vmasMoved,
  FACT.vmasCopied,
  FACT.writtenVmasCopied,
  FACT.ptesCopied,
  FACT.pmdsCopied,
  FACT.anonPtesZapped,
  FACT.sharedPtesZapped,
  FACT.hugePartsZapped,
  FACT.filePtesZapped,
  FACT.zeroPtesZapped,
  FACT.swapPtesZapped,
  FACT.pmdsZapped,
  FACT.hugePagesFreed,
  FACT.pteTablesFreed,
  FACT.ptesMoved,
  FACT.swapPtesMoved,
  FACT.pmdsMoved,
  FACT.tablesMoved,
  FACT.markersSet,
  FACT.markersZapped,
  FACT.pagesLazyFreed,
  FACT.pagesDeactivated,
  FACT.pagesSwappedOut,
  FACT.pagesPunched,
  FACT.windowsCollapsed,
  FACT.pagesFoundResident,
  FACT.pagesCopiedByKernel,
  FACT.vrangePagesWalked,
  FACT.ptCopiedEmptyByFork,
);

/** Tells whether a call changes attributes of vmas and nothing else. */
const isAboutAttributes = ({ call }: MemoryOp): boolean =>
  call === 'mprotect' || call === 'mlock' || call === 'munlock' || call === 'set_vma_name';

/** Returns the numbers of the facts that a call, or the fork or exit that is none, is charged for. */
function factsFor(op: MemoryOp | null): Uint8Array {
  if (op === null) return OF_CALLS;
  if (op.call === 'vrange') return OF_VRANGES;
  return isAboutAttributes(op) ? OF_ATTRIBUTES : OF_CALLS;
}

/** An unmapping that takes whole vmas, that trims one, that leaves both ends of one. */
const MUNMAP_BY_SPLITS = [PATH['munmap-whole'], PATH['munmap-trim'], PATH['munmap-split']] as const;

/** Charges the calls of one kernel. */
export class CallCharges {
  readonly #work: Work;
  readonly #vrangeLock: VrangeLock;
  readonly #before: Float64Array;

  /** @param work  the counters that are read and charged; @param vrangeLock  what vrange locks */
  constructor(work: Work, vrangeLock: VrangeLock = 'none') {
    this.#work = work;
    this.#vrangeLock = vrangeLock;
    this.#before = new Float64Array(work.facts.length);
  }

  /** A call begins. @param op  which; a fork and an exit are none */
  begin(op: MemoryOp | null): void {
    const { facts } = this.#work;
    const before = this.#before;
    const list = factsFor(op);
    for (let i = 0; i < list.length; i++) {
      const fact = list[i] as number;
      before[fact] = facts[fact] as number;
    }
  }

  /** The call that began is over. @param isRefused  it returned an error */
  end(op: MemoryOp, isRefused: boolean): void {
    if (isRefused && this.#isIdle(op)) this.#charge(PATH.syscall, 1);
    else this.#call(op);
    this.#charge(PATH['sharing-check'], 0, this.#since(FACT.pagesAskedForSharing));
    // A page that gets both a new index and a new anon_vma is visited once.
    const rewritten = Math.max(this.#since(FACT.indexesRewritten), this.#since(FACT.anonVmasRewritten));
    this.#charge(PATH.rehome, 0, rewritten);
    this.#work.settle();
  }

  /** The call that began has to wait, and others are made meanwhile: what it has done so far is kept. */
  suspend(): void {
    this.#turn();
  }
  /** The call that was suspended goes on. */
  resume(): void {
    this.#turn();
  }
  /** From counts when it began to counts of what it did, and back. */
  #turn(): void {
    const { facts } = this.#work;
    for (let fact = 0; fact < facts.length; fact++)
      this.#before[fact] = (facts[fact] as number) - (this.#before[fact] as number);
  }

  /** The fork that began is over. */
  endFork(): void {
    const written = this.#since(FACT.writtenVmasCopied);
    this.#charge(PATH.fork, 1);
    this.#charge(PATH['fork-vmas'], 0, this.#since(FACT.vmasCopied) - written);
    this.#charge(PATH['fork-written-vmas'], 0, written);
    this.#charge(PATH['fork-pages'], 0, this.#since(FACT.ptesCopied));
    this.#charge(PATH['fork-huge-pages'], 0, this.#since(FACT.pmdsCopied));
    this.#charge(PATH['fork-empty-tables'], 0, this.#since(FACT.ptCopiedEmptyByFork));
    this.#work.settle();
  }

  /** The end of an address space is over. @param isExit  of its process, too; execve replaces the one by another */
  endExit(isExit: boolean): void {
    const written = this.#since(FACT.writtenVmasRemoved);
    this.#charge(PATH.exit, isExit ? 1 : 0);
    this.#charge(PATH['exit-vmas'], 0, this.#since(FACT.vmasRemoved) - written);
    this.#charge(PATH['exit-written-vmas'], 0, written);
    this.#charge(PATH['exit-pages'], 0, this.#ownZapped());
    this.#zapOthers();
    this.#work.settle();
  }

  #since(fact: Fact): number {
    return (this.#work.facts[fact] as number) - (this.#before[fact] as number);
  }
  /** Tells whether nothing was done that a call can be charged for. */
  #isIdle(op: MemoryOp): boolean {
    return factsFor(op).every((fact) => this.#since(fact as Fact) === 0);
  }
  #charge(path: Path, calls: number, pages = 0): void {
    if (calls !== 0 || pages !== 0) this.#work.charge(path, calls, pages);
  }

  #call(op: MemoryOp): void {
    switch (op.call) {
      // What the kernel migrates is no call of the program's.
      case 'migrate':
      case 'fill_maps':
        return;
      case 'mmap':
        this.#map((op.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) === 0);
        return;
      case 'shmat':
      case 'io_setup':
        this.#map(true);
        return;
      case 'munmap':
      case 'shmdt':
        this.#unmap();
        return;
      case 'brk':
        this.#brk(op);
        return;
      case 'mremap':
        this.#remap(op);
        return;
      case 'mprotect':
        this.#protect((op.prot & PROT_WRITE) !== 0);
        return;
      case 'madvise':
      case 'process_madvise':
        this.#advise(op.advice);
        return;
      case 'mlock':
      case 'mlock2':
      case 'munlock':
      case 'mlockall':
      case 'munlockall':
        this.#lock();
        return;
      case 'mseal':
      case 'mbind':
      case 'set_vma_name':
      case 'uffd_register':
      case 'uffd_unregister':
        this.#attributes();
        return;
      case 'vrange':
        this.#vrange();
        return;
      case 'process_vm':
      case 'clear_refs':
      case 'mincore':
        this.#visit(op);
        return;
      case 'msync':
      case 'set_memory_merge':
      case 'set_mdwe':
      case 'set_thp_disable':
      case 'prctl_pt_reclaim':
      case 'pt_scan_write':
      case 'setrlimit':
      case 'set_uid':
      case 'overcommit':
        this.#charge(PATH.syscall, 1);
        return;
    }
    // A new call fails to compile until it is charged.
    op satisfies never;
  }

  /** A call that goes over pages and leaves vmas alone. */
  #visit(op: Extract<MemoryOp, { call: 'process_vm' | 'clear_refs' | 'mincore' }>): void {
    if (op.call === 'mincore') this.#charge(PATH.mincore, 1, Math.ceil(op.len / PAGE_SIZE));
    else if (op.call === 'clear_refs') this.#charge(PATH['clear-refs'], 1, this.#reprotected());
    else {
      this.#charge(PATH['kernel-copy'], 1, this.#since(FACT.pagesCopiedByKernel));
      this.#splitHuge();
    }
  }

  /** A call that locks or unlocks. */
  #lock(): void {
    this.#attributes();
    this.#charge(PATH['mlock-resident'], 0, this.#since(FACT.pagesLocked));
    this.#charge(PATH.munlock, 0, this.#since(FACT.pagesUnlocked));
  }

  #reprotected(): number {
    return this.#since(FACT.ptesReprotected) + this.#since(FACT.pmdsReprotected);
  }

  #map(isPlaced: boolean): void {
    if (this.#since(FACT.vmasRemoved) > 0) this.#unmap();
    if (this.#since(FACT.vmasCreated) > 0)
      this.#charge(isPlaced ? PATH['mmap-new-placed'] : PATH['mmap-new'], 1);
    else this.#charge(this.#since(FACT.vmasMerged) > 0 ? PATH['mmap-merge-both'] : PATH['mmap-merge'], 1);
    this.#charge(PATH['populate-resident'], 0, this.#since(FACT.pagesFoundResident));
  }

  #unmap(): void {
    const removed = this.#since(FACT.vmasRemoved);
    if (removed === 0) {
      this.#charge(PATH.syscall, 1);
      return;
    }
    const splits = this.#since(FACT.vmasSplit);
    this.#charge(MUNMAP_BY_SPLITS[Math.min(splits, 2)] as Path, 1);
    this.#charge(PATH['split-written'], 0, this.#since(FACT.writtenVmasSplit));
    this.#moreRemoved(removed - 1);
    this.#zapMapped();
  }

  /** Vmas beyond the first of an unmapping; the first is taken for a written one if there are any. */
  #moreRemoved(more: number): void {
    const written = Math.min(more, Math.max(0, this.#since(FACT.writtenVmasRemoved) - 1));
    this.#charge(PATH['munmap-more-written-vmas'], 0, written);
    this.#charge(PATH['munmap-more-vmas'], 0, more - written);
  }

  /** The pages and tables of an unmapping. */
  #zapMapped(): void {
    const own = this.#ownZapped();
    if (own > 0 || this.#since(FACT.pteTablesFreed) > 0) this.#charge(PATH['munmap-pages'], 1, own);
    this.#zapOthers();
  }

  /** Anonymous pages that were unmapped and freed. */
  #ownZapped(): number {
    return this.#since(FACT.anonPtesZapped) - this.#since(FACT.sharedPtesZapped);
  }

  /** Whatever else than pages of one's own was taken out of tables. */
  #zapOthers(): void {
    const parts = this.#since(FACT.hugePartsZapped);
    this.#charge(PATH['zap-shared'], 0, this.#since(FACT.sharedPtesZapped) - parts);
    this.#charge(PATH['zap-huge-parts'], 0, parts);
    this.#charge(PATH['zap-file'], 0, this.#since(FACT.filePtesZapped));
    this.#work.visitedRecords(this.#since(FACT.filePtesZapped));
    this.#charge(PATH['zap-zero'], 0, this.#since(FACT.zeroPtesZapped));
    this.#charge(PATH['zap-swap'], 0, this.#since(FACT.swapPtesZapped));
    const mappings = this.#since(FACT.pmdsZapped);
    const freed = Math.min(mappings, this.#since(FACT.hugePagesFreed));
    this.#charge(PATH['zap-huge'], 0, mappings - freed);
    this.#charge(PATH['zap-huge-freed'], 0, freed);
    this.#splitHuge();
  }

  #splitHuge(): void {
    // Splitting a folio splits what maps it; that is in its price.
    const folios = this.#since(FACT.foliosSplit);
    this.#charge(PATH['folio-split'], 0, folios);
    this.#charge(PATH['pmd-split'], 0, Math.max(0, this.#since(FACT.pmdsSplit) - folios));
  }

  #brk(op: MemoryOp): void {
    if (this.#since(FACT.vmasRemoved) > 0) this.#unmap();
    else if (this.#isIdle(op)) this.#charge(PATH.syscall, 1);
    else this.#charge(PATH['brk-grow'], 1);
  }

  /** A change of attributes: the call, its splits and merges. */
  #attributes(): void {
    this.#charge(PATH['vma-attributes'], 1);
    this.#charge(PATH.split, 0, this.#since(FACT.vmasSplit));
    this.#charge(PATH['split-written'], 0, this.#since(FACT.writtenVmasSplit));
    this.#charge(PATH.merge, 0, this.#since(FACT.vmasMerged));
    this.#charge(PATH['merge-written'], 0, this.#since(FACT.writtenVmasMerged));
    this.#charge(PATH.border, 0, this.#since(FACT.bordersMoved));
  }

  #protect(isWritable: boolean): void {
    this.#attributes();
    const entries = this.#since(FACT.ptesReprotected) + this.#since(FACT.pmdsReprotected);
    if (entries > 0)
      this.#charge(isWritable ? PATH['mprotect-writable'] : PATH['mprotect-read-only'], 1, entries);
    this.#splitHuge();
  }

  #advise(advice: number): void {
    switch (advice) {
      case MADV_DONTNEED:
      case MADV_DONTNEED_LOCKED:
        this.#discard();
        return;
      case MADV_FREE:
        this.#charge(PATH['madv-free'], 1, this.#since(FACT.pagesLazyFreed));
        this.#charge(PATH['zap-swap'], 0, this.#since(FACT.swapPtesZapped));
        this.#splitHuge();
        return;
      case MADV_COLD:
        this.#charge(PATH['madv-cold'], 1, this.#since(FACT.pagesDeactivated));
        this.#splitHuge();
        return;
      case MADV_PAGEOUT:
        this.#charge(PATH['madv-pageout'], 1, this.#since(FACT.pagesSwappedOut));
        this.#splitHuge();
        return;
      case MADV_REMOVE:
        this.#charge(PATH['madv-remove'], 1, this.#since(FACT.pagesPunched));
        this.#work.visitedRecords(this.#since(FACT.pagesPunched));
        return;
      case MADV_COLLAPSE:
        this.#charge(PATH['madv-collapse'], 1, this.#since(FACT.windowsCollapsed));
        return;
      case MADV_GUARD_INSTALL:
        this.#charge(PATH['guard-install'], 1, this.#since(FACT.markersSet));
        this.#charge(PATH.dontneed, 0, this.#ownZapped());
        this.#zapOthers();
        return;
      case MADV_GUARD_REMOVE:
        this.#charge(PATH['guard-remove'], 1, this.#since(FACT.markersZapped));
        return;
      case MADV_VOLATILE:
      case MADV_NONVOLATILE:
        this.#vrange();
        return;
      case MADV_PT_RECLAIM:
        // What it reads and frees charges itself.
        this.#charge(PATH.syscall, 1);
        return;
      case MADV_POPULATE_READ:
      case MADV_POPULATE_WRITE:
        this.#charge(PATH.syscall, 1);
        this.#charge(PATH['populate-resident'], 0, this.#since(FACT.pagesFoundResident));
        return;
      default:
        this.#attributes();
        return;
    }
  }

  /** The call by what it locks; entries are looked at only where something was purged. */
  #vrange(): void {
    if (this.#vrangeLock === 'write') this.#attributes();
    else this.#charge(this.#vrangeLock === 'read' ? PATH['vrange-read'] : PATH.vrange, 1);
    const taken = this.#since(FACT.markersZapped);
    this.#charge(PATH['guard-remove'], 0, taken);
    this.#charge(PATH.mincore, 0, this.#since(FACT.vrangePagesWalked) - taken);
  }

  #discard(): void {
    const own = this.#ownZapped();
    const some = own > LARGE_PAGES ? PATH['dontneed-large'] : PATH.dontneed;
    this.#charge(own === 0 ? PATH['dontneed-empty'] : some, 1, own);
    this.#charge(PATH['dontneed-tables'], 0, this.#since(FACT.pteTablesFreed));
    this.#zapOthers();
  }

  #remap(op: Extract<MemoryOp, { call: 'mremap' }>): void {
    const moved = this.#since(FACT.vmasMoved);
    if (op.flags & MREMAP_ONLYPAGES) this.#moveOnlyPages(op);
    else if (moved > 0) this.#move(moved, (op.flags & MREMAP_DONTUNMAP) !== 0);
    else if (this.#isIdle(op)) this.#charge(PATH.syscall, 1);
    else if (this.#since(FACT.vmasRemoved) > 0) {
      this.#charge(PATH['mremap-shrink'], 1);
      this.#charge(PATH['split-written'], 0, this.#since(FACT.writtenVmasSplit));
      this.#moreRemoved(this.#since(FACT.vmasRemoved) - 1);
      this.#zapMapped();
    } else this.#charge(PATH['mremap-grow'], 1);
  }

  /** Moves of pages without vmas: a huge page that moves as a whole is one. */
  #moveOnlyPages(op: MemoryOp): void {
    if (this.#isIdle(op)) {
      this.#charge(PATH.syscall, 1);
      return;
    }
    // As UFFDIO_MOVE: swapped entries and huge pages have prices of their own.
    const swapped = this.#since(FACT.swapPtesMoved);
    this.#charge(PATH['mremap-only-pages'], 1, this.#since(FACT.ptesMoved) - swapped);
    this.#charge(PATH['uffd-move-swapped'], 0, swapped);
    this.#charge(PATH['uffd-move-huge'], 0, this.#since(FACT.pmdsMoved));
    this.#splitHuge();
  }

  /** Moves of `moved` vmas, and what was unmapped to make room for them. */
  #move(moved: number, isKept: boolean): void {
    const entries = this.#since(FACT.ptesMoved);
    const tables = this.#since(FACT.tablesMoved) + this.#since(FACT.pmdsMoved);
    if (isKept) this.#charge(PATH['mremap-dontunmap'], moved);
    else if (tables > 0) this.#charge(PATH['mremap-move-tables'], moved);
    else this.#charge(entries > 0 ? PATH['mremap-move-entries'] : PATH['mremap-move-empty'], moved);
    this.#charge(PATH['mremap-move-tables'], 0, tables);
    this.#charge(PATH['mremap-move-entries'], 0, entries);
    this.#charge(PATH['mremap-split'], 0, this.#since(FACT.vmasSplit));
    const cleared = this.#since(FACT.vmasRemoved) - (isKept ? 0 : moved);
    if (cleared > 0) {
      this.#charge(PATH['munmap-whole'], 1);
      this.#moreRemoved(cleared - 1);
    }
    const own = this.#ownZapped();
    if (own > 0) this.#charge(PATH['munmap-pages'], 1, own);
    this.#zapOthers();
  }
}
