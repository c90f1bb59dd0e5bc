/**
 * A userfaultfd in virtual time: read and polled by threads, its ioctls as methods.
 *
 *   const uffd = yield* Userfaultfd.open(t);
 *   yield* uffd.register(t, heap, len, MISSING);
 *   …
 *   const message = yield* uffd.read(handler);
 *   if (message.event === 'pagefault') yield* uffd.fill(handler, 'copy', { start, len: PAGE_SIZE, source });
 *
 * A thread that faults in registered memory waits until the page is there, or somebody wakes it; that wait is a stall. An ioctl locks the vma, or
 * mmap_lock for reading, and is carried out at once, as every call.
 *
 * Linux   fs/userfaultfd.c, mm/userfaultfd.c; ioctl_userfaultfd(2)
 */
import { UFFD_API } from '../../abi/userfaultfd.ts';
import { must, UsageError } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import {
  type FillKind,
  type FillRequest,
  type FillResult,
  isRefused,
  isWait,
  PATH,
  type SysResult,
  UffdContext,
  UffdFill,
  type UffdMessage,
  type UffdMoveRequest,
  uffdMove,
  uffdWriteProtect,
  VM_SHARED,
} from '../../mm/index.ts';
import type { AddrRange } from '../locks/mmLocks.ts';
import type { Running } from '../sched/schedTask.ts';
import { type Pollable, Waiter, type WaitQueue } from '../sched/waitQueue.ts';
import type { UffdCharges } from '../uffdCharges.ts';
import { uffdIoctl } from '../uffdOp.ts';
import type { Thread } from './thread.ts';

/** A userfaultfd and who reads it. */
export class Userfaultfd implements Pollable {
  readonly fd: number;
  readonly context: UffdContext;
  readonly waiters: WaitQueue;

  private constructor(fd: number, context: UffdContext, waiters: WaitQueue) {
    this.fd = fd;
    this.context = context;
    this.waiters = waiters;
  }

  /** Opens one for the process of `t`, with the features asked for. @param features  UFFD_FEATURE_ bits */
  static *open(t: Thread, features = 0, flags = 0): Running<Userfaultfd> {
    const fd = yield* t.call({ call: 'userfaultfd', flags });
    const mm = must(t.mm, '[task-state] a thread that runs has memory');
    const context = new UffdContext(mm, flags);
    t.group.process.files.set(fd, { kind: 'uffd', context });
    yield* t.owe(t.simulation.prices.syscallNs);
    const answer = context.handshake(UFFD_API, features, mm.privileged);
    if (isRefused(answer))
      throw new UsageError(
        `UFFDIO_API was refused: ${answer.why}`,
        'features that the kernel has (and privilege for EVENT_FORK)',
      );
    return new Userfaultfd(fd, context, t.simulation.uffd.readersOf(context));
  }
  /** Makes the userfaultfd of a forked child, whose descriptor the reader of `message` gets. */
  static ofFork(t: Thread, message: Extract<UffdMessage, { event: 'fork' }>): Userfaultfd {
    const { files } = t.group.process;
    const fd = files.lowestFree();
    const { context } = message;
    files.set(fd, { kind: 'uffd', context });
    return new Userfaultfd(fd, context, t.simulation.uffd.readersOf(context));
  }
  /** Closes it. With the last descriptor everything registered is unregistered, and everybody who waits goes on. */
  *close(t: Thread): Running<void> {
    yield* t.call({ call: 'close', fd: this.fd });
  }

  /** Tells whether a read would get a message. */
  isReady(): boolean {
    return this.context.isReadable;
  }

  /** Reads one message; waits for it. */
  *read(t: Thread): Running<UffdMessage> {
    if (!t.pays(readNs(t))) yield 'pay';
    for (;;) {
      if (t.group.isOver) yield 'end';
      const message = this.context.read();
      if (message !== null) return message;
      const waiter = new Waiter(t.simulation.scheduler, this.waiters.alone, t.task, FOR_MESSAGE);
      yield 'park';
      waiter.finish();
      if (!t.pays(0)) yield 'pay';
    }
  }
  /** Reads without waiting (O_NONBLOCK): up to `most` messages; none if there are none. */
  *readNow(t: Thread, most = 16): Running<UffdMessage[]> {
    yield* t.owe(readNs(t));
    const messages: UffdMessage[] = [];
    while (messages.length < most) {
      const message = this.context.read();
      if (message === null) break;
      messages.push(message);
    }
    return messages;
  }

  /** UFFDIO_REGISTER. @param mode  1 missing, 2 write-protect, 4 minor, or several */
  *register(t: Thread, addr: Addr, len: number, mode: number): Running<void> {
    yield* t.call(uffdIoctl(this.fd, { name: 'UFFDIO_REGISTER', start: addr, len, mode }));
  }
  /** UFFDIO_UNREGISTER. */
  *unregister(t: Thread, addr: Addr, len: number): Running<void> {
    yield* t.call(uffdIoctl(this.fd, { name: 'UFFDIO_UNREGISTER', start: addr, len }));
  }

