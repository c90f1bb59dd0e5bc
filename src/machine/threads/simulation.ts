/**
 * A machine in virtual time: a Machine whose operations take time on CPUs and wait for locks.
 *
 *   const simulation = new Simulation({ calibration, cpus: 2 });
 *   simulation.start('main', function* (t) {
 *     const heap = yield* t.mmap(64 * PAGE_SIZE);
 *     const worker = t.spawn('worker', function* (w) { yield* w.write(heap, 1); });
 *     yield* t.join(worker);
 *     yield* t.expect(heap, 1);
 *   });
 *   const report = simulation.run();
 *
 * An operation changes the model at once, at the moment at which it has its locks, and then takes the time it costs before it gives them up. So
 * operations on one address space happen one after the other in the order in which they got their locks, as on Linux, and time decides that order.
 *
 * Invariants   [sim-deterministic] features, settings, program and seed give the same report, to the last digit
 *              [sim-alone] of one thread alone, the time is what cost.ts makes of its charges, and what it computes and accesses
 * Cost         docs/virtual-time.md
 * Left out     preemption inside the kernel changes nothing that was done already; kernel threads (migration, reclaim) take no time of their own
 */
import { UsageError } from '../../base/assert.ts';
import { Prng } from '../../base/prng.ts';
import {
  BytesContents,
  type Features,
  FingerprintContents,
  Kernel,
  type KernelConfig,
  LINUX_6_18,
  type Mm,
} from '../../mm/index.ts';
import { type Calibration, CostTable, figuresOf } from '../cost.ts';
import { MmLocks } from '../locks/mmLocks.ts';
import { Rwsem } from '../locks/rwsem.ts';
import { Machine } from '../machine.ts';
import { Ledger } from '../paid/ledger.ts';
import { Shootdowns } from '../paid/shootdown.ts';
import { type CrossCpuPrices, type SmpPrices, smpPricesOf } from '../paid/smpPrices.ts';
import type { Process } from '../process.ts';
import type { Cpu } from '../sched/cpu.ts';
import type { SchedTask } from '../sched/schedTask.ts';
import { Scheduler } from '../sched/scheduler.ts';
import { UffdCharges } from '../uffdCharges.ts';
import type { CallWatch } from './callWatch.ts';
import { Thread, type ThreadMain, type ThreadOptions } from './thread.ts';
import { ThreadGroup } from './threadGroup.ts';
import type { ThreadMemory } from './threadMemory.ts';
import { type TimeReport, timeReport } from './timeReport.ts';
import { UffdWaits } from './uffdWaits.ts';

/** What a simulation is made of. */
export interface SimulationOptions {
  /** Prices. */
  readonly calibration: Calibration;
  /** The switches; linux-6.18 unless told. */
  readonly features?: Features;
  readonly config?: Partial<KernelConfig>;
  /** Virtual CPUs; 2 unless told. More than the figures were measured with makes every report say so. */
  readonly cpus?: number;
  /** Cross-CPU prices to take instead of the measured ones, nanoseconds. */
  readonly crossCpu?: Partial<CrossCpuPrices>;
  /** How much of a page is kept: all of it unless told, or its first word, for scale. */
  readonly contents?: 'bytes' | 'fingerprint';
  /** How far plain accesses may run ahead of the other CPUs, nanoseconds; 2000 unless told. */
  readonly quantumNs?: number;
  /**
   * Share by which each step takes longer or shorter, at random, while other CPUs run something; 0.1 unless told. Without, threads that do the same
   * keep step, and meet at locks always or never.
   */
  readonly jitter?: number;
  /** Seed of everything random; 1 unless told. */
  readonly seed?: number;
  /** Changes calls on their way, or looks at what they left; nobody unless told. */
  readonly watch?: CallWatch;
}

/** What reports call the lock of a tree of anon_vmas. */
export const ANON_VMA_LOCK = 'anon_vma lock';

