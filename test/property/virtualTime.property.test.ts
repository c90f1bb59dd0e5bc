/**
 * Random programs of several threads in virtual time.
 *
 * Strategy     threads of random steps (computing, calls, accesses, mutexes, pipes, sleeps, barriers) on one to three CPUs, some bound to one, some real-time
 * Invariants   [cpu-time] [task-time] all time is accounted for, once · [time-forward] no thread sees time go back · [mutex-exclusive] one thread is in a
 *              critical section · [lost-wakeup] every run ends, with every message delivered once and in order · [sim-deterministic] twice the same report
 *              [rwsem-exclusive] is asserted by the lock itself
 * Not reached  killed processes (thread.test.ts), forks
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MADV_DONTNEED, MADV_FREE, PROT_READ } from '../../src/abi/mman.ts';
import { PAGE_SIZE } from '../../src/base/units.ts';
import { Barrier, Mutex, Pipe, Simulation, type Thread, type TimeReport } from '../../src/machine/index.ts';
import { LINUX_6_18, verifyMm } from '../../src/mm/index.ts';
import { CALIBRATION } from '../support/calibration.ts';

const PAGES = 40;
const RW = 3;

/** One thing a thread does; numbers are drawn, and what they mean depends on what is done. */
interface DrawnStep {
  readonly does: 'compute' | 'access' | 'discard' | 'protect' | 'map' | 'lock' | 'send' | 'sleep' | 'spin';
  readonly a: number;
  readonly b: number;
}
interface DrawnThread {
  readonly cpu: number | null;
  readonly realtime: boolean;
  readonly steps: readonly DrawnStep[];
}
interface DrawnProgram {
  readonly cpus: number;
  readonly perVmaLocks: 'off' | 'on';
  readonly seed: number;
  readonly threads: readonly DrawnThread[];
}

