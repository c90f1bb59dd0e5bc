/**
 * A process with threads that run in virtual time: what they share besides memory and descriptors.
 *
 * Linux   struct signal_struct, sighand_struct; futex hash buckets of private futexes
 */
import type { Addr } from '../../base/units.ts';
import type { Process } from '../process.ts';
import type { Running } from '../sched/schedTask.ts';
import type { Scheduler } from '../sched/scheduler.ts';
import { WaitQueue } from '../sched/waitQueue.ts';
import type { Thread } from './thread.ts';

/** The signals that an access can end in; nobody can handle the last one: there was no memory left. */
export type FaultSignal = 'SIGSEGV' | 'SIGBUS' | 'SIGKILL';

/** What a handler is told: siginfo_t. */
export interface SignalInfo {
  readonly signal: FaultSignal;
  /** si_code by name: SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR … */
  readonly code: string;
  /** si_addr: the address of the access. */
  readonly addr: Addr;
}

/** A handler: runs on the thread that was signalled; when it ends, the access is made again. */
export type SignalHandler = (thread: Thread, info: SignalInfo) => Running<void>;

/** The threads of a process. */
export class ThreadGroup {
  readonly process: Process;
  readonly threads: Thread[] = [];
  readonly handlers = new Map<FaultSignal, SignalHandler>();
  /** The signal that ended it, if one did. */
  killedBy: SignalInfo | null = null;
  /** It has exited, or was killed: its threads go no further. */
  isOver = false;
  /** The program expects to be killed; otherwise that ends the run. */
  mayBeKilled = false;
  readonly #futexes = new Map<Addr, WaitQueue>();
  readonly #scheduler: Scheduler;

  constructor(process: Process, scheduler: Scheduler) {
    this.process = process;
    this.#scheduler = scheduler;
  }

  /** Returns who waits for the futex at `addr`. */
  futex(addr: Addr): WaitQueue {
    let queue = this.#futexes.get(addr);
    if (queue === undefined) {
      queue = new WaitQueue(this.#scheduler);
      this.#futexes.set(addr, queue);
    }
    return queue;
  }

  /** Nobody waits for the futex at `addr` any more. */
  forgetFutex(addr: Addr): void {
    if (this.#futexes.get(addr)?.length === 0) this.#futexes.delete(addr);
  }
}
