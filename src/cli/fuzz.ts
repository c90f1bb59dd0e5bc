/**
 * `faultline fuzz`: the same random operations on this machine's kernel and on the model, compared, for as long as one likes.
 */
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../base/assert.ts';
import { FUZZ_MODES, type FuzzMode, type FuzzModeName } from '../fuzz/index.ts';
import { DONE, FOUND, finish, INTERRUPTED } from './exitStatus.ts';
import type { Differing, Mode } from './fuzz/batch.ts';
import { Campaign, type CampaignOptions } from './fuzz/campaign.ts';
import { type FuzzOutcome, reportJson, reportText } from './fuzz/fuzzReport.ts';
import { configText, type MachineFacts, machineFacts } from './fuzz/machineFacts.ts';
import { buildProgram, whyNoKernel } from './fuzz/oraclePrograms.ts';
import { FuzzProgress } from './fuzz/progress.ts';
import { drawsMark, RunFiles, type RunState } from './fuzz/runFiles.ts';
import { NO_SUMS } from './fuzz/totals.ts';
import { foldedRow } from './helpText.ts';
import { EXIT_TEXT, jsonOption, quietOption, wholeNumber } from './options.ts';
import { note, print, styled } from './output.ts';
import { packageVersion } from './version.ts';

interface Flags {
  readonly mode?: FuzzModeName;
  readonly minutes?: number;
  readonly ops?: number;
  readonly seed?: number;
  readonly every?: number;
  readonly untilDifference?: true;
  readonly resume?: true;
  readonly jobs?: number;
  readonly output: string;
  readonly json?: true;
  readonly quiet?: true;
}

const DESCRIPTION = `Run random operations on this machine's kernel and on the model and compare results, signals, VMAs, pages, figures and faults.
A difference is cut down to a few operations and written to a file in the directory. Needs Linux 6.18 and a C compiler; root for some modes.`;

const DEFAULT_EVERY = 25;
const DEFAULT_MINUTES = 1;
/** Seeds that are drawn are below this; the generator takes 32 bits, and the run goes upwards from it. */
const SEEDS = 2 ** 31;
const INSISTS_MS = 500;

/** A line of /proc/swaps: the device of another run, of a sequence or of a test, which takes it away before it lets us run. */
const OF_A_RUN = /^\/(?:dev\/)?zram\d+ +\S+\s+(?:1048576|65536|128)\s/;

/** One of these is there where memory cgroups can be made: of version 1, of version 2. */
const MEMORY_CGROUPS = ['/sys/fs/cgroup/memory/memory.usage_in_bytes', '/sys/fs/cgroup/cgroup.controllers'];

type ModeRow = FuzzMode & { readonly name: Mode };

const MODES = FUZZ_MODES.filter((mode): mode is ModeRow => mode.name !== 'all');

/** The newest mode still finds a difference in some hundred thousand operations: it is run by itself (docs/fuzzing.md). */
const BY_ITSELF: Mode = 'pressure';

/** Adds `faultline fuzz` to the command line. */
export function registerFuzzCommand(program: Command): void {
  program
    .command('fuzz')
    .summary("random operations on this machine's kernel and on the model; a difference is made short")
    .description(DESCRIPTION)
    .addOption(
      new Option(
        '--mode <name>',
        'What is drawn; all: the other modes in turn, but pressure, which is run by itself. Defaults to all.',
      ).choices(FUZZ_MODES.map(({ name }) => name)),
    )
    .option('--minutes <number>', `How long; defaults to ${DEFAULT_MINUTES} without --ops.`, minutes)
    .option('--ops <number>', 'How many operations, of all modes together.', positive)
    .option(
      '--seed <integer>',
      'Seed of the first sequence of each mode; the next has the next. Drawn if not given, and printed.',
      seed,
    )
    .option(
      '--every <number>',
      `Compare VMAs and pages after every so many operations. Defaults to ${DEFAULT_EVERY}.`,
      positive,
    )
    .option('--until-difference', 'End with the first difference.')
    .option('--resume', 'Go on where the run in the directory ended, with its mode, seed and --every.')
    .option('--jobs <number>', 'How many sequences at a time. Defaults to the number of cores.', positive)
    .option('-o, --output <directory>', 'Where state, results and differences are written.', 'fuzz.out')
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText('after', modesText())
    .addHelpText('after', EXIT_TEXT)
    .action((flags: Flags) => fuzz(flags));
}

