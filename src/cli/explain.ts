/**
 * `faultline explain`: why neighbours did not merge, with the operation behind each obstacle; or the life of the vma at an address.
 *
 * A live process and a maps text are views without a past: what can be seen of them is said, and what cannot.
 */
import { type Command, InvalidArgumentError } from 'commander';
import type { VerifyWhen } from '../replay/play/player.ts';
import { footer } from '../whatif/compareText.ts';
import { type Configuration, mergeTrials } from '../whatif/configurations.ts';
import { explanationJson } from '../whatif/explainJson.ts';
import { explanationText, storyText } from '../whatif/explainText.ts';
import { explainInput } from '../whatif/explanation.ts';
import { type View, visibleAtText, visibleJson, visibleText } from '../whatif/visibleText.ts';
import { isPid, refuseWithoutCalls, viewOfInput, viewOfProcess } from './explain/view.ts';
import { openInput, reading } from './inputs.ts';
import {
  addFeatureOptions,
  EXIT_TEXT,
  type FeatureFlags,
  featuresOf,
  INPUT_TEXT,
  jsonOption,
  quietOption,
  seedOption,
  verifyOption,
} from './options.ts';
import { print, styled } from './output.ts';
import { KERNEL_MODELLED, packageVersion } from './version.ts';

interface Flags extends FeatureFlags {
  readonly json?: true;
  readonly all?: true;
  readonly quiet?: true;
  readonly seed: number;
  readonly verify: VerifyWhen;
}

const DESCRIPTION = `List each pair of neighbouring vmas that did not merge, grouped by what keeps them apart and which switch, if any, would join them.
With an address, tell the life of the vma there.`;

/** Adds `faultline explain` to the command line. */
export function registerExplainCommand(program: Command): void {
  const command = program
    .command('explain')
    .summary('why neighbouring vmas did not merge, since which operation, and which switch would join them')
    .description(DESCRIPTION)
    .argument('<input>', `${INPUT_TEXT} Or the id of a living process, of which less can be seen.`)
    .argument(
      '[address]',
      'Tell the life of the vma at this address (hex, as /proc prints it).',
      readAddress,
    );
  addFeatureOptions(command)
    .option('--all', 'List every pair, or everything that happened to the vma.')
    .addOption(seedOption())
    .addOption(verifyOption())
    .addOption(jsonOption('Print everything as JSON.'))
    .addOption(quietOption())
    .addHelpText('after', EXIT_TEXT)
    .action((input: string, address: number | undefined, flags: Flags) =>
      explain(input, address ?? null, flags),
    );
}

function readAddress(text: string): number {
  if (!/^(0x)?[0-9a-f]{1,12}$/i.test(text)) throw new InvalidArgumentError('It is not an address in hex.');
  return Number.parseInt(text.replace(/^0x/i, ''), 16);
}

function explain(text: string, address: number | null, flags: Flags): void {
  if (isPid(text)) {
    explainView(viewOfProcess(text), address, flags);
    return;
  }
  const input = openInput(text, { quiet: flags.quiet === true, seed: flags.seed });
  const view = viewOfInput(input);
  if (view !== null) {
    explainView(view, address, flags);
    return;
  }
  refuseWithoutCalls(input);
  const configuration: Configuration = {
    label: 'explained',
    features: featuresOf(flags),
    changes: flags.set.map(({ name, value }) => `${name}=${value}`),
    rewrites: [],
    params: {},
  };
  const { verify } = flags;
  const trials = mergeTrials(configuration);
  const explanation = reading(input, () => explainInput(input, configuration, { address, verify, trials }));
  const context = {
    version: packageVersion(),
    kernel: KERNEL_MODELLED,
    profile: flags.profile,
    seed: flags.seed,
  };
  if (flags.json) {
    print(`${JSON.stringify({ ...context, ...(explanationJson(explanation) as object) })}\n`);
    return;
  }
  const said =
    address === null
      ? explanationText(explanation, { all: flags.all === true })
      : storyText(explanation, address, { all: flags.all === true });
  print(`${said}\n\n${styled('dim', footer(context, [configuration]))}\n`);
}

function explainView(view: View, address: number | null, flags: Flags): void {
  if (flags.json) print(`${JSON.stringify(visibleJson(view))}\n`);
  else print(`${address === null ? visibleText(view, flags.all === true) : visibleAtText(view, address)}\n`);
}
