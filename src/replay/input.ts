/**
 * What the parsers read: the files of one input, as lines of text.
 *
 * The edge (src/cli) opens files, unzips and decodes; a parser asks for a file by the name it has in a recording, without `.gz`.
 * A file may be asked for more than once (a second run over the same input), so `lines` starts over each time. Lines are never
 * collected by a parser: a 200 MB file costs what its longest line and its open calls cost.
 */

import type { RawLines } from './rawLines.ts';

/** The files of one input. */
export interface InputFiles {
  /** The input as the user named it; it stands before file names in messages. */
  readonly name: string;
  /** Tells whether the input has a file of that name (`maps.start`, `procs/17/maps.end`). */
  has(file: string): boolean;
  /** Returns the lines of a file, without their newlines; throws if there is no such file. */
  lines(file: string): Iterable<string>;
  /** Returns the same as bytes, where they are at hand. */
  rawLines?(file: string): RawLines;
  /** Returns the names of the files and directories directly in a directory of the input, in no particular order. */
  list?(directory: string): readonly string[];
}

/** Makes an input of texts held in memory: for tests, for the browser, for a text that came through a pipe. */
export function filesInMemory(name: string, texts: Readonly<Record<string, string>>): InputFiles {
  return {
    name,
    has: (file) => Object.hasOwn(texts, file),
    lines: (file) => splitLines(texts[file] ?? ''),
    list: (directory) => namesIn(directory, Object.keys(texts)),
  };
}

function splitLines(text: string): readonly string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function namesIn(directory: string, paths: readonly string[]): readonly string[] {
  const prefix = `${directory}/`;
  const names = paths
    .filter((path) => path.startsWith(prefix))
    .map((path) => path.slice(prefix.length).split('/')[0] ?? '');
  return [...new Set(names)];
}

/** Returns what a message calls a file: `redis/maps.end`. A bare file is called by its own name. */
export const pathIn = (files: InputFiles, file: string): string =>
  file === '' ? files.name : `${files.name}/${file}`;
