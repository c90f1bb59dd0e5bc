/**
 * The folder of a fuzzing run: `state`, from which `--resume` goes on; `results.jsonl`, a line a run and mode; a file for each difference.
 *
 * `state` is replaced as a whole, so that it is whole whenever the run is killed.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../base/assert.ts';
import { fuzzSequence } from '../../fuzz/index.ts';
import type { Mode } from './batch.ts';
import type { MachineFacts } from './machineFacts.ts';
import type { Sums } from './totals.ts';

/** Format of the files; another number is another format. */
export const RESULT_FORMAT = 1 as const;

/** What one run did in one mode: a line of results.jsonl. */
export interface ResultLine extends MachineFacts, Sums {
  readonly format: typeof RESULT_FORMAT;
  readonly faultline: string;
  readonly mode: string;
  /** What the sequences of the mode are, in this version: with the same seed and the same mark they are the same. */
  readonly draws: string;
  /** Seed of the first sequence. */
  readonly seed: number;
  /** How many operations lay between two snapshots. */
  readonly every: number;
}

/** Where a run stands. */
export interface RunState {
  readonly format: typeof RESULT_FORMAT;
  /** What --mode was. */
  readonly mode: string;
  readonly seed: number;
  readonly every: number;
  /** How long it has run. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly modes: Readonly<Record<string, ModeState>>;
}

/** Where it stands in one mode. */
export interface ModeState {
  readonly draws: string;
  /** The first seed that has not been counted. */
  readonly next: number;
  readonly sums: Sums;
}

/** Files of a run. */
export class RunFiles {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes the folder. Throws UsageError when it cannot be made. */
  make(): void {
    try {
      mkdirSync(this.folder, { recursive: true });
    } catch (error) {
      throw new UsageError(
        `--output ${this.folder}: ${error instanceof Error ? error.message : String(error)}`,
        'a directory, or where one can be made',
      );
    }
  }

  /** Returns where the run stands that was left here. Throws UsageError when there is none. */
  state(): RunState {
    const path = join(this.folder, 'state');
    if (!existsSync(path))
      throw new UsageError(
        `there is no run to resume: no file ${path}`,
        'a directory that --output named before',
      );
    const state = JSON.parse(readFileSync(path, 'utf8')) as Partial<RunState>;
    if (state.format !== RESULT_FORMAT)
      throw new UsageError(`${path} was written by another version`, 'a run begun with this one');
    return state as RunState;
  }

  /** Writes where the run stands. */
  writeState(state: RunState): void {
    const path = join(this.folder, 'state');
    writeFileSync(`${path}.new`, `${JSON.stringify(state)}\n`);
    renameSync(`${path}.new`, path);
  }

  /** Adds the lines of a run. */
  addResults(lines: readonly ResultLine[]): void {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    appendFileSync(join(this.folder, 'results.jsonl'), text);
  }

  /** Writes the file of a difference. @returns its path */
  writeDifference(mode: string, seed: number, text: string): string {
    const path = join(this.folder, `${mode}-${seed}.ops`);
    writeFileSync(path, text);
    return path;
  }

  /** Removes it: the difference did not come again. */
  removeDifference(mode: string, seed: number): void {
    rmSync(join(this.folder, `${mode}-${seed}.ops`), { force: true });
  }
}

/** Sequences that go into the mark of a mode, and their length. */
const MARKED = { sequences: 3, ops: 200 };

/** Returns a mark of what a mode draws: another generator has another. */
export function drawsMark(mode: Mode): string {
  const hash = createHash('sha256');
  for (let seed = 1; seed <= MARKED.sequences; seed++)
    hash.update(fuzzSequence({ mode, seed, ops: MARKED.ops, every: MARKED.ops }).join('\n'));
  return hash.digest('hex').slice(0, 8);
}
