/**
 * A mutator: walks the object graph, checks what it reads, rewrites data, and replaces young objects by new ones, which makes garbage.
 *
 * What it does to memory and to the graph as it should be happens together, between two pauses of the thread, so the two agree whenever somebody
 * compares them. It holds references across its operations only in roots.
 */
import { ModelBug } from '../../base/assert.ts';
import type { Prng } from '../../base/prng.ts';
import { type Addr, hex } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { type PageWords, plainWords, wordAt } from './access.ts';
import type { Built } from './build.ts';
import type { Graph } from './graph.ts';
import type { AllocationBuffer, Heap } from './heap.ts';
import type { Marker } from './mark.ts';
import { drawType, refAt, refsOf, setRef, whatIsWrong, writeData, writeObject } from './objects.ts';
import type { Tally } from './tally.ts';

/** What a mutator works with. */
export interface MutatorOptions {
  readonly heap: Heap;
  readonly graph: Graph;
  readonly built: Built;
  readonly marker: Marker;
  readonly tally: Tally;
  readonly prng: Prng;
  /** Its roots: from this one on, so many. */
  readonly firstRoot: number;
  readonly nrRoots: number;
  /** What it computes between two operations, nanoseconds. */
  readonly thinkNs: number;
}

/** Operations out of eight that replace an object, and that rewrite one. */
const REPLACING = 2;
const REWRITING = 2;

/** One mutator. */
export class Mutator {
  readonly #o: MutatorOptions;
  readonly #buffer: AllocationBuffer;

  constructor(options: MutatorOptions) {
    this.#o = options;
    this.#buffer = options.heap.newBuffer();
  }

  /** Does one operation. Returns false if there was no memory for it. */
  *step(t: Thread): Running<boolean> {
    const { prng, firstRoot, nrRoots, heap, thinkNs } = this.#o;
    const root = firstRoot + prng.below(nrRoots);
    t.uses(thinkNs);
    const from = heap.roots[root] as number;
    const fromId = heap.rootIds[root] as number;
    this.#advance(
      root,
      this.#plainObject(t, from, fromId, 'read') ?? (yield* this.#object(t, from, fromId, 'read')),
    );
    const id = heap.rootIds[root] as number;
    const what = prng.below(8);
    if (what < REPLACING) return yield* this.#replace(t, root, id);
    if (what < REPLACING + REWRITING) yield* this.#rewrite(t, heap.roots[root] as number, id);
    else yield* this.#follow(t, root, id);
    return true;
  }

  /** Returns the words of the page of the object at `addr`, whose header and data are right, plain; null when that has to wait: then `#object` does it. */
  #plainObject(t: Thread, addr: Addr, id: number, access: 'read' | 'write'): PageWords | null {
    const view = plainWords(t, addr, access);
    if (view !== null) this.#check(t, view, addr, id);
    return view;
  }
  *#object(t: Thread, addr: Addr, id: number, access: 'read' | 'write'): Running<PageWords> {
    const view = yield* this.#o.tally.words(t, addr, access, true);
    this.#check(t, view, addr, id);
    return view;
  }
  #check(t: Thread, view: PageWords, addr: Addr, id: number): void {
    const wrong = whatIsWrong(view, wordAt(addr), id, this.#o.graph);
    if (wrong !== null) throw new ModelBug(`[memory] object ${id} at ${hex(addr)} ${wrong} (${t.name})`);
  }

  /** The root, whose object is in `view`, goes on to the next object of its chain; from the end to where another root is. */
  #advance(root: number, view: PageWords): void {
    const { heap, graph, prng } = this.#o;
    const id = heap.rootIds[root] as number;
    const addr = heap.roots[root] as number;
    const next = refAt(view, wordAt(addr), 0);
    const nextId = graph.ref(id, 0);
    const other = prng.below(heap.roots.length);
    heap.roots[root] = next === 0 ? (heap.roots[other] as number) : next;
    heap.rootIds[root] = nextId === 0 ? (heap.rootIds[other] as number) : nextId;
  }
  /** Looks at what one of the other references refers to. */
  *#follow(t: Thread, root: number, id: number): Running<void> {
    const { heap, graph, prng } = this.#o;
    const addr = heap.roots[root] as number;
    const view = this.#plainObject(t, addr, id, 'read') ?? (yield* this.#object(t, addr, id, 'read'));
    const slot = prng.below(refsOf(graph.type(id)));
    const to = refAt(view, wordAt(addr), slot);
    const toId = graph.ref(id, slot);
    if ((to === 0) !== (toId === 0)) throw new ModelBug(`[memory] object ${id} lost a reference (${t.name})`);
    if (toId === 0 || this.#isCold(toId)) return;
    if (this.#plainObject(t, to, toId, 'read') === null) yield* this.#object(t, to, toId, 'read');
  }
  #isCold(id: number): boolean {
    const { lastDense, lastCold } = this.#o.built;
    return id > lastDense && id <= lastCold;
  }

  *#rewrite(t: Thread, addr: Addr, id: number): Running<void> {
    const view = this.#plainObject(t, addr, id, 'write') ?? (yield* this.#object(t, addr, id, 'write'));
    this.#o.graph.rewrite(id);
    writeData(view, wordAt(addr), id, this.#o.graph);
  }

  /** Replaces the young object that a reference owns (or none) by a new one, with another behind it now and then. */
  *#replace(t: Thread, root: number, id: number): Running<boolean> {
    const { graph, heap, prng, built } = this.#o;
    const slot = 1 + prng.below(refsOf(graph.type(id)) - 1);
    const old = graph.ref(id, slot);
    // References to dense and cold objects stay.
    if (old !== 0 && old <= built.lastCold) return true;
    const second = prng.below(4) === 0 ? yield* this.#create(t, 0, 0) : null;
    const first = yield* this.#create(t, second?.addr ?? 0, second?.id ?? 0);
    if (first === null) return false;
    const addr = heap.roots[root] as number;
    const view = this.#plainObject(t, addr, id, 'write') ?? (yield* this.#object(t, addr, id, 'write'));
    this.#o.marker.barrier(refAt(view, wordAt(addr), slot), first.addr);
    setRef(view, wordAt(addr), slot, first.addr);
    graph.setRef(id, slot, first.id);
    return true;
  }

  /** Makes an object whose first reference is to `next`; null when there is no memory. */
  *#create(t: Thread, next: Addr, nextId: number): Running<{ addr: Addr; id: number } | null> {
    const { heap, graph, prng, tally, marker } = this.#o;
    const type = drawType(prng);
    const addr = heap.allocate(this.#buffer, type);
    if (addr === null) return null;
    const id = graph.add(type);
    const view = plainWords(t, addr, 'write') ?? (yield* tally.words(t, addr, 'write', true));
    const at = wordAt(addr);
    writeObject(view, at, id, graph);
    // A new object is born marked; what it refers to need not be.
    marker.barrier(0, next);
    setRef(view, at, 0, next);
    graph.setRef(id, 0, nextId);
    // It refers to where roots are, too.
    for (let slot = 1; slot < refsOf(type); slot++) {
      const root = prng.below(heap.roots.length);
      setRef(view, at, slot, heap.roots[root] as number);
      graph.setRef(id, slot, heap.rootIds[root] as number);
    }
    return { addr, id };
  }
}
