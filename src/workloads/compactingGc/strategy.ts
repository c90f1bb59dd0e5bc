/**
 * A strategy: how the pages of the heap are kept from mutators while they are made anew, and how they are handed over.
 *
 * The algorithm is the same for all: the pause keeps all pages from mutators (`flip`); a page is made from what was there before (`sourceOf`), in a place
 * that only the collector sees (`room`), and handed over (`place`); at the end what is left of the old heap is given back.
 */
import { UsageError } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { forEachPage, type Mm } from '../../mm/index.ts';
import type { Heap } from './heap.ts';
import type { Plan } from './plan.ts';
import type { Tally } from './tally.ts';

/** How the heap is run. */
export interface StrategyOptions {
  readonly heap: Heap;
  readonly tally: Tally;
  /** Pages that are handed over by one call, at most. */
  readonly batch: number;
  /** A fault in registered memory is a signal; otherwise a message. */
  readonly sigbus: boolean;
  /** The heap is registered in each pause, and not for good. */
  readonly registersEachTime: boolean;
}

/** Pages in which the collector makes what comes to the heap. */
export interface Room {
  readonly at: Addr;
  /** How many there are, in a row. */
  readonly pages: number;
}

/** How one cycle keeps and hands over pages. */
export abstract class Strategy {
  protected readonly heap: Heap;
  protected readonly tally: Tally;
  protected readonly options: StrategyOptions;
  /** The compaction that goes on; null between cycles. */
  protected plan: Plan | null = null;

  constructor(options: StrategyOptions) {
    this.heap = options.heap;
    this.tally = options.tally;
    this.options = options;
  }

  /** Maps the heap, and whatever else it takes. */
  abstract setUp(t: Thread): Running<void>;
  /** The pause: from now on mutators wait for each page until it was handed over. */
  abstract flip(t: Thread, plan: Plan): Running<void>;
  /** Returns where what was in `page` can be read, and changed in place. */
  abstract sourceOf(page: number): Addr;
  /** Returns room in which up to `pages` targets from `first` on are to be made: at least one. */
  abstract room(t: Thread, first: number, pages: number): Running<Room>;
  /** Tells whether a cold page is copied by the collector; else its source is handed over as it is. */
  abstract readonly copiesCold: boolean;
  /** Hands over pages: mutators see what is at `at`. Returns whether they can be accessed now. */
  abstract place(t: Thread, first: number, pages: number, at: Addr): Running<boolean>;
  /** Hands over a page that was free, zeroed. */
  abstract fresh(t: Thread, page: number): Running<void>;
  /** All objects were taken out of a source page: it may be used for something else. */
  freed(_page: number): void {}
  /** Gives back what is left of the old heap. */
  abstract giveBack(t: Thread): Running<void>;
}

/** Returns how many pages (in memory or swap) an address range holds. */
export function countPages(mm: Mm | null, start: Addr, end: Addr): number {
  let pages = 0;
  if (mm !== null) forEachPage(mm, start, end, () => pages++);
  return pages;
}

/** Gives [addr, addr+len) back by madvise, and counts what was there. */
export function* giveBackRange(
  t: Thread,
  tally: Tally,
  range: { at: Addr; len: number; advice: number },
): Running<void> {
  const { at, len, advice } = range;
  tally.pagesGivenBack += countPages(t.mm, at, at + len);
  tally.giveBackCalls++;
  yield* t.madvise(at, len, advice);
}

/** Returns a place for `pages` pages at a multiple of 2 MiB, where nothing is mapped yet. */
export function* reserve(t: Thread, pages: number): Running<Addr> {
  const len = pages * PAGE_SIZE;
  const room = yield* t.mmap(len + PMD);
  const at = Math.ceil(room / PMD) * PMD;
  yield* t.munmap(room, len + PMD);
  return at;
}
const PMD = 2 * 1024 * 1024;

/** Refuses to go on: a call that the algorithm relies on did not work. */
export function refuse(what: string, why: string): never {
  throw new UsageError(
    `compacting-gc: ${what} was refused: ${why}`,
    'a kernel that has it (--set, --profile)',
  );
}
