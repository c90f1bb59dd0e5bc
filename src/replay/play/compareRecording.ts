/**
 * A recording against the model: its page faults as they come, and at the end vmas, pages, figures and counters of each process that lives.
 *
 * Pages depend on every access since the start, so they are compared only where all of them were seen: with a start snapshot that tells which pages
 * were there, with page faults, none lost, and with every thread stopped at the end. Otherwise `pagesUnknown` says why not.
 */
import type { Machine, Outcome, Process } from '../../machine/index.ts';
import type { EndState, FaultCounters, ReplayOp, Start, Summary } from '../item.ts';
import { EndComparison } from './compareEnd.ts';
import { FaultComparison } from './compareFaults.ts';
import type { Difference } from './difference.ts';
import { EndPages } from './endPages.ts';
import type { Came } from './sleepers.ts';

const META = 'meta.json';

/** How many of each were compared. */
export interface RecordingCounts {
  readonly vmas: number;
  readonly pages: number;
  /** Faults, figures, totals. */
  readonly counts: number;
}

/** Compares one run over one recording. */
export class RecordingComparison {
  readonly #report: (difference: Difference) => void;
  readonly #ends: EndComparison;
  readonly #faults: FaultComparison;
  #pages: EndPages | null = null;
  #start: Start | null = null;
  /** It is an ops file: its answers tell how many faults there were, and nobody compares ends. */
  #isSequence = false;
  #hasFaults = false;
  #totals = 0;

  /** @param report  is called for each difference; those of faults not always in their order */
  constructor(report: (difference: Difference) => void) {
    this.#report = report;
    this.#ends = new EndComparison(report);
    this.#faults = new FaultComparison(report);
  }

  /** Is told how the recording begins. */
  start(start: Start): void {
    if (this.#start !== null) return;
    this.#start = start;
    this.#isSequence = start.format === 'opfuzz' || start.format === 'opfuzz-uffd';
    const { unsettled } = this.#faults;
    this.#pages = new EndPages(this.#report, {
      hasSwap: start.state?.meta?.hasSwap === true,
      isUnsettled: (mm, page) => unsettled.has(mm, page),
    });
  }

  /** Is told of each operation before it is carried out. */
  before(item: ReplayOp, machine: Machine): void {
    if (!this.#isSequence) this.#faults.before(item, machine);
  }

  /** Is told of each operation after it was carried out. @param faults  how many faults an access took */
  after(item: ReplayOp, outcome: Outcome, process: Process | null, faults: number): void {
    if (this.#isSequence) return;
    if (item.errorCode !== undefined) this.#hasFaults = true;
    else if (item.overlaps) this.#ends.hasOverlaps = true;
    this.#faults.after(item, outcome, process, faults);
  }

  /** Is told that what a thread slept in is over. */
  woken(came: Came): void {
    this.#faults.woken(came);
  }

  /** Reports the differences of faults that nothing has explained. To be called before the ends. Returns whether there were any. */
  settle(): boolean {
    return this.#faults.settle();
  }

  /** Why the pages of this recording are not compared; null: they are. */
  get pagesUnknown(): string | null {
    const state = this.#start?.state ?? null;
    if (state === null || state.vmas.some(({ anonymousKb }) => anonymousKb === null))
      return 'no smaps.start: which pages were there at the start is not known';
    if (!this.#hasFaults) return 'no page faults were recorded';
    if (state.meta !== null && state.meta.faultsLost > 0) return 'page faults were lost';
    if (state.meta?.quiescent === false) return 'some threads were not seen to stop';
    return null;
  }

  /** Compares the end of one process. */
  end(item: EndState, machine: Machine): void {
    const process = machine.processOf(item.task);
    const mm = process?.mm ?? null;
    if (process === null || mm === null || item.afterExec) return;
    const isSameRanges = this.#ends.compare(item, mm);
    if (this.pagesUnknown !== null) return;
    const pinned = { left: this.#chargedMore(item, process) };
    const before = pinned.left;
    if (isSameRanges) this.#pages?.compare(item, mm, pinned);
    // Where pages were found that came without a line, the rest of the faults that are charged for such may be of pages that are gone.
    if (pinned.left === before) this.#compareCounters(item, process);
  }

  /** Returns how many faults a process was charged more than we know of. */
  #chargedMore({ isMain, stat }: EndState, process: Process): number {
    const atStart = this.#start?.state?.stat ?? null;
    if (stat === null || (isMain && atStart === null)) return 0;
    return this.#faults.counts.more(process, stat, isMain ? atStart : null);
  }

  /** Compares how many lines of faults there are with how many the recorder wrote: one that is gone or came later says nothing else. */
  summary({ faultLines }: Summary): void {
    const written = this.#start?.state?.meta?.faultLines ?? null;
    if (faultLines === undefined || written === null || this.pagesUnknown !== null) return;
    this.#totals++;
    if (written === faultLines) return;
    this.#report({
      file: META,
      line: 1,
      op: null,
      kind: 'count',
      what: 'lines of page faults',
      kernel: String(written),
      ours: String(faultLines),
    });
  }

  /** What was compared so far. */
  get counts(): RecordingCounts {
    const pages = this.#pages?.counts ?? { pages: 0, figures: 0 };
    return {
      vmas: this.#ends.compared,
      pages: pages.pages,
      counts: this.#faults.compared + pages.figures + this.#totals,
    };
  }

  /** Compares how many faults the process was charged, by stat and by the recorder's own note of the same counters. */
  #compareCounters(end: EndState, process: Process): void {
    const { stat: atStart, meta } = this.#start?.state ?? { stat: null, meta: null };
    const { isMain, stat, files } = end;
    // A child is charged from its fork on, which the recording shows.
    if (stat !== null && (!isMain || atStart !== null))
      this.#compareTotal(files.stat, process, { end: stat, start: isMain ? atStart : null });
    const noted = isMain ? (meta?.faultCounters ?? null) : null;
    if (noted !== null) this.#compareTotal(META, process, noted);
  }

  #compareTotal(
    file: string,
    process: Process,
    counters: { readonly end: FaultCounters; readonly start: FaultCounters | null },
  ): void {
    this.#totals++;
    const wrong = this.#faults.counts.compare(process, counters.end, counters.start);
    if (wrong === null) return;
    this.#report({
      file,
      line: 1,
      op: null,
      kind: 'count',
      what: `page faults of process ${process.pid}`,
      ...wrong,
    });
  }
}
