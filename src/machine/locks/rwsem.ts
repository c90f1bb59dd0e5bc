/**
 * The kernel's sleeping reader-writer lock: `mmap_lock`, and the lock of an anon_vma tree.
 *
 *   read    at once unless somebody writes or waits asleep; a reader that comes while nobody holds it steals it from a sleeping writer
 *           otherwise it sleeps in the queue
 *   write   at once if nobody holds it, even if somebody who sleeps is on his way; otherwise it spins while the writer that holds it runs, and for
 *           a while on readers (a real-time task does not spin on readers, because it could keep them from running); then it sleeps in the queue
 *   given up   a spinning writer gets it first. Else the queue: a writer at its head is woken and tries again, and others may be faster; if a
 *              reader is at its head, all readers of the queue get it together, those behind writers too
 *   handoff    a writer that was woken in vain, and a reader that was passed over, who waited longer than 4 ms (a real-time writer at once) is handed
 *              the lock: nobody is faster then
 *
 * So a waiting writer keeps later readers out while readers hold the lock, and no waiter starves.
 *
 * Invariants   [rwsem-exclusive] a writer holds it alone
 *              [rwsem-waits] nobody sleeps in the queue of a lock that nobody holds, unless its first one is on its way
 * Cost         no event when nobody waits
 * Linux        kernel/locking/rwsem.c (6.18)
 * Left out     the limit of 256 readers woken at once; lock owners that are preempted inside the spinners' own queue
 */
import { assert } from '../../base/assert.ts';
import type { TimedEvent } from '../sched/eventQueue.ts';
import type { OwnedLock, Running, SchedTask } from '../sched/schedTask.ts';
import type { Scheduler } from '../sched/scheduler.ts';
import { type LockMode, LockStats } from './lockStats.ts';

/** How long a sleeping writer may be overtaken. Linux: RWSEM_WAIT_TIMEOUT, one tick at 250 Hz. */
const HANDOFF_NS = 4_000_000;
/** How long a writer spins on readers: so long, and more for each reader, up to the most. Linux: rwsem_rspin_threshold(). */
const READER_SPIN_NS = 10_000;
const READER_SPIN_EACH_NS = 500;
const READER_SPIN_READERS = 30;

interface Waiter {
  readonly task: SchedTask;
  readonly mode: LockMode;
  readonly sinceNs: number;
  granted: boolean;
}

/** One lock. */
export class Rwsem implements OwnedLock {
  readonly name: string;
  readonly stats: Readonly<Record<LockMode, LockStats>> = { read: new LockStats(), write: new LockStats() };
  readonly #scheduler: Scheduler;
  readonly #handoverNs: number;
  #writer: SchedTask | null = null;
  #writerSinceNs = 0;
  #readers = 0;
  #readersSinceNs = 0;
  readonly #queue: Waiter[] = [];
  /** Writers that spin, the first one first. */
  readonly #spinning: Waiter[] = [];
  /** Ends the spinning on readers. */
  #spinTimer: TimedEvent | null = null;
  /** The head of the queue gets it next, whoever else comes. */
  #isHandoff = false;

  /** @param handoverNs  what it costs a spinning writer to take over from another CPU */
  constructor(scheduler: Scheduler, name: string, handoverNs: number) {
    this.#scheduler = scheduler;
    this.name = name;
    this.#handoverNs = handoverNs;
  }

  /** Tells whether nobody holds it. */
  get isFree(): boolean {
    return this.#writer === null && this.#readers === 0;
  }
  /** Who holds it for writing. */
  get writer(): SchedTask | null {
    return this.#writer;
  }
  /** How many hold it for reading. */
  get nrReaders(): number {
    return this.#readers;
  }

  // ---- taking ------------------------------------------------------------------------------------------------------------------

