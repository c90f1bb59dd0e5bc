/**
 * The scheduler: a discrete-event simulation of tasks on virtual CPUs.
 *
 * A task is resumed, runs as plain code and yields a pause. While it pays, spins or is switched to, its CPU is busy and the clock goes on to whatever
 * happens first. Everything that others may see (a lock, a call, a fault) is done by a task that owes nothing, so such things happen in the order of
 * their times; plain accesses may run ahead of the clock by a quantum (threads/thread.ts).
 *
 *   ready tasks      a queue for each CPU: real-time tasks first, then who has had least of the CPU; a task makes room at the end of its slice
 *   a wake-up        goes to the CPU it ran on if that is idle, else to an idle one, else it queues there, and preempts a task that has had more of the
 *                    CPU (as the kernel was seen to do); a long sleep gives a start of one slice; a CPU with nothing to do takes from the longest queue
 *   prices           a switch on one CPU; a wake-up of another CPU, idle or not, which is dearer (SchedPrices)
 *
 * Invariants   [cpu-time], [task-time] every nanosecond of a CPU and of a task is accounted for, once
 *              [lost-wakeup] a run ends with all tasks ended, or names those that wait for ever
 * Cost         two heap operations each time somebody has to wait for the clock; none while one task runs alone
 * Linux        kernel/sched: core.c (try_to_wake_up, schedule), fair.c (select_idle_sibling, wakeup preemption, newidle balance)
 * Left out     weights, groups, lag and deadlines of EEVDF
 */
import { assert } from '../../base/assert.ts';
import { Cpu } from './cpu.ts';
import { EventQueue } from './eventQueue.ts';
import { type Running, SchedTask, type TaskOptions } from './schedTask.ts';

/** What the scheduler's own work costs, nanoseconds. */
export interface SchedPrices {
  /** From one task to another on the same CPU. */
  readonly switchNs: number;
  /** From a wake-up on one CPU until the woken task runs on another, that was idle or makes room. */
  readonly wakeIdleNs: number;
  /** What such a wake-up costs who makes it. */
  readonly wakeCallNs: number;
  /** How long an ordinary task may run while others wait for its CPU. */
  readonly sliceNs: number;
}

/** Tells whether `task` goes before `other`, which was there first. */
const isBefore = (task: SchedTask, other: SchedTask): boolean =>
  task.realtime ? !other.realtime : !other.realtime && task.vruntimeNs < other.vruntimeNs;

/** Puts a task behind all that do not come after it. */
function insert(queue: SchedTask[], task: SchedTask): void {
  let at = 0;
  while (at < queue.length && !isBefore(task, queue[at] as SchedTask)) at++;
  if (at === queue.length) queue.push(task);
  else queue.splice(at, 0, task);
}

/** CPUs, tasks and the clock. */
export class Scheduler {
  readonly events = new EventQueue();
  readonly cpus: readonly Cpu[];
  readonly tasks: SchedTask[] = [];
  readonly #prices: SchedPrices;
  /** What happens when the event of each CPU is due. */
  readonly #onDue: readonly (() => void)[];
  /** The CPU whose task runs as plain code just now. */
  #executing: Cpu | null = null;

  /** @param nrCpus  1 or more */
  constructor(nrCpus: number, prices: SchedPrices) {
    this.cpus = Array.from({ length: nrCpus }, (_, id) => new Cpu(id));
    this.#onDue = this.cpus.map((cpu) => () => this.#due(cpu));
    this.#prices = prices;
  }

  /** Nanoseconds since the start. */
  get nowNs(): number {
    return this.events.nowNs;
  }
  /** The task that runs as plain code just now. */
  get current(): SchedTask | null {
    return this.#executing?.current ?? null;
  }

  // ---- for tasks ---------------------------------------------------------------------------------------------------------------

  /** Makes a task, ready to run `body`. */
  spawn(body: Running<void>, options: TaskOptions): SchedTask {
    const task = new SchedTask(this.tasks.length, body, options);
    this.tasks.push(task);
    task.startNs = this.nowNs;
    task.cpu = this.#executing?.id ?? 0;
    this.#makeReady(task, false);
    return task;
  }

