import { describe, expect, it } from 'vitest';
import { CALIBRATION, COSTS, measured } from '../../../test/support/calibration.ts';
import { MADV_DONTNEED, MAP_SHARED, PROT_EXEC, PROT_NONE, PROT_READ } from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { FAULTED, LINUX_6_18, verifyKernel, verifyMm } from '../../mm/index.ts';
import { Pipe } from './pipe.ts';
import { Simulation, type SimulationOptions } from './simulation.ts';
import { Barrier, Mutex } from './sync.ts';
import type { Thread, ThreadMain } from './thread.ts';
import type { SignalInfo } from './threadGroup.ts';
import type { TimeReport } from './timeReport.ts';

const RW = 3;

/** Runs a program, checks the invariants at its end, and returns what it took. */
function run(
  main: ThreadMain,
  options: Partial<SimulationOptions> = {},
): TimeReport & { simulation: Simulation } {
  const simulation = new Simulation({ calibration: CALIBRATION, jitter: 0, ...options });
  simulation.start('main', function* (t) {
    yield* main(t);
    if (t.mm !== null) verifyMm(t.mm);
  });
  const report = simulation.run();
  verifyKernel(simulation.kernel, []);
  for (const { runNs, spinNs, switchNs, stolenNs, idleNs } of report.cpus)
    expect(runNs + spinNs + switchNs + stolenNs + idleNs).toBeCloseTo(report.elapsedNs, 3);
  for (const { startNs, endNs, times } of report.threads) {
    const parkedNs = [...times.parkedNs.values()].reduce((sum, ns) => sum + ns, 0);
    const { runNs, spinNs, stolenNs, switchNs, readyNs } = times;
    expect(runNs + spinNs + stolenNs + switchNs + readyNs + parkedNs).toBeCloseTo(endNs - startNs, 3);
  }
  return { ...report, simulation };
}

describe('one thread', () => {
  it('takes the time that its charges cost, and its accesses', () => {
    let accesses = 0;
    const { elapsedNs, work, cpus } = run(function* (t) {
      const a = yield* t.mmap(600 * PAGE_SIZE);
      yield* t.touch(a, 600 * PAGE_SIZE);
      yield* t.mprotect(a + PAGE_SIZE, PAGE_SIZE, PROT_READ);
      yield* t.madvise(a, 512 * PAGE_SIZE, MADV_DONTNEED);
      yield* t.mremap(a + 520 * PAGE_SIZE, 16 * PAGE_SIZE, 64 * PAGE_SIZE);
      yield* t.munmap(a, 600 * PAGE_SIZE);
      accesses = 600;
    });
    const accessNs = accesses * measured('touch_resident');
    expect(elapsedNs - accessNs).toBeCloseTo(work.totalNs, 2);
    expect(cpus[0]).toMatchObject({ spinNs: 0, stolenNs: 0, switchNs: 0, idleNs: 0 });
    expect(cpus[1]?.utilisation).toBe(0);
  });

  it('is told the same times by every run', () => {
    const main = function* (t: Thread): ReturnType<ThreadMain> {
      const a = yield* t.mmap(100 * PAGE_SIZE);
      const workers = [];
      for (let i = 0; i < 3; i++)
        workers.push(
          yield* t.spawn(`w${i}`, function* (w) {
            for (let k = 0; k < 200; k++) {
              yield* w.touch(a + w.simulation.prng.below(100) * PAGE_SIZE);
              if (k % 20 === i) yield* w.madvise(a, 50 * PAGE_SIZE, MADV_DONTNEED);
            }
          }),
        );
      for (const worker of workers) yield* t.join(worker);
    };
    const [a, b] = [run(main, { jitter: 0.2 }), run(main, { jitter: 0.2 })];
    expect(JSON.stringify(a.threads)).toBe(JSON.stringify(b.threads));
    expect(JSON.stringify(a.locks)).toBe(JSON.stringify(b.locks));
    expect(run(main, { jitter: 0.2, seed: 2 }).elapsedNs).not.toBe(a.elapsedNs);
  });

  it('reads what it wrote, word by word, and zero where it did not', () => {
    run(function* (t) {
      const a = yield* t.mmap(3 * PAGE_SIZE);
      yield* t.write(a + 8, 2 ** 53 - 1);
      expect(t.load(a + 8)).toBe(2 ** 53 - 1);
      expect(t.load(a)).toBe(0);
      expect(t.load(a + PAGE_SIZE)).toBeNull();
      expect(yield* t.read(a + PAGE_SIZE)).toBe(0);
      expect(t.store(a + PAGE_SIZE, 5)).toBe(false);
      yield* t.write(a + PAGE_SIZE, 5);
      yield* t.expect(a + PAGE_SIZE, 5);
      expect(() => t.load(a + 4)).toThrow('not where a word begins');
      yield* t.madvise(a, 3 * PAGE_SIZE, MADV_DONTNEED);
      yield* t.expect(a + 8, 0);
    });
  });

  it('stops at a word that is not what it should be', () => {
    const broken = (): unknown =>
      run(function* (t) {
        const a = yield* t.mmap(PAGE_SIZE);
        yield* t.write(a, 1);
        yield* t.expect(a, 2);
      });
    expect(broken).toThrow(/\[memory\] 0x[0-9a-f]+ holds 1 and not 2 \(main\)/);
  });

  it('sees shared memory through two mappings of one file', () => {
    run(function* (t) {
      const fd = yield* t.memfd('heap', 4 * PAGE_SIZE);
      const how = { flags: MAP_SHARED, fd };
      const [a, b] = [
        yield* t.mmap(4 * PAGE_SIZE, how),
        yield* t.mmap(4 * PAGE_SIZE, { ...how, prot: PROT_READ }),
      ];
      yield* t.write(a + 2 * PAGE_SIZE + 16, 77);
      yield* t.expect(b + 2 * PAGE_SIZE + 16, 77);
    });
  });
});

