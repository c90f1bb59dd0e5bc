/**
 * `faultline workloads`: the workloads there are and their parameters.
 */
import type { Command } from 'commander';
import { type Param, THREADED_WORKLOADS, WORKLOADS } from '../workloads/index.ts';
import { EXIT_TEXT, jsonOption } from './options.ts';
import { print, styled } from './output.ts';

/** Adds `faultline workloads` to the command line. */
export function registerWorkloadsCommand(program: Command): void {
  program
    .command('workloads')
    .summary('the workloads: name, what it does, parameters with their defaults')
    .description(
      'List the workloads that workload:NAME[,key=value...] takes as an input, with their parameters.',
    )
    .addOption(jsonOption('Print an array of {name, title, text, params}.'))
    .addHelpText('after', EXIT_TEXT)
    .action(({ json }: { json?: true }) => print(json ? `${JSON.stringify(rows())}\n` : listText()));
}

/** All workloads; those of several threads run in virtual time. */
const ALL = [...WORKLOADS, ...THREADED_WORKLOADS];

const rows = () => ALL.map(({ name, title, text, params }) => ({ name, title, text, params }));

function listText(): string {
  const lines: string[] = [];
  for (const { name, title, text, params } of ALL) {
    lines.push(`${styled('bold', `workload:${name}`)}  ${title}`, ...folded(text));
    for (const [key, param] of Object.entries(params)) {
      lines.push(`    ${`${key}=${param.default}`.padEnd(18)}  ${param.text}${possible(param)}`);
    }
    lines.push('');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Returns what may stand behind the equals sign, where that is not obvious. */
function possible({ choices, unit, min = 0, max }: Param): string {
  if (choices !== undefined) return ` (${choices.join(', ')})`;
  const range = max === undefined ? (min === 0 ? '' : `at least ${min}`) : `${min} to ${max}`;
  const words = [unit, range].filter((word) => word !== '').join(', ');
  return words === '' ? '' : ` (${words})`;
}

/** Splits a text into lines of at most 100 characters, indented. */
function folded(text: string): string[] {
  const lines: string[] = [];
  let line = '   ';
  for (const word of text.split(' ')) {
    if (line.length + word.length > 100) {
      lines.push(line);
      line = '   ';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
