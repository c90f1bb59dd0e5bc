/**
 * Runs one input under several configurations side by side and says where they part.
 *
 * All lanes take the same operation, then the next. Two lanes differ from the first operation after which one has joined other neighbours, has
 * another number of vmas, or gave the program another answer. Results are held against those of the first configuration: a program
 * that was told something else might have gone on differently, and a recording cannot know.
 *
 * Cost   the input is read once, its calls twice (to settle the order of those that overlap); one machine a lane
 */
import type { CostTable, Outcome } from '../machine/index.ts';
import type { ReplayItem, ReplayOp, Summary, Warning } from '../replay/index.ts';
import { outcomeText } from '../replay/play/difference.ts';
import type { VerifyWhen } from '../replay/play/player.ts';
import { type Pass, playInSettledOrder } from '../replay/play/settledOrder.ts';
import { counted, grouped, type MergeEvent, sidesOf } from '../report/index.ts';
import type { Configuration } from './configurations.ts';
import { Lane, type LaneEnd } from './lane.ts';
import { type OpPlace, placeOf } from './placeBook.ts';
import {
  type ItemsRun,
  type ProgramRun,
  ProgramSteps,
  programOf,
  type RunInput,
  withParams,
} from './runInput.ts';

/** An operation that went differently in two lanes, and what it did in each. */
export interface Divergence {
  readonly place: OpPlace;
  /** In the lane, in words. */
  readonly here: string;
  /** In the baseline. */
  readonly baseline: string;
}

/** A lane at its end, held against the first one. */
export interface LaneResult extends LaneEnd {
  /** The first operation after which the vmas differ; null if they never do, or if the program is another one. */
  readonly firstDifference: Divergence | null;
  /** Calls that were answered differently. */
  readonly results: { readonly differ: number; readonly first: Divergence | null };
  /** The lane ran another program than the first one (a parameter of a workload was varied), so operations cannot be held side by side. */
  readonly isOtherProgram: boolean;
}

/** What came of one input. */
export interface RunResult {
  readonly input: string;
  readonly kind: RunInput['kind'];
  readonly lanes: readonly LaneResult[];
  /** Operations carried out in the first lane. */
  readonly ops: number;
  readonly warnings: readonly Warning[];
  readonly summary: Summary | null;
}

/** How to run. */
export interface RunOptions {
  readonly verify?: VerifyWhen;
  /** Prices by which time passes in inputs that tell none. */
  readonly costs?: CostTable;
}

/** Follows one lane beside the baseline. */
class Follower {
  readonly lane: Lane;
  first: Divergence | null = null;
  nrOther = 0;
  firstOther: Divergence | null = null;

  constructor(lane: Lane) {
    this.lane = lane;
  }

  /** Looks at the operation that both have just done. */
  look(baseline: Lane, item: ReplayOp): void {
    const { lane } = this;
    const ours = lane.outcome;
    const theirs = baseline.outcome;
    // Who was killed for want of memory is not told anything any more.
    const isTold = ours !== null && theirs !== null && ours.kind !== 'unknown-memory';
    if (isTold && ours !== theirs && !isSameOutcome(ours, theirs)) {
      this.nrOther++;
      this.firstOther ??= {
        place: placeOf(item),
        here: outcomeText(ours),
        baseline: outcomeText(theirs),
      };
    }
    if (this.first !== null) return;
    if (lane.nrJoined === baseline.nrJoined && lane.nrVmas === baseline.nrVmas) return;
    const [here, there] = differing(lane.merges, baseline.merges).map(mergesText) as [string, string];
    const place = placeOf(item);
    // A rewrite or probe has made VMAs, or the lack of some, of its own.
    this.first =
      here === there && isActed(lane)
        ? { place, here: counted(lane.nrVmas, 'VMA'), baseline: grouped(baseline.nrVmas) }
        : { place, here, baseline: there };
  }
}

const isActed = ({ configuration: { rewrites, probes = [] } }: Lane): boolean =>
  rewrites.length + probes.length > 0;

function isSameOutcome(a: Outcome, b: Outcome): boolean {
  if (a.kind === 'value' && b.kind === 'value') return a.value === b.value;
  if (a.kind === 'errno' && b.kind === 'errno') return a.errno === b.errno;
  if (a.kind === 'signal' && b.kind === 'signal') return a.signal === b.signal && a.addr === b.addr;
  return a.kind === b.kind;
}

/** Returns the first attempts of an operation that came out differently; all where none did. */
function differing(
  here: readonly MergeEvent[],
  there: readonly MergeEvent[],
): readonly [readonly MergeEvent[], readonly MergeEvent[]] {
  const sides = (event: MergeEvent | undefined): string =>
    event === undefined ? '' : Object.values(sidesOf(event)).join(' ');
  const longest = here.length > there.length ? here : there;
  const i = longest.findIndex((_event, at) => sides(here[at]) !== sides(there[at]));
  return i < 0 ? [here, there] : [here.slice(i, i + 1), there.slice(i, i + 1)];
}

/** Says what the merge attempts of one operation came to: `joins below and above`, or why not. */
function mergesText(merges: readonly MergeEvent[]): string {
  const joins = new Set<'below' | 'above'>();
  const refusals: string[] = [];
  for (const event of merges) {
    const sides = sidesOf(event);
    for (const where of ['below', 'above'] as const) {
      const side = sides[where];
      if (side === 'nobody') continue;
      if (side === 'join-null' || side === 'join-same' || side === 'join-different') joins.add(where);
      else refusals.push(`${where}: ${side}`);
    }
  }
  const joined = (['below', 'above'] as const).filter((where) => joins.has(where)).join(' and ');
  const refused = [...new Set(refusals)].join(', ');
  if (joined !== '') return refused === '' ? `joins ${joined}` : `joins ${joined} (${refused})`;
  return refused === '' ? 'joins nothing' : `joins nothing (${refused})`;
}