describe('signals', () => {
  it('run the handler with code and address, and then the access is made again', () => {
    const infos: SignalInfo[] = [];
    run(function* (t) {
      const a = yield* t.mmap(4 * PAGE_SIZE, { prot: PROT_NONE });
      t.onSignal('SIGSEGV', function* (h, info) {
        infos.push(info);
        yield* h.mprotect(Math.floor(info.addr / PAGE_SIZE) * PAGE_SIZE, PAGE_SIZE, RW);
      });
      yield* t.write(a + PAGE_SIZE + 24, 3);
      yield* t.expect(a + PAGE_SIZE + 24, 3);
      expect(infos).toEqual([{ signal: 'SIGSEGV', code: 'SEGV_ACCERR', addr: a + PAGE_SIZE + 24 }]);
    });
  });

  it('SIGBUS comes from beyond the end of a file', () => {
    run(function* (t) {
      const fd = yield* t.memfd('short', PAGE_SIZE);
      const a = yield* t.mmap(4 * PAGE_SIZE, { flags: MAP_SHARED, fd });
      let code = '';
      t.onSignal('SIGBUS', function* (h, info) {
        code = info.code;
        yield* h.call({ call: 'ftruncate', fd, size: 4 * PAGE_SIZE });
      });
      yield* t.write(a + 2 * PAGE_SIZE, 1);
      expect(code).toBe('BUS_ADRERR');
    });
  });

  it('kill the process without a handler, and in the handler itself', () => {
    const wild: ThreadMain = function* (t) {
      yield* t.write(0x1000_0000, 1);
    };
    expect(() => run(wild)).toThrow('was killed by SIGSEGV (SEGV_MAPERR) at 0x10000000');
    const twice: ThreadMain = function* (t) {
      t.onSignal('SIGSEGV', (h) => h.write(0x2000_0000, 1));
      yield* wild(t);
    };
    expect(() => run(twice)).toThrow('at 0x20000000');
  });

  it('that kill end all threads of the process, also those that wait, and wake who joins them', () => {
    const simulation = new Simulation({ calibration: CALIBRATION });
    let after = false;
    simulation.start('parent', function* (t) {
      const child = yield* t.fork('child', function* (c) {
        c.group.mayBeKilled = true;
        const pipe = new Pipe<number>(simulation);
        yield* c.spawn('waits', function* (w) {
          yield* pipe.read(w);
        });
        yield* c.spawn('computes', function* (w) {
          for (;;) yield* w.work(1000);
        });
        yield* c.sleep(50_000);
        yield* c.read(0x3000_0000);
      });
      yield* t.join(child);
      after = true;
      expect(child.group.killedBy?.code).toBe('SEGV_MAPERR');
      expect(child.mm).toBeNull();
    });
    simulation.run();
    expect(after).toBe(true);
  });

  it('cost what SIGSEGV and mprotect were measured as, to a quarter', () => {
    const each = (step: number): number => {
      let ns = 0;
      run(function* (t) {
        const a = yield* t.mmap(512 * PAGE_SIZE);
        yield* t.touch(a, 512 * PAGE_SIZE);
        t.onSignal('SIGSEGV', (h, { addr }) => h.mprotect(addr, PAGE_SIZE, RW));
        yield* t.mprotect(a, 512 * PAGE_SIZE, PROT_NONE);
        const startNs = t.nowNs;
        let n = 0;
        for (let page = 1; page < 512; page += step, n++) yield* t.touch(a + page * PAGE_SIZE);
        yield* t.owe(0);
        ns = (t.nowNs - startNs) / n;
      });
      return ns;
    };
    expect(Math.abs(each(1) / measured('sigsegv_mprotect_seq') - 1)).toBeLessThan(0.25);
    expect(Math.abs(each(2) / measured('sigsegv_mprotect_split') - 1)).toBeLessThan(0.25);
  });
});

