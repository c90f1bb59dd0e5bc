/**
 * mmap and munmap of two pages with 10 and with 60,000 other VMAs of one page, with holes of one page between them: the search for
 * room has to pass all the holes that are too small. Both should take about the same time.
 */
import { PROT_NONE, PROT_READ, PROT_WRITE } from '../src/abi/mman.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { endState, expectSameEnd, hashOf } from './endState.ts';
import { map, newMachine, PAGE, PID, PRIVATE } from './machine.ts';
import { nowNs, type Rounds, summarize, takeTurns } from './rounds.ts';

const FEW = 10;
const MANY = 60_000;

export const mapUnmap: Benchmark = { rows: [`mmap-munmap-${FEW}`, `mmap-munmap-${MANY}`], run };

interface Measured {
  readonly times: Rounds;
  readonly hash: string;
}

function run(options: Run): Row[] {
  const few = measure(FEW, options);
  const many = measure(options.tiny ? MANY / 100 : MANY, options);
  const [a, b] = [summarize(few.times), summarize(many.times)];
  const quotient = (x: number | null, y: number | null): string => (x && y ? (y / x).toFixed(2) : 'unknown');
  const note = `${quotient(a.ours, b.ours)} times the time with ${FEW}; the kernel: ${quotient(a.reference, b.reference)}`;
  const { missing } = options.references;
  return [
    {
      bench: `mmap-munmap-${FEW}`,
      ...a,
      unit: 'ns/pair',
      hash: few.hash,
      ...(missing === null ? {} : { note: missing }),
    },
    { bench: `mmap-munmap-${MANY}`, ...b, unit: 'ns/pair', hash: many.hash, note },
  ];
}

function measure(vmas: number, { tiny, references }: Run): Measured {
  const [pairs, rounds] = tiny ? [200, 1] : [30_000, 11];
  const { machine, events, mm } = newMachine();
  const base = map(machine, { addr: 0, len: 2 * vmas * PAGE, prot: PROT_NONE, flags: PRIVATE });
  for (let i = 0; i < vmas; i++)
    machine.apply(PID, { call: 'munmap', addr: base + (2 * i + 1) * PAGE, len: PAGE });
  const look = () => endState(mm, { low: base, high: base + 2 * vmas * PAGE }, (addr) => addr - base);
  const two = { addr: 0, len: 2 * PAGE, prot: PROT_READ | PROT_WRITE, flags: PRIVATE };
  const ours = (): number => {
    const began = nowNs();
    for (let j = 0; j < pairs; j++)
      machine.apply(PID, { call: 'munmap', addr: map(machine, two), len: two.len });
    return (nowNs() - began) / pairs;
  };
  const reference = (): number | null => {
    const answer = references.run('map_unmap', [vmas, pairs]);
    if (answer === null) return null;
    expectSameEnd('mmap-munmap', look(), { vmas: answer.numbers.get('vmas') ?? 0, hash: answer.hash });
    return (answer.numbers.get('ns') ?? 0) / pairs;
  };
  const times = takeTurns(rounds, tiny ? 0 : 4, ours, reference);
  return { times, hash: hashOf(`${look().hash} ${mm.mapCount} ${events.count}`) };
}
