/**
 * What became of page tables in a run, as lines: how many hold nothing, who freed which, what scans took. What did not occur is left out.
 */
import type { ScanTimes } from '../../machine/index.ts';
import { counted, grouped, type WorkCounts } from '../../report/index.ts';

const KB_PER_TABLE = 4;

/** A line: its name, a number, what more there is to say. */
export type TableFact = readonly [name: string, value: string, more: string];

/** What the lines are made of. */
export interface TableFactsOf {
  readonly work: WorkCounts;
  /** Empty tables at the end, and the most there were between operations. */
  readonly empty: { readonly end: number; readonly peak: number };
  readonly scans: ScanTimes;
  /** Modelled time of the run. */
  readonly totalNs: number;
}

const percent = (part: number, whole: number): string =>
  whole === 0 ? '0' : String(Number(((100 * part) / whole).toPrecision(2)));

/** `a 3, b 4`, without what is 0. */
const partsText = (parts: readonly (readonly [name: string, n: number])[]): string =>
  parts.flatMap(([name, n]) => (n === 0 ? [] : [`${name} ${grouped(n)}`])).join(', ');

/** Returns the lines. */
export function tableFacts({ work, empty, scans, totalNs }: TableFactsOf): TableFact[] {
  const { facts, pageTables } = work;
  const kB = (tables: number): string => `${grouped(tables * KB_PER_TABLE)} kB`;
  const freed =
    facts.ptFreedSync +
    facts.ptFreedAsync +
    facts.ptFreedAdvised +
    facts.ptFreedCounted +
    facts.ptFreedUnmapped;
  const needed = `${grouped(pageTables.end / 1024 - empty.end * KB_PER_TABLE)} kB hold something; ${kB(empty.peak)} at the peak`;
  const freedBy = partsText([
    ['munmap', facts.ptFreedUnmapped],
    ['MADV_DONTNEED', facts.ptFreedSync],
    ['scans', facts.ptFreedAsync],
    ['MADV_PT_RECLAIM', facts.ptFreedAdvised],
    ['counting', facts.ptFreedCounted],
  ]);
  const seen = partsText([
    ['vmas', facts.ptScanVmas],
    ['tables', facts.ptScanTables],
    ['entries', facts.ptScanEntries],
    ['without locks', facts.ptScanUnlocked],
  ]);
  const failed =
    facts.ptScanTrylockFailed === 0
      ? ''
      : `; ${counted(facts.ptScanTrylockFailed, 'time')} somebody changed vmas`;
  const copied = facts.ptCopiedEmptyByFork === 0 ? '' : `${grouped(facts.ptCopiedEmptyByFork)} of them empty`;
  const races = partsText([
    ['not empty any more', facts.ptRaceKept],
    ['faults began again', facts.ptMapRetries],
  ]);
  const lines: (readonly [n: number, fact: TableFact])[] = [
    [empty.peak, ['empty page tables', kB(empty.end), needed]],
    [freed, ['page tables freed', grouped(freed), freedBy]],
    [facts.ptFreedSlow, ['  by a second look', grouped(facts.ptFreedSlow), '']],
    [
      facts.ptReallocated + facts.hugeAfterPtFree,
      [
        '  made again',
        grouped(facts.ptReallocated + facts.hugeAfterPtFree),
        facts.hugeAfterPtFree === 0 ? '' : `${grouped(facts.hugeAfterPtFree)} as huge pages`,
      ],
    ],
    [facts.pmdPagesReclaimed, ['  of the level above', grouped(facts.pmdPagesReclaimed), '']],
    [facts.ptScans, ['scans for empty tables', grouped(facts.ptScans), `${seen}${failed}`]],
    [
      scans.allNs,
      [
        '  time of scans',
        `${grouped(Math.round(scans.allNs / 1000))} µs`,
        `${percent(scans.allNs, totalNs)} % of the modelled time; the longest ${grouped(Math.round(scans.longestNs / 1000))} µs`,
      ],
    ],
    [
      facts.ptRaceKept + facts.ptMapRetries,
      ['races about tables', grouped(facts.ptRaceKept + facts.ptMapRetries), races],
    ],
    [facts.ptDeposited, ['tables put aside for huge pages', grouped(facts.ptDeposited), '']],
    [facts.ptCopiedByFork, ['tables copied by fork', grouped(facts.ptCopiedByFork), copied]],
  ];
  return lines.flatMap(([n, fact]) => (n === 0 ? [] : [fact]));
}
