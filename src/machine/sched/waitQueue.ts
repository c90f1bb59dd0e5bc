/**
 * Wait queues: tasks that wait until somebody wakes them, or a time comes.
 *
 * Who waits looks first whether he has to, owing nothing, and is in the queue before anybody else runs; so nothing can happen in between, and a
 * wake-up is never lost. A woken task looks again: wake-ups say that something may have changed.
 *
 * Invariant   [wait-once] a waiter is woken once, by whoever comes first: a waker, the time, a signal that ends it
 * Linux       kernel/sched/wait.c; wait_event_interruptible_timeout()
 */
import { assert } from '../../base/assert.ts';
import type { TimedEvent } from './eventQueue.ts';
import type { Interruptible, Running, SchedTask, WaitReason } from './schedTask.ts';
import type { Scheduler } from './scheduler.ts';

/** How a wait ended. */
export type Woken = 'woken' | 'timeout' | 'interrupted';

/** How to wait. */
export interface Waiting {
  /** What for, in words: reports add up times by it. */
  readonly reason: WaitReason;
  /** The program asked to wait (for a message, a time, another thread): such time is no stall. */
  readonly voluntary: boolean;
  /** It has to wait to the end, even if its process is killed. */
  readonly uninterruptible?: boolean;
  /** When to give up, counted from now; never when left out. */
  readonly timeoutNs?: number;
}

/** Something that can be waited for with poll: a descriptor. */
export interface Pollable {
  /** Tells whether there is something to read. */
  isReady(): boolean;
  readonly waiters: WaitQueue;
}

/** One wait of a task. */
export class Waiter implements Interruptible {
  readonly #scheduler: Scheduler;
  readonly task: SchedTask;
  readonly #queues: readonly WaitQueue[];
  readonly #how: Waiting;
  readonly #sinceNs: number;
  #timer: TimedEvent | null = null;
  #ended: Woken | null = null;

  /** Puts `task`, which owes nothing, into `queues`. It has to yield `park` then. */
  constructor(scheduler: Scheduler, queues: readonly WaitQueue[], task: SchedTask, how: Waiting) {
    assert(task.debtNs === 0, '[wait-once] who waits owes nothing');
    this.#scheduler = scheduler;
    this.task = task;
    this.#queues = queues;
    this.#how = how;
    this.#sinceNs = scheduler.nowNs;
    for (const queue of queues) queue.add(this);
    const { timeoutNs } = how;
    if (timeoutNs !== undefined)
      this.#timer = scheduler.events.at(this.#sinceNs + timeoutNs, () => this.end('timeout'));
    if (how.uninterruptible !== true) task.waiter = this;
    task.waitsFor = how.reason;
  }

  /** The wait is over: its task is woken. */
  end(how: Woken, sync = false): void {
    assert(this.#ended === null, '[wait-once] a waiter is woken once');
    this.#ended = how;
    if (this.#timer !== null) this.#timer.cancelled = true;
    for (const queue of this.#queues) queue.remove(this);
    this.task.waiter = null;
    this.#scheduler.wake(this.task, sync);
  }
  interrupt(): void {
    this.end('interrupted');
  }
  /** Its task goes on. Returns what ended the wait. */
  finish(): Woken {
    if (this.#how.voluntary) this.task.voluntaryNs += this.#scheduler.nowNs - this.#sinceNs;
    assert(this.#ended !== null, '[wait-once] who goes on was woken');
    return this.#ended;
  }
}

/** Tasks that wait for one thing, the first one first. */
export class WaitQueue {
  readonly #scheduler: Scheduler;
  readonly #waiting: Waiter[] = [];
  /** This queue alone, as a wait has it. */
  readonly alone: readonly WaitQueue[] = [this];

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** How many tasks wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Parks `task`, which owes nothing, until it is woken. */
  wait(task: SchedTask, how: Waiting): Running<Woken> {
    return waitAny(this.#scheduler, this.alone, task, how);
  }

  /**
   * Wakes the first `most` waiters.
   * @param sync  the waker is about to wait itself
   * @returns     how many there were
   */
  wake(most = 1, sync = false): number {
    let nr = 0;
    for (; nr < most; nr++) {
      const first = this.#waiting[0];
      if (first === undefined) break;
      first.end('woken', sync);
    }
    return nr;
  }

  /** Wakes everybody. Returns how many there were. */
  wakeAll(): number {
    return this.wake(this.#waiting.length);
  }

  /** For Waiter, which alone changes who waits. */
  add(waiter: Waiter): void {
    this.#waiting.push(waiter);
  }
  /** See `add`. */
  remove(waiter: Waiter): void {
    // Nearly always it is the first one, and alone: to take that off makes no list of what was taken.
    if (this.#waiting[0] === waiter) this.#waiting.shift();
    else this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
  }
}

/** Parks `task`, which owes nothing, until one of `queues` wakes it. No queue: until its time comes. */
export function* waitAny(
  scheduler: Scheduler,
  queues: readonly WaitQueue[],
  task: SchedTask,
  how: Waiting,
): Running<Woken> {
  const waiter = new Waiter(scheduler, queues, task, how);
  yield 'park';
  return waiter.finish();
}
