/**
 * Who waits for userfaultfd, in virtual time: threads that faulted, for their page; readers, for messages.
 *
 * mm/ says that an access has to wait by a `UffdWait`, and calls `kernel.onWake` when it need wait no longer.
 */
import type { Kernel, UffdContext, UffdWait } from '../../mm/index.ts';
import type { Running } from '../sched/schedTask.ts';
import type { Scheduler } from '../sched/scheduler.ts';
import { WaitQueue } from '../sched/waitQueue.ts';
import type { ThreadMemory } from './threadMemory.ts';

/** The waits of one simulation. */
export class UffdWaits {
  readonly #scheduler: Scheduler;
  readonly #waiting = new Map<UffdWait, WaitQueue>();
  readonly #readers = new Map<UffdContext, WaitQueue>();

  /** Listens to the wake-ups of `kernel` from now on. */
  constructor(kernel: Kernel, scheduler: Scheduler) {
    this.#scheduler = scheduler;
    kernel.onWake = (wait) => this.#waiting.get(wait)?.wakeAll();
  }

  /** Returns who waits for messages of `context`. */
  readersOf(context: UffdContext): WaitQueue {
    let queue = this.#readers.get(context);
    if (queue === undefined) {
      queue = new WaitQueue(this.#scheduler);
      this.#readers.set(context, queue);
    }
    return queue;
  }

  /** Tells a reader that there is a message, and parks `thread` until `wait` is done, or its process ends. It holds no lock. */
  *waitFor(thread: ThreadMemory, wait: UffdWait): Running<void> {
    this.readersOf(wait.context).wake(1);
    yield* thread.owe(0);
    if (wait.done) return;
    const queue = new WaitQueue(this.#scheduler);
    this.#waiting.set(wait, queue);
    yield* queue.wait(thread.task, { reason: reasonOf(wait), voluntary: false });
    this.#waiting.delete(wait);
    if (!wait.done) wait.context.cancel(wait);
    yield* thread.owe(0);
  }
}

/** A fault waits for its page, a call for the reader of what it announced. */
const reasonOf = ({ message }: UffdWait): string =>
  message.event === 'pagefault' ? 'userfault' : 'userfaultfd event';
