import { describe, expect, it } from 'vitest';
import {
  at,
  BASE,
  entry,
  levels,
  mib,
  PAGE,
  PTES,
  seenBy,
  slotsOf,
  small,
} from '../../test/support/pageTables.ts';
import { ModelBug } from '../base/assert.ts';
import { Prng } from '../base/prng.ts';
import { PAGE_SIZE, PMD_SIZE, TASK_SIZE } from '../base/units.ts';
import { PageTable } from './pageTable.ts';
import { EMPTY_TABLE, HUGE, MARKER, NONE, PRESENT, SWAP } from './pte.ts';
import { PGDIR_SIZE, PUD_SIZE } from './tableTree.ts';

describe('filling', () => {
  it('sets every entry of a blank range, and makes the tables', () => {
    const { pages } = small();
    let pfn = 7;
    pages.set(at(0), PRESENT, 99);
    pages.fill(at(510), at(2 * PTES + 1), PAGE, () => pfn++);
    expect(seenBy(pages, BASE, mib(8)).length).toBe(1 + 2 + PTES + 1);
    expect(
      [at(0), at(509), at(510), at(512), at(1023), at(1024), at(1025)].map((addr) => entry(pages, addr)),
    ).toEqual([
      [PRESENT, 99],
      [NONE, 0],
      [PAGE, 7],
      [PAGE, 9],
      [PAGE, 520],
      [PAGE, 521],
      [NONE, 0],
    ]);
    expect([pages.nrUsed(BASE), pages.nrUsed(mib(2)), levels(pages), pages.verify()]).toEqual([
      3,
      PTES,
      [3, 1, 1],
      null,
    ]);
  });
});

describe('moving entries', () => {
  it('takes them from one table to another, or within one, and leaves an empty table', () => {
    const { pages } = small();
    for (const [page, pfn] of [
      [3, 30],
      [5, 50],
      [6, 60],
    ] as const)
      pages.set(at(page), PAGE, pfn);
    pages.makeTable(mib(2));
    expect(pages.moveEntries(at(3), at(3 + PTES + 1), 3 * PAGE_SIZE)).toBe(2);
    expect(seenBy(pages, BASE, mib(8)).map(({ addr, high }) => [(addr - BASE) / PAGE_SIZE, high])).toEqual([
      [6, 60],
      [516, 30],
      [518, 50],
    ]);
    expect(pages.moveEntries(at(6), at(9), PAGE_SIZE)).toBe(1);
    expect([entry(pages, at(9)), pages.verify()]).toEqual([[PAGE, 60], null]);
    expect(pages.moveEntries(at(9), at(600), PAGE_SIZE)).toBe(1);
    expect([pages.pmd(BASE), pages.nrUsed(mib(2)), levels(pages), pages.verify()]).toEqual([
      EMPTY_TABLE,
      3,
      [2, 1, 1],
      null,
    ]);
    expect(pages.moveEntries(at(9), at(700), 9 * PAGE_SIZE)).toBe(0);
  });
});

describe('freeing', () => {
  it('takes tables that lie whole between floor and ceiling', () => {
    const { pages } = small();
    for (const n of [0, 2, 4]) pages.makeTable(mib(n));
    pages.freeTables(mib(0), mib(6), at(1), mib(6));
    expect(slotsOf(pages, mib(0), mib(6))).toEqual([mib(0)]);
    pages.freeTables(mib(0), mib(2), 0, mib(2) - PAGE_SIZE);
    expect([slotsOf(pages, mib(0), mib(6)), levels(pages)]).toEqual([[mib(0)], [1, 1, 1]]);
    pages.freeTables(mib(0), mib(2), BASE, mib(2));
    expect(levels(pages)).toEqual([0, 1, 1]);
  });
  it('takes a table that the range only touches, if nothing else may be in it', () => {
    const { pages } = small();
    pages.makeTable(mib(0));
    pages.freeTables(at(100), at(101), BASE, mib(2));
    expect(levels(pages)).toEqual([0, 1, 1]);
  });
  it('takes pmd pages by whole GiB and pud pages by whole 512 GiB', () => {
    const { pages } = small();
    for (const base of [BASE, BASE + PUD_SIZE]) pages.makeTable(base);
    pages.freeTables(BASE, BASE + PMD_SIZE, BASE, BASE + PUD_SIZE - PAGE_SIZE);
    expect(levels(pages)).toEqual([1, 2, 1]);
    pages.freeTables(BASE, BASE + PMD_SIZE, BASE, BASE + PUD_SIZE);
    expect([levels(pages), pages.hasPmdPage(BASE)]).toEqual([[1, 1, 1], false]);
    pages.freeTables(BASE + PUD_SIZE, BASE + 2 * PUD_SIZE, BASE, BASE + PGDIR_SIZE - PAGE_SIZE);
    expect(levels(pages)).toEqual([0, 0, 1]);
    pages.freeTables(BASE, BASE + PAGE_SIZE, BASE, BASE + PGDIR_SIZE);
    expect([levels(pages), pages.hasPudPage(BASE)]).toEqual([[0, 0, 0], false]);
    expect(pages.verify()).toBeNull();
  });
  it('does nothing where there is nothing', () => {
    const { pages } = small();
    pages.freeTables(0, TASK_SIZE, 0, Number.MAX_SAFE_INTEGER);
    pages.set(BASE, PAGE, 1);
    pages.freeTables(BASE, BASE, 0, Number.MAX_SAFE_INTEGER);
    pages.freeTables(BASE + PGDIR_SIZE, TASK_SIZE, 0, Number.MAX_SAFE_INTEGER);
    expect(levels(pages)).toEqual([1, 1, 1]);
  });
  it('refuses a table that is used', () => {
    const { pages } = small();
    pages.set(BASE, PAGE, 1);
    expect(() => pages.freeTable(BASE)).toThrow(ModelBug);
    expect(() => pages.freeTables(BASE, BASE + PMD_SIZE, 0, Number.MAX_SAFE_INTEGER)).toThrow(ModelBug);
    expect(() => pages.freeRoot()).toThrow(ModelBug);
  });
  it('of everything gives every page of the arena back', () => {
    const { tables, pages } = small();
    for (const addr of [0, BASE, BASE + PUD_SIZE]) pages.set(addr, PAGE, 1);
    pages.transform(0, TASK_SIZE, () => NONE);
    pages.freeTables(0, TASK_SIZE, 0, Number.MAX_SAFE_INTEGER);
    pages.freeRoot();
    expect([levels(pages), pages.bytes, tables.arena.nrUsed]).toEqual([[0, 0, 0], 0, 0]);
    pages.set(BASE, PAGE, 1);
    expect(levels(pages)).toEqual([1, 1, 1]);
  });
});

