/**
 * Makes the object graph of the beginning, from a seed, and writes it into the heap.
 *
 *   dense pages        objects that live for ever, in chains from the roots (reference 0) and full of references: to each other, and each of them
 *                      owns what is young or cold
 *   cold pages         whole pages live, or garbage; their objects refer to dense ones only
 *   fragmented pages   young objects and garbage side by side; a young object is owned by a dense one, or by another young one
 *   free pages         for what is allocated
 *
 * An object dies with its owner's reference to it, so the share that lives is what was asked for, and references need not be counted.
 */
import { UsageError } from '../../base/assert.ts';
import type { Prng } from '../../base/prng.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { wordAt, words } from './access.ts';
import type { Graph } from './graph.ts';
import { GRANULES, type Heap, REGION_PAGES } from './heap.ts';
import { bytesOf, drawType, refsOf, setRef, type TypeNr, writeObject } from './objects.ts';

/** What the heap consists of. */
export interface Shape {
  /** Regions of each kind, in this order; the rest is free. */
  readonly denseRegions: number;
  readonly coldRegions: number;
  readonly fragmentedRegions: number;
  /** Share of the objects of fragmented pages that live, 0 to 1. */
  readonly live: number;
}

/** What was built: the kinds of objects by their numbers. */
export interface Built {
  /** Objects up to here are dense; those up to `lastCold` cold; the others young. */
  readonly lastDense: number;
  readonly lastCold: number;
}

/** Chains begin at every so many objects, at least, of those that are dense. */
const CHAIN = 16;
/** One in so many young objects is owned by another. */
const IN_LISTS = 3;

class Builder {
  readonly #heap: Heap;
  readonly #graph: Graph;
  readonly #prng: Prng;
  /** First object of each page, in order of pages; one more at the end. */
  readonly #firstOf: number[] = [];
  readonly #address: Float64Array;
  readonly #dense: number[] = [];
  /** References of dense objects that are not taken, as object * 8 + slot. */
  #slots: number[] = [];

  constructor(heap: Heap, graph: Graph, prng: Prng) {
    this.#heap = heap;
    this.#graph = graph;
    this.#prng = prng;
    this.#address = new Float64Array(heap.pages * GRANULES + 1);
  }

  /** Fills the next page with objects; tells `each` of them. */
  #fill(each: (id: number) => void): void {
    const page = this.#firstOf.length;
    this.#firstOf.push(this.#graph.limit);
    this.#heap.setInUse(page, true);
    for (let at = 0; at < PAGE_SIZE; ) {
      const type = this.#typeFor(PAGE_SIZE - at);
      const id = this.#graph.add(type);
      this.#address[id] = this.#heap.addressOf(page) + at;
      each(id);
      at += bytesOf(type);
    }
  }
  #typeFor(room: number): TypeNr {
    let type: TypeNr = drawType(this.#prng);
    while (bytesOf(type) > room) type--;
    return type;
  }

  dense(pages: number): void {
    for (let i = 0; i < pages; i++) this.#fill((id) => this.#dense.push(id));
    this.#prng.shuffle(this.#dense);
    const { roots, rootIds } = this.#heap;
    const heads = Math.max(1, Math.min(this.#heap.nrGlobalRoots, Math.floor(this.#dense.length / CHAIN)));
    this.#dense.forEach((id, i) => {
      if (i >= heads) this.#graph.setRef(this.#dense[i - heads] as number, 0, id);
      for (let slot = 1; slot < refsOf(this.#graph.type(id)); slot++) this.#slots.push(id * 8 + slot);
    });
    this.#prng.shuffle(this.#slots);
    for (let i = 0; i < roots.length; i++) {
      const id = this.#dense[i % heads] as number;
      rootIds[i] = id;
      roots[i] = this.#address[id] as number;
      if (i < heads) this.#graph.roots.push(id);
    }
  }
  #ownedByDense(id: number): boolean {
    const slot = this.#slots.pop();
    if (slot === undefined) return false;
    this.#graph.setRef(Math.floor(slot / 8), slot % 8, id);
    return true;
  }
  /** Some of the references of `id`, from `first` on, refer to dense objects. */
  #befriend(id: number, first: number): void {
    for (let slot = first; slot < refsOf(this.#graph.type(id)); slot++)
      if (this.#prng.below(2) === 0) this.#graph.setRef(id, slot, this.#prng.pick(this.#dense));
  }

  cold(pages: number): void {
    for (let i = 0; i < pages; i++)
      this.#fill((id) => {
        this.#befriend(id, 0);
        if (i % 2 === 0 && !this.#ownedByDense(id))
          throw new UsageError('dense objects have too few references for cold ones', 'a smaller cold share');
      });
  }
  fragmented(pages: number, live: number): void {
    const living: number[] = [];
    for (let i = 0; i < pages; i++)
      this.#fill((id) => {
        this.#befriend(id, 1);
        if (this.#prng.unit() < live) living.push(id);
      });
    this.#prng.shuffle(living);
    let tail = 0;
    for (const id of living) {
      const isOwned = (tail === 0 || this.#prng.below(IN_LISTS) !== 0) && this.#ownedByDense(id);
      // Without an owner among dense objects it is owned by the one before it; the first of all is garbage then.
      if (!isOwned && tail !== 0) this.#graph.setRef(tail, 0, id);
      tail = isOwned || tail !== 0 ? id : 0;
    }
    // A quarter of what is left refers to dense objects; the rest is for objects to come.
    for (const slot of this.#slots.splice(0, this.#slots.length >> 2))
      this.#graph.setRef(Math.floor(slot / 8), slot % 8, this.#prng.pick(this.#dense));
  }

  *write(t: Thread): Running<void> {
    this.#firstOf.push(this.#graph.limit);
    for (let page = 0; page + 1 < this.#firstOf.length; page++) {
      const view = yield* words(t, this.#heap.addressOf(page), 'write');
      for (let id = this.#firstOf[page] as number; id < (this.#firstOf[page + 1] as number); id++) {
        const at = wordAt(this.#address[id] as number);
        writeObject(view, at, id, this.#graph);
        const refs = refsOf(this.#graph.type(id));
        for (let slot = 0; slot < refs; slot++)
          setRef(view, at, slot, this.#address[this.#graph.ref(id, slot)] as number);
      }
    }
  }
}

/** Builds graph and heap, and writes all objects through the page tables. The heap is mapped, and can be written. */
export function* build(
  t: Thread,
  { heap, graph, prng }: { readonly heap: Heap; readonly graph: Graph; readonly prng: Prng },
  shape: Shape,
): Running<Built> {
  const builder = new Builder(heap, graph, prng);
  builder.dense(shape.denseRegions * REGION_PAGES);
  const lastDense = graph.limit - 1;
  heap.isCold.fill(1, shape.denseRegions, shape.denseRegions + shape.coldRegions);
  builder.cold(shape.coldRegions * REGION_PAGES);
  const lastCold = graph.limit - 1;
  builder.fragmented(shape.fragmentedRegions * REGION_PAGES, shape.live);
  yield* builder.write(t);
  return { lastDense, lastCold };
}
