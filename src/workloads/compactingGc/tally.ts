/**
 * What a run of the collector is measured by: counters and times, filled in by those who do the things, read once at the end.
 *
 * Times are CPU times of the threads that did it, so waiting for a CPU is in none of them; stalls and pauses are times on the clock.
 */
import { Histogram } from '../../base/histogram.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { type PageWords, plainWords } from './access.ts';

/** What a mutator, or a thread that serves it, met in the heap while it was compacted. */
export type FaultOn = 'dense' | 'slid' | 'cold' | 'fresh' | 'busy';

/** What a thread has had of its CPU so far, and owes, nanoseconds. */
export const cpuNs = ({ task }: Thread): number => task.times.runNs + task.times.spinNs + task.debtNs;

/** Counters of one run. */
export class Tally {
  /** Time for which all mutators stood still, each time. */
  readonly pauses: number[] = [];
  /** How long accesses of mutators took that were not made at once. */
  readonly stalls = new Histogram();
  readonly faultsOn: Record<FaultOn, number> = { dense: 0, slid: 0, cold: 0, fresh: 0, busy: 0 };
  /** Bytes that the collector copied itself. */
  bytesCopied = 0;
  /** Calls that give memory back, and the pages that were there then. */
  giveBackCalls = 0;
  pagesGivenBack = 0;
  callsInPauses = 0;
  /** Whole-heap mremaps refused with EFAULT; calls refused because of vm.max_map_count. */
  remapsRefused = 0;
  mapLimitHits = 0;
  peakVmas = 0;
  peakRssPages = 0;
  peakFrames = 0;
  objectsChecked = 0;
  cycles = 0;
  /** Marking and planning; making pages; handing them over; faults; giving back; the pauses' own work. */
  markNs = 0;
  makeNs = 0;
  placeNs = 0;
  faultNs = 0;
  giveBackNs = 0;
  flipNs = 0;
  /** The heap is being compacted: faults of mutators belong to that. */
  isCompacting = false;
  /** CPU time in handlers of page faults so far, which is counted elsewhere. */
  handlerNs = 0;

  /** Notes what can only be seen by looking: vmas, resident pages, frames in use. Called after each call that changes them. */
  look(t: Thread): void {
    const { mm } = t;
    if (mm === null) return;
    const rss = Math.max(mm.rssAnon + mm.rssFile + mm.rssShmem, mm.hiwaterRss);
    this.peakVmas = Math.max(this.peakVmas, mm.mapCount);
    this.peakRssPages = Math.max(this.peakRssPages, rss);
    this.peakFrames = Math.max(this.peakFrames, t.simulation.kernel.frames.nrUsed);
  }

  /** Does `what` and returns the CPU time it took. */
  *timed(t: Thread, what: Running<unknown>): Running<number> {
    const before = cpuNs(t);
    yield* what;
    this.look(t);
    return cpuNs(t) - before;
  }

  /** Returns the words of the page at `addr`; the time it takes to fault it in is counted as such, and of a mutator as a stall. */
  *words(t: Thread, addr: number, access: 'read' | 'write', isMutator = false): Running<PageWords> {
    for (;;) {
      const view = plainWords(t, addr, access);
      if (view !== null) return view;
      const [startNs, cpuBefore, handlerBefore] = [t.nowNs, cpuNs(t), this.handlerNs];
      const stallsBefore = t.task.stalls.count;
      yield* t.touch(addr - (addr % 8), 1, access);
      if (t.task.stalls.count === stallsBefore) continue;
      if (isMutator) this.stalls.add(t.nowNs - startNs);
      if (this.isCompacting)
        this.faultNs += Math.max(0, cpuNs(t) - cpuBefore - (this.handlerNs - handlerBefore));
    }
  }

  /** Pages that the collector copied itself. */
  get pagesCopied(): number {
    return this.bytesCopied / PAGE_SIZE;
  }
}
