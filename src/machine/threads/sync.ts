/**
 * What threads agree with each other by: a mutex, and a barrier. Both are made of futexes, as in a C library, and cost what those cost: nothing
 * but an access when nobody has to wait.
 *
 * Invariants   [mutex-exclusive] one thread holds a mutex
 *              [barrier-round] nobody passes a barrier before all of its round have come
 * Left out     spinning before sleeping; the memory that the futex words take
 */
import { assert } from '../../base/assert.ts';
import type { Running, SchedTask } from '../sched/schedTask.ts';
import { WaitQueue } from '../sched/waitQueue.ts';
import type { Simulation } from './simulation.ts';
import type { Thread } from './thread.ts';

/** A lock of the program's. */
export class Mutex {
  readonly #waiting: WaitQueue;
  #owner: SchedTask | null = null;

  constructor(simulation: Simulation) {
    this.#waiting = new WaitQueue(simulation.scheduler);
  }

  /** Takes it; waits until it is free. */
  *lock(thread: Thread): Running<void> {
    const { accessNs, futexNs } = thread.simulation.prices;
    yield* thread.owe(accessNs);
    while (this.#owner !== null) {
      yield* thread.owe(futexNs);
      if (this.#owner !== null) yield* this.#waiting.wait(thread.task, { reason: 'mutex', voluntary: false });
      yield* thread.owe(0);
    }
    this.#owner = thread.task;
  }
  /** Gives it up. */
  *unlock(thread: Thread): Running<void> {
    assert(this.#owner === thread.task, '[mutex-exclusive] who gives a mutex up holds it');
    const { accessNs, futexNs } = thread.simulation.prices;
    yield* thread.owe(accessNs);
    this.#owner = null;
    if (this.#waiting.length === 0) return;
    this.#waiting.wake(1);
    yield* thread.owe(futexNs);
  }
}

/** A place where threads wait for each other. */
export class Barrier {
  readonly #waiting: WaitQueue;
  readonly #parties: number;
  #arrived = 0;
  #round = 0;

  /** @param parties  how many threads meet */
  constructor(simulation: Simulation, parties: number) {
    this.#waiting = new WaitQueue(simulation.scheduler);
    this.#parties = parties;
  }

  /** Waits until all have come. @returns  whether this thread was the last one */
  *wait(thread: Thread): Running<boolean> {
    yield* thread.owe(thread.simulation.prices.futexNs);
    this.#arrived++;
    const round = this.#round;
    if (this.#arrived === this.#parties) {
      this.#arrived = 0;
      this.#round++;
      this.#waiting.wakeAll();
      return true;
    }
    while (this.#round === round) {
      yield* this.#waiting.wait(thread.task, { reason: 'barrier', voluntary: true });
      yield* thread.owe(0);
    }
    return false;
  }
}
