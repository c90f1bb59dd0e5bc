/**
 * An allocator like jemalloc 5: extents of pages that become dirty, muzzy and retained as time passes.
 *
 *   allocate   from dirty, muzzy, retained extents, the lowest that is large enough; else from new address space, of which each piece is larger than the last
 *   free       the extent becomes dirty
 *   decay      over `dirtyMs` dirty extents are given back along a smooth curve (MADV_FREE if there is a muzzy time, else MADV_DONTNEED), after `muzzyMs`
 *              muzzy ones (MADV_DONTNEED); 0 means at each free, piece by piece; -1 never
 *   oversize   a free extent that has become 8 MiB is given back at once
 *
 * With `purge: 'vrange'`, as in the jemalloc patch of 2013, giving back is VOLATILE and using again NOVOLATILE: an extent stays dirty and volatile.
 * Time is that of the program: decay happens in calls of the allocator, at most 200 steps over the time it takes.
 *
 * Left out   several arenas and caches of threads (a cache keeps small blocks back), bins of blocks below a page, background threads, huge pages
 * Source     jemalloc(3): opt.dirty_decay_ms, opt.muzzy_decay_ms, opt.retain; design of pac, ecache and eset
 */
import { MADV_DONTNEED, MADV_FREE, MAP_NORESERVE } from '../../abi/mman.ts';
import { must } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { type Allocator, type PurgeBy, roundUp } from './allocator.ts';
import { type Extent, ExtentSet } from './jeExtents.ts';
import { smoothShare } from './smoothDecay.ts';

/** Settings, by the names of opt.*. */
export interface JemallocOptions {
  /** opt.dirty_decay_ms; 10 s unless told. 0 gives back at each free, -1 never. */
  readonly dirtyMs?: number;
  /** opt.muzzy_decay_ms; 0 (no muzzy extents) unless told. */
  readonly muzzyMs?: number;
  /** opt.retain: addresses are kept. Otherwise giving back is munmap. */
  readonly retain?: boolean;
  /** How pages are given back where it is not lazily: MADV_DONTNEED unless told. */
  readonly purge?: PurgeBy;
}

const KIB = 1024;
/** Blocks from here on are extents of their own, with a page more for an offset within the first. */
const LARGE = 16 * KIB;
/** From here on dirty extents are joined when they come. */
const JOINED_AT_ONCE = LARGE;
const OVERSIZE = 8 * KIB * KIB;
/** Steps of a decay. */
const STEPS = 200;
const NS_PER_MS = 1e6;

/** Rounds up to a size class: four for each doubling, at least a page apart. */
export function sizeClass(size: number): number {
  if (size <= 4 * PAGE_SIZE) return roundUp(Math.max(size, 1), PAGE_SIZE);
  const quarter = 2 ** (Math.ceil(Math.log2(size)) - 3);
  return roundUp(size, Math.max(PAGE_SIZE, quarter));
}

/** What became dirty or muzzy in one step. */
class Backlog {
  readonly #byStep = new Float64Array(STEPS);
  readonly #stepNs: number;
  #startNs: number;

