/**
 * Programs of seeds 002 and 003 in virtual time: how many records of ebizzy are modelled in a second of the host, and how long a page table of bloat/jvm-like
 * takes that is made, used for a page and left empty.
 *
 * The reference of a record is the time that it takes in the model's world, so 1 is as fast as the machine that is modelled. That of a table is a limit: all
 * 28.8 million of the field case in two minutes.
 */
import { readFileSync } from 'node:fs';
import type { Calibration } from '../src/machine/index.ts';
import {
  runThreaded,
  settleParams,
  THREADED_WORKLOADS,
  type ThreadedWorkload,
} from '../src/workloads/index.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { ROOT } from './references.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

const calibration = (): Calibration => {
  const name = 'linux-6.18-x86_64';
  return { name, ...JSON.parse(readFileSync(`${ROOT}calibration/${name}.json`, 'utf8')) };
};
const workloadOf = (name: string): ThreadedWorkload => {
  const workload = THREADED_WORKLOADS.find((each) => each.name === name);
  if (workload === undefined) throw new Error(`there is no ${name}`);
  return workload;
};

/** Two threads on two CPUs, every word of memory kept. */
function runEbizzy(purge: 'dontneed' | 'none', { tiny }: Run): Row[] {
  const workload = workloadOf('ebizzy');
  const params = settleParams(workload, { threads: 2, rng: 'fixed', purge, ms: tiny ? 1 : 100 });
  const of = calibration();
  let [state, virtualNs, records] = ['', 0, 1];
  const ours = (): number => {
    const began = nowNs();
    const { figures } = runThreaded({ workload, params }, { calibration: of });
    const ns = nowNs() - began;
    records = figures['records'] ?? 1;
    virtualNs = 1e9 / (figures['records a second'] ?? 1);
    state = JSON.stringify(figures);
    return ns / records;
  };
  const times = takeTurns(tiny ? 1 : 5, tiny ? 0 : 1, ours, () => virtualNs);
  const row = summarize(times);
  const note = `${Math.round(1e9 / row.ours)} records of 512 KiB a second; the reference is the time in which the modelled machine does one`;
  return [{ bench: `ebizzy-model-${purge}`, ...row, unit: 'ns a record', hash: hashOf(state), note }];
}

/** Tables of the field case, and how long it may take. */
const FIELD_TABLES = (55 * 2 ** 40) / 2 ** 21;
const FIELD_LIMIT_NS = 120e9;

function runField({ tiny }: Run): Row[] {
  const workload = workloadOf('bloat/jvm-like');
  const scale = tiny ? 10_000 : 100;
  const params = settleParams(workload, { scale });
  const of = calibration();
  let state = '';
  const ours = (): number => {
    const began = nowNs();
    const { figures } = runThreaded({ workload, params }, { calibration: of });
    const ns = nowNs() - began;
    state = JSON.stringify(figures);
    return ns / (FIELD_TABLES / scale);
  };
  const times = takeTurns(tiny ? 1 : 3, tiny ? 0 : 1, ours, () => FIELD_LIMIT_NS / FIELD_TABLES);
  const note = `1:${scale} of 55 TiB, what is resident included; the reference is the limit of two minutes for all`;
  return [{ bench: 'jvm-like', ...summarize(times), unit: 'ns a table', hash: hashOf(state), note }];
}

/** All of them. */
export const bloatedTables: readonly Benchmark[] = [
  { rows: ['ebizzy-model-dontneed'], run: (options) => runEbizzy('dontneed', options) },
  { rows: ['ebizzy-model-none'], run: (options) => runEbizzy('none', options) },
  { rows: ['jvm-like'], run: runField },
];
