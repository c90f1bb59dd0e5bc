/**
 * One kernel: what several address spaces share. Nothing in the model is module-global.
 *
 * Invariant   [committed] `committedPages` is the sum of the pages of all VM_ACCOUNT vmas and of the shared-anonymous files alive, plus
 *             `committedLeak` (what growth of a stack without VM_ACCOUNT leaves behind)
 * Linux       sysctl vm.*, mm/util.c (overcommit)
 */
import type { Arena } from '../base/arena.ts';
import type { AnonVma } from './anonVma.ts';
import { CachedPages } from './cachedPages.ts';
import type { EventSink } from './events.ts';
import { type Features, LINUX_6_18, scanOf } from './features.ts';
import type { FrameContents } from './frameContents.ts';
import { Frames } from './frames.ts';
import { MemoryGroup, type OutOfMemory } from './memoryGroup.ts';
import { RFC_SCAN, type ScanTunables } from './ptScanTunables.ts';
import { SharedSwap } from './sharedSwap.ts';
import { softDirtyBit } from './storeBits.ts';
import { Swap } from './swap.ts';
import { TableHistory } from './tableHistory.ts';
import { TablePages } from './tablePages.ts';
import { CountingTlb, type Tlb } from './tlb.ts';
import type { UffdWait } from './uffdContext.ts';
import type { FileObject, MappedFile } from './vma.ts';
import type { Reclaim } from './vmscan.ts';
import { VrangeLru } from './vrangeTree.ts';
import { Work } from './work.ts';

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
  /** Pages of files and of shared memory: the page cache. */
  readonly cache: CachedPages;
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
    this.swap.contentsAreTold = this.frames.contents.keepsBytes;
    this.cache = new CachedPages(this);
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
