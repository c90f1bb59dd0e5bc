/**
 * One kernel: what several address spaces share. Nothing in the model is module-global.
 *
 * Invariant   [committed] `committedPages` is the sum of the pages of all VM_ACCOUNT vmas and of the shared-anonymous files alive, plus
 *             `committedLeak` (what growth of a stack without VM_ACCOUNT leaves behind)
 * Linux       sysctl vm.*, mm/util.c (overcommit)
 */
// Long because: everything that address spaces share stands here, the page cache too.
import type { Arena } from '../base/arena.ts';
import type { AnonVma } from './anonVma.ts';
import type { EventSink } from './events.ts';
import { type Features, LINUX_6_18, scanOf } from './features.ts';
import type { FrameContents } from './frameContents.ts';
import {
  FRAME_CACHED,
  FRAME_DIRTY,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  Frames,
  HUGE_PAGES,
  type Pfn,
} from './frames.ts';
import { MemoryGroup, type OutOfMemory } from './memoryGroup.ts';
import { RFC_SCAN, type ScanTunables } from './ptScanTunables.ts';
import { SharedSwap } from './sharedSwap.ts';
import { softDirtyBit } from './storeBits.ts';
import { type Slot, Swap } from './swap.ts';
import { TableHistory } from './tableHistory.ts';
import { TablePages } from './tablePages.ts';
import { CountingTlb, type Tlb } from './tlb.ts';
import type { UffdWait } from './uffdContext.ts';
import { type FileObject, isSharedMemory, type MappedFile } from './vma.ts';
import type { Reclaim } from './vmscan.ts';
import { VrangeLru } from './vrangeTree.ts';
import { FACT, Work } from './work.ts';

/** The settings of a machine that memory management reads. Pages unless a name says otherwise. */
export interface KernelConfig {
  /** vm.max_map_count. */
  readonly maxMapCount: number;
  /** Effective lower limit of hints, bytes: the larger of the sysctl and the LSM's constant. */
  readonly mmapMinAddr: number;
  /** vm.mmap_min_addr itself, bytes: what MAP_FIXED is held against. */
  readonly sysctlMmapMinAddr: number;
  /** vm.overcommit_memory. */
  readonly overcommit: 0 | 1 | 2;
  readonly overcommitRatio: number;
  readonly totalRamPages: number;
  readonly totalSwapPages: number;
  /** vm.swappiness: how readily pages with a place in swap go, beside pages of files. */
  readonly swappiness: number;
  /** stack_guard_gap in bytes. */
  readonly stackGuardGap: number;
  /** Shared anonymous mappings are aligned for huge pages. */
  readonly shmemHuge: boolean;
  /** How page tables are scanned for empty ones (seed 003). */
  readonly ptScan: ScanTunables;
  /** Who emptied which page table is kept, for tableCensus.ts. */
  readonly tracksTables: boolean;
}

/** The machine the specification was measured on. */
export const DEFAULT_CONFIG: KernelConfig = {
  maxMapCount: 65530,
  mmapMinAddr: 65536,
  sysctlMmapMinAddr: 4096,
  overcommit: 0,
  overcommitRatio: 50,
  totalRamPages: 6_160_000,
  totalSwapPages: 0,
  swappiness: 60,
  stackGuardGap: 256 * 4096,
  shmemHuge: false,
  ptScan: RFC_SCAN,
  tracksTables: false,
};

/** Where a kernel keeps what takes room. What is left out it makes itself. */
export interface KernelStorage {
  /** Page tables. */
  readonly tables?: Arena;
  /** Contents of pages: by default the first word of each. */
  readonly contents?: FrameContents;
}

/** The image has the id that no file object gets. */
const imageObject = (): FileObject => ({
  id: 0,
  path: '[vdso]',
  dev: null,
  inode: null,
  kind: 'other',
  size: null,
  alignsHuge: false,
  hasClose: false,
  noExec: false,
  chargedPages: 0,
  seals: 0,
  isInMemory: false,
  vmas: new Set(),
});

