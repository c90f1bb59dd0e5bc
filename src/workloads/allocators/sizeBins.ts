/**
 * Free pieces of address space by size: the lowest one that is large enough, as allocators look for it.
 *
 * Sizes fall into classes, four for each doubling. A class is a heap of pieces by address; who takes a piece out elsewhere leaves it behind, and it is passed
 * over when it comes up.
 *
 * Cost   a look at the top of each class, and the logarithm of its size
 */
import type { Addr } from '../../base/units.ts';

/** A piece that may be in a bin. */
export interface Piece {
  readonly addr: Addr;
  readonly len: number;
  /** It is free, and not part of another by now. */
  isFree: boolean;
}

/** The number of the class that holds pieces of `len` bytes: four for each doubling, by their lower end. */
export function classOf(len: number): number {
  const doubling = Math.floor(Math.log2(len));
  return doubling * 4 + Math.floor((len / 2 ** doubling - 1) * 4);
}

/** Pieces by size. */
export class SizeBins<P extends Piece> {
  readonly #bins: P[][] = [];
  #most = 0;

  /** Puts a piece in. */
  add(piece: P): void {
    const at = classOf(piece.len);
    while (this.#bins.length <= at) this.#bins.push([]);
    this.#most = Math.max(this.#most, at);
    push(this.#bins[at] as P[], piece);
  }

  /** Returns the lowest piece of at least `len` bytes that fits whichever class it is in; null if there is none. It stays in. */
  lowest(len: number): P | null {
    let best: P | null = null;
    for (let at = classOf(len); at <= this.#most && at < this.#bins.length; at++) {
      const found = this.#fitting(this.#bins[at] as P[], len);
      if (found !== null && (best === null || found.addr < best.addr)) best = found;
    }
    return best;
  }
  /** Returns the smallest piece of at least `len` bytes, the lowest of its class. */
  smallest(len: number): P | null {
    for (let at = classOf(len); at <= this.#most && at < this.#bins.length; at++) {
      const found = this.#fitting(this.#bins[at] as P[], len);
      if (found !== null) return found;
    }
    return null;
  }
  /** Returns the top of a class, if it is large enough: others of its class may be, and are passed over, as allocators do. */
  #fitting(bin: P[], len: number): P | null {
    while (bin.length > 0 && !(bin[0] as P).isFree) pop(bin);
    const top = bin[0];
    return top === undefined || top.len < len ? null : top;
  }
}

function push<P extends Piece>(heap: P[], piece: P): void {
  let at = heap.length;
  heap.push(piece);
  while (at > 0) {
    const above = (at - 1) >> 1;
    if ((heap[above] as P).addr <= piece.addr) break;
    heap[at] = heap[above] as P;
    at = above;
  }
  heap[at] = piece;
}

function pop<P extends Piece>(heap: P[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= heap.length) break;
    if (below + 1 < heap.length && (heap[below + 1] as P).addr < (heap[below] as P).addr) below++;
    if ((heap[below] as P).addr >= last.addr) break;
    heap[at] = heap[below] as P;
    at = below;
  }
  heap[at] = last;
}
