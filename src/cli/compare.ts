/**
 * `faultline compare`: runs inputs with and without switches side by side and prints what changed, by how much, and why.
 *
 * An input that cannot be read or asks for what is not modelled does not keep the others from being compared.
 */
import type { Command } from 'commander';
import type { CostTable } from '../machine/index.ts';
import type { FeatureSetting } from '../mm/index.ts';
import { LINUX_6_18, PROFILES } from '../mm/index.ts';
import type { VerifyWhen } from '../replay/play/player.ts';
import { counted } from '../report/index.ts';
import {
  type ComparisonContext,
  comparisonJson,
  comparisonMarkdown,
  comparisonText,
} from '../whatif/compareText.ts';
import {
  type Asked,
  type Configuration,
  configurations,
  parseVary,
  settingsOfAll,
  type Vary,
} from '../whatif/configurations.ts';
import { type RunResult, runInput } from '../whatif/run.ts';
import { loadCosts } from './calibration.ts';
import { DONE, failureOf, failureText, finish } from './exitStatus.ts';
import { refuseWithoutCalls } from './explain/view.ts';
import { expandInputs } from './input/inputTree.ts';
import { isWorkloadName, openInput, reading } from './inputs.ts';
import {
  calibrationOption,
  cpusOption,
  EXIT_TEXT,
  INPUT_TEXT,
  jsonOption,
  probeOption,
  profileOption,
  quietOption,
  readSetting,
  rewriteOption,
  seedOption,
  verifyOption,
} from './options.ts';
import { note, print, styled } from './output.ts';
import { openThreaded, printRuns, runColumns, type ThreadedInput } from './threads.ts';
import { KERNEL_MODELLED, packageVersion } from './version.ts';

interface Flags {
  readonly baseline: string;
  readonly set: readonly FeatureSetting[];
  readonly vary: readonly Vary[];
  readonly as: readonly string[];
  readonly probe: readonly string[];
  readonly seed: number;
  readonly verify: VerifyWhen;
  readonly calibration?: string;
  readonly cpus?: number;
  readonly json?: true;
  readonly markdown?: true;
  readonly quiet?: true;
}

const DESCRIPTION = `Run each input once per configuration and print what changed: the baseline, each --set and --as alone, all of them together.
With --vary: each of its values; what --set says then holds in all of them.
Without --set, --as, --probe and --vary: the two switches of seed 004.
A directory that is no recording stands for the recordings and ops files in it.`;

const LEGEND = `
  vmas                  of the process the input begins with; further rows sum all processes that are left
  blocked pairs         neighbours that only offset (pgoff), anon_vma, both, or a history of forks keep from being one
  merges                neighbours joined; an operation that joins both sides counts twice
  merges not done       neighbours not joined, by the first obstacle that the merge met
  page tables           of all processes, what VmPTE adds up; moved: tables that mremap moved as a whole
  faults                by how they were served
  pages                 4 KiB pages allocated, zeroed, copied; seed 004: asked whether shared, given an index, rehomed
  locks, waits          what seed 004 takes besides, to change where pages belong
  TLB                   flushes; of everything: of all of an address space
  memory                of all processes: resident at the end, and what of it the kernel may take without asking
  rewritten             calls that --as changed
  least, most           a recording tells accesses by their faults: those alone, and all that may have been besides;
                        ≥ and ≤ are bounds, ~ is what came of just these accesses and may be more or less
  answered differently  calls whose result is not the baseline's
  modelled time         what was done at the prices of the calibration (docs/costs.md): dearest paths, the others summed
  extra time            modelled time more than the baseline's, of the user and system time of the recording`;

/** What is compared when nothing is asked for. */
const SEED_004: readonly FeatureSetting[] = [
  { name: 'mergePgoffOnMove', value: 'on' },
  { name: 'mergeAcrossAnonVma', value: 'on' },
];

