/**
 * The rewrite uffd-copy=move: each UFFDIO_COPY whose source is private anonymous memory becomes UFFDIO_MOVE.
 *
 * The source is gone afterwards. A source outside modelled memory, one that is not page aligned, and UFFDIO_COPY_MODE_WP, which MOVE has no
 * counterpart of, are left as they are.
 *
 * Recordings of system calls pass these ioctls over; ops files and workloads have them, and tell every access, so what is counted is certain.
 */
import { UFFDIO_MODE_DONTWAKE } from '../../abi/userfaultfd.ts';
import { isPageAligned } from '../../base/units.ts';
import type { Outcome } from '../../machine/index.ts';
import type { ReplayOp } from '../../replay/index.ts';
import type { Act, ActReport, Living, Turn } from './act.ts';
import { unfitFor } from './memory.ts';

/** Moves what was copied. */
export class MoveInsteadOfCopy implements Act {
  #applied = 0;
  #bytes = 0;
  #refused = 0;
  readonly #left = new Map<string, number>();

  turn({ op }: ReplayOp, { mm }: Living): Turn | null {
    if (op.call !== 'uffd_ioctl' || op.request?.name !== 'UFFDIO_COPY') return null;
    const { dst, src, len, mode, buffer } = op.request;
    const why =
      buffer !== undefined
        ? 'source outside modelled memory'
        : (mode & ~UFFDIO_MODE_DONTWAKE) !== 0
          ? 'with a mode that MOVE has not'
          : isPageAligned(len)
            ? unfitFor(mm, src, len)
            : 'unaligned';
    if (why !== null) {
      this.#left.set(why, (this.#left.get(why) ?? 0) + 1);
      return null;
    }
    this.#applied++;
    this.#bytes += len;
    const request = { name: 'UFFDIO_MOVE', dst, src, len, mode } as const;
    return { op: { ...op, name: 'UFFDIO_MOVE', request }, answer: (outcome) => this.#asCopy(outcome) };
  }

  /** The field of the answer has another name. */
  #asCopy(outcome: Outcome): Outcome {
    if (outcome.kind !== 'ioctl') return outcome;
    if (outcome.result.kind === 'errno') this.#refused++;
    const { output } = outcome;
    return output?.what === 'done' && output.field === 'move'
      ? { ...outcome, output: { ...output, field: 'copy' } }
      : outcome;
  }

  report(): ActReport {
    return {
      name: 'as uffd-copy=move',
      applied: this.#applied,
      left: Object.fromEntries(this.#left),
      figures: { 'kB in these calls': this.#bytes / 1024, 'of them refused': this.#refused },
      remarks: [
        'certain: the input tells every access; the source is empty afterwards, and a program that reads it again reads zeros',
      ],
    };
  }
}
