/**
 * Physical pages in use and free: struct of arrays indexed by frame number (pfn), taken and given back one by one, in runs that never were given out, or
 * 512 aligned ones as a huge folio. What is kept of those in use is for frames.ts to say.
 *
 * Frame 0 is the zero page: never counted, never freed.
 *
 * Cost    30 bytes a frame with fingerprint contents; a growth step copies, at most 25 % are spare from 65,536 to 2^24 frames
 */
import type { Pgoff } from '../base/units.ts';
import { FolioSharing } from './folioSharing.ts';
import { FingerprintContents, type FrameContents } from './frameContents.ts';
import { FRAME_LARGE, FRAME_USED } from './frameFlags.ts';

/** The number of a frame. */
export type Pfn = number & { readonly unit?: 'pfn' };

/** The frame number of the zero page. */
export const ZERO_FRAME: Pfn = 0;
/** Frames of a huge page. */
export const HUGE_PAGES = 512;

/** A huge folio, kept for its first frame. */
export interface LargeFolio {
  /** Huge pmds that map all of it. */
  entire: number;
  /** Ptes that map single pages of it. */
  nrPtes: number;
  /** Some of its pages are mapped and others not: it waits to be broken up when memory gets short. */
  deferred: boolean;
  /** Calls that took pages of it away and give them back when they are over. */
  gathered: number;
  /** Who maps it, as far as Linux keeps it. */
  readonly sharing: FolioSharing;
}

const FIRST_SIZE = 1024;

/** Somebody who keeps lists of frames (lru.ts). */
export interface FrameWatcher {
  /** A frame was taken, or 512 of a huge folio. */
  added(pfn: Pfn, pages: number): void;
  /** A frame is about to be given back: it still has its flags. */
  gone(pfn: Pfn): void;
  /** The flags of a frame say another list now. */
  changed(pfn: Pfn): void;
  /** The huge folio at `head` is about to become single frames. */
  split(head: Pfn): void;
}

/** Returns the first frame of the huge folio that `pfn` is part of. */
export const headOf = (pfn: Pfn): Pfn => pfn - (pfn % HUGE_PAGES);

/** The frames of one kernel, in use or free. */
export abstract class FrameStore {
  protected mapcounts = new Int32Array(FIRST_SIZE);
  protected flagWords = new Uint16Array(FIRST_SIZE);
  /** Id of the anon_vma, or of the file object; of a free frame, the next free one. */
  protected owners = new Int32Array(FIRST_SIZE);
  protected indexes = new Float64Array(FIRST_SIZE);
  /** The free frame that is given out next; 0: none. */
  #firstFree: Pfn = 0;
  readonly #freeLarge: Pfn[] = [];
  protected readonly large = new Map<Pfn, LargeFolio>();
  #next = 1;
  #nrUsed = 0;
  readonly contents: FrameContents;
  /** Who keeps lists of frames; null: memory never gets short, and nobody does. */
  watcher: FrameWatcher | null = null;

  /** @param contents  how much of each page is kept; by default its first word */
  constructor(contents: FrameContents = new FingerprintContents()) {
    this.contents = contents;
  }

