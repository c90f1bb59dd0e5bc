/**
 * A task as the scheduler sees it: a generator, what it owes, and where its time went.
 *
 * A task runs as plain code and adds what it uses of its CPU to `debtNs`. It yields only when time has to pass or it has to wait:
 *
 *   pay    the debt becomes time: the CPU is busy that long, others run meanwhile
 *   park   somebody will wake it (waitQueue.ts, rwsem.ts); it owes nothing then
 *   spin   it waits on its CPU, busy, until somebody grants what it waits for
 *   end    it was killed and goes no further
 *
 * Invariants   [task-time] the life of a task is the sum of its times: running, spinning, waiting for a CPU, parked, interrupted, switched to
 *              [task-state] a task is in one place: on a CPU, in one run queue, parked or ended
 * Linux        struct task_struct (state, on_cpu, sched_entity)
 */
import { Histogram } from '../../base/histogram.ts';
import { NamedSums } from '../../base/namedSums.ts';

/** Why a task gives control back. */
export type Pause = 'pay' | 'park' | 'spin' | 'end';
/** What runs in virtual time: yields pauses and ends with a `T`. */
export type Running<T> = Generator<Pause, T, void>;

/** What a task waits for while parked, in words. What a program asks for itself is `voluntary` (waitQueue.ts). */
export type WaitReason = string;

/** Where a task is. */
export type TaskState = 'new' | 'runnable' | 'running' | 'spinning' | 'parked' | 'ended';

/** A lock that wants to know when its owner stops running: those that spin for it give up. */
export interface OwnedLock {
  /** The owner left its CPU. */
  ownerLeft(): void;
}

/** A wait that can be ended because its task is to do something else. */
export interface Interruptible {
  interrupt(): void;
}

/** Where the time of a task went, nanoseconds. */
export interface TaskTimes {
  /** On a CPU, doing something. */
  runNs: number;
  /** On a CPU, waiting for a lock. */
  spinNs: number;
  /** On a CPU that an interrupt had. */
  stolenNs: number;
  /** While its CPU switched to it. */
  switchNs: number;
  /** Ready, while its CPU ran somebody else or woke up. */
  readyNs: number;
  /** Parked, by what it waited for. */
  readonly parkedNs: ReadonlyMap<WaitReason, number>;
}

/** The times of a task that goes on. */
class Times implements TaskTimes {
  runNs = 0;
  spinNs = 0;
  stolenNs = 0;
  switchNs = 0;
  readyNs = 0;
  readonly #parked = new NamedSums();

  get parkedNs(): ReadonlyMap<WaitReason, number> {
    return this.#parked.toMap();
  }
  /** It was parked for `ns`. */
  noteParked(reason: WaitReason, ns: number): void {
    this.#parked.add(reason, ns);
  }
}

/** The longest time that something kept a task from going on, without its having asked to wait. */
export interface Stall {
  readonly ns: number;
  /** When it was over. */
  readonly endNs: number;
  /** What it was doing. */
  readonly what: string;
}

/** How a task may run. */
export interface TaskOptions {
  readonly name: string;
  /** The only CPU it may run on; any when left out. */
  readonly cpu?: number;
  /** SCHED_FIFO: before all others, for as long as it likes. */
  readonly realtime?: boolean;
}

/** One task. Only scheduler.ts writes its state. */
export class SchedTask {
  readonly id: number;
  readonly name: string;
  readonly onlyCpu: number | null;
  readonly realtime: boolean;
  readonly body: Running<void>;
  state: TaskState = 'new';
  /** When it came into this state. */
  sinceNs = 0;
  /** Where it runs, or ran last. */
  cpu = 0;
  /** CPU time it had, for fairness: who had least goes first. Counted from that of the others when it comes to another CPU, or from a long sleep. */
  vruntimeNs = 0;
  /** CPU time used that has not passed yet, and how much of it was spent spinning. */
  debtNs = 0;
  debtSpinNs = 0;
  waitsFor: WaitReason = '';
  /** Its wait; null where it does not wait, or cannot be interrupted. */
  waiter: Interruptible | null = null;
  /** Time it was parked because it asked for that. */
  voluntaryNs = 0;
  startNs = 0;
  endNs = 0;
  readonly times = new Times();
  /** Locks it holds for writing, for which others may spin. */
  readonly holds: OwnedLock[] = [];
  /** Time an interrupt took from it while it spun. */
  spinStolenNs = 0;
  /** Time from the start of an access or call to its end, less what it asked to wait. */
  readonly stalls = new Histogram();
  longestStall: Stall | null = null;

  constructor(id: number, body: Running<void>, options: TaskOptions) {
    this.id = id;
    this.body = body;
    this.name = options.name;
    this.onlyCpu = options.cpu ?? null;
    this.realtime = options.realtime ?? false;
  }

  /** Notes that `what` took from `startNs` to `endNs`, of which `askedNs` were waiting it asked for. */
  noteStall(what: string, startNs: number, endNs: number, askedNs: number): void {
    const ns = endNs - startNs - askedNs;
    this.stalls.add(ns);
    if (ns > (this.longestStall?.ns ?? 0)) this.longestStall = { ns, endNs, what };
  }
}
