/**
 * Tables: the same cells as aligned text and as Markdown. Nothing here computes anything.
 *
 * A cell is a text, or a number with its change against the first column, which is aligned in a column of its own. Numbers are grouped by
 * thousands with commas, whatever the locale. Width is counted in characters; our texts have no wide ones.
 */

/** A number and what it changed by; `change` null prints nothing. `bound` stands before a number that is not known better: a bound, or one of many possible values. */
export interface Changed {
  readonly value: number;
  readonly change: number | null;
  readonly bound?: '≥' | '≤' | '~';
}

/** What stands in a cell. */
export type Cell = string | Changed;

/** A row of cells, or a line across the table: a heading or a note. */
export type Row = { readonly cells: readonly Cell[] } | { readonly heading: string };

/** A table. The first `nrLabels` columns are labels and stand left; the others stand right. */
export interface Table {
  readonly header: readonly string[];
  readonly nrLabels: number;
  readonly rows: readonly Row[];
}

/** Prints an integer with commas between thousands. */
export function grouped(value: number): string {
  const digits = String(Math.abs(value)).replace(/\B(?=(\d{3})+$)/g, ',');
  return value < 0 ? `-${digits}` : digits;
}

/** Prints a change with its sign; none for 0. */
export const signed = (change: number): string =>
  change === 0 ? '' : change > 0 ? `+${grouped(change)}` : grouped(change);

/** Prints `count` things: `1 call`, `2 calls`. */
export const counted = (count: number, thing: string, things = `${thing}s`): string =>
  `${grouped(count)} ${count === 1 ? thing : things}`;

interface Widths {
  /** Of a whole cell. */
  whole: number;
  /** Of the number and of the change in it. */
  value: number;
  change: number;
}

const numberText = (cell: Changed): string => `${cell.bound ?? ''}${grouped(cell.value)}`;
const changeText = (cell: Changed): string => (cell.change === null ? '' : signed(cell.change));

function widthsOf(table: Table): Widths[] {
  return table.header.map((title, column) => {
    const widths: Widths = { whole: title.length, value: 0, change: 0 };
    for (const row of table.rows) {
      if ('heading' in row) continue;
      const cell = row.cells[column] ?? '';
      if (typeof cell === 'string') widths.whole = Math.max(widths.whole, cell.length);
      else {
        widths.value = Math.max(widths.value, numberText(cell).length);
        widths.change = Math.max(widths.change, changeText(cell).length);
      }
    }
    const both = widths.value + (widths.change > 0 ? widths.change + 1 : 0);
    widths.whole = Math.max(widths.whole, both);
    return widths;
  });
}

function cellText(cell: Cell, widths: Widths): string {
  if (typeof cell === 'string') return cell;
  const value = numberText(cell);
  return widths.change === 0 ? value : `${value} ${changeText(cell).padStart(widths.change)}`;
}

/** Returns the table as aligned lines of text, without a newline at the end. */
export function textTable(table: Table): string {
  const widths = widthsOf(table);
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, i) => {
        const width = widths[i] as Widths;
        const text = cellText(cell, width);
        return i < table.nrLabels ? text.padEnd(width.whole) : text.padStart(width.whole);
      })
      .join('  ')
      .trimEnd();
  // A title of a column of numbers ends where the numbers end, not where their changes do.
  const header = table.header.map((title, i) => {
    const { change, whole } = widths[i] as Widths;
    return i < table.nrLabels || change === 0
      ? title
      : title.padEnd(Math.min(whole, title.length + change + 1));
  });
  return [line(header), ...table.rows.map((row) => ('heading' in row ? row.heading : line(row.cells)))].join(
    '\n',
  );
}

const escaped = (text: string): string => text.trim().replaceAll('|', '\\|');

/** Returns the table as Markdown; a heading becomes a bold first cell, a blank line nothing. */
export function markdownTable(table: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = table.header.map((_title, i) => (i < table.nrLabels ? '---' : '---:'));
  const cell = (of: Cell): string => {
    if (typeof of === 'string') return escaped(of);
    const change = changeText(of);
    return change === '' ? numberText(of) : `${numberText(of)} (${change})`;
  };
  const rows = table.rows.flatMap((row) => {
    if ('cells' in row) return [line(row.cells.map(cell))];
    if (row.heading === '') return [];
    return [line([`**${escaped(row.heading)}**`, ...table.header.slice(1).map(() => '')])];
  });
  return [line(table.header.map(escaped)), `|${rule.join('|')}|`, ...rows].join('\n');
}
