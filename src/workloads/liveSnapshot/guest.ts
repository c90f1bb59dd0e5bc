/**
 * A guest that goes on while its memory is saved: threads that write pages, and a balloon that gives some back.
 *
 *   memory     clusters of neighbouring pages that were written before (of some only read), and holes between them
 *   writers    each writes pages of its own, most of them in clusters, some anywhere; in bursts, between which it sleeps
 *   balloon    gives back pages that no writer has, one at a time, and takes them again some time later
 *
 * Every store has a word that no other store has, so a page that differs anywhere is a page that was lost.
 *
 * Invariant   [guest-memory] memory holds what was stored last
 */
import { ModelBug } from '../../base/assert.ts';
import { Histogram } from '../../base/histogram.ts';
import type { Prng } from '../../base/prng.ts';
import { hex, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Simulation, Thread } from '../../machine/index.ts';
import type { Mm } from '../../mm/index.ts';
import { Gate } from './gate.ts';
import type { GuestMemory } from './guestMemory.ts';
import { PageWords } from './pageWords.ts';

/** How a guest behaves. */
export interface GuestLoad {
  readonly writers: number;
  /** Share of the pages that were touched before, percent. */
  readonly touched: number;
  /** Of these, so many percent were only read. */
  readonly onlyRead: number;
  /** Neighbouring pages that were touched together. */
  readonly cluster: number;
  /** Stores a second of each writer. */
  readonly rate: number;
  /** Of these, so many percent go anywhere, most of them to holes. */
  readonly anywhere: number;
  /** Pages a second that the balloon gives back. */
  readonly balloon: number;
}

/** Somebody who is told of each store and each page given back, before it happens. */
export interface GuestObserver {
  beforeStore(page: number): void;
  beforeDiscard(page: number): void;
}

/** A writer sleeps this long between two bursts, nanoseconds. */
const BURST_NS = 100_000;
/** So many pages the balloon holds before the guest takes the first one again. */
const HELD = 8;
/** What takes no longer is no stall, nanoseconds: an access, and catching up with the clock. */
const STALL_NS = 100;

/** A running guest. */
export class Guest {
  readonly memory: GuestMemory;
  readonly load: GuestLoad;
  readonly gate: Gate;
  /** What was stored last in each page. */
  readonly stored = new PageWords();
  /** How long stores took that had to wait, while `isTimed`. */
  readonly stalls = new Histogram();
  isTimed = false;
  observer: GuestObserver | null = null;
  nrStores = 0;
  readonly #prng: Pick<Prng, 'below'>;
  readonly #threads: Thread[] = [];
  #clusters = new Float64Array(0);
  #isOver = false;

  constructor(
    simulation: Simulation,
    of: { memory: GuestMemory; load: GuestLoad; prng: Pick<Prng, 'below'> },
  ) {
    this.memory = of.memory;
    this.load = of.load;
    this.gate = new Gate(simulation);
    this.#prng = of.prng;
  }

