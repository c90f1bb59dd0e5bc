/**
 * Opening inputs in tests: small files, read whole. The command line has its own opener, which streams.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { filesInMemory, type InputFiles } from '../../src/replay/index.ts';

function readText(path: string): string {
  const bytes = readFileSync(path);
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
}

/** Opens a recording directory. */
export function openRecording(directory: string): InputFiles {
  const pathOf = (file: string): string | null =>
    [file, `${file}.gz`].map((name) => join(directory, name)).find((path) => existsSync(path)) ?? null;
  return {
    name: basename(directory),
    has: (file) => pathOf(file) !== null,
    lines: (file) => {
      const path = pathOf(file);
      if (path === null) throw new Error(`${directory} has no ${file}`);
      const lines = readText(path).split('\n');
      if (lines.at(-1) === '') lines.pop();
      return lines;
    },
    list: (sub) => (existsSync(join(directory, sub)) ? readdirSync(join(directory, sub)) : []),
  };
}

/** Opens a single file. */
export const openFile = (path: string): InputFiles => filesInMemory(basename(path), { '': readText(path) });

/** Returns the directories below `directory` that are recordings, sorted. */
export function recordingsIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name))
    .filter(
      (path) => existsSync(join(path, 'syscalls.strace.gz')) || existsSync(join(path, 'syscalls.strace')),
    );
}
