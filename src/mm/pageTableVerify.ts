/**
 * Recounting the tables of one address space: [table-used], [table-count].
 *
 * Cost    linear in stored tables, 512 steps each
 */
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import type { PageTable } from './pageTable.ts';
import { EMPTY_TABLE, KIND_MASK, NO_DEPOSIT, NONE, TABLE } from './pte.ts';
import { PGDIR_SIZE, PUD_SIZE } from './tableTree.ts';

const PTES = 512;
/** User space ends in the middle of the top level. */
const SLOTS = PTES / 2;

/** Tables found. */
interface Seen {
  ptes: number;
  /** Of these, without entries. */
  empty: number;
  pmds: number;
  puds: number;
}

const told = ({ ptes, empty, pmds, puds }: Seen): string =>
  `${ptes} pte tables (${empty} of them empty), ${pmds} pmd pages, ${puds} pud pages`;

/** Returns the first count that is wrong, in words, or null. */
export function verifyTables(pages: PageTable): string | null {
  const seen: Seen = { ptes: 0, empty: 0, pmds: 0, puds: 0 };
  for (let slot = 0; slot < SLOTS; slot++) {
    if (!pages.hasPudPage(slot * PGDIR_SIZE)) continue;
    seen.puds++;
    for (let i = 0; i < PTES; i++) {
      const base = slot * PGDIR_SIZE + i * PUD_SIZE;
      if (!pages.hasPmdPage(base)) continue;
      seen.pmds++;
      const wrong = verifyGib(pages, base, seen);
      if (wrong !== null) return wrong;
    }
  }
  const { nrPtes, nrPmds, nrPuds, empties } = pages;
  const counts = told({ ptes: nrPtes, empty: empties.nr, pmds: nrPmds, puds: nrPuds });
  const found = told(seen);
  return counts === found ? null : `counted ${counts}; there are ${found}`;
}

function verifyGib(pages: PageTable, start: Addr, seen: Seen): string | null {
  let entries = 0;
  for (let base = start; base < start + PUD_SIZE; base += PMD_SIZE) {
    const pmd = pages.pmd(base);
    if (pmd === NONE) continue;
    entries++;
    if ((pmd & NO_DEPOSIT) === 0) seen.ptes++;
    if ((pmd & KIND_MASK) === EMPTY_TABLE) seen.empty++;
    const wrong = (pmd & KIND_MASK) === TABLE ? verifyTable(pages, base) : null;
    if (wrong !== null) return wrong;
  }
  const counted = pages.nrSlots(start);
  if (entries === counted) return null;
  return `the pmd page of GiB ${start / PUD_SIZE} counts ${counted} entries, it has ${entries}`;
}

function verifyTable(pages: PageTable, base: Addr): string | null {
  let used = 0;
  for (let addr = base; addr < base + PMD_SIZE; addr += PAGE_SIZE) if (pages.low(addr) !== NONE) used++;
  if (used === pages.nrUsed(base) && used > 0) return null;
  return `the table of 0x${base.toString(16)} counts ${pages.nrUsed(base)} entries, it has ${used}`;
}
