/**
 * Free extents of a jemalloc-like arena: runs of pages in one of three states, joined with neighbours of the same state.
 *
 *   dirty      freed as they are: pages are there
 *   muzzy      given back lazily: the kernel may take the pages, or they are there
 *   retained   given back: addresses alone
 *
 * Dirty extents from 16 KiB on are joined when they come; smaller ones when they are about to be purged. Others are joined when they come.
 */
import type { Addr } from '../../base/units.ts';
import { type Piece, SizeBins } from './sizeBins.ts';

/** What is known of the pages of a free extent. */
export type ExtentState = 'dirty' | 'muzzy' | 'retained';

/** A free extent. */
export interface Extent extends Piece {
  readonly addr: Addr;
  readonly len: number;
  readonly state: ExtentState;
  /** The kernel was told that it may be thrown away (vrange): it has to be taken back before it is used. */
  readonly isVolatile: boolean;
}

/** The free extents of one state, the one that came first first. */
export class ExtentSet {
  readonly state: ExtentState;
  readonly #at = new Map<Addr, Extent>();
  readonly #before = new Map<Addr, Extent>();
  readonly #bins = new SizeBins<Extent>();
  #bytes = 0;

  constructor(state: ExtentState) {
    this.state = state;
  }

  /** Bytes in it. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Returns the extent that came first, or null. */
  get oldest(): Extent | null {
    return this.#at.values().next().value ?? null;
  }

  /** Puts an extent in. @param joins  it is joined with its neighbours now. Returns what it became. */
  add(addr: Addr, len: number, how: { readonly joins: boolean; readonly isVolatile?: boolean }): Extent {
    let [start, end] = [addr, addr + len];
    let isVolatile = how.isVolatile === true;
    if (how.joins)
      for (const next of this.#neighbours(start, end)) {
        this.remove(next);
        start = Math.min(start, next.addr);
        end = Math.max(end, next.addr + next.len);
        isVolatile ||= next.isVolatile;
      }
    const extent: Extent = { addr: start, len: end - start, state: this.state, isFree: true, isVolatile };
    this.#at.set(start, extent);
    this.#before.set(end, extent);
    this.#bins.add(extent);
    this.#bytes += extent.len;
    return extent;
  }
  /** All that touch [start, end), and what touches those. */
  *#neighbours(start: Addr, end: Addr): Iterable<Extent> {
    for (let at = start; ; ) {
      const below = this.#before.get(at);
      if (below === undefined) break;
      yield below;
      at = below.addr;
    }
    for (let at = end; ; ) {
      const above = this.#at.get(at);
      if (above === undefined) break;
      yield above;
      at = above.addr + above.len;
    }
  }

  /** Takes an extent out. */
  remove(extent: Extent): void {
    extent.isFree = false;
    this.#at.delete(extent.addr);
    this.#before.delete(extent.addr + extent.len);
    this.#bytes -= extent.len;
  }
  /** Takes the oldest extent out, joined with its neighbours. Null if there is none. */
  takeOldest(): Extent | null {
    const first = this.oldest;
    if (first === null) return null;
    this.remove(first);
    const joined = this.add(first.addr, first.len, { joins: true, isVolatile: first.isVolatile });
    this.remove(joined);
    return joined;
  }
  /** Takes the lowest extent of at least `len` bytes out. Null if there is none. */
  takeFor(len: number): Extent | null {
    const found = this.#bins.lowest(len);
    if (found !== null) this.remove(found);
    return found;
  }
}
