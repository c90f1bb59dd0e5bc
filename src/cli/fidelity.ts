/**
 * `faultline fidelity`: the ledger: what was compared with which kernel, what differed, what is accepted, what is not modelled.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { UsageError } from '../base/assert.ts';
import { counted } from '../report/index.ts';
import { CountedLines, type SeedRange } from './fidelity/counted.ts';
import { withGeneratedParts } from './fidelity/generatedParts.ts';
import { gatherLedger, type Ledger } from './fidelity/ledger.ts';
import { ledgerMarkdown, ledgerText } from './fidelity/ledgerText.ts';
import { isCountedLine, readCounted, readResults, writeCounted } from './fidelity/resultFiles.ts';
import { EXIT_TEXT, jsonOption, quietOption } from './options.ts';
import { note, print } from './output.ts';

interface Flags {
  readonly merge?: readonly string[];
  readonly write?: true;
  readonly json?: true;
  readonly markdown?: true;
  readonly quiet?: true;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RESULTS = join(ROOT, 'fidelity/results.jsonl');
const DOCUMENT = join(ROOT, 'docs/fidelity.md');

const DESCRIPTION = `Print the ledger: how many operations were compared with which kernel, what differed, what is accepted and why, what is not modelled.`;

/** Adds `faultline fidelity` to the command line. */
export function registerFidelityCommand(program: Command): void {
  program
    .command('fidelity')
    .summary('the ledger: what was compared with which kernel, and with what result')
    .description(DESCRIPTION)
    .option(
      '--merge <file...>',
      'Add results of other machines: results.jsonl of `faultline fuzz`. Seeds that are there already do not count again.',
    )
    .option(
      '--write',
      'Keep what was merged in fidelity/results.jsonl, and write the generated parts of docs/fidelity.md.',
    )
    .addOption(jsonOption('Print the ledger as JSON.'))
    .option('--markdown', 'Print the generated parts of docs/fidelity.md.')
    .addOption(quietOption())
    .addHelpText('after', EXIT_TEXT)
    .action((flags: Flags) => fidelity(flags));
}

function fidelity(flags: Flags): void {
  if (flags.json && flags.markdown)
    throw new UsageError('--json and --markdown are two forms of one thing', 'one of them');
  const lines = new CountedLines(readCounted(RESULTS));
  for (const file of flags.merge ?? []) mergeFile(lines, file, flags.quiet === true);
  const ledger = gatherLedger(ROOT, lines.lines);
  if (flags.write) write(lines, ledger);
  if (flags.json) print(`${JSON.stringify(ledger)}\n`);
  else if (flags.markdown) print([...ledgerMarkdown(ledger).values(), ''].join('\n\n'));
  else print(ledgerText(ledger));
}

/** Adds the lines of a file and says what of them does not count. */
function mergeFile(lines: CountedLines, file: string, isQuiet: boolean): void {
  const say = (mode: string, ranges: readonly SeedRange[], why: string): void => {
    if (isQuiet) return;
    const seeds = ranges.map(([first, count]) => `${first} to ${first + count - 1}`).join(', ');
    note(`${file}: mode ${mode}, seeds ${seeds}: ${why}`);
  };
  let nr = 0;
  for (const line of readResults(file)) {
    if (isCountedLine(line)) {
      const twice = lines.merge(line);
      if (twice.length === 0) nr++;
      else say(line.mode, twice, 'counted already; the line is left out');
      continue;
    }
    const range: SeedRange = [line.seed, line.sequences];
    const added = lines.add(line);
    if (added === 'counted') nr++;
    else if (added === 'overlaps') say(line.mode, [range], 'some are counted already; the line is left out');
    else say(line.mode, [range], 'counted already; only what no longer differs is taken over');
  }
  if (!isQuiet) note(`${file}: ${counted(nr, 'line')} added`);
}

function write(lines: CountedLines, ledger: Ledger): void {
  writeCounted(RESULTS, lines.lines);
  writeParts(ledger);
}

/** Writes the generated parts of docs/fidelity.md from the files of the repository. */
export function writeDocument(): void {
  writeParts(gatherLedger(ROOT, readCounted(RESULTS)));
}

function writeParts(ledger: Ledger): void {
  const before = readFileSync(DOCUMENT, 'utf8');
  writeFileSync(DOCUMENT, withGeneratedParts(before, ledgerMarkdown(ledger), DOCUMENT));
}
