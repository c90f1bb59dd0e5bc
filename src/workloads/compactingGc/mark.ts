/**
 * Marking: finds what is live by following references, while mutators go on.
 *
 * Mutators tell of each reference that they overwrite and of each that they store while marking is on, so nothing that was reachable when it
 * began, and nothing that was linked since, is missed; what dies meanwhile is found dead the next time. New objects are born marked. Cold objects are not
 * looked into: they refer to dense ones only, which live for ever; looking would read their pages from swap.
 *
 * Left out   several marking threads
 */
import { ModelBug } from '../../base/assert.ts';
import { hex } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { plainWords, wordAt } from './access.ts';
import type { Heap } from './heap.ts';
import { refAt, refsOf, typeAt } from './objects.ts';
import type { Tally } from './tally.ts';

/** Marks the live objects of a heap. */
export class Marker {
  readonly #heap: Heap;
  readonly #tally: Tally;
  readonly #objectNs: number;
  readonly #stack: number[] = [];
  /** References that are stored or overwritten have to be told of. */
  isOn = false;

  /** @param objectNs  the collector's own work for an object, nanoseconds */
  constructor(heap: Heap, tally: Tally, objectNs: number) {
    this.#heap = heap;
    this.#tally = tally;
    this.#objectNs = objectNs;
  }

  /** Begins: nothing is marked, the roots are to be. */
  begin(): void {
    this.#heap.marks.fill(0);
    this.#heap.coldLive.fill(0);
    this.isOn = true;
    this.shadeRoots();
  }
  /** Whatever roots refer to now is to be marked. */
  shadeRoots(): void {
    for (const addr of this.#heap.roots) this.shade(addr);
  }
  /** The object at `addr` is to be marked; 0 is none. */
  shade(addr: number): void {
    if (addr === 0) return;
    if (this.#heap.isColdAt(addr)) this.#heap.coldLive[this.#heap.pageOf(addr)] = 1;
    else if (this.#heap.marks[this.#heap.granuleOf(addr)] === 0) this.#stack.push(addr);
  }
  /** A mutator overwrites the reference `old` by `next`. */
  barrier(old: number, next: number): void {
    if (!this.isOn) return;
    this.shade(old);
    this.shade(next);
  }
  /** Marks until nothing is left. */
  *drain(t: Thread): Running<void> {
    const { marks } = this.#heap;
    const { accessNs } = t.simulation.prices;
    for (let addr = this.#stack.pop(); addr !== undefined; addr = this.#stack.pop()) {
      const granule = this.#heap.granuleOf(addr);
      if (marks[granule] !== 0) continue;
      const page = plainWords(t, addr, 'read') ?? (yield* this.#tally.words(t, addr, 'read'));
      const at = wordAt(addr);
      const type = typeAt(page, at);
      if (type === null) throw new ModelBug(`[memory] there is no object at ${hex(addr)} (${t.name})`);
      marks[granule] = type + 1;
      const refs = refsOf(type);
      t.uses(this.#objectNs + refs * accessNs);
      for (let slot = 0; slot < refs; slot++) this.shade(refAt(page, at, slot));
    }
  }
}
