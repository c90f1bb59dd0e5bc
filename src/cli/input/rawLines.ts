/**
 * Lines as bytes, from chunks of bytes: what textLines.ts does, for a parser that makes no texts.
 *
 * Cost   a line that lies across chunks is copied; memory of a chunk and of the longest line
 */
import type { RawLines } from '../../replay/index.ts';
import { CARRIAGE_RETURN, decoded, LINE_BYTES_MAX, NEWLINE, tooLong } from './textLines.ts';

/** The lines in chunks of bytes. */
export class ChunkLines implements RawLines {
  readonly #chunks: Iterator<Uint8Array>;
  readonly #name: string;
  bytes: Uint8Array = new Uint8Array(0);
  from = 0;
  to = 0;
  /** Where the next line begins. */
  #next = 0;
  #nrLines = 0;
  #isLast = false;

  /** @param name  what messages call the file */
  constructor(chunks: Iterable<Uint8Array>, name: string) {
    this.#chunks = chunks[Symbol.iterator]();
    this.#name = name;
  }

  next(): boolean {
    let end = this.bytes.indexOf(NEWLINE, this.#next);
    if (end < 0) {
      if (this.#isLast || !this.#refill()) return false;
      end = this.bytes.indexOf(NEWLINE);
      if (end < 0) end = this.bytes.length;
    }
    this.#nrLines++;
    this.from = this.#next;
    this.#next = end + 1;
    this.to = end > this.from && this.bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
    return true;
  }

  text(): string {
    return decoded(Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.from, this.to - this.from));
  }

  /** Brings in what follows, with the beginning of a line that is here already; false: nothing is left. */
  #refill(): boolean {
    const parts: Uint8Array[] = [Buffer.from(this.bytes.subarray(this.#next))];
    let length = parts[0]?.length ?? 0;
    for (let chunk = this.#chunks.next(); ; chunk = this.#chunks.next()) {
      if (chunk.done === true) {
        this.#isLast = true;
        break;
      }
      // A chunk is overwritten by the next one.
      const hasEnd = chunk.value.includes(NEWLINE);
      parts.push(hasEnd ? chunk.value : Buffer.from(chunk.value));
      length += chunk.value.length;
      if (hasEnd) break;
      if (length > LINE_BYTES_MAX) throw tooLong(this.#name, this.#nrLines + 1);
    }
    const [first, second] = parts;
    // A file that comes in one piece is not copied.
    const isWhole = parts.length === 2 && first?.length === 0;
    this.bytes = isWhole && second !== undefined ? second : Buffer.concat(parts);
    this.#next = 0;
    return length > 0;
  }
}
