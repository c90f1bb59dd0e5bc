/**
 * Who waits for userfaultfd, in virtual time: threads that faulted, for their page; readers, for messages.
 *
 * mm/ says that an access has to wait by a `UffdWait`, and calls `kernel.onWake` when it need wait no longer.
 */
import type { Kernel, UffdContext, UffdWait } from '../../mm/index.ts';
import type { Running } from '../sched/schedTask.ts';
import type { Scheduler } from '../sched/scheduler.ts';
import { Waiter, type Waiting, WaitQueue } from '../sched/waitQueue.ts';
import type { ThreadMemory } from './threadMemory.ts';

/** The waits of one simulation. */
export class UffdWaits {
  readonly #scheduler: Scheduler;
  readonly #readers = new Map<UffdContext, WaitQueue>();

  /** Listens to the wake-ups of `kernel` from now on. */
  constructor(kernel: Kernel, scheduler: Scheduler) {
    this.#scheduler = scheduler;
    kernel.onWake = (wait) => wait.sleeper?.end('woken');
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
    if (!thread.pays(0)) yield 'pay';
    if (wait.done) return;
    const waiter = new Waiter(this.#scheduler, NO_QUEUES, thread.task, howTo(wait));
    wait.sleeper = waiter;
    yield 'park';
    wait.sleeper = null;
    waiter.finish();
    if (!wait.done) wait.context.cancel(wait);
    if (!thread.pays(0)) yield 'pay';
    if (thread.group.isOver) yield 'end';
  }
}

const NO_QUEUES: readonly WaitQueue[] = [];
const FOR_PAGE: Waiting = { reason: 'userfault', voluntary: false };
const FOR_READER: Waiting = { reason: 'userfaultfd event', voluntary: false };
/** A fault waits for its page, a call for the reader of what it announced. */
const howTo = ({ message }: UffdWait): Waiting => (message.event === 'pagefault' ? FOR_PAGE : FOR_READER);
