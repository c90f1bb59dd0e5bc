/**
 * The decision table as Markdown, as docs/proposals/anon-vma-merge.md shows it.
 */
import { COLUMNS, DECISION_TABLE, type DecisionRow } from '../../src/experiments/decisionTable.ts';
import { markdownTable } from '../../src/report/index.ts';

/** The cells of a row in the order of the columns. */
const cellsOf = ({ cells, modelOnly }: DecisionRow): string[] =>
  COLUMNS.map((column) => {
    const cell = cells[column] ?? '–';
    return column === 'B' && modelOnly !== null && cell !== '–' ? `${cell}*` : cell;
  });

/** Returns the table. A star marks a cell of column B for which the running kernel cannot be asked. */
export const decisionTableMarkdown = (): string =>
  markdownTable({
    header: ['#', 'situation', ...COLUMNS],
    nrLabels: 2,
    rows: DECISION_TABLE.map((row) => ({ cells: [row.nr, row.title, ...cellsOf(row)] })),
  });
