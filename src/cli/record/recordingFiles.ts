/**
 * The two long files of a recording, written as streams: the system calls, cut to the recording, and the page faults.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { FaultRecorder } from './pageFaults.ts';
import { cleanLine } from './straceFile.ts';

/** Lines handed to the compressor at once. */
const BATCH = 2000;

async function writeLines(path: string, lines: AsyncIterable<string>): Promise<number> {
  let nrLines = 0;
  async function* batches(): AsyncGenerator<Buffer> {
    let batch: string[] = [];
    for await (const line of lines) {
      nrLines++;
      if (batch.push(line) < BATCH) continue;
      yield Buffer.from(`${batch.join('\n')}\n`, 'latin1');
      batch = [];
    }
    if (batch.length > 0) yield Buffer.from(`${batch.join('\n')}\n`, 'latin1');
  }
  await pipeline(Readable.from(batches()), createGzip({ level: 9 }), createWriteStream(path));
  return nrLines;
}

/** Which part of strace's file is the recording. */
export interface Cut {
  /** Its first line. */
  readonly first: string;
  /** Where the rest begins. */
  readonly start: number;
  /** Exclusive; behind a line end. */
  readonly end: number;
  /** Threads held at the entry of exit_group. */
  readonly heldTids: ReadonlySet<number>;
  /** Processes that are older than the recording: nothing is known of their address spaces. */
  readonly olderPids: ReadonlySet<number>;
}

/** Writes syscalls.strace.gz and returns the number of its lines. */
export async function writeSystemCalls(raw: string, dir: string, cut: Cut): Promise<number> {
  async function* lines(): AsyncGenerator<string> {
    yield cut.first;
    const input = createReadStream(raw, { start: cut.start, end: cut.end - 1, encoding: 'latin1' });
    for await (const line of createInterface({ input })) {
      if (cut.olderPids.has(Number.parseInt(line, 10))) continue;
      const clean = cleanLine(line, cut.heldTids);
      if (clean !== null) yield clean;
    }
  }
  return writeLines(join(dir, 'syscalls.strace.gz'), lines());
}

/** When the recording begins, on perf's clock, how far strace's clock is ahead of that, and whose faults do not count. */
export interface FaultCut {
  readonly beginNs: bigint;
  readonly offsetNs: bigint;
  readonly olderPids: ReadonlySet<number>;
}

/** Writes faults.perf.txt.gz, empty if there was no perf, and returns the number of its lines. */
export async function writeFaults(perf: FaultRecorder | null, dir: string, cut: FaultCut): Promise<number> {
  async function* lines(): AsyncGenerator<string> {
    if (perf === null) return;
    for await (const line of perf.lines(cut.beginNs, cut.offsetNs)) {
      if (!cut.olderPids.has(Number.parseInt(line, 10))) yield line;
    }
  }
  return writeLines(join(dir, 'faults.perf.txt.gz'), lines());
}
