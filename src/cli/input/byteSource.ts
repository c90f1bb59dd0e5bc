/**
 * Where bytes come from: a file that can be read again from the start, or what was copied out of a pipe.
 *
 * Everything is read in chunks and synchronously, because the rings below pull lines one by one.
 * A pipe (standard input, `<(zcat x)`) gives its bytes once, and an input may be played several times: they go to a file without a
 * name, which vanishes with the program.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../base/assert.ts';
import { sleep } from '../output.ts';

/** Bytes that can be read again and again. */
export interface ByteSource {
  /** As the user named it. */
  readonly name: string;
  readonly size: number;
  /** Returns the bytes from the start in chunks; a chunk is overwritten by the next one. */
  chunks(): Generator<Buffer>;
}

/** What the name of standard input is. */
export const STDIN = '-';

// Small, because a chunk of a zipped file is unzipped as a whole and may grow a thousandfold.
const CHUNK_BYTES = 16 * 1024;

/** Opens a file, or standard input for `-`. Refuses what is not there or cannot be read. */
export function openBytes(path: string): ByteSource {
  if (path === STDIN) {
    spooledStdin ??= spool(openStdin(), STDIN);
    return spooledStdin;
  }
  const stats = statOf(path);
  if (stats.isDirectory()) throw new UsageError(`${path} is a directory`, 'a file');
  if (!stats.isFile()) return spool(openFile(path), path);
  return {
    name: path,
    size: stats.size,
    *chunks() {
      const fd = openFile(path);
      try {
        yield* chunksOf(fd, path);
      } finally {
        closeSync(fd);
      }
    },
  };
}

let spooledStdin: ByteSource | null = null;

/** Returns what is known of a path; refuses one that leads nowhere. */
export function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw cannotRead(path, error);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'a part of the path is no directory',
  EACCES: 'it may not be read',
  EPERM: 'it may not be read',
  ELOOP: 'its links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
};

function cannotRead(path: string, error: unknown): UsageError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const wanted =
    'a recording directory, a file of strace, perf script, /proc/PID/maps, ops or bpftrace, - or workload:NAME';
  const problem = `this cannot be read: ${REASONS[code] ?? message}`;
  return new UsageError(problem, wanted, { file: path, line: 0, column: 0 });
}

function* chunksOf(fd: number, path: string): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let position = 0; ; ) {
    const length = readAt(fd, buffer, position, path);
    if (length === 0) return;
    position += length;
    yield buffer.subarray(0, length);
  }
}

function readAt(fd: number, buffer: Buffer, position: number | null, path: string): number {
  try {
    return readSync(fd, buffer, 0, buffer.length, position);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/**
 * Makes standard input readable without blocking, so that waiting for a slow writer can be interrupted: pipes and terminals are
 * opened anew; sockets cannot be, so the descriptor itself is made non-blocking, which a Socket object does.
 */
function openStdin(): number {
  const stats = fstatSync(0);
  if (stats.isFile()) return 0;
  if (stats.isSocket()) {
    // It does not read: that would take a turn of the event loop, and everything is read before there is one.
    new Socket({ fd: 0, readable: true, writable: false }).unref();
    return 0;
  }
  try {
    return openSync('/dev/stdin', constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    // Without /proc it cannot be opened anew; it can still be read.
    return 0;
  }
}

/** Copies what can be read once into a nameless file. */
function spool(from: number, name: string): ByteSource {
  const directory = mkdtempSync(join(tmpdir(), 'faultline-'));
  let to: number;
  try {
    to = openSync(join(directory, 'spool'), 'wx+', 0o600);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let size = 0;
  for (;;) {
    const length = readOnce(from, buffer, name);
    if (length === 0) break;
    writeFully(to, buffer.subarray(0, length), size);
    size += length;
  }
  return { name, size, chunks: () => chunksOf(to, name) };
}

function readOnce(fd: number, buffer: Buffer, name: string): number {
  for (;;) {
    try {
      return readSync(fd, buffer, 0, buffer.length, null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw cannotRead(name, error);
      sleep(5);
    }
  }
}

function writeFully(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
