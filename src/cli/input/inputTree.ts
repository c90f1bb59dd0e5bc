/**
 * A directory of inputs instead of one: finds the recordings and ops files in it.
 *
 * A recording is a directory with `syscalls.strace`, plain or zipped; what is in it is not looked at. Other files are passed over and
 * counted; operations with userfaultfd, which are not modelled yet, are named.
 */
import { type Dirent, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UsageError } from '../../base/assert.ts';
import { counted } from '../../report/index.ts';
import { openBytes, STDIN, statOf } from './byteSource.ts';
import { CALLS, findFile, formatOf } from './inputFiles.ts';

/** An input in a directory that cannot be played, and why. */
export interface SkippedInput {
  readonly name: string;
  readonly why: string;
}

/** What an argument stands for. */
export interface ExpandedInput {
  readonly inputs: readonly string[];
  readonly skipped: readonly SkippedInput[];
  /** What was expanded, as a sentence; null if the argument is an input itself. */
  readonly said: string | null;
}

const DEPTH_MAX = 8;

/** Returns the inputs an argument stands for: itself, or those in the directory it names, in the order of their names. */
function expandInput(text: string): ExpandedInput {
  const asItIs: ExpandedInput = { inputs: [text], skipped: [], said: null };
  if (text === STDIN || text.startsWith('workload:') || !statOf(text).isDirectory()) return asItIs;
  if (findFile(text, CALLS) !== null) return asItIs;
  const found: Found = { recordings: [], ops: [], skipped: [], others: 0 };
  walk(text.replace(/(?<=.)\/+$/, ''), 0, found);
  const { recordings, ops, skipped, others } = found;
  if (recordings.length + ops.length + skipped.length === 0)
    throw new UsageError(
      `${text} has no ${CALLS}, and no recording or ops file is in it`,
      `a recording directory (with ${CALLS} and maps.start), or a directory that holds some`,
    );
  const parts = [counted(recordings.length, 'recording'), counted(ops.length, 'ops file')];
  if (skipped.length > 0) parts.push(`${skipped.length} skipped`);
  if (others > 0) parts.push(`${counted(others, 'other file')} passed over`);
  return { inputs: [...recordings, ...ops], skipped, said: `${text}: ${parts.join(', ')}` };
}

/** Expands every argument. A directory without inputs stays an input, which cannot be read: whoever opens it says so in its turn. */
export function expandInputs(texts: readonly string[]): readonly ExpandedInput[] {
  return texts.map((text) => {
    try {
      return expandInput(text);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return { inputs: [text], skipped: [], said: null };
    }
  });
}

/** Says what was skipped: a line for each directory and reason. */
export function skippedLines(skipped: readonly SkippedInput[]): readonly string[] {
  const groups = new Map<string, SkippedInput[]>();
  for (const each of skipped) {
    const key = `${dirname(each.name)}\n${each.why}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()].map((group) => {
    const { name, why } = group[0] as SkippedInput;
    return group.length === 1
      ? `skipped ${name}: ${why}`
      : `skipped ${group.length} files of ${dirname(name)}: ${why}`;
  });
}

interface Found {
  readonly recordings: string[];
  readonly ops: string[];
  readonly skipped: SkippedInput[];
  others: number;
}

function walk(directory: string, depth: number, found: Found): void {
  for (const entry of entriesOf(directory)) {
    const path = join(directory, entry.name);
    if (isDirectory(entry, path)) {
      if (findFile(path, CALLS) !== null) found.recordings.push(path);
      else if (depth < DEPTH_MAX) walk(path, depth + 1, found);
    } else if (/\.ops(\.gz)?$/.test(entry.name)) takeOps(path, found);
    else found.others++;
  }
}

function takeOps(path: string, found: Found): void {
  if (isUffd(path))
    found.skipped.push({ name: path, why: 'operations with userfaultfd are not modelled yet' });
  else found.ops.push(path);
}

/** A file that cannot be read is left to the command, which says what is wrong with it. */
function isUffd(path: string): boolean {
  try {
    return formatOf(openBytes(path)) === 'opfuzz-uffd';
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** Sorts numbers in names by value: 2.ops before 11.ops. */
const byName = new Intl.Collator('en', { numeric: true });

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).sort((a, b) => byName.compare(a.name, b.name));
  } catch (error) {
    throw new UsageError(
      `cannot read ${directory}: ${(error as Error).message}`,
      'a directory that may be read',
    );
  }
}

function isDirectory(entry: Dirent, path: string): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  try {
    return statOf(path).isDirectory();
  } catch {
    // A link that leads nowhere is a file that is passed over.
    return false;
  }
}
