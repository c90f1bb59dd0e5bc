/**
 * What a run in virtual time took: by path, by lock, by thread, by CPU. Numbers only; text is made by src/report.
 *
 * Invariants   [cpu-time] the times of each CPU add up to the time of the run
 *              [task-time] the times of each thread add up to its life
 */
import type { Histogram } from '../../base/histogram.ts';
import { type FactName, WORK_NAMES, type Work } from '../../mm/work.ts';
import type { WorkTime } from '../cost.ts';
import type { LockMode, LockStats } from '../locks/lockStats.ts';
import { VMA_LOCK } from '../locks/mmLocks.ts';
import { CALIBRATED_CPUS } from '../paid/smpPrices.ts';
import type { CpuTimes } from '../sched/cpu.ts';
import type { Stall, TaskTimes } from '../sched/schedTask.ts';
import type { ScanTimes } from '../tableReclaim.ts';
import type { Simulation } from './simulation.ts';
import type { ThreadMemory } from './threadMemory.ts';

/** Quantiles of times, nanoseconds. */
export interface Quantiles {
  readonly count: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly maxNs: number;
}

/** One kind of lock, all locks of that kind together. */
export interface LockReport {
  readonly name: string;
  readonly mode: LockMode;
  readonly taken: number;
  readonly contended: number;
  readonly failedTries: number;
  readonly heldNs: number;
  readonly waitedNs: number;
  readonly longestWaitNs: number;
}

/** One thread. */
export interface ThreadReport {
  readonly name: string;
  readonly startNs: number;
  readonly endNs: number;
  readonly times: Readonly<TaskTimes>;
  /** How long faults and calls took, less what they were asked to wait. */
  readonly stalls: Quantiles;
  readonly longestStall: Stall | null;
  /** Faults that were served, by kind; accesses that waited for user space (missing, minor, wp) or got a signal. */
  readonly faults: ReadonlyMap<string, number>;
  /** Bytes that it copied itself (`Thread.copyBytes`). */
  readonly bytesCopied: number;
}

/** One CPU. */
export interface CpuReport extends Readonly<CpuTimes> {
  readonly cpu: number;
  /** Share of the time in which it was not idle, 0 to 1. */
  readonly utilisation: number;
}

/** Something the program counted. */
export interface Throughput {
  readonly what: string;
  readonly count: number;
  readonly perSecond: number;
}

/** All of it. */
export interface TimeReport {
  /** Name of the calibration. */
  readonly calibration: string;
  /** What is to be said beside the numbers: what they are not. */
  readonly notes: readonly string[];
  /** Virtual time from the start to the end of the last thread. */
  readonly elapsedNs: number;
  readonly work: WorkTime;
  readonly cpus: readonly CpuReport[];
  readonly threads: readonly ThreadReport[];
  readonly locks: readonly LockReport[];
  readonly throughput: readonly Throughput[];
  /** What was counted, by fact. */
  readonly facts: Readonly<Record<FactName, number>>;
  /** What scans for empty page tables took. */
  readonly scans: ScanTimes;
}

/** Makes the report of a run that is over. */
export function timeReport(simulation: Simulation): TimeReport {
  const { scheduler, costs, kernel, counters } = simulation;
  const elapsedNs = scheduler.nowNs;
  const threads = new Map(
    simulation.groups.flatMap((group) => group.threads.map((thread) => [thread.task, thread] as const)),
  );
  return {
    calibration: costs.calibration.name,
    notes: notesOf(scheduler.cpus.length),
    elapsedNs,
    work: costs.timeOf(kernel.work),
    cpus: scheduler.cpus.map(({ id, times }) => ({
      cpu: id,
      ...times,
      utilisation: elapsedNs === 0 ? 0 : 1 - times.idleNs / elapsedNs,
    })),
    threads: scheduler.tasks.flatMap((task) => {
      const thread = threads.get(task);
      return thread === undefined ? [] : [threadReport(thread)];
    }),
    locks: lockReports(simulation),
    scans: simulation.machine.tableReclaim.times,
    throughput: [...counters].map(([what, count]) => ({
      what,
      count,
      perSecond: elapsedNs === 0 ? 0 : count / (elapsedNs / 1e9),
    })),
    facts: factsOf(kernel.work),
  };
}

const factsOf = ({ facts }: Work): Record<FactName, number> =>
  Object.fromEntries(WORK_NAMES.facts.map((name, i) => [name, facts[i] as number])) as Record<
    FactName,
    number
  >;

function notesOf(nrCpus: number): string[] {
  const notes = ['times are modelled; what crosses CPUs was measured in a virtual machine'];
  if (nrCpus > CALIBRATED_CPUS)
    notes.push(`uncalibrated: ${nrCpus} CPUs, and the figures were measured with ${CALIBRATED_CPUS}`);
  return notes;
}

/** The quantiles that reports give. */
export const quantilesOf = (times: Histogram): Quantiles => ({
  count: times.count,
  p50Ns: times.quantile(0.5),
  p99Ns: times.quantile(0.99),
  maxNs: times.max,
});

function threadReport({ task, faults, asked, bytesCopied }: ThreadMemory): ThreadReport {
  const { name, startNs, endNs, times, stalls, longestStall } = task;
  const served = WORK_NAMES.faults.map((kind, i) => [kind, faults[i] as number] as const);
  return {
    name,
    startNs,
    endNs,
    times,
    stalls: quantilesOf(stalls),
    longestStall,
    faults: new Map([...served.filter(([, n]) => n > 0), ...asked.toMap()]),
    bytesCopied,
  };
}

/** Locks of one kind are told as one. Locks that nobody took are left out. */
function lockReports(simulation: Simulation): LockReport[] {
  const kinds = new Map<string, LockReport>();
  const add = (name: string, mode: LockMode, stats: LockStats): void => {
    const key = `${name} ${mode}`;
    const old = kinds.get(key);
    if (stats.taken === 0 && stats.failedTries === 0) return;
    kinds.set(key, {
      name,
      mode,
      taken: (old?.taken ?? 0) + stats.taken,
      contended: (old?.contended ?? 0) + stats.contended,
      failedTries: (old?.failedTries ?? 0) + stats.failedTries,
      heldNs: (old?.heldNs ?? 0) + stats.heldNs,
      waitedNs: (old?.waitedNs ?? 0) + stats.waits.sum,
      longestWaitNs: Math.max(old?.longestWaitNs ?? 0, stats.waits.max),
    });
  };
  for (const { mmapLock, vmaStats, ptes } of simulation.allLocks) {
    for (const mode of ['read', 'write'] as const) {
      add(mmapLock.name, mode, mmapLock.stats[mode]);
      add(VMA_LOCK, mode, vmaStats[mode]);
    }
    add('page-table lock', 'write', ptes.stats);
  }
  for (const lock of simulation.anonLocks)
    for (const mode of ['read', 'write'] as const) add(lock.name, mode, lock.stats[mode]);
  return [...kinds.values()];
}
