/**
 * Waiting. strace and the processes it holds tell nobody when they change, so the recorder looks again and again.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits so many milliseconds. */
export async function pause(ms: number): Promise<void> {
  await sleep(ms);
}

/** Asks every `everyMs` until the answer is true (then returns true) or `limitMs` have passed (false). */
export async function until(limitMs: number, everyMs: number, ask: () => boolean): Promise<boolean> {
  const limit = performance.now() + limitMs;
  while (!ask()) {
    if (performance.now() > limit) return false;
    await sleep(everyMs);
  }
  return true;
}
