/**
 * A virtual CPU: who runs on it, who waits for it, where its time went.
 *
 * Invariants   [cpu-time] the time since the start is the sum of run, spin, switch, stolen and idle
 *              [cpu-busy] a CPU with somebody in its queue runs somebody, or is on its way to
 * Linux        struct rq
 * Left out     frequencies, caches, sibling threads
 */
import type { TimedEvent } from './eventQueue.ts';
import type { SchedTask } from './schedTask.ts';

/** Where the time of a CPU went, nanoseconds. */
export interface CpuTimes {
  /** Running tasks. */
  runNs: number;
  /** Tasks on it waiting for locks. */
  spinNs: number;
  /** Switching from one task to another. */
  switchNs: number;
  /** Interrupts that other CPUs asked for (TLB shootdowns). */
  stolenNs: number;
  /** Nothing to do, or waking up. */
  idleNs: number;
  switches: number;
  interrupts: number;
}

/** One CPU. Only scheduler.ts writes it. */
export class Cpu {
  readonly id: number;
  current: SchedTask | null = null;
  /** Who ran last. */
  last: SchedTask | null = null;
  /** What the task had had of it that had had least (`vruntimeNs`), when that was last looked at; never goes back. */
  vruntimeNs = 0;
  /** Ready tasks, the next one first. */
  readonly queue: SchedTask[] = [];
  /** What it does next: the current task goes on, or its slice ends, or it has woken up. */
  event: TimedEvent | null = null;
  /** By then its task has paid what it owes. */
  isPaidThen = false;
  /** A wake-up from idle is on its way. */
  isWaking = false;
  /** From when on the debt of the current task is being paid. */
  payingFromNs = 0;
  /** When the current task has to make room, if somebody waits. */
  sliceEndNs = 0;
  idleSinceNs = 0;
  readonly times: CpuTimes = {
    runNs: 0,
    spinNs: 0,
    switchNs: 0,
    stolenNs: 0,
    idleNs: 0,
    switches: 0,
    interrupts: 0,
  };

  constructor(id: number) {
    this.id = id;
  }

  /** Tells whether nobody is on it or on the way to it. */
  get isIdle(): boolean {
    return this.current === null && this.queue.length === 0 && !this.isWaking;
  }
}
