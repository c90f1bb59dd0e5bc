/**
 * Reads and writes result files: lines of JSON, either of runs (results.jsonl of `faultline fuzz`) or of sums (fidelity/results.jsonl).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { UsageError } from '../../base/assert.ts';
import { RESULT_FORMAT, type ResultLine } from '../fuzz/runFiles.ts';
import type { CountedLine } from './counted.ts';

const WANTED = 'results.jsonl of `faultline fuzz`, or fidelity/results.jsonl of another repository';

/** Reads the sums that come with the program; none when there is no file. */
export function readCounted(path: string): CountedLine[] {
  if (!existsSync(path)) return [];
  return linesOf(readFileSync(path, 'utf8')).map((line) => JSON.parse(line) as CountedLine);
}

/** Writes them. */
export function writeCounted(path: string, lines: readonly CountedLine[]): void {
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** Reads a file that somebody hands us. Throws UsageError with the place of what is wrong. */
export function readResults(file: string): (ResultLine | CountedLine)[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `--merge ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      WANTED,
    );
  }
  const isResult = checker();
  return linesOf(text).map((line, i) => {
    let json: unknown;
    try {
      json = JSON.parse(line);
    } catch {
      throw new UsageError('this is not JSON', WANTED, { file, line: i + 1, column: 1 });
    }
    const wrong = isResult(json);
    if (wrong !== null) throw new UsageError(wrong, WANTED, { file, line: i + 1, column: 1 });
    return json as ResultLine | CountedLine;
  });
}

/** Tells the two kinds of lines apart. */
export const isCountedLine = (line: ResultLine | CountedLine): line is CountedLine => 'seeds' in line;

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

/** Returns what says what is wrong with a line, or null. */
function checker(): (json: unknown) => string | null {
  const z = createRequire(import.meta.url)('zod/mini') as typeof import('zod/mini');
  const count = z.int().check(z.nonnegative());
  const both = {
    format: z.literal(RESULT_FORMAT),
    kernel: z.string(),
    config: z.object({
      thp: z.string(),
      shmemThp: z.string(),
      overcommit: count,
      maxMapCount: count,
      swapKb: count,
    }),
    mode: z.string(),
    draws: z.string(),
    sequences: count,
    ops: count,
    compared: z.object({ results: count, vmas: count, touches: count, pages: count, counts: count }),
    unsteady: z.array(count),
    coverage: z.array(z.string()),
  };
  const run = z.object({ ...both, seed: count, every: count, differing: z.array(count) });
  const seeds = z.array(z.tuple([count, count]));
  const sums = z.object({ ...both, seeds, open: z.array(count), closed: z.array(count) });
  return (json) => {
    const isSums = typeof json === 'object' && json !== null && 'seeds' in json;
    const parsed = (isSums ? sums : run).safeParse(json);
    if (parsed.success) return null;
    const [issue] = parsed.error.issues;
    return `${issue?.path.join('.') || 'the line'} is wrong or missing`;
  };
}