describe('moving', () => {
  it('takes a table with what is in it', () => {
    const { pages } = small();
    pages.set(at(3), PAGE, 5);
    pages.set(at(511), SWAP, 6);
    expect(pages.movePmd(BASE, mib(64))).toBe(true);
    expect(seenBy(pages, 0, TASK_SIZE)).toEqual([
      { addr: mib(64) + 3 * PAGE_SIZE, low: PAGE, high: 5 },
      { addr: mib(64) + 511 * PAGE_SIZE, low: SWAP, high: 6 },
    ]);
    expect([pages.pmd(BASE), pages.nrUsed(mib(64)), levels(pages)]).toEqual([NONE, 2, [1, 1, 1]]);
    expect(pages.verify()).toBeNull();
  });
  it('takes 2 MiB with the table put aside, into another GiB too', () => {
    const { pages } = small();
    pages.setHuge(BASE, PAGE, 512);
    expect(pages.movePmd(BASE, BASE + 3 * PUD_SIZE)).toBe(true);
    expect([pages.pmd(BASE), pages.pmd(BASE + 3 * PUD_SIZE), pages.pmdHigh(BASE + 3 * PUD_SIZE)]).toEqual([
      NONE,
      PAGE | HUGE,
      512,
    ]);
    expect([levels(pages), pages.verify()]).toEqual([[1, 2, 1], null]);
  });
  it('does not take a table to where there is one, be it empty', () => {
    const { pages } = small();
    pages.set(BASE, PAGE, 5);
    pages.makeTable(mib(2));
    expect([pages.movePmd(BASE, mib(2)), pages.high(BASE), levels(pages)]).toEqual([false, 5, [2, 1, 1]]);
  });
  it('takes a pmd page with all tables below it', () => {
    const { pages } = small();
    pages.set(at(1), PAGE, 5);
    pages.makeTable(mib(4));
    pages.setHuge(mib(6), PAGE, 512);
    const to = BASE - 2 * PGDIR_SIZE + 7 * PUD_SIZE;
    expect(pages.movePud(BASE, to)).toBe(true);
    expect([levels(pages), pages.hasPmdPage(BASE), pages.hasPudPage(BASE)]).toEqual([[3, 1, 2], false, true]);
    expect(seenBy(pages, 0, TASK_SIZE).map(({ addr }) => addr - to)).toEqual([PAGE_SIZE, 6 * 2 ** 20]);
    expect([pages.hasTable(to + 4 * 2 ** 20), pages.verify()]).toEqual([true, null]);
  });
  it('does not take a pmd page to where there is one, or from where there is none', () => {
    const { pages } = small();
    pages.set(BASE, PAGE, 5);
    pages.makePmdPage(BASE + PUD_SIZE);
    expect(pages.movePud(BASE, BASE + PUD_SIZE)).toBe(false);
    expect(pages.movePud(BASE + 5 * PUD_SIZE, BASE + 6 * PUD_SIZE)).toBe(false);
    expect([levels(pages), pages.high(BASE)]).toEqual([[1, 2, 1], 5]);
  });
});

