/**
 * Notices writes by soft-dirty bits: clear_refs takes write access from every page of the process, a first store sets a bit in its entry, PAGEMAP_SCAN (or
 * pagemap) shows it. Nobody waits but for the fault.
 *
 * Looking and clearing are two calls, and what is written between them would be forgotten: so the guest is stopped for both, in every round. Pages given
 * back leave no trace.
 *
 * Nobody measured it here: the kernel of the calibration keeps no soft-dirty bits.
 */
import { PAGE_IS_PRESENT, PAGE_IS_SOFT_DIRTY, PAGE_IS_SWAPPED } from '../../abi/pagemapScan.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import type { DirtyRun, DirtyTracker } from './precopy.ts';
import { scanPages } from './scan.ts';
import { MethodRefused, type Taking } from './taking.ts';

/** What clear_refs is told to forget soft-dirty bits. */
const SOFT_DIRTY_REFS = 4;
const IS_THERE = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;

/** Notices writes by soft-dirty bits. */
export class SoftDirtyTracker implements DirtyTracker {
  readonly #taking: Taking;

  constructor(taking: Taking) {
    this.#taking = taking;
  }

  *arm(t: Thread): Running<void> {
    // clear_refs takes the word and does nothing where there are no such bits: what was just written shows whether there are.
    const probe = yield* t.mmap(PAGE_SIZE);
    yield* t.touch(probe);
    const [found] = yield* scanPages(t, { start: probe, end: probe + PAGE_SIZE, mask: PAGE_IS_SOFT_DIRTY });
    yield* t.munmap(probe, PAGE_SIZE);
    if (found === undefined)
      throw new MethodRefused('the kernel keeps no soft-dirty bits (softDirty=on does)');
    yield* this.#clear(t);
  }
  *#clear(t: Thread): Running<void> {
    yield* t.call({ call: 'clear_refs', target: 'self', what: SOFT_DIRTY_REFS });
  }

  *collect(t: Thread): Running<readonly DirtyRun[]> {
    const { memory } = this.#taking.guest;
    const runs: DirtyRun[] = [];
    const tracker = this;
    yield* this.#taking.stopped(t, function* () {
      const regions = yield* scanPages(t, {
        start: memory.at,
        end: memory.at + memory.len,
        mask: PAGE_IS_SOFT_DIRTY,
        returned: IS_THERE,
      });
      for (const { start, end, categories } of regions)
        runs.push({
          first: memory.pageOf(start),
          end: memory.pageOf(end),
          isThere: (categories & IS_THERE) !== 0,
        });
      yield* tracker.#clear(t);
    });
    return runs;
  }

  /** Bits may stay. */
  *disarm(): Running<void> {}

  /** What was noticed is in the entries alone. */
  isNoted(): boolean {
    return false;
  }
}