function modesText(): string {
  const rows = MODES.map(({ name, what, needs }) =>
    foldedRow(`  ${name}`, 13, `${what}${needs.length > 0 ? ` Needs ${needs.join(' and ')}.` : ''}`),
  );
  return `\n${rows.join('\n')}\n\n  Results, and how to run for hours on many machines: docs/fuzzing.md`;
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('It must be 1 or more.');
  return value;
}

function seed(text: string): number {
  const value = wholeNumber(text);
  if (value >= 2 * SEEDS) throw new InvalidArgumentError('It must be below 2^32.');
  return value;
}

function minutes(text: string): number {
  const value = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || value === 0)
    throw new InvalidArgumentError('Minutes, for example 10 or 0.5.');
  return value;
}

async function fuzz(flags: Flags): Promise<void> {
  if (flags.minutes !== undefined && flags.ops !== undefined)
    throw new UsageError('--minutes and --ops both say when to end', 'one of them');
  const why = whyNoKernel();
  if (why !== null) throw new UsageError(`fuzzing ${why}`, 'Linux 6.18 on x86-64 with a C compiler');
  const files = new RunFiles(flags.output);
  const before = flags.resume === true ? resumed(files, flags) : null;
  const { asked, modes, leftOut } = modesFor(flags, before);
  for (const line of leftOut) note(`faultline fuzz: left out: ${line}`);
  const facts = machineFacts();
  const options: CampaignOptions = {
    setup: { opsrun: buildProgram('opsrun'), thp: thpOf(facts) },
    facts,
    version: packageVersion(),
    asked,
    modes,
    seed: before?.seed ?? flags.seed ?? randomInt(SEEDS),
    every: before?.every ?? flags.every ?? DEFAULT_EVERY,
    jobs: flags.jobs ?? availableParallelism(),
    seconds: flags.ops === undefined ? (flags.minutes ?? DEFAULT_MINUTES) * 60 : null,
    ops: flags.ops ?? null,
    untilDifference: flags.untilDifference === true,
    before,
    files,
  };
  files.make();
  await runCampaign(options, flags, leftOut);
}

/** Returns where the run in the directory ended. */
function resumed(files: RunFiles, flags: Flags): RunState {
  const state = files.state();
  for (const name of ['mode', 'seed', 'every'] as const)
    if (flags[name] !== undefined && flags[name] !== state[name])
      throw new UsageError(
        `the run in ${files.folder} has --${name} ${state[name]}`,
        `--resume without --${name}, or another --output`,
      );
  for (const { name } of MODES) {
    const known = state.modes[name];
    if (known !== undefined && known.draws !== drawsMark(name))
      throw new UsageError(
        `the run in ${files.folder} was begun by a version that draws other sequences in mode ${name}`,
        'a new run: no --resume, or another --output',
      );
  }
  return state;
}

interface Modes {
  readonly asked: string;
  readonly modes: readonly Mode[];
  readonly leftOut: readonly string[];
}

/** Returns the modes that can be run, and why others cannot. */
function modesFor(flags: Flags, before: RunState | null): Modes {
  const asked = before?.mode ?? flags.mode ?? 'all';
  const wanted = MODES.filter(({ name }) => (asked === 'all' && name !== BY_ITSELF) || asked === name);
  const lacking = new Map(wanted.map((mode) => [mode, mode.needs.map(whyNot).find((why) => why !== null)]));
  const modes = wanted.filter((mode) => lacking.get(mode) === undefined).map(({ name }) => name);
  const leftOut = wanted
    .filter(({ name }) => !modes.includes(name))
    .map((mode) => `mode ${mode.name} needs ${lacking.get(mode)}`);
  if (modes.length === 0) throw new UsageError(leftOut.join(', '), 'another mode, or what it needs');
  return { asked, modes, leftOut };
}

