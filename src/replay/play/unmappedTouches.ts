/**
 * Counts accesses to memory that nothing recorded maps. A program that works does not make them, so each is a hole in what is known:
 * of a process that was already running, mappings of before the recorder was attached, of the moments while its snapshot was taken, and of
 * calls that the recorder does not follow.
 */
import type { Outcome } from '../../machine/index.ts';
import type { ReplayOp, Warning } from '../item.ts';

/** Watches the operations of one play. */
export class UnmappedTouches {
  #count = 0;
  #first: ReplayOp | null = null;

  /** Takes an operation and what came of it. */
  took(item: ReplayOp, outcome: Outcome): void {
    if (item.op.call !== 'touch') return;
    const isUnmapped =
      (outcome.kind === 'signal' && outcome.code === 'SEGV_MAPERR') ||
      (outcome.kind === 'errno' && outcome.why === 'not-mapped');
    if (!isUnmapped) return;
    this.#count++;
    this.#first ??= item;
  }

  /** Returns what there is to say, or null. */
  warning(): Warning | null {
    if (this.#first === null) return null;
    const { file, line } = this.#first;
    const text =
      'touches of memory that no recorded call maps: it was mapped before the recorder was there, while it took its snapshot, or by a call that it does not follow';
    return { kind: 'warning', what: 'not-mapped', text, count: this.#count, file, line };
  }
}