  /** Takes it for reading if that is possible at once. Linux: down_read_trylock(). */
  tryRead(): boolean {
    if (this.#writer !== null || this.#queue.length > 0) {
      this.stats.read.failedTries++;
      return false;
    }
    this.#addReaders(1);
    this.stats.read.took(0);
    return true;
  }
  /** Takes it for writing if nobody holds it. Linux: down_write_trylock(). */
  tryWrite(task: SchedTask): boolean {
    if (!this.isFree || this.#queue.length > 0) {
      this.stats.write.failedTries++;
      return false;
    }
    this.#setWriter(task);
    this.stats.write.took(0);
    return true;
  }

  /** Takes it for reading. `task` owes nothing. Linux: down_read(). */
  *read(task: SchedTask): Running<void> {
    assert(task.debtNs === 0, '[rwsem-exclusive] who takes a lock owes nothing');
    const sinceNs = this.#scheduler.nowNs;
    const isOpen = this.#writer === null && !this.#isHandoff;
    if (isOpen && (this.#queue.length === 0 || this.#readers === 0)) {
      this.#addReaders(1);
      // It overtook a sleeping writer: readers that sleep come along.
      this.#grantReaders();
    } else yield* this.#sleep(this.#enqueue(task, 'read', sinceNs));
    this.stats.read.took(this.#scheduler.nowNs - sinceNs);
  }

  /** Takes it for writing. `task` owes nothing. Linux: down_write(). */
  *write(task: SchedTask): Running<void> {
    assert(task.debtNs === 0, '[rwsem-exclusive] who takes a lock owes nothing');
    const sinceNs = this.#scheduler.nowNs;
    if (this.isFree && !this.#isHandoff) this.#setWriter(task);
    else if (!(yield* this.#spin(task, sinceNs))) yield* this.#sleepToWrite(task, sinceNs);
    this.stats.write.took(this.#scheduler.nowNs - sinceNs);
  }

  // ---- giving up ---------------------------------------------------------------------------------------------------------------

  /** A reader gives it up. Linux: up_read(). */
  releaseRead(): void {
    assert(this.#readers > 0, '[rwsem-exclusive] who gives it up held it');
    this.#addReaders(-1);
    if (this.#readers === 0) this.#passOn();
  }
  /** The writer gives it up. Linux: up_write(). */
  releaseWrite(task: SchedTask): void {
    this.#clearWriter(task);
    this.#passOn();
  }
  /** The writer becomes a reader, and sleeping readers get in. Linux: downgrade_write(). */
  downgrade(task: SchedTask): void {
    this.#clearWriter(task);
    this.#addReaders(1);
    this.#grantReaders();
    this.#watchSpinners();
  }

  /** The writer is not on a CPU any more: nobody spins for it. */
  ownerLeft(): void {
    for (const { task } of this.#spinning.splice(0)) this.#scheduler.endSpin(task);
  }

  // ---- inside ------------------------------------------------------------------------------------------------------------------

  #setWriter(task: SchedTask): void {
    assert(this.isFree, '[rwsem-exclusive] a writer is alone');
    this.#writer = task;
    this.#writerSinceNs = this.#scheduler.nowNs;
    task.holds.push(this);
  }
  #clearWriter(task: SchedTask): void {
    assert(this.#writer === task, '[rwsem-exclusive] who gives it up held it');
    this.#writer = null;
    this.stats.write.heldNs += this.#scheduler.nowNs - this.#writerSinceNs;
    task.holds.splice(task.holds.indexOf(this), 1);
  }
  #addReaders(n: number): void {
    assert(this.#writer === null, '[rwsem-exclusive] a writer is alone');
    const { nowNs } = this.#scheduler;
    this.stats.read.heldNs += this.#readers * (nowNs - this.#readersSinceNs);
    this.#readersSinceNs = nowNs;
    this.#readers += n;
  }

  #enqueue(task: SchedTask, mode: LockMode, sinceNs: number): Waiter {
    const waiter = { task, mode, sinceNs, granted: false };
    this.#queue.push(waiter);
    return waiter;
  }
  *#sleep(waiter: Waiter): Running<void> {
    waiter.task.waitsFor = this.name;
    yield 'park';
    assert(
      waiter.granted || waiter.mode === 'write',
      '[rwsem-waits] a reader is woken when it holds the lock',
    );
  }

  /** Spins for the lock if its owner is worth it. Returns whether it was had. Linux: rwsem_optimistic_spin(). */
  *#spin(task: SchedTask, sinceNs: number): Running<boolean> {
    if (this.#isHandoff || !this.#canSpin(task)) return false;
    const waiter: Waiter = { task, mode: 'write', sinceNs, granted: false };
    this.#spinning.push(waiter);
    this.#watchSpinners();
    yield 'spin';
    if (!waiter.granted) {
      const at = this.#spinning.indexOf(waiter);
      if (at >= 0) this.#spinning.splice(at, 1);
    }
    return waiter.granted;
  }
  #canSpin(task: SchedTask): boolean {
    if (this.#writer === null) return this.#readers > 0 && !task.realtime;
    return this.#writer.state === 'running' || this.#writer.state === 'spinning';
  }
  /** Readers hold it and may sleep: who spins on them gives up after a while. */
  #watchSpinners(): void {
    if (this.#readers === 0 || this.#spinning.length === 0) return;
    for (const waiter of this.#spinning.filter(({ task }) => task.realtime)) {
      this.#spinning.splice(this.#spinning.indexOf(waiter), 1);
      this.#scheduler.endSpin(waiter.task);
    }
    if (this.#spinTimer !== null) return;
    const extraNs = Math.min(this.#readers, READER_SPIN_READERS) * READER_SPIN_EACH_NS;
    this.#spinTimer = this.#scheduler.events.at(this.#scheduler.nowNs + READER_SPIN_NS + extraNs, () => {
      this.#spinTimer = null;
      if (this.#readers > 0) this.ownerLeft();
    });
  }

  /** Sleeps until the lock is had: woken, it has to try again. Linux: rwsem_down_write_slowpath(). */
  *#sleepToWrite(task: SchedTask, sinceNs: number): Running<void> {
    const waiter = this.#enqueue(task, 'write', sinceNs);
    while (!this.isFree || this.#queue[0] !== waiter) {
      yield* this.#sleep(waiter);
      if (!this.isFree && this.#queue[0] === waiter) this.#mayHandOver(waiter);
    }
    this.#queue.shift();
    this.#isHandoff = false;
    this.#setWriter(task);
  }
  /** The head of the queue was passed over: it has waited long enough if it gets the lock next. */
  #mayHandOver({ task, mode, sinceNs }: Waiter): void {
    const isLate = this.#scheduler.nowNs - sinceNs > HANDOFF_NS;
    if (isLate || (mode === 'write' && task.realtime)) this.#isHandoff = true;
  }

  /** Nobody holds it now: whose turn is it? Linux: rwsem_wake(), rwsem_mark_wake(). */
  #passOn(): void {
    if (this.#spinTimer !== null) this.#spinTimer.cancelled = true;
    this.#spinTimer = null;
    const first = this.#queue[0];
    const spinner = this.#isHandoff ? undefined : this.#spinning.shift();
    if (spinner !== undefined) {
      spinner.granted = true;
      this.#setWriter(spinner.task);
      this.#scheduler.endSpin(spinner.task, this.#handoverNs);
    }
    if (first?.mode === 'write') this.#scheduler.wake(first.task);
    else if (first !== undefined && spinner === undefined) this.#grantReaders();
    else if (first !== undefined) this.#mayHandOver(first);
  }

  /** All readers of the queue get it, if one of them is its head. */
  #grantReaders(): void {
    if (this.#queue[0]?.mode !== 'read') return;
    this.#isHandoff = false;
    const readers = this.#queue.filter(({ mode }) => mode === 'read');
    const writers = this.#queue.filter(({ mode }) => mode === 'write');
    this.#queue.splice(0, this.#queue.length, ...writers);
    this.#addReaders(readers.length);
    for (const waiter of readers) {
      waiter.granted = true;
      this.#scheduler.wake(waiter.task);
    }
  }
}