describe('several threads', () => {
  it('meet at a futex: a round trip on one CPU and across costs what was measured', () => {
    const oneWay = (cpus: readonly [number, number]): number => {
      let ns = 0;
      run(function* (t) {
        const word = yield* t.mmap(PAGE_SIZE);
        yield* t.write(word, 0);
        // Whose turn it is, as the benchmark has it: wake the other one, and wait until it is mine again.
        const turns = (mine: number, n: number): ThreadMain =>
          function* (w) {
            const startNs = w.nowNs;
            for (let i = 0; i < n; i++) {
              while ((yield* w.read(word)) !== mine) yield* w.futexWait(word, 1 - mine);
              yield* w.write(word, 1 - mine);
              yield* w.futexWake(word);
            }
            ns = (w.nowNs - startNs) / (2 * n);
          };
        const a = yield* t.spawn('a', turns(0, 100), { cpu: cpus[0] });
        const b = yield* t.spawn('b', turns(1, 100), { cpu: cpus[1] });
        yield* t.join(a);
        yield* t.join(b);
      });
      return ns;
    };
    expect(Math.abs(oneWay([0, 0]) / measured('switch_futex_same_cpu') - 1)).toBeLessThan(0.1);
    expect(Math.abs(oneWay([0, 1]) / measured('switch_futex_cross_cpu') - 1)).toBeLessThan(0.1);
  });

  it('pass messages through a pipe for what was measured, and poll for them', () => {
    let ns = 0;
    run(function* (t) {
      const pipes = [new Pipe<number>(t.simulation), new Pipe<number>(t.simulation)] as const;
      const echo = yield* t.spawn(
        'echo',
        function* (w) {
          for (let i = 0; i < 100; i++) yield* pipes[1].write(w, (yield* pipes[0].read(w)) + 1);
        },
        { cpu: 0 },
      );
      const ping = yield* t.spawn(
        'ping',
        function* (w) {
          const startNs = w.nowNs;
          for (let i = 0; i < 100; i++) {
            yield* pipes[0].write(w, i);
            expect(yield* pipes[1].read(w)).toBe(i + 1);
          }
          ns = (w.nowNs - startNs) / 200;
        },
        { cpu: 0 },
      );
      yield* t.join(ping);
      yield* t.join(echo);
      const startNs = t.nowNs;
      expect(yield* t.poll(pipes, 5000)).toEqual([]);
      expect(t.nowNs - startNs).toBeGreaterThan(5000);
      yield* pipes[1].write(t, 9);
      expect(yield* t.poll(pipes)).toEqual([pipes[1]]);
    });
    expect(Math.abs(ns / measured('switch_pipe_same_cpu') - 1)).toBeLessThan(0.1);
  });

  it('exclude each other by a mutex, and meet at a barrier', () => {
    run(function* (t) {
      const mutex = new Mutex(t.simulation);
      const barrier = new Barrier(t.simulation, 3);
      const cell = yield* t.mmap(PAGE_SIZE);
      const lasts: boolean[] = [];
      const workers = [];
      for (let i = 0; i < 3; i++)
        workers.push(
          yield* t.spawn(`w${i}`, function* (w) {
            for (let k = 0; k < 50; k++) {
              yield* mutex.lock(w);
              const value = yield* w.read(cell);
              yield* w.work(100 + 700 * i);
              yield* w.write(cell, value + 1);
              yield* mutex.unlock(w);
            }
            lasts.push(yield* barrier.wait(w));
            yield* w.expect(cell, 150);
          }),
        );
      for (const worker of workers) yield* t.join(worker);
      expect(lasts.filter((last) => last)).toHaveLength(1);
    });
  });

  it('have a copy each after fork, and the parent pays for its pages', () => {
    const { work } = run(function* (t) {
      const a = yield* t.mmap(10 * PAGE_SIZE);
      yield* t.touch(a, 10 * PAGE_SIZE, 'write', 1);
      const child = yield* t.fork('child', function* (c) {
        yield* c.write(a, 2);
        yield* c.expect(a, 2);
        yield* c.expect(a + PAGE_SIZE, 1);
      });
      yield* t.expect(a, 1);
      yield* t.join(child);
      yield* t.expect(a, 1);
    });
    const pathNs = new Map(work.paths.map(({ path, ns }) => [path, ns]));
    expect(pathNs.get('fork')).toBe(COSTS.priceOf('fork').callNs);
    expect(pathNs.has('fault-cow')).toBe(true);
  });

  it('that wait for a lock with a fault on one page have a fault each, and one page', () => {
    const main: ThreadMain = function* (t) {
      const a = yield* t.mmap(1024 * PAGE_SIZE);
      yield* t.touch(a + PAGE_SIZE, 1000 * PAGE_SIZE);
      const faults = t.mm?.minFlt ?? 0;
      const touchAt = (atNs: number): ThreadMain =>
        function* (w) {
          yield* w.sleep(atNs - w.nowNs);
          yield* w.touch(a);
        };
      const atNs = t.nowNs + 100_000;
      const others = [yield* t.spawn('b', touchAt(atNs)), yield* t.spawn('c', touchAt(atNs))];
      yield* t.sleep(atNs - 5000 - t.nowNs);
      // Takes longer than until they come.
      yield* t.mprotect(a, 1024 * PAGE_SIZE, RW | PROT_EXEC);
      for (const other of others) yield* t.join(other);
      expect((t.mm?.minFlt ?? 0) - faults).toBe(2);
    };
    const { simulation } = run(main, { cpus: 3 });
    expect(simulation.kernel.work.faults[FAULTED.spurious]).toBe(1);
  });

  it('wait for ever only with a word about it', () => {
    const stuck = (): unknown =>
      run(function* (t) {
        yield* new Pipe(t.simulation).read(t);
      });
    expect(stuck).toThrow('threads still wait: main (pipe)');
  });
});

