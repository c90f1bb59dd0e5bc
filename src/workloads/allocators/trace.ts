/**
 * A trace of malloc and free that every allocator can be driven with: made from a seed, the same for all.
 *
 *   fill    `n` blocks of one size, then all freed, or all but one in `keepOneIn`
 *   churn   blocks of random sizes that live for random times, so many at once
 */
import type { Prng } from '../../base/prng.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import type { Allocator } from './allocator.ts';

/** One event: block `id` is allocated and written, or freed. */
export type TraceEvent =
  | { readonly what: 'malloc'; readonly id: number; readonly size: number }
  | { readonly what: 'free'; readonly id: number };

/** `n` blocks of `size`, then all freed in the order in which they came but one in `keepOneIn` (0: none stays). */
export function* fillAndFree(n: number, size: number, keepOneIn = 0): Iterable<TraceEvent> {
  for (let id = 0; id < n; id++) yield { what: 'malloc', id, size };
  for (let id = 0; id < n; id++) if (keepOneIn === 0 || id % keepOneIn !== 0) yield { what: 'free', id };
}

/** How blocks come and go at random. */
export interface Churn {
  /** Blocks in all, and at most at a time. */
  readonly blocks: number;
  readonly alive: number;
  /** Sizes from `least` to `most` bytes, as many small as large ones by doubling. */
  readonly least: number;
  readonly most: number;
}

/** Blocks of random size, each living until as many others as may be alive have come, more or less; all are freed at the end. */
export function* churn({ blocks, alive, least, most }: Churn, prng: Prng): Iterable<TraceEvent> {
  const living: number[] = [];
  const doublings = Math.log2(most / least);
  for (let id = 0; id < blocks; id++) {
    if (living.length >= alive) {
      const at = prng.below(living.length);
      yield { what: 'free', id: living[at] as number };
      living[at] = living[living.length - 1] as number;
      living.pop();
    }
    yield { what: 'malloc', id, size: Math.floor(least * 2 ** (prng.unit() * doublings)) };
    living.push(id);
  }
  for (const id of living) yield { what: 'free', id };
}

/** A block that lives. */
interface Block {
  readonly addr: Addr;
  readonly size: number;
}

/** Plays a trace with an allocator; every block is written, and looked at before it is freed. */
export class TracePlayer {
  readonly #allocator: Allocator;
  readonly #blocks = new Map<number, Block>();
  /** Bytes that were asked for and not freed. */
  liveBytes = 0;

  constructor(allocator: Allocator) {
    this.#allocator = allocator;
  }

  /** Plays `events`; `each` is told after each. @throws ModelBug  a block does not hold what was written */
  *play(t: Thread, events: Iterable<TraceEvent>, each: () => void = () => {}): Running<void> {
    for (const event of events) {
      if (event.what === 'malloc') yield* this.#malloc(t, event.id, event.size);
      else yield* this.#free(t, event.id);
      each();
    }
  }
  *#malloc(t: Thread, id: number, size: number): Running<void> {
    const addr = yield* this.#allocator.malloc(t, size);
    this.#blocks.set(id, { addr, size });
    this.liveBytes += size;
    // Every page whose first word lies in the block, as one operation: nothing else happens meanwhile.
    const { first, last } = endsOf({ addr, size });
    if (first > last) return;
    const len = last + PAGE_SIZE - first;
    yield* t.call({ call: 'touch', addr: first, len, access: 'write', stamp: id + 1, by: 'user' });
  }
  *#free(t: Thread, id: number): Running<void> {
    const block = this.#blocks.get(id);
    if (block === undefined) return;
    yield* this.check(t, id);
    this.#blocks.delete(id);
    this.liveBytes -= block.size;
    yield* this.#allocator.free(t, block.addr);
  }
  /** Looks at the first and the last page of block `id`. */
  *check(t: Thread, id: number): Running<void> {
    const block = this.#blocks.get(id);
    if (block === undefined) return;
    const { first, last } = endsOf(block);
    if (first > last) return;
    yield* t.expect(first, id + 1);
    if (last !== first) yield* t.expect(last, id + 1);
  }
  /** Looks at all blocks that live. */
  *checkAll(t: Thread): Running<void> {
    for (const id of this.#blocks.keys()) yield* this.check(t, id);
  }
}

const endsOf = ({ addr, size }: Block): { first: Addr; last: Addr } => ({
  first: Math.ceil(addr / PAGE_SIZE) * PAGE_SIZE,
  last: Math.floor((addr + size - 8) / PAGE_SIZE) * PAGE_SIZE,
});
