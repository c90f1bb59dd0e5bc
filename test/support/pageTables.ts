/**
 * Page tables by themselves, for their tests: a place that is a border of every level, and what is seen of the tables there.
 */
import { PAGE_SIZE, PMD_SIZE } from '../../src/base/units.ts';
import { PageTable } from '../../src/mm/pageTable.ts';
import { DIRTY, PRESENT, WRITE, YOUNG } from '../../src/mm/pte.ts';
import { TablePages } from '../../src/mm/tablePages.ts';

/** A border of 512 GiB, so of every level below it. */
export const BASE = 0x7f00_0000_0000;
export const PTES = PMD_SIZE / PAGE_SIZE;
/** Present and dirty. */
export const PAGE = PRESENT | WRITE | DIRTY | YOUNG;
/** The address of page `page` from BASE. */
export const at = (page: number): number => BASE + page * PAGE_SIZE;
/** The address `n` MiB above BASE. */
export const mib = (n: number): number => BASE + n * 2 ** 20;

/** Makes an empty page table. */
export const small = (): { tables: TablePages; pages: PageTable } => {
  const tables = new TablePages();
  return { tables, pages: new PageTable(tables) };
};
/** Pte tables, pmd pages, pud pages. */
export const levels = (pages: PageTable): number[] => [pages.nrPtes, pages.nrPmds, pages.nrPuds];
/** Both words of the entry of `addr`. */
export const entry = (pages: PageTable, addr: number): number[] => [pages.low(addr), pages.high(addr)];

/** An entry that was met. */
export interface Seen {
  readonly addr: number;
  readonly low: number;
  readonly high: number;
}
/** Returns the entries of [start, end) that are not none. */
export function seenBy(pages: PageTable, start: number, end: number): Seen[] {
  const seen: Seen[] = [];
  pages.forEach(start, end, (addr, low, high) => seen.push({ addr, low, high }));
  return seen;
}
/** Returns the 2 MiB of [start, end) that have something. */
export const slotsOf = (pages: PageTable, start: number, end: number): number[] => {
  const bases: number[] = [];
  pages.forEachSlot(start, end, (base) => bases.push(base));
  return bases;
};
