/**
 * A cycle of the compacting collector with a heap of 256 MiB, all bytes of it, by each strategy: building the object graph, marking, the pause, compaction
 * beside two mutators, and the check of every object. The reference is a limit.
 */
import { readFileSync } from 'node:fs';
import type { Calibration } from '../src/machine/index.ts';
import { runThreaded, settleParams, THREADED_WORKLOADS } from '../src/workloads/index.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { ROOT } from './references.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

/** Seconds that a cycle may take. */
const LIMIT_S = 5;
const STRATEGIES = ['protnone', 'uffd-copy', 'uffd-continue', 'uffd-move', 'mremap-onlypages', 'mremap'];

const calibration = (): Calibration => {
  const name = 'linux-6.18-x86_64';
  return { name, ...JSON.parse(readFileSync(`${ROOT}calibration/${name}.json`, 'utf8')) };
};

function runCycle(strategy: string, { tiny }: Run): Row[] {
  const workload = THREADED_WORKLOADS.find(({ name }) => name === 'compacting-gc');
  if (workload === undefined) throw new Error('gc-cycle: there is no compacting-gc');
  const heap = tiny ? '2M' : '256M';
  const params = settleParams(workload, { strategy, heap, cycles: 1, pages: 64 });
  const of = calibration();
  let state = '';
  let objects = 0;
  const ours = (): number => {
    const began = nowNs();
    const { figures } = runThreaded({ workload, params }, { calibration: of });
    const seconds = (nowNs() - began) / 1e9;
    objects = figures['objects checked'] ?? 0;
    state = JSON.stringify(figures);
    return seconds;
  };
  const times = takeTurns(1, 0, ours, () => LIMIT_S);
  const note = `${heap} of memory, ${objects} live objects; the reference is the limit`;
  return [{ bench: `gc-cycle-${strategy}`, ...summarize(times), unit: 's', hash: hashOf(state), note }];
}

/** One benchmark a strategy. */
export const gcCycles: readonly Benchmark[] = STRATEGIES.map((strategy) => ({
  rows: [`gc-cycle-${strategy}`],
  run: (options) => runCycle(strategy, options),
}));
