/**
 * A pipe between threads: messages, first in first out; a reader waits while it is empty, a writer while it is full.
 *
 * It can be polled. Whoever writes is taken to wait soon himself, so the reader may get his CPU (a synchronous wake-up, as Linux has it for pipes).
 *
 * Linux   fs/pipe.c
 * Left out   bytes: a message is a value of the program, and how long it is costs nothing
 */
import type { Running } from '../sched/schedTask.ts';
import { type Pollable, WaitQueue } from '../sched/waitQueue.ts';
import type { Simulation } from './simulation.ts';
import type { Thread } from './thread.ts';

/** Messages that fit into a pipe unless another number is asked for. Linux: PIPE_DEF_BUFFERS. */
const DEFAULT_CAPACITY = 16;

/** A pipe of messages. */
export class Pipe<T> implements Pollable {
  readonly waiters: WaitQueue;
  readonly #writers: WaitQueue;
  readonly #messages: T[] = [];
  readonly #capacity: number;

  /** @param capacity  messages that fit in */
  constructor(simulation: Simulation, capacity: number = DEFAULT_CAPACITY) {
    this.waiters = new WaitQueue(simulation.scheduler);
    this.#writers = new WaitQueue(simulation.scheduler);
    this.#capacity = capacity;
  }

  /** Tells whether a read would find a message. */
  isReady(): boolean {
    return this.#messages.length > 0;
  }

  /** Writes one message. */
  *write(thread: Thread, message: T): Running<void> {
    yield* thread.owe(thread.simulation.prices.pipeNs);
    while (this.#messages.length >= this.#capacity) {
      yield* this.#writers.wait(thread.task, { reason: 'pipe full', voluntary: true });
      yield* thread.owe(0);
    }
    this.#messages.push(message);
    this.waiters.wake(1, true);
  }

  /** Reads one message. */
  *read(thread: Thread): Running<T> {
    yield* thread.owe(thread.simulation.prices.pipeNs);
    while (this.#messages.length === 0) {
      yield* this.waiters.wait(thread.task, { reason: 'pipe', voluntary: true });
      yield* thread.owe(0);
    }
    const message = this.#messages.shift() as T;
    this.#writers.wake(1);
    return message;
  }
}
