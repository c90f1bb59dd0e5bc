/**
 * Pages: the first write to each page of 128 MiB, MADV_DONTNEED of such pages, fork with 1 GiB of them resident, and populating 10 GiB at once.
 *
 * Small pages everywhere: the mappings are MADV_NOHUGEPAGE on both sides. The kernel's time for a first write includes the store itself and
 * the entry into the kernel; ours includes the operation that asks for it.
 */
import { MADV_DONTNEED, MADV_NOHUGEPAGE, MADV_POPULATE_WRITE, MAP_NORESERVE } from '../src/abi/mman.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { BASE, type CountedMachine, FIXED_PRIVATE, mapAt, newMachine, PAGE, PID } from './machine.ts';
import type { Answer } from './references.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

const PAGES = 32_768;
const FORK_PAGES = 262_144;
const FORKS = 3;
const POPULATE_PAGES = 2_621_440;
const TINY = 64;

/** Maps `pages` pages that stay small. */
function mapSmall({ machine }: CountedMachine, pages: number): void {
  mapAt(machine, BASE, pages * PAGE, FIXED_PRIVATE | MAP_NORESERVE);
  advise(machine, pages, MADV_NOHUGEPAGE);
}

function advise(machine: CountedMachine['machine'], pages: number, advice: number): void {
  const outcome = machine.apply(PID, { call: 'madvise', addr: BASE, len: pages * PAGE, advice });
  if (outcome.kind !== 'value') throw new Error(`madvise ${advice}: ${JSON.stringify(outcome)}`);
}

/** Of what is resident, what was done, and the events. */
function hashOfWork({ machine, mm, events }: CountedMachine): string {
  const { facts, faults } = machine.kernel.work;
  return hashOf(`${mm.rssAnon} ${mm.pages.bytes} ${events.count} ${facts.join()} ${faults.join()}`);
}

function expectResident(bench: string, { mm }: CountedMachine, answer: Answer): void {
  const resident = answer.numbers.get('resident');
  if (resident !== mm.rssAnon)
    throw new Error(`${bench}: the model has ${mm.rssAnon} pages resident, the kernel ${resident}`);
}

/** What two sides do in a round, and over how many units of work. */
interface Work {
  readonly bench: string;
  readonly unit: string;
  readonly per: number;
  /** Returns nanoseconds. */
  readonly ours: () => number;
  readonly reference: () => Answer | null;
  readonly note: string;
}

function measured(counted: CountedMachine, work: Work, { tiny, references }: Run): Row[] {
  const { bench, unit, per, note } = work;
  const reference = (): number | null => {
    const answer = work.reference();
    if (answer === null) return null;
    expectResident(bench, counted, answer);
    return (answer.numbers.get('ns') ?? 0) / per;
  };
  const times = takeTurns(tiny ? 1 : 9, tiny ? 0 : 2, () => work.ours() / per, reference);
  return [{ bench, ...summarize(times), unit, hash: hashOfWork(counted), note: references.missing ?? note }];
}

const timed = (work: () => void): number => {
  const began = nowNs();
  work();
  return nowNs() - began;
};

function runWriteFault(run: Run): Row[] {
  const pages = run.tiny ? TINY : PAGES;
  const counted = newMachine();
  const { machine } = counted;
  mapSmall(counted, pages);
  const ours = (): number => {
    advise(machine, pages, MADV_DONTNEED);
    return timed(() => {
      for (let i = 0; i < pages; i++)
        machine.apply(PID, {
          call: 'touch',
          addr: BASE + i * PAGE,
          len: PAGE,
          access: 'write',
          by: 'user',
        });
    });
  };
  const reference = (): Answer | null => run.references.run('write_fault', [pages]);
  const note = `${pages} pages, one operation each`;
  return measured(counted, { bench: 'write-fault', unit: 'ns/page', per: pages, ours, reference, note }, run);
}

function runZap(run: Run): Row[] {
  const pages = run.tiny ? TINY : PAGES;
  const counted = newMachine();
  const { machine } = counted;
  mapSmall(counted, pages);
  const ours = (): number => {
    advise(machine, pages, MADV_POPULATE_WRITE);
    return timed(() => advise(machine, pages, MADV_DONTNEED));
  };
  const reference = (): Answer | null => run.references.run('zap', [pages]);
  const note = `MADV_DONTNEED of ${pages} pages in one call`;
  return measured(counted, { bench: 'zap', unit: 'ns/page', per: pages, ours, reference, note }, run);
}

function runFork(run: Run): Row[] {
  const pages = run.tiny ? TINY : FORK_PAGES;
  const counted = newMachine();
  const { machine } = counted;
  mapSmall(counted, pages);
  advise(machine, pages, MADV_POPULATE_WRITE);
  const ours = (): number => {
    let ns = 0;
    for (let i = 0; i < FORKS; i++) {
      let child = 0;
      ns += timed(() => {
        const outcome = machine.apply(PID, { call: 'clone', flags: 0, child: 0 });
        child = outcome.kind === 'value' ? outcome.value : 0;
      });
      machine.apply(child, { call: 'exit_group' });
    }
    return ns / 1e6;
  };
  const reference = (): Answer | null => inMilliseconds(run.references.run('fork', [pages, FORKS]));
  const note = `${pages} pages resident; exit and wait are not timed`;
  return measured(counted, { bench: 'fork', unit: 'ms/fork', per: FORKS, ours, reference, note }, run);
}

const inMilliseconds = (answer: Answer | null): Answer | null =>
  answer === null
    ? null
    : { ...answer, numbers: new Map([...answer.numbers, ['ns', (answer.numbers.get('ns') ?? 0) / 1e6]]) };

/** Seconds that populating may take. */
const POPULATE_LIMIT = 1;

function runPopulate({ tiny }: Run): Row[] {
  const pages = tiny ? TINY : POPULATE_PAGES;
  const counted = newMachine();
  mapSmall(counted, pages);
  const seconds: number[] = [];
  for (let round = 0; round < (tiny ? 1 : 3); round++) {
    seconds.push(timed(() => advise(counted.machine, pages, MADV_POPULATE_WRITE)) / 1e9);
    if (counted.mm.rssAnon !== pages) throw new Error(`populate: ${counted.mm.rssAnon} pages of ${pages}`);
    if (round === 0 || !tiny) advise(counted.machine, pages, MADV_DONTNEED);
  }
  const note = `MADV_POPULATE_WRITE of ${pages} pages in one call; the reference is the limit`;
  const reference = seconds.map(() => POPULATE_LIMIT);
  const hash = hashOfWork(counted);
  return [{ bench: 'populate', ...summarize({ ours: seconds, reference }), unit: 's', hash, note }];
}

/** One benchmark a question. */
export const pageBenchmarks: readonly Benchmark[] = [
  { rows: ['write-fault'], run: runWriteFault },
  { rows: ['zap'], run: runZap },
  { rows: ['fork'], run: runFork },
  { rows: ['populate'], run: runPopulate },
];