/** Runs `input` under each of `configurations`, which all have the same parameters. */
export function runSideBySide(
  input: RunInput,
  configurations: readonly Configuration[],
  options: RunOptions = {},
): RunResult {
  return input.kind === 'items'
    ? runItems(input, configurations, options)
    : runProgramLanes(input, configurations, options);
}

function runItems(input: ItemsRun, configurations: readonly Configuration[], options: RunOptions): RunResult {
  const { config } = input;
  const { features } = configurations[0] as Configuration;
  const begin = (): SideBySide => new SideBySide(configurations, { ...options, config });
  return playInSettledOrder(input, { features, config }, begin).result(input);
}

function runProgramLanes(
  input: ProgramRun,
  configurations: readonly Configuration[],
  options: RunOptions,
): RunResult {
  const run = new SideBySide(configurations, options);
  run.playProgram(input);
  return run.result(input);
}

/** The lanes of one pass over one input. */
class SideBySide implements Pass {
  readonly #baseline: Lane;
  readonly #followers: Follower[];
  readonly #verify: VerifyWhen;
  readonly #warnings: Warning[] = [];
  #summary: Summary | null = null;
  #ops = 0;
  /** Lanes whose program went on with another operation than the baseline's. */
  readonly #parted = new Set<Follower>();

  constructor(
    configurations: readonly Configuration[],
    options: RunOptions & { readonly config?: ItemsRun['config'] },
  ) {
    const lanes = configurations.map((each) => new Lane(each, options));
    this.#baseline = lanes[0] as Lane;
    this.#followers = lanes.slice(1).map((lane) => new Follower(lane));
    this.#verify = options.verify ?? 'never';
  }

  lead(item: ReplayItem): boolean {
    if (item.kind === 'warning') this.#warnings.push(item);
    else if (item.kind === 'summary') this.#summary = item;
    else if (item.kind === 'op') this.#ops++;
    this.#baseline.feed(item);
    return this.#baseline.isMisplaced;
  }

  follow(item: ReplayItem): void {
    for (const follower of this.#followers) {
      follower.lane.feed(item);
      if (item.kind === 'op') follower.look(this.#baseline, item);
    }
  }

  /** Plays a program in every lane; each lane has its own, because it is told what its own machine answers. */
  playProgram(input: ProgramRun): void {
    const lanes = [this.#baseline, ...this.#followers.map(({ lane }) => lane)];
    const programs = lanes.map((lane) => {
      lane.startProgram();
      return new ProgramSteps(programOf(input));
    });
    const running = new Set(lanes.keys());
    while (running.size > 0) {
      const items = programs.map((program, i) => (running.has(i) ? program.next() : null));
      const first = items[0] ?? null;
      items.forEach((item, i) => {
        if (item === null) {
          running.delete(i);
          return;
        }
        const lane = lanes[i] as Lane;
        lane.feed(item);
        if (lane.outcome !== null) (programs[i] as ProgramSteps).took(lane.outcome);
      });
      if (first !== null) this.#ops++;
      this.#lookAt(first, items.slice(1));
    }
  }

  #lookAt(first: ReplayOp | null, others: readonly (ReplayOp | null)[]): void {
    this.#followers.forEach((follower, i) => {
      const item = others[i] ?? null;
      if (this.#parted.has(follower)) return;
      if (first === null || item === null || !isSameOp(first, item)) {
        if (first !== null || item !== null) this.#parted.add(follower);
        return;
      }
      follower.look(this.#baseline, first);
    });
  }

  /** Returns what all lanes came to. */
  result(input: RunInput): RunResult {
    const baseline = this.#baseline.end(this.#verify);
    const none = { firstDifference: null, results: { differ: 0, first: null }, isOtherProgram: false };
    return {
      input: input.name,
      kind: input.kind,
      ops: this.#ops,
      warnings: this.#warnings,
      summary: this.#summary,
      lanes: [
        { ...baseline, ...none },
        ...this.#followers.map((follower) => ({
          ...follower.lane.end(this.#verify),
          firstDifference: follower.first,
          results: { differ: follower.nrOther, first: follower.firstOther },
          isOtherProgram: false,
        })),
      ],
    };
  }
}

/** Tells whether two programs do the same. Lists in arguments are not looked into: only calls with plain arguments depend on addresses. */
function isSameOp(a: ReplayOp, b: ReplayOp): boolean {
  if (a.task !== b.task || a.op.call !== b.op.call) return false;
  const others = Object.values(b.op);
  return Object.values(a.op).every((value, i) => typeof value === 'object' || value === others[i]);
}

/**
 * Runs an input under `configurations`, of which some may have other parameters of a workload. Those with the same parameters go side by side.
 */
export function runInput(
  input: RunInput,
  configurations: readonly Configuration[],
  options: RunOptions = {},
): RunResult {
  const groups = new Map<string, Configuration[]>();
  for (const each of configurations) {
    const key = JSON.stringify(each.params);
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  const lanes = new Map<Configuration, LaneResult>();
  let first: RunResult | null = null;
  for (const group of groups.values()) {
    const result = runSideBySide(withParams(input, group[0]?.params ?? {}), group, options);
    for (const lane of result.lanes)
      lanes.set(lane.configuration, { ...lane, isOtherProgram: first !== null });
    first ??= result;
  }
  const found = first as RunResult;
  return { ...found, lanes: configurations.map((each) => lanes.get(each) as LaneResult) };
}
