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
import type { Running, SchedTask, WaitReason } from './schedTask.ts';
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

interface Waiter {
  readonly task: SchedTask;
  readonly queues: readonly WaitQueue[];
  timer: TimedEvent | null;
  ended: Woken | null;
}

/** Tasks that wait for one thing, the first one first. */
export class WaitQueue {
  readonly #scheduler: Scheduler;
  readonly #waiting: Waiter[] = [];

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** How many tasks wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Parks `task`, which owes nothing, until it is woken. */
  wait(task: SchedTask, how: Waiting): Running<Woken> {
    return waitAny(this.#scheduler, [this], task, how);
  }

  /**
   * Wakes the first `most` waiters.
   * @param sync  the waker is about to wait itself
   * @returns     how many there were
   */
  wake(most = 1, sync = false): number {
    const woken = this.#waiting.slice(0, most);
    for (const waiter of woken) endWait(this.#scheduler, waiter, 'woken', sync);
    return woken.length;
  }

  /** Wakes everybody. Returns how many there were. */
  wakeAll(): number {
    return this.wake(this.#waiting.length);
  }

  /** For waitAny and endWait, which alone change who waits. */
  add(waiter: Waiter): void {
    this.#waiting.push(waiter);
  }
  /** See `add`. */
  remove(waiter: Waiter): void {
    this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
  }
}

function endWait(scheduler: Scheduler, waiter: Waiter, how: Woken, sync = false): void {
  assert(waiter.ended === null, '[wait-once] a waiter is woken once');
  waiter.ended = how;
  if (waiter.timer !== null) waiter.timer.cancelled = true;
  for (const queue of waiter.queues) queue.remove(waiter);
  waiter.task.interrupt = null;
  scheduler.wake(waiter.task, sync);
}

/** Parks `task`, which owes nothing, until one of `queues` wakes it. No queue: until its time comes. */
export function* waitAny(
  scheduler: Scheduler,
  queues: readonly WaitQueue[],
  task: SchedTask,
  how: Waiting,
): Running<Woken> {
  assert(task.debtNs === 0, '[wait-once] who waits owes nothing');
  const waiter: Waiter = { task, queues, timer: null, ended: null };
  for (const queue of queues) queue.add(waiter);
  const startNs = scheduler.nowNs;
  const end = (woken: Woken) => () => endWait(scheduler, waiter, woken);
  if (how.timeoutNs !== undefined)
    waiter.timer = scheduler.events.at(startNs + how.timeoutNs, end('timeout'));
  if (how.uninterruptible !== true) task.interrupt = end('interrupted');
  task.waitsFor = how.reason;
  yield 'park';
  if (how.voluntary) task.voluntaryNs += scheduler.nowNs - startNs;
  assert(waiter.ended !== null, '[wait-once] who goes on was woken');
  return waiter.ended;
}
