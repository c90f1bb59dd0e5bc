import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import { PMD_SIZE } from '../base/units.ts';
import { FreedTables } from './freedTables.ts';
import { FACT, Work } from './work.ts';

/** What FreedTables has to do, with a map in which the last one freed is the last. */
class Plain {
  readonly #freed = new Map<number, number>();
  #part = 0;
  free(base: number): void {
    this.#freed.delete(base);
    this.#freed.set(base, this.#part);
  }
  make(base: number): boolean {
    return this.#freed.delete(base);
  }
  age(): void {
    this.#part++;
    for (const [base, part] of this.#freed) if (this.#part - part > 8) this.#freed.delete(base);
  }
}

describe('tables that were freed', () => {
  const again = (tables: FreedTables, base: number): boolean => {
    const work = new Work();
    tables.tableMade(base, work);
    return work.facts[FACT.ptReallocated] === 1;
  };
  it('are remembered for eight parts of a second, and once', () => {
    const tables = new FreedTables();
    tables.tableFreed(0);
    tables.tableFreed(PMD_SIZE);
    for (let i = 0; i < 8; i++) tables.age();
    expect([again(tables, 0), again(tables, 0)]).toEqual([true, false]);
    tables.age();
    expect(again(tables, PMD_SIZE)).toBe(false);
  });
  it('count for huge pages apart', () => {
    const tables = new FreedTables();
    tables.tableFreed(7 * PMD_SIZE);
    const work = new Work();
    tables.hugeMade(7 * PMD_SIZE, work);
    expect([work.facts[FACT.hugeAfterPtFree], work.facts[FACT.ptReallocated]]).toEqual([1, 0]);
  });
  it('are forgotten first come, first gone, beyond a million', () => {
    const tables = new FreedTables();
    for (let i = 0; i <= 2 ** 20; i++) tables.tableFreed(i * PMD_SIZE);
    expect([again(tables, 0), again(tables, PMD_SIZE)]).toEqual([false, true]);
  });
  it.each([1, 2, 3])('are those of a plain map, seed %i', (seed) => {
    const prng = new Prng(seed);
    const [tables, plain] = [new FreedTables(), new Plain()];
    for (let i = 0; i < 10_000; i++) {
      // Few that come back all the time, and many that stay: the ring is cleared, and grows.
      const base = prng.below(prng.below(2) === 0 ? 8 : 4000) * PMD_SIZE;
      if (prng.below(500) === 0) {
        tables.age();
        plain.age();
      } else if (prng.below(3) > 0) {
        tables.tableFreed(base);
        plain.free(base);
      } else expect(again(tables, base)).toBe(plain.make(base));
    }
  });
});
