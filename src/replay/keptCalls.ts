/**
 * The calls of a recording, kept once they were read: they are read once more to settle the order of those that overlap, and again for
 * every other order that is tried.
 *
 * Cost   an object a call; of a recording with more than MAX_KEPT events nothing is kept, so that memory stays bounded
 */
import type { StraceEvent, StraceReader } from './straceReader.ts';
import type { EventSource } from './timeline.ts';
import { Warnings } from './warnings.ts';

const MAX_KEPT = 1 << 17;

/** Where the calls of a recording come from, with what there is to say about their file. */
export interface CallSource extends EventSource {
  next(): StraceEvent | null;
  /** How many lines have been read. */
  readonly nrLines: number;
  /** Calls passed over because they change nothing, by name. */
  readonly skipped: ReadonlyMap<string, number>;
  /** What was odd about the lines read so far. */
  readonly warnings: Warnings;
}

/** Makes a reader of the calls that tells its warnings. */
export type OpenCalls = (warnings: Warnings) => StraceReader;

/** Returns the calls that `read` reads. */
export const callsOf = (read: OpenCalls): CallSource => new Reading(read, () => {});

/** What remembers the calls of one input. */
export class KeptCalls {
  #events: readonly StraceEvent[] = [];
  /** The source that was read to its end; null before. */
  #source: CallSource | null = null;

  /** Returns the calls: from memory if they are all there, else from `read`, remembering them on the way. */
  open(read: OpenCalls): CallSource {
    if (this.#source !== null) return new Remembered(this.#source, this.#events);
    const events: StraceEvent[] = [];
    let isTooMuch = false;
    const source = new Reading(read, (event) => {
      if (isTooMuch) return;
      if (event === null) {
        this.#events = events;
        this.#source = source;
      } else if (events.length === MAX_KEPT) {
        isTooMuch = true;
        events.length = 0;
      } else events.push(event);
    });
    return source;
  }
}

/** Reads on and tells what comes; null at the end. */
class Reading implements CallSource {
  readonly warnings = new Warnings();
  readonly #reader: StraceReader;
  readonly #tell: (event: StraceEvent | null) => void;

  constructor(read: OpenCalls, tell: (event: StraceEvent | null) => void) {
    this.#reader = read(this.warnings);
    this.#tell = tell;
  }

  get nrLines(): number {
    return this.#reader.nrLines;
  }

  get skipped(): ReadonlyMap<string, number> {
    return this.#reader.skipped;
  }

  next(): StraceEvent | null {
    const event = this.#reader.next();
    this.#tell(event);
    return event;
  }
}

/** Tells what was kept. */
class Remembered implements CallSource {
  readonly nrLines: number;
  readonly skipped: ReadonlyMap<string, number>;
  readonly warnings: Warnings;
  readonly #events: readonly StraceEvent[];
  #at = 0;

  constructor({ nrLines, skipped, warnings }: CallSource, events: readonly StraceEvent[]) {
    this.nrLines = nrLines;
    this.skipped = skipped;
    this.warnings = warnings;
    this.#events = events;
  }

  next(): StraceEvent | null {
    return this.#events[this.#at++] ?? null;
  }
}
