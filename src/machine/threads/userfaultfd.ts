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
 * Left out   calls that have to wait for an event to be read (fork, mremap, munmap, MADV_DONTNEED with events)
 */
import { UFFD_API } from '../../abi/userfaultfd.ts';
import { must } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import {
  FACT,
  type FillKind,
  type FillRequest,
  type FillResult,
  isWait,
  type SysResult,
  type UffdContext,
  UffdFill,
  type UffdMessage,
  type UffdMoveRequest,
  uffdMove,
  uffdWriteProtect,
} from '../../mm/index.ts';
import type { AddrRange } from '../locks/mmLocks.ts';
import type { UffdIoctl } from '../paid/uffdPrices.ts';
import type { Running } from '../sched/schedTask.ts';
import type { Pollable, WaitQueue } from '../sched/waitQueue.ts';
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
    const descriptor = must(t.group.process.files.get(fd), '[task-state] what was opened is open');
    const context = must(descriptor.kind === 'uffd' ? descriptor.context : null, '[task-state] it is a uffd');
    yield* t.owe(t.simulation.prices.syscallNs);
    context.handshake(UFFD_API, features, t.mm?.privileged ?? false);
    return new Userfaultfd(fd, context, t.simulation.uffd.readersOf(context));
  }

  /** Tells whether a read would get a message. */
  isReady(): boolean {
    return this.context.isReadable;
  }

  /** Reads one message; waits for it. */
  *read(t: Thread): Running<UffdMessage> {
    yield* t.owe(t.simulation.uffd.prices.readNs);
    for (;;) {
      const message = this.context.read();
      if (message !== null) return message;
      yield* this.waiters.wait(t.task, { reason: 'userfaultfd', voluntary: true });
      yield* t.owe(0);
    }
  }

  /** UFFDIO_REGISTER. @param mode  1 missing, 2 write-protect, 4 minor, or several */
  *register(t: Thread, addr: Addr, len: number, mode: number): Running<void> {
    yield* t.call({ call: 'uffd_register', fd: this.fd, addr, len, mode });
  }
  /** UFFDIO_UNREGISTER. */
  *unregister(t: Thread, addr: Addr, len: number): Running<void> {
    yield* t.call({ call: 'uffd_unregister', fd: this.fd, addr, len });
  }

  /** UFFDIO_COPY, ZEROPAGE, CONTINUE or POISON. */
  *fill(
    t: Thread,
    kind: FillKind,
    request: Omit<FillRequest, 'mode'> & { mode?: number },
  ): Running<FillResult> {
    const { mm } = t;
    const call = new UffdFill(
      this.context,
      kind,
      { mode: 0, ...request },
      { mm: mm ?? this.context.mm, tid: t.tid },
    );
    const range = { start: request.start, end: request.start + request.len };
    for (;;) {
      const came = yield* this.#locked(t, kind, [range], () => {
        const step = call.step();
        return { step, pages: isWait(step) ? 0 : Math.max(0, step.done ?? 0) / PAGE_SIZE };
      });
      if (!isWait(came)) return came;
      yield* t.simulation.uffd.waitFor(t, came);
    }
  }
  /** UFFDIO_MOVE. */
  *move(t: Thread, request: Omit<UffdMoveRequest, 'mode'> & { mode?: number }): Running<FillResult> {
    const { start, source, len } = request;
    const ranges = [
      { start, end: start + len },
      { start: source, end: source + len },
    ];
    return yield* this.#locked(t, 'move', ranges, () => {
      const step = uffdMove(this.context, { mode: 0, ...request }, t.mm ?? this.context.mm);
      return { step, pages: Math.max(0, step.done ?? 0) / PAGE_SIZE };
    });
  }
  /** UFFDIO_WRITEPROTECT. @param mode  1 protect, 0 take the protection away and wake, 2 without waking */
  *writeProtect(t: Thread, start: Addr, len: number, mode: number): Running<SysResult> {
    const { facts } = t.simulation.kernel.work;
    const markedBefore = facts[FACT.markersSet] as number;
    const changedBefore = facts[FACT.ptesReprotected] as number;
    const of = (mode & 1) === 0 ? 'unprotect' : 'protect';
    return yield* this.#locked(t, of, null, () => {
      const step = uffdWriteProtect(this.context, { start, len, mode });
      const marked = (facts[FACT.markersSet] as number) - markedBefore;
      const changed = (facts[FACT.ptesReprotected] as number) - changedBefore;
      return { step, pages: marked + changed, kind: marked > changed ? 'mark' : of };
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
    of: UffdIoctl,
    ranges: readonly AddrRange[] | null,
    act: () => { readonly step: T; readonly pages: number; readonly kind?: UffdIoctl },
  ): Running<T> {
    const { simulation, task } = t;
    const { prices, ledger, uffd, kernel } = simulation;
    yield* t.owe(prices.syscallNs);
    const startNs = simulation.scheduler.nowNs;
    const locks = simulation.locksOf(this.context.mm);
    const had = ranges === null ? null : locks.tryReadAll(ranges);
    if (had === null) yield* locks.mmapLock.read(task);
    ledger.begin();
    kernel.opNr++;
    const { step, pages, kind = of } = act();
    const { callNs, pageNs } = uffd.prices.ioctls[kind];
    const ownNs = Math.max(0, callNs + pages * pageNs - prices.syscallNs);
    yield* t.owe(ownNs + ledger.totalNs + ledger.shootdowns * prices.shootdownNs);
    if (had === null) locks.mmapLock.releaseRead();
    else for (const range of had) locks.endReadVma(range);
    yield* t.owe(0);
    task.noteStall(`uffd ${kind}`, startNs, simulation.scheduler.nowNs, 0);
    return step;
  }
}
