/**
 * A thread of a program in virtual time: what a workload is written against.
 *
 * A program is a generator that is handed its thread. Calls and accesses that may wait are generators (`yield* t.mmap(…)`). Loads and stores
 * have a plain form as well, for loops that make millions of them: it does what needs no waiting and otherwise says so.
 *
 *   const value = t.load(addr) ?? (yield* t.read(addr));
 *   if (!t.store(addr, value + 1)) yield* t.write(addr, value + 1);
 *
 * The plain form does not do it when the page needs a fault, and from time to time because the other CPUs have to catch up: between two pauses a
 * thread is alone, and its clock is ahead of theirs by no more than the quantum of the simulation.
 * A word is eight bytes, a number from 0 to 2^53 - 1; addresses are bytes, and words lie at multiples of 8.
 *
 * A call that is refused throws, because a program relies on its calls; one that expects a refusal uses `attempt`. An access that ends in SIGSEGV or
 * SIGBUS runs the handler of the process, on this thread, and is made again; without one, or in the handler itself, the process is killed.
 *
 * Linux      pthreads, and the calls by their names
 * Left out   the price of making a thread; signals from other threads
 */
import {
  CLONE_FILES,
  CLONE_THREAD,
  CLONE_VM,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../abi/mman.ts';
import { must, UsageError } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { MISS, translate } from '../../mm/translate.ts';
import type { VrangeBehavior, VrangeMode } from '../../mm/vrangeTree.ts';
import type { Op } from '../op.ts';
import { DONE, type Outcome, resultOf } from '../outcome.ts';
import type { Running, SchedTask, TaskOptions } from '../sched/schedTask.ts';
import { type Pollable, WaitQueue, type Woken, waitAny } from '../sched/waitQueue.ts';
import type { CallWatch } from './callWatch.ts';
import type { Simulation } from './simulation.ts';
import type { FaultSignal, SignalHandler, SignalInfo, ThreadGroup } from './threadGroup.ts';
import { ThreadMemory } from './threadMemory.ts';
import { timedCall } from './timedCall.ts';
import { timedScan } from './timedScan.ts';

/** What a thread runs. */
export type ThreadMain = (thread: Thread) => Running<void>;
/** How a thread may run: on one CPU only, before ordinary ones. */
export type ThreadOptions = Omit<TaskOptions, 'name'>;

/** How to map; what is left out is private anonymous memory, readable and writable, where the kernel likes. */
export interface MapHow {
  readonly prot?: number;
  /** Flags besides MAP_PRIVATE | MAP_ANONYMOUS (or, with `fd`, all of them). */
  readonly flags?: number;
  /** Exactly there (MAP_FIXED). */
  readonly at?: Addr;
  /** A file, and where in it, bytes. */
  readonly fd?: number;
  readonly offset?: number;
}

const READ_WRITE = PROT_READ | PROT_WRITE;

/** One thread. */
export class Thread extends ThreadMemory {
  readonly task: SchedTask;
  readonly #ended: WaitQueue;
  #isDone = false;
  /** Signals whose handlers run just now. */
  readonly #handling = new Set<FaultSignal>();

  /** Made by `Simulation.start` and `Thread.spawn`. */
  constructor(
    simulation: Simulation,
    group: ThreadGroup,
    of: { name: string; main: ThreadMain; options: ThreadOptions; tid: number },
  ) {
    super(simulation, group, of.tid);
    this.#ended = new WaitQueue(simulation.scheduler);
    group.threads.push(this);
    this.task = simulation.scheduler.spawn(this.#run(of.main), { ...of.options, name: of.name });
  }

  *#run(main: ThreadMain): Running<void> {
    yield* main(this);
    // Nobody waits for what it does last.
    yield* timedCall(this, { call: 'exit' });
    this.#isDone = true;
    this.#ended.wakeAll();
  }

  // ---- signals -----------------------------------------------------------------------------------------------------------------

  /** Sets the handler of `signal` for the process, or takes it away (null). */
  onSignal(signal: FaultSignal, handler: SignalHandler | null): void {
    if (handler === null) this.group.handlers.delete(signal);
    else this.group.handlers.set(signal, handler);
  }
  *signalled(info: SignalInfo): Running<void> {
    const handler = this.group.handlers.get(info.signal);
    if (handler === undefined || this.#handling.has(info.signal)) {
      this.group.killedBy = info;
      yield* this.exit();
      return;
    }
    this.#handling.add(info.signal);
    yield* handler(this, info);
    this.#handling.delete(info.signal);
    yield* this.owe(0);
  }

  // ---- calls -------------------------------------------------------------------------------------------------------------------

  /** Makes one call and returns what came of it, whatever it is. */
  *attempt(op: Op): Running<Outcome> {
    const { task, simulation } = this;
    const startNs = this.nowNs;
    const askedNs = task.voluntaryNs;
    const { watch } = simulation;
    const outcome = yield* watch === null ? timedCall(this, op) : watchedCall(this, op, watch);
    task.noteStall(op.call, startNs, simulation.scheduler.nowNs, task.voluntaryNs - askedNs);
    if (simulation.machine.tableReclaim.isScanning) yield* timedScan(this);
    return outcome;
  }
  /** Makes one call that must work and returns its value. */
  *call(op: Op): Running<number> {
    const outcome = resultOf(yield* this.attempt(op));
    if (outcome.kind === 'value') return outcome.value;
    const why = outcome.kind === 'errno' ? `${outcome.errno} (${outcome.why})` : outcome.kind;
    throw new UsageError(
      `${this.name}: ${op.call} was refused: ${why}`,
      'a call that works, or attempt() where it need not',
    );
  }
  /** Maps `len` bytes and returns where. */
  *mmap(len: number, how: MapHow = {}): Running<Addr> {
    const { prot = READ_WRITE, at, fd = -1, offset = 0 } = how;
    const kind = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : 0;
    const flags = kind | (at === undefined ? 0 : MAP_FIXED) | (how.flags ?? 0);
    return yield* this.call({ call: 'mmap', addr: at ?? 0, len, prot, flags, fd, offset });
  }
  /** Unmaps [addr, addr+len). */
  *munmap(addr: Addr, len: number): Running<void> {
    yield* this.call({ call: 'munmap', addr, len });
  }
  /** Changes the access of [addr, addr+len); reading and writing unless told. */
  *mprotect(addr: Addr, len: number, prot: number = READ_WRITE): Running<void> {
    yield* this.call({ call: 'mprotect', addr, len, prot });
  }
  /** Resizes or moves [addr, addr+oldLen) and returns where it is now; exactly to `to` if given. */
  *mremap(addr: Addr, oldLen: number, newLen: number, to?: Addr, flags = 0): Running<Addr> {
    const how = MREMAP_MAYMOVE | (to === undefined ? 0 : MREMAP_FIXED) | flags;
    return yield* this.call({ call: 'mremap', addr, oldLen, newLen, flags: how, newAddr: to ?? 0 });
  }
  /** Gives advice about [addr, addr+len). */
  *madvise(addr: Addr, len: number, advice: number): Running<void> {
    yield* this.call({ call: 'madvise', addr, len, advice });
  }
  /** vrange (seed 002). @returns  whether a page of the range was gone, which only `novolatile` tells; it reads as zeros now */
  *vrange(addr: Addr, len: number, mode: VrangeMode, behavior: VrangeBehavior = 'full'): Running<boolean> {
    return (yield* this.call({ call: 'vrange', addr, len, mode, behavior })) === 1;
  }
  /** Makes a memfd of `size` bytes and returns its descriptor. */
  *memfd(name: string, size: number): Running<number> {
    const fd = yield* this.call({ call: 'memfd_create', name, flags: 0 });
    yield* this.call({ call: 'ftruncate', fd, size });
    return fd;
  }

  // ---- other threads -----------------------------------------------------------------------------------------------------------

  /** Starts another thread of this process. */
  *spawn(name: string, main: ThreadMain, options: ThreadOptions = {}): Running<Thread> {
    yield* this.owe(0);
    const flags = CLONE_VM | CLONE_THREAD | CLONE_FILES;
    const outcome = this.simulation.machine.apply(this.tid, { call: 'clone', flags, child: 0 });
    const tid = outcome.kind === 'value' ? outcome.value : 0;
    return this.simulation.addThread(this.group, { name, main, options, tid });
  }
  /** Forks; the child, which has the handlers of this process, runs `main`. */
  *fork(name: string, main: ThreadMain, options: ThreadOptions = {}): Running<Thread> {
    const pid = yield* this.call({ call: 'clone', flags: 0, child: 0 });
    const child = must(
      this.simulation.machine.process(pid),
      '[task-state] a fork that works makes a process',
    );
    const thread = this.simulation.adopt(child, name, main, options);
    for (const [signal, handler] of this.group.handlers) thread.onSignal(signal, handler);
    return thread;
  }
  /** Waits for the end of `thread`. */
  *join(thread: Thread): Running<void> {
    yield* this.owe(0);
    while (!thread.#isDone && !thread.group.isOver)
      yield* thread.#ended.wait(this.task, { reason: 'join', voluntary: true });
    yield* this.owe(0);
  }
  /** Ends the process and all its threads. Does not come back. */
  *exit(): Running<void> {
    yield* this.attempt({ call: 'exit_group' });
    this.endGroup();
    yield 'end';
  }
  /** The process of this thread is gone: none of its threads goes on, and who waits for one of them does. */
  endGroup(): void {
    this.group.isOver = true;
    for (const other of this.group.threads) {
      other.task.waiter?.interrupt();
      other.#ended.wakeAll();
    }
  }

  /**
   * Waits, unless the word at `addr` is not `expected` any more, until somebody wakes the futex there. The woken one looks again.
   * @returns  what ended it; `changed` when the word was another one
   */
  *futexWait(addr: Addr, expected: number, timeoutNs?: number): Running<Woken | 'changed'> {
    const { futexNs } = this.simulation.prices;
    // The load needs the page, and costs nothing beyond the call.
    yield* this.read(addr);
    yield* this.owe(futexNs);
    const { mm } = this;
    const pfn = mm === null ? MISS : translate(mm, addr, 'read');
    const word =
      pfn === MISS ? Number.NaN : this.simulation.kernel.frames.contents.word(pfn, addr & (PAGE_SIZE - 1));
    if (word !== expected) return 'changed';
    const how = { reason: 'futex', voluntary: true, ...(timeoutNs === undefined ? {} : { timeoutNs }) };
    const woken = yield* this.group.futex(addr).wait(this.task, how);
    this.group.forgetFutex(addr);
    yield* this.owe(0);
    return woken;
  }
  /** Wakes up to `most` threads that wait for the futex at `addr`. Returns how many. */
  *futexWake(addr: Addr, most = 1): Running<number> {
    yield* this.owe(this.simulation.prices.futexNs);
    return this.group.futex(addr).wake(most);
  }
  /** Waits until one of `things` is ready. @returns  those that are; none when `timeoutNs` have passed */
  *poll<T extends Pollable>(things: readonly T[], timeoutNs?: number): Running<T[]> {
    yield* this.owe(this.simulation.prices.syscallNs);
    const endNs = this.nowNs + (timeoutNs ?? Number.POSITIVE_INFINITY);
    for (;;) {
      const ready = things.filter((thing) => thing.isReady());
      if (ready.length > 0 || this.nowNs >= endNs) return ready;
      const left = timeoutNs === undefined ? {} : { timeoutNs: endNs - this.nowNs };
      const queues = things.map(({ waiters }) => waiters);
      yield* waitAny(this.simulation.scheduler, queues, this.task, {
        reason: 'poll',
        voluntary: true,
        ...left,
      });
      yield* this.owe(0);
    }
  }
}

/** A call that somebody may change, and looks at. */
function* watchedCall(thread: Thread, op: Op, watch: CallWatch): Running<Outcome> {
  const asked = watch.before(thread, op);
  const came = asked === null ? DONE : yield* timedCall(thread, asked);
  return watch.after(thread, asked ?? { call: 'nop' }, came);
}
