/**
 * userfaultfd: round trips of faults answered by a thread, and write-protection of 10 GiB that are not there.
 *
 * A round trip is a whole one in virtual time: the fault, its message, a switch to the handler, its read, UFFDIO_COPY, the wake-up, a switch back.
 * Its reference is a limit. The ioctl's is the same ioctl on this machine's kernel.
 */
import { readFileSync } from 'node:fs';
import { MADV_NOHUGEPAGE, MAP_NORESERVE } from '../src/abi/mman.ts';
import { UFFD_FEATURE_WP_UNPOPULATED } from '../src/abi/userfaultfd.ts';
import { type Calibration, Simulation, Userfaultfd } from '../src/machine/index.ts';
import { UffdContext, uffdRegister, uffdWriteProtect } from '../src/mm/index.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { BASE, FIXED_PRIVATE, mapAt, newMachine, PAGE, PID } from './machine.ts';
import { ROOT } from './references.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

const [MISSING, WP] = [1, 2];
const ROUND_TRIPS = 50_000;
/** Round trips a second that the model should manage. */
const ROUND_TRIPS_PER_S = 300_000;
const WP_PAGES = 2_621_440;
const TINY = 64;

const calibration = (): Calibration => {
  const name = 'linux-6.18-x86_64';
  return { name, ...JSON.parse(readFileSync(`${ROOT}calibration/${name}.json`, 'utf8')) };
};

/** Plays `count` faults that a handler on the same CPU answers. Returns nanoseconds of this machine, and what came of it. */
function playRoundTrips(of: Calibration, count: number): { ns: number; state: string } {
  const simulation = new Simulation({ calibration: of, contents: 'fingerprint', cpus: 1 });
  let [ns, resident] = [0, 0];
  simulation.start('main', function* (t) {
    const heap = yield* t.mmap(count * PAGE);
    const source = yield* t.mmap(PAGE);
    yield* t.write(source, 1);
    const uffd = yield* Userfaultfd.open(t);
    yield* uffd.register(t, heap, count * PAGE, MISSING);
    const handler = yield* t.spawn('handler', function* (h) {
      for (let i = 0; i < count; i++) {
        const message = yield* uffd.read(h);
        if (message.event === 'pagefault')
          yield* uffd.fill(h, 'copy', { start: message.addr, len: PAGE, source });
      }
    });
    const began = nowNs();
    yield* t.touch(heap, count * PAGE);
    yield* t.join(handler);
    ns = nowNs() - began;
    resident = t.mm?.rssAnon ?? 0;
  });
  const { elapsedNs, cpus } = simulation.run();
  if (resident !== count + 1) throw new Error(`uffd-roundtrip: ${resident} pages resident`);
  return { ns, state: `${resident} ${elapsedNs} ${cpus[0]?.switches}` };
}

function runRoundTrips({ tiny }: Run): Row[] {
  const count = tiny ? TINY : ROUND_TRIPS;
  const of = calibration();
  let state = '';
  const ours = (): number => {
    const played = playRoundTrips(of, count);
    state = played.state;
    return played.ns / count;
  };
  const times = takeTurns(tiny ? 1 : 9, tiny ? 0 : 4, ours, () => 1e9 / ROUND_TRIPS_PER_S);
  const row = summarize(times);
  const note = `${count} faults; ${Math.round(1e9 / row.ours)} a second, and the reference is the limit`;
  return [{ bench: 'uffd-roundtrip', ...row, unit: 'ns/fault', hash: hashOf(state), note }];
}

/** Protects `pages` pages that are not there. Returns milliseconds, and bytes of page tables afterwards. */
function protectNothing(pages: number): { ms: number; tableBytes: number; markers: number } {
  const { machine, mm } = newMachine();
  const len = pages * PAGE;
  mapAt(machine, BASE, len, FIXED_PRIVATE | MAP_NORESERVE);
  machine.apply(PID, { call: 'madvise', addr: BASE, len, advice: MADV_NOHUGEPAGE });
  const context = new UffdContext(mm, 0, UFFD_FEATURE_WP_UNPOPULATED);
  uffdRegister(context, { start: BASE, len, mode: WP });
  const began = nowNs();
  const result = uffdWriteProtect(context, { start: BASE, len, mode: 1 });
  const ms = (nowNs() - began) / 1e6;
  if (result.why !== 'ok') throw new Error(`wp-10g: ${result.why}`);
  const markers = machine.kernel.work.facts.reduce((sum, n) => sum + n, 0);
  return { ms, tableBytes: mm.pages.bytes, markers };
}

function runProtect({ tiny, references }: Run): Row[] {
  const pages = tiny ? TINY : WP_PAGES;
  let state = '';
  let tables = 0;
  const ours = (): number => {
    const { ms, tableBytes, markers } = protectNothing(pages);
    state = `${tableBytes} ${markers}`;
    tables = tableBytes;
    return ms;
  };
  const reference = (): number | null => {
    const answer = references.run('uffd_wp', [pages]);
    if (answer === null) return null;
    const vmPte = answer.numbers.get('vmpte') ?? 0;
    // The kernel's program may have had a table or two there before.
    if (Math.abs(vmPte - tables) > 4 * PAGE)
      throw new Error(`wp-10g: the model has ${tables} bytes of page tables, the kernel ${vmPte}`);
    return (answer.numbers.get('ns') ?? 0) / 1e6;
  };
  const times = takeTurns(tiny ? 1 : 9, tiny ? 0 : 2, ours, reference);
  const note =
    references.missing ?? `WP_UNPOPULATED of ${pages} pages in one ioctl, ${tables} bytes of tables`;
  return [{ bench: 'wp-10g', ...summarize(times), unit: 'ms', hash: hashOf(state), note }];
}

/** One benchmark a question. */
export const uffdBenchmarks: readonly Benchmark[] = [
  { rows: ['uffd-roundtrip'], run: runRoundTrips },
  { rows: ['wp-10g'], run: runProtect },
];