/** A machine in virtual time. */
export class Simulation {
  readonly machine: Machine;
  readonly scheduler: Scheduler;
  readonly prices: SmpPrices;
  readonly costs: CostTable;
  readonly ledger: Ledger;
  readonly prng: Prng;
  readonly uffd: UffdWaits;
  readonly quantumNs: number;
  /** Everything that was counted by `Thread.count`, by name. */
  readonly counters = new Map<string, number>();
  /** What the program has to say besides numbers, in its order. */
  readonly remarks: string[] = [];
  readonly groups: ThreadGroup[] = [];
  readonly watch: CallWatch | null;
  readonly #charges: UffdCharges;
  readonly #jitter: number;
  readonly #jitterPrng: Prng;
  readonly #mmLocks = new Map<Mm, MmLocks>();
  /** The address space whose locks were asked for last, and those: mostly it is the same again. */
  #lastMm: Mm | null = null;
  #lastLocks: MmLocks | null = null;
  readonly #anonLocks = new Map<number, Rwsem>();
  readonly #mmOf = new Map<SchedTask, Process>();

  constructor(options: SimulationOptions) {
    const contents = options.contents === 'fingerprint' ? new FingerprintContents() : new BytesContents();
    const kernel = new Kernel(options.features ?? LINUX_6_18, options.config ?? {}, { contents });
    this.machine = new Machine(kernel);
    this.costs = new CostTable(options.calibration);
    this.watch = options.watch ?? null;
    const figures = figuresOf(options.calibration);
    this.prices = smpPricesOf(figures, options.crossCpu);
    this.scheduler = new Scheduler(options.cpus ?? 2, this.prices);
    this.machine.tableReclaim.clock = () => this.scheduler.nowNs;
    this.machine.tableReclaim.isByThreads = true;
    this.ledger = new Ledger(kernel.work, this.costs);
    this.prng = new Prng(options.seed ?? 1);
    this.quantumNs = options.quantumNs ?? 2000;
    this.#jitter = options.jitter ?? 0.1;
    this.#jitterPrng = new Prng((options.seed ?? 1) + 1);
    this.#charges = new UffdCharges(kernel.work);
    this.uffd = new UffdWaits(kernel, this.scheduler);
    this.#watchKills();
    kernel.tlb = new Shootdowns({
      scheduler: this.scheduler,
      ledger: this.ledger,
      targetNs: this.prices.shootdownTargetNs,
      mmOn: (cpu) => this.mmOn(cpu),
      next: kernel.tlb,
    });
  }

