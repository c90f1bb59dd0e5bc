/**
 * The /proc files of a stopped process, written as the files of a recording: `*.start` of the recorded process at its
 * first instruction, `*.end` of every process at the end. They are byte for byte what the kernel prints.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseAuxv } from './entryPoint.ts';
import { rangesOf, readPagemapRuns } from './pagemapRuns.ts';

/** Compresses to the last byte; the same input gives the same output. */
export function gzip(data: string | Buffer): Buffer {
  return gzipSync(data, { level: 9 });
}

const START_FILES = ['maps', 'status', 'stat', 'limits'];
const END_FILES = ['maps', 'status', 'stat'];

/** Writes the start snapshot of `pid` into `dir`. */
export function writeStart(pid: number, dir: string): void {
  for (const name of START_FILES)
    writeFileSync(join(dir, `${name}.start`), readFileSync(`/proc/${pid}/${name}`));
  writeFileSync(join(dir, 'smaps.start.gz'), gzip(readFileSync(`/proc/${pid}/smaps`)));
  const auxv = parseAuxv(readFileSync(`/proc/${pid}/auxv`));
  writeFileSync(
    join(dir, 'auxv.start'),
    auxv.map(([type, value]) => `${type} 0x${value.toString(16)}\n`).join(''),
  );
}

/** Writes the end snapshot of `pid` into `dir`, which is made if it is not there. */
export function writeEnd(pid: number, dir: string): void {
  mkdirSync(dir, { recursive: true });
  for (const name of END_FILES) writeFileSync(join(dir, `${name}.end`), readFileSync(`/proc/${pid}/${name}`));
  const smaps = readFileSync(`/proc/${pid}/smaps`);
  writeFileSync(join(dir, 'smaps.end.gz'), gzip(smaps));
  writeFileSync(
    join(dir, 'pagemap.end.rle.gz'),
    gzip(readPagemapRuns(pid, rangesOf(smaps.toString('latin1')))),
  );
}

/** Writes the end snapshot of another process than the recorded one. */
export function writeOther(pid: number, dir: string): void {
  const own = join(dir, 'procs', String(pid));
  writeEnd(pid, own);
  const cmdline = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
  writeFileSync(join(own, 'cmdline'), cmdline, 'latin1');
}
