/**
 * Makes a sequence in which model and kernel differ short: operations are left out, then ranges made smaller, as long as there is still
 * a difference that the kernel repeats.
 *
 * Every candidate is run with a snapshot after each operation and cut off behind the operation where it first differs. The
 * difference that is left may be another one than at first; it is one.
 * Cost   a run of the kernel for each round of candidates, of which there are about two for each operation that stays
 */
import { checkLog, type OpsDifference } from './opsCheck.ts';

/** Runs sequences on the kernel; returns their logs in the same order. */
export type RunOps = (sequences: readonly (readonly string[])[]) => readonly string[];

/** A short sequence, its log, and how it differs. */
export interface ShrunkOps {
  readonly lines: readonly string[];
  readonly log: string;
  readonly difference: OpsDifference;
}

/** The lines of one number, without it: an operation, and what belongs to it. */
type Step = readonly string[];

const numberOf = (line: string): string => /^\d+/.exec(line)?.[0] ?? '';

function stepsOf(lines: readonly string[]): Step[] {
  const steps: string[][] = [];
  let last = '';
  for (const line of lines) {
    const number = numberOf(line);
    if (number === '') continue;
    if (number === last) steps.at(-1)?.push(line.slice(number.length));
    else steps.push([line.slice(number.length)]);
    last = number;
  }
  return steps;
}

const linesOf = (header: string, steps: readonly Step[]): string[] => [
  header,
  ...steps.flatMap((step, i) => [...step.map((call) => `${i + 1}${call}`), `snapshot ${i + 1}`]),
];

/** Returns how many steps a log needs to show its first difference. */
function stepsUpTo(log: string, difference: OpsDifference): number {
  const nr = Number(/^line (\d+)/.exec(difference.what)?.[1] ?? Number.POSITIVE_INFINITY);
  let last = 0;
  for (const line of log.split('\n').slice(0, nr))
    last = Number(/^(?:snapshot )?(\d+)/.exec(line)?.[1] ?? last);
  return last;
}

class OpsShrinker {
  readonly #header: string;
  readonly #run: RunOps;

  constructor(header: string, run: RunOps) {
    this.#header = header;
    this.#run = run;
  }

  /** Returns the shortest of those candidates that differ, in two runs, or null. */
  best(candidates: readonly (readonly Step[])[]): (ShrunkOps & { readonly steps: readonly Step[] }) | null {
    const logs = this.#run(candidates.map((steps) => linesOf(this.#header, steps)));
    const found = candidates
      .flatMap((steps, i) => {
        const log = logs[i] ?? '';
        const difference = checkLog(log);
        return difference === null ? [] : [{ steps: steps.slice(0, stepsUpTo(log, difference)) }];
      })
      .sort((a, b) => a.steps.length - b.steps.length);
    for (const { steps } of found.slice(0, 4)) {
      const lines = linesOf(this.#header, steps);
      const [log = '', again = ''] = this.#run([lines, lines]);
      const difference = checkLog(log);
      if (difference !== null && checkLog(again)?.what === difference.what)
        return { steps, lines, log, difference };
    }
    return null;
  }
}

/** Returns a step with a smaller number of bytes, for each way to make it smaller. */
function smaller(step: Step): Step[] {
  const [call = ''] = step;
  const match = /^( \w+\((?:\d, )?(?:\w+, \w+, )?0x[0-9a-f]+, )(\d+)(.*)$/.exec(call);
  if (match === null || step.length > 1 || call.startsWith(' mremap')) return [];
  const [, before = '', bytes = '', after = ''] = match;
  const pages = Number(bytes) / 4096;
  return [1, pages >> 1, pages - 1]
    .filter((fewer) => fewer > 0 && fewer < pages)
    .map((fewer) => [`${before}${fewer * 4096}${after}`]);
}

/**
 * Shrinks a sequence.
 * @param lines  as opsSequence makes them
 * @returns      null when the difference does not come again
 */
export function shrinkOps(lines: readonly string[], run: RunOps): ShrunkOps | null {
  const shrinker = new OpsShrinker(lines[0] ?? '', run);
  let best = shrinker.best([stepsOf(lines)]);
  if (best === null) return null;
  for (let size = best.steps.length >> 1; size >= 1; ) {
    const { steps } = best;
    const starts = Array.from({ length: Math.ceil(steps.length / size) }, (_, i) => i * size);
    const found = shrinker.best(starts.map((i) => [...steps.slice(0, i), ...steps.slice(i + size)]));
    if (found === null || found.steps.length >= steps.length) size >>= 1;
    else best = found;
  }
  for (let at = 0; at < best.steps.length; ) {
    const { steps } = best;
    const found = shrinker.best(smaller(steps[at] ?? []).map((step) => steps.with(at, step)));
    if (found === null) at++;
    else best = found;
  }
  return best;
}
