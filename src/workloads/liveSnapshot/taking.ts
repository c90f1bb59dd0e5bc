/**
 * A snapshot in the making: what all methods need, and what is told of it in the end.
 */
import { must } from '../../base/assert.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import type { Running, Simulation, Thread } from '../../machine/index.ts';
import type { Mm } from '../../mm/index.ts';
import type { Guest } from './guest.ts';
import type { MethodName } from './method.ts';
import { MissWatch, type Notice } from './missed.ts';
import { PageWords } from './pageWords.ts';
import { type Finding, Saver } from './saver.ts';

/** How to take it. */
export interface TakingOptions {
  readonly method: MethodName;
  readonly finding: Finding;
  /** Pages that are saved, and given free, at a time. */
  readonly batch: number;
  /** Rounds of copying before the guest is stopped, at most. */
  readonly rounds: number;
  /** When so few pages are left, the guest is stopped. */
  readonly threshold: number;
}

/** The kernel does not offer what the method needs. */
export class MethodRefused extends Error {
  override readonly name = 'MethodRefused';
}

/** When what was done, nanoseconds of virtual time. */
export interface TakingTimes {
  startNs: number;
  /** Pages that were not there have been brought in. */
  preparedNs: number;
  /** Pages are protected. */
  armedNs: number;
  /** Everything is in the image. */
  doneNs: number;
  /** How long the guest was stopped, and how long of that for protecting. */
  stoppedNs: number;
}

/** What is counted of the kernel, before and after. */
export interface KernelCounts {
  readonly facts: Float64Array;
  readonly faults: Float64Array;
  readonly tablesBytes: number;
  readonly hugePages: number;
}

/** A snapshot in the making. */
export class Taking {
  readonly guest: Guest;
  readonly options: TakingOptions;
  readonly saver: Saver;
  readonly simulation: Simulation;
  readonly mm: Mm;
  readonly times: TakingTimes = { startNs: 0, preparedNs: 0, armedNs: 0, doneNs: 0, stoppedNs: 0 };
  /** Memory at the time of the snapshot. */
  memory = new PageWords();
  watch: MissWatch;
  /** Pages that were saved because somebody waited to write them. */
  nrOnDemand = 0;
  nrMessages = 0;
  nrRounds = 0;
  /** Page tables when everything was protected, bytes. */
  armedTableBytes = 0;

  constructor(t: Thread, guest: Guest, options: TakingOptions) {
    this.guest = guest;
    this.options = options;
    this.simulation = t.simulation;
    this.mm = must(t.mm, '[task-state] the guest is alive');
    this.saver = new Saver(t.simulation, guest.memory, options.finding);
    this.watch = this.watched('copy', () => false);
  }

  /** Has somebody look on from now on. */
  watched(notice: Notice, isSettled: (page: number) => boolean): MissWatch {
    const { guest, mm } = this;
    const { memory } = guest;
    this.watch = new MissWatch({ mm, memory, notice, isSettled });
    guest.observer = this.watch;
    return this.watch;
  }

  /** Page tables of the guest now, bytes: those of the lowest level. */
  get tableBytes(): number {
    return this.mm.pages.nrPtes * PAGE_SIZE;
  }

  #isStopped = false;
  /** Stops the guest, unless it is stopped, has `act` do something, and lets it go on. */
  *stopped(t: Thread, act: () => Running<void>): Running<void> {
    if (this.#isStopped) {
      yield* act();
      return;
    }
    const startNs = t.nowNs;
    this.#isStopped = true;
    yield* this.guest.pause(t);
    try {
      yield* act();
    } finally {
      this.#isStopped = false;
      yield* this.guest.resume(t);
      this.times.stoppedNs += t.nowNs - startNs;
    }
  }
  /** Everything is protected now. */
  armed(t: Thread, watch: MissWatch): void {
    watch.isArmed = true;
    this.times.armedNs = t.nowNs;
    this.armedTableBytes = this.tableBytes;
  }
  /** The guest is stopped, and this is the moment that the snapshot is to show. */
  remember(): void {
    this.memory = this.guest.look(this.mm);
  }
}

/** Returns what the kernel has counted so far. */
export const countsOf = (mm: Mm, guest: Guest): KernelCounts => ({
  facts: mm.kernel.work.facts.slice(),
  faults: mm.kernel.work.faults.slice(),
  tablesBytes: mm.pages.nrPtes * PAGE_SIZE,
  hugePages: guest.memory.hugePages(mm),
});
