/**
 * A cursor over one line of text, for formats made of numbers and words with fixed separators.
 *
 * Every refusal is a UsageError that names file, line, column and what would have been right there. Numbers are read by hand: a
 * regular expression with as many groups costs five times as much on the lines that come by the million.
 * User addresses are exact; a number above 2^53 (a length close to 2^64) is rounded as any double is.
 */
import { UsageError } from '../base/assert.ts';

const ZERO = 48;
const NINE = 57;
const LOWER_A = 97;
const LOWER_F = 102;
const UPPER_A = 65;
const UPPER_F = 70;
const CARRIAGE_RETURN = 13;
const BLANK = 32;
const MINUS = 45;
const LOWER_X = 120;

/** Returns the value of a hexadecimal digit given as a character code, or -1. */
export function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  if (code >= LOWER_A && code <= LOWER_F) return code - LOWER_A + 10;
  if (code >= UPPER_A && code <= UPPER_F) return code - UPPER_A + 10;
  return -1;
}

/** Tells whether a character code is a decimal digit. */
export const isDigit = (code: number): boolean => code >= ZERO && code <= NINE;

/** Returns a copy of `text` that does not keep the line it was cut from in memory. For paths and names, which live long. */
export const ownCopy = (text: string): string => ` ${text}`.slice(1);

/** A position in one line at a time. Reused for all lines of a file. */
export class Scanner {
  /** The file's name in messages. */
  readonly file: string;
  text = '';
  /** Index of the next character. */
  pos = 0;
  /** Number of the line, from 1. */
  line = 0;

  constructor(file: string) {
    this.file = file;
  }

  /** Starts on a line; a carriage return at its end is not part of it. */
  start(text: string, line: number): void {
    this.text = text.charCodeAt(text.length - 1) === CARRIAGE_RETURN ? text.slice(0, -1) : text;
    this.line = line;
    this.pos = 0;
  }

  /** Throws the UsageError for something wrong at `at` (an index; the next character by default). */
  fail(problem: string, wanted: string, at: number = this.pos): never {
    throw new UsageError(problem, wanted, { file: this.file, line: this.line, column: at + 1 });
  }

  /** Throws the UsageError for a missing `wanted` at the next character, quoting what is there. */
  missing(wanted: string): never {
    const found =
      this.pos >= this.text.length
        ? 'the line ends here'
        : `found "${this.text.slice(this.pos, this.pos + 24)}"`;
    return this.fail(found, wanted);
  }

  /** Tells whether the line is used up. */
  get atEnd(): boolean {
    return this.pos >= this.text.length;
  }

  /** Returns the code of the next character, NaN at the end. */
  peek(): number {
    return this.text.charCodeAt(this.pos);
  }

  /** Skips blanks. */
  blanks(): void {
    while (this.text.charCodeAt(this.pos) === BLANK) this.pos++;
  }

  /** Skips `token` if it is next and tells whether it was. */
  accept(token: string): boolean {
    if (!this.text.startsWith(token, this.pos)) return false;
    this.pos += token.length;
    return true;
  }

  /** Skips `token`, which must be next; `wanted` says what the place is for. */
  expect(token: string, wanted: string): void {
    if (!this.accept(token)) this.missing(wanted);
  }

  /** Reads lower- or upper-case hexadecimal digits, at least one, without a prefix. */
  hex(wanted: string): number {
    const from = this.pos;
    let value = 0;
    for (let digit = hexDigit(this.peek()); digit >= 0; digit = hexDigit(this.text.charCodeAt(++this.pos))) {
      value = value * 16 + digit;
    }
    if (this.pos === from) this.missing(wanted);
    return value;
  }

  /** Reads decimal digits, at least one. */
  decimal(wanted: string): number {
    const from = this.pos;
    let value = 0;
    for (let code = this.peek(); isDigit(code); code = this.text.charCodeAt(++this.pos))
      value = value * 10 + (code - ZERO);
    if (this.pos === from) this.missing(wanted);
    return value;
  }

  /** Reads a number as C writes it: `-1`, `4096`, `0x1000`, `0644`. */
  number(wanted: string): number {
    if (this.peek() === MINUS && isDigit(this.text.charCodeAt(this.pos + 1))) {
      this.pos++;
      return -this.number(wanted);
    }
    if (this.peek() !== ZERO) return this.decimal(wanted);
    const next = this.text.charCodeAt(this.pos + 1);
    if (next === LOWER_X) {
      this.pos += 2;
      return this.hex(wanted);
    }
    return this.octal();
  }

  /** Reads up to the next blank or the end; the word may be empty. */
  word(): string {
    const blank = this.text.indexOf(' ', this.pos);
    const end = blank < 0 ? this.text.length : blank;
    const word = this.text.slice(this.pos, end);
    this.pos = end;
    return word;
  }

  /** Reads the rest of the line. */
  rest(): string {
    const rest = this.text.slice(this.pos);
    this.pos = this.text.length;
    return rest;
  }

  /** Requires that nothing but blanks is left. */
  finish(wanted: string): void {
    this.blanks();
    if (!this.atEnd) this.missing(wanted);
  }

  private octal(): number {
    let value = 0;
    for (let code = this.peek(); isDigit(code); code = this.text.charCodeAt(++this.pos))
      value = value * 8 + (code - ZERO);
    return value;
  }
}
