/**
 * Progress of a fuzzing run on standard error: one line that is written over on a terminal, else a line every ten seconds.
 */
import { grouped } from '../../report/index.ts';
import { isStderrTerminal, note, noteRaw } from '../output.ts';

/** What a line of progress shows. */
export interface Standing {
  readonly seconds: number;
  /** Operations of this run, and CPU time for them in seconds. */
  readonly ops: number;
  readonly cpuSeconds: number;
  readonly reached: number;
  readonly universe: number;
  readonly differences: number;
  readonly unsteady: number;
}

const EVERY_MS = { terminal: 250, log: 10_000 };
const WIDTHS = [8, 12, 8, 8, 10, 6, 9] as const;
const HEADS = ['time', 'ops', 'ops/s', '/core', 'coverage', 'diff', 'unsteady'] as const;

const LEGEND = `ops       operations carried out on the kernel and on the model, and compared
ops/s     of these, a second
/core     of these, a second of CPU time that model and kernel took together
coverage  verdicts, reasons, errnos, events and kinds of faults of the model that were reached, of all there are
diff      sequences in which model and kernel differ, in two runs
unsteady  sequences that differed once, and not when the kernel ran them again`;

/** Shows the progress of a run, or nothing. */
export class FuzzProgress {
  readonly #isQuiet: boolean;
  readonly #standing: () => Standing;
  readonly #isTerminal = isStderrTerminal();
  #timer: NodeJS.Timeout | null = null;
  #isShown = false;

  /** @param standing  asked whenever a line is due */
  constructor(isQuiet: boolean, standing: () => Standing) {
    this.#isQuiet = isQuiet;
    this.#standing = standing;
  }

  /** Prints the legend and the heads of the columns, and a line from time to time from now on. */
  start(): void {
    if (this.#isQuiet) return;
    note(`${LEGEND}\n\n${columns(HEADS)}`);
    this.#timer = setInterval(() => this.#show(), EVERY_MS[this.#isTerminal ? 'terminal' : 'log']);
  }

  /** Takes the line away, so that something else can be printed. */
  clear(): void {
    if (this.#isShown && this.#isTerminal) noteRaw('\r\x1b[K');
    this.#isShown = false;
  }

  /** Ends it with a line of how it was. */
  end(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.clear();
    note(lineOf(this.#standing()));
  }

  #show(): void {
    const text = lineOf(this.#standing());
    noteRaw(this.#isTerminal ? `\r${text}\x1b[K` : `${text}\n`);
    this.#isShown = true;
  }
}

function lineOf(standing: Standing): string {
  const { seconds, ops, cpuSeconds, reached, universe, differences, unsteady } = standing;
  return columns([
    timeText(seconds),
    grouped(ops),
    grouped(rate(ops, seconds)),
    grouped(rate(ops, cpuSeconds)),
    `${reached}/${universe}`,
    grouped(differences),
    grouped(unsteady),
  ]);
}

const columns = (cells: readonly string[]): string =>
  cells.map((cell, i) => cell.padStart(WIDTHS[i] ?? 0)).join('  ');

/** Returns how many a second, rounded. */
export const rate = (count: number, seconds: number): number =>
  seconds > 0 ? Math.round(count / seconds) : 0;

/** Returns a time as `1:02:03` or `2:03`. */
function timeText(seconds: number): string {
  const whole = Math.floor(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