/** What a page of shared memory is that comes back from swap. */
const SWAPPED_SHMEM = FRAME_CACHED | FRAME_SHMEM | FRAME_SWAPBACKED | FRAME_DIRTY;

/** What all address spaces of one machine share. */
export class Kernel {
  readonly features: Features;
  #config: KernelConfig;
  /** SOFT_DIRTY if entries keep that bit (storeBits.ts), else 0. */
  readonly softDirtyBit: number;
  /** What was done so far: facts and charges. */
  readonly work = new Work();
  /** Who holds translations and has to drop them. */
  tlb: Tlb = new CountingTlb(this.work);
  /** Page tables of all address spaces. */
  readonly tables: TablePages;
  readonly frames: Frames;
  readonly swap: Swap;
  /** Pages that belong to no group of processes: of files that nobody had mapped yet. Linux: the root memory cgroup. */
  readonly rootGroup = new MemoryGroup();
  /** Who gets memory back when it is short; null: nobody has set a limit (memoryLimit.ts). */
  reclaim: Reclaim | null = null;
  /** Pages of memory the machine has; infinity: as many as it takes. */
  memoryPages = Number.POSITIVE_INFINITY;
  /** Whom to kill when no memory can be got back; null: whoever asked. */
  onOutOfMemory: OutOfMemory | null = null;
  /** The volatile ranges of all address spaces in the order of purging. */
  readonly vrangeLru = new VrangeLru();
  /** The anon_vmas that a vma is attached to, by id: pages point to them. */
  readonly anonVmas = new Map<number, AnonVma>();
  /** File objects by id: pages of the page cache point to them. */
  readonly objects = new Map<number, FileObject>();
  /** The kernel's code that every program maps as `[vdso]`: no file, and no vma is found from it. */
  readonly image = imageObject();
  /** Pages of shared memory and files by object and page offset: frame numbers. */
  readonly #pageCache = new Map<number, Map<number, number>>();
  /** Pages of shared memory that fallocate set aside and nobody has asked for yet, by object: no frame, and dirty when they get one. */
  readonly #reserved = new Map<number, Set<number>>();
  /** First words of pages on the disks of files that were in memory, by object, where they were written back. */
  readonly #onDisk = new Map<number, Map<number, number>>();
  /** Pages of shared memory that are in swap, by object and page offset: slots. */
  readonly sharedSwap = new SharedSwap();
  /** Number of the operation being carried out; events carry it. */
  opNr = 0;
  /** Who listens to events; null saves making them. */
  emit: EventSink | null = null;
  /** Who is told that somebody need not wait in userfaultfd any more; null: nobody, the wait itself says it. */
  onWake: ((wait: UffdWait) => void) | null = null;
  /** Pages promised to accountable mappings (Committed_AS). */
  committedPages = 0;
  /** Of these, what nobody will give back: growth of GROWSDOWN memory that is not VM_ACCOUNT. */
  committedLeak = 0;
  #nextVma = 1;
  #nextAnonVma = 1;
  #nextFile = 1;
  #nextMm = 1;
  #nextUffd = 1;

