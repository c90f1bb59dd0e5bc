import { describe, expect, it } from 'vitest';
import type { Running, SchedTask, TaskOptions } from './schedTask.ts';
import { type SchedPrices, Scheduler } from './scheduler.ts';
import { WaitQueue, waitAny } from './waitQueue.ts';

const PRICES: SchedPrices = { switchNs: 10, wakeIdleNs: 100, wakeCallNs: 0, sliceNs: 1000 };

/** Computes for `ns`, and says when that was over. */
function* computing(
  scheduler: Scheduler,
  of: { task: () => SchedTask; ns: number; done: number[] },
): Running<void> {
  of.task().debtNs += of.ns;
  yield 'pay';
  of.done.push(scheduler.nowNs);
}

/** Starts tasks that compute for so long; returns when each was over. */
function computeAll(
  scheduler: Scheduler,
  each: readonly number[],
  options: Partial<TaskOptions> = {},
): number[][] {
  return each.map((ns, i) => {
    const done: number[] = [];
    const task: SchedTask = scheduler.spawn(computing(scheduler, { task: () => task, ns, done }), {
      name: `t${i}`,
      ...options,
    });
    return done;
  });
}

/** Makes a task of steps: a number computes, a queue is waited for, a function is called. */
function stepping(
  scheduler: Scheduler,
  steps: readonly (number | WaitQueue | (() => void))[],
  options: Partial<TaskOptions> = {},
): SchedTask {
  function* body(): Running<void> {
    for (const step of steps) {
      if (typeof step === 'number') {
        task.debtNs += step;
        if (!scheduler.tryPay(task)) yield 'pay';
      } else if (typeof step === 'function') step();
      else yield* step.wait(task, { reason: 'test', voluntary: true });
    }
  }
  const task: SchedTask = scheduler.spawn(body(), { name: `step${scheduler.tasks.length}`, ...options });
  return task;
}

const sumOfCpu = (scheduler: Scheduler, cpu: number): number => {
  const { runNs, spinNs, switchNs, stolenNs, idleNs } = scheduler.cpus[cpu]!.times;
  return runNs + spinNs + switchNs + stolenNs + idleNs;
};

describe('tasks on CPUs', () => {
  it('run side by side when there is a CPU for each', () => {
    const scheduler = new Scheduler(2, PRICES);
    const done = computeAll(scheduler, [500, 700]);
    expect(scheduler.run()).toEqual([]);
    expect(done).toEqual([[500], [700]]);
    expect([sumOfCpu(scheduler, 0), sumOfCpu(scheduler, 1)]).toEqual([700, 700]);
  });

  it('take turns of a slice on one CPU, in the order in which they came', () => {
    const scheduler = new Scheduler(1, PRICES);
    const done = computeAll(scheduler, [2500, 1500, 500]);
    scheduler.run();
    // 0: 1000 | switch 1: 1000 | switch 2: 500 | switch 0: 1000 | switch 1: 500 | switch 0: 500
    expect(done).toEqual([[4550], [4040], [2520]]);
    expect(scheduler.cpus[0]!.times).toMatchObject({ runNs: 4500, switchNs: 50, idleNs: 0 });
    expect(sumOfCpu(scheduler, 0)).toBe(scheduler.nowNs);
  });

  it('are fair: after any time, CPU-bound tasks of one CPU have had the same to a slice', () => {
    const scheduler = new Scheduler(1, PRICES);
    computeAll(scheduler, [50_000, 50_000, 50_000, 50_000]);
    for (const at of [7_500, 20_100, 99_999])
      scheduler.events.at(at, () => {
        const times = scheduler.tasks.map((task) => task.times.runNs);
        expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(PRICES.sliceNs);
      });
    scheduler.run();
  });

  it('are pulled by a CPU that has nothing to do, unless they may not leave', () => {
    const free = new Scheduler(2, PRICES);
    computeAll(free, [3000, 3000, 3000]);
    free.run();
    expect(free.nowNs).toBeLessThan(5500);
    const pinned = new Scheduler(2, PRICES);
    computeAll(pinned, [3000, 3000, 3000], { cpu: 1 });
    pinned.run();
    expect(pinned.nowNs).toBeGreaterThan(9000);
    expect(pinned.cpus[0]!.times.runNs).toBe(0);
  });

  it('make room for a real-time task at once, and not the other way round', () => {
    const scheduler = new Scheduler(1, PRICES);
    const gate = new WaitQueue(scheduler);
    let startedNs = 0;
    stepping(scheduler, [gate, () => (startedNs = scheduler.nowNs), 5000], { realtime: true });
    const [done] = computeAll(scheduler, [800]);
    scheduler.events.at(300, () => gate.wake());
    scheduler.run();
    expect(startedNs).toBe(310);
    // Switched to at 0, interrupted at 300 with 510 to go, and after a switch there and back.
    expect(done).toEqual([300 + 10 + 5000 + 10 + 510]);
  });
});

