/**
 * Prices of what only several tasks and CPUs have: switches, wake-ups, interrupts between processors, locks that change hands.
 *
 * Most are differences of two figures that differ in just that. Those that need another CPU (`CrossCpuPrices`) were measured in a virtual machine, where
 * an interrupt to another CPU and the wake-up of an idle one leave the guest: a machine without that should be cheaper. So they are
 * apart, and can be set. They were measured with two CPUs; for more they are a guess, and every report says so.
 *
 * Left out   what caches cost when a line moves from one CPU to another, but for a contended lock
 */
import { PAGE_SIZE } from '../../base/units.ts';
import type { Figures } from '../cost.ts';

/** What needs a second CPU, nanoseconds. */
export interface CrossCpuPrices {
  /** From a wake-up until the woken task runs on another CPU that was idle. */
  readonly wakeIdleNs: number;
  /** What such a wake-up costs who makes it. */
  readonly wakeCallNs: number;
  /** What an interrupt of other CPUs to drop translations costs who asks for it. */
  readonly shootdownNs: number;
  /** What it costs each CPU that is interrupted. */
  readonly shootdownTargetNs: number;
  /** What it costs to take over a lock that another CPU held, when one was spinning for it. */
  readonly lockHandoverNs: number;
}

/** What one CPU is enough for, nanoseconds. */
export interface OneCpuPrices {
  readonly syscallNs: number;
  /** From one task to another. */
  readonly switchNs: number;
  /** A FUTEX_WAKE, or the part of a FUTEX_WAIT that is not the switch. */
  readonly futexNs: number;
  /** A read or a write of a pipe, and what else passes a message through a descriptor. */
  readonly pipeNs: number;
  /** A load or a store of a page that is there. */
  readonly accessNs: number;
  /** What a store takes longer that marks its entry dirty. */
  readonly markDirtyNs: number;
  /** A byte of a block that is copied, read or written, on top of that. */
  readonly copyByteNs: number;
  /** The same out of more than the nearest cache holds, and out of memory that is in no cache. */
  readonly copyMidByteNs: number;
  readonly copyFarByteNs: number;
  /** What a write fault costs more that comes in the middle of copying a block, which is taken up again. */
  readonly copyFaultNs: number;
  /** How long a fault holds the lock of its page table. */
  readonly pteLockNs: number;
  /** How long an ordinary task may run while others wait: a tick. */
  readonly sliceNs: number;
}

/** All of them. */
export type SmpPrices = OneCpuPrices & CrossCpuPrices;

/** With how many CPUs the figures were measured. */
export const CALIBRATED_CPUS = 2;

/** A tick at 250 Hz: two tasks that share a CPU take turns of 4.0 ms on the machine the bundled figures come from. */
const TICK_NS = 4_000_000;

/**
 * Of what a shootdown costs who asks for it, so much is lost by each CPU that is interrupted, where the calibration does not tell: on
 * the machine of the bundled figures 5.4 to 7.0 µs, against 8.6 to 10.7.
 */
const TARGET_SHARE = 0.6;

/**
 * Of the time that a wake-up of an idle CPU takes, so much is the waker's, where the calibration does not tell. On the machine of the bundled
 * figures FUTEX_WAKE of a thread whose CPU has long been idle takes 8 to 11 of 20 to 30 µs.
 */
const WAKER_SHARE = 0.4;

/** Bytes that the nearest cache of a CPU holds, and all its caches, on the machine that the bundled figures come from. */
const NEAR_CACHE = 32 * 1024;
const ALL_CACHES = 32 * 1024 * 1024;

/** Returns what a byte costs to copy among `bytes` that are gone over again and again: by the cache that they fit into. */
export function copyByteNsAmong(
  bytes: number,
  prices: Pick<OneCpuPrices, 'copyByteNs' | 'copyMidByteNs' | 'copyFarByteNs'>,
): number {
  if (bytes <= NEAR_CACHE) return prices.copyByteNs;
  return bytes > ALL_CACHES ? prices.copyFarByteNs : prices.copyMidByteNs;
}

/** Makes the prices from the figures of a calibration. @param given  cross-CPU prices to take instead of the measured ones */
export function smpPricesOf(from: Figures, given: Partial<CrossCpuPrices> = {}): SmpPrices {
  const futexNs = from.figure('futex_wake_nobody');
  // One way is a wake-up, the waiting of who woke, and the switch.
  const switchNs = from.figure('switch_futex_same_cpu') - 2 * futexNs;
  const shootdownNs = from.figure('tlb_dontneed_1_spinning') - from.figure('tlb_dontneed_1_alone');
  const wakeIdleNs = from.figure('switch_futex_cross_cpu') - futexNs;
  // Without a figure, the geometric mean of what is nearest and what is farthest: caches get slower by factors.
  const copyMidNs = from.hasFigure('copy_4k_among_5m')
    ? from.figure('copy_4k_among_5m')
    : Math.sqrt(from.figure('copy_4k_hot') * from.figure('copy_4k_cold'));
  const orElse = (name: string, ns: number): number => (from.hasFigure(name) ? from.figure(name) : ns);
  return {
    syscallNs: from.figure('syscall_null'),
    switchNs,
    futexNs,
    // One way is a write, the switch, and a read.
    pipeNs: (from.figure('switch_pipe_same_cpu') - switchNs) / 2,
    accessNs: from.figure('touch_resident'),
    // As the path 'mark-dirty' in the table.
    markDirtyNs: from.figure('write_after_madv_free') - from.figure('touch_resident'),
    // A page that is in the cache, to another; loads and stores alone were not measured apart.
    copyByteNs: from.figure('copy_4k_hot') / PAGE_SIZE,
    copyMidByteNs: copyMidNs / PAGE_SIZE,
    copyFarByteNs: orElse('copy_4k_among_256m', from.figure('copy_4k_cold')) / PAGE_SIZE,
    copyFaultNs: from.hasFigure('fault_anon_copied')
      ? Math.max(0, from.figure('fault_anon_copied') - from.figure('fault_anon_write') - copyMidNs)
      : 0,
    // The call that sets entries of the zero page, one after the other: the look-up of the entry under its lock, and little else.
    pteLockNs: from.perPage('uffd_zeropage'),
    sliceNs: TICK_NS,
    wakeIdleNs,
    wakeCallNs: orElse('wake_cross_cpu_call', WAKER_SHARE * wakeIdleNs),
    shootdownNs,
    shootdownTargetNs: orElse('tlb_interrupted', TARGET_SHARE * shootdownNs),
    lockHandoverNs: handoverOf(from),
    ...given,
  };
}

/** Two threads that change the protection of two vmas take turns: what a turn takes more than the call alone, without its entry. */
function handoverOf(from: Figures): number {
  const turn = (from.figure('thr_mprotect_2_a') + from.figure('thr_mprotect_2_b')) / 4;
  return Math.max(0, turn - (from.figure('thr_mprotect_1') - from.figure('syscall_null')));
}
