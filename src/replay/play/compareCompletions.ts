/**
 * Calls that slept and are over: those of the model against the lines `join` and `child_join` of an ops file.
 *
 * What the model ended in an operation is kept until the file goes on to the next operation or snapshot: until then its lines have to come,
 * in that order.
 */
import type { Completion, ReplayOp, Sleeper } from '../item.ts';
import { agrees, type Difference, outcomeText, recordedText } from './difference.ts';
import type { Ended } from './workers.ts';

const nameOf = ({ kind, number }: Sleeper): string =>
  kind === 'worker' ? `join(${number})` : `child_join(${number})`;

/** The completions of one run. */
export class CompletionComparison {
  readonly #report: (difference: Difference) => void;
  #waiting: Ended[] = [];
  #last: ReplayOp | null = null;
  /** How many answers were compared, and how many counts of faults. */
  readonly counts = { results: 0, faults: 0 };

  /** @param report  is called for each difference */
  constructor(report: (difference: Difference) => void) {
    this.#report = report;
  }

  /** An operation was carried out, and these calls ended because of it. */
  after(item: ReplayOp, ended: readonly Ended[]): void {
    this.settle();
    this.#last = item;
    this.#waiting = [...ended];
  }

  /** The file tells that a call is over. */
  compare(item: Completion): void {
    this.counts.results++;
    const [ours] = this.#waiting;
    const kernel = recordedText(item.recorded);
    const last = this.#last;
    if (last !== null && last.number !== item.number) {
      const here = `after operation ${last.number}`;
      this.#tell(item, `${nameOf(item.who)} ${here}`, `after operation ${item.number}`, here);
    }
    if (ours === undefined || ours.who.kind !== item.who.kind || ours.who.number !== item.who.number) {
      this.#tell(
        item,
        nameOf(item.who),
        kernel,
        ours === undefined ? 'sleeps' : `${nameOf(ours.who)} comes first`,
      );
      return;
    }
    this.#waiting.shift();
    const what = `${nameOf(item.who)} of ${ours.item.number} ${ours.item.text ?? ours.item.op.call}`;
    if (!agrees(ours.outcome, item.recorded)) this.#tell(item, what, kernel, outcomeText(ours.outcome));
    if (item.faults === null) return;
    this.counts.faults++;
    if (item.faults !== ours.faults)
      this.#tell(item, `faults of ${what}`, String(item.faults), String(ours.faults), 'count');
  }

  /** The file goes on: what the model ended and it did not tell of differs. */
  settle(): void {
    for (const { who, outcome, item } of this.#waiting) {
      const at = this.#last ?? item;
      const what = `${nameOf(who)} of ${item.number} ${item.text ?? item.op.call}`;
      this.#tell(at, what, 'sleeps', outcomeText(outcome));
    }
    this.#waiting = [];
  }

  #tell(
    { file, line }: { readonly file: string; readonly line: number },
    what: string,
    kernel: string,
    ours: string,
    kind: Difference['kind'] = 'result',
  ): void {
    this.#report({ file, line, op: this.#last?.nr ?? null, kind, what, kernel, ours });
  }
}
