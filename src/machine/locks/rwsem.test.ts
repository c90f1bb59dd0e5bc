import { describe, expect, it } from 'vitest';
import type { Running, SchedTask } from '../sched/schedTask.ts';
import { Scheduler } from '../sched/scheduler.ts';
import { Rwsem } from './rwsem.ts';

const PRICES = { switchNs: 0, wakeIdleNs: 100, wakeCallNs: 0, sliceNs: 1e9 };
const HANDOVER_NS = 7;

/** One task: from when it wants the lock, how, for how long. */
interface Wanting {
  readonly atNs: number;
  readonly mode: 'read' | 'write';
  readonly forNs: number;
  readonly realtime?: boolean;
}

interface World {
  readonly scheduler: Scheduler;
  readonly lock: Rwsem;
  /** Names in the order in which they had the lock, and when. */
  readonly had: [string, number][];
}

/** Lets tasks, each on a CPU of its own, want one lock. */
function play(tasks: Readonly<Record<string, Wanting>>, during?: (world: World) => void): World {
  const scheduler = new Scheduler(Object.keys(tasks).length, PRICES);
  const lock = new Rwsem(scheduler, 'lock', HANDOVER_NS);
  const world: World = { scheduler, lock, had: [] };
  for (const [i, [name, want]] of Object.entries(tasks).entries()) {
    function* body(): Running<void> {
      task.debtNs += want.atNs;
      if (!scheduler.tryPay(task)) yield 'pay';
      yield* want.mode === 'read' ? lock.read(task) : lock.write(task);
      world.had.push([name, scheduler.nowNs]);
      task.debtNs += want.forNs;
      if (!scheduler.tryPay(task)) yield 'pay';
      if (want.mode === 'read') lock.releaseRead();
      else lock.releaseWrite(task);
    }
    const task: SchedTask = scheduler.spawn(body(), { name, cpu: i, realtime: want.realtime ?? false });
  }
  during?.(world);
  expect(scheduler.run()).toEqual([]);
  expect(lock.isFree).toBe(true);
  return world;
}

