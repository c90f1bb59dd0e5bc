/**
 * Strategies whose heap is shared memory, mapped twice: mutators have one mapping, the collector the other, through which it makes pages that mutators
 * cannot reach yet.
 *
 * The file has two places for each region. A fragmented region slides from the one to the other: in the pause the mutators' mapping of it is replaced
 * by one of the new place, which is empty; dense regions stay. Afterwards the old place is a hole again.
 *
 *   protnone        the heap is PROT_NONE; whoever gets SIGSEGV makes the page and opens it with mprotect: a vma for each run of open pages
 *   uffd-continue   entries of the heap are dropped and it is registered; UFFDIO_CONTINUE maps what was made
 */
import { MADV_DONTNEED, MADV_REMOVE, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE } from '../../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { REGION_PAGES } from './heap.ts';
import { COLD, type Plan, SLID } from './plan.ts';
import { Registration } from './registration.ts';
import { giveBackRange, type Room, refuse, reserve, Strategy, type StrategyOptions } from './strategy.ts';

const READ_WRITE = PROT_READ | PROT_WRITE;

/** The heap in a file of memory, and its second mapping. */
abstract class Aliased extends Strategy {
  readonly copiesCold = true;
  #alias: Addr = 0;
  #fd = -1;
  /** Which of its two places a region is in now, and was in before the pause. */
  readonly #place: Uint8Array;
  readonly #oldPlace: Uint8Array;

  constructor(options: StrategyOptions) {
    super(options);
    this.#place = new Uint8Array(options.heap.nrRegions);
    this.#oldPlace = new Uint8Array(options.heap.nrRegions);
  }

  *setUp(t: Thread): Running<void> {
    const { pages, bytes } = this.heap;
    this.#fd = yield* t.memfd('heap', 2 * bytes);
    const at = yield* reserve(t, pages);
    this.heap.base = yield* t.mmap(bytes, { at, flags: MAP_SHARED, fd: this.#fd });
    this.#alias = yield* t.mmap(2 * bytes, {
      at: yield* reserve(t, 2 * pages),
      flags: MAP_SHARED,
      fd: this.#fd,
    });
  }

  #offset(page: number, places: Uint8Array): number {
    const place = places[Math.floor(page / REGION_PAGES)] as number;
    return (place * this.heap.pages + page) * PAGE_SIZE;
  }
  sourceOf(page: number): Addr {
    return this.#alias + this.#offset(page, this.#oldPlace);
  }
  // biome-ignore lint/correctness/useYield: the others have to wait here
  *room(_t: Thread, first: number, pages: number): Running<Room> {
    const inRegion = REGION_PAGES - (first % REGION_PAGES);
    return { at: this.#alias + this.#offset(first, this.#place), pages: Math.min(pages, inRegion) };
  }

  *flip(t: Thread, plan: Plan): Running<void> {
    this.plan = plan;
    this.#oldPlace.set(this.#place);
    yield* this.close(t);
    for (const { first, end } of this.#runs(plan)) {
      for (let region = first; region < end; region++)
        this.#place[region] = 1 - (this.#place[region] as number);
      const page = first * REGION_PAGES;
      this.tally.callsInPauses++;
      yield* t.mmap((end - first) * REGION_PAGES * PAGE_SIZE, {
        at: this.heap.addressOf(page),
        flags: MAP_SHARED,
        fd: this.#fd,
        offset: this.#offset(page, this.#place),
        prot: this.closedProt,
      });
    }
    yield* this.intercept(t);
  }
  /** What the pause does to the whole heap before regions are exchanged, and after. */
  protected abstract close(t: Thread): Running<void>;
  protected abstract intercept(t: Thread): Running<void>;
  protected abstract readonly closedProt: number;

  /** Regions that slide, in runs whose place is the same. */
  *#runs(plan: Plan): Generator<{ first: number; end: number }> {
    const slides = (region: number): boolean =>
      plan.regions[region] === SLID || plan.regions[region] === COLD;
    for (let first = 0; first < this.heap.nrRegions; first++) {
      if (!slides(first)) continue;
      let end = first + 1;
      while (end < this.heap.nrRegions && slides(end) && this.#oldPlace[end] === this.#oldPlace[first]) end++;
      yield { first, end };
      first = end - 1;
    }
  }

  *giveBack(t: Thread): Running<void> {
    const { plan } = this;
    if (plan === null) return;
    yield* this.open(t);
    for (const { first, end } of this.#runs(plan))
      yield* giveBackRange(t, this.tally, {
        at: this.#alias + this.#offset(first * REGION_PAGES, this.#oldPlace),
        len: (end - first) * REGION_PAGES * PAGE_SIZE,
        advice: MADV_REMOVE,
      });
    this.plan = null;
  }
  /** All pages were handed over: mutators need not be kept away any more. */
  protected abstract open(t: Thread): Running<void>;
}

/** PROT_NONE and SIGSEGV. */
export class ProtNone extends Aliased {
  protected readonly closedProt = PROT_NONE;

  protected *close(t: Thread): Running<void> {
    this.tally.callsInPauses++;
    yield* t.mprotect(this.heap.base, this.heap.bytes, PROT_NONE);
  }
  protected *intercept(): Running<void> {}
  *place(t: Thread, first: number, pages: number): Running<boolean> {
    const op = {
      call: 'mprotect',
      addr: this.heap.addressOf(first),
      len: pages * PAGE_SIZE,
      prot: READ_WRITE,
    } as const;
    const outcome = yield* t.attempt(op);
    if (outcome.kind === 'value') return true;
    if (outcome.kind !== 'errno' || outcome.errno !== 'ENOMEM') refuse('mprotect', 'it did not work');
    this.tally.mapLimitHits++;
    return false;
  }
  *fresh(t: Thread, page: number): Running<void> {
    yield* this.place(t, page, 1);
  }
  protected *open(t: Thread): Running<void> {
    yield* t.mprotect(this.heap.base, this.heap.bytes);
  }
}

const MISSING = 1;
const MINOR = 4;

/** userfaultfd, MINOR and MISSING, and UFFDIO_CONTINUE. */
export class UffdContinue extends Aliased {
  protected readonly closedProt = READ_WRITE;
  readonly #registration = new Registration(this.options, MISSING | MINOR);

  override *setUp(t: Thread): Running<void> {
    yield* super.setUp(t);
    yield* this.#registration.open(t);
  }
  get registration(): Registration {
    return this.#registration;
  }
  protected *close(t: Thread): Running<void> {
    this.tally.callsInPauses++;
    yield* giveBackRange(t, this.tally, { at: this.heap.base, len: this.heap.bytes, advice: MADV_DONTNEED });
  }
  protected *intercept(t: Thread): Running<void> {
    yield* this.#registration.arm(t, true);
  }
  *place(t: Thread, first: number, pages: number): Running<boolean> {
    yield* this.#registration.fill(t, 'continue', {
      start: this.heap.addressOf(first),
      len: pages * PAGE_SIZE,
    });
    return true;
  }
  *fresh(t: Thread, page: number): Running<void> {
    yield* this.#registration.fill(t, 'zeropage', { start: this.heap.addressOf(page), len: PAGE_SIZE });
  }
  protected *open(t: Thread): Running<void> {
    yield* this.#registration.disarm(t);
  }
}