  /** Somebody else's process may be killed for want of memory: its threads end with it. */
  #watchKills(): void {
    const { kernel } = this;
    const kill = kernel.onOutOfMemory;
    kernel.onOutOfMemory = (group, asking) => {
      const who = kill?.(group, asking) ?? 'nobody';
      for (const each of who === 'other' ? this.groups : []) {
        if (each.isOver || this.machine.process(each.process.pid) !== null) continue;
        each.killedBy ??= { signal: 'SIGKILL', code: 'SI_KERNEL', addr: 0 };
        each.threads[0]?.endGroup();
      }
      return who;
    };
  }

  /** Notes a sentence that is told beside the report. */
  remark(text: string): void {
    this.remarks.push(text);
  }

  /** The machine's kernel. */
  get kernel(): Kernel {
    return this.machine.kernel;
  }

  /** Starts a process whose first thread runs `main`. Time begins with `run`. */
  start(name: string, main: ThreadMain, options: ThreadOptions = {}): Thread {
    return this.adopt(this.machine.spawn(), name, main, options);
  }

  /** Gives a process that has no threads in virtual time yet its first one. */
  adopt(process: Process, name: string, main: ThreadMain, options: ThreadOptions = {}): Thread {
    const group = new ThreadGroup(process, this.scheduler);
    this.groups.push(group);
    return this.addThread(group, { name, main, options, tid: process.pid });
  }

  /** Adds a thread to `group`. */
  addThread(
    group: ThreadGroup,
    of: { name: string; main: ThreadMain; options: ThreadOptions; tid: number },
  ): Thread {
    const thread = new Thread(this, group, of);
    this.#mmOf.set(thread.task, group.process);
    return thread;
  }

  /**
   * Runs until every thread has ended.
   * @returns  what took how long
   * @throws   UsageError when threads wait for ever, or a process was killed by a signal
   */
  run(): TimeReport {
    if (this.machine.tableReclaim.isScanning) this.#scanIdle();
    const stuck = this.scheduler.run();
    for (const group of this.groups)
      if (group.killedBy !== null && !group.mayBeKilled) {
        const { signal, code, addr } = group.killedBy;
        throw new UsageError(
          `process ${group.process.pid} was killed by ${signal} (${code}) at 0x${addr.toString(16)}`,
          `memory that allows the access, or a handler: t.onSignal('${signal}', function* (t, info) { … })`,
        );
      }
    if (stuck.length > 0) {
      const who = stuck.map(({ name, waitsFor }) => `${name} (${waitsFor})`).join(', ');
      throw new UsageError(
        `nothing happens any more, and threads still wait: ${who}`,
        'somebody who wakes them',
      );
    }
    return timeReport(this);
  }

  /**
   * A thread of the kernel scans address spaces in which nobody runs, if it is to (`ptReclaim.idle`), as long as anything else is going to happen; so a
   * run ends with one of its periods.
   */
  #scanIdle(): void {
    const { kernel, scheduler, machine } = this;
    const { idle, interval } = kernel.config.ptScan;
    if (!idle) return;
    const free = machine.addressSpaces.filter((mm) => this.locksOf(mm).mmapLock.tryRead());
    machine.tableReclaim.scanIdle(
      scheduler.cpus.map((cpu) => this.mmOn(cpu)),
      free,
    );
    for (const mm of free) this.locksOf(mm).mmapLock.releaseRead();
    if (scheduler.events.nextNs === Number.POSITIVE_INFINITY) return;
    scheduler.events.at(scheduler.nowNs + interval * 1e6, () => this.#scanIdle());
  }

  // ---- for the files beside this one -------------------------------------------------------------------------------------------

  /** Returns the locks of an address space. */
  locksOf(mm: Mm): MmLocks {
    if (mm === this.#lastMm && this.#lastLocks !== null) return this.#lastLocks;
    const locks = this.#findLocks(mm);
    this.#lastMm = mm;
    this.#lastLocks = locks;
    return locks;
  }
  #findLocks(mm: Mm): MmLocks {
    let locks = this.#mmLocks.get(mm);
    if (locks === undefined) {
      locks = new MmLocks(this.scheduler, this.prices.lockHandoverNs);
      this.#mmLocks.set(mm, locks);
    }
    return locks;
  }
  /** The locks of all address spaces that were used. */
  get allLocks(): readonly MmLocks[] {
    return [...this.#mmLocks.values()];
  }
  /** Returns the lock of the tree of anon_vmas whose root has this id. */
  anonLock(root: number): Rwsem {
    let lock = this.#anonLocks.get(root);
    if (lock === undefined) {
      lock = new Rwsem(this.scheduler, ANON_VMA_LOCK, this.prices.lockHandoverNs);
      this.#anonLocks.set(root, lock);
    }
    return lock;
  }
  /** The locks of trees of anon_vmas that were used. */
  get anonLocks(): readonly Rwsem[] {
    return [...this.#anonLocks.values()];
  }
  /**
   * A call of `thread` begins that is none of `Machine.apply`. `billNs` is what it costs then.
   * @param byFacts  its charges are read off the facts that it causes
   * @returns        what is to charge it
   */
  beginCall(thread: ThreadMemory, byFacts = true): UffdCharges {
    const { kernel, ledger } = this;
    ledger.begin();
    kernel.opNr++;
    kernel.work.faultTally = thread.faults;
    if (byFacts) this.#charges.begin();
    return this.#charges;
  }
  /** Returns what the call that was just carried out costs besides its entry, nanoseconds. */
  billNs(): number {
    const { ledger, prices } = this;
    return Math.max(0, ledger.totalNs - prices.syscallNs) + ledger.shootdowns * prices.shootdownNs;
  }
  /** Returns the address space that `cpu` runs, or null. */
  mmOn(cpu: Cpu): Mm | null {
    return cpu.current === null ? null : (this.#mmOf.get(cpu.current)?.mm ?? null);
  }
  /** Returns how long a step of `ns` takes `task` this time. */
  jittered(ns: number, task: SchedTask): number {
    if (ns === 0 || this.#jitter === 0) return ns;
    const { cpus } = this.scheduler;
    // By number: this is asked several times a fault.
    for (let id = 0; id < cpus.length; id++)
      if (id !== task.cpu && !(cpus[id] as Cpu).isIdle)
        return ns * (1 + this.#jitter * (2 * this.#jitterPrng.unit() - 1));
    return ns;
  }
  /** Tells whether another CPU than that of `task` runs `mm`. */
  isShared(mm: Mm, task: SchedTask): boolean {
    const { cpus } = this.scheduler;
    for (let id = 0; id < cpus.length; id++)
      if (id !== task.cpu && this.mmOn(cpus[id] as Cpu) === mm) return true;
    return false;
  }
}
