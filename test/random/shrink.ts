/**
 * Cuts a case in which model and kernel differ down to a few operations with small numbers, in which they still differ.
 *
 * First operations go, in ever smaller groups, then numbers get smaller, until nothing can go. All candidates of a round are run at once.
 * Cost   some hundred short cases
 */
import type { Case } from '../spec/caseFile.ts';
import type { Expectation } from '../spec/expectation.ts';
import { firstDifference, type RandomDifference } from './differences.ts';
import { modelCase } from './randomCase.ts';

/** Runs cases on the kernel; null for one that did not come to its end. */
export type RunKernel = (cases: readonly Case[]) => readonly (readonly Expectation[] | null)[];

/** A case as its operations, and where it differs. */
export interface Shrunk {
  readonly operations: readonly string[];
  readonly difference: RandomDifference;
}

/** Operations whose numbers are bits, or mean something else when smaller. */
const FIXED_NUMBERS = /^(lockall|limit|fill|seals|mbind|at|drop|fork)/;

class Shrinker {
  readonly #run: RunKernel;
  readonly #withTables: boolean;

  constructor(run: RunKernel, withTables: boolean) {
    this.#run = run;
    this.#withTables = withTables;
  }

  /** Returns those candidates in which there is a difference, cut off behind it. */
  differing(candidates: readonly (readonly string[])[]): Shrunk[] {
    const cases = candidates.map((operations) => modelCase(operations, this.#withTables));
    const runnable = cases.filter((c) => c !== null);
    const seen = runnable.length === 0 ? [] : this.#run(runnable);
    return runnable.flatMap((c, i) => {
      const given = seen[i] ?? null;
      const found = given === null ? null : firstDifference(c, given);
      if (found === null) return [];
      const made = c.steps.slice(0, found.at + 1).map((s) => s.text);
      return [{ operations: made.filter((text) => !/^(vmas|tables)/.test(text)), difference: found }];
    });
  }

  removeOperations(from: Shrunk): Shrunk {
    let best = from;
    for (let size = best.operations.length >> 1; size >= 1; ) {
      const { operations } = best;
      const starts = Array.from({ length: Math.ceil(operations.length / size) }, (_, i) => i * size);
      const without = starts.map((i) => [...operations.slice(0, i), ...operations.slice(i + size)]);
      const found = this.differing(without).at(-1);
      if (found === undefined || found.operations.length >= operations.length) size >>= 1;
      else best = found;
    }
    return best;
  }

  /** Tries smaller numbers in operation `at`; returns what is left when one still differs. */
  lowerNumbers(from: Shrunk, at: number): Shrunk | null {
    const words = from.operations[at]?.split(' ') ?? [];
    if (FIXED_NUMBERS.test(words[0] ?? '')) return null;
    for (const [i, word] of words.entries()) {
      const n = Number(word);
      if (!/^\d+$/.test(word) || n === 0) continue;
      const smaller = [0, 1, n >> 1, n - (n % 512), n - 1].filter((m) => m < n);
      const candidates = smaller.map((m) => from.operations.with(at, words.with(i, String(m)).join(' ')));
      const found = this.differing(candidates)[0];
      if (found !== undefined) return found;
    }
    return null;
  }
}

/** Shrinks `c`, in which model and kernel differ; null when they do not differ again. */
export function shrink(c: Case, run: RunKernel): Shrunk | null {
  const shrinker = new Shrinker(
    run,
    c.steps.some((s) => s.text.startsWith('tables')),
  );
  const whole = c.steps.map((s) => s.text).filter((text) => !/^(vmas|tables)/.test(text));
  let best = shrinker.differing([whole])[0];
  if (best === undefined) return null;
  best = shrinker.removeOperations(best);
  for (let at = 0; at < best.operations.length; ) {
    const lower = shrinker.lowerNumbers(best, at);
    if (lower === null) at++;
    else best = lower;
  }
  return shrinker.removeOperations(best);
}
