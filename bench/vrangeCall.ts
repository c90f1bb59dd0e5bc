/**
 * Volatile ranges: an allocator gives runs of 512 KiB up and takes them again before anything was purged, among 1,000 of them of which every second one
 * stays volatile. The reference is two empty system calls: less than any kernel could do it for.
 */
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { BASE, FIXED_PRIVATE, mapAt, newMachine, PAGE, PID } from './machine.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

const RUN = 128 * PAGE;
/** A prime: the pairs do not walk along. */
const STEP = 7919;

export const vrangeCall: Benchmark = { rows: ['vrange-call'], run };

function run({ tiny, references }: Run): Row[] {
  const [runs, pairs, rounds] = tiny ? [10, 100, 1] : [1000, 200_000, 15];
  const { machine, mm, events } = newMachine({}, { vrange: 'on' });
  mapAt(machine, BASE, runs * RUN, FIXED_PRIVATE);
  const call = (run: number, mode: 'volatile' | 'novolatile'): void => {
    machine.apply(PID, { call: 'vrange', addr: BASE + run * RUN, len: RUN, mode, behavior: 'full' });
  };
  for (let i = 1; i < runs; i += 2) call(i, 'volatile');
  const ours = (): number => {
    const began = nowNs();
    for (let j = 0; j < pairs; j++) {
      const run = (j * STEP * 2) % runs;
      call(run, 'volatile');
      call(run, 'novolatile');
    }
    return (nowNs() - began) / pairs;
  };
  const reference = (): number | null => {
    const answer = references.run('empty_calls', [pairs]);
    return answer === null ? null : (answer.numbers.get('ns') ?? 0) / pairs;
  };
  const times = takeTurns(rounds, tiny ? 0 : 5, ours, reference);
  const left = [...(mm.vranges ?? [])].map(({ start, end }) => `${start - BASE}-${end - BASE}`);
  const hash = hashOf(`${left.join(' ')} ${events.count}`);
  const note = references.missing ?? `${left.length} ranges at the end; the reference is two empty calls`;
  return [{ bench: 'vrange-call', ...summarize(times), unit: 'ns/pair', hash, note }];
}
