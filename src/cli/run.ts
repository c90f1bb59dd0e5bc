/**
 * `faultline run`: plays one input in one configuration and prints facts, a view, its events, or each step.
 */
import { type Command, Option } from 'commander';
import { UsageError } from '../base/assert.ts';
import { type MmEvent, tableCensus, withSettings } from '../mm/index.ts';
import type { VerifyWhen } from '../replay/play/player.ts';
import { eventText, tableRuns } from '../report/index.ts';
import { parseProbe } from '../whatif/probes.ts';
import { findRewrite } from '../whatif/rewrites.ts';
import { loadCosts } from './calibration.ts';
import { failureJson, failureOf } from './exitStatus.ts';
import { type CliInput, openInput, reading } from './inputs.ts';
import {
  addFeatureOptions,
  calibrationOption,
  cpusOption,
  EXIT_TEXT,
  type FeatureFlags,
  featuresOf,
  INPUT_TEXT,
  jsonOption,
  probeOption,
  quietOption,
  rewriteOption,
  seedOption,
  verifyOption,
  wholeNumber,
} from './options.ts';
import { note, print } from './output.ts';
import { factsJson, factsText } from './run/facts.ts';
import { type Playback, type PlaybackOptions, playInput } from './run/playback.ts';
import { Stepper } from './run/steps.ts';
import { lackOf, VIEWS, type View, viewText, type Window } from './run/views.ts';
import { atFullSize, openThreaded, printRuns, runColumn, type ThreadedInput } from './threads.ts';

interface Flags extends FeatureFlags {
  readonly print?: View | 'events';
  readonly pid?: number;
  readonly step?: true;
  readonly json?: true;
  readonly verify: VerifyWhen;
  readonly seed: number;
  readonly quiet?: true;
  readonly calibration?: string;
  readonly cpus?: number;
  readonly full?: true;
  readonly as: readonly string[];
  readonly probe: readonly string[];
}

const DESCRIPTION = `Play one input in one configuration and print the facts: operations, vmas, merges and why not, refusals.
With --print the view alone is printed, with --step every operation, its answer and what it changes in maps.`;

