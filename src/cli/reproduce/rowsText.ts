/**
 * The rows of a reproduction as a table for people: aligned text, or Markdown. Notes are numbered and stand below.
 */
import type { Reproduction, Row } from '../../experiments/index.ts';
import { grouped, markdownTable, type Table, textTable } from '../../report/index.ts';

/** How the table is printed. */
export interface RowsTextOptions {
  readonly markdown: boolean;
  /** What the figures of the kernel were taken on: `Linux 6.18.44`. */
  readonly measuredOn: string;
  /** Name of the calibration that times are modelled with. */
  readonly calibration: string;
}

const NONE = '–';

function figure(value: number | null, unit: string): string {
  if (value === null) return NONE;
  if (unit === 'share') return `${(value * 100).toFixed(1)} %`;
  if (unit === 'times') return value < 1000 ? value.toPrecision(3) : grouped(Math.round(value));
  return Number.isInteger(value) ? grouped(value) : value.toFixed(1);
}

/** Prints a tolerance: nothing for exact rows. */
const tolerance = ({ tolerance: by, unit }: Row): string =>
  by === 0 ? '' : `±${Number((by * 100).toFixed(1))} ${unit === 'share' ? 'points' : '%'}`;

/** What is said of a row besides its figures. */
const notesOf = ({ note, prices, known }: Row): string[] =>
  [note, prices, known === null ? null : `does not hold, and it is known why: ${known}`].flatMap(
    (each) => each ?? [],
  );

function named(row: Row, noteNumber: ReadonlyMap<string, number>): string {
  const numbers = notesOf(row).map((each) => noteNumber.get(each));
  return numbers.length === 0 ? row.name : `${row.name} [${numbers.join(', ')}]`;
}

function tableOf(rows: readonly Row[], noteNumber: ReadonlyMap<string, number>): Table {
  return {
    header: ['what', 'published', 'measured', 'modelled', 'unit', 'tolerance', 'holds'],
    nrLabels: 1,
    rows: rows.map((row) => ({
      cells: [
        named(row, noteNumber),
        figure(row.published, row.unit),
        figure(row.measured, row.unit),
        figure(row.modelled, row.unit),
        row.unit === 'share' ? '' : row.unit,
        tolerance(row),
        row.holds ? 'yes' : row.known === null ? 'NO' : 'no, known',
      ],
    })),
  };
}

/** Returns the table, its notes and how many rows hold, with a newline at the end. */
export function rowsText({ seed, title, rows }: Reproduction, options: RowsTextOptions): string {
  const notes = [...new Set(rows.flatMap(notesOf))];
  const table = tableOf(rows, new Map(notes.map((note, i) => [note, i + 1])));
  const holding = rows.filter(({ holds }) => holds).length;
  const nrKnown = rows.filter(({ known }) => known !== null).length;
  const measured = `measured: ${options.measuredOn}; modelled: Linux 6.18, with the proposal where the row says so; times: calibration ${options.calibration}${rows.some(({ prices }) => prices !== null) ? ', but where a note says otherwise' : ''}`;
  const heading = `seed ${seed}: ${title}`;
  const numbered = notes.map((note, i) => `[${i + 1}] ${note}`);
  const others = nrKnown === 0 ? '' : `; of ${nrKnown} it is known why not (docs/fidelity.md)`;
  const verdict = `${holding} of ${rows.length} rows hold${others}`;
  if (options.markdown)
    return [`### ${heading}`, markdownTable(table), measured, ...numbered, `**${verdict}**`]
      .join('\n\n')
      .concat('\n');
  return [heading, measured, '', textTable(table), '', ...numbered, '', verdict].join('\n').concat('\n');
}