describe('shootdowns', () => {
  const discard = (other: ThreadMain | null): { ns: number; stolenNs: number } => {
    let ns = 0;
    const { cpus } = run(function* (t) {
      const a = yield* t.mmap(PAGE_SIZE);
      yield* t.touch(a);
      const b = other === null ? null : yield* t.spawn('other', other, { cpu: 1 });
      yield* t.work(50_000);
      const startNs = t.nowNs;
      yield* t.madvise(a, PAGE_SIZE, MADV_DONTNEED);
      ns = t.nowNs - startNs;
      if (b !== null) yield* t.join(b);
    });
    return { ns, stolenNs: cpus[1]?.stolenNs ?? 0 };
  };

  it('cost what was measured when another thread runs, and nothing when it sleeps', () => {
    const alone = discard(null);
    const running = discard((w) => w.work(200_000));
    const asleep = discard((w) => w.sleep(200_000));
    expect(asleep).toEqual(alone);
    const more = measured('tlb_dontneed_1_spinning') - measured('tlb_dontneed_1_alone');
    expect(running.ns - alone.ns).toBeCloseTo(more, 3);
    expect(running.stolenNs).toBeGreaterThan(0);
    expect(Math.abs(running.ns / measured('tlb_dontneed_1_spinning') - 1)).toBeLessThan(0.1);
  });

  it('leave other programs alone', () => {
    let stolenNs = 0;
    const { cpus } = run(function* (t) {
      const a = yield* t.mmap(PAGE_SIZE);
      yield* t.touch(a);
      const child = yield* t.fork('child', (c) => c.work(300_000), { cpu: 1 });
      yield* t.work(50_000);
      yield* t.munmap(a, PAGE_SIZE);
      yield* t.join(child);
    });
    stolenNs = cpus[1]?.stolenNs ?? 0;
    expect(stolenNs).toBe(0);
  });
});

describe('a report', () => {
  it('says that more CPUs than two are uncalibrated', () => {
    const main: ThreadMain = (t) => t.work(100);
    expect(run(main).notes.join()).not.toContain('uncalibrated');
    expect(run(main, { cpus: 4 }).notes.join()).toContain('uncalibrated: 4 CPUs');
  });

  it('takes cross-CPU prices of another machine', () => {
    const main: ThreadMain = function* (t) {
      const a = yield* t.spawn('a', (w) => w.work(10), { cpu: 1 });
      yield* t.join(a);
    };
    const bare = run(main, { crossCpu: { wakeIdleNs: 1000 }, features: LINUX_6_18 });
    expect(run(main).elapsedNs - bare.elapsedNs).toBeGreaterThan(10_000);
  });
});
