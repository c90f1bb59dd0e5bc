/**
 * The ledger as text for the terminal, and as Markdown: the generated parts of docs/fidelity.md.
 */
import { counted, grouped } from '../../report/index.ts';
import { addCompared, NOTHING_COMPARED } from '../fuzz/batch.ts';
import { REACHABLE } from '../fuzz/fuzzReport.ts';
import { configText } from '../fuzz/machineFacts.ts';
import { styled } from '../output.ts';
import { costLines, costMarkdown } from './costText.ts';
import type { KernelPart, Ledger, ModeRow } from './ledger.ts';

const HEADS = [
  'mode',
  'operations',
  'sequences',
  'runs of seeds',
  'results',
  'touches',
  'VMA lines',
  'pages',
  'numbers',
  'open',
  'closed',
  'unsteady',
] as const;

/** What the columns mean that do not say so themselves. */
const LEGEND = `open: sequences that differ and are not explained; closed: that differed, and agree since the model was corrected; unsteady: that differed once, and not when the
kernel ran them again; numbers: fault counts, figures of smaps, sizes of page tables`;

/** Returns the ledger for a terminal. */
export function ledgerText(ledger: Ledger): string {
  const lines: string[] = [];
  for (const part of ledger.kernels) {
    lines.push(styled('bold', `Linux ${part.kernel}`), `  ${configText(part.config)}`, '');
    lines.push(...aligned(rowsOf(part)), '');
    const reached = new Set(part.coverage);
    const nr = REACHABLE.filter(({ key }) => reached.has(key)).length;
    lines.push(
      `  reached by these: ${nr} of ${REACHABLE.length} verdicts, reasons, errnos, events, kinds of faults`,
    );
    for (const { mode, open } of part.modes)
      if (open.length > 0) lines.push(`  open in mode ${mode}: seeds ${open.join(', ')}`);
    lines.push('');
  }
  if (ledger.kernels.length === 0)
    lines.push('no results of fuzzing yet: faultline fidelity --merge FILE --write', '');
  else lines.push(...LEGEND.split('\n').map((line) => `  ${line}`), '');
  lines.push(styled('bold', 'Found and fixed'), `  ${fixedText(ledger)}`, '', styled('bold', 'Accepted'));
  for (const { what, kernel, ours, why } of ledger.accepted)
    lines.push(`  ${what}`, `    kernel  ${kernel}`, `    ours    ${ours}`, `    why     ${why}`);
  if (ledger.costs !== null)
    lines.push('', styled('bold', 'Modelled times against measured ones'), ...costLines(ledger.costs));
  lines.push('', styled('bold', 'Not modelled (docs/scope.md)'), `  ${ledger.notModelled.join(', ')}`);
  return `${lines.join('\n')}\n`;
}

/** Returns the parts of docs/fidelity.md, by the name in their markers. */
export function ledgerMarkdown(ledger: Ledger): ReadonlyMap<string, string> {
  const fuzzing = ledger.kernels.flatMap((part) => [
    `Linux ${part.kernel}, ${configText(part.config)}:`,
    '',
    ...markdownTable(rowsOf(part)),
    '',
  ]);
  if (fuzzing.length === 0) fuzzing.push('No results yet.', '');
  const accepted = markdownTable([
    ['what', 'kernel', 'ours', 'why accepted'],
    ...ledger.accepted.map(({ what, kernel, ours, why }) => [what, kernel, ours, why]),
  ]);
  return new Map([
    ['fuzzing', [...fuzzing, sentence(LEGEND.replaceAll('\n', ' '))].join('\n')],
    ['fixed', sentence(fixedText(ledger))],
    ['accepted', accepted.join('\n')],
    ['costs', costMarkdown(ledger.costs)],
    [
      'not-modelled',
      `${ledger.notModelled.map((name) => `[${name}](scope.md#${name.toLowerCase()})`).join(', ')}.`,
    ],
  ]);
}

const fixedText = ({ fixed }: Ledger): string =>
  `${counted(fixed.cases, 'case')} in test/spec/fuzzed.cases and ${counted(fixed.sequences, 'sequence')} in test/spec/fuzzed.ops, each a difference once`;

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function rowsOf({ modes }: KernelPart): (readonly string[])[] {
  const rows = modes.map(cellsOf);
  if (modes.length > 1) rows.push(cellsOf(totalOf(modes)));
  return [HEADS, ...rows];
}

function totalOf(modes: readonly ModeRow[]): ModeRow {
  const sum = (of: (row: ModeRow) => number): number => modes.reduce((all, row) => all + of(row), 0);
  return {
    mode: 'all',
    sequences: sum(({ sequences }) => sequences),
    ops: sum(({ ops }) => ops),
    compared: modes.reduce((all, { compared }) => addCompared(all, compared), NOTHING_COMPARED),
    ranges: sum(({ ranges }) => ranges),
    open: modes.flatMap(({ open }) => open),
    closed: sum(({ closed }) => closed),
    unsteady: sum(({ unsteady }) => unsteady),
  };
}

function cellsOf({ mode, ops, sequences, ranges, compared, open, closed, unsteady }: ModeRow): string[] {
  const { results, touches, vmas, pages, counts } = compared;
  const numbers = [
    ops,
    sequences,
    ranges,
    results,
    touches,
    vmas,
    pages,
    counts,
    open.length,
    closed,
    unsteady,
  ];
  return [mode, ...numbers.map(grouped)];
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADS.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) => {
    const [name = '', ...cells] = row;
    const rest = cells.map((cell, i) => cell.padStart((widths[i + 1] ?? 0) + 2));
    return `  ${name.padEnd(widths[0] ?? 0)}${rest.join('')}`;
  });
}

function markdownTable([heads = [], ...rows]: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(heads), `|${heads.map(() => '---').join('|')}|`, ...rows.map(line)];
}
