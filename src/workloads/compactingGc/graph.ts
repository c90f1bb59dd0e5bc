/**
 * The object graph as it should be: kept beside the simulated memory, never read from it. What the heap holds is compared with this.
 *
 * Numbers of objects begin with 1 and are never used again; 0 is no object.
 */
import { type Identities, MAX_REFS, refsOf, type TypeNr } from './objects.ts';

/** The truth about all objects. */
export class Graph implements Identities {
  #types = new Uint8Array(1024);
  #versions = new Uint32Array(1024);
  #refs = new Uint32Array(1024 * MAX_REFS);
  #next = 1;
  /** The objects that everything is reached from. */
  readonly roots: number[] = [];

  /** Adds an object and returns its number. */
  add(type: TypeNr): number {
    const id = this.#next++;
    if (id >= this.#types.length) this.#grow();
    this.#types[id] = type;
    return id;
  }
  #grow(): void {
    const size = 2 * this.#types.length;
    const types = new Uint8Array(size);
    types.set(this.#types);
    this.#types = types;
    const versions = new Uint32Array(size);
    versions.set(this.#versions);
    this.#versions = versions;
    const refs = new Uint32Array(size * MAX_REFS);
    refs.set(this.#refs);
    this.#refs = refs;
  }

  /** Every number given out is below this. */
  get limit(): number {
    return this.#next;
  }
  /** Returns the type of an object. */
  type(id: number): TypeNr {
    return this.#types[id] as number;
  }
  /** Returns how often the data of an object were rewritten. */
  version(id: number): number {
    return this.#versions[id] as number;
  }
  /** The data of an object are written anew. */
  rewrite(id: number): void {
    this.#versions[id] = (this.#versions[id] as number) + 1;
  }
  /** Returns the object that reference `slot` of `id` refers to, or 0. */
  ref(id: number, slot: number): number {
    return this.#refs[id * MAX_REFS + slot] as number;
  }
  /** Reference `slot` of `id` refers to `to` from now on. */
  setRef(id: number, slot: number, to: number): void {
    this.#refs[id * MAX_REFS + slot] = to;
  }

  /** Returns which objects can be reached: 1 for each, by number. */
  reachable(): Uint8Array {
    const seen = new Uint8Array(this.#next);
    // All that were seen, and how many of them were looked into: no object comes here twice.
    const found = new Uint32Array(this.#next);
    let nrFound = 0;
    // No object refers to it.
    seen[0] = 1;
    for (const root of this.roots) {
      if (seen[root] === 1) continue;
      seen[root] = 1;
      found[nrFound++] = root;
    }
    for (let i = 0; i < nrFound; i++) {
      const id = found[i] as number;
      const end = id * MAX_REFS + refsOf(this.type(id));
      for (let at = id * MAX_REFS; at < end; at++) {
        const to = this.#refs[at] as number;
        if (seen[to] === 1) continue;
        seen[to] = 1;
        found[nrFound++] = to;
      }
    }
    seen[0] = 0;
    return seen;
  }
}
