import { describe, expect, it } from 'vitest';
import { realtimeMinusMonotonicNs } from './clock.ts';

/** Clocks that advance by `stepNs` with each reading, monotonic from 0 and realtime ahead by `offsetNs`. */
function clocks(offsetNs: bigint, steps: readonly number[]) {
  let now = 0n;
  let at = 0;
  const tick = (): bigint => {
    now += BigInt(steps[at++ % steps.length]!);
    return now;
  };
  return { monotonicNs: tick, realtimeMs: () => Number((tick() + offsetNs) / 1_000_000n) };
}

describe('the offset between the two clocks', () => {
  for (const [name, steps, allowedNs] of [
    ['is found to a fraction of a microsecond', [70, 90, 110], 400],
    ['is found although readings are disturbed now and then', [...Array(400).fill(90), 3_700_000], 600],
  ] as const)
    it(name, () => {
      const offset = 1_795_177_303_840_508_676n;
      const error = Number(realtimeMinusMonotonicNs(clocks(offset, steps)) - offset);
      expect(Math.abs(error)).toBeLessThan(allowedNs);
    });
});
