/**
 * The regions that PAGEMAP_SCAN reports: neighbours of the same categories joined, within the room that the caller gave.
 *
 * What does not fit stops the scan where it begins; a region that reaches the limit of pages is cut there.
 *
 * Linux   fs/proc/task_mmu.c: pagemap_scan_output, pagemap_scan_push_range, pagemap_scan_backout_range
 */
import { type Addr, PAGE_SIZE } from '../base/units.ts';

/** Pages that are reported together. */
export interface ScanRegion {
  readonly start: Addr;
  end: Addr;
  readonly categories: number;
}

/** What the output depends on. */
interface ScanRoom {
  /** Regions that there is room for; 0: nothing is reported, and nothing limits the scan. */
  readonly vecLen: number;
  /** Pages that may be reported; 0: any number. */
  readonly maxPages: number;
  /** Categories that are reported. */
  readonly returned: number;
}

/** The output of one scan. */
export class ScanOutput {
  readonly #room: ScanRoom;
  readonly #regions: ScanRegion[] = [];
  readonly #maxPages: number;
  #pages = 0;
  /** The last region was taken back whole: its place is filled next, and nothing joins the region before it. */
  #isBackedOut = false;
  #stoppedAt: Addr | null = null;
  #isFull = false;

  constructor(room: ScanRoom) {
    this.#room = room;
    this.#maxPages = room.maxPages === 0 ? Number.POSITIVE_INFINITY : room.maxPages;
  }

  /** The caller wants regions. */
  get isAsked(): boolean {
    return this.#room.vecLen > 0;
  }
  /** The scan has to stop. */
  get isFull(): boolean {
    return this.#isFull;
  }
  /** Where it had to stop, or null. Stays when what was reported there is taken back, unless it has to stop again. */
  get stoppedAt(): Addr | null {
    return this.#stoppedAt;
  }
  get regions(): readonly ScanRegion[] {
    return this.#regions;
  }

  /** Reports the pages of [start, end). Returns the end of those that there was room for. */
  push(categories: number, start: Addr, end: Addr): Addr {
    if (!this.isAsked) return end;
    const fits = Math.min((end - start) / PAGE_SIZE, this.#maxPages - this.#pages);
    let stop = start + fits * PAGE_SIZE;
    if (!this.#add(categories & this.#room.returned, start, stop)) stop = start;
    this.#pages += (stop - start) / PAGE_SIZE;
    if (stop < end) {
      this.#stoppedAt = stop;
      this.#isFull = true;
    }
    return stop;
  }
  #add(categories: number, start: Addr, end: Addr): boolean {
    if (start === end) return true;
    const last = this.#regions.at(-1);
    const joins = !this.#isBackedOut && last?.end === start && last.categories === categories;
    if (last !== undefined && joins) {
      last.end = end;
      return true;
    }
    if (this.#regions.length >= this.#room.vecLen) return false;
    this.#isBackedOut = false;
    this.#regions.push({ start, end, categories });
    return true;
  }

  /** Takes back what was reported last: [start, end) is scanned again, in smaller pieces. */
  backOut(start: Addr, end: Addr): void {
    this.#isFull = false;
    const last = this.#regions.at(-1);
    if (!this.isAsked || last === undefined) return;
    if (last.start === start) {
      this.#regions.pop();
      this.#isBackedOut = true;
    } else last.end = start;
    this.#pages -= (end - start) / PAGE_SIZE;
  }
}
