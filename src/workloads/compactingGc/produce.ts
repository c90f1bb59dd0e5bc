/**
 * Making pages: what the heap holds after the compaction, page by page, from what it held before.
 *
 * Who needs a page first makes it, a thread of the collector or a mutator that faulted; `Plan.state` says how far it has come, so nobody makes one twice.
 *
 *   dense   references in it are updated where it lies, and it is handed over
 *   slid    its objects are copied together into room of the strategy, references in them updated, and that is handed over
 *   cold    its source is handed over as it is, or copied if the strategy cannot do that
 *
 * Cost   what is copied, at the price of copying pages that are not in the cache; one access for each reference, and one more if it changes; so much
 *        for each object as the collector's own work is said to take
 */
import { ModelBug } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { figure, type PageWords, plainWords, wordAt } from './access.ts';
import { GRANULES, type Heap } from './heap.ts';
import { bytesOf, GRANULE, refAt, refsOf, setRef, type TypeNr } from './objects.ts';
import { BUSY, CLOSED, COLD, DENSE, DONE, type Plan, type Treatment } from './plan.ts';
import type { Strategy } from './strategy.ts';
import { cpuNs, type Tally } from './tally.ts';

/** What goes wrong on purpose, once. */
export type Injected = 'none' | 'flip' | 'skip';

/** What a producer works with. */
export interface ProducerOptions {
  readonly heap: Heap;
  readonly plan: Plan;
  readonly strategy: Strategy;
  readonly tally: Tally;
  /** The collector's own work for an object, nanoseconds. */
  readonly objectNs: number;
  readonly injected: Injected;
}

const WORD_BYTES = 4;

/** Makes the pages of one compaction. */
export class Producer {
  readonly #options: ProducerOptions;
  readonly #copyNs: number;
  #isInjected = false;
  #nrMade = 0;

  constructor(t: Thread, options: ProducerOptions) {
    this.#options = options;
    this.#copyNs = figure(t, 'copy_4k_cold');
  }

  /**
   * Makes `pages` pages from `first` on, all of one treatment, none of which anybody has begun, and hands them over.
   * @returns  whether they can be accessed
   */
  *make(t: Thread, first: number, pages: number): Running<void> {
    const { plan, tally } = this.#options;
    for (let i = 0; i < pages; i++) plan.advance(first + i, BUSY);
    const treatment = plan.treatment[first] as Treatment;
    for (let done = 0; done < pages; ) {
      const startNs = cpuNs(t);
      const faultsBefore = tally.faultNs;
      const { at, nr } = yield* this.#prepare(t, treatment, first + done, pages - done);
      tally.makeNs += Math.max(0, cpuNs(t) - startNs - (tally.faultNs - faultsBefore));
      yield* this.handOver(t, first + done, nr, at);
      done += nr;
    }
  }

  /** Hands pages over that are made. */
  *handOver(t: Thread, first: number, pages: number, at: Addr): Running<void> {
    const { plan, strategy, tally } = this.#options;
    let isOpen = true;
    const isSkipped = this.#isSkipped(pages);
    // Where mutators map the same memory, a page that is not handed over is one that was never made.
    if (isSkipped && strategy.copiesCold)
      for (let i = 0; i < pages; i++) (yield* tally.words(t, at + i * PAGE_SIZE, 'write')).fill(0);
    if (!isSkipped || strategy.copiesCold) {
      const self = { isOpen: true };
      tally.placeNs += yield* tally.timed(
        t,
        (function* (): Running<void> {
          self.isOpen = yield* strategy.place(t, first, pages, at);
        })(),
      );
      isOpen = self.isOpen;
    }
    for (let i = 0; i < pages; i++) plan.advance(first + i, isOpen ? DONE : CLOSED);
  }
  /** Tells whether these pages are the ones that are forgotten on purpose: those in the middle. */
  #isSkipped(pages: number): boolean {
    const { injected, plan } = this.#options;
    this.#nrMade += pages;
    if (injected !== 'skip' || this.#isInjected || 2 * this.#nrMade < plan.targets.length) return false;
    this.#isInjected = true;
    return true;
  }

