/**
 * A directory of inputs instead of one: finds the recordings and ops files in it.
 *
 * A recording is a directory with `syscalls.strace`, plain or zipped; what is in it is not looked at. Other files are passed over and counted.
 */
import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../base/assert.ts';
import { counted } from '../../report/index.ts';
import { STDIN, statOf } from './byteSource.ts';
import { CALLS, findFile } from './inputFiles.ts';

/** What an argument stands for. */
export interface ExpandedInput {
  readonly inputs: readonly string[];
  /** What was expanded, as a sentence; null if the argument is an input itself. */
  readonly said: string | null;
}

const DEPTH_MAX = 8;

/** Returns the inputs an argument stands for: itself, or those in the directory it names, in the order of their names. */
function expandInput(text: string): ExpandedInput {
  const asItIs: ExpandedInput = { inputs: [text], said: null };
  if (text === STDIN || text.startsWith('workload:') || !statOf(text).isDirectory()) return asItIs;
  if (findFile(text, CALLS) !== null) return asItIs;
  const found: Found = { recordings: [], ops: [], others: 0 };
  walk(text.replace(/(?<=.)\/+$/, ''), 0, found);
  const { recordings, ops, others } = found;
  if (recordings.length + ops.length === 0)
    throw new UsageError(
      `${text} has no ${CALLS}, and no recording or ops file is in it`,
      `a recording directory (with ${CALLS} and maps.start), or a directory that holds some`,
    );
  const parts = [counted(recordings.length, 'recording'), counted(ops.length, 'ops file')];
  if (others > 0) parts.push(`${counted(others, 'other file')} passed over`);
  return { inputs: [...recordings, ...ops], said: `${text}: ${parts.join(', ')}` };
}

/** Expands every argument. A directory without inputs stays an input, which cannot be read: whoever opens it says so in its turn. */
export function expandInputs(texts: readonly string[]): readonly ExpandedInput[] {
  return texts.map((text) => {
    try {
      return expandInput(text);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return { inputs: [text], said: null };
    }
  });
}

interface Found {
  readonly recordings: string[];
  readonly ops: string[];
  others: number;
}

function walk(directory: string, depth: number, found: Found): void {
  for (const entry of entriesOf(directory)) {
    const path = join(directory, entry.name);
    if (isDirectory(entry, path)) {
      if (findFile(path, CALLS) !== null) found.recordings.push(path);
      else if (depth < DEPTH_MAX) walk(path, depth + 1, found);
    } else if (/\.ops(\.gz)?$/.test(entry.name)) found.ops.push(path);
    else found.others++;
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
