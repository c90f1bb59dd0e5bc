/**
 * When empty page tables go: after each operation with `ptReclaim=refcount`, and now and then with `async` (seed 003).
 *
 * A scan is due at the first tick at which so much time has passed since the last one of its address space; who runs there next does it, on its way back
 * to the program, and so pays for it. The first time only starts the clock. An address space in which nobody runs is not scanned, unless `idle` has a thread
 * of the kernel do it. What time it is, is said by the input (recordings), by virtual CPUs (threads), or it is made of what the operations cost
 * (`useModelledTime`): then a program that computes between its calls is scanned later than it would be, for computing takes no time there.
 *
 * Invariant  [scan-turn] of an address space whose scan is due, one thread does it
 * Cost       nothing with the other policies; with refcount a look at each address space after each operation
 * Linux      RFC 3/3 of seed 003: task_tick_pgtable_reclaim(), task work at the return to user space; spec/pt-reclaim.md 4
 */
import { Unmodelled } from '../base/assert.ts';
import type { Kernel } from '../mm/kernel.ts';
import type { Mm } from '../mm/mm.ts';
import { isCounted, isScanned, settleTables } from '../mm/ptReclaim.ts';
import { type ScanStop, scanTables } from '../mm/ptScan.ts';
import { FACT } from '../mm/work.ts';
import type { CostTable } from './cost.ts';
import { Ledger } from './paid/ledger.ts';

const NS_PER_MS = 1e6;
/** CONFIG_HZ=250. */
const TICK_NS = 4 * NS_PER_MS;
/** Parts of a second in which tables that were freed are forgotten (mm/emptiedTables.ts). */
const AGE_NS = 1e9 / 8;
/** A table that is freed goes after a grace period of RCU: within this, as it was seen. spec/pt-reclaim.md 2.1 */
const GRACE_NS = 100 * NS_PER_MS;

/** Nanoseconds since some beginning. */
export type Clock = () => number;

/** Times of the scans of a machine, nanoseconds; by the prices of a calibration, or as threads paid for them. */
export interface ScanTimes {
  readonly allNs: number;
  readonly longestNs: number;
}

/** Frees the empty tables of one machine. */
export class TableReclaim {
  readonly #kernel: Kernel;
  readonly #isCounted: boolean;
  readonly #isScanned: boolean;
  readonly #next = new WeakMap<Mm, number>();
  #ledger: Ledger | null = null;
  #allNs = 0;
  #longestNs = 0;
  #agedNs = 0;
  /** Tables that were freed, and when, of the last grace period. */
  #pending: { readonly atNs: number; readonly tables: number }[] = [];
  #freedSeen = 0;
  /** Tells the time; null: nobody does. */
  clock: Clock | null = null;
  /** Threads in virtual time do the scans themselves (threads/timedScan.ts). */
  isByThreads = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#isCounted = isCounted(kernel);
    this.#isScanned = isScanned(kernel);
    if (this.#isCounted) kernel.work.refNs = kernel.config.ptScan.refNs;
  }

