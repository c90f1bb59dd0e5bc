/**
 * The locks of page tables: one for each 2 MiB, held briefly and waited for on the CPU.
 *
 * A fault holds the lock of its table while it sets its entry; a call over a range holds that of one table after the other. Holds are known when they
 * begin, so nobody has to be woken: a lock is the time until which it is held.
 *
 *   a fault    waits for the fault before it in the same table, and for a sweep that is in its table just then
 *   a sweep    goes over its range at an even pace; for faults it does not wait (they hold a lock for less than a tenth of a microsecond)
 *
 * Cost    a map look-up a fault, only while more than one CPU runs the address space
 * Linux   split page-table locks: pte_offset_map_lock(), ptlock_ptr()
 * Left out   the locks of the levels above, cache lines that move between CPUs
 */
import { type Addr, floorTo, PMD_SIZE } from '../../base/units.ts';
import { LockStats } from './lockStats.ts';

/** A call that goes over a range, holding one table's lock after the other. */
interface Sweep {
  readonly start: Addr;
  readonly end: Addr;
  readonly fromNs: number;
  readonly toNs: number;
}

/** Beyond so many, those that are over are forgotten. */
const MOST_KEPT = 256;
/** A table that was taken away is of interest so long: longer than anybody holds its lock. */
const MOST_KEPT_NS = 10_000;

/** The page-table locks of one address space. */
export class PteLocks {
  readonly stats = new LockStats();
  readonly #heldUntilNs = new Map<Addr, number>();
  #sweeps: Sweep[] = [];
  #takenAway: { readonly base: Addr; readonly untilNs: number }[] = [];

  /**
   * A fault at `addr` wants the lock from `atNs` on, for `forNs`.
   * @returns  how long it waits for it
   */
  fault(addr: Addr, atNs: number, forNs: number): number {
    const table = floorTo(addr, PMD_SIZE);
    let fromNs = Math.max(atNs, this.#heldUntilNs.get(table) ?? 0);
    for (const sweep of this.#sweeps) fromNs = Math.max(fromNs, leavesTable(sweep, table, fromNs));
    if (this.#heldUntilNs.size > MOST_KEPT) this.#forget(atNs);
    this.#heldUntilNs.set(table, fromNs + forNs);
    this.stats.heldNs += forNs;
    this.stats.took(fromNs - atNs);
    return fromNs - atNs;
  }

  /** The table at `base` is taken away; its lock is held until `untilNs`. */
  takenAway(base: Addr, untilNs: number): void {
    this.#takenAway = this.#takenAway.filter((other) => other.untilNs > untilNs - MOST_KEPT_NS);
    this.#takenAway.push({ base, untilNs });
  }
  /** Tells whether somebody at `addr` who comes at `atNs` waits for the lock of a table that is not there any more when he has it. */
  isTakenAway(addr: Addr, atNs: number): boolean {
    const table = floorTo(addr, PMD_SIZE);
    return this.#takenAway.some(({ base, untilNs }) => base === table && atNs < untilNs);
  }

  /** A call goes over [start, end) from `fromNs` to `toNs`. */
  sweep(start: Addr, end: Addr, fromNs: number, toNs: number): void {
    this.#sweeps = this.#sweeps.filter((other) => other.toNs > fromNs);
    if (end > start && toNs > fromNs) this.#sweeps.push({ start, end, fromNs, toNs });
  }

  #forget(nowNs: number): void {
    for (const [table, untilNs] of this.#heldUntilNs) if (untilNs <= nowNs) this.#heldUntilNs.delete(table);
  }
}

/** Returns when the sweep leaves `table`, if it is in it at `atNs`; otherwise 0. */
function leavesTable({ start, end, fromNs, toNs }: Sweep, table: Addr, atNs: number): number {
  const nsPerByte = (toNs - fromNs) / (end - start);
  const enters = fromNs + (Math.max(table, start) - start) * nsPerByte;
  const leaves = fromNs + (Math.min(table + PMD_SIZE, end) - start) * nsPerByte;
  return atNs >= enters && atNs < leaves ? leaves : 0;
}
