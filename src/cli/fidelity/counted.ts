/**
 * What has been counted: the lines of fidelity/results.jsonl, each the sum of many runs of one mode on one kernel, and how a line of a run
 * is added to them.
 *
 * A sequence counts once. Its seed says which it is, together with the mode and the mark of what the mode draws; a run of seeds that are
 * there already adds nothing, but what differed before and agrees now is no longer open.
 */
import type { Compared } from '../../replay/play/check.ts';
import { addCompared, NOTHING_COMPARED } from '../fuzz/batch.ts';
import type { MachineConfig } from '../fuzz/machineFacts.ts';
import { RESULT_FORMAT, type ResultLine } from '../fuzz/runFiles.ts';

/** Seeds from `first` on, so many. */
export type SeedRange = readonly [first: number, count: number];

/** A line of fidelity/results.jsonl. */
export interface CountedLine {
  readonly format: typeof RESULT_FORMAT;
  readonly kernel: string;
  readonly config: MachineConfig;
  readonly mode: string;
  /** Mark of what the mode draws, see ResultLine. */
  readonly draws: string;
  /** In ascending order, none next to another. */
  readonly seeds: readonly SeedRange[];
  readonly sequences: number;
  readonly ops: number;
  readonly compared: Compared;
  /** Seeds of sequences that differed and have not agreed since; and of those that have. */
  readonly open: readonly number[];
  readonly closed: readonly number[];
  readonly unsteady: readonly number[];
  readonly coverage: readonly string[];
}

/** What came of adding a line: it counts, or all its seeds were there, or only some were: then it is left out. */
export type Added = 'counted' | 'there-already' | 'overlaps';

/** Lines to which others are added. */
export class CountedLines {
  readonly #lines: CountedLine[];

  constructor(lines: readonly CountedLine[]) {
    this.#lines = [...lines];
  }

  /** The lines, by kernel, settings, mode and mark. */
  get lines(): readonly CountedLine[] {
    const key = (line: CountedLine): string =>
      [line.kernel, JSON.stringify(line.config), line.mode, line.draws].join('\n');
    return this.#lines.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  /** Adds what one run did in one mode. */
  add(result: ResultLine): Added {
    const at = this.#lines.findIndex((line) => isSame(line, result));
    const line = at < 0 ? emptyLine(result) : (this.#lines[at] as CountedLine);
    const range: SeedRange = [result.seed, result.sequences];
    const already = line.seeds.reduce((sum, each) => sum + common(each, range), 0);
    if (already > 0 && already < result.sequences) return 'overlaps';
    const fresh = already === 0 ? counted(line, result, range) : closed(line, result);
    this.#lines.splice(at < 0 ? this.#lines.length : at, 1, fresh);
    return already === 0 ? 'counted' : 'there-already';
  }

  /** Adds a line of another file of this kind. @returns the ranges that were not counted, because they or parts of them were there */
  merge(other: CountedLine): readonly SeedRange[] {
    const at = this.#lines.findIndex((line) => isSame(line, other));
    if (at < 0) {
      this.#lines.push(other);
      return [];
    }
    const line = this.#lines[at] as CountedLine;
    const twice = other.seeds.filter((range) => line.seeds.some((each) => common(each, range) > 0));
    // The sums cannot be taken apart.
    if (twice.length > 0) return twice;
    this.#lines[at] = {
      ...line,
      seeds: joined([...line.seeds, ...other.seeds]),
      sequences: line.sequences + other.sequences,
      ops: line.ops + other.ops,
      compared: addCompared(line.compared, other.compared),
      open: sorted([...line.open, ...other.open]),
      closed: sorted([...line.closed, ...other.closed]),
      unsteady: sorted([...line.unsteady, ...other.unsteady]),
      coverage: [...new Set([...line.coverage, ...other.coverage])].sort(),
    };
    return [];
  }
}

const isSame = (a: CountedLine, b: CountedLine | ResultLine): boolean =>
  a.kernel === b.kernel &&
  a.mode === b.mode &&
  a.draws === b.draws &&
  JSON.stringify(a.config) === JSON.stringify(b.config);

const emptyLine = ({ kernel, config, mode, draws }: ResultLine): CountedLine => ({
  format: RESULT_FORMAT,
  kernel,
  config,
  mode,
  draws,
  seeds: [],
  sequences: 0,
  ops: 0,
  compared: NOTHING_COMPARED,
  open: [],
  closed: [],
  unsteady: [],
  coverage: [],
});

function counted(line: CountedLine, result: ResultLine, range: SeedRange): CountedLine {
  return {
    ...line,
    seeds: joined([...line.seeds, range]),
    sequences: line.sequences + result.sequences,
    ops: line.ops + result.ops,
    compared: addCompared(line.compared, result.compared),
    open: sorted([...line.open, ...result.differing]),
    unsteady: sorted([...line.unsteady, ...result.unsteady]),
    coverage: [...new Set([...line.coverage, ...result.coverage])].sort(),
  };
}

/** What differed and was run again: it is open if it differs still. */
function closed(line: CountedLine, { seed, sequences, differing }: ResultLine): CountedLine {
  const isRunAgain = (each: number): boolean => each >= seed && each < seed + sequences;
  const nowClosed = line.open.filter((each) => isRunAgain(each) && !differing.includes(each));
  const open = new Set([...line.open.filter((each) => !nowClosed.includes(each)), ...differing]);
  return {
    ...line,
    open: sorted([...open]),
    closed: sorted([...line.closed, ...nowClosed].filter((each) => !open.has(each))),
  };
}

const sorted = (seeds: readonly number[]): readonly number[] => seeds.toSorted((a, b) => a - b);

/** How many seeds two ranges have in common. */
const common = ([a, m]: SeedRange, [b, n]: SeedRange): number =>
  Math.max(0, Math.min(a + m, b + n) - Math.max(a, b));

/** Puts ranges in order and joins those that touch. */
function joined(ranges: readonly SeedRange[]): readonly SeedRange[] {
  const out: [number, number][] = [];
  for (const [first, count] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = out.at(-1);
    if (last !== undefined && last[0] + last[1] === first) last[1] += count;
    else out.push([first, count]);
  }
  return out;
}
