/**
 * An allocator like glibc's: one heap by brk, large blocks by mmap of their own, free chunks joined at once, the top given back when it is large.
 *
 *   below the threshold   the smallest free chunk that fits, else from the top, which brk extends by at least 128 KiB
 *   above                 mmap; free is munmap, and from then on the threshold is that size, up to 32 MiB, and the trim threshold twice it
 *
 * Holes inside the heap are never given back.
 *
 * Left out   arenas of other threads, tcache and fast bins (they only delay joining), malloc_trim, realloc
 * Source     malloc(3), mallopt(3): M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
 */
import { must, UsageError } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { type Allocator, roundUp } from './allocator.ts';
import { type Piece, SizeBins } from './sizeBins.ts';

/** What mallopt sets, bytes. */
export interface GlibcOptions {
  /** M_MMAP_THRESHOLD; as soon as it is given, it stays. */
  readonly mmapThreshold?: number;
  /** M_TRIM_THRESHOLD; the same. */
  readonly trimThreshold?: number;
}

const KIB = 1024;
const DEFAULT_THRESHOLD = 128 * KIB;
const TOP_PAD = 128 * KIB;
const MOST_THRESHOLD = 32 * KIB * KIB;
/** What a chunk takes beside its block, and what chunks are multiples of. */
const HEADER = 8;
const ALIGN = 16;
const LEAST = 32;
/** From this size of a freed chunk on, with its neighbours, the top is looked at. */
const CONSOLIDATED = 64 * KIB;

/** Where execve puts the heap. */
const HEAP: Addr = 0x5555_5556_0000;

interface Chunk extends Piece {
  readonly len: number;
}

/** The allocator. */
export class GlibcAllocator implements Allocator {
  #threshold: number;
  #trim: number;
  readonly #isFixed: boolean;
  /** Chunks in use, by the address of their block; free ones, by their two ends. */
  readonly #used = new Map<Addr, number>();
  readonly #mapped = new Map<Addr, number>();
  readonly #freeAt = new Map<Addr, Chunk>();
  readonly #freeBefore = new Map<Addr, Chunk>();
  readonly #bins = new SizeBins<Chunk>();
  #top: Addr = HEAP;
  #end: Addr = HEAP;
  #isStarted = false;

  constructor({ mmapThreshold, trimThreshold }: GlibcOptions = {}) {
    this.#threshold = mmapThreshold ?? DEFAULT_THRESHOLD;
    this.#trim = trimThreshold ?? DEFAULT_THRESHOLD;
    this.#isFixed = mmapThreshold !== undefined || trimThreshold !== undefined;
  }

  *malloc(t: Thread, size: number): Running<Addr> {
    const len = Math.max(LEAST, roundUp(size + HEADER, ALIGN));
    const chunk = this.#bins.smallest(len);
    if (chunk !== null) {
      this.#take(chunk);
      if (chunk.len - len >= LEAST) this.#put(chunk.addr + len, chunk.len - len);
      return this.#use(chunk.addr, chunk.len - len >= LEAST ? len : chunk.len);
    }
    if (this.#end - this.#top < len + LEAST) {
      if (len >= this.#threshold) return yield* this.#map(t, size);
      yield* this.#extend(t, len);
    }
    const addr = this.#top;
    this.#top += len;
    return this.#use(addr, len);
  }

  *free(t: Thread, block: Addr): Running<void> {
    const mapped = this.#mapped.get(block);
    if (mapped !== undefined) {
      this.#mapped.delete(block);
      yield* t.munmap(block - ALIGN, mapped);
      if (this.#isFixed || mapped <= this.#threshold || mapped > MOST_THRESHOLD) return;
      this.#threshold = mapped;
      this.#trim = 2 * mapped;
      return;
    }
    let addr = block - ALIGN;
    let len = must(this.#used.get(block) ?? null, '[workload] what is freed was allocated');
    this.#used.delete(block);
    const below = this.#freeBefore.get(addr);
    if (below !== undefined) {
      this.#take(below);
      addr = below.addr;
      len += below.len;
    }
    const above = this.#freeAt.get(addr + len);
    if (above !== undefined) {
      this.#take(above);
      len += above.len;
    }
    if (addr + len === this.#top) this.#top = addr;
    else this.#put(addr, len);
    if (len >= CONSOLIDATED && this.#end - this.#top >= this.#trim) yield* this.#shrink(t);
  }

  *idle(): Running<void> {}

  #use(addr: Addr, len: number): Addr {
    this.#used.set(addr + ALIGN, len);
    return addr + ALIGN;
  }
  #put(addr: Addr, len: number): void {
    const chunk: Chunk = { addr, len, isFree: true };
    this.#freeAt.set(addr, chunk);
    this.#freeBefore.set(addr + len, chunk);
    this.#bins.add(chunk);
  }
  #take(chunk: Chunk): void {
    chunk.isFree = false;
    this.#freeAt.delete(chunk.addr);
    this.#freeBefore.delete(chunk.addr + chunk.len);
  }

  *#map(t: Thread, size: number): Running<Addr> {
    const len = roundUp(size + ALIGN, PAGE_SIZE);
    const addr = yield* t.mmap(len);
    this.#mapped.set(addr + ALIGN, len);
    return addr + ALIGN;
  }
  /** Room at the top for `len` bytes. */
  *#extend(t: Thread, len: number): Running<void> {
    if (!this.#isStarted) {
      this.#isStarted = true;
      const mm = must(t.mm, '[task-state] a thread that runs has memory');
      // As execve leaves it; a program of ours begins without one.
      if (mm.startBrk === 0) {
        mm.startBrk = HEAP;
        mm.brk = HEAP;
      }
    }
    const end = roundUp(this.#top + len + LEAST + TOP_PAD, PAGE_SIZE);
    if ((yield* t.call({ call: 'brk', addr: end })) !== end)
      throw new UsageError('the heap cannot grow', 'room above it, and limits that allow it');
    this.#end = end;
  }
  *#shrink(t: Thread): Running<void> {
    const end = roundUp(this.#top + LEAST + TOP_PAD, PAGE_SIZE);
    if (end >= this.#end) return;
    yield* t.call({ call: 'brk', addr: end });
    this.#end = end;
  }
}
