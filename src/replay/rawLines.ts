/**
 * Lines as bytes, for formats of which a file has a hundred thousand lines of one form: numbers are read out of the bytes, and a
 * text is made only of a line that has another form.
 */
import type { InputFiles } from './input.ts';

/** A cursor over the lines of a file. */
export interface RawLines {
  /** What the line is in, until the next call of `next`. */
  readonly bytes: Uint8Array;
  /** Where it begins there, and where it ends; without its newline. */
  readonly from: number;
  readonly to: number;
  /** Goes to the next line; false: there is none. */
  next(): boolean;
  /** Returns the line as a text. */
  text(): string;
}

/** Returns the lines of a file as bytes, as the edge has them or made of its text. */
export const rawLinesOf = (files: InputFiles, file: string): RawLines =>
  files.rawLines?.(file) ?? new EncodedLines(files.lines(file));

const BEYOND_ASCII = 0xff;

/** Bytes made of texts; a character that is not ASCII becomes a byte that is no character. */
export class EncodedLines implements RawLines {
  readonly #lines: Iterator<string>;
  #text = '';
  bytes = new Uint8Array(256);
  readonly from = 0;
  to = 0;

  constructor(lines: Iterable<string>) {
    this.#lines = lines[Symbol.iterator]();
  }

  next(): boolean {
    const result = this.#lines.next();
    if (result.done === true) return false;
    const text = result.value;
    if (text.length > this.bytes.length) this.bytes = new Uint8Array(2 * text.length);
    for (let i = 0; i < text.length; i++) this.bytes[i] = Math.min(text.charCodeAt(i), BEYOND_ASCII);
    this.to = text.length;
    this.#text = text;
    return true;
  }

  text(): string {
    return this.#text;
  }
}
