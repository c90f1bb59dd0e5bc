/**
 * Page tables that were freed for being empty within the last second: one that is made again so soon was freed in vain.
 *
 * By address in chunks of 64 tables, because tables are freed and made one beside the other; and in the order in which they were freed, to forget them in it.
 *
 * Cost   two words a table that was freed; a map look-up for 64 of them that follow each other
 */
import { type Addr, PMD_SIZE } from '../base/units.ts';
import { FACT, type Work } from './work.ts';

/** A second has so many parts; who knows the time says when one is over. */
const PARTS = 8;
/** So many are remembered; of more, those that were freed first are not. */
const MOST = 2 ** 20;
/** Tables of a chunk. */
const CHUNK = 64;
const FIRST_ROOM = 1024;

/** 64 tables beside each other. */
interface Chunk {
  /** When each was freed, counted from 1 for the first that ever was; 0: it is not remembered. */
  readonly turns: Float64Array;
  /** How many are remembered. */
  nr: number;
}

/** Tables that were freed for being empty within the last second; for ever where nobody tells the time. */
export class FreedTables {
  readonly #chunks = new Map<number, Chunk>();
  /** The chunk that was looked up last, and its number. */
  #number = -1;
  #chunk: Chunk | null = null;
  #nr = 0;
  /** The addresses, in 2 MiB, of the tables that were freed at turns `first` and later, in a ring; those that were made again since are still in it. */
  #ring = new Uint32Array(FIRST_ROOM);
  #first = 1;
  #next = 1;
  /** The first turn of each of the last parts of a second. */
  readonly #partsFrom: number[] = [1];

  /** The table at `base` was freed. */
  tableFreed(base: Addr): void {
    const slot = base / PMD_SIZE;
    this.#forget(slot);
    if (this.#next - this.#first === this.#ring.length) this.#makeRoom();
    this.#ring[this.#next % this.#ring.length] = slot;
    const chunk = this.#chunkOf(slot) ?? this.#newChunk(slot);
    chunk.turns[slot % CHUNK] = this.#next++;
    chunk.nr++;
    if (++this.#nr > MOST) while (this.#nr > MOST) this.#dropFirst();
  }
  /** A table was made at `base`. */
  tableMade(base: Addr, work: Work): void {
    if (this.#nr > 0 && this.#forget(base / PMD_SIZE)) work.count(FACT.ptReallocated);
  }
  /** 2 MiB were mapped at once at `base`. */
  hugeMade(base: Addr, work: Work): void {
    if (this.#nr > 0 && this.#forget(base / PMD_SIZE)) work.count(FACT.hugeAfterPtFree);
  }
  /** An eighth of a second is over: forgets what was freed longer than one ago. */
  age(): void {
    this.#partsFrom.push(this.#next);
    if (this.#partsFrom.length <= PARTS + 1) return;
    this.#partsFrom.shift();
    while (this.#first < (this.#partsFrom[0] as number)) this.#dropFirst();
  }

  #chunkOf(slot: number): Chunk | null {
    const number = Math.floor(slot / CHUNK);
    if (number !== this.#number) {
      this.#number = number;
      this.#chunk = this.#chunks.get(number) ?? null;
    }
    return this.#chunk;
  }
  #newChunk(slot: number): Chunk {
    const chunk = { turns: new Float64Array(CHUNK), nr: 0 };
    this.#number = Math.floor(slot / CHUNK);
    this.#chunk = chunk;
    this.#chunks.set(this.#number, chunk);
    return chunk;
  }

  /** Forgets a table, if it is remembered. Returns whether it was. */
  #forget(slot: number): boolean {
    const chunk = this.#chunkOf(slot);
    if (chunk === null || chunk.turns[slot % CHUNK] === 0) return false;
    chunk.turns[slot % CHUNK] = 0;
    this.#nr--;
    if (--chunk.nr > 0) return true;
    this.#chunks.delete(this.#number);
    this.#chunk = null;
    return true;
  }
  /** Forgets the table that was freed first, if it was not made again since. */
  #dropFirst(): void {
    const turn = this.#first++;
    const slot = this.#ring[turn % this.#ring.length] as number;
    if (this.#chunkOf(slot)?.turns[slot % CHUNK] === turn) this.#forget(slot);
  }

  /** The ring is full: leaves out what was made again, and makes it larger if that is not enough. Turns are counted anew. */
  #makeRoom(): void {
    const { length } = this.#ring;
    let to = this.#first;
    let part = 0;
    for (let turn = this.#first; turn < this.#next; turn++) {
      for (; (this.#partsFrom[part] as number) <= turn; part++) this.#partsFrom[part] = to;
      const slot = this.#ring[turn % length] as number;
      const chunk = this.#chunkOf(slot);
      if (chunk?.turns[slot % CHUNK] !== turn) continue;
      chunk.turns[slot % CHUNK] = to;
      this.#ring[to++ % length] = slot;
    }
    for (; part < this.#partsFrom.length; part++) this.#partsFrom[part] = to;
    this.#next = to;
    if (to - this.#first <= length / 2) return;
    const ring = new Uint32Array(2 * length);
    for (let turn = this.#first; turn < to; turn++)
      ring[turn % ring.length] = this.#ring[turn % length] as number;
    this.#ring = ring;
  }
}
