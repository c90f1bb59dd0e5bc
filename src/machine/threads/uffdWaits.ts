/**
 * Who waits for userfaultfd, in virtual time: threads that faulted, for their page; readers, for messages.
 *
 * mm/ says that an access has to wait by a `UffdWait`, and calls `kernel.onWake` when it need wait no longer.
 */
import type { Kernel, UffdContext, UffdWait } from '../../mm/index.ts';
import type { Figures } from '../cost.ts';
import type { SmpPrices } from '../paid/smpPrices.ts';
import { type UffdPrices, uffdPricesOf } from '../paid/uffdPrices.ts';
import type { Running } from '../sched/schedTask.ts';
import type { Scheduler } from '../sched/scheduler.ts';
import { WaitQueue } from '../sched/waitQueue.ts';
import type { Thread } from './thread.ts';

/** The waits of one simulation. */
export class UffdWaits {
  readonly #scheduler: Scheduler;
  readonly #waiting = new Map<UffdWait, WaitQueue>();
  readonly #readers = new Map<UffdContext, WaitQueue>();
  readonly #makePrices: () => UffdPrices;
  #prices: UffdPrices | null = null;

  /** Listens to the wake-ups of `kernel` from now on. */
  constructor(
    kernel: Kernel,
    scheduler: Scheduler,
    of: { readonly figures: Figures; readonly smp: SmpPrices },
  ) {
    this.#scheduler = scheduler;
    this.#makePrices = () => uffdPricesOf(of.figures, of.smp);
    kernel.onWake = (wait) => this.#waiting.get(wait)?.wakeAll();
  }

  /** What userfaultfd costs; a calibration without its figures will do for programs that do not use it. */
  get prices(): UffdPrices {
    this.#prices ??= this.#makePrices();
    return this.#prices;
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

  /** Tells a reader that there is a message, and parks `thread` until `wait` is done. It holds no lock. */
  *waitFor(thread: Thread, wait: UffdWait): Running<void> {
    this.readersOf(wait.context).wake(1);
    yield* thread.owe(0);
    if (wait.done) return;
    const queue = new WaitQueue(this.#scheduler);
    this.#waiting.set(wait, queue);
    yield* queue.wait(thread.task, { reason: 'userfault', voluntary: false });
    this.#waiting.delete(wait);
    if (!wait.done) wait.context.cancel(wait);
    yield* thread.owe(0);
  }
}
