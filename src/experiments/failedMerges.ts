/**
 * Merges that fail, and how many of them because memory is shared by fork: the figure of seed 004's cover letter.
 *
 * A failed merge is an attempt in which a neighbour touches, has the same attributes, and is not joined: only the page offset, the anon_vma
 * or the history of forks is in the way. Sharing is the reason where the anon_vma is not the process's own, or where patch 4 left
 * the page offset of a moved vma as it was because of it. The share is what fails by sharing with both halves of the proposal on, of
 * what fails on the baseline.
 *
 * Cost   a few comparisons an event
 */
import type { MergeVerdict, MmEvent } from '../mm/index.ts';
import { sidesOf } from '../report/index.ts';

/** What was counted, in attempts. */
export interface FailedCounts {
  /** Attempts in which only offset, anon_vma or forks kept a neighbour away. */
  readonly failed: number;
  /** Those in which sharing was the reason. */
  readonly bySharing: number;
}

const IN_THE_WAY: ReadonlySet<MergeVerdict | 'nobody'> = new Set<MergeVerdict | 'nobody'>([
  'pgoff-gap',
  'anon-vma-differs',
  'anon-vma-shared',
  'fork-child',
]);
const SHARING: ReadonlySet<MergeVerdict | 'nobody'> = new Set<MergeVerdict | 'nobody'>([
  'anon-vma-shared',
  'fork-child',
]);

/** The fold: hand it every event of a run. */
export class FailedMerges {
  #failed = 0;
  #bySharing = 0;
  /** The last attempt failed at an offset, and the move it may belong to has not been reported yet. */
  #atOffset = false;

  /** Takes one event. */
  add(event: MmEvent): void {
    if (event.kind === 'vmaMove') {
      const shared = event.pgoffUpdate === 'shared-anon-vma' || event.pgoffUpdate === 'shared-page';
      if (this.#atOffset && shared) this.#bySharing++;
      this.#atOffset = false;
    }
    if (event.kind !== 'vmaMerge') return;
    this.#atOffset = false;
    const sides = Object.values(sidesOf(event));
    if (!sides.some((side) => IN_THE_WAY.has(side))) return;
    this.#failed++;
    if (sides.some((side) => SHARING.has(side))) this.#bySharing++;
    else this.#atOffset = event.cause === 'mremap' && sides.includes('pgoff-gap');
  }

  /** What was counted so far. */
  get counts(): FailedCounts {
    return { failed: this.#failed, bySharing: this.#bySharing };
  }
}
