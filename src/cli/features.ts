/**
 * `faultline features`: the switches and what can be set beside them, their values, what each profile sets them to, where they come from.
 */
import type { Command } from 'commander';
import {
  FEATURES,
  type FeatureName,
  PROFILES,
  RFC_SCAN,
  SCAN_TUNABLES,
  type TunableName,
  tunableText,
} from '../mm/index.ts';
import { EXIT_TEXT, jsonOption } from './options.ts';
import { print, styled } from './output.ts';

/** Adds `faultline features` to the command line. */
export function registerFeaturesCommand(program: Command): void {
  program
    .command('features')
    .summary('the switches: name, values, value in each profile, seed, what it does')
    .description('List the switches that --set takes, with their values in each profile.')
    .addOption(jsonOption('Print an array of {name, values, profiles, seed, text}.'))
    .addHelpText('after', EXIT_TEXT)
    .action(({ json }: { json?: true }) => print(json ? `${JSON.stringify(rows())}\n` : tableText()));
}

interface FeatureRow {
  readonly name: string;
  readonly values: readonly string[];
  readonly profiles: Readonly<Record<string, string>>;
  readonly seed: string;
  readonly text: string;
}

/** What can be set of the scan of `ptReclaim=async`: alike in all profiles. */
const tunableRows = (): FeatureRow[] =>
  Object.entries(SCAN_TUNABLES).map(([name, { values, text }]) => ({
    name: `ptReclaim.${name}`,
    values: [values],
    profiles: Object.fromEntries(
      Object.keys(PROFILES).map((profile) => [profile, tunableText(name as TunableName, RFC_SCAN)]),
    ),
    seed: '003',
    text,
  }));

const rows = (): FeatureRow[] => [...featureRows(), ...tunableRows()];

function featureRows(): FeatureRow[] {
  return Object.entries(FEATURES).map(([name, { values, seed, text }]) => ({
    name,
    values,
    profiles: Object.fromEntries(
      Object.entries(PROFILES).map(([profile, features]) => [profile, features[name as FeatureName]]),
    ),
    seed,
    text,
  }));
}

function tableText(): string {
  const profiles = Object.keys(PROFILES);
  const head = ['feature', 'values', ...profiles, 'seed'];
  const body = rows().map((row) => [
    row.name,
    row.values.join(', '),
    ...profiles.map((profile) => row.profiles[profile] ?? ''),
    row.seed,
  ]);
  const widths = head.map((title, i) =>
    Math.max(title.length, ...body.map((cells) => (cells[i] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  const lines = [styled('bold', line(head))];
  for (const [i, row] of rows().entries()) lines.push(line(body[i] ?? []), styled('dim', `    ${row.text}`));
  return `${lines.join('\n')}\n`;
}