  *#prepare(
    t: Thread,
    treatment: Treatment,
    first: number,
    pages: number,
  ): Running<{ at: Addr; nr: number }> {
    const { plan, strategy } = this.#options;
    if (treatment === DENSE) {
      for (let i = 0; i < pages; i++) yield* this.#update(t, first + i);
      return { at: strategy.sourceOf(first), nr: pages };
    }
    if (treatment === COLD && !strategy.copiesCold) {
      const source = plan.coldSource[first] as number;
      let nr = 1;
      while (nr < pages && plan.coldSource[first + nr] === source + nr) nr++;
      return { at: strategy.sourceOf(source), nr };
    }
    const room = yield* strategy.room(t, first, pages);
    for (let i = 0; i < room.pages; i++) {
      const at = room.at + i * PAGE_SIZE;
      if (treatment === COLD) yield* this.#copyPage(t, at, plan.coldSource[first + i] as number);
      else yield* this.#gather(t, at, first + i);
    }
    return { at: room.at, nr: room.pages };
  }

  /** Updates the references of all objects of a page where they lie. */
  *#update(t: Thread, page: number): Running<void> {
    const { plan, strategy, tally } = this.#options;
    const view = yield* tally.words(t, strategy.sourceOf(page), 'write');
    const base = page * GRANULES;
    plan.forEachMarked(page, (granule, type) =>
      this.#fix(t, view, ((granule - base) * GRANULE) / WORD_BYTES, type),
    );
    this.#maybeFlip(view, page);
  }
  /** Copies the objects together that come to `page`, into the room at `at`. */
  *#gather(t: Thread, at: Addr, page: number): Running<void> {
    const { heap, plan, strategy, tally } = this.#options;
    const view = yield* tally.words(t, at, 'write');
    let used = 0;
    for (const granule of plan.objectsOf(page)) {
      const from = Math.floor(granule / GRANULES);
      const type = (heap.marks[granule] as number) - 1;
      const bytes = bytesOf(type);
      const source =
        plainWords(t, strategy.sourceOf(from), 'read') ??
        (yield* tally.words(t, strategy.sourceOf(from), 'read'));
      const word = wordAt((granule % GRANULES) * GRANULE);
      view.set(source.subarray(word, word + bytes / WORD_BYTES), used / WORD_BYTES);
      this.#copied(t, bytes);
      this.#fix(t, view, used / WORD_BYTES, type);
      used += bytes;
      const left = (plan.unconsumed[from] as number) - 1;
      plan.unconsumed[from] = left;
      if (left === 0) strategy.freed(from);
    }
    view.fill(0, used / WORD_BYTES);
  }
  *#copyPage(t: Thread, at: Addr, page: number): Running<void> {
    const { strategy, tally } = this.#options;
    const source = yield* tally.words(t, strategy.sourceOf(page), 'read');
    const view = yield* tally.words(t, at, 'write');
    view.set(source);
    this.#copied(t, PAGE_SIZE);
  }
  #copied(t: Thread, bytes: number): void {
    this.#options.tally.bytesCopied += bytes;
    t.uses((bytes / PAGE_SIZE) * this.#copyNs);
  }

  /** Updates the references of the object at a word of a page. */
  #fix(t: Thread, view: PageWords, at: number, type: TypeNr): void {
    const { plan, objectNs } = this.#options;
    let accesses = 0;
    for (let slot = 0; slot < refsOf(type); slot++) {
      const addr = refAt(view, at, slot);
      accesses++;
      if (addr === 0) continue;
      const to = plan.forward(addr);
      if (to === addr) continue;
      setRef(view, at, slot, to);
      accesses++;
    }
    t.uses(objectNs + accesses * t.simulation.prices.accessNs);
  }

  /** Flips a byte of the data of an object on a dense page, if that is what goes wrong, once some pages are made. */
  #maybeFlip(view: PageWords, page: number): void {
    const { injected, plan } = this.#options;
    if (injected !== 'flip' || this.#isInjected || 8 * this.#nrMade < plan.targets.length) return;
    if (plan.regionOf(page) !== DENSE) return;
    plan.forEachMarked(page, (granule, type) => {
      if (this.#isInjected) return;
      this.#isInjected = true;
      const last = wordAt((granule % GRANULES) * GRANULE + bytesOf(type) - WORD_BYTES);
      view[last] = ((view[last] as number) ^ 0xff) >>> 0;
    });
  }
}

/** Reports that a page of the heap is gone: it was handed over and is not there. */
export function lost(page: number): never {
  throw new ModelBug(`[memory] page ${page} of the heap was handed over and is not there`);
}
