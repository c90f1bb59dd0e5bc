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
  /** The context whose readers were told last, and those: mostly it is the same again. */
  #lastContext: UffdContext | null = null;
  #lastReaders: WaitQueue | null = null;

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
    this.tellReader(wait);
    if (!thread.pays(0)) yield 'pay';
    if (wait.done) return;
    const waiter = this.begin(thread, wait);
    yield 'park';
    this.end(waiter, wait);
    if (!thread.pays(0)) yield 'pay';
    if (thread.group.isOver) yield 'end';
  }

  // The parts of it, for faults, which are one generator (timedFault.ts).

  /** Tells a reader that there is a message. */
  tellReader({ context }: UffdWait): void {
    if (context !== this.#lastContext || this.#lastReaders === null) {
      this.#lastContext = context;
      this.#lastReaders = this.readersOf(context);
    }
    this.#lastReaders.wake(1);
  }
  /** `thread`, which owes nothing, begins to wait: it has to yield `park` then. */
  begin(thread: ThreadMemory, wait: UffdWait): Waiter {
    const waiter = new Waiter(this.#scheduler, NO_QUEUES, thread.task, howTo(wait));
    wait.sleeper = waiter;
    return waiter;
  }
  /** It goes on. */
  end(waiter: Waiter, wait: UffdWait): void {
    wait.sleeper = null;
    waiter.finish();
    if (!wait.done) wait.context.cancel(wait);
  }
}

const NO_QUEUES: readonly WaitQueue[] = [];
const FOR_PAGE: Waiting = { reason: 'userfault', voluntary: false };
const FOR_READER: Waiting = { reason: 'userfaultfd event', voluntary: false };
/** A fault waits for its page, a call for the reader of what it announced. */
const howTo = ({ message }: UffdWait): Waiting => (message.event === 'pagefault' ? FOR_PAGE : FOR_READER);