  /**
   * Lets the debt of the running task pass without a pause, if nothing happens meanwhile.
   * @returns  whether it owes nothing now; otherwise it has to yield `pay`
   */
  tryPay(task: SchedTask): boolean {
    if (task.debtNs === 0) return true;
    const cpu = this.#cpuOf(task);
    const paidNs = this.nowNs + task.debtNs;
    if (paidNs >= this.events.nextNs) return false;
    if (cpu.queue.length > 0 && !task.realtime && paidNs > cpu.sliceEndNs) return false;
    this.#account(cpu, task, task.debtNs);
    this.events.passTo(paidNs);
    cpu.payingFromNs = paidNs;
    return true;
  }

  /**
   * Wakes a parked task; others are left alone. Who wakes may owe the price of that afterwards.
   * @param sync  the waker is about to wait itself: the woken task may have its CPU
   */
  wake(task: SchedTask, sync = false): void {
    if (task.state !== 'parked') return;
    task.times.noteParked(task.waitsFor, this.nowNs - task.sinceNs);
    this.#makeReady(task, sync);
  }

  /** The wait of a spinning task is over, by a grant or because it must not go on spinning. @param handoverNs  what taking over costs it */
  endSpin(task: SchedTask, handoverNs = 0): void {
    if (task.state !== 'spinning') return;
    const cpu = this.#cpuOf(task);
    // An interrupt may last longer than the wait; the rest of it comes first then.
    const ns = this.nowNs - task.sinceNs - task.spinStolenNs;
    task.vruntimeNs += Math.max(0, ns);
    task.times.spinNs += Math.max(0, ns);
    cpu.times.spinNs += Math.max(0, ns);
    task.spinStolenNs = 0;
    this.#enter(task, 'running');
    task.debtNs = handoverNs;
    task.debtSpinNs = handoverNs;
    cpu.payingFromNs = this.nowNs + Math.max(0, -ns);
    this.#planNext(cpu);
  }

  /** Takes `ns` from whoever runs on `cpu`, which is another one than that of the caller: an interrupt. */
  interrupt(cpu: Cpu, ns: number): void {
    const task = cpu.current;
    if (task === null) return;
    cpu.times.interrupts++;
    cpu.times.stolenNs += ns;
    task.times.stolenNs += ns;
    if (task.state === 'spinning') {
      task.spinStolenNs += ns;
      return;
    }
    const paidNs = this.nowNs - cpu.payingFromNs;
    if (paidNs > 0) this.#account(cpu, task, Math.min(paidNs, task.debtNs));
    cpu.payingFromNs = Math.max(this.nowNs, cpu.payingFromNs) + ns;
    this.#planNext(cpu);
  }

  // ---- the run -----------------------------------------------------------------------------------------------------------------

  /**
   * Runs until nothing happens any more.
   * @returns  the tasks that wait for ever
   */
  run(): SchedTask[] {
    while (this.events.step());
    for (const cpu of this.cpus) if (cpu.current === null) this.#endIdle(cpu);
    return this.tasks.filter((task) => task.state !== 'ended');
  }

