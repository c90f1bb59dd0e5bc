/**
 * Where everything goes: computed from the marks, before anything is moved.
 *
 *   dense region        enough of it is live: its pages stay, references in them are updated in place
 *   fragmented region   live objects slide together, in the order of their addresses, into the first pages of all fragmented regions
 *   cold region         pages with live objects slide together as they are; pages with garbage only are left behind
 *   free region         nothing; objects that are allocated come there
 *
 * Source and target of a page may lie on each other: which memory that is, is the business of a strategy.
 *
 * Invariant   objects of one page come from pages at the same place or above, ascending
 */
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { GRANULES, type Heap, REGION_PAGES } from './heap.ts';
import { bytesOf, GRANULE, type TypeNr } from './objects.ts';

/** What is done with a region or a page. */
export const NOTHING = 0;
export const DENSE = 1;
export const SLID = 2;
export const COLD = 3;
/** One of the above. */
export type Treatment = typeof NOTHING | typeof DENSE | typeof SLID | typeof COLD;

/** How far a page has come. `closed`: made, but it could not be opened yet. */
export const WAITING = 0;
export const BUSY = 1;
export const DONE = 2;
export const CLOSED = 3;

/** One compaction. */
export class Plan {
  readonly #heap: Heap;
  readonly regions: Uint8Array;
  /** Treatment of each page that is a target. */
  readonly treatment: Uint8Array;
  readonly state: Uint8Array;
  /** Pages that are to be made, ascending. */
  readonly targets: number[] = [];
  /** Where a granule goes, plus one; 0: it stays. */
  readonly #forward: Int32Array;
  /** Of cold pages: where it goes; and where it comes from. */
  readonly #coldTarget: Int32Array;
  readonly coldSource: Int32Array;
  /** Granules of the objects that slide, in order, and which of them come to a page. */
  readonly objects: number[] = [];
  readonly firstObject: Int32Array;
  /** Live objects of a fragmented page that were not taken out of it yet. */
  readonly unconsumed: Int32Array;
  /** Bytes of live objects in fragmented regions; objects visited. */
  liveBytes = 0;
  nrVisited = 0;
  #nrDone = 0;

  constructor(heap: Heap) {
    const { pages } = heap;
    this.#heap = heap;
    this.regions = new Uint8Array(heap.nrRegions);
    this.treatment = new Uint8Array(pages);
    this.state = new Uint8Array(pages);
    this.#forward = new Int32Array(pages * GRANULES);
    this.#coldTarget = new Int32Array(pages).fill(-1);
    this.coldSource = new Int32Array(pages).fill(-1);
    this.firstObject = new Int32Array(pages + 1);
    this.unconsumed = new Int32Array(pages);
  }

  /** Returns where the object at `addr` is after this compaction. */
  forward(addr: Addr): Addr {
    const { base } = this.#heap;
    const granule = (addr - base) / GRANULE;
    const to = this.#forward[granule] as number;
    if (to !== 0) return base + (to - 1) * GRANULE;
    const page = Math.floor((addr - base) / PAGE_SIZE);
    const coldTo = this.#coldTarget[page] as number;
    return coldTo < 0 ? addr : addr + (coldTo - page) * PAGE_SIZE;
  }
  /** Returns what is done with the region of `page`. */
  regionOf(page: number): Treatment {
    return this.regions[Math.floor(page / REGION_PAGES)] as Treatment;
  }
  /** Adds a page whose objects stay where they are. */
  addDense(page: number): void {
    this.treatment[page] = DENSE;
    this.targets.push(page);
  }

  /** Calls `each` with the granules at which marked objects of `page` begin, ascending, and their types. */
  forEachMarked(page: number, each: (granule: number, type: TypeNr) => void): void {
    const { marks } = this.#heap;
    const end = (page + 1) * GRANULES;
    for (let granule = page * GRANULES; granule < end; ) {
      const mark = marks[granule] as number;
      if (mark !== 0) each(granule, mark - 1);
      granule += mark === 0 ? 1 : bytesOf(mark - 1) / GRANULE;
    }
  }

  /** Classifies regions. @param density  share of a region that has to be live for it to stay, 0 to 1 */
  classify(density: number): void {
    const { marks, inUse, isCold } = this.#heap;
    for (let region = 0; region < this.regions.length; region++) {
      const [first, end] = [region * REGION_PAGES, (region + 1) * REGION_PAGES];
      if (!inUse.subarray(first, end).includes(1)) continue;
      let bytes = 0;
      for (let granule = first * GRANULES; granule < end * GRANULES; granule++) {
        const mark = marks[granule] as number;
        if (mark === 0) continue;
        bytes += bytesOf(mark - 1);
        this.nrVisited++;
      }
      const isDense = bytes >= density * REGION_PAGES * PAGE_SIZE;
      this.regions[region] = isCold[region] === 1 ? COLD : isDense ? DENSE : SLID;
      if (this.regions[region] === SLID) this.liveBytes += bytes;
    }
  }

  /** Computes where pages and objects go. */
  place(): void {
    this.#placeDense();
    this.#placeCold();
    this.#slide();
    this.targets.sort((a, b) => a - b);
    for (const page of this.targets) this.#heap.reserve(page);
  }
  #pagesOf(treatment: Treatment): number[] {
    const pages: number[] = [];
    for (let page = 0; page < this.#heap.pages; page++)
      if (this.regionOf(page) === treatment) pages.push(page);
    return pages;
  }
  #placeDense(): void {
    for (const page of this.#pagesOf(DENSE)) if (this.#heap.inUse[page] === 1) this.addDense(page);
  }
  #placeCold(): void {
    const pages = this.#pagesOf(COLD);
    let nr = 0;
    for (const page of pages) {
      if (this.#heap.coldLive[page] === 0) continue;
      const target = pages[nr++] as number;
      this.#coldTarget[page] = target;
      this.coldSource[target] = page;
      this.treatment[target] = COLD;
      this.targets.push(target);
    }
  }
  #slide(): void {
    const pages = this.#pagesOf(SLID);
    // Objects that come to pages[i]: from firstObject[i] on; by index first, then by page.
    let [nr, used] = [-1, PAGE_SIZE];
    for (const page of pages)
      this.forEachMarked(page, (granule, type) => {
        const bytes = bytesOf(type);
        if (used + bytes > PAGE_SIZE) {
          nr++;
          used = 0;
          const target = pages[nr] as number;
          this.treatment[target] = SLID;
          this.targets.push(target);
          this.firstObject[target] = this.objects.length;
        }
        this.#forward[granule] = 1 + (pages[nr] as number) * GRANULES + used / GRANULE;
        this.unconsumed[page] = (this.unconsumed[page] as number) + 1;
        this.objects.push(granule);
        used += bytes;
      });
  }
  /** Returns the granules of the objects that come to the target `page`, in the order in which they come to lie there. */
  objectsOf(page: number): readonly number[] {
    const first = this.firstObject[page] as number;
    let end = first;
    while (end < this.objects.length && this.#targetOf(end) === page) end++;
    return this.objects.slice(first, end);
  }
  #targetOf(index: number): number {
    return Math.floor(((this.#forward[this.objects[index] as number] as number) - 1) / GRANULES);
  }

  /** A page has come so far. */
  advance(page: number, state: typeof BUSY | typeof DONE | typeof CLOSED): void {
    if (state === DONE && this.state[page] !== DONE) this.#nrDone++;
    this.state[page] = state;
  }
  /** Tells whether all pages are made and open. */
  get isDone(): boolean {
    return this.#nrDone === this.targets.length;
  }
}
