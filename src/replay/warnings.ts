/**
 * Collects what was passed over, so that a file with a million odd lines gives one sentence with a count.
 */
import type { Warning, WarningKind } from './item.ts';

interface Tally {
  readonly text: string;
  readonly file: string;
  readonly line: number;
  count: number;
}

/** Warnings by kind and sentence, in the order of their first occurrence. */
export class Warnings {
  readonly #tallies = new Map<string, Tally>();

  /** Counts one more case; the place kept is that of the first. */
  add(what: WarningKind, text: string, file: string, line: number): void {
    const key = `${what}\n${text}`;
    const tally = this.#tallies.get(key);
    if (tally === undefined) this.#tallies.set(key, { text, file, line, count: 1 });
    else tally.count++;
  }

  /** Returns the items, one per kind and sentence. */
  items(): readonly Warning[] {
    return [...this.#tallies].map(([key, tally]) => ({
      kind: 'warning',
      what: key.slice(0, key.indexOf('\n')) as WarningKind,
      text: tally.text,
      count: tally.count,
      file: tally.file,
      line: tally.line,
    }));
  }
}