  /** Tells whether there is anything to do after operations. */
  get isActive(): boolean {
    return this.#isCounted || this.#isScanned;
  }
  /** Tells whether address spaces are scanned. */
  get isScanning(): boolean {
    return this.#isScanned;
  }
  /** What scans took. */
  get times(): ScanTimes {
    return { allNs: this.#allNs, longestNs: this.#longestNs };
  }

  /** The time is what operations cost by `costs`, unless somebody tells another one; scans are priced by it in any case. */
  useModelledTime(costs: CostTable): void {
    if (!this.#isScanned) return;
    const ledger = new Ledger(this.#kernel.work, costs);
    this.#ledger = ledger;
    this.clock ??= () => ledger.totalNs;
  }

  /**
   * An operation is over.
   * @param mm   the address space of the thread that made it, if it has one
   * @param all  every address space
   */
  after(mm: Mm | null, all: Iterable<Mm>): void {
    if (this.#isCounted) for (const each of all) settleTables(each);
    if (this.#isScanned && !this.isByThreads) {
      if (mm !== null && !mm.gone && this.take(mm)) this.#scan(mm);
      if (this.#kernel.config.ptScan.idle) this.scanIdle([mm], all);
    }
  }

  /** An operation begins: what was freed long ago is forgotten. */
  begins(all: () => Iterable<Mm>): void {
    if (this.clock === null) return;
    const now = this.clock();
    for (; now - this.#agedNs >= AGE_NS; this.#agedNs = Math.max(this.#agedNs + AGE_NS, now - 2e9))
      for (const { pages } of all()) pages.empties.reuse.age();
  }
  /** An operation is over: time may have passed, whatever the policy. */
  tick(): void {
    const { work } = this.#kernel;
    work.settleEmpty();
    if (this.clock === null) return;
    const now = this.clock();
    const freed = this.#freed();
    if (freed > this.#freedSeen) this.#pending.push({ atNs: now, tables: freed - this.#freedSeen });
    this.#freedSeen = freed;
    if (this.#pending.length > 0 && now - (this.#pending[0]?.atNs ?? 0) >= GRACE_NS)
      this.#pending = this.#pending.filter(({ atNs }) => now - atNs < GRACE_NS);
  }

  /**
   * Asks whether the scan of `mm` is due; who is told so has to do it.
   * @throws Unmodelled  nobody knows the time
   */
  take(mm: Mm): boolean {
    const now = this.#now();
    const due = this.#next.get(mm);
    if (due !== undefined && now < due) return false;
    const next = now + this.#kernel.config.ptScan.interval * NS_PER_MS;
    this.#next.set(mm, Math.ceil(next / TICK_NS) * TICK_NS);
    return due !== undefined;
  }
  /** Nanoseconds until the scan of `mm` is due; 0: it is, or its clock has not begun. */
  untilDueNs(mm: Mm): number {
    const due = this.#next.get(mm);
    return due === undefined ? 0 : Math.max(0, due - this.#now());
  }

  /** Scans what is due of the address spaces in which nobody runs: all but `running`. No thread pays for that. */
  scanIdle(running: readonly (Mm | null)[], all: Iterable<Mm>): void {
    for (const mm of all) if (!running.includes(mm) && !mm.gone && this.take(mm)) this.#scan(mm);
  }

  /** Somebody changed vmas when a scan was due: it waits for the next time. */
  failed(): void {
    this.#kernel.work.count(FACT.ptScanTrylockFailed);
  }
  /** A scan is over that took `ns`. */
  noteStop(ns: number): void {
    this.#allNs += ns;
    this.#longestNs = Math.max(this.#longestNs, ns);
  }

  /**
   * Tables that processes have freed for being empty and that the machine has not got back yet: they wait for readers that may still walk them.
   * Counted for who looks after each operation; 0 where nobody tells the time.
   */
  get rcuPendingTables(): number {
    return this.#pending.reduce((sum, { tables }) => sum + tables, 0);
  }

  #now(): number {
    if (this.clock === null)
      throw new Unmodelled('ptReclaim=async in an input without times', 'docs/scope.md#ptreclaim-async');
    return this.clock();
  }

  #scan(mm: Mm): ScanStop {
    const before = this.#ledger?.totalNs ?? 0;
    const stop = scanTables(mm);
    if (this.#ledger !== null) this.noteStop(this.#ledger.totalNs - before);
    return stop;
  }

  #freed(): number {
    const { facts } = this.#kernel.work;
    const of = (fact: (typeof FACT)[keyof typeof FACT]): number => facts[fact] as number;
    return of(FACT.ptFreedSync) + of(FACT.ptFreedAsync) + of(FACT.ptFreedAdvised) + of(FACT.ptFreedCounted);
  }
}
