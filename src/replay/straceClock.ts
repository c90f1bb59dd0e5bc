/**
 * Turns what the lines of one strace file say about time into ns since the first line.
 *
 * The clock may be absolute, of the day (midnight may pass), or relative to the line before (-r).
 */
import type { Scanner } from './scanner.ts';
import type { StraceLine } from './straceLine.ts';

const NS = 1e9;
const DAY = 86_400;

/** The clock of one file. */
export class StraceClock {
  #baseSeconds = -1;
  #days = 0;
  #lastSeconds = 0;
  #elapsed = 0;

  /** Returns the time of a line; a line without a time is an error. */
  timeOf(line: StraceLine, at: Scanner): number {
    switch (line.clock) {
      case 'none':
        return at.fail('this line has no time', 'a time (strace -ttt, or --absolute-timestamps=unix,ns)', 0);
      case 'since-last':
        this.#elapsed += line.seconds * NS + line.nanoseconds;
        return this.#elapsed;
      case 'day':
        if (line.seconds < this.#lastSeconds - DAY / 2) this.#days++;
        break;
      case 'epoch':
        break;
    }
    this.#lastSeconds = line.seconds;
    if (this.#baseSeconds < 0) this.#baseSeconds = line.seconds;
    return (line.seconds + this.#days * DAY - this.#baseSeconds) * NS + line.nanoseconds;
  }
}
