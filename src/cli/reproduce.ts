/**
 * `faultline reproduce`: the published experiments of a proposal: what was published, what a real kernel did, what the model does.
 *
 * Exit status 0 when every row holds or it is known why not (docs/fidelity.md), 1 when another does not, 2 for a seed or parameter that there is not.
 */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { UsageError } from '../base/assert.ts';
import { EXPERIMENTS, type Experiment, type Recording, type Reproduction } from '../experiments/index.ts';
import type { CostTable } from '../machine/index.ts';
import { describeParam, type Param, type Params, settleParams } from '../workloads/index.ts';
import { loadCosts } from './calibration.ts';
import { DONE, FOUND, finish } from './exitStatus.ts';
import { openInput } from './inputs.ts';
import { calibrationOption, EXIT_TEXT, jsonOption, quietOption } from './options.ts';
import { note, print } from './output.ts';
import { withKernelLoads } from './reproduce/kernelLoads.ts';
import { rowsText } from './reproduce/rowsText.ts';
import { readTimedFile, type TimedFile, timedLoadsOf, writeTimedFile } from './reproduce/timedFile.ts';
import { timeLoads } from './reproduce/timeLoads.ts';

interface Flags {
  readonly param: Readonly<Record<string, string>>;
  readonly measure?: true;
  readonly keep?: string;
  readonly kept?: string;
  readonly calibration?: string;
  readonly markdown?: true;
  readonly json?: true;
  readonly quiet?: true;
}

const DESCRIPTION = `Run the published experiments of a proposal, the one with this seed number, or all of them.
Each row has what its author published, what a real Linux 6.18 did, what the model does, and whether they agree.`;

const KEEP_TEXT =
  'With --measure, of one seed: write timed loads, and the prices that were measured in turns with them, to this file.';

const BUNDLED = ['beam', 'ruby-mimalloc', 'redis', 'node-gc', 'cc1'] as const;
/** Which recordings are played is the edge's business, so this parameter is ours. */
const RECORDINGS: Param = {
  default: 'all',
  unit: '',
  text: `which bundled recordings to play: all, none, or names with + between (${BUNDLED.join(', ')})`,
};
const MEASURED_BEFORE = 'Linux 6.18.44';

/** Adds `faultline reproduce` to the command line. */
export function registerReproduceCommand(program: Command): void {
  program
    .command('reproduce')
    .summary("a proposal's published experiments: published, measured, modelled")
    .description(DESCRIPTION)
    .argument('[seed]', `The number of the seed (${seeds()}), or all. Defaults to all.`, 'all')
    .option('--param <key=value>', paramsText(), readParam, {})
    .option('--measure', 'Run the loads on this kernel, too, instead of printing what was measured before.')
    .option('--keep <file>', KEEP_TEXT)
    .option('--kept <file>', 'Take what --keep wrote, instead of what comes with the program.')
    .addOption(calibrationOption())
    .option('--markdown', 'Print the table as Markdown, for a cover letter.')
    .addOption(jsonOption('Print one line of JSON a seed: {seed, title, measuredOn, calibration, rows}.'))
    .addOption(quietOption())
    .addHelpText('after', EXIT_TEXT)
    .action((seed: string, flags: Flags) => reproduce(seed, flags));
}

const seeds = (): string => EXPERIMENTS.map(({ seed }) => seed).join(', ');

function paramsText(): string {
  const params = EXPERIMENTS.flatMap((experiment) => Object.entries(paramsOf(experiment)));
  const texts = params.map(([key, param]) => `${key} (${param.text}; default ${param.default})`);
  return `Another size: ${texts.join(', ')}. May be repeated.`;
}

const paramsOf = ({ params, playsRecordings }: Experiment): Readonly<Record<string, Param>> =>
  playsRecordings ? { ...params, recordings: RECORDINGS } : params;

