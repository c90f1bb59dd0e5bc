/**
 * Notices writes by messages: a thread reads them, notes the page, and takes its protection away. Whoever writes a page for the first time since it was
 * protected waits that long. What is not protected, because it was not there, is not noticed.
 */
import { UFFDIO_WRITEPROTECT_MODE_WP } from '../../abi/userfaultfd.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread, Userfaultfd } from '../../machine/index.ts';
import { openFor, protectAll, registerAll } from './pointInTime.ts';
import type { DirtyRun, DirtyTracker } from './precopy.ts';
import type { Taking } from './taking.ts';

/** The reader looks up this often whether it is over, nanoseconds. */
const LOOK_UP_NS = 1_000_000;

/** Notices writes by messages of userfaultfd. */
export class MessageTracker implements DirtyTracker {
  readonly #taking: Taking;
  #uffd: Userfaultfd | null = null;
  #reader: Thread | null = null;
  #dirty = new Set<number>();
  #isOver = false;

  constructor(taking: Taking) {
    this.#taking = taking;
  }

  *arm(t: Thread): Running<void> {
    const uffd = yield* openFor(t, this.#taking);
    this.#uffd = uffd;
    const tracker = this;
    yield* registerAll(t, uffd, this.#taking);
    this.#reader = yield* t.spawn('reader', function* (r) {
      yield* tracker.#read(r, uffd);
    });
    yield* protectAll(t, uffd, this.#taking);
  }
  *#read(t: Thread, uffd: Userfaultfd): Running<void> {
    const { memory } = this.#taking.guest;
    while (!this.#isOver) {
      const ready = yield* t.poll([uffd], LOOK_UP_NS);
      if (ready.length === 0) continue;
      const message = yield* uffd.read(t);
      if (message.event !== 'pagefault') continue;
      const page = memory.pageOf(message.addr);
      this.#taking.nrMessages++;
      this.#dirty.add(page);
      yield* uffd.writeProtect(t, memory.addrOf(page), PAGE_SIZE, 0);
    }
  }

  *collect(t: Thread): Running<readonly DirtyRun[]> {
    const { memory } = this.#taking.guest;
    const runs = runsOf([...this.#dirty].sort((a, b) => a - b));
    this.#dirty = new Set();
    for (const { first, end } of runs)
      if (this.#uffd !== null)
        yield* this.#uffd.writeProtect(
          t,
          memory.addrOf(first),
          (end - first) * PAGE_SIZE,
          UFFDIO_WRITEPROTECT_MODE_WP,
        );
    return runs;
  }

  *disarm(t: Thread): Running<void> {
    const { at, len } = this.#taking.guest.memory;
    // Whoever waits is let go, by taking the protection away, before nobody reads any more.
    yield* this.#uffd?.writeProtect(t, at, len, 0) ?? nothing();
    this.#isOver = true;
    if (this.#reader !== null) yield* t.join(this.#reader);
    yield* this.#uffd?.unregister(t, at, len) ?? nothing();
  }

  isNoted(page: number): boolean {
    return this.#dirty.has(page);
  }
}

function* nothing(): Running<void> {}

function runsOf(pages: readonly number[]): DirtyRun[] {
  const runs: { first: number; end: number; isThere: boolean }[] = [];
  for (const page of pages) {
    const last = runs.at(-1);
    if (last?.end === page) last.end++;
    else runs.push({ first: page, end: page + 1, isThere: true });
  }
  return runs;
}
