import { describe, expect, it } from 'vitest';
import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { PageTable } from './pageTable.ts';
import { DIRTY, MARKER, MARKER_GUARD, NONE, PRESENT, WRITE, YOUNG } from './pte.ts';
import { TablePages } from './tablePages.ts';

const BASE = 0x7f00_0000_0000;
const PTES = PMD_SIZE / PAGE_SIZE;
const PAGE = PRESENT | WRITE | DIRTY | YOUNG;
const at = (page: number): number => BASE + page * PAGE_SIZE;
const mib = (n: number): number => BASE + n * 2 ** 20;
const small = (): { tables: TablePages; pages: PageTable } => {
  const tables = new TablePages();
  return { tables, pages: new PageTable(tables) };
};
const entry = (pages: PageTable, addr: number): number[] => [pages.low(addr), pages.high(addr)];

describe('tables that are alike', () => {
  const ALIKE = MARKER;
  const filled = () => {
    const { tables, pages } = small();
    pages.fillAlike(at(500), mib(8), ALIKE, MARKER_GUARD);
    return { tables, pages };
  };
  it('are counted each, and take the storage of one', () => {
    const { tables, pages } = filled();
    expect([pages.nrUsed(BASE), pages.nrUsed(mib(2)), pages.nrUsed(mib(6)), pages.nrPtes]).toEqual([
      12, 512, 512, 4,
    ]);
    const before = tables.arena.nrUsed;
    pages.fillAlike(mib(8), mib(64), ALIKE, MARKER_GUARD);
    expect(tables.arena.nrUsed).toBe(before);
    expect(pages.verify()).toBeNull();
  });
  const writers: readonly (readonly [string, (pages: PageTable, tables: TablePages) => void, number])[] = [
    ['set', (pages) => pages.set(mib(4), PAGE, 7), 512],
    ['setLow', (pages) => pages.setLow(mib(4), ALIKE | DIRTY), 512],
    ['set to none', (pages) => pages.set(mib(4), NONE, 0), 511],
    ['transform', (pages) => pages.transform(mib(4), mib(4) + PAGE_SIZE, () => NONE), 511],
    ['transform all', (pages) => pages.transform(mib(4), mib(6), () => NONE), 0],
    ['moveEntries', (pages) => pages.moveEntries(mib(4), mib(10), PAGE_SIZE), 511],
    [
      'copyEntries',
      (pages, tables) => {
        const child = new PageTable(tables);
        child.makeTable(mib(4));
        pages.copyEntries(child, mib(4), mib(6), (low) => (low | DIRTY) * 2 ** 16 + (low | DIRTY));
      },
      512,
    ],
  ];
  it.each(writers)('part when one is written: %s', (_name, write, left) => {
    const { tables, pages } = filled();
    const other = new PageTable(tables);
    other.fillAlike(mib(0), mib(2), ALIKE, MARKER_GUARD);
    pages.makeTable(mib(10));
    write(pages, tables);
    expect(pages.nrUsed(mib(4))).toBe(left);
    for (const [table, base] of [
      [pages, mib(2)],
      [pages, mib(6)],
      [other, mib(0)],
    ] as const)
      for (const page of [0, 1, 511])
        expect(entry(table, base + page * PAGE_SIZE)).toEqual([ALIKE, MARKER_GUARD]);
    expect([pages.verify(), other.verify()]).toEqual([null, null]);
  });
  it('are read without parting', () => {
    const { tables, pages } = filled();
    const before = tables.arena.nrUsed;
    pages.transform(mib(2), mib(8), (low) => low);
    let seen = 0;
    pages.forEach(mib(2), mib(8), () => seen++);
    expect(seen).toBe(3 * PTES);
    expect(pages.movePmd(mib(2), mib(20))).toBe(true);
    expect([tables.arena.nrUsed, entry(pages, mib(20))]).toEqual([before, [ALIKE, MARKER_GUARD]]);
  });
});
