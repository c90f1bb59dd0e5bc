/**
 * The heap as the runtime knows it: which pages hold objects, where there is room, what was marked, and the roots.
 *
 * All of this is the runtime's own data, beside the simulated memory. Addresses are those that mutators use; where else a page can be reached is
 * the business of a strategy.
 */
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { bytesOf, GRANULE, type TypeNr } from './objects.ts';

/** Granules of a page. */
export const GRANULES = PAGE_SIZE / GRANULE;

/** Pages of a region: what is classified, and compacted or not, as a whole. Linux knows none; ART has 64. */
export const REGION_PAGES = 64;

/** Where a thread allocates: a page, and how much of it is taken. */
export interface AllocationBuffer {
  page: number;
  used: number;
}

/** The heap. */
export class Heap {
  readonly pages: number;
  /** Where mutators see it; set once it is mapped. */
  base: Addr = 0;
  /** 1: the page holds objects, or is being filled. */
  readonly inUse: Uint8Array;
  /** 1: the region holds objects that are hardly ever used. */
  readonly isCold: Uint8Array;
  /** Pages of cold regions in which an object was marked. */
  readonly coldLive: Uint8Array;
  /** Type + 1 of the object that begins at a granule, if it was marked or is new. */
  readonly marks: Uint8Array;
  /** Pages that allocation must not take: what is compacted now comes there. */
  readonly #isReserved: Uint8Array;
  /** Roots: addresses, and beside them the objects that are there. */
  readonly roots: Float64Array;
  readonly rootIds: Uint32Array;
  /** So many of them, the first ones, never change. */
  readonly nrGlobalRoots: number;
  nrFree: number;
  readonly #buffers = new Set<AllocationBuffer>();
  #nextFree = 0;
  /** All pages were looked at, and none could be taken; nothing came free since. */
  #isFull = false;

  /** @param pages  a multiple of REGION_PAGES; @param globalRoots  roots that never change; @param ownRoots  those of mutators */
  constructor(pages: number, globalRoots: number, ownRoots: number) {
    const roots = globalRoots + ownRoots;
    this.nrGlobalRoots = globalRoots;
    this.pages = pages;
    this.nrFree = pages;
    this.inUse = new Uint8Array(pages);
    this.isCold = new Uint8Array(pages / REGION_PAGES);
    this.coldLive = new Uint8Array(pages);
    this.marks = new Uint8Array(pages * GRANULES);
    this.#isReserved = new Uint8Array(pages);
    this.roots = new Float64Array(roots);
    this.rootIds = new Uint32Array(roots);
  }

  get bytes(): number {
    return this.pages * PAGE_SIZE;
  }
  get nrRegions(): number {
    return this.pages / REGION_PAGES;
  }
  /** Returns the address of a page. */
  addressOf(page: number): Addr {
    return this.base + page * PAGE_SIZE;
  }
  /** Returns the page of an address. */
  pageOf(addr: Addr): number {
    return Math.floor((addr - this.base) / PAGE_SIZE);
  }
  /** Returns the granule of an address. */
  granuleOf(addr: Addr): number {
    return (addr - this.base) / GRANULE;
  }
  /** Tells whether `addr` is in a region of cold objects. */
  isColdAt(addr: Addr): boolean {
    return this.isCold[Math.floor(this.pageOf(addr) / REGION_PAGES)] === 1;
  }

  /** Takes a free page, or returns null. */
  takePage(): number | null {
    if (this.#isFull) return null;
    for (let i = 0; i < this.pages; i++) {
      const page = (this.#nextFree + i) % this.pages;
      if (this.inUse[page] !== 0 || this.#isReserved[page] !== 0) continue;
      this.#nextFree = page + 1;
      this.setInUse(page, true);
      return page;
    }
    this.#isFull = true;
    return null;
  }
  /** Allocation must not take `page` from now on. */
  reserve(page: number): void {
    this.#isReserved[page] = 1;
  }
  /** Allocation may take all free pages again. */
  unreserveAll(): void {
    this.#isReserved.fill(0);
    this.#isFull = false;
  }
  /** A page holds objects from now on, or none any more. */
  setInUse(page: number, inUse: boolean): void {
    if ((this.inUse[page] === 1) === inUse) return;
    this.inUse[page] = inUse ? 1 : 0;
    this.nrFree += inUse ? -1 : 1;
    if (!inUse) this.#isFull = false;
  }
  /** Allocation begins at the lowest free page again. */
  rewind(): void {
    this.#nextFree = 0;
  }

  /** Makes a buffer that has no page yet. */
  newBuffer(): AllocationBuffer {
    const buffer = { page: -1, used: 0 };
    this.#buffers.add(buffer);
    return buffer;
  }
  /** All buffers are given up: what is allocated next comes into pages of its own. */
  retireBuffers(): void {
    for (const buffer of this.#buffers) buffer.page = -1;
  }
  /** Returns room for an object, marked as live; null when there is none. */
  allocate(buffer: AllocationBuffer, type: TypeNr): Addr | null {
    const bytes = bytesOf(type);
    if (buffer.page < 0 || buffer.used + bytes > PAGE_SIZE) {
      const page = this.takePage();
      if (page === null) return null;
      buffer.page = page;
      buffer.used = 0;
    }
    const addr = this.addressOf(buffer.page) + buffer.used;
    buffer.used += bytes;
    this.marks[this.granuleOf(addr)] = type + 1;
    return addr;
  }
}
