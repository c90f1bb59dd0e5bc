/**
 * Virtual time and what is to happen in it.
 *
 * Time is a number of nanoseconds from the start of a run. It moves only here: to the next event, or a little further by a task that goes on alone
 * because nothing else happens before (`passTo`).
 *
 * Invariants   [time-forward] `now` never goes back
 *              [time-order] events fire in the order of their times, those of one time in the order in which they were asked for
 * Cost         a binary heap; a cancelled event stays in it until its time
 */
import { assert } from '../../base/assert.ts';

/** Something that will happen. */
export interface TimedEvent {
  readonly atNs: number;
  readonly order: number;
  readonly fire: () => void;
  /** Nobody wants it any more. */
  cancelled: boolean;
}

const isBefore = (a: TimedEvent, b: TimedEvent): boolean =>
  a.atNs < b.atNs || (a.atNs === b.atNs && a.order < b.order);

/** The clock of a machine and its events. */
export class EventQueue {
  /** The first `size` are the heap. What is behind them is over; an array that gets shorter would give its room back, and take it again with the next event. */
  readonly #heap: TimedEvent[] = [];
  #size = 0;
  #order = 0;
  #nowNs = 0;

  /** Nanoseconds since the start. */
  get nowNs(): number {
    return this.#nowNs;
  }

  /** Has `fire` called at `atNs`, which is not in the past. */
  at(atNs: number, fire: () => void): TimedEvent {
    assert(atNs >= this.#nowNs, '[time-forward] an event is not in the past');
    const event = { atNs, order: this.#order++, fire, cancelled: false };
    this.#push(event);
    return event;
  }

  /** The time of the next event; infinity when there is none. */
  get nextNs(): number {
    this.#dropCancelled();
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#heap[0] as TimedEvent).atNs;
  }

  /** Moves the clock to `atNs`, before which nothing happens. */
  passTo(atNs: number): void {
    assert(atNs >= this.#nowNs, '[time-forward] the clock is not put back');
    this.#nowNs = atNs;
  }

  /** Lets the next event happen. Returns false when there is none. */
  step(): boolean {
    this.#dropCancelled();
    if (this.#size === 0) return false;
    const event = this.#heap[0] as TimedEvent;
    this.#pop();
    this.passTo(event.atNs);
    event.fire();
    return true;
  }

  #dropCancelled(): void {
    while (this.#size > 0 && (this.#heap[0] as TimedEvent).cancelled) this.#pop();
  }
  #push(event: TimedEvent): void {
    const heap = this.#heap;
    let i = this.#size++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as TimedEvent;
      if (!isBefore(event, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = event;
  }
  #pop(): void {
    const heap = this.#heap;
    const length = --this.#size;
    if (length === 0) return;
    const last = heap[length] as TimedEvent;
    let i = 0;
    for (let child = 1; child < length; child = 2 * i + 1) {
      if (child + 1 < length && isBefore(heap[child + 1] as TimedEvent, heap[child] as TimedEvent)) child++;
      if (!isBefore(heap[child] as TimedEvent, last)) break;
      heap[i] = heap[child] as TimedEvent;
      i = child;
    }
    heap[i] = last;
  }
}
