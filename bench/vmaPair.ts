/**
 * Splits and merges: mprotect of the first of two pages, and back, among 4,000 VMAs of two pages. Each pair is one split and one merge.
 */
import { PROT_READ, PROT_WRITE } from '../src/abi/mman.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { endState, expectSameEnd, hashOf } from './endState.ts';
import { BASE, FIXED_PRIVATE, mapAt, newMachine, PAGE, PID } from './machine.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

const STRIDE = 4 * PAGE;
/** A prime: the pairs do not walk along. */
const STEP = 7919;
const READ_WRITE = PROT_READ | PROT_WRITE;

export const vmaPair: Benchmark = { rows: ['vma-pair'], run };

function run({ tiny, references }: Run): Row[] {
  const [vmas, pairs, rounds] = tiny ? [40, 200, 1] : [4000, 50_000, 15];
  const { machine, events, mm } = newMachine();
  for (let i = 0; i < vmas; i++) mapAt(machine, BASE + i * STRIDE, 2 * PAGE, FIXED_PRIVATE);
  const window = { low: BASE, high: BASE + vmas * STRIDE };
  const look = () => endState(mm, window, (addr) => addr - BASE);
  const ours = (): number => {
    const began = nowNs();
    for (let j = 0; j < pairs; j++) {
      const addr = BASE + ((j * STEP) % vmas) * STRIDE;
      machine.apply(PID, { call: 'mprotect', addr, len: PAGE, prot: PROT_READ });
      machine.apply(PID, { call: 'mprotect', addr, len: PAGE, prot: READ_WRITE });
    }
    return (nowNs() - began) / pairs;
  };
  const reference = (): number | null => {
    const answer = references.run('vma_pair', [vmas, pairs]);
    if (answer === null) return null;
    expectSameEnd('vma-pair', look(), { vmas: answer.numbers.get('vmas') ?? 0, hash: answer.hash });
    return (answer.numbers.get('ns') ?? 0) / pairs;
  };
  const times = takeTurns(rounds, tiny ? 0 : 5, ours, reference);
  const end = look();
  const note = references.missing ?? `${vmas} VMAs at the end, as on the kernel`;
  const hash = hashOf(`${end.hash} ${events.count}`);
  return [{ bench: 'vma-pair', ...summarize(times), unit: 'ns/pair', hash, note }];
}
