/**
 * The files of an input on disk, as the parsers ask for them: a recording directory, or one file.
 *
 * A file is found plain or with `.gz`; if both are there, the plain one counts.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../base/assert.ts';
import {
  detectFormat,
  type InputFiles,
  type InputFormat,
  NR_DETECT_LINES,
  requireFormat,
} from '../../replay/index.ts';
import { type ByteSource, openBytes } from './byteSource.ts';
import { isBinary, lookOf } from './firstBytes.ts';
import { ChunkLines } from './rawLines.ts';
import { textLines } from './textLines.ts';
import { plainChunks } from './unzip.ts';

/** The file without which a directory is no recording. */
export const CALLS = 'syscalls.strace';
const FAULTS = 'faults.perf.txt';

/** Is told how many bytes of an input were read. */
export type OnRead = (bytes: number) => void;

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

/** Returns the path of a file of a directory as it is on disk, plain or zipped, or null. */
export function findFile(directory: string, file: string): string | null {
  const path = join(directory, file);
  if (isFile(path)) return path;
  return isFile(`${path}.gz`) ? `${path}.gz` : null;
}

/** Opens a recording directory. */
export function directoryFiles(directory: string, onRead: OnRead): InputFiles {
  const chunks = (file: string): Iterable<Uint8Array> => {
    const path = findFile(directory, file);
    if (path === null) throw new UsageError(`${directory} has no ${file}`, `a recording with ${file}`);
    return plainChunks(openBytes(path), onRead);
  };
  return {
    name: directory,
    has: (file) => findFile(directory, file) !== null,
    lines: (file) => textLines(chunks(file), join(directory, file)),
    rawLines: (file) => new ChunkLines(chunks(file), join(directory, file)),
    list: (inside) => {
      const path = join(directory, inside);
      return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(path) : [];
    },
  };
}

/** Returns how many bytes the long files of a recording have together. */
export function recordingBytes(directory: string): number {
  const paths = [CALLS, FAULTS].map((file) => findFile(directory, file)).filter((path) => path !== null);
  return paths.reduce((sum, path) => sum + statSync(path).size, 0);
}

/** Opens a file that is an input by itself. */
export function singleFile(source: ByteSource, onRead: OnRead): InputFiles {
  return {
    name: source.name,
    has: (file) => file === '',
    lines: () => textLines(plainChunks(source, onRead), source.name),
    rawLines: () => new ChunkLines(plainChunks(source, onRead), source.name),
  };
}

const LOOK_BYTES = 64 * 1024;

/** Finds out the format of a file by its beginning; refuses what is none of ours, with what it looks like. */
export function formatOf(source: ByteSource): InputFormat {
  const start = beginning(source);
  const lines = start.toString('utf8').split('\n', NR_DETECT_LINES);
  const place = { file: source.name, line: 1, column: 1 };
  if (start.length === 0) throw new UsageError('the file is empty', lookOf(start).wanted, place);
  if (!isBinary(start)) {
    const format = detectFormat(lines);
    if (format !== null) return format;
    // Its own parser says best what is wrong with the first line.
    if (/\.ops(\.gz)?$/.test(source.name)) return 'opfuzz';
    if (lines.some((line) => line.startsWith('% time '))) return requireFormat(lines, source.name);
  }
  const { looks, wanted } = lookOf(start);
  throw new UsageError(`this is no format that can be read: ${looks}`, wanted, place);
}

function beginning(source: ByteSource): Buffer {
  const found: Buffer[] = [];
  let length = 0;
  for (const chunk of plainChunks(source, () => {})) {
    found.push(Buffer.from(chunk.subarray(0, LOOK_BYTES)));
    length += chunk.length;
    if (length >= LOOK_BYTES) break;
  }
  return Buffer.concat(found).subarray(0, LOOK_BYTES);
}
