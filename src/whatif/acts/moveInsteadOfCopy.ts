/**
 * The rewrite uffd-copy=move: each UFFDIO_COPY whose source is private anonymous memory becomes UFFDIO_MOVE.
 *
 * The source is gone afterwards. A source outside modelled memory, one that is not page aligned, and UFFDIO_COPY_MODE_WP, which MOVE has no
 * counterpart of, are left as they are.
 *
 * Ops files and workloads tell every access, so what is counted is certain. A recording does not tell accesses that found their page in the source: with the
 * least nobody makes any, with the most each page that was moved away is read and then written.
 */
import { UFFDIO_MODE_DONTWAKE } from '../../abi/userfaultfd.ts';
import { isPageAligned } from '../../base/units.ts';
import type { Outcome } from '../../machine/index.ts';
import type { Mm } from '../../mm/index.ts';
import type { ReplayOp } from '../../replay/index.ts';
import type { Act, ActReport, ActSetting, Bound, Living, Stage, Turn } from './act.ts';
import { PossibleAccesses, pagesIn, presentRuns, type Range, unfitFor } from './memory.ts';

/** Moves what was copied. */
export class MoveInsteadOfCopy implements Act {
  #applied = 0;
  #bytes = 0;
  #refused = 0;
  #emptied = 0;
  readonly #left = new Map<string, number>();
  readonly #isComplete: boolean;
  readonly #bound: Bound;
  readonly #possible = new PossibleAccesses();
  /** What was there of the source of the call at hand. */
  #source: readonly Range[] | null = null;

  constructor(setting: ActSetting) {
    this.#isComplete = setting.isComplete;
    this.#bound = setting.isComplete ? null : setting.bound;
  }

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
    this.#source = presentRuns(mm, src, src + len);
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

  done(item: ReplayOp, _outcome: Outcome, stage: Stage): void {
    const source = this.#source;
    this.#source = null;
    const mm = stage.machine.processOf(item.task)?.mm ?? null;
    if (mm === null) return;
    if (source !== null) this.#emptiedBy(mm, source, stage);
    else if (this.#bound === 'most' && item.op.call === 'mprotect') this.#possible.again(mm, stage);
  }
  /** What of a source is empty now may be accessed again, which the recording does not tell. Who misses pages there asks user space, and is left alone. */
  #emptiedBy(mm: Mm, source: readonly Range[], stage: Stage): void {
    const gone = source.flatMap((run) => without(run, presentRuns(mm, run.start, run.end)));
    this.#emptied += pagesIn(gone);
    if (this.#bound !== 'most') return;
    const silent = gone.filter(({ start }) => mm.vmas.at(start)?.uffd === null);
    this.#possible.make(mm, silent, stage);
  }

  report(): ActReport {
    return {
      name: 'as uffd-copy=move',
      applied: this.#applied,
      left: Object.fromEntries(this.#left),
      figures: {
        'kB in these calls': this.#bytes / 1024,
        'of them refused': this.#refused,
        'pages taken from their source': this.#emptied,
      },
      remarks: [
        this.#certainty(),
        'the source is empty afterwards: a program that reads it again reads zeros, and one that copies from it again is refused (ENOENT)',
      ],
    };
  }

  #certainty(): string {
    if (this.#isComplete) return 'certain: the input tells every access';
    return this.#bound === 'most'
      ? 'the most: each page that went from a source is read and then written, two faults'
      : 'the least: an access to the source that found its page left no mark, and would fault now';
  }
}

/** Returns what of `range` is in none of `runs`, which ascend. */
function without(range: Range, runs: readonly Range[]): Range[] {
  const rest: Range[] = [];
  let from = range.start;
  for (const { start, end } of runs) {
    if (start > from) rest.push({ start: from, end: start });
    from = end;
  }
  if (from < range.end) rest.push({ start: from, end: range.end });
  return rest;
}
