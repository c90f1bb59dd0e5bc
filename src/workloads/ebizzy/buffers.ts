/**
 * Where a thread of ebizzy gets the buffer for a record, and what happens to it afterwards.
 *
 *   pool        a buffer of its own, used again and again; `purge` says what is done with it between two records
 *   jemalloc    an arena of its own (allocators/jemalloc.ts)
 *   glibc       one heap for all threads, behind a lock (allocators/glibc.ts)
 *
 * Three ways to purge stand for vrange as nobody has it: what a record costs if the two calls cost a system call each (its own lock, v7), a call that reads
 * mmap_lock (v8 to v10), a call that flips a flag of the vma (v11 to v14).
 */
import { MADV_DODUMP, MADV_DONTDUMP, MADV_DONTNEED, MADV_FREE } from '../../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Mutex, Op, Running, Thread } from '../../machine/index.ts';
import { type Allocator, roundUp } from '../allocators/allocator.ts';

/** What is done with a buffer that is not needed. */
export type Purge =
  | 'none'
  | 'munmap'
  | 'dontneed'
  | 'free'
  | 'vrange'
  | 'auto'
  | 'syscall'
  | 'read-lock'
  | 'vma-flag';

/** All of them, in the order in which they are listed. */
export const PURGES: readonly Purge[] = [
  'dontneed',
  'free',
  'vrange',
  'auto',
  'munmap',
  'none',
  'syscall',
  'read-lock',
  'vma-flag',
];

/** Gives buffers out and takes them back. */
export interface Buffers {
  take(t: Thread, size: number): Running<Addr>;
  giveBack(t: Thread, addr: Addr, size: number): Running<void>;
}

/** How a pool is set. */
export interface PoolOptions {
  readonly purge: Purge;
  readonly behavior: 'full' | 'partial';
}

/** One buffer that is used again. */
export class Pool implements Buffers {
  readonly #behavior: 'full' | 'partial';
  #purge: Purge;
  #addr: Addr | null = null;
  #len = 0;
  #isVolatile = false;
  /** Takings of a volatile buffer of which pages were gone. */
  nrPurged = 0;

  constructor({ purge, behavior }: PoolOptions) {
    this.#purge = purge;
    this.#behavior = behavior;
  }

  *take(t: Thread, size: number): Running<Addr> {
    const len = roundUp(size, PAGE_SIZE);
    if (this.#addr === null || len > this.#len) {
      if (this.#addr !== null) yield* t.munmap(this.#addr, this.#len);
      this.#addr = yield* t.mmap(len);
      this.#len = len;
      return this.#addr;
    }
    yield* this.#reuse(t, this.#addr);
    return this.#addr;
  }

  *#reuse(t: Thread, addr: Addr): Running<void> {
    if (this.#isVolatile) {
      if (yield* t.vrange(addr, this.#len, 'novolatile', this.#behavior)) this.nrPurged++;
      this.#isVolatile = false;
    }
    yield* this.#bound(t, addr, MADV_DODUMP);
  }

  *giveBack(t: Thread, addr: Addr): Running<void> {
    const len = this.#len;
    switch (this.#purge) {
      case 'none':
        return;
      case 'munmap':
        this.#addr = null;
        yield* t.munmap(addr, len);
        return;
      case 'dontneed':
        yield* t.madvise(addr, len, MADV_DONTNEED);
        return;
      case 'free':
        yield* t.madvise(addr, len, MADV_FREE);
        return;
      case 'vrange':
        yield* t.vrange(addr, len, 'volatile', this.#behavior);
        this.#isVolatile = true;
        return;
      case 'auto':
        yield* this.#asTheKernelHasIt(t, addr);
        return;
      case 'syscall':
      case 'read-lock':
      case 'vma-flag':
        yield* this.#bound(t, addr, MADV_DONTDUMP);
    }
  }

  /** vrange where the kernel has it, else what an allocator does without. The first call tells. */
  *#asTheKernelHasIt(t: Thread, addr: Addr): Running<void> {
    const behavior = this.#behavior;
    const op: Op = { call: 'vrange', addr, len: this.#len, mode: 'volatile', behavior };
    const outcome = yield* t.attempt(op);
    this.#isVolatile = outcome.kind === 'value';
    this.#purge = this.#isVolatile ? 'vrange' : 'dontneed';
    if (!this.#isVolatile) yield* this.giveBack(t, addr);
  }

  /** One of the calls that stand for vrange. */
  *#bound(t: Thread, addr: Addr, flag: number): Running<void> {
    if (this.#purge === 'syscall') yield* t.call({ call: 'nop' });
    else if (this.#purge === 'read-lock') {
      const op: Op = { call: 'mincore', addr, len: PAGE_SIZE };
      yield* t.attempt(op);
    } else if (this.#purge === 'vma-flag') yield* t.madvise(addr, this.#len, flag);
  }
}

/** Buffers from an allocator, which may be that of all threads. */
export class AllocatedBuffers implements Buffers {
  readonly #allocator: Allocator;
  readonly #lock: Mutex | null;

  constructor(allocator: Allocator, lock: Mutex | null) {
    this.#allocator = allocator;
    this.#lock = lock;
  }

  *take(t: Thread, size: number): Running<Addr> {
    if (this.#lock !== null) yield* this.#lock.lock(t);
    const addr = yield* this.#allocator.malloc(t, size);
    if (this.#lock !== null) yield* this.#lock.unlock(t);
    return addr;
  }
  *giveBack(t: Thread, addr: Addr): Running<void> {
    if (this.#lock !== null) yield* this.#lock.lock(t);
    yield* this.#allocator.free(t, addr);
    if (this.#lock !== null) yield* this.#lock.unlock(t);
  }
}
