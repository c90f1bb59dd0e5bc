/**
 * Stopping the world: mutators stop between two of their operations, where they hold no reference but those in roots.
 *
 * A mutator that waits for something else (memory) counts as stopped as long as it waits.
 *
 * Left out   what it costs a mutator to look whether it should stop
 */
import { type Running, type Thread, WaitQueue } from '../../machine/index.ts';

/** Mutators, running or stopped. */
export class World {
  readonly #mutators: WaitQueue;
  readonly #collector: WaitQueue;
  #nrRunning = 0;
  #isStopping = false;

  constructor(t: Thread) {
    this.#mutators = new WaitQueue(t.simulation.scheduler);
    this.#collector = new WaitQueue(t.simulation.scheduler);
  }

  /** A mutator begins. */
  enter(): void {
    this.#nrRunning++;
  }
  /** A mutator ends, or begins to wait for something else. */
  leave(): void {
    this.#nrRunning--;
    if (this.#nrRunning === 0) this.#collector.wakeAll();
  }

  /** Tells whether mutators are to stop: one that has come to where it may calls `stopHere` then. */
  get isStopping(): boolean {
    return this.#isStopping;
  }
  /** A mutator stops until the world goes on. */
  *stopHere(t: Thread): Running<void> {
    yield* t.owe(0);
    this.leave();
    yield* this.#waitWhile(t, this.#mutators, 'world stopped', () => this.#isStopping);
    this.enter();
  }
  /** Waits outside of the world until `isOver`; `queue` wakes. */
  *waitOutside(t: Thread, queue: WaitQueue, isOver: () => boolean): Running<void> {
    yield* t.owe(0);
    this.leave();
    do {
      yield* this.#waitWhile(t, queue, 'memory', () => !isOver());
      yield* this.#waitWhile(t, this.#mutators, 'world stopped', () => this.#isStopping);
    } while (!isOver());
    this.enter();
  }

  /** Stops all mutators, does `what`, and lets them go on. Returns how long no mutator ran, nanoseconds on the clock. */
  *stop(t: Thread, what: () => Running<void>): Running<number> {
    yield* t.owe(0);
    this.#isStopping = true;
    yield* this.#waitWhile(t, this.#collector, 'mutators', () => this.#nrRunning > 0);
    const startNs = t.nowNs;
    yield* what();
    yield* t.owe(0);
    this.#isStopping = false;
    this.#mutators.wakeAll();
    return t.nowNs - startNs;
  }
  /** Waits as long as `isSo`. Who wakes others owes something afterwards, so that is paid before each look. */
  *#waitWhile(t: Thread, queue: WaitQueue, reason: string, isSo: () => boolean): Running<void> {
    for (;;) {
      yield* t.owe(0);
      if (!isSo()) return;
      yield* queue.wait(t.task, { reason, voluntary: true });
    }
  }
}
