/**
 * The offset between strace's clock (CLOCK_REALTIME) and perf's (CLOCK_MONOTONIC), to a fraction of a microsecond.
 *
 * Node reads the first only in whole milliseconds. But the moment at which `Date.now()` steps to the next millisecond is
 * sharp, and the monotonic clock read just before and just after the step encloses it. Several steps are intersected, so
 * that one which was disturbed by the scheduler does no harm. Takes about 12 ms.
 */

const STEPS = 12;

/** A clock pair; both are called alternately. */
export interface Clocks {
  readonly realtimeMs: () => number;
  readonly monotonicNs: () => bigint;
}

const SYSTEM: Clocks = { realtimeMs: Date.now, monotonicNs: process.hrtime.bigint };

/** Returns CLOCK_REALTIME minus CLOCK_MONOTONIC in nanoseconds. */
export function realtimeMinusMonotonicNs(clocks: Clocks = SYSTEM): bigint {
  // `earlier` is read before the realtime that gave `ms`, so the next step cannot be older than it.
  let earlier = clocks.monotonicNs();
  let ms = clocks.realtimeMs();
  let low: bigint | null = null;
  let high: bigint | null = null;
  for (let steps = 0; steps < STEPS; ) {
    const before = clocks.monotonicNs();
    const now = clocks.realtimeMs();
    const after = clocks.monotonicNs();
    if (now === ms + 1) {
      const stepNs = BigInt(now) * 1_000_000n;
      if (low === null || stepNs - after > low) low = stepNs - after;
      if (high === null || stepNs - earlier < high) high = stepNs - earlier;
    }
    if (now !== ms) steps++;
    ms = now;
    earlier = before;
  }
  if (low === null || high === null) return BigInt(ms) * 1_000_000n - earlier;
  return (low + high) / 2n;
}
