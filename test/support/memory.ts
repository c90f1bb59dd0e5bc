/**
 * A small machine for tests of pages: one window of addresses, calls by page number, and what is to be seen afterwards.
 *
 * Pages are counted from BASE, a border of 512 GiB, so 512 pages are one table, 1 GiB is one pmd page, and the first page in the window costs
 * three tables, as in spec/pt-reclaim.md. Every call goes through the system calls; after each, the invariants are checked.
 */
import {
  MADV_HUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/abi/mman.ts';
import { must } from '../../src/base/assert.ts';
import { PAGE_SIZE } from '../../src/base/units.ts';
import { accessPage, type FaultAccess } from '../../src/mm/fault.ts';
import { type Features, LINUX_6_18 } from '../../src/mm/features.ts';
import { exitMm, forkMm } from '../../src/mm/fork.ts';
import { Kernel } from '../../src/mm/kernel.ts';
import { madvise } from '../../src/mm/madvise.ts';
import { Mm } from '../../src/mm/mm.ts';
import { mmap } from '../../src/mm/mmap.ts';
import { mprotect } from '../../src/mm/mprotect.ts';
import { mremap } from '../../src/mm/mremap.ts';
import { munmap } from '../../src/mm/munmap.ts';
import { punchObject, truncateObject } from '../../src/mm/pageCache.ts';
import { type PageState, pageAt } from '../../src/mm/pageState.ts';
import { DIRTY, EXCLUSIVE, WRITE, YOUNG } from '../../src/mm/pte.ts';
import type { Why } from '../../src/mm/result.ts';
import { verifyKernel, verifyMm } from '../../src/mm/verify.ts';
import type { FileObject, Vma } from '../../src/mm/vma.ts';

/** Where the window begins. */
export const BASE = 0x6f00_0000_0000;
/** Pages of 2 MiB, and of 1 GiB. */
export const TABLE_PAGES = 512;
export const GIB_PAGES = 512 * 512;
export const RW = PROT_READ | PROT_WRITE;

/** What a mapping is, if it is not private anonymous memory. */
export interface Mapping {
  readonly prot?: number;
  readonly flags?: number;
  readonly object?: FileObject;
  readonly shared?: boolean;
  /** Page of the object that it begins with. */
  readonly pgoff?: number;
}

/** Processes of one kernel and what happened to them. */
export class Machine {
  readonly kernel: Kernel;
  readonly mms: Mm[] = [];

  /** @param swapPages  size of the swap device; 0 is none */
  constructor(swapPages = 0, features: Partial<Features> = {}) {
    this.kernel = new Kernel({ ...LINUX_6_18, ...features }, { totalSwapPages: swapPages });
  }
  /** Starts a process with an empty address space. */
  spawn(): Memory {
    const mm = new Mm(this.kernel);
    this.mms.push(mm);
    return new Memory(this, mm);
  }
  /** Makes shared memory of `pages` pages. */
  memfd(pages: number): FileObject {
    return this.kernel.newFileObject({ path: '/memfd:m (deleted)', kind: 'memfd', size: pages * PAGE_SIZE });
  }
  /** Makes a regular file whose page `i` holds 1000 + i. */
  file(pages: number): FileObject {
    const object = this.kernel.newFileObject({ path: '/file', kind: 'regular', size: pages * PAGE_SIZE });
    for (let i = 0; i < pages; i++) this.kernel.frames.setStamp(this.kernel.cache.page(object, i), 1000 + i);
    return object;
  }
  /** Makes pages [first, first + pages) of `object` a hole. */
  punch(object: FileObject, first: number, pages: number): void {
    punchObject(this.kernel, object, first, first + pages);
    this.verify();
  }
  /** Cuts `object` off after `pages` pages. */
  truncate(object: FileObject, pages: number): void {
    truncateObject(this.kernel, object, pages);
    object.size = pages * PAGE_SIZE;
    this.verify();
  }
  /** Checks every invariant. */
  verify(): void {
    for (const mm of this.mms) verifyMm(mm);
    verifyKernel(this.kernel, this.mms);
  }
}

/** One process. Pages are counted from BASE. */
export class Memory {
  readonly machine: Machine;
  readonly mm: Mm;

  constructor(machine: Machine, mm: Mm) {
    this.machine = machine;
    this.mm = mm;
  }

  #after<T>(result: T): T {
    this.machine.verify();
    return result;
  }
  /** Returns the address of `page`. */
  addr(page: number): number {
    return BASE + page * PAGE_SIZE;
  }
  /** Returns the vma at `page`. */
  vma(page: number): Vma {
    return must(this.mm.vmas.at(this.addr(page)), 'it is mapped');
  }
  /** Maps `pages` pages at `page`. */
  map(page: number, pages: number, how: Mapping = {}): void {
    const { object, pgoff = 0, shared = false, prot = RW, flags = 0 } = how;
    const open = { readable: true, writable: true };
    mmap(this.mm, {
      addr: this.addr(page),
      len: pages * PAGE_SIZE,
      prot,
      flags: flags | (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | (object ? 0 : MAP_ANONYMOUS),
      file: object ? this.machine.kernel.openFile(object, open) : null,
      offset: pgoff * PAGE_SIZE,
      chosen: null,
    });
    this.machine.verify();
  }
  /** Maps memory that may have huge pages. */
  mapHuge(page: number, pages: number): void {
    this.map(page, pages);
    this.advise(page, pages, MADV_HUGEPAGE);
  }
  unmap(page: number, pages: number): Why {
    return this.#after(munmap(this.mm, this.addr(page), pages * PAGE_SIZE).why);
  }
  protect(page: number, pages: number, prot: number): Why {
    return this.#after(mprotect(this.mm, this.addr(page), pages * PAGE_SIZE, prot).why);
  }
  advise(page: number, pages: number, advice: number): Why {
    return this.#after(madvise(this.mm, this.addr(page), pages * PAGE_SIZE, advice).why);
  }
  /** Moves `pages` pages from `from` to `to`. */
  move(from: number, to: number, pages: number, dontUnmap = false): Why {
    const result = mremap(this.mm, {
      addr: this.addr(from),
      oldLen: pages * PAGE_SIZE,
      newLen: pages * PAGE_SIZE,
      flags: MREMAP_MAYMOVE | MREMAP_FIXED | (dontUnmap ? MREMAP_DONTUNMAP : 0),
      newAddr: this.addr(to),
      chosen: null,
    });
    return this.#after(result.why);
  }
  /** One access to each of `pages` pages, or each `step`th; a store leaves `stamp` plus the number of the page. Returns how each came: `hit`, a kind of fault, or a signal. */
  touch(
    page: number,
    access: FaultAccess = 'write',
    how: { pages?: number; step?: number; stamp?: number } = {},
  ): string[] {
    const { pages = 1, step = 1, stamp = 1 } = how;
    const came: string[] = [];
    for (let i = 0; i < pages; i += step) {
      const result = accessPage(this.mm, {
        addr: this.addr(page + i),
        access,
        stamp: access === 'write' ? stamp + page + i : null,
      });
      came.push(
        result.kind === 'signal' ? result.codeName : result.kind === 'fault' ? result.what : result.kind,
      );
    }
    return this.#after(came);
  }
  /** Stores once to `page` and returns how it came. */
  write(page: number, stamp = 1): string {
    return this.touch(page, 'write', { stamp: stamp - page })[0] as string;
  }
  /** Loads once from `page` and returns how it came. */
  read(page: number): string {
    return this.touch(page, 'read')[0] as string;
  }
  /** Copies the process. */
  fork(): Memory {
    const child = forkMm(this.mm);
    if (!(child instanceof Mm)) throw new Error('fork was refused');
    this.machine.mms.push(child);
    return this.#after(new Memory(this.machine, child));
  }
  /** Ends the process. */
  exit(): void {
    exitMm(this.mm);
    this.machine.mms.splice(this.machine.mms.indexOf(this.mm), 1);
    this.machine.verify();
  }

  /** Returns what is at `page`. */
  at(page: number): PageState {
    return pageAt(this.mm, this.addr(page));
  }
  /** Returns what kinds of pages [page, page + pages) are, each once, in the order met. */
  kinds(page: number, pages: number): string[] {
    return [...new Set(Array.from({ length: pages }, (_, i) => this.at(page + i).kind))];
  }
  /** Returns the frame at `page`. */
  pfn(page: number): number {
    return this.at(page).number;
  }
  /** Returns the bits of the entry at `page` by letter: w(ritable), d(irty), y(oung), e(xclusive), h(uge). */
  bits(page: number): string {
    const { low, isHuge } = this.at(page);
    return (
      (low & WRITE ? 'w' : '') +
      (low & DIRTY ? 'd' : '') +
      (low & YOUNG ? 'y' : '') +
      (low & EXCLUSIVE ? 'e' : '') +
      (isHuge ? 'h' : '')
    );
  }
  /** Returns the first word that a load at `page` would find, without faulting. */
  holds(page: number): number {
    return this.at(page).stamp;
  }
  /** VmPTE in KiB. */
  get kib(): number {
    return this.mm.pages.bytes / 1024;
  }
  /** Resident pages: anonymous, of files, of shared memory; and entries in swap. */
  get resident(): readonly [anon: number, file: number, shmem: number, swap: number] {
    return [this.mm.rssAnon, this.mm.rssFile, this.mm.rssShmem, this.mm.nrSwap];
  }
}

/** Makes a machine with one process. */
export function oneProcess(swapPages = 0, features: Partial<Features> = {}): Memory {
  return new Machine(swapPages, features).spawn();
}
