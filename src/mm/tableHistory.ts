/**
 * Who left page tables without entries: by table, the operation during which its last entry went, or in which it was made and got none.
 *
 * Kept only where somebody will ask (`KernelConfig.tracksTables`): it takes a record for each empty table. What the operation was is an opaque value of the
 * machine, of which the call and the size of its range are of interest.
 *
 * Invariant  [table-history] each empty table of an address space has a record, and no other has one
 * Cost       a map entry a table that is emptied
 */
import { type Addr, PMD_SIZE } from '../base/units.ts';

/** An operation, as far as it is told who emptied a table. */
export interface Emptier {
  readonly call: string;
  readonly len?: number;
  readonly advice?: number;
}

/** How a table came to hold nothing. */
export interface Emptying {
  /** Number of the operation. */
  readonly op: number;
  /** Null: nobody said what it was. */
  readonly doing: Emptier | null;
  /** Its last entry went; it was made, and got none; the huge page above it was broken up or went. */
  readonly how: 'emptied' | 'made';
}

/** The empty tables of all address spaces of a kernel. */
export class TableHistory {
  /** The operation at hand. */
  doing: Emptier | null = null;
  op = 0;
  readonly #of = new WeakMap<object, Map<Addr, Emptying>>();

  /** The table at `base` of `tables` holds nothing now. */
  note(tables: object, base: Addr, how: Emptying['how']): void {
    let own = this.#of.get(tables);
    if (own === undefined) {
      own = new Map();
      this.#of.set(tables, own);
    }
    own.set(base, { op: this.op, doing: this.doing, how });
  }
  /** The table at `base` of `tables` holds something, or is gone. */
  forget(tables: object, base: Addr): void {
    this.#of.get(tables)?.delete(base);
  }
  /** Tables of [from, from + len) moved to `to`: who emptied them is still the same. */
  moved(tables: object, from: Addr, to: Addr, len: number): void {
    const own = this.#of.get(tables);
    if (own === undefined) return;
    for (let at = 0; at < len; at += PMD_SIZE) {
      const record = own.get(from + at);
      if (record === undefined) continue;
      own.delete(from + at);
      own.set(to + at, record);
    }
  }
  /** Returns who emptied the table at `base`, or null. */
  of(tables: object, base: Addr): Emptying | null {
    return this.#of.get(tables)?.get(base) ?? null;
  }
}
