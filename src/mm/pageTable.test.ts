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
import { PAGE_SIZE, PMD_SIZE, TASK_SIZE } from '../base/units.ts';
import { PageTable } from './pageTable.ts';
import {
  DIRTY,
  EMPTY_TABLE,
  EXCLUSIVE,
  HUGE,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  NO_DEPOSIT,
  NONE,
  PRESENT,
  SWAP,
  TABLE,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { TablePages } from './tablePages.ts';
import { PGDIR_SIZE, PUD_SIZE } from './tableTree.ts';

describe('one entry', () => {
  it('is none until it is set', () => {
    const { pages } = small();
    expect(entry(pages, BASE)).toEqual([NONE, 0]);
    expect([pages.kind(BASE), pages.pmd(BASE), pages.hasTable(BASE), pages.nrUsed(BASE)]).toEqual([
      'none',
      NONE,
      false,
      0,
    ]);
    expect(levels(pages)).toEqual([0, 0, 0]);
  });
  it('is what was put there, bits and number, and its neighbours are none', () => {
    const { pages } = small();
    pages.set(at(3), PAGE | EXCLUSIVE, 77);
    expect(entry(pages, at(3))).toEqual([PAGE | EXCLUSIVE, 77]);
    expect([pages.kind(at(2)), pages.kind(at(3)), pages.kind(at(4))]).toEqual(['none', 'present', 'none']);
    expect(pages.nrUsed(at(3))).toBe(1);
  });
  it.each([
    ['present', PRESENT, 5],
    ['zeroPage', ZERO_PAGE, 0],
    ['swap', SWAP, 9],
    ['marker', MARKER, MARKER_GUARD],
  ] as const)('has the name of its kind: %s', (name, low, high) => {
    const { pages } = small();
    pages.set(at(0), low, high);
    expect(pages.kind(at(0))).toBe(name);
  });
  it('is overwritten in place: the count stays', () => {
    const { pages } = small();
    pages.set(at(7), PAGE, 1);
    pages.set(at(7), SWAP, 2);
    expect(entry(pages, at(7))).toEqual([SWAP, 2]);
    expect(pages.nrUsed(at(7))).toBe(1);
  });
  it('forgets its number when it is emptied', () => {
    const { pages } = small();
    pages.set(at(7), PAGE, 1);
    pages.set(at(8), PAGE, 2);
    pages.set(at(7), NONE, 1);
    expect(entry(pages, at(7))).toEqual([NONE, 0]);
    expect(pages.nrUsed(at(7))).toBe(1);
  });
  it('changes its bits and keeps its number', () => {
    const { pages } = small();
    pages.set(at(1), PAGE, 42);
    pages.setLow(at(1), PRESENT | YOUNG);
    expect(entry(pages, at(1))).toEqual([PRESENT | YOUNG, 42]);
  });
  it('emptied where no table is makes none', () => {
    const { pages } = small();
    pages.set(at(0), NONE, 0);
    expect(levels(pages)).toEqual([0, 0, 0]);
  });
  it('holds numbers of 32 bits', () => {
    const { pages } = small();
    pages.set(at(0), PAGE, 2 ** 32 - 1);
    expect(pages.high(at(0))).toBe(2 ** 32 - 1);
  });
  it('lies anywhere below the end of the address space', () => {
    const { pages } = small();
    for (const addr of [0, PAGE_SIZE, TASK_SIZE - PAGE_SIZE]) pages.set(addr, PAGE, 6);
    expect(seenBy(pages, 0, TASK_SIZE).map(({ addr }) => addr)).toEqual([
      0,
      PAGE_SIZE,
      TASK_SIZE - PAGE_SIZE,
    ]);
    expect(pages.verify()).toBeNull();
  });
});

describe('tables of all levels are counted', () => {
  it('one each for the first page in 512 GiB: 12 KiB', () => {
    const { pages } = small();
    pages.set(BASE, PAGE, 1);
    expect([levels(pages), pages.bytes]).toEqual([[1, 1, 1], 12288]);
  });
  it('another pte table for another 2 MiB, a pmd page for another GiB, a pud page for another 512 GiB', () => {
    const { pages } = small();
    pages.set(BASE, PAGE, 1);
    pages.set(BASE + PMD_SIZE, PAGE, 2);
    expect(levels(pages)).toEqual([2, 1, 1]);
    pages.set(BASE + PUD_SIZE, PAGE, 3);
    expect(levels(pages)).toEqual([3, 2, 1]);
    pages.set(BASE - PGDIR_SIZE, PAGE, 4);
    expect([levels(pages), pages.bytes]).toEqual([[4, 3, 2], 9 * 4096]);
    expect(pages.verify()).toBeNull();
  });
  it('without a pte table where only the levels above were made', () => {
    const { pages } = small();
    pages.makePudPage(BASE);
    expect([levels(pages), pages.hasPudPage(BASE), pages.hasPmdPage(BASE)]).toEqual([[0, 0, 1], true, false]);
    pages.makePmdPage(BASE);
    pages.makePmdPage(BASE + PMD_SIZE);
    expect([levels(pages), pages.hasPmdPage(BASE), pages.hasTable(BASE)]).toEqual([[0, 1, 1], true, false]);
    expect(pages.verify()).toBeNull();
  });
});

describe('an empty table', () => {
  it('counts, and takes no page of the arena', () => {
    const { tables, pages } = small();
    pages.makePmdPage(BASE);
    const before = tables.arena.nrUsed;
    expect([pages.makeTable(at(9)), pages.makeTable(at(10))]).toEqual([true, false]);
    expect([pages.hasTable(BASE), pages.nrUsed(BASE), pages.pmd(BASE)]).toEqual([true, 0, EMPTY_TABLE]);
    expect([pages.nrPtes, tables.arena.nrUsed]).toEqual([1, before]);
  });
  it('is what stays when the last entry goes, whichever way it goes', () => {
    const { tables, pages } = small();
    pages.makeTable(BASE);
    const before = tables.arena.nrUsed;
    pages.set(at(5), PAGE, 1);
    expect([tables.arena.nrUsed, pages.pmd(BASE) & KIND_MASK]).toEqual([before + 1, TABLE]);
    pages.set(at(5), NONE, 0);
    expect([tables.arena.nrUsed, pages.pmd(BASE), pages.nrPtes]).toEqual([before, EMPTY_TABLE, 1]);
    for (const page of [0, 100, 511]) pages.set(at(page), PAGE, page);
    pages.transform(at(0), at(PTES), () => NONE);
    expect([tables.arena.nrUsed, pages.pmd(BASE), pages.nrPtes]).toEqual([before, EMPTY_TABLE, 1]);
    expect(pages.verify()).toBeNull();
  });
  it('gives its page back all zero', () => {
    const { pages } = small();
    pages.set(at(5), PAGE, 12);
    pages.transform(at(0), at(PTES), () => NONE);
    pages.set(mib(2), PAGE, 3);
    expect(seenBy(pages, mib(0), mib(4))).toEqual([{ addr: mib(2), low: PAGE, high: 3 }]);
  });
  it('takes entries again', () => {
    const { pages } = small();
    pages.makeTable(BASE);
    pages.set(at(1), PAGE, 8);
    expect([pages.nrPtes, pages.nrUsed(BASE), pages.high(at(1))]).toEqual([1, 1, 8]);
  });
});

describe('2 MiB at once', () => {
  it('count a table that is put aside for the split', () => {
    const { pages } = small();
    pages.setHuge(BASE, PAGE, 512);
    expect([levels(pages), pages.hasTable(BASE), pages.kind(at(9))]).toEqual([[1, 1, 1], false, 'present']);
    expect([pages.pmd(at(9)), pages.pmdHigh(at(9)), pages.low(at(9))]).toEqual([PAGE | HUGE, 512, NONE]);
    expect(pages.verify()).toBeNull();
    pages.clearHuge(BASE);
    expect([levels(pages), pages.pmd(BASE)]).toEqual([[0, 1, 1], NONE]);
  });
  it('count none for files, which are unmapped instead of split', () => {
    const { pages } = small();
    pages.setHuge(BASE, PAGE | NO_DEPOSIT, 512);
    expect(levels(pages)).toEqual([0, 1, 1]);
    expect(pages.verify()).toBeNull();
    pages.clearHuge(BASE);
    expect(levels(pages)).toEqual([0, 1, 1]);
  });
  it('change their bits and keep frame and table', () => {
    const { pages } = small();
    pages.setHuge(BASE, PAGE, 1024);
    pages.setHugeLow(BASE, PRESENT | YOUNG);
    expect([pages.pmd(BASE), pages.pmdHigh(BASE), pages.nrPtes]).toEqual([PRESENT | YOUNG | HUGE, 1024, 1]);
  });
  it('become their table, which is empty, and come back from it', () => {
    const { pages } = small();
    pages.setHuge(BASE, PAGE, 512);
    pages.withdrawDeposit(BASE);
    expect([pages.pmd(BASE), pages.hasTable(BASE), pages.nrPtes]).toEqual([EMPTY_TABLE, true, 1]);
    pages.depositTable(BASE, PAGE, 1024);
    expect([pages.pmd(BASE), pages.pmdHigh(BASE), pages.nrPtes]).toEqual([PAGE | HUGE, 1024, 1]);
    expect(pages.verify()).toBeNull();
  });
  it('do not take a table that holds something', () => {
    const { pages } = small();
    pages.set(at(4), PAGE, 1);
    expect(() => pages.depositTable(BASE, PAGE, 512)).toThrow(ModelBug);
  });
});

describe('walks', () => {
  it('see what lies in the range, ascending, over all levels', () => {
    const { pages } = small();
    const addrs = [BASE - PGDIR_SIZE, BASE, at(511), at(512), BASE + PUD_SIZE, BASE + PUD_SIZE + PMD_SIZE];
    for (const [i, addr] of addrs.toReversed().entries()) pages.set(addr, PAGE, i + 1);
    expect(seenBy(pages, 0, TASK_SIZE).map(({ addr }) => addr)).toEqual(addrs);
    expect(seenBy(pages, at(1), BASE + PUD_SIZE).map(({ addr }) => addr)).toEqual([at(511), at(512)]);
    expect(seenBy(pages, at(512), at(512))).toEqual([]);
  });
  it('begin and end inside a table', () => {
    const { pages } = small();
    for (let page = 0; page < 8; page++) pages.set(at(page), PAGE, page + 1);
    expect(seenBy(pages, at(2), at(5)).map(({ high }) => high)).toEqual([3, 4, 5]);
    expect(seenBy(pages, at(7), at(9000)).map(({ high }) => high)).toEqual([8]);
  });
  it('see 2 MiB once, at their base, even from inside', () => {
    const { pages } = small();
    pages.set(at(0), PAGE, 1);
    pages.setHuge(mib(2), PAGE, 512);
    expect(seenBy(pages, at(0), mib(8))).toEqual([
      { addr: at(0), low: PAGE, high: 1 },
      { addr: mib(2), low: PAGE | HUGE, high: 512 },
    ]);
    expect(seenBy(pages, mib(3), mib(4)).map(({ addr }) => addr)).toEqual([mib(2)]);
  });
  it('of slots see tables, empty ones too, and 2 MiB', () => {
    const { pages } = small();
    pages.set(at(1), PAGE, 1);
    pages.makeTable(mib(2));
    pages.setHuge(mib(6), PAGE, 512);
    pages.makeTable(BASE + PUD_SIZE);
    expect(slotsOf(pages, 0, TASK_SIZE)).toEqual([BASE, mib(2), mib(6), BASE + PUD_SIZE]);
    expect(slotsOf(pages, mib(3), mib(7))).toEqual([mib(2), mib(6)]);
    expect(slotsOf(pages, mib(4), mib(6))).toEqual([]);
  });
  it('of slots may free the slot they look at', () => {
    const { pages } = small();
    for (const n of [0, 2, 4]) pages.makeTable(mib(n));
    pages.forEachSlot(mib(0), mib(6), (base) => {
      if (base !== mib(2)) pages.freeTable(base);
    });
    expect([slotsOf(pages, mib(0), mib(6)), pages.nrPtes]).toEqual([[mib(2)], 1]);
    expect(pages.verify()).toBeNull();
  });
  it('of a run end at the first entry without the bits, and at the end of the table', () => {
    const { pages } = small();
    for (let page = 500; page < 520; page++) pages.set(at(page), page === 505 ? PRESENT : PAGE, page);
    const seen: number[] = [];
    const run = (from: number, to: number): number =>
      pages.forRun(at(from), at(to), { mask: DIRTY, bits: DIRTY }, (high) => seen.push(high));
    expect([run(500, 520), run(505, 520), run(506, 520), run(600, 700), run(2000, 2001)]).toEqual([
      5, 0, 6, 0, 0,
    ]);
    expect(seen).toEqual([500, 501, 502, 503, 504, 506, 507, 508, 509, 510, 511]);
  });
  it('that copy leave one word here and put another into the child', () => {
    const tables = new TablePages();
    const [pages, child] = [new PageTable(tables), new PageTable(tables)];
    for (let page = 0; page < 6; page++) pages.set(at(page), PAGE, page + 1);
    child.set(at(0), PAGE, 99);
    const copied = pages.copyEntries(child, at(1), at(5), (low, high) =>
      high === 3 ? low : (low & ~WRITE) | (PRESENT << 16),
    );
    expect(copied).toBe(3);
    expect([0, 1, 2, 3, 5].map((page) => entry(child, at(page)))).toEqual([
      [PAGE, 99],
      [PRESENT, 2],
      [NONE, 0],
      [PRESENT, 4],
      [NONE, 0],
    ]);
    expect([entry(pages, at(1)), entry(pages, at(2))]).toEqual([
      [PAGE & ~WRITE, 2],
      [PAGE, 3],
    ]);
    expect([pages.verify(), child.verify(), child.nrUsed(BASE)]).toEqual([null, null, 4]);
    const empty = new PageTable(tables);
    expect(pages.copyEntries(empty, at(0), at(6), (low) => low)).toBe(0);
    expect([empty.nrUsed(BASE), empty.hasTable(BASE), empty.verify()]).toEqual([0, true, null]);
  });
  it('that transform set what they return', () => {
    const { pages } = small();
    for (let page = 0; page < 6; page++) pages.set(at(page), PAGE, page + 1);
    pages.setHuge(mib(2), PAGE, 512);
    const visited: number[] = [];
    pages.transform(at(1), mib(4), (low, high, index) => {
      visited.push(index);
      if (high % 2 === 0) return NONE;
      return low & ~(WRITE | DIRTY);
    });
    // The huge mapping is left out.
    expect(visited).toEqual([1, 2, 3, 4, 5]);
    expect([0, 1, 2, 3, 4, 5].map((page) => entry(pages, at(page)))).toEqual([
      [PAGE, 1],
      [NONE, 0],
      [PRESENT | YOUNG, 3],
      [NONE, 0],
      [PRESENT | YOUNG, 5],
      [NONE, 0],
    ]);
    expect([pages.nrUsed(BASE), pages.pmd(mib(2)), pages.verify()]).toEqual([3, PAGE | HUGE, null]);
  });
  it('tell a blank range: an entry in it makes it not blank, one beside it and an empty table do not', () => {
    const { pages } = small();
    pages.makeTable(mib(0));
    expect(pages.isBlank(mib(0), mib(8))).toBe(true);
    pages.set(at(3), MARKER, MARKER_GUARD);
    pages.setHuge(mib(4), ZERO_PAGE, 0);
    expect([
      pages.isBlank(mib(0), mib(2)),
      pages.isBlank(at(9), at(10)),
      pages.isBlank(at(3), at(4)),
      pages.isBlank(mib(2), mib(4)),
      pages.isBlank(mib(4), mib(6)),
      pages.isBlank(mib(6), TASK_SIZE),
    ]).toEqual([false, true, false, true, false, true]);
  });
});
