/**
 * `faultline calibrate`: measures the prices of this machine, as a file for `--calibration`.
 *
 * What it sets up for that (a swap device, a setting) is undone, whatever ends it. Ended by Ctrl-C it writes what it has.
 */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { UsageError } from '../base/assert.ts';
import { counted } from '../report/index.ts';
import { CalibrateProgress } from './calibrate/calibrateProgress.ts';
import { type CalibrationFile, calibrationFile, isWhole, type Missing } from './calibrate/calibrationFile.ts';
import { GROUPS, type GroupName } from './calibrate/figureList.ts';
import { EFFORT, Measuring } from './calibrate/measuring.ts';
import { thisMachine } from './calibrate/thisMachine.ts';
import { loadCosts } from './calibration.ts';
import { DONE, finish, INTERRUPTED } from './exitStatus.ts';
import { buildProgram, whyNoPrograms } from './fuzz/oraclePrograms.ts';
import { foldedRow } from './helpText.ts';
import { EXIT_TEXT, jsonOption, quietOption } from './options.ts';
import { note, print } from './output.ts';

interface Flags {
  readonly quick?: true;
  readonly output: string;
  readonly only?: readonly string[];
  readonly json?: true;
  readonly quiet?: true;
}

const DESCRIPTION = `Measure what memory management costs on this machine and write it to a file, for --calibration of compare, run and reproduce.
Needs Linux on x86-64 and a C compiler. Without root some figures cannot be measured; those of the bundled calibration, scaled, stand in for them.`;

const INSISTS_MS = 500;

/** Adds `faultline calibrate` to the command line. */
export function registerCalibrateCommand(program: Command): void {
  program
    .command('calibrate')
    .summary('measure the prices of this machine, for --calibration')
    .description(DESCRIPTION)
    .option('--quick', 'Take about a minute instead of about ten: fewer samples, and nothing above 1 GiB.')
    .option('-o, --output <file>', 'Where the calibration is written.', 'calibration.json')
    .option(
      '--only <group...>',
      'Measure these groups only; for the others the bundled calibration stands in.',
    )
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText('after', groupsText())
    .addHelpText('after', EXIT_TEXT)
    .action((flags: Flags) => calibrate(flags));
}

function groupsText(): string {
  const rows = Object.entries(GROUPS).map(([name, what]) => foldedRow(`  ${name}`, 15, `${what}.`));
  return `\n${rows.join('\n')}\n\n  What the figures are used for: docs/costs.md`;
}

const isGroup = (name: string): name is GroupName => Object.hasOwn(GROUPS, name);

function groupsFor(only: readonly string[] | undefined): GroupName[] {
  const all = Object.keys(GROUPS).filter(isGroup);
  const unknown = only?.find((name) => !isGroup(name));
  if (unknown !== undefined)
    throw new UsageError(`--only ${unknown} is no group of figures`, `one of ${all.join(', ')}`);
  return only === undefined ? all : all.filter((name) => only.includes(name));
}

async function calibrate(flags: Flags): Promise<void> {
  const groups = groupsFor(flags.only);
  const why = whyNoPrograms();
  if (why !== null) throw new UsageError(`calibrating ${why}`, 'Linux on x86-64 with a C compiler');
  const measuring = new Measuring(buildProgram('cost'), groups, EFFORT[flags.quick ? 'quick' : 'full']);
  const progress = new CalibrateProgress(flags.quiet === true, () => measuring.state);
  const interrupts = onInterrupts(measuring);
  try {
    if (!flags.quiet && process.getuid?.() !== 0)
      note('faultline calibrate: without root: no swap, and other programs disturb more\n');
    progress.start();
    await measuring.run();
  } finally {
    progress.end();
    interrupts.off();
  }
  const file = fileOf(measuring);
  write(flags.output, file);
  print(flags.json ? `${JSON.stringify(summaryJson(flags.output, file))}\n` : summary(flags.output, file));
  finish(measuring.isStopped ? INTERRUPTED : DONE);
}

/** The first Ctrl-C ends measuring and writes what there is, a second one gives it up. */
function onInterrupts(measuring: Measuring): { off(): void } {
  let last: number | null = null;
  const heard = (): void => {
    const now = performance.now();
    // One Ctrl-C may arrive twice: from the terminal and from npx.
    if (last !== null && now - last < INSISTS_MS) return;
    if (last !== null) process.exit(INTERRUPTED);
    last = now;
    measuring.stop();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, heard);
  return {
    off: () => {
      for (const signal of signals) process.off(signal, heard);
    },
  };
}

function fileOf(measuring: Measuring): CalibrationFile {
  return calibrationFile({
    measured: new Date().toISOString().slice(0, 10),
    machine: thisMachine(),
    figures: measuring.samples.figures(),
    whyNot: (info) => measuring.whyNot(info),
    other: loadCosts().calibration,
    isInterrupted: measuring.isStopped,
  });
}

function write(path: string, file: CalibrationFile): void {
  try {
    writeFileSync(path, `${JSON.stringify(file, null, 1)}\n`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${path} cannot be written: ${message}`, '--output FILE where you may write');
  }
}

interface Counted {
  readonly measured: number;
  readonly noisy: number;
  readonly missing: readonly Missing[];
}

const countedIn = ({ primitives, missing }: CalibrationFile): Counted => ({
  measured: primitives.filter(({ standIn }) => standIn !== true).length,
  noisy: primitives.filter(({ standIn, noisy }) => noisy && standIn !== true).length,
  missing,
});

const summaryJson = (path: string, file: CalibrationFile): object => ({
  file: path,
  ...countedIn(file),
  isWhole: isWhole(file),
  interrupted: file.interrupted === true,
});

const YARDSTICKS = ['syscall_null', 'clear_4k_hot', 'fault_anon_write', 'fault_anon_write_256m', 'fork_base'];

function summary(path: string, file: CalibrationFile): string {
  const { measured, noisy, missing } = countedIn(file);
  const bundled = loadCosts().calibration;
  const lines = [
    `${path}: ${counted(measured, 'figure')} measured, ${noisy} of them noisy; ${missing.length} not measured`,
    '',
    `${'yardstick'.padEnd(24)}${'here'.padStart(10)}${bundled.name.padStart(22)}`,
  ];
  for (const name of YARDSTICKS) {
    const own = file.primitives.find((each) => each.name === name && each.standIn !== true);
    const theirs = bundled.primitives.find((each) => each.name === name);
    const text = own === undefined ? '' : `${Math.round(own.floor)} ns${own.noisy ? ' ~' : '  '}`;
    lines.push(
      `${name.padEnd(24)}${text.padStart(10)}${`${Math.round(theirs?.floor ?? 0)} ns`.padStart(22)}`.trimEnd(),
    );
  }
  lines.push('', '~ noisy: samples or rounds lie further apart than 30 %');
  const reasons = new Map<string, Missing[]>();
  for (const each of missing) {
    const reason = `${each.why}; instead: ${each.instead}`;
    reasons.set(reason, [...(reasons.get(reason) ?? []), each]);
  }
  if (missing.length > 0) lines.push('', 'Not measured:');
  for (const [reason, of] of reasons) lines.push(`  ${reason}`, ...names(of));
  return `${lines.join('\n')}\n`;
}

const WIDTH = 120;

/** The names of figures, folded. */
function names(of: readonly Missing[]): string[] {
  const lines = [''];
  for (const { name } of of) {
    const last = lines.at(-1) ?? '';
    if (last.length + name.length > WIDTH) lines.push(name);
    else lines[lines.length - 1] = last === '' ? name : `${last} ${name}`;
  }
  return lines.map((line) => `    ${line}`);
}
