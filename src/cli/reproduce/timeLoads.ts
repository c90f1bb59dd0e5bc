/**
 * Times the loads of an experiment on this machine, and in turns with them the figures that price them: what disturbs the one disturbs the other.
 *
 * Of the rounds each load counts where it was least disturbed, as each figure does (calibrate/samples.ts).
 */

import { UsageError } from '../../base/assert.ts';
import { isBetter, loadName, type TimedLoad, type Timing } from '../../experiments/index.ts';
import type { Params } from '../../workloads/index.ts';
import { type Effort, Measuring } from '../calibrate/measuring.ts';
import { thisMachine } from '../calibrate/thisMachine.ts';
import { buildProgram, whyNoPrograms } from '../fuzz/oraclePrograms.ts';
import { LoadPrograms } from './loadPrograms.ts';
import { type KeptLoad, type TimedFile, timedFileOf } from './timedFile.ts';

/** Half a minute on a machine that is not too busy; what is kept is worth a minute and a half. */
const EFFORT: Readonly<Record<'once' | 'kept', Effort>> = {
  once: { rounds: 6, budgetMs: 12, isQuick: true, lastRoundSeconds: 20 },
  kept: { rounds: 15, budgetMs: 12, isQuick: true, lastRoundSeconds: 75 },
};
/** How long threads copy buffers, in each round. */
const WINDOW_MS = 120;
const FORKS = 3;

/** How it is done. */
export interface TimingOptions {
  readonly params: Params;
  readonly effort: keyof typeof EFFORT;
  /** Is told the round. */
  readonly progress: (text: string) => void;
}

/** Times the loads of seed `seed`. Throws UsageError where nothing can be timed. */
export async function timeLoads(
  seed: string,
  { groups, loads }: Timing,
  { params, effort, progress }: TimingOptions,
): Promise<TimedFile> {
  const why = whyNoPrograms();
  if (why !== null) throw new UsageError(`--measure ${why}`, 'Linux on x86-64 with a C compiler');
  const measuring = new Measuring(buildProgram('cost'), groups, EFFORT[effort]);
  const programs = new LoadPrograms();
  const asked = loads(params);
  const rounds = new Map<string, number[][]>();
  try {
    progress(`prices of this machine, and ${asked.length} loads, in turns`);
    await measuring.run((round) => {
      progress(`round ${round} of at most ${EFFORT[effort].rounds}: prices are measured, now the loads`);
      for (const load of asked) {
        const name = loadName(load);
        rounds.set(name, [...(rounds.get(name) ?? []), timeLoad(programs, load)]);
      }
    });
  } finally {
    programs.remove();
  }
  return timedFileOf({
    seed,
    measured: new Date().toISOString().slice(0, 10),
    machine: thisMachine(),
    loads: asked.map((load) => bestOf(load, rounds.get(loadName(load)) ?? [])),
    primitives: measuring.samples.figures(),
  });
}

function timeLoad(programs: LoadPrograms, load: TimedLoad): number[] {
  if (load.kind === 'fork')
    return programs.run('freeBuffers', ['fork', load.tables, load.freed ? 'call' : 'none', FORKS]);
  const { chunks, purge, threads } = load;
  return programs.run('freeBuffers', ['records', chunks, purge, threads, WINDOW_MS, 1]);
}

function bestOf(load: TimedLoad, rounds: readonly (readonly number[])[]): KeptLoad {
  let best: readonly number[] = rounds[0] ?? [];
  for (const each of rounds) if (isBetter(load, each, best)) best = each;
  return { name: loadName(load), figures: best, rounds: rounds.map(([first = 0]) => first) };
}
