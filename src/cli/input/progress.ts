/**
 * Progress on standard error while an input is read: bytes, operations, rate.
 *
 * Shown to a person at once and kept on one line, and in a log only from two seconds on, a line every five. What is printed
 * depends on the clock, so nothing else may depend on it.
 */
import { grouped } from '../../report/index.ts';
import { isStderrTerminal, noteRaw } from '../output.ts';

const FIRST_MS = { terminal: 300, log: 2000 };
const EVERY_MS = { terminal: 200, log: 5000 };
const OPS_BETWEEN_LOOKS = 1024;
const MIB = 1024 * 1024;

/** The progress of one pass over one input. */
export class Progress {
  readonly #label: string;
  readonly #total: number;
  readonly #where: 'terminal' | 'log';
  readonly #began = performance.now();
  #next: number;
  #bytes = 0;
  #ops = 0;
  #isShown = false;

  /** @param label  the input; @param total  its size in bytes, 0 if not known */
  constructor(label: string, total: number) {
    this.#label = label;
    this.#total = total;
    this.#where = isStderrTerminal() ? 'terminal' : 'log';
    this.#next = this.#began + FIRST_MS[this.#where];
  }

  /** Notes that `bytes` more were read from the file. */
  read(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Notes that one more operation was played. */
  played(): void {
    this.#ops++;
    if (this.#ops % OPS_BETWEEN_LOOKS !== 0) return;
    const now = performance.now();
    if (now < this.#next) return;
    this.#next = now + EVERY_MS[this.#where];
    this.#show(now);
  }

  /** Takes the line away again. */
  end(): void {
    if (this.#isShown && this.#where === 'terminal') noteRaw('\r\x1b[K');
    this.#isShown = false;
  }

  #show(now: number): void {
    const seconds = (now - this.#began) / 1000;
    const share =
      this.#total > 0 ? ` (${Math.min(100, Math.floor((100 * this.#bytes) / this.#total))} %)` : '';
    const text = `${this.#label}: ${(this.#bytes / MIB).toFixed(1)} MiB${share}, ${grouped(this.#ops)} ops, ${grouped(Math.round(this.#ops / seconds))} ops/s`;
    noteRaw(this.#where === 'terminal' ? `\r${text}\x1b[K` : `${text}\n`);
    this.#isShown = true;
  }
}