  /** Takes a zeroed frame that nothing maps yet. @param flags  FRAME_ bits; @param owner  id of the anon_vma or object; @param index  page offset */
  allocate(flags: number, owner: number, index: Pgoff): Pfn {
    const pfn = this.#takeFree();
    this.#reset(pfn, flags, owner, index);
    this.#nrUsed++;
    if (this.watcher !== null) this.watcher.added(pfn, 1);
    return pfn;
  }
  /** Takes `n` zeroed frames that never were given out, in a row, each of which one pte maps. Returns the first. @param index  of the first; others as for `allocate` */
  allocateMapped(n: number, flags: number, owner: number, index: Pgoff): Pfn {
    const first = this.#next;
    const end = first + n;
    this.#next = end;
    if (end > this.flagWords.length) this.#grow(end);
    this.mapcounts.fill(1, first, end);
    this.flagWords.fill(flags | FRAME_USED, first, end);
    this.owners.fill(owner, first, end);
    for (let pfn = first; pfn < end; pfn++) this.indexes[pfn] = index + pfn - first;
    this.#nrUsed += n;
    if (this.watcher !== null) for (let pfn = first; pfn < end; pfn++) this.watcher.added(pfn, 1);
    return first;
  }
  /** Tells whether frames were given back that can be taken again one by one. */
  get hasFree(): boolean {
    return this.#firstFree !== 0;
  }
  /** The frame that was given back last, else one that never was given out. */
  #takeFree(): Pfn {
    const free = this.#firstFree;
    if (free !== 0) {
      this.#firstFree = this.owners[free] as number;
      return free;
    }
    const pfn = this.#next++;
    if (pfn >= this.flagWords.length) this.#grow(pfn + 1);
    return pfn;
  }
  protected putFree(pfn: Pfn): void {
    this.owners[pfn] = this.#firstFree;
    this.#firstFree = pfn;
  }
  /** Takes 512 zeroed frames, aligned, as one folio. Returns the first. */
  allocateLarge(flags: number, owner: number, index: Pgoff): Pfn {
    const head = this.#freeLarge.pop() ?? this.#nextLarge();
    for (let i = 0; i < HUGE_PAGES; i++) this.#reset(head + i, flags | FRAME_LARGE, owner, index + i);
    this.large.set(head, {
      entire: 0,
      nrPtes: 0,
      deferred: false,
      gathered: 0,
      sharing: new FolioSharing(),
    });
    this.#nrUsed += HUGE_PAGES;
    if (this.watcher !== null) this.watcher.added(head, HUGE_PAGES);
    return head;
  }
  #nextLarge(): Pfn {
    const head = Math.ceil(this.#next / HUGE_PAGES) * HUGE_PAGES;
    const first = this.#next;
    this.#next = head + HUGE_PAGES;
    if (this.#next > this.flagWords.length) this.#grow(this.#next);
    for (let pfn = head - 1; pfn >= first; pfn--) this.putFree(pfn);
    return head;
  }
  #reset(pfn: Pfn, flags: number, owner: number, index: Pgoff): void {
    this.mapcounts[pfn] = 0;
    this.flagWords[pfn] = flags | FRAME_USED;
    this.owners[pfn] = owner;
    this.indexes[pfn] = index;
    this.contents.zero(pfn);
  }
  /** Gives back a frame that nothing maps; of a huge folio, all of it. */
  protected release(pfn: Pfn): void {
    if (this.flagWords[pfn]! & FRAME_LARGE) {
      const head = headOf(pfn);
      this.large.delete(head);
      for (let i = 0; i < HUGE_PAGES; i++) this.retire(head + i);
      this.#freeLarge.push(head);
      return;
    }
    this.retire(pfn);
    this.putFree(pfn);
  }
  protected retire(pfn: Pfn): void {
    if (this.watcher !== null) this.watcher.gone(pfn);
    this.flagWords[pfn] = 0;
    this.contents.release(pfn);
    this.#nrUsed--;
  }
  #grow(needed: number): void {
    const size = Math.max(needed, Math.ceil(this.flagWords.length * growthOf(this.flagWords.length)));
    this.mapcounts = grown(this.mapcounts, new Int32Array(size));
    this.flagWords = grown(this.flagWords, new Uint16Array(size));
    this.owners = grown(this.owners, new Int32Array(size));
    this.indexes = grown(this.indexes, new Float64Array(size));
    this.contents.grow(size);
  }

  /** Every frame number given out so far is below this. */
  get limit(): Pfn {
    return this.#next;
  }
  /** Number of frames in use, without the zero page. */
  get nrUsed(): number {
    return this.#nrUsed;
  }
}

/** By how much arrays of `size` frames grow. The large ones double: what nobody has written yet takes no memory of the host, and copying does take time. */
const growthOf = (size: number): number => (size >= 1 << 16 && size < 1 << 24 ? 1.25 : 2);

/** Copies an array into a larger one. */
function grown<A extends Int32Array | Uint16Array | Float64Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
