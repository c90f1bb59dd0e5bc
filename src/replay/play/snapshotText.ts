/**
 * A cursor over the text of a snapshot that was not read line by line: numbers and words in the form in which opsrun prints them, and no other.
 *
 * What is not there is said by a number below zero or by false. Nobody is told what would have been right: whoever finds that a text is not what the
 * model would have printed has it read (opsSnapshot.ts), which says what is wrong with it.
 *
 * Cost   nothing is allocated
 */
import type { SnapshotInternals, SnapshotText } from '../item.ts';
import { type RunSource, stateOfColumns } from './windowPages.ts';

const [NEWLINE, BLANK, MINUS, ZERO, NINE, LOWER_A, LOWER_F] = [10, 32, 45, 48, 57, 97, 102];
/** How many columns there are before the first word of a page. */
const NR_COLUMNS = 8;
/** In place of a number. */
const NO_NUMBER = -1;

type Row = { -readonly [Field in keyof SnapshotInternals]: SnapshotInternals[Field] };

/** A place in the text of a snapshot; as the source of runs, it yields those of the lines `pg` that follow. */
export class SnapshotCursor implements RunSource {
  #text = '';
  #at = 0;
  #end = 0;
  /** Pages of the runs that were yielded. */
  nrPages = 0;
  /** What `internals` read last. */
  readonly row: Row = {
    start: 0,
    end: 0,
    pgoff: 0,
    anonVma: 0,
    root: 0,
    parent: 0,
    children: 0,
    vmas: 0,
    chain: 0,
    line: 0,
  };
  from = 0;
  to = 0;
  state = 0;
  word = 0;

  /** Begins with the first of the lines of a snapshot. */
  start({ text, from, to }: SnapshotText): void {
    this.#text = text;
    this.#at = from;
    this.#end = to;
    this.nrPages = 0;
  }
  /** Tells whether all of it was used up. */
  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  /** Skips `token` if it is next and tells whether it was. */
  accept(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }
  /** Skips the end of a line if it is next and tells whether it was. */
  endOfLine(): boolean {
    if (this.#text.charCodeAt(this.#at) !== NEWLINE) return false;
    this.#at++;
    return true;
  }
  /** Reads decimal digits. Returns a number below zero when there are none. */
  decimal(): number {
    const text = this.#text;
    let at = this.#at;
    let value = 0;
    for (let code = text.charCodeAt(at); code >= ZERO && code <= NINE; code = text.charCodeAt(++at))
      value = value * 10 + (code - ZERO);
    if (at === this.#at) return NO_NUMBER;
    this.#at = at;
    return value;
  }
  /** Reads lower-case hexadecimal digits. Returns a number below zero when there are none. */
  hex(): number {
    const text = this.#text;
    let at = this.#at;
    let value = 0;
    for (; ; at++) {
      const code = text.charCodeAt(at);
      if (code >= ZERO && code <= NINE) value = value * 16 + (code - ZERO);
      else if (code >= LOWER_A && code <= LOWER_F) value = value * 16 + (code - LOWER_A + 10);
      else break;
    }
    if (at === this.#at) return NO_NUMBER;
    this.#at = at;
    return value;
  }
  /** Reads the range `START-END` and tells whether it is that one. */
  isRange(start: number, end: number): boolean {
    return this.hex() === start && this.accept('-') && this.hex() === end;
  }
  /** Reads `token` and a number if they are next. Returns the number, 0 if they are not; of a token without a number, what equals nothing. */
  figure(token: string): number {
    if (!this.accept(token)) return 0;
    const value = this.decimal();
    return value < 0 ? Number.NaN : value;
  }

  /** Reads what is behind `internal ` into `row`, up to the end of the line. Returns whether it is complete. */
  internals(): boolean {
    const { row } = this;
    row.start = this.hex();
    if (!this.accept('-')) return false;
    row.end = this.hex();
    row.pgoff = this.#field(' pgoff=');
    row.anonVma = this.#field(' anon=');
    row.root = this.#field(' root=');
    row.parent = this.#field(' parent=');
    row.children = this.#field(' children=');
    row.vmas = this.#field(' vmas=');
    row.chain = this.#field(' chain=');
    return row.chain >= 0 && this.endOfLine();
  }
  #field(token: string): number {
    return this.accept(token) ? this.decimal() : NO_NUMBER;
  }

  /** Reads the next line `pg`, if there is one. */
  next(): boolean {
    if (!this.accept('pg ')) return false;
    this.from = this.hex();
    if (!this.accept('-')) return false;
    this.to = this.hex();
    if (this.#text.charCodeAt(this.#at) !== BLANK) return false;
    this.state = stateOfColumns(this.#text, this.#at + 1);
    this.#at += 1 + NR_COLUMNS;
    if (!this.accept(' v=')) return false;
    const isPresent = this.#text.charCodeAt(this.#at - NR_COLUMNS - ' v='.length) !== MINUS;
    const word = this.decimal();
    this.word = isPresent ? word : NO_NUMBER;
    this.nrPages += (this.to - this.from) / 4096;
    return word >= 0 && this.to > this.from && this.endOfLine();
  }
}
