/**
 * Copying while the guest goes on: everything first, then over and over what was written meanwhile, until little is left; then the guest is stopped and the
 * rest copied. What the image holds is memory at that last stop. So a guest is migrated, and CRIU dumps a process with --pre-dump.
 *
 *   1. Arm: from now on writes are noticed.
 *   2. Copy everything.
 *   3. A round: ask what was written (it is noticed again from then on), copy that. Until it is less than the threshold, or after so many rounds.
 *   4. Stop, ask once more, copy, go on.
 *
 * How writes are noticed is a DirtyTracker: messages to a thread that lets the writer go on at once, PAGEMAP_SCAN, or soft-dirty bits.
 */
import type { Running, Thread } from '../../machine/index.ts';
import { AsyncTracker } from './asyncTracker.ts';
import { MessageTracker } from './messageTracker.ts';
import { METHOD } from './method.ts';
import { prefault } from './pointInTime.ts';
import { SoftDirtyTracker } from './softDirtyTracker.ts';
import { MethodRefused, type Taking } from './taking.ts';

/** Neighbouring pages that were written, or given back: those hold nothing now. */
export interface DirtyRun {
  readonly first: number;
  readonly end: number;
  readonly isThere: boolean;
}

/** Notices which pages are written. */
export interface DirtyTracker {
  /** Begins. @throws MethodRefused */
  arm(t: Thread): Running<void>;
  /** Returns what was written since it was asked last, ascending; it is noticed again from the moment at which it was asked. */
  collect(t: Thread): Running<readonly DirtyRun[]>;
  /** Ends. */
  disarm(t: Thread): Running<void>;
  /** Tells whether a store to `page` would be, or was, noticed although its entry does not show it. */
  isNoted(page: number): boolean;
}

/** Returns the tracker of the method. @throws MethodRefused */
export function trackerOf(taking: Taking): DirtyTracker {
  switch (METHOD[taking.options.method].by) {
    case 'messages':
      return new MessageTracker(taking);
    case 'scan':
      return new AsyncTracker(taking);
    case 'soft-dirty':
      return new SoftDirtyTracker(taking);
    case 'child':
      throw new MethodRefused('a child has memory as it was, and does not tell what was written since');
  }
}

/** Brings pages in, where the method does, and begins to notice writes. @throws MethodRefused */
export function* prepareCopying(t: Thread, taking: Taking): Running<DirtyTracker> {
  const tracker = trackerOf(taking);
  const notice = METHOD[taking.options.method].by === 'messages' ? 'entries' : 'stores';
  const watch = taking.watched(notice, (page) => tracker.isNoted(page));
  yield* prefault(t, taking);
  // The guest goes on: from the first protected page on it matters what happens.
  watch.isArmed = true;
  yield* tracker.arm(t);
  taking.armed(t, watch);
  return tracker;
}

/** Takes it. @throws MethodRefused */
export function* takeByCopying(t: Thread, taking: Taking): Running<void> {
  const { times, options } = taking;
  times.startNs = t.nowNs;
  const tracker = yield* prepareCopying(t, taking);
  const { nrPages } = taking.guest.memory;
  for (let first = 0; first < nrPages; first += options.batch)
    yield* taking.saver.saveRange(t, first, Math.min(first + options.batch, nrPages));
  for (taking.nrRounds = 1; taking.nrRounds < options.rounds; taking.nrRounds++) {
    const runs = yield* tracker.collect(t);
    yield* copyRuns(t, taking, runs);
    if (sizeOf(runs) <= options.threshold) break;
  }
  yield* taking.stopped(t, function* () {
    yield* copyRuns(t, taking, yield* tracker.collect(t));
    taking.remember();
    // What happens from now on is not in the image, and need not be.
    taking.watch.isArmed = false;
  });
  yield* tracker.disarm(t);
  times.doneNs = t.nowNs;
}

const sizeOf = (runs: readonly DirtyRun[]): number =>
  runs.reduce((sum, { first, end }) => sum + end - first, 0);

/** Copies what was written. */
export function* copyRuns(t: Thread, { saver }: Taking, runs: readonly DirtyRun[]): Running<void> {
  for (const { first, end, isThere } of runs)
    for (let page = first; page < end; page++)
      if (isThere) yield* saver.savePage(t, page);
      else saver.forget(page);
}
