/**
 * A whole command from the start of its process to its table: `faultline compare` of a recording of 110,000 operations with two switches, so
 * three configurations. Beside it stands how long the recorded program itself took.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { openInput } from '../src/cli/inputs.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { ROOT } from './references.ts';
import { median, nowNs } from './rounds.ts';

const NAME = 'compare-cold';
const SWITCHES = ['mergePgoffOnMove=on', 'mergeAcrossAnonVma=on'].flatMap((setting) => ['--set', setting]);
const LIMIT_MS = 60_000;

export const compareCold: Benchmark = { rows: [NAME], run };

function run({ tiny }: Run): Row[] {
  const recording = join(ROOT, 'examples/recordings', tiny ? 'cc1' : 'beam');
  const seconds: number[] = [];
  let printed = '';
  for (let round = 0; round < (tiny ? 1 : 5); round++) {
    const began = nowNs();
    const args = [join(ROOT, 'bin/faultline.js'), 'compare', recording, ...SWITCHES, '--json', '--quiet'];
    const result = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: LIMIT_MS });
    seconds.push((nowNs() - began) / 1e9);
    if (result.status !== 0) throw new Error(`faultline compare: ${result.error?.message ?? result.stderr}`);
    printed = result.stdout;
  }
  const ours = Number(median(seconds).toPrecision(4));
  const took = Number(duration(recording).toPrecision(4));
  const note = 'process start to table; the reference is how long the recorded program took';
  const ratio = Number((ours / took).toPrecision(4));
  return [{ bench: NAME, ours, reference: took, ratio, unit: 's', hash: hashOf(printed), note }];
}

/** Seconds from the first to the last operation of a recording. */
function duration(recording: string): number {
  const input = openInput(recording, { quiet: true });
  let last = 0;
  if (input.kind === 'items')
    for (const item of input.items()) if (item.kind === 'op') last = Math.max(last, item.exit);
  return last / 1e9;
}