describe('a reader-writer lock', () => {
  it('is shared by readers', () => {
    const { had } = play({
      a: { atNs: 0, mode: 'read', forNs: 500 },
      b: { atNs: 100, mode: 'read', forNs: 500 },
    });
    expect(had).toEqual([
      ['a', 0],
      ['b', 100],
    ]);
  });

  it('is handed to a writer that spins, while the writer that has it runs', () => {
    const { had, scheduler, lock } = play({
      a: { atNs: 0, mode: 'write', forNs: 1000 },
      b: { atNs: 100, mode: 'write', forNs: 100 },
    });
    expect(had).toEqual([
      ['a', 0],
      ['b', 1000 + HANDOVER_NS],
    ]);
    expect(scheduler.tasks[1]!.times).toMatchObject({ spinNs: 900 + HANDOVER_NS });
    expect(lock.stats.write).toMatchObject({ taken: 2, contended: 1 });
  });

  it('lets a writer sleep on readers after a while, and keeps later readers out for it', () => {
    const { had } = play({
      r1: { atNs: 0, mode: 'read', forNs: 30_000 },
      w: { atNs: 100, mode: 'write', forNs: 1000 },
      // Comes while the writer still spins: in at once. The next one comes when it sleeps.
      r2: { atNs: 5000, mode: 'read', forNs: 1000 },
      r3: { atNs: 20_000, mode: 'read', forNs: 1000 },
    });
    expect(had.map(([name]) => name)).toEqual(['r1', 'r2', 'w', 'r3']);
    expect(had[2]).toEqual(['w', 30_000 + 100]);
  });

  it('does not let a real-time writer spin on readers', () => {
    const { had, scheduler } = play({
      r: { atNs: 0, mode: 'read', forNs: 2000 },
      w: { atNs: 100, mode: 'write', forNs: 10, realtime: true },
    });
    expect(had[1]).toEqual(['w', 2000 + 100]);
    expect(scheduler.tasks[1]!.times.spinNs).toBe(0);
  });

  it('is given to all sleeping readers together, those behind a writer too', () => {
    const { had } = play({
      w1: { atNs: 0, mode: 'write', forNs: 40_000 },
      r1: { atNs: 100, mode: 'read', forNs: 5000 },
      w2: { atNs: 300, mode: 'write', forNs: 10, realtime: true },
      r2: { atNs: 500, mode: 'read', forNs: 5000 },
      // Makes sure that w2 does not win by spinning: see below.
    });
    // w2 spins on a writer that runs and gets it first; both readers follow together.
    expect(had.map(([name]) => name)).toEqual(['w1', 'w2', 'r1', 'r2']);
    expect(had[2]![1]).toBe(had[3]![1]);
  });

  it('goes by its queue when nobody spins: readers at the head bring all readers along', () => {
    const { had } = play(
      {
        w1: { atNs: 0, mode: 'write', forNs: 40_000 },
        r1: { atNs: 100, mode: 'read', forNs: 5000 },
        w2: { atNs: 300, mode: 'write', forNs: 10 },
        r2: { atNs: 500, mode: 'read', forNs: 5000 },
      },
      // The owner leaves its CPU for a moment: who spins goes to sleep.
      ({ scheduler, lock }) => scheduler.events.at(400, () => lock.ownerLeft()),
    );
    expect(had.map(([name]) => name)).toEqual(['w1', 'r1', 'r2', 'w2']);
  });

  it('lets sleeping readers in when the writer becomes one', () => {
    const scheduler = new Scheduler(2, PRICES);
    const lock = new Rwsem(scheduler, 'lock', 0);
    const had: number[] = [];
    function* writing(): Running<void> {
      yield* lock.write(w);
      w.debtNs += 1000;
      yield 'pay';
      lock.downgrade(w);
      w.debtNs += 5000;
      yield 'pay';
      lock.releaseRead();
    }
    function* reading(): Running<void> {
      r.debtNs += 200;
      yield 'pay';
      yield* lock.read(r);
      had.push(scheduler.nowNs);
      lock.releaseRead();
    }
    const w: SchedTask = scheduler.spawn(writing(), { name: 'w' });
    const r: SchedTask = scheduler.spawn(reading(), { name: 'r' });
    expect(scheduler.run()).toEqual([]);
    expect(had).toEqual([1100]);
  });

  it('is not had by a try while somebody waits asleep', () => {
    play(
      {
        r: { atNs: 0, mode: 'read', forNs: 30_000 },
        w: { atNs: 0, mode: 'write', forNs: 10 },
      },
      ({ scheduler, lock }) => {
        const tries: boolean[] = [];
        const tryIt = (): void => {
          const had = lock.tryRead();
          if (had) lock.releaseRead();
          tries.push(had);
        };
        scheduler.events.at(5000, tryIt);
        scheduler.events.at(20_000, () => {
          tryIt();
          expect(tries).toEqual([true, false]);
        });
      },
    );
  });

  it('is handed over to a writer that was overtaken for 4 ms', () => {
    const scheduler = new Scheduler(3, PRICES);
    const lock = new Rwsem(scheduler, 'lock', 0);
    let sleptNs = 0;
    let overtook = 0;
    const greedy = (): void => {
      function* body(): Running<void> {
        // Gives it up and has it again before anybody who has to wake up first.
        while (sleptNs === 0) {
          yield* lock.write(task);
          task.debtNs += 1000;
          if (!scheduler.tryPay(task)) yield 'pay';
          lock.releaseWrite(task);
          overtook++;
        }
      }
      const task: SchedTask = scheduler.spawn(body(), { name: 'greedy' });
    };
    function* patient(): Running<void> {
      sleeper.debtNs += 500;
      yield 'pay';
      yield* lock.write(sleeper);
      sleptNs = scheduler.nowNs;
      lock.releaseWrite(sleeper);
    }
    greedy();
    const sleeper: SchedTask = scheduler.spawn(patient(), { name: 'patient' });
    scheduler.events.at(600, () => lock.ownerLeft());
    scheduler.run();
    expect(overtook).toBeGreaterThan(3900);
    expect(sleptNs).toBeGreaterThan(4_000_000);
    expect(sleptNs).toBeLessThan(4_010_000);
  });
});
