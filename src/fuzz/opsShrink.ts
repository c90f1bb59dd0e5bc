/**
 * Makes a sequence in which model and kernel differ short: operations are left out, then children, then ranges, addresses and flags made
 * smaller, as long as there is still a difference that the kernel repeats.
 *
 * A candidate is cut off behind the operation where it first differs. The difference that is left may be another one than at first;
 * it is one. Snapshots are asked for where the difference needs them.
 * Cost   bounded by `budget`: the operations that the kernel carries out, about 15 s of them by default
 */
import { UsageError } from '../base/assert.ts';
import { checkLog, type OpsDifference } from './opsCheck.ts';
import {
  closerSteps,
  fewerChildren,
  fewerContexts,
  livingSteps,
  renumbered,
  type Step,
  simplerSteps,
} from './shrinkSteps.ts';

/** Runs sequences on the kernel; returns their logs in the same order. */
export type RunOps = (sequences: readonly (readonly string[])[]) => readonly string[];

/** A short sequence, its log, and how it differs. */
export interface ShrunkOps {
  readonly lines: readonly string[];
  readonly log: string;
  readonly difference: OpsDifference;
}

/** How far to go. */
export interface ShrinkOptions {
  /** How many lines the kernel may be asked for in all; 60,000 if not given. */
  readonly budget?: number;
  /** Whether to stop with what there is. */
  readonly isOver?: () => boolean;
  /** Holds a log against the model; checkLog if not given. */
  readonly check?: (log: string) => OpsDifference | null;
}

const BUDGET = 60_000;
/** How many candidates are run at once where the first that differs is taken. */
const BATCH = 8;

/** Which snapshots a candidate asks for. */
type Snapshots = 'none' | 'last' | 'first-and-last' | 'all';

interface Found extends ShrunkOps {
  readonly steps: readonly Step[];
}

const numberOf = (line: string): string => /^\d+/.exec(line)?.[0] ?? '';

/** Lines of one number are steps of their own, unless they use where the line before was placed. */
function stepsOf(lines: readonly string[]): Step[] {
  const steps: string[][] = [];
  let last = '';
  for (const line of lines) {
    const number = numberOf(line);
    if (number === '') continue;
    const call = line.slice(number.length).trimStart();
    if (number === last && /\bplaced\b/.test(call)) steps.at(-1)?.push(call);
    else steps.push([call]);
    last = number;
  }
  return steps;
}

function linesOf(header: string, steps: readonly Step[], snapshots: Snapshots): string[] {
  const lines = [header.replace(/ ops \d+ /, ` ops ${steps.length} `)];
  if (snapshots === 'all' || snapshots === 'first-and-last') lines.push('snapshot 0');
  for (const [i, step] of steps.entries()) {
    for (const call of step) lines.push(`${i + 1} ${call}`);
    const isLast = i === steps.length - 1 && snapshots !== 'none';
    if (isLast || snapshots === 'all') lines.push(`snapshot ${i + 1}`);
  }
  return lines;
}

const textOf = (steps: readonly Step[]): string => steps.flat().join('\n');

/** Returns how many steps a log needs to show its first difference. */
function stepsUpTo(log: string, difference: OpsDifference): number {
  const nr = Number(/^line (\d+)/.exec(difference.what)?.[1] ?? Number.POSITIVE_INFINITY);
  let last = 0;
  for (const line of log.split('\n').slice(0, nr))
    last = Number(/^(?:snapshot )?(\d+)/.exec(line)?.[1] ?? last);
  return last;
}

/** What is left after dropping may have an answer that no sequence has (a read of a context that waits for ever): that is no difference. */
function answerOf(check: () => OpsDifference | null): OpsDifference | null {
  try {
    return check();
  } catch (error) {
    if (error instanceof UsageError) return null;
    throw error;
  }
}

class OpsShrinker {
  readonly #header: string;
  readonly #run: RunOps;
  readonly #options: ShrinkOptions;
  readonly #check: (log: string) => OpsDifference | null;
  #left: number;
  #snapshots: Snapshots = 'all';

  constructor(header: string, run: RunOps, options: ShrinkOptions) {
    this.#header = header;
    this.#run = run;
    this.#options = options;
    const check = options.check ?? ((log) => checkLog(log));
    this.#check = (log) => answerOf(() => check(log));
    this.#left = options.budget ?? BUDGET;
  }

  get isOver(): boolean {
    return this.#left <= 0 || this.#options.isOver?.() === true;
  }