describe('several address spaces', () => {
  it('share the arena and nothing else', () => {
    const { tables, pages } = small();
    const other = new PageTable(tables);
    pages.set(BASE, PAGE, 1);
    other.set(BASE, PAGE, 2);
    other.set(at(600), PAGE, 3);
    expect([entry(pages, BASE), entry(other, BASE)]).toEqual([
      [PAGE, 1],
      [PAGE, 2],
    ]);
    expect([levels(pages), levels(other)]).toEqual([
      [1, 1, 1],
      [2, 1, 1],
    ]);
    // Each: the top level, and a page for every table that holds something.
    expect(tables.arena.nrUsed).toBe(4 + 5);
  });
});

/** What the tables should hold: entries by page number, 2 MiB by slot number, slots that have a table. */
class Expected {
  readonly entries = new Map<number, readonly [low: number, high: number]>();
  readonly huge = new Map<number, number>();
  readonly tables = new Set<number>();
}
const SLOTS = 6;

/** One random change of the tables and of what is expected. */
function change(prng: Prng, pages: PageTable, expected: Expected): void {
  const slot = prng.below(SLOTS);
  const base = mib(2 * slot);
  const isHuge = expected.huge.has(slot);
  const isEmpty = ![...expected.entries.keys()].some((page) => Math.floor(page / PTES) === slot);
  switch (prng.below(7)) {
    case 0:
    case 1: {
      if (isHuge) return;
      const page = slot * PTES + prng.below(PTES);
      const low = prng.pick([PAGE, SWAP, MARKER]);
      const high = 1 + prng.below(1000);
      pages.set(at(page), low, high);
      expected.entries.set(page, [low, high]);
      expected.tables.add(slot);
      return;
    }
    case 2: {
      const from = prng.below(SLOTS * PTES);
      const to = Math.min(SLOTS * PTES, from + prng.pick([1, 7, PTES, prng.below(3 * PTES) + 1]));
      pages.transform(at(from), at(to), () => NONE);
      for (let page = from; page < to; page++) expected.entries.delete(page);
      return;
    }
    case 3: {
      if (isHuge) pages.clearHuge(base);
      else if (!expected.tables.has(slot)) pages.setHuge(base, PAGE, 512 * (slot + 1));
      else if (isEmpty) pages.depositTable(base, PAGE, 512 * (slot + 1));
      else return;
      if (isHuge) expected.huge.delete(slot);
      else expected.huge.set(slot, 512 * (slot + 1));
      expected.tables.delete(slot);
      return;
    }
    case 4:
      if (!isHuge) return;
      pages.withdrawDeposit(base);
      expected.huge.delete(slot);
      expected.tables.add(slot);
      return;
    case 5:
      if (isHuge || !isEmpty) return;
      pages.freeTables(base, base + PMD_SIZE, base, base + PMD_SIZE);
      expected.tables.delete(slot);
      return;
    default: {
      // Away and back again, as a table or as 2 MiB.
      const away = BASE + prng.pick([1, 2]) * PUD_SIZE + prng.below(4) * PMD_SIZE;
      const had = isHuge || expected.tables.has(slot);
      if (!had) return;
      expect(pages.movePmd(base, away)).toBe(true);
      expect(pages.movePmd(away, base)).toBe(true);
    }
  }
}

describe('the tables against maps', () => {
  it.each([1, 2, 3, 4])('hold what was put there, seed %d', (seed) => {
    const prng = new Prng(seed);
    const { pages } = small();
    const expected = new Expected();
    for (let step = 0; step < 400; step++) {
      change(prng, pages, expected);
      if (step % 10 !== 0) continue;
      const all = [
        ...[...expected.entries].map(([page, [low, high]]) => ({ addr: at(page), low, high })),
        ...[...expected.huge].map(([slot, high]) => ({ addr: mib(2 * slot), low: PAGE | HUGE, high })),
      ].sort((a, b) => a.addr - b.addr);
      expect(seenBy(pages, mib(0), mib(2 * SLOTS))).toEqual(all);
      expect(pages.nrPtes).toBe(expected.tables.size + expected.huge.size);
      expect(pages.verify()).toBeNull();
    }
  });
});

describe('the recount', () => {
  it('sees a table whose count of entries is wrong', () => {
    const { tables, pages } = small();
    pages.set(BASE, PAGE, 1);
    // The top level, the pud page, the pmd page and the pte table are the first four pages of the arena.
    for (let page = 1; page <= 4; page++) {
      if (tables.arena.words(page)[tables.arena.offset(page)] !== PAGE) continue;
      tables.count(page, 1);
    }
    expect(pages.verify()).toContain('counts 2 entries, it has 1');
  });
  it('sees a table that is linked and not counted', () => {
    const { tables, pages } = small();
    pages.makeTable(BASE);
    const { arena } = tables;
    const pmdPage = [1, 2, 3].find((page) => arena.words(page)[arena.offset(page)] === EMPTY_TABLE) ?? 0;
    arena.words(pmdPage)[arena.offset(pmdPage) + 2] = EMPTY_TABLE;
    tables.count(pmdPage, 1);
    expect(pages.verify()).toBe(
      'counted 1 pte tables (1 of them empty), 1 pmd pages, 1 pud pages; there are 2 pte tables (2 of them empty), 1 pmd pages, 1 pud pages',
    );
  });
});
