/**
 * Lines of text from chunks of bytes.
 *
 * Texts are UTF-8 (what is not becomes U+FFFD, the same everywhere). Lines may end in CR LF. A last line without a newline counts.
 * Cost   one decoding a chunk, cheap where the chunk is ASCII; memory of a chunk and of the longest line
 */
import { isAscii } from 'node:buffer';
import { UsageError } from '../../base/assert.ts';

/** Ends a line. */
export const NEWLINE = 10;
/** May stand before it. */
export const CARRIAGE_RETURN = 13;
/**
 * Lines are slices of the text they were decoded in and keep it alive, and a machine keeps some (paths of files): decoded in pieces of this
 * size, a path that is kept costs little.
 */
const PIECE_BYTES = 16 * 1024;
/** A longer line is no text: a command line and its environment have 2 MiB at most. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** Returns the lines in the chunks. @param name  what messages call the file */
export function* textLines(chunks: Iterable<Uint8Array>, name: string): Generator<string> {
  /** Pieces of a line whose end has not come yet. */
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let nrLines = 0;
  for (const bytes of pieces(chunks)) {
    const end = bytes.lastIndexOf(NEWLINE);
    if (end < 0) {
      pendingBytes += bytes.length;
      if (pendingBytes > LINE_BYTES_MAX) throw tooLong(name, nrLines + 1);
      pending.push(Buffer.from(bytes));
      continue;
    }
    const whole = pending.length === 0 ? bytes.subarray(0, end) : joined(pending, bytes.subarray(0, end));
    for (const line of decoded(whole).split('\n')) {
      nrLines++;
      yield withoutReturn(line);
    }
    pending = end + 1 < bytes.length ? [Buffer.from(bytes.subarray(end + 1))] : [];
    pendingBytes = bytes.length - end - 1;
  }
  if (pendingBytes > 0) yield withoutReturn(decoded(Buffer.concat(pending)));
}

function* pieces(chunks: Iterable<Uint8Array>): Generator<Buffer> {
  for (const { buffer, byteOffset, length } of chunks)
    for (let at = 0; at < length; at += PIECE_BYTES)
      yield Buffer.from(buffer, byteOffset + at, Math.min(PIECE_BYTES, length - at));
}

const joined = (pending: readonly Buffer[], last: Buffer): Buffer => Buffer.concat([...pending, last]);

/** Returns bytes as a text. */
export const decoded = (bytes: Buffer): string =>
  isAscii(bytes) ? bytes.toString('latin1') : bytes.toString('utf8');

const withoutReturn = (line: string): string =>
  line.charCodeAt(line.length - 1) === CARRIAGE_RETURN ? line.slice(0, -1) : line;

/** Makes the refusal of a line that has no end. */
export const tooLong = (file: string, line: number): UsageError =>
  new UsageError(
    'a line of more than 16 MiB: this is not text',
    'a text file with one call or fault a line',
    {
      file,
      line,
      column: 1,
    },
  );