  /** Runs candidates; null for each that does not differ. */
  #differing(wanted: readonly (readonly Step[])[], snapshots = this.#snapshots): (Found | null)[] {
    // Where userfaultfd is watched the kernel numbers children in the order of their forks.
    const candidates = wanted.map((steps) => renumbered(livingSteps(steps)));
    const sequences = candidates.map((steps) => linesOf(this.#header, steps, snapshots));
    for (const lines of sequences) this.#left -= lines.length;
    const logs = sequences.length === 0 ? [] : this.#run(sequences);
    return candidates.map((steps, i) => {
      const log = logs[i] ?? '';
      const difference = this.#check(log);
      if (difference === null) return null;
      const lines = sequences[i] as string[];
      return { steps: steps.slice(0, stepsUpTo(log, difference)), lines, log, difference };
    });
  }

  /** Does the same for many candidates; for those that there is no time for there is no answer. */
  #each(candidates: readonly (readonly Step[])[]): (Found | null)[] {
    const found: (Found | null)[] = [];
    for (let at = 0; at < candidates.length && !this.isOver; at += BATCH)
      found.push(...this.#differing(candidates.slice(at, at + BATCH)));
    return found;
  }

  /** Returns a candidate cut off behind its difference, run anew, if it still differs. */
  confirm(found: Found, snapshots = this.#snapshots): Found | null {
    return this.#differing([found.steps], snapshots)[0] ?? null;
  }

  /** Returns the first of those candidates that differ, in two runs; null when none does or there is no time. */
  first(candidates: readonly (readonly Step[])[]): Found | null {
    for (let at = 0; at < candidates.length && !this.isOver; at += BATCH)
      for (const found of this.#differing(candidates.slice(at, at + BATCH))) {
        const again = found === null ? null : this.confirm(found);
        if (again !== null) return again;
      }
    return null;
  }

  /** Runs the whole sequence. From then on only the last snapshot is asked for, if the difference does not need the others. */
  begin(steps: readonly Step[]): Found | null {
    const found = this.first([steps]);
    if (found === null) return null;
    this.#snapshots = 'first-and-last';
    const again = this.confirm(found);
    if (again !== null) return again;
    this.#snapshots = 'all';
    return found;
  }

  /** Leaves out groups of operations, ever smaller ones. */
  dropSteps(from: Found): Found {
    let best = from;
    for (let size = Math.max(1, best.steps.length >> 1); size >= 1 && !this.isOver; ) {
      const { steps } = best;
      const groups = Array.from({ length: Math.ceil(steps.length / size) }, (_, i) => i);
      const keep = (dropped: ReadonlySet<number>): Step[] =>
        steps.filter((_, i) => !dropped.has(Math.floor(i / size)));
      const alone = this.#each(groups.map((group) => keep(new Set([group]))));
      const droppable = groups.filter((group) => (alone[group] ?? null) !== null);
      // What can go alone can go together, most often.
      const together = [droppable, droppable.slice(droppable.length >> 1), droppable.slice(-1)];
      const found = droppable.length === 0 ? null : this.first(together.map((some) => keep(new Set(some))));
      if (found !== null && found.steps.length < steps.length) {
        best = found;
        size = Math.min(size, Math.max(1, best.steps.length >> 1));
      } else if (size === 1) break;
      else size >>= 1;
    }
    return best;
  }

  /** Makes what is left simpler, as a whole and operation by operation. */
  simplify(from: Found): Found {
    let best = from;
    // What was tried is not tried again: two forms of the same may each count as simpler than the other.
    const tried = new Set([textOf(from.steps)]);
    const take = (candidates: readonly (readonly Step[])[]): boolean => {
      const fresh = candidates.filter((steps) => !tried.has(textOf(steps)));
      for (const steps of fresh) tried.add(textOf(steps));
      const found = this.first(fresh);
      if (found !== null) best = found;
      return found !== null;
    };
    while (take(fewerChildren(best.steps)));
    while (take(fewerContexts(best.steps)));
    while (take(closerSteps(best.steps)));
    for (let at = 0; at < best.steps.length && !this.isOver; ) {
      const { steps } = best;
      if (!take(simplerSteps(steps[at] as Step).map((step) => steps.with(at, step)))) at++;
    }
    return best;
  }

  /** Asks for as few snapshots as show the difference; numbers children from 0. */
  finish(from: Found): Found {
    const fewest: readonly Snapshots[] = ['none', 'last', 'first-and-last', 'all'];
    for (const steps of [renumbered(from.steps), from.steps])
      for (const snapshots of fewest) {
        const found = this.#differing([steps], snapshots)[0] ?? null;
        const again = found === null ? null : this.confirm(found, snapshots);
        if (again !== null) return again;
      }
    return from;
  }
}

/**
 * Shrinks a sequence.
 * @param lines  as fuzzSequence makes them
 * @returns      null when the difference does not come again
 */
export function shrinkOps(
  lines: readonly string[],
  run: RunOps,
  options: ShrinkOptions = {},
): ShrunkOps | null {
  const shrinker = new OpsShrinker(lines[0] ?? '', run, options);
  let best = shrinker.begin(stepsOf(lines));
  if (best === null) return null;
  for (let before = Number.POSITIVE_INFINITY; best.steps.length < before && !shrinker.isOver; ) {
    best = shrinker.dropSteps(best);
    before = best.steps.length;
    best = shrinker.dropSteps(shrinker.simplify(best));
  }
  const { lines: short, log, difference } = shrinker.finish(best);
  return { lines: short, log, difference };
}
