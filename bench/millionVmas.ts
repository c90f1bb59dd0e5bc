/**
 * A million VMAs of one page each: building them, looking pages up at random (an mprotect that changes nothing), mapping and unmapping two
 * pages beside them, removing all with one munmap. One round: it takes seconds.
 */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PROT_READ, PROT_WRITE } from '../src/abi/mman.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { type EndState, endState, expectSameEnd, hashOf } from './endState.ts';
import { BASE, FIXED_PRIVATE, map, mapAt, newMachine, PAGE, PID, PRIVATE } from './machine.ts';
import type { Answer } from './references.ts';
import { nowNs, summarize } from './rounds.ts';

const STRIDE = 2 * PAGE;
const STEP = 7919;
const READ_WRITE = PROT_READ | PROT_WRITE;
const NAME = 'million-vmas';
const PHASES = ['build', 'lookup', 'gap', 'teardown'] as const;
const UNITS = { build: 'ns/mmap', lookup: 'ns/lookup', gap: 'ns/pair', teardown: 'ns/vma' } as const;

export const millionVmas: Benchmark = { rows: PHASES.map((phase) => `${NAME}-${phase}`), run };

interface Measured {
  readonly ns: Readonly<Record<(typeof PHASES)[number], number>>;
  readonly bytesPerVma: number;
  readonly end: EndState;
  readonly events: number;
  readonly left: number;
}

function run({ tiny, references }: Run): Row[] {
  const vmas = tiny ? 1000 : 1_000_000;
  const times = tiny ? 1000 : 200_000;
  const { ns, bytesPerVma, end, events, left } = measure(vmas, times);
  const limit = Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8'));
  const why = references.missing ?? `no reference: vm.max_map_count is ${limit}`;
  const answer = limit > vmas + 100 ? references.run('many_vmas', [vmas, times, times]) : null;
  if (answer !== null) expectSameEnd(NAME, end, { vmas: answer.numbers.get('vmas') ?? 0, hash: answer.hash });
  const hash = hashOf(`${end.hash} ${end.vmas} ${events} ${left}`);
  return PHASES.map((phase) => {
    const per = phase === 'build' || phase === 'teardown' ? vmas : times;
    const notes = [
      ...(phase === 'build' ? [`${Math.round(bytesPerVma)} bytes of heap a VMA`] : []),
      ...(answer === null ? [why] : []),
    ];
    return {
      bench: `${NAME}-${phase}`,
      ...summarize({ ours: [ns[phase] / per], reference: kernelNs(answer, phase, per) }),
      unit: UNITS[phase],
      hash,
      ...(notes.length === 0 ? {} : { note: notes.join('; ') }),
    };
  });
}

const kernelNs = (answer: Answer | null, phase: string, per: number): number[] =>
  answer === null ? [] : [(answer.numbers.get(phase) ?? Number.NaN) / per];

function measure(vmas: number, times: number): Measured {
  const { machine, events, mm } = newMachine({ maxMapCount: vmas + 100 });
  const before = usedHeap();
  const t0 = nowNs();
  for (let i = 0; i < vmas; i++) mapAt(machine, BASE + i * STRIDE, PAGE, FIXED_PRIVATE);
  const build = nowNs() - t0;
  const bytesPerVma = (usedHeap() - before) / vmas;
  const t1 = nowNs();
  for (let j = 0; j < times; j++) {
    const addr = BASE + ((j * STEP) % vmas) * STRIDE;
    machine.apply(PID, { call: 'mprotect', addr, len: PAGE, prot: READ_WRITE });
  }
  const t2 = nowNs();
  const two = { addr: 0, len: 2 * PAGE, prot: READ_WRITE, flags: PRIVATE };
  for (let j = 0; j < times; j++)
    machine.apply(PID, { call: 'munmap', addr: map(machine, two), len: two.len });
  const t3 = nowNs();
  const end = endState(mm, { low: BASE, high: BASE + vmas * STRIDE }, (addr) => addr - BASE);
  const t4 = nowNs();
  machine.apply(PID, { call: 'munmap', addr: BASE, len: vmas * STRIDE });
  const ns = { build, lookup: t2 - t1, gap: t3 - t2, teardown: nowNs() - t4 };
  return { ns, bytesPerVma, end, events: events.count, left: mm.mapCount };
}

/** Bytes that live objects take, after a collection. */
function usedHeap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
