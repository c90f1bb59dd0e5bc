/**
 * When empty page tables go: after each operation with `ptReclaim=refcount`, and now and then with `async` (seed 003).
 *
 * A scan is due when so much time has passed since the last one of its address space; who runs there next does it, at the end of its operation. The first time
 * only starts the clock. An address space in which nobody runs is never scanned. An input without times (an ops file, a workload that is a list of calls) cannot
 * say when that is, and is refused by name.
 *
 * Cost   nothing with the other policies; with refcount a look at each address space after each operation
 * Linux  RFC 3/3 of seed 003: task_tick_pgtable_reclaim(), task work at the return to user space; spec/pt-reclaim.md 4
 * Left out   the price of reading tables (that of freeing them is charged), a busy mmap_lock, `idle`
 */
import { Unmodelled } from '../base/assert.ts';
import type { Kernel } from '../mm/kernel.ts';
import type { Mm } from '../mm/mm.ts';
import { isCounted, isScanned, scanTables, settleTables } from '../mm/ptReclaim.ts';
import { PATH } from '../mm/work.ts';

const NS_PER_MS = 1e6;

/** Nanoseconds since some beginning. */
export type Clock = () => number;

/** Frees the empty tables of one machine. */
export class TableReclaim {
  readonly #kernel: Kernel;
  readonly #isCounted: boolean;
  readonly #isScanned: boolean;
  readonly #next = new WeakMap<Mm, number>();
  /** Tells the time; null: nobody does. */
  clock: Clock | null = null;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#isCounted = isCounted(kernel);
    this.#isScanned = isScanned(kernel);
  }

  /** Tells whether there is anything to do after operations. */
  get isActive(): boolean {
    return this.#isCounted || this.#isScanned;
  }

  /**
   * An operation is over.
   * @param mm   the address space of the thread that made it, if it has one
   * @param all  every address space
   */
  after(mm: Mm | null, all: Iterable<Mm>): void {
    if (this.#isCounted) for (const each of all) settleTables(each);
    if (!this.#isScanned || mm === null || mm.gone) return;
    if (this.clock === null)
      throw new Unmodelled('ptReclaim=async in an input without times', 'docs/scope.md#ptreclaim-async');
    const now = this.clock();
    const due = this.#next.get(mm);
    if (due !== undefined && now < due) return;
    this.#next.set(mm, now + this.#kernel.config.ptScan.interval * NS_PER_MS);
    if (due === undefined) return;
    const { freed } = scanTables(mm);
    if (freed > 0) this.#kernel.work.charge(PATH['dontneed-tables'], 0, freed);
  }
}
