/**
 * Checks one input: plays it and gathers what is to be told, as a table row or as a line of JSON.
 */

import { hex } from '../../base/units.ts';
import type { Features } from '../../mm/index.ts';
import type { InputFormat, ReplayItem, Summary, Warning } from '../../replay/index.ts';
import { Checker, type CheckReport, type Compared, checkInput } from '../../replay/play/check.ts';
import type { Difference } from '../../replay/play/difference.ts';
import { describeOp, Player, placeError, type VerifyWhen } from '../../replay/play/player.ts';
import { UnmappedTouches } from '../../replay/play/unmappedTouches.ts';
import { type Failure, failureOf } from '../exitStatus.ts';
import { type CliInput, type ItemsInput, openInput, placedIn, reading } from '../inputs.ts';

/** How inputs are checked. */
export interface CheckSettings {
  readonly features: Features;
  readonly verify: VerifyWhen;
  readonly quiet: boolean;
}

/** What became of one input. */
export interface CheckResult {
  readonly input: string;
  readonly format: InputFormat | 'workload' | null;
  readonly ok: boolean;
  readonly compared: Compared;
  /** Operations played. */
  readonly ops: number;
  readonly differences: readonly Difference[];
  readonly placement: { readonly predicted: number; readonly chosen: number };
  readonly reordered: readonly number[];
  readonly warnings: readonly Warning[];
  /** Views the input has that are not compared, and why. */
  readonly notCompared: readonly string[];
  /** Why nothing could be compared, or null. */
  readonly nothing: string | null;
  /** What ended the check early, or null. */
  readonly failure: Failure | null;
}

const EMPTY: Omit<CheckResult, 'input'> = {
  format: null,
  ok: true,
  compared: { results: 0, vmas: 0, touches: 0, pages: 0, counts: 0 },
  ops: 0,
  differences: [],
  placement: { predicted: 0, chosen: 0 },
  reordered: [],
  warnings: [],
  notCompared: [],
  nothing: null,
  failure: null,
};

/** Checks the input that `text` names. Only errors that nobody foresaw are thrown. */
export function checkOne(text: string, settings: CheckSettings): CheckResult {
  let input: CliInput | null = null;
  try {
    const opened = openInput(text, { quiet: settings.quiet });
    input = opened;
    return reading(opened, () => checkOpened(text, opened, settings));
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    const format = input?.kind === 'items' ? input.format : null;
    const broken: CheckResult = { ...EMPTY, input: text, format, ok: false, failure };
    // Only a model that broke down has something to tell about the way there.
    if (failure.kind !== 'bug' || input?.kind !== 'items' || !input.isComparable) return broken;
    return { ...broken, ...untilBroken(input, settings, failure) };
  }
}

function checkOpened(text: string, input: CliInput, settings: CheckSettings): CheckResult {
  const { features, verify } = settings;
  if (input.kind === 'workload') {
    const nothing = 'a workload is a program of ours: no kernel has answered it';
    return { ...EMPTY, input: text, format: 'workload', nothing };
  }
  if (!input.isComparable) return { ...played(input, settings), input: text };
  const report = checkInput(input.name, (placements) => input.items({ placements }), { features, verify });
  const nothing =
    report.compared.results + report.compared.vmas === 0 ? 'it holds no answer of a kernel' : null;
  return {
    ...EMPTY,
    input: text,
    format: input.format,
    ok: report.ok,
    compared: report.compared,
    ops: opsIn(report.summary),
    differences: report.differences.map((difference) => placedIn(input, difference)),
    placement: report.placement,
    reordered: report.reordered,
    warnings: report.warnings.map((warning) => placedIn(input, warning)),
    notCompared: notCompared(input, report),
    nothing,
  };
}

/** Plays up to the operation on which the model broke down: the differences before it say more than the breakdown. */
function untilBroken(input: ItemsInput, settings: CheckSettings, failure: Failure): Partial<CheckResult> {
  const checker = new Checker({ features: settings.features, verify: settings.verify });
  let last: ReplayItem | null = null;
  try {
    for (const item of input.items()) {
      last = item;
      checker.player.feed(item);
    }
  } catch (error) {
    if (failureOf(error)?.kind !== 'bug') throw error;
  }
  const { compared, differences } = checker;
  if (last !== null && last.kind === 'op') {
    const { file, line, nr, op, recorded } = last;
    const kernel = recorded.kind === 'value' ? hex(recorded.value) : recorded.kind;
    const ours = failure.message.split('\n')[0] ?? '';
    differences.push({ file, line, op: nr, kind: 'result', what: describeOp(op), kernel, ours });
  }
  return { compared, differences: differences.map((each) => placedIn(input, each)) };
}

const opsIn = (summary: Summary | null): number => (summary === null ? 0 : summary.calls + summary.touches);

const WITHOUT_START: Readonly<Record<InputFormat, string>> = {
  recording:
    'there is no start snapshot: what was mapped at first is not known, so no answer can be held against it',
  strace: 'a bare strace does not say what was mapped at first, so no answer can be held against it',
  perf: 'page faults alone do not say what is mapped',
  maps: 'a maps text is one view: nothing leads to it',
  smaps: 'a smaps text is one view: nothing leads to it',
  bpftrace:
    'it was recorded of a running process: the snapshot at its start is of no single moment, and what its memory had been through (offsets, anon_vmas, limits) is not known, so no answer can be held against it',
  opfuzz: 'there is no start',
  'opfuzz-uffd': 'there is no start',
};

/** Plays an input whose beginning is not known: that it can be read and played is all that can be said. */
function played(input: ItemsInput, settings: CheckSettings): CheckResult {
  const warnings: Warning[] = [];
  let summary: Summary | null = null;
  const unmapped = new UnmappedTouches();
  const player = new Player(
    { features: settings.features, verify: settings.verify },
    {
      operation: (item, outcome) => unmapped.took(item, outcome),
      other: (item) => {
        if (item.kind === 'warning') warnings.push(placedIn(input, item));
        if (item.kind === 'summary') summary = item;
      },
    },
  );
  for (const item of input.items()) {
    try {
      player.feed(item);
    } catch (error) {
      throw placeError(error, item);
    }
  }
  const hole = input.format === 'bpftrace' ? unmapped.warning() : null;
  if (hole !== null) warnings.push(hole);
  const nothing = WITHOUT_START[input.format];
  return { ...EMPTY, input: input.name, format: input.format, ops: opsIn(summary), warnings, nothing };
}

function notCompared(input: ItemsInput, report: CheckReport): string[] {
  if (input.format === 'opfuzz') return ['LazyFree, and which pages are dirty after MADV_FREE'];
  if (input.format === 'opfuzz-uffd')
    return ['LazyFree', 'which pages are dirty', 'which faults had to wait for a device'];
  if (input.format !== 'recording') return [];
  if (report.warnings.some(({ what }) => what === 'no-end')) return ['the end (there is no snapshot)'];
  if (report.pagesUnknown !== null) return [`pages (${report.pagesUnknown})`];
  const runs = report.compared.pages > 0 ? [] : ['runs of pages (there is no pagemap.end.rle)'];
  return [...runs, 'pages of files and of shared memory', 'which pages are dirty or were used', 'VmHWM'];
}
