/**
 * Saving pages: finding those that hold something, reading each, and writing it into the image.
 *
 *   scan   PAGEMAP_SCAN says which pages are there; what is not there is zero in the image, and is not touched. Not for swapped guests
 *   read   every page is read, as QEMU does, and found to be zero or not: holes get the zero page, holes of shared memory real ones
 *
 * Prices   copy_4k_cold for a page that goes into the image, copy_4k_hot to see that a page is zero: the zero page is in the cache
 */
import { PAGE_IS_PFNZERO, PAGE_IS_PRESENT } from '../../abi/pagemapScan.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { calibrationFigures, type Running, type Simulation, type Thread } from '../../machine/index.ts';
import type { GuestMemory } from './guestMemory.ts';
import { PageWords } from './pageWords.ts';
import { scanPages } from './scan.ts';

/** How pages are found. */
export type Finding = 'scan' | 'read';

/** Saves pages into an image. */
export class Saver {
  readonly image = new PageWords();
  readonly #memory: GuestMemory;
  readonly #finding: Finding;
  readonly #copyNs: number;
  readonly #zeroNs: number;
  readonly #done: Uint8Array;
  /** Pages written into the image, again or for the first time. */
  nrSaved = 0;

  constructor(simulation: Simulation, memory: GuestMemory, finding: Finding) {
    this.#memory = memory;
    this.#finding = finding;
    const figures = calibrationFigures(simulation.costs.calibration);
    this.#copyNs = figures.figure('copy_4k_cold');
    this.#zeroNs = figures.figure('copy_4k_hot');
    this.#done = new Uint8Array(Math.ceil(memory.nrPages / 8));
  }

  /** Tells whether the image has the page. */
  isSaved(page: number): boolean {
    return ((this.#done[page >> 3] as number) & (1 << (page & 7))) !== 0;
  }
  #note(page: number): void {
    this.#done[page >> 3] = (this.#done[page >> 3] as number) | (1 << (page & 7));
  }

  /** Saves those of the pages from `first` to below `end` that the image has not got. */
  *saveRange(t: Thread, first: number, end: number): Running<void> {
    const memory = this.#memory;
    if (this.#finding === 'read') {
      for (let page = first; page < end; page++) if (!this.isSaved(page)) yield* this.savePage(t, page);
      return;
    }
    // Of what is not there, and of the zero page, there is nothing to read.
    const regions = yield* scanPages(t, {
      start: memory.addrOf(first),
      end: memory.addrOf(end),
      mask: PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
      inverted: PAGE_IS_PFNZERO,
    });
    for (const region of regions)
      for (let addr: Addr = region.start; addr < region.end; addr += PAGE_SIZE) {
        const page = memory.pageOf(addr);
        if (!this.isSaved(page)) yield* this.savePage(t, page);
      }
    for (let page = first; page < end; page++) this.#note(page);
  }

  /** Saves one page as it is now. */
  *savePage(t: Thread, page: number): Running<void> {
    const addr = this.#memory.addrOf(page);
    const word = t.load(addr) ?? (yield* t.read(addr));
    this.image.set(page, word);
    this.#note(page);
    if (word === 0) t.uses(this.#zeroNs);
    else {
      t.uses(this.#copyNs);
      this.nrSaved++;
    }
  }
  /** The page is known to hold nothing. */
  forget(page: number): void {
    this.image.set(page, 0);
    this.#note(page);
  }
}
