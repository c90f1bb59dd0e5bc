/**
 * `faultline check`: holds the model against what the kernel said in recordings and ops files.
 *
 * Inputs are checked one after the other and told of as soon as they are done; an input that cannot be read does not keep the others
 * from being checked.
 */
import type { Command } from 'commander';
import type { VerifyWhen } from '../replay/play/player.ts';
import { checkOne } from './check/checkOne.ts';
import { JsonReport } from './check/jsonReport.ts';
import { TableReport } from './check/tableReport.ts';
import { DONE, FOUND, finish } from './exitStatus.ts';
import { expandInputs } from './input/inputTree.ts';
import {
  addFeatureOptions,
  EXIT_TEXT,
  type FeatureFlags,
  featuresOf,
  INPUT_TEXT,
  jsonOption,
  quietOption,
  verifyOption,
  wholeNumber,
} from './options.ts';
import { note } from './output.ts';

interface Flags extends FeatureFlags {
  readonly json?: true;
  readonly verify: VerifyWhen;
  readonly quiet?: true;
  readonly maxDifferences: number;
}

const DESCRIPTION = `Play inputs on the model and hold every answer and view of the kernel in them against ours.
A directory that is no recording stands for the recordings and ops files in it.
The column "placed alike" says how often the kernel, where it was free, chose the address that we would have chosen.`;

/** Adds `faultline check` to the command line. */
export function registerCheckCommand(program: Command): void {
  const command = program
    .command('check')
    .summary("the model against the kernel's answers and snapshots in recordings; exit 1 on any difference")
    .description(DESCRIPTION)
    .argument('<input...>', INPUT_TEXT);
  addFeatureOptions(command)
    .addOption(verifyOption())
    .option('--max-differences <number>', 'Print at most so many differences of an input.', wholeNumber, 10)
    .addOption(jsonOption('Print one line of JSON for each input.'))
    .addOption(quietOption())
    .addHelpText('after', EXIT_TEXT)
    .action((inputs: string[], flags: Flags) => check(inputs, flags));
}

function check(texts: readonly string[], flags: Flags): void {
  const quiet = flags.quiet === true;
  const expanded = expandInputs(texts);
  if (!quiet) for (const each of expanded) if (each.said !== null) note(each.said);
  const inputs = expanded.flatMap((each) => each.inputs);
  const report = flags.json
    ? new JsonReport(flags.maxDifferences)
    : new TableReport(inputs, { maxDifferences: flags.maxDifferences, quiet });
  const settings = { features: featuresOf(flags), verify: flags.verify, quiet };
  let status = DONE;
  for (const input of inputs) {
    const result = checkOne(input, settings);
    status = Math.max(status, result.failure?.status ?? (result.ok ? DONE : FOUND));
    report.add(result);
  }
  report.end();
  finish(status);
}