  #cpuOf(task: SchedTask): Cpu {
    return this.cpus[task.cpu] as Cpu;
  }
  #enter(task: SchedTask, state: SchedTask['state']): void {
    task.state = state;
    task.sinceNs = this.nowNs;
  }
  /** `ns` of the debt of `task` have passed on `cpu`. */
  #account(cpu: Cpu, task: SchedTask, ns: number): void {
    let runNs = ns;
    if (task.debtSpinNs > 0) {
      const spinNs = Math.min(ns, task.debtSpinNs);
      task.times.spinNs += spinNs;
      cpu.times.spinNs += spinNs;
      task.debtSpinNs -= spinNs;
      runNs -= spinNs;
    }
    task.times.runNs += runNs;
    cpu.times.runNs += runNs;
    task.vruntimeNs += ns;
    task.debtNs = Math.max(0, task.debtNs - ns);
  }
  #endIdle(cpu: Cpu): void {
    cpu.times.idleNs += this.nowNs - cpu.idleSinceNs;
    cpu.idleSinceNs = this.nowNs;
  }

  /** Puts a task that can run into a queue. */
  #makeReady(task: SchedTask, sync: boolean): void {
    const waker = this.#executing;
    const cpu = this.#placeOf(task, sync);
    this.#moveTo(cpu, task);
    this.#enter(task, 'runnable');
    const wasIdle = cpu.isIdle;
    insert(cpu.queue, task);
    const isRemote = waker !== null && waker !== cpu;
    if (!wasIdle) {
      if (!isRemote) this.#mayPreempt(cpu, task);
      else if (this.#isDue(cpu, task)) this.#preemptLater(cpu, task);
      if (cpu.current !== null && cpu !== waker) this.#planNext(cpu);
      return;
    }
    if (isRemote && waker.current !== null) waker.current.debtNs += this.#prices.wakeCallNs;
    this.#wakeUp(cpu, isRemote);
  }
  // Apart from makeReady, which is the most frequent of these and has nothing to remember for later.
  #preemptLater(cpu: Cpu, task: SchedTask): void {
    this.events.at(this.nowNs + this.#prices.wakeIdleNs, () => this.#mayPreempt(cpu, task));
  }
  #wakeUp(cpu: Cpu, isRemote: boolean): void {
    cpu.isWaking = true;
    this.events.at(this.nowNs + (isRemote ? this.#prices.wakeIdleNs : 0), () => {
      cpu.isWaking = false;
      this.#dispatch(cpu, isRemote);
    });
  }

  /** `task` comes to `cpu`: what it has had of another CPU, or long ago, counts as far as it does not favour it by more than a slice. */
  #moveTo(cpu: Cpu, task: SchedTask): void {
    const before = this.#cpuOf(task);
    const hereNs = this.#leastHad(cpu);
    let hadNs = task.vruntimeNs;
    if (task.state === 'new') hadNs = hereNs;
    else if (before !== cpu) hadNs += hereNs - this.#leastHad(before);
    task.vruntimeNs = Math.max(hadNs, hereNs - this.#prices.sliceNs);
    task.cpu = cpu.id;
  }
  /** Returns what the task has had that has had least of `cpu`, of those that run or wait there. Linux: cfs_rq->min_vruntime. */
  #leastHad(cpu: Cpu): number {
    let leastNs = Number.POSITIVE_INFINITY;
    const { queue } = cpu;
    for (let i = 0; i < queue.length; i++) leastNs = Math.min(leastNs, (queue[i] as SchedTask).vruntimeNs);
    if (cpu.current !== null) leastNs = Math.min(leastNs, this.#hadBy(cpu, cpu.current));
    if (leastNs !== Number.POSITIVE_INFINITY) cpu.vruntimeNs = Math.max(cpu.vruntimeNs, leastNs);
    return cpu.vruntimeNs;
  }
  /** Returns what `task`, which runs on `cpu`, has had so far. */
  #hadBy(cpu: Cpu, task: SchedTask): number {
    const sinceNs = task.state === 'spinning' ? task.sinceNs : cpu.payingFromNs;
    return task.vruntimeNs + Math.max(0, this.nowNs - sinceNs);
  }
  /** Tells whether the task that runs on `cpu` has to make room for `task`. */
  #isDue(cpu: Cpu, task: SchedTask): boolean {
    const { current } = cpu;
    if (current === null || task.state !== 'runnable' || task.cpu !== cpu.id) return false;
    if (task.realtime || current.realtime) return task.realtime && !current.realtime;
    return task.vruntimeNs < this.#hadBy(cpu, current);
  }
  #mayPreempt(cpu: Cpu, task: SchedTask): void {
    if (!this.#isDue(cpu, task)) return;
    cpu.sliceEndNs = Math.max(this.nowNs, cpu.payingFromNs);
    if (cpu !== this.#executing) this.#planNext(cpu);
  }

  /** Chooses a CPU for a task that wakes up. */
  #placeOf(task: SchedTask, sync: boolean): Cpu {
    if (task.onlyCpu !== null) return this.cpus[task.onlyCpu] as Cpu;
    const waker = this.#executing;
    if (sync && waker !== null && waker.queue.length === 0) return waker;
    const previous = this.#cpuOf(task);
    return previous.isIdle ? previous : (this.#firstIdle() ?? previous);
  }

  #firstIdle(): Cpu | null {
    const { cpus } = this;
    for (let id = 0; id < cpus.length; id++) if ((cpus[id] as Cpu).isIdle) return cpus[id] as Cpu;
    return null;
  }

  /** Gives `cpu`, which runs nobody, its next task. @param isFree  the price of switching is paid already */
  #dispatch(cpu: Cpu, isFree: boolean): void {
    const task = cpu.queue.shift() ?? this.#pull(cpu);
    if (task === null) {
      if (cpu.current !== null) cpu.idleSinceNs = this.nowNs;
      cpu.current = null;
      return;
    }
    if (cpu.current === null) this.#endIdle(cpu);
    const switchNs = isFree || cpu.last === task || cpu.last === null ? 0 : this.#prices.switchNs;
    if (cpu.last !== task) cpu.times.switches++;
    task.times.readyNs += this.nowNs - task.sinceNs;
    task.times.switchNs += switchNs;
    cpu.times.switchNs += switchNs;
    cpu.current = task;
    cpu.last = task;
    if (task.cpu !== cpu.id) this.#moveTo(cpu, task);
    this.#enter(task, 'running');
    cpu.payingFromNs = this.nowNs + switchNs;
    cpu.sliceEndNs = cpu.payingFromNs + this.#prices.sliceNs;
    this.#planNext(cpu);
  }

  /** Takes a task from the longest queue of the others. Linux: newidle balance. */
  #pull(cpu: Cpu): SchedTask | null {
    let from: Cpu | null = null;
    for (const other of this.cpus)
      if (other !== cpu && other.current !== null && other.queue.some((task) => task.onlyCpu === null))
        if (from === null || other.queue.length > from.queue.length) from = other;
    if (from === null) return null;
    const at = from.queue.findIndex((task) => task.onlyCpu === null);
    return from.queue.splice(at, 1)[0] ?? null;
  }

  /** Plans what `cpu` does next: its task has paid, or has to make room. */
  #planNext(cpu: Cpu): void {
    if (cpu.event !== null) cpu.event.cancelled = true;
    cpu.event = null;
    const task = cpu.current as SchedTask;
    const paidNs = task.state === 'spinning' ? Number.POSITIVE_INFINITY : cpu.payingFromNs + task.debtNs;
    const sliceNs =
      cpu.queue.length === 0 || task.realtime
        ? Number.POSITIVE_INFINITY
        : Math.max(cpu.sliceEndNs, cpu.payingFromNs);
    const atNs = Math.max(this.nowNs, Math.min(paidNs, sliceNs));
    if (atNs === Number.POSITIVE_INFINITY) return;
    cpu.isPaidThen = atNs >= paidNs;
    cpu.event = this.events.at(atNs, this.#onDue[cpu.id] as () => void);
  }

  #due(cpu: Cpu): void {
    cpu.event = null;
    const isPaid = cpu.isPaidThen;
    const task = cpu.current as SchedTask;
    if (task.state === 'spinning') {
      this.endSpin(task);
      return;
    }
    this.#account(cpu, task, isPaid ? task.debtNs : this.nowNs - cpu.payingFromNs);
    if (isPaid) {
      this.#resume(cpu, task);
      return;
    }
    for (const lock of task.holds) lock.ownerLeft();
    this.#enter(task, 'runnable');
    insert(cpu.queue, task);
    this.#dispatch(cpu, false);
  }

  /** Lets `task` run as plain code until it has to wait for something. */
  #resume(cpu: Cpu, task: SchedTask): void {
    const before = this.#executing;
    cpu.payingFromNs = this.nowNs;
    this.#executing = cpu;
    let next = task.body.next();
    while (next.done !== true && next.value === 'pay' && this.tryPay(task)) next = task.body.next();
    if (next.done === true || next.value === 'end') this.#end(cpu, task);
    else if (next.value === 'pay') this.#planNext(cpu);
    else {
      assert(task.debtNs === 0, '[task-state] a task that waits owes nothing');
      if (next.value === 'spin') {
        this.#enter(task, 'spinning');
        this.#planNext(cpu);
      } else this.#park(cpu, task);
    }
    this.#executing = before;
  }

  #park(cpu: Cpu, task: SchedTask): void {
    this.#enter(task, 'parked');
    for (const lock of task.holds) lock.ownerLeft();
    this.#leave(cpu);
  }

  /** The task of `cpu` is gone; the next one gets it. */
  #leave(cpu: Cpu): void {
    this.#executing = null;
    this.#dispatch(cpu, false);
  }

  #end(cpu: Cpu, task: SchedTask): void {
    if (task.debtNs > 0) {
      // It ends when what it still owes has passed.
      task.body.return();
      this.#planNext(cpu);
      return;
    }
    this.#enter(task, 'ended');
    task.endNs = this.nowNs;
    this.#leave(cpu);
  }
}
