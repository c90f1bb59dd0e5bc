/**
 * The census of page tables as text and as records: runs of tables that are alike, and the sums above them.
 *
 *   # VmPTE 28 kB: 5 tables (2 MiB each), 1 of 1 GiB, 1 of 512 GiB; 16 kB are needed; 3 empty; 0.2 % of the entries used
 *   200000000000-200000200000  1  live   12 present, 3 swap
 *   200000200000-200000800000  3  empty  whole, scanned  op 7 madvise(MADV_DONTNEED) of 1048576 bytes
 *
 * Cost    a line a run
 */
import { adviceName } from '../abi/mman.ts';
import { type Addr, hexRange, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { type Emptying, forEachTable, type Mm, PINS, type TableCensus, type TableRow } from '../mm/index.ts';

/** Tables beside each other that are alike. */
export interface TableRun extends Omit<TableRow, 'start' | 'emptied'> {
  readonly start: Addr;
  readonly end: Addr;
  readonly nr: number;
  /** In words; null where it is not known, or not empty. */
  readonly emptied: string | null;
}

const KB = 1024;

/** Returns who emptied a table, in words. */
export function emptyingText({ op, doing, how }: Emptying): string {
  const advice = doing?.advice === undefined ? '' : adviceName(doing.advice);
  const size = doing?.len === undefined ? '' : ` of ${doing.len} bytes`;
  const call = doing === null ? '' : ` ${doing.call}(${advice})${size}`;
  return `${how === 'made' ? 'made empty by ' : ''}op ${op}${call}`;
}

const keyOf = (row: TableRow, emptied: string | null): string =>
  `${row.state} ${row.place} ${row.isScanned} ${emptied} ${PINS.map((pin) => row.pins[pin] ?? 0).join()}`;

/** Returns the tables of `mm` in `range` (null: all) as runs, ascending. */
export function tableRuns(
  mm: Mm,
  range: { readonly start: Addr; readonly end: Addr } | null = null,
): TableRun[] {
  const runs: TableRun[] = [];
  let [open, key]: [TableRun | null, string] = [null, ''];
  forEachTable(
    mm,
    (row) => {
      const emptied = row.emptied === null ? null : emptyingText(row.emptied);
      const own = keyOf(row, emptied);
      if (open !== null && open.end === row.start && own === key) {
        open = { ...open, end: row.start + PMD_SIZE, nr: open.nr + 1 };
        runs[runs.length - 1] = open;
        return;
      }
      open = { ...row, end: row.start + PMD_SIZE, nr: 1, emptied };
      key = own;
      runs.push(open);
    },
    range ?? undefined,
  );
  return runs;
}

/** Returns the sums in one line, without its end. */
export function censusText(census: TableCensus): string {
  const { nrPtes, nrPmds, nrPuds, bytes, neededBytes, nrEmpty, nrEmptyWhole, efficiency } = census;
  const needed = neededBytes === bytes ? 'all needed' : `${neededBytes / KB} kB needed`;
  const wasted =
    nrEmpty === 0
      ? ''
      : `; ${nrEmpty} empty (${(nrEmpty * PAGE_SIZE) / KB} kB), ${nrEmptyWhole} whole in a vma`;
  const share = `${Number((efficiency * 100).toPrecision(2))} % of the entries used`;
  return `VmPTE ${bytes / KB} kB: ${nrPtes} of 2 MiB, ${nrPmds} of 1 GiB, ${nrPuds} of 512 GiB; ${needed}${wasted}; ${share}`;
}

function holdsText(run: TableRun): string {
  if (run.state === 'deposit') return 'for a huge page';
  if (run.state === 'live')
    return PINS.flatMap((pin) => ((run.pins[pin] ?? 0) > 0 ? [`${run.pins[pin]} ${pin}`] : [])).join(', ');
  const scanned = run.place === 'whole' && !run.isScanned ? ', not scanned' : '';
  return `${run.place}${scanned}${run.emptied === null ? '' : `  ${run.emptied}`}`;
}

/** Returns the census and its runs as lines. */
export function tablesText(census: TableCensus, runs: readonly TableRun[]): string {
  const lines = runs.map((run) => {
    const nr = String(run.nr).padStart(6);
    return `${hexRange(run.start, run.end)} ${nr}  ${run.state.padEnd(7)}  ${holdsText(run)}`;
  });
  return `${[`# ${censusText(census)}`, ...lines].join('\n')}\n`;
}