function readParam(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=');
  if (at <= 0) {
    const names = EXPERIMENTS.flatMap((experiment) => Object.entries(paramsOf(experiment)));
    const meant = names.filter(([key]) => key === text);
    throw new UsageError(
      `--param ${text} has no value`,
      (meant.length > 0 ? meant : names).map(([key, param]) => describeParam(key, param)).join(', '),
    );
  }
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

function experimentsFor(seed: string): readonly Experiment[] {
  if (seed === 'all') return EXPERIMENTS;
  const found = EXPERIMENTS.filter((experiment) => experiment.seed === seed);
  if (found.length === 0)
    throw new UsageError(`there is no experiment for seed '${seed}'`, `one of ${seeds()}, or all`);
  return found;
}

/** Of values given to several experiments, those that `experiment` has, and those that none has. */
function meantFor(
  experiment: Experiment,
  experiments: readonly Experiment[],
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const has = (each: Experiment, key: string): boolean => key in paramsOf(each);
  return Object.fromEntries(
    Object.entries(given).filter(
      ([key]) => has(experiment, key) || !experiments.some((each) => has(each, key)),
    ),
  );
}

async function reproduce(seed: string, flags: Flags): Promise<void> {
  const experiments = experimentsFor(seed);
  refuseKeeping(experiments, flags);
  const asked = experiments.map((experiment) => ({
    experiment,
    params: settleParams(
      { name: `seed ${experiment.seed}`, params: paramsOf(experiment) },
      meantFor(experiment, experiments, flags.param),
    ),
  }));
  const costs = loadCosts(flags.calibration);
  let allHold = true;
  for (const { experiment, params } of asked) {
    const reproduction = await run(experiment, params, costs, flags);
    const measuredOn = flags.measure ? `Linux ${release()} (this kernel)` : MEASURED_BEFORE;
    if (flags.json) print(`${JSON.stringify(jsonOf(reproduction, measuredOn, costs))}\n`);
    else
      print(
        rowsText(reproduction, {
          markdown: flags.markdown === true,
          measuredOn,
          calibration: costs.calibration.name,
        }),
      );
    allHold &&= reproduction.rows.every(({ holds, known }) => holds || known !== null);
  }
  finish(allHold ? DONE : FOUND);
}

const jsonOf = ({ seed, title, rows }: Reproduction, measuredOn: string, { calibration }: CostTable) => ({
  seed,
  title,
  measuredOn,
  calibration: { name: calibration.name, measured: calibration.measured },
  rows,
});

/** What is kept is one experiment's, which has something to time. */
function refuseKeeping(experiments: readonly Experiment[], { keep, kept, measure }: Flags): void {
  if (keep === undefined && kept === undefined) return;
  const timed = EXPERIMENTS.filter(({ timing }) => timing !== undefined).map((each) => each.seed);
  if (experiments.length !== 1 || !timed.includes(experiments[0]?.seed ?? ''))
    throw new UsageError(
      '--keep and --kept are about one seed that times loads',
      `one of ${timed.join(', ')}`,
    );
  if (keep !== undefined && measure !== true)
    throw new UsageError('--keep keeps what --measure measures', '--measure --keep FILE');
  if (kept !== undefined && measure === true)
    throw new UsageError('--kept takes what was measured before', 'one of --measure, --kept');
}

/** What was timed of an experiment: now, or before; null where there is nothing to time. */
async function timedOf(
  { seed, timing }: Experiment,
  params: Params,
  progress: (text: string) => void,
  { measure, keep, kept }: Flags,
): Promise<TimedFile | null> {
  if (timing === undefined) return null;
  if (measure !== true) return readTimedFile(seed, kept);
  const effort = keep === undefined ? 'once' : 'kept';
  const file = await timeLoads(seed, timing, { params, effort, progress });
  if (keep !== undefined) writeTimedFile(keep, file);
  return file;
}

async function run(
  experiment: Experiment,
  params: Params,
  costs: CostTable,
  flags: Flags,
): Promise<Reproduction> {
  const quiet = flags.quiet === true;
  const asked = experiment.playsRecordings ? String(params['recordings']) : 'none';
  const recordings = bundledRecordings(asked, quiet);
  const progress = (text: string): void => {
    if (!quiet) note(`seed ${experiment.seed}: ${text}`);
  };
  const file = await timedOf(experiment, params, progress, flags);
  const timed = file === null ? null : timedLoadsOf(file);
  const input = { params, recordings, costs, timed, progress };
  return flags.measure
    ? withKernelLoads((kernel) => experiment.run({ ...input, kernel }))
    : experiment.run({ ...input, kernel: null });
}

function bundledRecordings(asked: string, quiet: boolean): Recording[] {
  const names = asked === 'all' ? BUNDLED : asked === 'none' ? [] : asked.split('+');
  return names.map((name) => {
    const directory = fileURLToPath(new URL(`../../examples/recordings/${name}`, import.meta.url));
    if (!(BUNDLED as readonly string[]).includes(name) || !existsSync(directory))
      throw new UsageError(
        `there is no bundled recording '${name}'`,
        `recordings=none, or of ${BUNDLED.join(', ')}`,
      );
    const input = openInput(directory, { quiet });
    if (input.kind !== 'items') throw new UsageError(`${directory} is no recording`, 'a recording directory');
    return { name, input };
  });
}
