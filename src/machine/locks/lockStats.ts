/**
 * What is told about a lock at the end: how often it was taken, how often somebody had to wait, and how long.
 */
import { Histogram } from '../../base/histogram.ts';

/** How a lock is taken. */
export type LockMode = 'read' | 'write';

/** Counts of one lock and mode. */
export class LockStats {
  /** Times it was taken. */
  taken = 0;
  /** Of these, after a wait. */
  contended = 0;
  /** Times a try found it taken. */
  failedTries = 0;
  /** Time it was held, by everybody together, nanoseconds. */
  heldNs = 0;
  /** Waits, nanoseconds each. */
  readonly waits = new Histogram();

  /** Notes that it was taken after `waitedNs`, 0 for at once. */
  took(waitedNs: number): void {
    this.taken++;
    if (waitedNs === 0) return;
    this.contended++;
    this.waits.add(waitedNs);
  }
}
