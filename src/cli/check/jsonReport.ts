/**
 * The report of `check --json`: one line for each input, printed when the input is done.
 *
 * `compared` counts answers (`results`), lines of maps, flags and internals (`vmas`), accesses (`touches`, each of which must be served
 * or signalled as it was), `pages`, and numbers (`counts`: what a fault found, faults charged, figures of smaps, totals of status, page tables);
 * `total` is the sum of the first two. `differences` is their number, `first` the first of them.
 */
import type { Difference } from '../../replay/play/difference.ts';
import { failureJson } from '../exitStatus.ts';
import { print } from '../output.ts';
import type { CheckResult } from './checkOne.ts';

/** Prints results as JSON lines. */
export class JsonReport {
  readonly #maxDifferences: number;

  /** @param maxDifferences  how many of the differences of an input are listed */
  constructor(maxDifferences: number) {
    this.#maxDifferences = maxDifferences;
  }

  /** Prints one result. */
  add(result: CheckResult): void {
    print(`${JSON.stringify(jsonOf(result, this.#maxDifferences))}\n`);
  }

  /** Everything was printed as it came. */
  end(): void {}
}

function jsonOf(result: CheckResult, maxDifferences: number): object {
  const { compared, differences, failure } = result;
  const [first] = differences;
  return {
    input: result.input,
    ok: result.ok,
    compared: { ...compared, total: compared.results + compared.vmas },
    differences: differences.length,
    first: first === undefined ? null : differenceJson(first),
    ...(failure === null ? {} : { error: failureJson(failure) }),
    format: result.format,
    ops: result.ops,
    placements: { chosen: result.placement.chosen, predicted: result.placement.predicted },
    reordered: result.reordered,
    warnings: result.warnings.map(({ what, text, count, file, line }) => ({ what, text, count, file, line })),
    notCompared: result.nothing === null ? result.notCompared : [result.nothing],
    list: differences.slice(0, maxDifferences).map(differenceJson),
  };
}

function differenceJson({ file, line, op, kind, what, kernel, ours }: Difference): object {
  return { file, line, op, kind, what, kernel, ours };
}