  /** Touches what was touched before. */
  *populate(t: Thread): Running<void> {
    const { memory, load } = this;
    const size = Math.min(load.cluster, memory.nrPages);
    const nrPlaces = Math.floor(memory.nrPages / size);
    const nr = Math.min(nrPlaces, Math.round((memory.nrPages * load.touched) / 100 / size));
    this.#clusters = Float64Array.from({ length: nr }, (_none, i) => {
      const [first, next] = [Math.floor((i * nrPlaces) / nr), Math.floor(((i + 1) * nrPlaces) / nr)];
      return (first + this.#prng.below(Math.max(1, next - first))) * size;
    });
    for (const first of this.#clusters) {
      const isRead = this.#prng.below(100) < load.onlyRead;
      for (let page = first; page < first + size; page++)
        if (isRead) yield* t.touch(memory.addrOf(page), PAGE_SIZE, 'read');
        else yield* this.store(t, page);
    }
    this.nrStores = 0;
  }

  /** Stores a new word in `page`. */
  *store(t: Thread, page: number): Running<void> {
    this.observer?.beforeStore(page);
    const addr = this.memory.addrOf(page);
    const word = ++this.#word;
    const startNs = t.nowNs;
    if (!t.store(addr, word)) {
      yield* t.write(addr, word);
      this.#noteStall(t.nowNs - startNs);
    }
    this.stored.set(page, word);
    this.nrStores++;
  }
  #word = 0;
  #noteStall(ns: number): void {
    if (this.isTimed && ns > STALL_NS) this.stalls.add(ns);
  }

  /** Lets the writers begin, and the balloon. */
  *start(t: Thread): Running<void> {
    const guest = this;
    for (let i = 0; i < this.load.writers; i++)
      this.#threads.push(
        yield* t.spawn(`writer ${i}`, function* (w) {
          yield* guest.#write(w, i);
        }),
      );
    if (this.load.balloon > 0)
      this.#threads.push(
        yield* t.spawn('balloon', function* (b) {
          yield* guest.#inflate(b);
        }),
      );
  }
  *#write(t: Thread, writer: number): Running<void> {
    const { load, gate } = this;
    const perBurst = Math.max(1, Math.round((load.rate * BURST_NS) / 1e9));
    while (!this.#isOver) {
      for (let i = 0; i < perBurst && !this.#isOver; i++) {
        if (gate.isShut) yield* this.#stop(t);
        const page = this.#ownPage(writer, this.#prng.below(100) < load.anywhere);
        if (page !== null) yield* this.store(t, page);
      }
      yield* gate.idle(t, BURST_NS);
    }
  }
  /** Waits while the guest is stopped: a stall like any other. */
  *#stop(t: Thread): Running<void> {
    const startNs = t.nowNs;
    yield* this.gate.pass(t);
    this.#noteStall(t.nowNs - startNs);
  }
  /** Gives a page back: it holds zero afterwards. */
  *giveBack(t: Thread, page: number): Running<void> {
    this.observer?.beforeDiscard(page);
    yield* this.memory.discard(t, page);
    this.stored.set(page, 0);
  }
  /** The balloon: gives a page back, and some time later the guest takes it again. */
  *#inflate(t: Thread): Running<void> {
    const { load, gate } = this;
    const everyNs = 1e9 / load.balloon;
    const given: number[] = [];
    while (!this.#isOver) {
      yield* gate.idle(t, everyNs);
      if (gate.isShut) yield* gate.pass(t);
      const page = this.#ownPage(load.writers, false);
      if (page === null) continue;
      yield* this.giveBack(t, page);
      given.push(page);
      const again = given.length > HELD ? given.shift() : undefined;
      if (again !== undefined) yield* this.store(t, again);
    }
  }
  /** Returns a page, at random, that only this writer has; the balloon comes after the last of them. */
  #ownPage(owner: number, anywhere: boolean): number | null {
    const { memory, load } = this;
    const owners = load.writers + 1;
    const size = Math.min(load.cluster, memory.nrPages);
    const nr = this.#clusters.length;
    if (!anywhere && nr === 0) return null;
    const page = anywhere
      ? this.#prng.below(memory.nrPages)
      : (this.#clusters[this.#prng.below(nr)] as number) + this.#prng.below(size);
    const own = page - (page % owners) + owner;
    return own < memory.nrPages ? own : null;
  }

  /** Stops everybody between two stores. */
  *pause(t: Thread): Running<void> {
    yield* this.gate.shut(t, this.#threads.length);
  }
  /** Lets everybody go on. */
  *resume(t: Thread): Running<void> {
    yield* this.gate.open(t);
  }
  /** Ends all threads. */
  *end(t: Thread): Running<void> {
    this.#isOver = true;
    for (const thread of this.#threads) yield* t.join(thread);
  }

  /**
   * Returns what memory holds, of a guest that is stopped or has ended.
   * @throws ModelBug  it is not what was stored last
   */
  look(mm: Mm): PageWords {
    const words = this.memory.words(mm, this.stored);
    const [wrong] = words.differences(this.stored);
    if (wrong !== undefined)
      throw new ModelBug(
        `[guest-memory] ${hex(this.memory.addrOf(wrong.page))} holds ${wrong.here}, and ${wrong.there} was stored last`,
      );
    return words;
  }
}
