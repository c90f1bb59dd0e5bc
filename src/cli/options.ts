/**
 * Options that several commands have, with the same name and meaning everywhere.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../base/assert.ts';
import { CALIBRATION_SCHEMA } from '../machine/index.ts';
import {
  type FeatureSetting,
  type Features,
  PROFILES,
  parseFeatureSetting,
  withSettings,
} from '../mm/index.ts';
import type { VerifyWhen } from '../replay/play/player.ts';
import { PROBE_FORMS, parseProbe } from '../whatif/probes.ts';
import { REWRITES } from '../whatif/rewrites.ts';
import { BUNDLED_NAME } from './calibration.ts';
import { DEFAULT_SEED } from './inputs.ts';

/** What INPUT may be, for help texts. */
export const INPUT_TEXT =
  'A recording directory; a file of strace, perf script, /proc/PID/maps, bpftrace or ops, plain or gzip; - for standard input; workload:NAME[,key=value...]; a .ts or .js module that exports a workload.';

/** The last paragraph of every help text. */
export const EXIT_TEXT =
  '\nExit status: 0 done, 1 a difference or a bug of the model found, 2 the arguments or the input were wrong, 130 interrupted.';

/** Values of `--profile` and `--set`. */
export interface FeatureFlags {
  readonly profile: string;
  readonly set: readonly FeatureSetting[];
}

/** Adds `--profile` and `--set`. */
export function addFeatureOptions(command: Command): Command {
  return command
    .addOption(profileOption('--profile <name>', 'The row of `faultline features` to start from'))
    .option('--set <feature=value>', 'Set a switch; see `faultline features`.', readSetting, []);
}

/** Makes an option that takes the name of a profile. */
export function profileOption(flags: string, text: string): Option {
  const names = Object.keys(PROFILES);
  return new Option(flags, `${text}: ${names.join(', ')}.`).choices(names).default('linux-6.18');
}

/** Adds one `--set` to those before it. */
export function readSetting(text: string, before: readonly FeatureSetting[]): FeatureSetting[] {
  const setting = parseFeatureSetting(text);
  if (typeof setting === 'string') throw new InvalidArgumentError(`${setting}.`);
  return [...before, setting];
}

/** Returns the switches that the options ask for. */
export function featuresOf(flags: FeatureFlags): Features {
  const profile = PROFILES[flags.profile];
  if (profile === undefined) throw new InvalidArgumentError(`no profile '${flags.profile}'`);
  return withSettings(profile, flags.set);
}

/** Makes `--verify`. */
export const verifyOption = (): Option =>
  new Option(
    '--verify <when>',
    'When to check the invariants of the model: never, at the end, around every operation.',
  )
    .choices(['never', 'end', 'every'] satisfies VerifyWhen[])
    .default('end');

/** Makes `--seed`. */
export const seedOption = (): Option =>
  new Option('--seed <integer>', 'Seed of everything random in a workload.')
    .default(DEFAULT_SEED)
    .argParser(wholeNumber);

/** Makes `--cpus`. */
export const cpusOption = (): Option =>
  new Option(
    '--cpus <number>',
    'Virtual CPUs of workloads of several threads. Defaults to 2, with which the prices were measured.',
  ).argParser((text) => {
    const cpus = wholeNumber(text);
    if (cpus < 1 || cpus > 64) throw new InvalidArgumentError('It is not from 1 to 64.');
    return cpus;
  });

/** Makes `--calibration`. */
export const calibrationOption = (): Option =>
  new Option(
    '--calibration <file>',
    `Model times with the figures of this file (schema ${CALIBRATION_SCHEMA}). Defaults to those of ${BUNDLED_NAME}, which come with the program.`,
  );

/** Makes `--json`. */
export const jsonOption = (text = 'Print the same numbers under the same names as JSON.'): Option =>
  new Option('--json', text);

/** Makes `--as`. */
export const rewriteOption = (): Option =>
  new Option(
    '--as <rule>',
    `Change calls on their way, as if the program had made others: ${REWRITES.map(({ rule, text }) => `${rule} (${text})`).join(', ')}.`,
  )
    .argParser(readRule)
    .default([]);

function readRule(text: string, before: readonly string[]): string[] {
  if (!REWRITES.some(({ rule }) => rule === text))
    throw new InvalidArgumentError(`There is ${REWRITES.map(({ rule }) => rule).join(', ')}.`);
  return [...before, text];
}

/** Makes `--probe`. */
export const probeOption = (): Option =>
  new Option(
    '--probe <probe>',
    `Watch the program: ${PROBE_FORMS.map(({ form, text }) => `${form} (${text})`).join('; ')}.`,
  )
    .argParser(readProbe)
    .default([]);

function readProbe(text: string, before: readonly string[]): string[] {
  try {
    parseProbe(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new InvalidArgumentError(`There is ${PROBE_FORMS.map(({ form }) => form).join('; ')}.`);
  }
  return [...before, text];
}

/** Makes `--quiet`. */
export const quietOption = (): Option => new Option('--quiet', 'Show no progress and no remarks.');

/** Reads a whole number that is not negative. */
export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text)))
    throw new InvalidArgumentError('It is not a whole number.');
  return Number(text);
}