/** Adds `faultline run` to the command line. */
export function registerRunCommand(program: Command): void {
  const command = program
    .command('run')
    .summary('one configuration: facts, views, events; --step walks through the operations')
    .description(DESCRIPTION)
    .argument('<input>', INPUT_TEXT);
  addFeatureOptions(command)
    .addOption(
      new Option(
        '--print <view>',
        'Print this instead of the facts: maps, smaps, smaps_rollup, the memory lines of status, and statm as /proc has them; pagemap as runs of pages and internals (page offsets, anon_vmas), as recordings have them; pagetables as runs of tables with what each holds, what pins it, and who emptied it; vmas as a table; vranges, the volatile ranges; or events as they happen. Of an ops file its window is shown, but the sums of rollup, status and statm are those of the whole process.',
      ).choices([...VIEWS, 'events']),
    )
    .option(
      '--pid <number>',
      'The process whose view is printed. Defaults to the one that was recorded.',
      wholeNumber,
    )
    .addOption(rewriteOption())
    .addOption(probeOption())
    .option('--step', 'Print each operation; on a terminal stop after each.')
    .option(
      '--full',
      'A workload that is scaled down unless told (bloat/jvm-like): at the size at which it happened.',
    )
    .addOption(verifyOption())
    .addOption(calibrationOption())
    .addOption(seedOption())
    .addOption(cpusOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText('after', EXIT_TEXT)
    .action((input: string, flags: Flags) => run(input, flags));
}

function run(text: string, flags: Flags): void {
  if (flags.step && (flags.json || flags.print))
    throw new UsageError('--step prints operations, and --json and --print something else', 'one of them');
  try {
    const threaded = openThreaded(text);
    if (threaded !== null) {
      runThreads(flags.full ? atFullSize(threaded) : threaded, flags);
      return;
    }
    if (flags.full) throw new UsageError(`${text} has only one size`, 'no --full');
    const quiet = flags.quiet === true || flags.step === true;
    const input = openInput(text, { quiet, seed: flags.seed });
    reading(input, () => runOpened(input, text, flags));
  } catch (error) {
    const failure = flags.json ? failureOf(error) : null;
    if (failure !== null) print(`${JSON.stringify({ input: text, error: failureJson(failure) })}\n`);
    throw error;
  }
}

/** A workload of several threads: a table of where its time went. */
function runThreads(input: ThreadedInput, flags: Flags): void {
  if (flags.step || flags.print)
    throw new UsageError(
      `${input.name} has several threads: its steps and views are not printed`,
      'neither --step nor --print',
    );
  const options = { ...flags, costs: loadCosts(flags.calibration) };
  const set = flags.set.map(({ name, value }) => `${name}=${value}`);
  const label = [flags.profile, ...set].join(' ');
  const [rewrites, probes] = [flags.as.map(findRewrite), flags.probe.map(parseProbe)];
  const needed = [...rewrites, ...probes].flatMap(({ needs }) => needs);
  const features = withSettings(featuresOf(flags), needed);
  const configuration = { label, features, changes: set, rewrites, probes, params: {} };
  printRuns(input, [runColumn(input, configuration, options)], options);
}

function runOpened(input: CliInput, text: string, flags: Flags): void {
  const quiet = flags.quiet === true;
  const acts = [...flags.as.map(findRewrite), ...flags.probe.map(parseProbe)];
  const needed = acts.flatMap(({ needs }) => needs);
  const features = withSettings(featuresOf(flags), needed);
  const costs = loadCosts(flags.calibration);
  const options = {
    features,
    verify: flags.verify,
    acts,
    costs,
    config: { tracksTables: flags.print === 'pagetables' },
  };
  const title = { costs, input: text, profile: flags.profile, set: flags.set, seed: flags.seed };
  if (flags.step) {
    const playback = stepped(input.name, options, (more) => playInput(input, more));
    if (!playback.isStopped) print(`\n${factsText(title, playback)}`);
    return;
  }
  if (flags.print === 'events') {
    printEvents(options, flags.json === true, (more) => playInput(input, more));
    return;
  }
  let window: Window | null = null;
  const playback = playInput(input, {
    ...options,
    onStart: ({ state }) => {
      window ??= state?.window ?? null;
    },
  });
  if (!quiet)
    for (const { text: warning, count } of playback.warnings)
      note(`${warning}${count > 1 ? ` (${count})` : ''}`);
  if (flags.print !== undefined) printView(flags.print, playback, { ...flags, window });
  else if (flags.json) print(`${JSON.stringify(factsJson(title, playback))}\n`);
  else print(factsText(title, playback));
}

type Play = (options: PlaybackOptions) => Playback;

function stepped(name: string, options: PlaybackOptions, play: Play): Playback {
  const stepper = new Stepper(name);
  try {
    return play({
      ...options,
      events: (event) => stepper.event(event),
      onStart: ({ state }) => {
        if (state !== null && state.window !== null) stepper.showOnly(state.window);
      },
      onOp: (played) => stepper.step(played),
    });
  } finally {
    stepper.end();
  }
}

const LINES_AT_ONCE = 500;

function printEvents(options: PlaybackOptions, json: boolean, play: Play): void {
  let lines: string[] = [];
  const flush = (): void => {
    if (lines.length > 0) print(`${lines.join('\n')}\n`);
    lines = [];
  };
  const events = (event: MmEvent): void => {
    lines.push(json ? JSON.stringify(event) : `op ${event.op} ${eventText(event)}`);
    if (lines.length === LINES_AT_ONCE) flush();
  };
  try {
    play({ ...options, events });
  } finally {
    flush();
  }
}

function printView(
  view: View,
  { machine, main }: Playback,
  flags: Flags & { readonly window: Window | null },
): void {
  const living = machine.processes;
  const process = flags.pid === undefined ? main : machine.process(flags.pid);
  const mm = process?.mm ?? null;
  if (mm === null) {
    const pids = living.filter((each) => each.mm !== null).map(({ pid }) => String(pid));
    throw new UsageError(
      `process ${flags.pid ?? 'that was recorded'} has no address space at the end: it ended or called execve`,
      pids.length === 0 ? 'an input whose process lives at its end' : `--pid with one of ${pids.join(', ')}`,
    );
  }
  const others = living.filter((each) => each !== process && each.mm !== null).map(({ pid }) => pid);
  if (!flags.quiet) {
    const lacking = lackOf(view, mm);
    if (lacking !== null) note(lacking);
    if (flags.pid === undefined && others.length > 0) note(`also alive (--pid): ${others.join(', ')}`);
  }
  const text = viewText(view, mm, flags.window);
  const more = view === 'pagetables' ? { census: tableCensus(mm), tables: tableRuns(mm, flags.window) } : {};
  print(flags.json ? `${JSON.stringify({ view, pid: process?.pid, text, ...more })}\n` : text);
}