describe('a wake-up', () => {
  it('of a task on another, idle CPU takes its time, and the CPU is idle meanwhile', () => {
    const scheduler = new Scheduler(2, PRICES);
    const queue = new WaitQueue(scheduler);
    let wokenNs = 0;
    stepping(scheduler, [queue, () => (wokenNs = scheduler.nowNs)], { cpu: 1 });
    stepping(scheduler, [400, () => queue.wake(), 1000], { cpu: 0 });
    scheduler.run();
    expect(wokenNs).toBe(500);
    expect(scheduler.cpus[1]!.times.idleNs).toBe(scheduler.nowNs);
  });

  it('on the same CPU preempts who has had more of it, after a switch', () => {
    const scheduler = new Scheduler(1, PRICES);
    const queue = new WaitQueue(scheduler);
    const times: number[] = [];
    stepping(scheduler, [queue, () => times.push(scheduler.nowNs)]);
    stepping(scheduler, [100, () => queue.wake(), 50, () => times.push(scheduler.nowNs)]);
    scheduler.run();
    // The second one is switched to at 0 and wakes the first one after 100.
    expect(times).toEqual([10 + 100 + 10, 10 + 100 + 10 + 10 + 50]);
  });

  it('waits for its turn behind who has had less', () => {
    const scheduler = new Scheduler(1, PRICES);
    const queue = new WaitQueue(scheduler);
    const times: number[] = [];
    stepping(scheduler, [500, queue, () => times.push(scheduler.nowNs)]);
    stepping(scheduler, [100, () => queue.wake(), 50, () => times.push(scheduler.nowNs)]);
    scheduler.run();
    expect(times).toEqual([500 + 10 + 100 + 50, 500 + 10 + 100 + 50 + 10]);
  });

  it('from another CPU preempts, too, when it arrives', () => {
    const scheduler = new Scheduler(2, PRICES);
    const queue = new WaitQueue(scheduler);
    let wokenNs = 0;
    stepping(scheduler, [queue, () => (wokenNs = scheduler.nowNs)], { cpu: 1 });
    stepping(scheduler, [5000], { cpu: 1 });
    stepping(scheduler, [300, () => queue.wake(), 1000], { cpu: 0 });
    scheduler.run();
    expect(wokenNs).toBe(300 + 100 + 10);
  });

  it('gives a sleeper no more than a slice of a start', () => {
    const scheduler = new Scheduler(1, PRICES);
    const queue = new WaitQueue(scheduler);
    const sleeper = stepping(scheduler, [queue, 5000]);
    const worker = stepping(scheduler, [20_000]);
    scheduler.events.at(10_010, () => queue.wake());
    scheduler.events.at(14_000, () => {
      expect(sleeper.times.runNs).toBeGreaterThan(1900);
      expect(worker.times.runNs).toBeGreaterThan(10_000);
      expect(sleeper.times.runNs).toBeLessThan(3500);
    });
    expect(scheduler.run()).toEqual([]);
  });

  it('goes to an idle CPU when the old one is busy, and queues when none is idle', () => {
    const scheduler = new Scheduler(2, PRICES);
    const queue = new WaitQueue(scheduler);
    const where: number[] = [];
    const sleeper = stepping(scheduler, [queue, () => where.push(sleeper.cpu), 10]);
    stepping(scheduler, [100, () => queue.wake(), 500], { cpu: 0 });
    scheduler.run();
    expect(where).toEqual([1]);
  });

  it('before the end of a time-out ends the wait, and the other way round', () => {
    const scheduler = new Scheduler(1, PRICES);
    const queue = new WaitQueue(scheduler);
    const ends: string[] = [];
    function* waiting(): Running<void> {
      for (const timeoutNs of [50, 5000])
        ends.push(yield* waitAny(scheduler, [queue], task, { reason: 'test', voluntary: true, timeoutNs }));
    }
    const task: SchedTask = scheduler.spawn(waiting(), { name: 'w' });
    scheduler.events.at(300, () => queue.wake());
    scheduler.run();
    expect(ends).toEqual(['timeout', 'woken']);
    expect([queue.length, scheduler.nowNs]).toEqual([0, 300]);
  });
});

describe('a run', () => {
  it('that cannot end names who waits for ever', () => {
    const scheduler = new Scheduler(1, PRICES);
    const task = stepping(scheduler, [new WaitQueue(scheduler)]);
    expect(scheduler.run()).toEqual([task]);
  });

  it('charges an interrupt to the CPU that has it, and its task is later by that', () => {
    const scheduler = new Scheduler(2, PRICES);
    const [, done] = computeAll(scheduler, [1000, 1000]);
    scheduler.events.at(600, () => scheduler.interrupt(scheduler.cpus[1]!, 40));
    scheduler.run();
    expect(done).toEqual([1040]);
    expect(scheduler.tasks[1]!.times).toMatchObject({ runNs: 1000, stolenNs: 40 });
    expect(sumOfCpu(scheduler, 1)).toBe(1040);
  });

  it('does not put a clock back', () => {
    const scheduler = new Scheduler(1, PRICES);
    computeAll(scheduler, [100]);
    scheduler.run();
    expect(() => scheduler.events.at(50, () => {})).toThrow('[time-forward]');
  });
});
