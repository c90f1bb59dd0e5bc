/**
 * Unzips gzip in pieces, so that memory stays bounded whatever the size of the file. Small files take a faster way.
 *
 * The library finds a stream that ends too early or is no deflate stream; that the text is the one that was zipped is checked here,
 * by the checksum and the length behind it. Several gzip files one behind the other are one file, as for zcat; of these the last
 * checksum is checked.
 */
import { createRequire } from 'node:module';
import { crc32, gunzipSync } from 'node:zlib';
import type { Gunzip } from 'fflate';
import { UsageError } from '../../base/assert.ts';
import type { ByteSource } from './byteSource.ts';

const NEWLINE = 10;
const MAGIC_1 = 0x1f;
const MAGIC_2 = 0x8b;
/** Header without options, an empty deflate stream, checksum, length. */
const LEAST_BYTES = 20;
const TRAILER_BYTES = 8;
/** A zipped file up to this size whose text is no longer than that is unzipped at once. */
const SMALL_BYTES = 2 ** 20;
const SMALL_TEXT_BYTES = 32 * 2 ** 20;

/** Tells whether bytes begin as a gzip file does. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === MAGIC_1 && bytes[1] === MAGIC_2;

/** Returns the bytes of a source, unzipped if they are gzip. @param onRead  is told how many bytes of the file were read */
export function* plainChunks(source: ByteSource, onRead: (bytes: number) => void): Generator<Uint8Array> {
  const whole = source.size <= SMALL_BYTES ? unzippedAtOnce(source) : null;
  if (whole !== null) {
    onRead(source.size);
    yield whole;
    return;
  }
  let unzipper: Unzipper | null = null;
  let isFirst = true;
  for (const chunk of source.chunks()) {
    onRead(chunk.length);
    if (isFirst && isGzip(chunk)) unzipper = new Unzipper(source.name);
    isFirst = false;
    if (unzipper === null) yield chunk;
    else yield* unzipper.push(chunk);
  }
  if (unzipper !== null) yield* unzipper.finish();
}

/** Unzips a small file by Node's own library, five times as fast; null if it is not zipped, damaged or large after all. */
function unzippedAtOnce(source: ByteSource): Buffer | null {
  const chunks: Buffer[] = [];
  for (const chunk of source.chunks()) {
    if (chunks.length === 0 && !isGzip(chunk)) return null;
    chunks.push(Buffer.from(chunk));
  }
  if (chunks.length === 0) return null;
  try {
    return gunzipSync(Buffer.concat(chunks), { maxOutputLength: SMALL_TEXT_BYTES });
  } catch {
    // The slow way says what is wrong, or finds out that the text is only long.
    return null;
  }
}

class Unzipper {
  readonly #name: string;
  readonly #gunzip: Gunzip;
  #out: Uint8Array[] = [];
  #bytesIn = 0;
  #bytesOut = 0;
  #checksum = 0;
  #tail = Buffer.alloc(0);
  /** Where the text ends that has come out so far. */
  #line = 1;
  #column = 1;

  constructor(name: string) {
    this.#name = name;
    // Loaded only for what Node's own library is not asked to unzip.
    const library = createRequire(import.meta.url)('fflate') as typeof import('fflate');
    this.#gunzip = new library.Gunzip((data) => {
      if (data.length === 0) return;
      this.#out.push(data);
      this.#bytesOut += data.length;
      this.#checksum = crc32(data, this.#checksum);
      this.#pass(data);
    });
    this.#gunzip.onmember = () => {
      this.#bytesOut = 0;
      this.#checksum = 0;
    };
  }

  push(chunk: Buffer): Uint8Array[] {
    this.#bytesIn += chunk.length;
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TRAILER_BYTES);
    // The library keeps what it has not used yet, and the caller's buffer is written over.
    return this.#take(() => this.#gunzip.push(Uint8Array.from(chunk)));
  }

  finish(): Uint8Array[] {
    if (this.#bytesIn < LEAST_BYTES) throw this.#damaged('it ends inside the header');
    const last = this.#take(() => this.#gunzip.push(new Uint8Array(0), true));
    if (this.#tail.readUInt32LE(0) !== this.#checksum >>> 0)
      throw this.#damaged('the checksum at its end is not that of the text');
    if (this.#tail.readUInt32LE(4) !== this.#bytesOut % 2 ** 32)
      throw this.#damaged('the length at its end is not that of the text');
    return last;
  }

  #pass(data: Uint8Array): void {
    let from = 0;
    for (let at = data.indexOf(NEWLINE); at >= 0; at = data.indexOf(NEWLINE, from)) {
      this.#line++;
      this.#column = 1;
      from = at + 1;
    }
    this.#column += data.length - from;
  }

  #take(step: () => void): Uint8Array[] {
    try {
      step();
    } catch (error) {
      const { message } = error as Error;
      throw this.#damaged(
        message === 'unexpected EOF'
          ? `it ends after ${this.#bytesIn} bytes, in the middle of the stream`
          : `${message}, within the first ${this.#bytesIn} bytes`,
        { line: this.#line, column: this.#column },
      );
    }
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** @param at  where in the text, if that is known */
  #damaged(how: string, at = { line: 0, column: 0 }): UsageError {
    const wanted = 'a file that zcat reads without complaint';
    return new UsageError(`the gzip file is damaged: ${how}`, wanted, { file: this.#name, ...at });
  }
}
