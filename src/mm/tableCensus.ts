/**
 * A census of the page tables of one address space: what each holds, what pins it, who emptied it, and who would free it.
 *
 *   pinned     by entries that are not none; a table stays as long as there is one, whatever the policy
 *   empty      and `whole`, in one vma: MADV_DONTNEED of all of it frees it (sync), and so does a scan that visits the vma; at an `edge`, where vmas or
 *              holes share it: only MADV_PT_RECLAIM and counted entries do
 *   deposit    put aside for a huge page, in which nothing is found
 *
 * Cost    linear in the entries of the tables
 * Linux   none; VmPTE of status is the sum, spec/pt-reclaim.md 5 the counters
 */
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import {
  HUGE,
  KIND_MASK,
  MARKER,
  MARKER_GUARD,
  MARKER_POISON,
  MARKER_PURGED,
  MIGRATION,
  NO_DEPOSIT,
  SWAP,
  TABLE,
  ZERO_PAGE,
} from './pte.ts';
import { isVisited } from './ptReclaim.ts';
import type { Emptying } from './tableHistory.ts';

/** What an entry that keeps its table is. */
export const PINS = ['present', 'zero', 'swap', 'migration', 'guard', 'wp', 'poison', 'purge'] as const;
/** One of them. */
export type Pin = (typeof PINS)[number];

/** Where a table lies: whole in one vma, at an edge or where several share it, where nothing is mapped. */
export type TablePlace = 'whole' | 'edge' | 'unmapped';

/** One page table. */
export interface TableRow {
  readonly start: Addr;
  readonly state: 'live' | 'empty' | 'deposit';
  /** Entries that are not none. */
  readonly used: number;
  /** Of each kind, how many. */
  readonly pins: Readonly<Partial<Record<Pin, number>>>;
  readonly place: TablePlace;
  /** The scan of `ptReclaim=async`, as it is set, would look at it. */
  readonly isScanned: boolean;
  /** Of an empty one, if it was kept. */
  readonly emptied: Emptying | null;
}

/** All of them. */
export interface TableCensus {
  readonly nrPtes: number;
  readonly nrPmds: number;
  readonly nrPuds: number;
  /** VmPTE, bytes; and what it would be if tables without entries were gone. */
  readonly bytes: number;
  readonly neededBytes: number;
  readonly nrEmpty: number;
  /** Empty ones that lie whole in one vma, and those among them that a scan would look at. */
  readonly nrEmptyWhole: number;
  readonly nrEmptyScanned: number;
  readonly nrDeposits: number;
  /** Tables that hold entries of that kind; one may count under several. */
  readonly pinnedBy: Readonly<Record<Pin, number>>;
  /** Share of the entries of all tables that hold something, 0 to 1. */
  readonly efficiency: number;
}

function pinOf(low: number, high: number): Pin {
  const kind = low & KIND_MASK;
  if (kind === ZERO_PAGE) return 'zero';
  if (kind === SWAP) return 'swap';
  if (kind === MIGRATION) return 'migration';
  if (kind !== MARKER) return 'present';
  if (high & MARKER_GUARD) return 'guard';
  if (high & MARKER_POISON) return 'poison';
  return high & MARKER_PURGED ? 'purge' : 'wp';
}

/** Calls `each` for every table of `mm`, ascending. @param range  only tables that reach into it */
export function forEachTable(
  mm: Mm,
  each: (row: TableRow) => void,
  range: { readonly start: Addr; readonly end: Addr } = { start: 0, end: 2 ** 47 },
): void {
  const tunables = mm.kernel.config.ptScan;
  mm.pages.forEachSlot(range.start, range.end, (start, pmd) => {
    const isDeposit = (pmd & HUGE) !== 0;
    if (isDeposit && pmd & NO_DEPOSIT) return;
    const vma = mm.vmas.firstEndingAbove(start);
    const place = placeOf(start, vma);
    const isScanned = place === 'whole' && vma !== null && isVisited(mm, vma, tunables);
    const pins: Partial<Record<Pin, number>> = {};
    let used = 0;
    if ((pmd & KIND_MASK) === TABLE)
      mm.pages.forEach(start, start + PMD_SIZE, (_addr, low, high) => {
        const pin = pinOf(low, high);
        pins[pin] = (pins[pin] ?? 0) + 1;
        used++;
      });
    const state = isDeposit ? 'deposit' : used === 0 ? 'empty' : 'live';
    const emptied = state === 'empty' ? (mm.kernel.tables.history?.of(mm.pages, start) ?? null) : null;
    each({ start, state, used, pins, place, isScanned, emptied });
  });
}

function placeOf(start: Addr, vma: { readonly start: Addr; readonly end: Addr } | null): TablePlace {
  if (vma === null || vma.start >= start + PMD_SIZE) return 'unmapped';
  return vma.start <= start && vma.end >= start + PMD_SIZE ? 'whole' : 'edge';
}

/** Returns the sums over all tables of `mm`. */
export function tableCensus(mm: Mm): TableCensus {
  const { nrPtes, nrPmds, nrPuds, bytes } = mm.pages;
  const pinnedBy = Object.fromEntries(PINS.map((pin) => [pin, 0])) as Record<Pin, number>;
  let [nrEmpty, nrEmptyWhole, nrEmptyScanned, nrDeposits, used] = [0, 0, 0, 0, 0];
  forEachTable(mm, (row) => {
    used += row.used;
    if (row.state === 'deposit') nrDeposits++;
    for (const pin of PINS) if ((row.pins[pin] ?? 0) > 0) pinnedBy[pin]++;
    if (row.state !== 'empty') return;
    nrEmpty++;
    if (row.place === 'whole') nrEmptyWhole++;
    if (row.isScanned) nrEmptyScanned++;
  });
  return {
    nrPtes,
    nrPmds,
    nrPuds,
    bytes,
    neededBytes: bytes - nrEmpty * PAGE_SIZE,
    nrEmpty,
    nrEmptyWhole,
    nrEmptyScanned,
    nrDeposits,
    pinnedBy,
    efficiency: nrPtes === 0 ? 1 : used / (512 * nrPtes),
  };
}