  constructor(decayMs: number, nowNs: number) {
    this.#stepNs = (decayMs * NS_PER_MS) / STEPS;
    this.#startNs = nowNs;
  }
  /** `bytes` more came now. */
  came(bytes: number): void {
    this.#byStep[STEPS - 1] = (this.#byStep[STEPS - 1] as number) + bytes;
  }
  /** Time passes. Returns whether a step is over. */
  advance(nowNs: number): boolean {
    const steps = Math.floor((nowNs - this.#startNs) / this.#stepNs);
    if (steps <= 0) return false;
    this.#startNs += steps * this.#stepNs;
    const kept = Math.max(0, STEPS - steps);
    this.#byStep.copyWithin(0, STEPS - kept);
    this.#byStep.fill(0, kept);
    return true;
  }
  /** Returns how many bytes may stay. */
  get allowed(): number {
    let bytes = 0;
    for (let step = 0; step < STEPS; step++)
      bytes += (this.#byStep[step] as number) * smoothShare(step / STEPS);
    return bytes;
  }
}

/** The allocator: one arena. */
export class JemallocAllocator implements Allocator {
  readonly #options: Required<JemallocOptions>;
  readonly #dirty = new ExtentSet('dirty');
  readonly #muzzy = new ExtentSet('muzzy');
  readonly #retained = new ExtentSet('retained');
  readonly #used = new Map<Addr, number>();
  #dirtyBacklog: Backlog | null = null;
  #muzzyBacklog: Backlog | null = null;
  #growth = PMD_SIZE;
  /** Of volatile extents that were used again, so many had lost pages. */
  nrPurged = 0;

  constructor(options: JemallocOptions = {}) {
    this.#options = { dirtyMs: 10_000, muzzyMs: 0, retain: true, purge: 'dontneed', ...options };
  }

  *malloc(t: Thread, size: number): Running<Addr> {
    const len = sizeClass(size) + (size >= LARGE ? PAGE_SIZE : 0);
    const extent =
      this.#dirty.takeFor(len) ??
      this.#muzzy.takeFor(len) ??
      this.#retained.takeFor(len) ??
      (yield* this.#grow(t, len));
    if (extent.isVolatile) {
      if (yield* t.vrange(extent.addr, len, 'novolatile', 'partial')) this.nrPurged++;
    }
    this.#used.set(extent.addr, len);
    if (extent.len > len) {
      const set = this.#setOf(extent);
      set.add(extent.addr + len, extent.len - len, { joins: false, isVolatile: extent.isVolatile });
    }
    yield* this.#tick(t);
    return extent.addr;
  }

  *free(t: Thread, addr: Addr): Running<void> {
    const len = must(this.#used.get(addr) ?? null, '[workload] what is freed was allocated');
    this.#used.delete(addr);
    const { dirtyMs, muzzyMs } = this.#options;
    if (dirtyMs === 0) {
      yield* this.#purge(t, addr, len);
      return;
    }
    const extent = this.#dirty.add(addr, len, { joins: len >= JOINED_AT_ONCE });
    if (extent.len >= OVERSIZE && dirtyMs !== -1 && muzzyMs !== -1) {
      this.#dirty.remove(extent);
      yield* this.#purge(t, extent.addr, extent.len);
      return;
    }
    this.#dirtyBacklog ??= dirtyMs < 0 ? null : new Backlog(dirtyMs, t.nowNs);
    this.#dirtyBacklog?.came(len);
    yield* this.#tick(t);
  }

  *idle(t: Thread): Running<void> {
    yield* this.#tick(t);
  }

  #setOf({ state }: Extent): ExtentSet {
    return state === 'dirty' ? this.#dirty : state === 'muzzy' ? this.#muzzy : this.#retained;
  }

  /** New address space; what is more than `len` of it is the rest of what is returned. */
  *#grow(t: Thread, len: number): Running<Extent> {
    const size = this.#options.retain ? Math.max(this.#growth, roundUp(len, PMD_SIZE)) : len;
    if (this.#options.retain) this.#growth = sizeClass(this.#growth + 1);
    const addr = yield* t.mmap(size, { flags: MAP_NORESERVE });
    return { addr, len: size, state: 'retained', isFree: false, isVolatile: false };
  }

  /** Looks whether it is time to give back. */
  *#tick(t: Thread): Running<void> {
    if (this.#dirtyBacklog?.advance(t.nowNs)) yield* this.#decayDirty(t, this.#dirtyBacklog.allowed);
    if (this.#muzzyBacklog?.advance(t.nowNs)) yield* this.#decayMuzzy(t, this.#muzzyBacklog.allowed);
  }
  *#decayDirty(t: Thread, allowed: number): Running<void> {
    const { muzzyMs } = this.#options;
    while (this.#dirty.bytes > allowed) {
      const extent = this.#dirty.takeOldest();
      if (extent === null) return;
      if (muzzyMs === 0) {
        yield* this.#purge(t, extent.addr, extent.len);
        continue;
      }
      yield* t.madvise(extent.addr, extent.len, MADV_FREE);
      this.#muzzy.add(extent.addr, extent.len, { joins: true });
      this.#muzzyBacklog ??= muzzyMs < 0 ? null : new Backlog(muzzyMs, t.nowNs);
      this.#muzzyBacklog?.came(extent.len);
    }
  }
  *#decayMuzzy(t: Thread, allowed: number): Running<void> {
    while (this.#muzzy.bytes > allowed) {
      const extent = this.#muzzy.takeOldest();
      if (extent === null) return;
      yield* this.#purge(t, extent.addr, extent.len);
    }
  }

  /** Gives the pages of an extent back; its addresses are kept, unless they are not retained. */
  *#purge(t: Thread, addr: Addr, len: number): Running<void> {
    const { retain, purge } = this.#options;
    if (!retain) {
      yield* t.munmap(addr, len);
      return;
    }
    if (purge === 'vrange') {
      yield* t.vrange(addr, len, 'volatile', 'partial');
      this.#retained.add(addr, len, { joins: true, isVolatile: true });
      return;
    }
    yield* t.madvise(addr, len, purge === 'free' ? MADV_FREE : MADV_DONTNEED);
    this.#retained.add(addr, len, { joins: true });
  }
}
