/**
 * Notices writes by PAGEMAP_SCAN of memory registered with UFFD_FEATURE_WP_ASYNC: nobody waits, a first write takes its page's protection away in the
 * kernel. One call tells which pages are not protected and protects them again.
 *
 * Pages that are not there get markers: a page that is given back loses its own, and so is told of.
 */
import { PAGE_IS_PRESENT, PAGE_IS_SWAPPED, PAGE_IS_WRITTEN } from '../../abi/pagemapScan.ts';
import type { Running, Thread, Userfaultfd } from '../../machine/index.ts';
import { openFor, registerAll } from './pointInTime.ts';
import type { DirtyRun, DirtyTracker } from './precopy.ts';
import { scanPages } from './scan.ts';
import type { Taking } from './taking.ts';

/** A marker is never written, so a page that is both written and swapped is there. */
const IS_THERE = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;

/** Notices writes by PAGEMAP_SCAN. */
export class AsyncTracker implements DirtyTracker {
  readonly #taking: Taking;
  #uffd: Userfaultfd | null = null;

  constructor(taking: Taking) {
    this.#taking = taking;
  }

  *arm(t: Thread): Running<void> {
    this.#uffd = yield* openFor(t, this.#taking);
    yield* registerAll(t, this.#uffd, this.#taking);
    const { at, len } = this.#taking.guest.memory;
    yield* scanPages(t, { start: at, end: at + len, mask: PAGE_IS_WRITTEN, protects: true, silent: true });
  }

  *collect(t: Thread): Running<readonly DirtyRun[]> {
    const { memory } = this.#taking.guest;
    const regions = yield* scanPages(t, {
      start: memory.at,
      end: memory.at + memory.len,
      mask: PAGE_IS_WRITTEN,
      returned: IS_THERE,
      protects: true,
    });
    return regions.map(({ start, end, categories }) => ({
      first: memory.pageOf(start),
      end: memory.pageOf(end),
      isThere: (categories & IS_THERE) !== 0,
    }));
  }

  *disarm(t: Thread): Running<void> {
    const { at, len } = this.#taking.guest.memory;
    if (this.#uffd !== null) yield* this.#uffd.unregister(t, at, len);
  }

  /** What was noticed is in the entries alone. */
  isNoted(): boolean {
    return false;
  }
}