  /** UFFDIO_COPY, ZEROPAGE, CONTINUE or POISON. */
  *fill(
    t: Thread,
    kind: FillKind,
    request: Omit<FillRequest, 'mode'> & { mode?: number },
  ): Running<FillResult> {
    const { start, len, mode = 0, source = 0, readOnly = false } = request;
    const { simulation, task, tid } = t;
    const mm = t.mm ?? this.context.mm;
    const call = new UffdFill(this.context, kind, { start, len, mode, source, readOnly }, { mm, tid });
    const isShared = ((this.context.mm.vmas.at(start)?.flags ?? 0) & VM_SHARED) !== 0;
    const startNs = simulation.scheduler.nowNs;
    const locks = simulation.locksOf(this.context.mm);
    const range = { start, end: start + len };
    for (;;) {
      if (!t.pays(simulation.prices.syscallNs)) yield 'pay';
      if (t.group.isOver) yield 'end';
      const byVma = locks.tryReadVma(range);
      if (!byVma) yield* locks.mmapLock.read(task);
      const charges = simulation.beginCall(t, false);
      const step = call.step();
      if (!isWait(step)) charges.endFill(kind, Math.max(0, step.done ?? 0) / PAGE_SIZE, isShared);
      if (!t.pays(simulation.billNs())) yield 'pay';
      if (byVma) locks.endReadVma(range);
      else locks.mmapLock.releaseRead();
      if (!t.pays(0)) yield 'pay';
      if (t.group.isOver) yield 'end';
      if (!isWait(step)) {
        task.noteStall(FILL_NAMES[kind], startNs, simulation.scheduler.nowNs, 0);
        return step;
      }
      yield* simulation.uffd.waitFor(t, step);
    }
  }
  /** UFFDIO_MOVE. @param request  `mode` 1 without waking, 2 what is not there counts as moved */
  *move(t: Thread, request: Omit<UffdMoveRequest, 'mode'> & { mode?: number }): Running<FillResult> {
    const { start, source, len } = request;
    const target = { start, end: start + len };
    return yield* this.#locked(t, 'uffd move', [target, { start: source, end: source + len }], (charges) => {
      const result = uffdMove(this.context, { mode: 0, ...request }, t.mm ?? this.context.mm);
      charges.endMove();
      return result;
    });
  }
  /** UFFDIO_WRITEPROTECT. @param mode  1 protect, 0 take the protection away and wake, 2 without waking */
  *writeProtect(t: Thread, start: Addr, len: number, mode: number): Running<SysResult> {
    const on = (mode & 1) !== 0;
    return yield* this.#locked(t, on ? 'uffd protect' : 'uffd unprotect', null, (charges) => {
      const result = uffdWriteProtect(this.context, { start, len, mode });
      charges.endProtect(on);
      return result;
    });
  }
  /** UFFDIO_WAKE. */
  *wake(t: Thread, start: Addr, len: number): Running<void> {
    yield* t.owe(t.simulation.prices.syscallNs);
    this.context.wake(start, len);
    yield* t.owe(0);
  }

  /** Carries out an ioctl under the locks of the vmas of `ranges` (null, or where they change: mmap_lock for reading), and pays it. */
  *#locked<T>(
    t: Thread,
    what: string,
    ranges: readonly AddrRange[] | null,
    act: (charges: UffdCharges) => T,
  ): Running<T> {
    const { simulation, task } = t;
    yield* t.owe(simulation.prices.syscallNs);
    const startNs = simulation.scheduler.nowNs;
    const locks = simulation.locksOf(this.context.mm);
    const had = ranges === null ? null : locks.tryReadAll(ranges);
    if (had === null) yield* locks.mmapLock.read(task);
    const result = act(simulation.beginCall(t));
    yield* t.owe(simulation.billNs());
    if (had === null) locks.mmapLock.releaseRead();
    else for (const range of had) locks.endReadVma(range);
    yield* t.owe(0);
    task.noteStall(what, startNs, simulation.scheduler.nowNs, 0);
    return result;
  }
}

const FOR_MESSAGE = { reason: 'userfaultfd', voluntary: true } as const;
const FILL_NAMES: Readonly<Record<FillKind, string>> = {
  copy: 'uffd copy',
  zeropage: 'uffd zeropage',
  continue: 'uffd continue',
  poison: 'uffd poison',
};

/** Charges a read of a message, and returns what it costs. */
function readNs(t: Thread): number {
  const { simulation } = t;
  simulation.beginCall(t, false);
  simulation.kernel.work.charge(PATH['uffd-read'], 1);
  return simulation.prices.syscallNs + simulation.billNs();
}
