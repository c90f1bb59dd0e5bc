/**
 * Physical pages as far as address spaces need them: how often each is mapped and what its first word is.
 *
 * Struct of arrays indexed by frame number; freed numbers are used again, lowest cost first. Frame 0 is the zero page and is never
 * counted or freed. A page of the page cache stays while unmapped; an anonymous page dies with its last mapping.
 * Invariants   [frame-mapcount] `mapcount` is the number of ptes (and swap entries) that hold the frame
 *              [frame-used] a frame in use is mapped or in the page cache
 * Cost        12 bytes a frame
 * Left out    folios, flags, LRU, reference counts of pins
 */

/** The frame number of the zero page. */
export const ZERO_FRAME = 0;

/** All frames of one kernel. */
export class Frames {
  #mapcount = new Int32Array(1024);
  #stamp = new Float64Array(1024);
  #free: number[] = [];
  #used = 1;

  /** Takes a frame whose first word is `stamp` and that nothing maps yet. Returns its number. */
  allocate(stamp: number): number {
    const frame = this.#free.pop() ?? this.#used++;
    if (frame >= this.#mapcount.length) this.#grow();
    this.#mapcount[frame] = 0;
    this.#stamp[frame] = stamp;
    return frame;
  }
  /** Gives a frame back that nothing maps. */
  release(frame: number): void {
    this.#free.push(frame);
  }
  /** Returns how many ptes map `frame`. */
  mapcount(frame: number): number {
    return this.#mapcount[frame] as number;
  }
  /** Counts `by` more mappings of `frame` and returns the new count. */
  addMapping(frame: number, by: 1 | -1): number {
    const count = (this.#mapcount[frame] as number) + by;
    this.#mapcount[frame] = count;
    return count;
  }
  /** Returns the first word of the page. */
  stamp(frame: number): number {
    return this.#stamp[frame] as number;
  }
  /** Writes the first word of the page. */
  setStamp(frame: number, stamp: number): void {
    this.#stamp[frame] = stamp;
  }
  /** Every frame number given out so far is below this. */
  get limit(): number {
    return this.#used;
  }
  /** Number of frames in use, without the zero page. */
  get nrUsed(): number {
    return this.#used - 1 - this.#free.length;
  }

  #grow(): void {
    const mapcount = new Int32Array(this.#mapcount.length * 2);
    mapcount.set(this.#mapcount);
    this.#mapcount = mapcount;
    const stamp = new Float64Array(this.#stamp.length * 2);
    stamp.set(this.#stamp);
    this.#stamp = stamp;
  }
}
