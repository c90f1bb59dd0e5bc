/**
 * Progress of measuring on standard error: one line that is written over on a terminal, else a line every ten seconds.
 */
import { isStderrTerminal, note, noteRaw } from '../output.ts';
import type { MeasuringState } from './measuring.ts';

const EVERY_MS = { terminal: 250, log: 10_000 };
const LEGEND = `round    of so many; each goes over all groups, and the lowest median of a round is what counts
group    what is measured just now
figures  that have samples, of those that are asked for`;

/** Shows where measuring is, or nothing. */
export class CalibrateProgress {
  readonly #isQuiet: boolean;
  readonly #state: () => MeasuringState;
  readonly #isTerminal = isStderrTerminal();
  readonly #began = performance.now();
  #timer: NodeJS.Timeout | null = null;

  /** @param state  asked whenever a line is due */
  constructor(isQuiet: boolean, state: () => MeasuringState) {
    this.#isQuiet = isQuiet;
    this.#state = state;
  }

  /** Prints the legend, and a line from time to time from now on. */
  start(): void {
    if (this.#isQuiet) return;
    note(`${LEGEND}\n\n${row('time', 'round', 'figures', 'group')}`);
    this.#timer = setInterval(() => this.#show(), EVERY_MS[this.#isTerminal ? 'terminal' : 'log']);
  }

  /** Ends it with a line of how it was. */
  end(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    if (this.#isTerminal) noteRaw('\r\x1b[K');
    note(this.#line());
  }

  #show(): void {
    noteRaw(this.#isTerminal ? `\r${this.#line()}\x1b[K` : `${this.#line()}\n`);
  }

  #line(): string {
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    const { round, rounds, group, figures, of } = this.#state();
    return row(time, `${round}/${rounds}`, `${figures}/${of}`, group ?? '');
  }
}

const row = (time: string, round: string, figures: string, group: string): string =>
  `${time.padStart(5)}  ${round.padStart(5)}  ${figures.padStart(7)}  ${group}`;