  /** @param features  the switches; @param config  sysctl values and sizes, by default those of the measured machine; @param storage  where tables and contents go */
  constructor(
    features: Features = LINUX_6_18,
    config: Partial<KernelConfig> = {},
    storage: KernelStorage = {},
  ) {
    this.features = features;
    this.softDirtyBit = softDirtyBit(this);
    const history = config.tracksTables === true ? new TableHistory() : null;
    this.tables = new TablePages(this.work, storage.tables, history);
    this.frames = new Frames(storage.contents);
    this.#config = { ...DEFAULT_CONFIG, ...config };
    this.setPtScan(scanOf(features));
    this.swap = new Swap(this.#config.totalSwapPages);
  }

  /** The settings as they are now. */
  get config(): KernelConfig {
    return this.#config;
  }
  /** Sets how page tables are scanned from now on. */
  setPtScan(tunables: Partial<ScanTunables>): void {
    this.#config = { ...this.#config, ptScan: { ...this.#config.ptScan, ...tunables } };
  }
  /** Sets vm.overcommit_memory: what was promised before stays. */
  setOvercommit(overcommit: 0 | 1 | 2): void {
    this.#config = { ...this.#config, overcommit };
  }

  /** The machine gets a swap device with `pages` more pages. @param readAtOnce  how many are read at once from now on: a power of two */
  addSwap(pages: number, readAtOnce = 1): void {
    this.swap.totalPages += pages;
    this.swap.readAtOnce = readAtOnce;
    this.#config = { ...this.#config, totalSwapPages: this.#config.totalSwapPages + pages };
  }

  /** Returns an id no vma had before. */
  nextVmaId(): number {
    return this.#nextVma++;
  }
  /** Returns an id no anon_vma had before. */
  nextAnonVmaId(): number {
    return this.#nextAnonVma++;
  }
  /** Returns an id no userfaultfd context had before. */
  nextUffdId(): number {
    return this.#nextUffd++;
  }
  /** Returns an id no address space had before. */
  nextMmId(): number {
    return this.#nextMm++;
  }

  /** Makes a file object (an inode). @param init  its fields but the id; all but path and kind have defaults */
  newFileObject(init: Pick<FileObject, 'path' | 'kind'> & Partial<FileObject>): FileObject {
    const object: FileObject = {
      dev: null,
      inode: null,
      size: null,
      alignsHuge: init.kind === 'regular' || init.kind === 'zero',
      hasClose: init.kind === 'sysv',
      noExec: false,
      chargedPages: 0,
      seals: 0,
      isInMemory: false,
      ...init,
      vmas: new Set(),
      id: this.#nextFile++,
    };
    this.objects.set(object.id, object);
    return object;
  }
  /** Makes an open file of `object`. */
  openFile(object: FileObject, mode: { readable: boolean; writable: boolean }): MappedFile {
    return { id: this.#nextFile++, object, ...mode };
  }

  /**
   * Returns the frame that holds page `pgoff` of `object`, made (zeroed) when it is not in the page cache yet.
   * @param isAlone  no other page comes back from swap with it
   */
  cachedPage(object: FileObject, pgoff: number, isAlone = false): number {
    let pages = this.#pageCache.get(object.id);
    if (pages === undefined) {
      pages = new Map();
      this.#pageCache.set(object.id, pages);
    }
    let frame = pages.get(pgoff) ?? this.#swapIn(object, pgoff, isAlone);
    if (frame === undefined) {
      const shmem = isSharedMemory(object) ? FRAME_SHMEM | FRAME_SWAPBACKED : 0;
      frame = this.frames.allocate(FRAME_CACHED | shmem, object.id, pgoff);
      if (object !== this.image) this.work.count(FACT.pagesAllocated);
      if (this.#reserved.get(object.id)?.delete(pgoff)) this.frames.setFlags(frame, FRAME_DIRTY);
      const stamp = this.#onDisk.get(object.id)?.get(pgoff);
      if (stamp !== undefined) this.frames.setStamp(frame, stamp);
    }
    pages.set(pgoff, frame);
    return frame;
  }
  /** Reads page `pgoff` of `object` back from swap, where it is there; the slot is free afterwards. Linux: shmem_swapin_folio() */
  #swapIn(object: FileObject, pgoff: number, isAlone: boolean): Pfn | undefined {
    const slot = this.sharedSwap.slotOf(object, pgoff);
    if (slot === null) return undefined;
    const first = this.sharedSwap.wholeOf(object, pgoff);
    if (first !== null && !isAlone && this.#swapInWhole(object, first))
      return this.findCached(object, pgoff) ?? 0;
    const { frames, swap, work } = this;
    const cached = swap.cached(slot);
    const pfn = cached === 0 ? frames.allocate(SWAPPED_SHMEM, object.id, pgoff) : cached;
    frames.setFlags(pfn, SWAPPED_SHMEM);
    frames.setOwner(pfn, object.id, pgoff);
    if (cached === 0) {
      frames.contents.restore(pfn, swap.content(slot));
      work.count(FACT.pagesAllocated);
      work.count(FACT.pagesSwappedIn);
    }
    this.sharedSwap.take(object, pgoff);
    swap.drop(frames, slot);
    return pfn;
  }
  /** Reads 2 MiB back that were written out as one. Returns false if a page of them is in the swap cache. Linux: shmem_swap_alloc_folio() */
  #swapInWhole(object: FileObject, first: number): boolean {
    const { frames, swap, work, sharedSwap } = this;
    const slots = Array.from({ length: HUGE_PAGES }, (_, i) => sharedSwap.slotOf(object, first + i) as Slot);
    if (slots.some((slot) => swap.cached(slot) !== 0)) return false;
    const head = frames.allocateLarge(SWAPPED_SHMEM, object.id, first);
    sharedSwap.takeRange(object, first, first + HUGE_PAGES);
    slots.forEach((slot, i) => {
      frames.contents.restore(head + i, swap.content(slot));
      swap.drop(frames, slot);
      this.addCached(object, first + i, head + i);
    });
    work.count(FACT.pagesAllocated, HUGE_PAGES);
    work.count(FACT.hugePagesAllocated);
    work.count(FACT.pagesSwappedIn, HUGE_PAGES);
    return true;
  }
  /** Writes page `pgoff` of `object`, shared memory that nothing maps, out to swap. Returns whether there was room. */
  swapOut(object: FileObject, pgoff: number): boolean {
    const pfn = this.findCached(object, pgoff);
    const slot = pfn === null ? null : this.swap.allocate(this.frames.contents.save(pfn));
    if (slot === null) return false;
    this.dropCached(object, pgoff, pgoff + 1);
    this.sharedSwap.put(object, pgoff, slot);
    this.work.count(FACT.pagesSwappedOut);
    return true;
  }
  /** write(2) of a page of `object`, whose frame is returned: it is dirty afterwards, and of shared memory it counts as used. */
  pageToWrite(object: FileObject, pgoff: number): Pfn {
    const frame = this.cachedPage(object, pgoff);
    this.frames.setFlags(frame, FRAME_DIRTY);
    if (isSharedMemory(object)) this.frames.markAccessed(frame);
    return frame;
  }
  /** Tells whether page `pgoff` of `object` is in the page cache. */
  isCached(object: FileObject, pgoff: number): boolean {
    return this.#pageCache.get(object.id)?.has(pgoff) === true;
  }
  /** Iterates over the frames of the page cache. For verify.ts. */
  *cachedFrames(): Generator<number> {
    for (const pages of this.#pageCache.values()) yield* pages.values();
  }
  /** Returns the frame that holds page `pgoff` of `object`, or null when it is not in the page cache. */
  findCached(object: FileObject, pgoff: number): Pfn | null {
    return this.#pageCache.get(object.id)?.get(pgoff) ?? null;
  }
  /** Puts `pfn` into the page cache as page `pgoff` of `object`, where there is none. */
  addCached(object: FileObject, pgoff: number, pfn: Pfn): void {
    const pages = this.#pageCache.get(object.id) ?? new Map<number, Pfn>();
    this.#pageCache.set(object.id, pages);
    pages.set(pgoff, pfn);
  }
  /**
   * Sets page `pgoff` of `object`, which is shared memory, aside: it is dirty from now on, and stays out of sight until it is asked for, be it
   * by setting it aside once more.
   */
  reserve(object: FileObject, pgoff: number): void {
    if (this.#reserved.get(object.id)?.has(pgoff)) {
      this.cachedPage(object, pgoff);
      return;
    }
    const frame = this.pageToChange(object, pgoff);
    if (frame !== null) {
      this.frames.setFlags(frame, FRAME_DIRTY);
      return;
    }
    const pages = this.#reserved.get(object.id) ?? new Set<number>();
    this.#reserved.set(object.id, pages);
    pages.add(pgoff);
  }
  /** What was set aside becomes pages: they are about to go to swap like others. */
  materialiseReserved(): void {
    for (const [id, pages] of this.#reserved) {
      const object = this.objects.get(id);
      if (object !== undefined) for (const pgoff of [...pages]) this.cachedPage(object, pgoff);
    }
    this.#reserved.clear();
  }
  /** Returns the frame that holds page `pgoff` of `object`, read back if it is in swap; null: it is a hole. */
  pageToChange(object: FileObject, pgoff: number): Pfn | null {
    return this.sharedSwap.slotOf(object, pgoff) === null
      ? this.findCached(object, pgoff)
      : this.cachedPage(object, pgoff);
  }
  /** Notes that the disk holds `stamp` in page `pgoff` of `object`, a file that was in memory. */
  keepOnDisk(object: FileObject, pgoff: number, stamp: number): void {
    const pages = this.#onDisk.get(object.id) ?? new Map<number, number>();
    this.#onDisk.set(object.id, pages);
    pages.set(pgoff, stamp);
  }
  /** Takes page `pgoff` of `object` out of the page cache, clean: its disk has it. Nothing maps it. */
  evictCached(object: FileObject, pgoff: number): void {
    const stamp = this.#onDisk.get(object.id)?.get(pgoff);
    this.dropCached(object, pgoff, pgoff + 1);
    if (stamp !== undefined) this.keepOnDisk(object, pgoff, stamp);
  }
  #dropOnDisk(object: FileObject, from: number, to: number): void {
    const pages = this.#onDisk.get(object.id);
    if (pages !== undefined)
      for (const pgoff of pages.keys()) if (pgoff >= from && pgoff < to) pages.delete(pgoff);
  }
  #dropReserved(object: FileObject, from: number, to: number): void {
    const pages = this.#reserved.get(object.id);
    if (pages !== undefined) for (const pgoff of pages) if (pgoff >= from && pgoff < to) pages.delete(pgoff);
  }
  /** Takes pages `from` to below `to` of `object` out of the page cache, and out of swap. Nothing maps them any more. */
  dropCached(object: FileObject, from: number, to: number): void {
    this.#dropReserved(object, from, to);
    this.#dropOnDisk(object, from, to);
    for (const slot of this.sharedSwap.takeRange(object, from, to)) this.swap.drop(this.frames, slot);
    const pages = this.#pageCache.get(object.id);
    if (pages === undefined) return;
    const before = this.frames.nrUsed;
    const drop = (pgoff: number, frame: Pfn): void => {
      pages.delete(pgoff);
      if (this.frames.isLarge(frame)) this.frames.splitFolio(frame);
      this.frames.uncache(frame);
    };
    if (to - from < pages.size)
      for (let pgoff = from; pgoff < to; pgoff++) {
        const frame = pages.get(pgoff);
        if (frame !== undefined) drop(pgoff, frame);
      }
    else for (const [pgoff, frame] of pages) if (pgoff >= from && pgoff < to) drop(pgoff, frame);
    this.work.count(FACT.pagesFreed, before - this.frames.nrUsed);
  }

  /** Tells whether `pages` more may be promised to a process with `totalVmPages`; root keeps the admin reserve. Linux: __vm_enough_memory(). */
  mayCommit(pages: number, totalVmPages: number, privileged: boolean): boolean {
    const { overcommit, totalRamPages, totalSwapPages, overcommitRatio } = this.config;
    if (overcommit === 1) return true;
    if (overcommit === 0) return pages <= totalRamPages + totalSwapPages;
    let allowed = Math.floor((totalRamPages * overcommitRatio) / 100) + totalSwapPages;
    if (!privileged) allowed -= ADMIN_RESERVE_PAGES;
    allowed -= Math.min(Math.floor(totalVmPages / 32), USER_RESERVE_PAGES);
    return this.committedPages + pages < allowed;
  }

  /** Promises `pages` (may be negative). */
  commit(pages: number): void {
    this.committedPages += pages;
  }
}

/** vm.admin_reserve_kbytes (8 MiB) and vm.user_reserve_kbytes (128 MiB), defaults of a machine with enough memory. */
const ADMIN_RESERVE_PAGES = 2048;
const USER_RESERVE_PAGES = 32768;
