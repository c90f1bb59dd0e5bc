/**
 * A snapshot of one moment, at which the guest is stopped shortly: saved while it goes on, page by page before it changes.
 *
 *   fork       stop, fork, go on; the child saves what it is told to, a batch at a time, and ends
 *   messages   bring pages in (if so asked), stop, protect everything, go on. Then save in order, a batch at a time, and give each batch free. Who
 *              writes a page before that waits until it is saved: messages are looked for between two batches
 *
 * Linux   QEMU's background snapshot works like the second (migration/ram.c), Redis's BGSAVE like the first
 */
import { MADV_POPULATE_READ } from '../../abi/mman.ts';
import {
  UFFD_PAGEFAULT_FLAG_WP,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../abi/userfaultfd.ts';
import { ModelBug, must, UsageError } from '../../base/assert.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { Pipe, type Running, resultOf, type Thread, Userfaultfd, uffdIoctl } from '../../machine/index.ts';
import { METHOD } from './method.ts';
import { MethodRefused, type Taking } from './taking.ts';

/** A snapshot that is armed at one moment and saved afterwards. */
export interface Snapshot {
  /** Stops the guest for the moment that is to be saved. @throws MethodRefused */
  arm(t: Thread): Running<void>;
  /** Saves the pages from `first` to below `end`, and lets whoever waits to write them go on. */
  save(t: Thread, first: number, end: number): Running<void>;
  /** Lets those go on who wait to write a page that is not saved yet: it is saved now. */
  answer(t: Thread): Running<void>;
  /** Everything is saved. */
  finish(t: Thread): Running<void>;
}

/** Returns what takes a snapshot of one moment by the method of `taking`. */
export const snapshotOf = (taking: Taking): Snapshot =>
  METHOD[taking.options.method].by === 'child' ? new ForkSnapshot(taking) : new MessageSnapshot(taking);

/** Takes it, and saves all. @throws MethodRefused */
export function* takeAtOnce(t: Thread, taking: Taking): Running<void> {
  const { times, guest, options } = taking;
  times.startNs = t.nowNs;
  const snapshot = snapshotOf(taking);
  yield* snapshot.arm(t);
  const { nrPages } = guest.memory;
  for (let first = 0; first < nrPages; first += options.batch) {
    yield* snapshot.save(t, first, Math.min(first + options.batch, nrPages));
    yield* snapshot.answer(t);
  }
  yield* snapshot.finish(t);
  times.doneNs = t.nowNs;
}

/** Saved by a child, which is told in batches what to save. */
class ForkSnapshot implements Snapshot {
  readonly #taking: Taking;
  readonly #orders: Pipe<PageRange | null>;
  readonly #answers: Pipe<PageRange>;
  #child: Thread | null = null;

  constructor(taking: Taking) {
    this.#taking = taking;
    this.#orders = new Pipe(taking.simulation);
    this.#answers = new Pipe(taking.simulation);
  }

  *arm(t: Thread): Running<void> {
    const taking = this.#taking;
    const isShared = taking.guest.memory.backing === 'shmem';
    const watch = taking.watched(isShared ? 'none' : 'copy', (page) => taking.saver.isSaved(page));
    taking.times.preparedNs = t.nowNs;
    const fork = this;
    yield* taking.stopped(t, function* () {
      fork.#child = yield* t.fork('saver', (c) => fork.#serve(c));
      taking.armed(t, watch);
      taking.remember();
    });
  }
  *#serve(c: Thread): Running<void> {
    for (;;) {
      const order = yield* this.#orders.read(c);
      if (order === null) return;
      yield* this.#taking.saver.saveRange(c, order.first, order.end);
      yield* this.#answers.write(c, order);
    }
  }

  *save(t: Thread, first: number, end: number): Running<void> {
    yield* this.#orders.write(t, { first, end });
    yield* this.#answers.read(t);
  }
  /** Nobody waits: writers get a page of their own. */
  *answer(): Running<void> {}
  *finish(t: Thread): Running<void> {
    yield* this.#orders.write(t, null);
    if (this.#child !== null) yield* t.join(this.#child);
  }
}

interface PageRange {
  readonly first: number;
  readonly end: number;
}

/** Brings in what is not there, so that it can be protected. */
export function* prefault(t: Thread, taking: Taking): Running<void> {
  const { memory } = taking.guest;
  switch (METHOD[taking.options.method].prefault) {
    case 'none':
      break;
    case 'read':
      yield* t.touch(memory.at, memory.len, 'read');
      break;
    case 'populate':
      yield* t.madvise(memory.at, memory.len, MADV_POPULATE_READ);
  }
  taking.times.preparedNs = t.nowNs;
}

/** Opens a userfaultfd with what the method asks for. @throws MethodRefused */
export function* openFor(t: Thread, taking: Taking): Running<Userfaultfd> {
  try {
    return yield* Userfaultfd.open(t, METHOD[taking.options.method].features);
  } catch (error) {
    throw error instanceof UsageError ? new MethodRefused(error.message) : error;
  }
}

/** Registers the memory of the guest. @throws MethodRefused */
export function* registerAll(t: Thread, uffd: Userfaultfd, taking: Taking): Running<void> {
  const { at, len } = taking.guest.memory;
  const request = { name: 'UFFDIO_REGISTER', start: at, len, mode: UFFDIO_REGISTER_MODE_WP } as const;
  const came = resultOf(yield* t.attempt(uffdIoctl(uffd.fd, request)));
  if (came.kind === 'errno') throw new MethodRefused(`UFFDIO_REGISTER: ${came.errno} (${came.why})`);
}

/** Protects all memory of the guest. */
export function* protectAll(t: Thread, uffd: Userfaultfd, taking: Taking): Running<void> {
  const { at, len } = taking.guest.memory;
  yield* uffd.writeProtect(t, at, len, UFFDIO_WRITEPROTECT_MODE_WP);
}

/** Saved by the process itself, which is told who waits to write what. */
class MessageSnapshot implements Snapshot {
  readonly #taking: Taking;
  #uffd: Userfaultfd | null = null;

  constructor(taking: Taking) {
    this.#taking = taking;
  }
  get #opened(): Userfaultfd {
    return must(this.#uffd, '[snapshot-armed] what is saved was armed');
  }

  *arm(t: Thread): Running<void> {
    const taking = this.#taking;
    const watch = taking.watched('entries', (page) => taking.saver.isSaved(page));
    const uffd = yield* openFor(t, taking);
    this.#uffd = uffd;
    yield* prefault(t, taking);
    yield* taking.stopped(t, function* () {
      yield* registerAll(t, uffd, taking);
      yield* protectAll(t, uffd, taking);
      taking.armed(t, watch);
      taking.remember();
    });
  }

  *save(t: Thread, first: number, end: number): Running<void> {
    const { saver, guest } = this.#taking;
    yield* saver.saveRange(t, first, end);
    yield* this.#opened.writeProtect(t, guest.memory.addrOf(first), (end - first) * PAGE_SIZE, 0);
  }

  *answer(t: Thread): Running<void> {
    const uffd = this.#opened;
    const taking = this.#taking;
    const { guest, saver } = taking;
    while ((yield* t.poll([uffd], 0)).length > 0) {
      const message = yield* uffd.read(t);
      if (message.event !== 'pagefault' || (message.flags & UFFD_PAGEFAULT_FLAG_WP) === 0)
        throw new ModelBug(`[snapshot-message] ${message.event}: only writes to protected pages are told of`);
      taking.nrMessages++;
      const page = guest.memory.pageOf(message.addr);
      if (!saver.isSaved(page)) {
        yield* saver.savePage(t, page);
        taking.nrOnDemand++;
      }
      yield* uffd.writeProtect(t, guest.memory.addrOf(page), PAGE_SIZE, 0);
    }
  }

  *finish(t: Thread): Running<void> {
    const { memory } = this.#taking.guest;
    yield* this.#opened.unregister(t, memory.at, memory.len);
  }
}