/** Returns what a mode needs and this machine has not; null when it has. */
function whyNot(need: FuzzMode['needs'][number]): string | null {
  if (need === 'root') return process.getuid?.() === 0 ? null : 'root';
  if (need === 'memory cgroup')
    return MEMORY_CGROUPS.some((path) => existsSync(path)) ? null : 'the memory controller of cgroups';
  if (!existsSync('/sys/class/zram-control/hot_add')) return 'the module zram';
  const devices = readFileSync('/proc/swaps', 'latin1').trimEnd().split('\n').slice(1);
  return devices.every((line) => OF_A_RUN.test(line)) ? null : 'a machine without swap space';
}

function thpOf({ config }: MachineFacts): CampaignOptions['setup']['thp'] {
  const { thp } = config;
  return thp === 'always' || thp === 'madvise' ? thp : 'never';
}

async function runCampaign(
  options: CampaignOptions,
  flags: Flags,
  leftOut: readonly string[],
): Promise<void> {
  const progress = new FuzzProgress(flags.quiet === true, () => campaign.standing);
  const campaign = new Campaign(options, (differing, path, isShort) => {
    progress.clear();
    const text = foundText(differing, path, isShort, options.every);
    if (flags.json) note(text.trimEnd());
    else print(text);
  });
  const interrupts = onInterrupts(campaign, progress);
  try {
    if (!flags.quiet) note(`${beginning(options)}\n`);
    progress.start();
    await campaign.run();
  } finally {
    progress.end();
    interrupts.off();
  }
  const { facts, asked, seed: base, every, modes } = options;
  const { state } = campaign;
  const outcome: FuzzOutcome = {
    ...facts,
    mode: asked,
    seed: base,
    every,
    seconds: state.seconds,
    cpuSeconds: state.cpuSeconds,
    modes: modes.map((mode) => [mode, state.modes[mode]?.sums ?? NO_SUMS]),
    leftOut,
    folder: options.files.folder,
    isInterrupted: interrupts.count > 0,
  };
  print(flags.json ? `${JSON.stringify(reportJson(outcome))}\n` : reportText(outcome));
  if (interrupts.count > 0) finish(INTERRUPTED);
  finish(outcome.modes.some(([, { differing }]) => differing.length > 0) ? FOUND : DONE);
}

function beginning({ facts, asked, seed: base, every, jobs, modes, files, before }: CampaignOptions): string {
  const which = asked === 'all' ? `all (${modes.join(', ')})` : asked;
  return [
    `mode ${which}, seed ${base}, compared every ${every}, ${jobs} at a time, results in ${files.folder}`,
    `Linux ${facts.kernel}: ${configText(facts.config)}`,
    ...(before === null ? [] : [`goes on after ${before.seconds.toFixed(0)} s`]),
  ].join('\n');
}

/** What is printed about a difference at once. */
function foundText(
  { mode, seed: of, ops, lines, difference }: Differing,
  path: string,
  isShort: boolean,
  every: number,
): string {
  const calls = lines.filter((line) => /^\d/.test(line));
  const text = [
    styled('bold', `${mode} ${of}: ${difference.what}`),
    `  kernel  ${difference.kernel}`,
    `  ours    ${difference.ours}`,
    ...(isShort ? calls.map((line) => `    ${line}`) : []),
    `  again   npx faultline fuzz --mode ${mode} --seed ${of} --ops ${ops} --every ${every}`,
    `  row     ${path}`,
  ];
  return `${text.join('\n')}\n\n`;
}

/** Stops the run at the first Ctrl-C and gives everything up at the second. */
function onInterrupts(campaign: Campaign, progress: FuzzProgress): { readonly count: number; off(): void } {
  let [count, last] = [0, 0];
  const heard = (): void => {
    const now = performance.now();
    // One Ctrl-C may arrive twice: from the terminal and from npx.
    if (count > 0 && now - last < INSISTS_MS) return;
    last = now;
    count++;
    if (count > 1) process.exit(INTERRUPTED);
    progress.clear();
    note('faultline fuzz: ending after the sequences under way (Ctrl-C once more gives them up)');
    void campaign.interrupt();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, heard);
  return {
    get count() {
      return count;
    },
    off: () => {
      for (const signal of signals) process.off(signal, heard);
    },
  };
}
