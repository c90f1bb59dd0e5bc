/**
 * How help looks: one usage line, one sentence, options as `--name=<unit>` with a sentence and the default, exit statuses.
 */
import type { Command, Help, Option } from 'commander';

const WIDTH = 120;

/** Returns the help of a command. */
export function formatHelp(command: Command, help: Help): string {
  const commands = help.visibleCommands(command).filter((each) => each.name() !== 'help');
  const options = help.visibleOptions(command);
  const parts = [`Usage: ${usage(command, options)}`, paragraph(command.description())];
  const rows = [
    ...command.registeredArguments.map((each): Row => [each.name(), sentence(each.description)]),
    ...options.map((each): Row => [flagsText(each), optionText(each)]),
  ];
  if (commands.length > 0)
    parts.push(table(commands.map((each) => [each.name(), help.subcommandDescription(each)])));
  parts.push(table(rows));
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

type Row = readonly [name: string, text: string];

function usage(command: Command, options: readonly Option[]): string {
  const names: string[] = [];
  for (let each: Command | null = command; each !== null; each = each.parent) names.unshift(each.name());
  const name = names.join(' ');
  // A command with `--` in its usage says itself what stands where.
  if (command.usage().includes(' -- ')) return `${name} ${command.usage()}`;
  if (command.commands.length > 0) return `${name} <command> [--help]`;
  const given = command.registeredArguments.map((each) => {
    const text = `<${each.name()}>${each.variadic ? '...' : ''}`;
    return each.required ? text : `[${text}]`;
  });
  const flags = options
    .filter((each) => each.long !== '--help')
    .map((each) => `[${flagsText(each)}]${isRepeatable(each) ? '...' : ''}`);
  return folded([name, ...given, ...flags], WIDTH - 'Usage: '.length);
}

/** An option whose default is a list collects its values. */
const isRepeatable = (option: Option): boolean => Array.isArray(option.defaultValue);

const flagsText = (option: Option): string => option.flags.replace(/(--[\w-]+) (?=[<[])/, '$1=');

function optionText(option: Option): string {
  const value: unknown = option.defaultValue;
  const parts = [sentence(option.description)];
  if (isRepeatable(option) && !/repeated/.test(option.description)) parts.push('May be repeated.');
  if (typeof value === 'string' || typeof value === 'number') parts.push(`Defaults to ${value}.`);
  return parts.join(' ');
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;

/** Joins words with blanks into lines; lines after the first are indented. */
function folded(words: readonly string[], width: number, indent = '         '): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${indent}`);
}

const paragraph = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${folded(line.split(' '), WIDTH - 2, '  ')}`))
    .join('\n');

function table(rows: readonly Row[]): string {
  const column = Math.max(0, ...rows.map(([name]) => name.length)) + 4;
  return rows.map(([name, text]) => foldedRow(`  ${name}`, column, text)).join('\n');
}

/** Returns a name and its text, which begins at `column` and goes on there in the next line. */
export const foldedRow = (name: string, column: number, text: string): string =>
  name.padEnd(column) + folded(text.split(' '), WIDTH - column, ' '.repeat(column));
