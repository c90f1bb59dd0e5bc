/**
 * The report of `check` for people: a row for each input when it is done, below it what was found, and at the end what it all means.
 */
import type { Difference } from '../../replay/play/difference.ts';
import { counted, grouped } from '../../report/index.ts';
import { failureText } from '../exitStatus.ts';
import { print, styled } from '../output.ts';
import type { CheckResult } from './checkOne.ts';

const COLUMNS = ['results', 'vma lines', 'touches', 'pages', 'placed alike', 'differences'] as const;
const GAP = 2;
/** Hundreds of thousands fit. */
const MIN_WIDTH = 7;

/** How much is told. */
export interface TableOptions {
  readonly maxDifferences: number;
  /** Leave out warnings and remarks. */
  readonly quiet: boolean;
}

/** Prints results as a table. */
export class TableReport {
  readonly #options: TableOptions;
  readonly #nameWidth: number;
  readonly #results: CheckResult[] = [];

  /** @param inputs  what will be checked, for the width of the first column */
  constructor(inputs: readonly string[], options: TableOptions) {
    this.#options = options;
    this.#nameWidth = Math.max('input'.length, ...inputs.map((name) => name.length));
  }

  /** Prints the row of one result and what was found. */
  add(result: CheckResult): void {
    if (this.#results.length === 0) print(`${styled('bold', this.#row('input', COLUMNS))}\n`);
    this.#results.push(result);
    const { compared, placement, differences } = result;
    const cells = [
      grouped(compared.results),
      grouped(compared.vmas),
      grouped(compared.touches),
      grouped(compared.pages),
      `${grouped(placement.predicted)}/${grouped(placement.chosen)}`,
      verdict(result),
    ];
    let text = `${this.#row(result.input, cells)}\n`;
    if (result.failure !== null) text += indented(failureText(result.failure));
    if (result.reordered.length > 0)
      text += indented(`order of overlapping calls mattered at ${listed('line', result.reordered)}`);
    if (!this.#options.quiet) {
      if (result.nothing !== null) text += indented(`nothing to compare: ${result.nothing}`);
      for (const warning of result.warnings) text += indented(warningText(warning));
    }
    const shown = differences.slice(0, this.#options.maxDifferences);
    for (const difference of shown) text += indented(differenceText(difference));
    if (shown.length < differences.length)
      text += indented(`and ${counted(differences.length - shown.length, 'more difference')}`);
    print(text);
  }

  /** Prints what was not compared, and the result of all. */
  end(): void {
    let text = '\n';
    if (!this.#options.quiet) text += this.#notCompared();
    print(`${text}${this.#conclusion()}\n`);
  }

  #row(name: string, cells: readonly string[]): string {
    const rest = cells.map((cell, i) => cell.padStart(Math.max(COLUMNS[i]?.length ?? 0, MIN_WIDTH) + GAP));
    return name.padEnd(this.#nameWidth) + rest.join('');
  }

  #notCompared(): string {
    const inputs = new Map<string, number>();
    for (const { notCompared } of this.#results) {
      const what = notCompared.join(', ');
      if (what !== '') inputs.set(what, (inputs.get(what) ?? 0) + 1);
    }
    return [...inputs].map(([what, n]) => `not compared in ${counted(n, 'input')}: ${what}\n`).join('');
  }

  #conclusion(): string {
    const all = this.#results;
    const played = all.filter(({ failure }) => failure === null);
    const failed = all.length - played.length;
    const differ = played.filter(({ differences }) => differences.length > 0).length;
    const empty = played.filter(
      ({ differences, nothing }) => differences.length === 0 && nothing !== null,
    ).length;
    const agree = played.length - differ - empty;
    const parts = [`${counted(agree, 'input agrees', 'inputs agree')} with the kernel`];
    if (differ > 0) parts.push(`${counted(differ, 'differs', 'differ')}`);
    if (empty > 0) parts.push(`${counted(empty, 'has', 'have')} nothing to compare`);
    if (failed > 0) parts.push(`${grouped(failed)} could not be checked`);
    return styled(failed + differ > 0 ? 'red' : 'green', parts.join(', '));
  }
}

function verdict(result: CheckResult): string {
  if (result.failure !== null) return 'error';
  if (result.nothing !== null) return '-';
  return grouped(result.differences.length);
}

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => `    ${line}\n`)
    .join('');

function differenceText({ file, line, op, what, kernel, ours }: Difference): string {
  const place = op === null ? `${file}:${line}` : `${file}:${line} (op ${grouped(op)})`;
  return `${styled('bold', place)}: ${what}\n  kernel  ${kernel}\n  ours    ${ours}`;
}

function warningText({ text, count: n, file, line }: CheckResult['warnings'][number]): string {
  const place = line > 0 ? ` (${n > 1 ? `${grouped(n)} times, first at ` : ''}${file}:${line})` : '';
  return `${text}${place}`;
}

/** Lists numbers, not more than a dozen: `lines 3, 17 and 200 more`. */
function listed(what: string, numbers: readonly number[]): string {
  const shown = numbers.slice(0, 12).map(String).join(', ');
  const rest = numbers.length > 12 ? ` and ${grouped(numbers.length - 12)} more` : '';
  return `${what}${numbers.length === 1 ? '' : 's'} ${shown}${rest}`;
}
