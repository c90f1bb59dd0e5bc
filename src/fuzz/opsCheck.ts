/**
 * A sequence with the kernel's answers against the model: where they first differ.
 */
import { ModelBug, Unmodelled } from '../base/assert.ts';
import { filesInMemory, opsItems } from '../replay/index.ts';
import { Checker } from '../replay/play/check.ts';
import type { PlayOptions } from '../replay/play/player.ts';

/** Where model and kernel differ, in a line each. */
export interface OpsDifference {
  /** What differs, with the line of the log. */
  readonly what: string;
  readonly kernel: string;
  readonly ours: string;
}

/** The first line of a sequence. */
export const isHeader = (line: string): boolean => line.startsWith('# opfuzz format 1 ');

/** Takes the output of a run of several sequences apart. */
export function logsIn(output: string): string[] {
  return output
    .split(/^(?=# opfuzz format 1 )/m)
    .filter((log) => isHeader(log))
    .map((log) => log.trimEnd());
}

/**
 * Plays a log and compares everything in it.
 * @returns null when the model agrees; else the first difference. A log that breaks off (`died …`), an operation that the model refuses
 *          and an invariant that it finds broken are differences as well.
 */
export function checkLog(log: string, options: PlayOptions = {}): OpsDifference | null {
  const died = /^died .*$/m.exec(log);
  if (died !== null) return { what: 'the executor', kernel: died[0], ours: '' };
  const checker = new Checker(options);
  try {
    checker.run(opsItems(filesInMemory('log', { '': log })));
  } catch (error) {
    if (!(error instanceof ModelBug) && !(error instanceof Unmodelled)) throw error;
    return { what: error.name, kernel: '', ours: error.message };
  }
  const [first] = checker.differences;
  if (first === undefined) return null;
  return { what: `line ${first.line}: ${first.what}`, kernel: first.kernel, ours: first.ours };
}