const STEP: fc.Arbitrary<DrawnStep> = fc.record({
  does: fc.constantFrom('compute', 'access', 'discard', 'protect', 'map', 'lock', 'send', 'sleep', 'spin'),
  a: fc.nat(PAGES - 1),
  b: fc.nat(30_000),
});
const PROGRAM: fc.Arbitrary<DrawnProgram> = fc.record({
  cpus: fc.integer({ min: 1, max: 3 }),
  perVmaLocks: fc.constantFrom('off', 'on'),
  seed: fc.nat(1000),
  threads: fc.array(
    fc.record({
      cpu: fc.option(fc.nat(2)),
      realtime: fc.boolean(),
      steps: fc.array(STEP, { maxLength: 25 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
});

/** What the threads share. */
interface World {
  readonly heap: number;
  readonly mutex: Mutex;
  readonly pipe: Pipe<number>;
  inside: number;
  sent: number;
}

function* carryOut(
  t: Thread,
  world: World,
  { does, a, b }: DrawnStep,
): Generator<'pay' | 'park' | 'spin' | 'end', void, void> {
  const at = world.heap + a * PAGE_SIZE;
  switch (does) {
    case 'compute':
      yield* t.work(b);
      return;
    case 'access':
      yield* t.touch(at, Math.min(1 + (b % 9), PAGES - a) * PAGE_SIZE, b % 2 === 0 ? 'write' : 'read');
      return;
    case 'discard':
      yield* t.madvise(
        at,
        PAGE_SIZE * Math.min(1 + (b % 5), PAGES - a),
        b % 3 === 0 ? MADV_FREE : MADV_DONTNEED,
      );
      return;
    case 'protect':
      // Somebody's store finds it read-only: the handler opens it again.
      yield* t.mprotect(at, PAGE_SIZE, PROT_READ);
      return;
    case 'map':
      yield* t.munmap(yield* t.mmap((1 + (b % 7)) * PAGE_SIZE), PAGE_SIZE);
      return;
    case 'lock':
      yield* world.mutex.lock(t);
      expect(++world.inside).toBe(1);
      yield* t.work(b / 10);
      yield* t.touch(at);
      expect(world.inside--).toBe(1);
      yield* world.mutex.unlock(t);
      return;
    case 'send':
      yield* world.pipe.write(t, world.sent++);
      return;
    case 'sleep':
      yield* t.sleep(b);
      return;
    case 'spin':
      for (let i = 0; i < b / 100; i++) if (t.load(world.heap) === null) yield* t.read(world.heap);
      return;
  }
}

/** Runs a drawn program and checks what must hold on the way and at the end. */
function play(drawn: DrawnProgram): TimeReport {
  const features = { ...LINUX_6_18, perVmaLocks: drawn.perVmaLocks };
  const simulation = new Simulation({
    calibration: CALIBRATION,
    features,
    cpus: drawn.cpus,
    seed: drawn.seed,
  });
  const received: number[] = [];
  simulation.start('main', function* (t) {
    const world: World = {
      heap: yield* t.mmap(PAGES * PAGE_SIZE),
      mutex: new Mutex(simulation),
      pipe: new Pipe<number>(simulation, 2),
      inside: 0,
      sent: 0,
    };
    t.onSignal('SIGSEGV', (h, { addr }) =>
      h.mprotect(Math.floor(addr / PAGE_SIZE) * PAGE_SIZE, PAGE_SIZE, RW),
    );
    const start = new Barrier(simulation, drawn.threads.length);
    const total = drawn.threads.flatMap(({ steps }) => steps).filter(({ does }) => does === 'send').length;
    const reader = yield* t.spawn('reader', function* (r) {
      while (received.length < total) received.push(yield* world.pipe.read(r));
    });
    const workers: Thread[] = [];
    for (const [i, { cpu, realtime, steps }] of drawn.threads.entries()) {
      const bound = cpu === null || cpu >= drawn.cpus ? {} : { cpu };
      const body = function* (w: Thread): ReturnType<typeof carryOut> {
        yield* start.wait(w);
        let beforeNs = w.nowNs;
        for (const step of steps) {
          yield* carryOut(w, world, step);
          expect(w.nowNs).toBeGreaterThanOrEqual(beforeNs);
          beforeNs = w.nowNs;
        }
      };
      workers.push(yield* t.spawn(`w${i}`, body, { ...bound, realtime }));
    }
    for (const worker of [...workers, reader]) yield* t.join(worker);
    if (t.mm !== null) verifyMm(t.mm);
  });
  const report = simulation.run();
  const sent = received.map((_, i) => i);
  // A writer that waits for room is overtaken by one that does not: each message comes once, and none is lost.
  expect([...received].sort((a, b) => a - b)).toEqual(sent);
  expectAllTime(report);
  for (const { mmapLock } of simulation.allLocks) expect(mmapLock.isFree).toBe(true);
  return report;
}

function expectAllTime({ cpus, threads, elapsedNs }: TimeReport): void {
  for (const { runNs, spinNs, switchNs, stolenNs, idleNs } of cpus)
    expect(runNs + spinNs + switchNs + stolenNs + idleNs).toBeCloseTo(elapsedNs, 2);
  let ranNs = 0;
  for (const { startNs, endNs, times } of threads) {
    const { runNs, spinNs, stolenNs, switchNs, readyNs, parkedNs } = times;
    const parked = [...parkedNs.values()].reduce((sum, ns) => sum + ns, 0);
    expect(runNs + spinNs + stolenNs + switchNs + readyNs + parked).toBeCloseTo(endNs - startNs, 2);
    ranNs += runNs + spinNs + stolenNs + switchNs;
  }
  const busyNs = cpus.reduce((sum, { idleNs }) => sum + elapsedNs - idleNs, 0);
  expect(ranNs).toBeCloseTo(busyNs, 2);
}

describe('random programs of several threads', () => {
  it('account for all time, exclude each other, lose no wake-up, and are the same twice', {
    timeout: 300_000,
  }, () => {
    fc.assert(
      fc.property(PROGRAM, (drawn) => {
        const [first, again] = [play(drawn), play(drawn)];
        expect(JSON.stringify(again)).toBe(JSON.stringify(first));
      }),
      { seed: 20_261_121, numRuns: 300 },
    );
  });
});