/** Adds `faultline compare` to the command line. */
export function registerCompareCommand(program: Command): void {
  program
    .command('compare')
    .summary('inputs with and without switches, side by side: what changes, by how much, why')
    .description(DESCRIPTION)
    .argument('<input...>', INPUT_TEXT)
    .option('--set <feature=value>', 'Set a switch; see `faultline features`.', readSetting, [])
    .option(
      '--vary <key=a,b>',
      'Try these values of a switch or of a parameter of a workload; the first is the baseline.',
      readVary,
      [],
    )
    .addOption(profileOption('--baseline <name>', 'The row of `faultline features` to start from'))
    .addOption(rewriteOption())
    .addOption(probeOption())
    .addOption(seedOption())
    .addOption(cpusOption())
    .addOption(verifyOption())
    .addOption(calibrationOption())
    .addOption(jsonOption())
    .option('--markdown', 'Print Markdown, for a cover letter.')
    .addOption(quietOption())
    .addHelpText('after', LEGEND)
    .addHelpText('after', EXIT_TEXT)
    .action((inputs: string[], flags: Flags) => compare(inputs, flags));
}

function readVary(text: string, before: readonly Vary[]): Vary[] {
  return [...before, parseVary(text)];
}

/** Nothing is asked for. */
const isBareOf = ({ set, as, vary, probe }: Flags): boolean =>
  set.length + as.length + vary.length + probe.length === 0;

/** @param whenBare  what is set when nothing is asked for */
const askedOf = (flags: Flags, whenBare: readonly FeatureSetting[], isComplete: boolean): Asked => ({
  base: PROFILES[flags.baseline] ?? LINUX_6_18,
  settings: isBareOf(flags) ? whenBare : flags.set,
  rewrites: flags.as,
  probes: flags.probe,
  vary: flags.vary,
  isComplete,
});

/** Settings that hold in every column, as they would be written. */
const everywhereOf = ({ set, vary }: Flags): string[] =>
  settingsOfAll({ base: LINUX_6_18, settings: set, vary }).map(({ name, value }) => `${name}=${value}`);

function compare(texts: readonly string[], flags: Flags): void {
  const asked = configurations(askedOf(flags, SEED_004, texts.every(isWorkloadName)));
  const costs = loadCosts(flags.calibration);
  const expanded = expandInputs(texts);
  const inputs = expanded.flatMap((each) => each.inputs);
  const results: RunResult[] = [];
  const failed: string[] = [];
  let status = DONE;
  for (const input of inputs) {
    const result = compareOne(input, asked, costs, flags);
    if (typeof result === 'number') {
      status = Math.max(status, result);
      failed.push(input);
    } else if (result !== null) results.push(result);
  }
  if (results.length > 0) printReport(results, costs, flags);
  // What was wrong was said before a table that may be long.
  if (results.length > 0 && failed.length > 0)
    note(`faultline: ${failed.length} of ${counted(inputs.length, 'input')} left out: ${failed.join(', ')}`);
  finish(status);
}

/** Returns what came of one input, or the status that its failure, which is told at once, leads to; null if it was printed. */
function compareOne(
  text: string,
  asked: readonly Configuration[],
  costs: CostTable,
  flags: Flags,
): RunResult | number | null {
  const quiet = flags.quiet === true;
  try {
    const threaded = openThreaded(text);
    if (threaded !== null) return compareThreads(threaded, costs, flags);
    const input = openInput(text, { quiet, seed: flags.seed });
    refuseWithoutCalls(input);
    const result = reading(input, () => runInput(input, asked, { verify: flags.verify, costs }));
    if (!quiet) for (const warning of result.warnings) note(`${text}: ${warning.text} (${warning.count})`);
    return result;
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    note(failureText(failure));
    return failure.status;
  }
}

/** Runs a workload of several threads in each configuration; with and without locks of single vmas when nothing is asked for. */
function compareThreads(input: ThreadedInput, costs: CostTable, flags: Flags): null {
  const asked = configurations(askedOf(flags, [{ name: 'perVmaLocks', value: 'off' }], true));
  const options = { ...flags, costs, everywhere: everywhereOf(flags) };
  printRuns(input, runColumns(input, asked, options), options);
  return null;
}

function printReport(results: readonly RunResult[], costs: CostTable, flags: Flags): void {
  const context: ComparisonContext = {
    version: packageVersion(),
    kernel: KERNEL_MODELLED,
    profile: flags.baseline,
    seed: flags.seed,
    costs,
    everywhere: everywhereOf(flags),
  };
  if (flags.json) print(`${JSON.stringify(comparisonJson(results, context))}\n`);
  else if (flags.markdown) print(`${comparisonMarkdown(results, context)}\n`);
  else
    print(
      `${comparisonText(results, context, {
        strong: (text) => styled('bold', text),
        faint: (text) => styled('dim', text),
      })}\n`,
    );
}
