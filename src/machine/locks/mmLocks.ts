/**
 * The locks of one address space, in the order in which Linux takes them:
 *
 *   mmap_lock            a Rwsem; calls that change vmas write, those that only look or fill in pages read
 *     a vma's lock       a fault, or a call that discards pages of one vma, reads it instead of mmap_lock
 *       anon_vma lock    for splits, merges and forks of written memory (anonVmaLocks.ts)
 *         page-table lock  pteLocks.ts
 *
 * A vma's lock for reading is only ever tried: if somebody changes the vma, the fault takes mmap_lock and so waits until he has done. Who changes a vma
 * (he has mmap_lock for writing) waits asleep until the faults in it have finished; he keeps it, with all he has changed, until he gives up or
 * downgrades mmap_lock. Vmas are told apart by their addresses here, because one may become three meanwhile.
 *
 * Invariant   [vma-lock] nobody has begun a fault in a range that somebody changes
 * Linux       mm/mmap_lock.c, include/linux/mmap_lock.h: vma_start_read, vma_start_write, vma_end_write_all
 */
import type { Addr } from '../../base/units.ts';
import type { Running, SchedTask } from '../sched/schedTask.ts';
import type { Scheduler } from '../sched/scheduler.ts';
import { WaitQueue } from '../sched/waitQueue.ts';
import { LockStats } from './lockStats.ts';
import { PteLocks } from './pteLocks.ts';
import { Rwsem } from './rwsem.ts';

/** What reports call the locks. */
export const MMAP_LOCK = 'mmap_lock';
export const VMA_LOCK = 'vma lock';

/** A range of addresses. */
export interface AddrRange {
  readonly start: Addr;
  readonly end: Addr;
}

const doOverlap = (a: AddrRange, b: AddrRange): boolean => a.start < b.end && b.start < a.end;

/** The locks of one address space. */
export class MmLocks {
  readonly mmapLock: Rwsem;
  readonly ptes = new PteLocks();
  readonly vmaStats = { read: new LockStats(), write: new LockStats() } as const;
  readonly #scheduler: Scheduler;
  /** Ranges that faults and their like read just now, in places that are used again: every fault comes by here, and a list that gets empty gives its room back. */
  readonly #reading: (AddrRange | null)[] = [];
  /** What the writer of mmap_lock has changed. */
  #changed: readonly AddrRange[] = [];
  readonly #drained: WaitQueue;

  constructor(scheduler: Scheduler, handoverNs: number) {
    this.#scheduler = scheduler;
    this.mmapLock = new Rwsem(scheduler, MMAP_LOCK, handoverNs);
    this.#drained = new WaitQueue(scheduler);
  }

  /**
   * Reads the lock of the vma(s) of `range`, unless somebody changes them.
   * @returns  whether it is had; `endRead` gives it up
   */
  tryReadVma(range: AddrRange): boolean {
    if (this.#changed.length > 0 && this.#isChanged(range)) {
      this.vmaStats.read.failedTries++;
      return false;
    }
    const place = this.#reading.indexOf(null);
    if (place < 0) this.#reading.push(range);
    else this.#reading[place] = range;
    this.vmaStats.read.took(0);
    return true;
  }
  #isChanged(range: AddrRange): boolean {
    return this.#changed.some((other) => doOverlap(other, range));
  }
  /** Reads the locks of the vmas of all `ranges`, or of none. Returns what `endReadVma` is to give up, or null. */
  tryReadAll(ranges: readonly AddrRange[]): readonly AddrRange[] | null {
    if (ranges.every((range) => this.tryReadVma(range))) return ranges;
    for (const range of ranges) if (this.#reading.includes(range)) this.endReadVma(range);
    return null;
  }
  /** Gives up what `tryReadVma(range)` had. */
  endReadVma(range: AddrRange): void {
    this.#reading[this.#reading.indexOf(range)] = null;
    if (this.#drained.length > 0) this.#drained.wakeAll();
  }

  /** The writer of mmap_lock, `task`, changes the vmas of `ranges`: waits until nobody is in them. It owes nothing. */
  *writeVmas(task: SchedTask, ranges: readonly AddrRange[]): Running<void> {
    this.#changed = ranges;
    const sinceNs = this.#scheduler.nowNs;
    while (this.#reading.some((other) => other !== null && ranges.some((range) => doOverlap(other, range))))
      yield* this.#drained.wait(task, { reason: VMA_LOCK, voluntary: false, uninterruptible: true });
    this.vmaStats.write.took(this.#scheduler.nowNs - sinceNs);
  }
  /** The writer of mmap_lock gives up the vmas he has changed. */
  endWriteVmas(): void {
    this.#changed = [];
  }
}
