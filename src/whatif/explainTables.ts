/**
 * The page tables of an explanation: the input is played once more with somebody who watches them, and with each other policy where there is something to free.
 *
 * Cost   one machine; four more where tables were empty at some time
 */
import { FACT } from '../mm/index.ts';
import type { ReplayItem } from '../replay/index.ts';
import { type Pass, playInSettledOrder } from '../replay/play/settledOrder.ts';
import type { Configuration } from './configurations.ts';
import { Lane } from './lane.ts';
import { playProgram } from './playProgram.ts';
import type { ItemsRun, RunInput } from './runInput.ts';
import {
  feedWatched,
  onTheWay,
  type ProcessTables,
  policyTrials,
  tablesOf,
  trialOf,
  type Watched,
  watched,
} from './tables.ts';
import type { TablesExplanation } from './tablesText.ts';

/** Nothing was asked for. */
export const NO_TABLES: TablesExplanation = {
  processes: [],
  onTheWay: { peak: 0, emptied: 0, refilled: 0, freed: 0, groups: [] },
  trials: [],
};

/** Says what is empty, and was on the way; who would free it is tried, in another pass, where something was. */
export function explainTables(input: RunInput, configuration: Configuration): TablesExplanation {
  const [own] = playWatched(input, [configuration]) as [Watched];
  const processes = own.lane.machine.processes.flatMap(({ pid, mm }): ProcessTables[] =>
    mm === null ? [] : [{ pid, ...tablesOf(mm, own.watch) }],
  );
  const { facts } = own.lane.machine.kernel.work;
  const isSome = own.watch.peak > 0 || (facts[FACT.ptFreedSync] as number) > 0;
  const others = isSome ? playWatched(input, policyTrials(configuration)) : [];
  const tried = [own, ...others];
  // Who empties tables is seen best where nobody frees them.
  const unfreed = tried.find(({ lane }) => lane.configuration.features.ptReclaim === 'off') ?? own;
  return {
    processes,
    onTheWay: onTheWay(unfreed.watch),
    trials: isSome ? tried.map(trialOf) : [],
  };
}

function playWatched(input: RunInput, configurations: readonly Configuration[]): Watched[] {
  const begin = (config: ItemsRun['config']): Watched[] =>
    configurations.map((each) => watched(new Lane(each, { config })));
  if (input.kind === 'workload') {
    const lanes = begin({});
    for (const each of lanes) playProgram(input, each.lane, (item) => feedWatched(each, item));
    return lanes;
  }
  const { config } = input;
  const { features } = configurations[0] as Configuration;
  return playInSettledOrder(input, { features, config }, () => new WatchingPass(begin(config))).lanes;
}

/** All watched lanes over the items of an input. */
class WatchingPass implements Pass {
  readonly lanes: Watched[];

  constructor(lanes: Watched[]) {
    this.lanes = lanes;
  }

  lead(item: ReplayItem): boolean {
    const [first] = this.lanes as [Watched, ...Watched[]];
    feedWatched(first, item);
    return first.lane.isMisplaced;
  }

  follow(item: ReplayItem): void {
    for (const each of this.lanes.slice(1)) feedWatched(each, item);
  }
}
