/**
 * Page tables of one address space that were left without entries, for those who want to free them (ptReclaim.ts).
 *
 * Cost   one look-up a table that comes or loses its last entry
 */
import type { Addr } from '../base/units.ts';

/** Where tables were left without entries since somebody asked last. */
export class EmptiedTables {
  readonly #bases = new Set<Addr>();

  /** The table at `base` has no entries now. */
  note(base: Addr): void {
    this.#bases.add(base);
  }
  /** Tables moved from [from, from + len) to `to`. */
  moved(from: Addr, to: Addr, len: number): void {
    for (const base of [...this.#bases])
      if (base >= from && base < from + len) this.#bases.add(base - from + to);
  }
  /** Returns what was noted and is still so, and forgets all. */
  take(isEmpty: (base: Addr) => boolean): Addr[] {
    const bases = [...this.#bases].filter(isEmpty);
    this.#bases.clear();
    return bases;
  }
}
