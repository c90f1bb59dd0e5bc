/**
 * A sequence with the kernel's answers against the model: where they first differ, and how much was compared.
 */
import { ModelBug, Unmodelled } from '../base/assert.ts';
import { opsLogItems } from '../replay/index.ts';
import { Checker, type Compared } from '../replay/play/check.ts';
import type { PlayOptions } from '../replay/play/player.ts';

/** Where model and kernel differ, in a line each. */
export interface OpsDifference {
  /** What differs, with the line of the log. */
  readonly what: string;
  readonly kernel: string;
  readonly ours: string;
}

/** What playing a log gave. */
export interface LogCheck {
  /** The first difference; null: the model agrees. */
  readonly difference: OpsDifference | null;
  /** How many results, lines about vmas, pages and numbers were held against the kernel's. */
  readonly compared: Compared;
  /** The checker that played it, with its machine as it was at the end. */
  readonly checker: Checker;
}

/** The first line of a sequence. */
export const isHeader = (line: string): boolean => HEADER.test(line);

const HEADER = /^# opfuzz(-uffd)? format 1 /;

/** Takes the output of a run of several sequences, or a file of several, apart. Comments before and between them are left out. */
export function logsIn(output: string): string[] {
  return output
    .split(/^(?=# opfuzz(?:-uffd)? format 1 )/m)
    .filter((log) => isHeader(log))
    .map((log) =>
      log
        .split('\n')
        .filter((line, i) => i === 0 || !line.startsWith('#'))
        .join('\n')
        .trimEnd(),
    );
}

/**
 * Plays a log and compares everything in it.
 * @param options  `events` and `outcomes` are told what happens in the model
 * @returns        a log that breaks off (`died …`), an operation that the model refuses and an invariant that it finds broken differ too
 */
export function playLog(log: string, options: PlayOptions = {}): LogCheck {
  const checker = new Checker(options);
  const result = (difference: OpsDifference | null): LogCheck => ({
    difference,
    compared: checker.compared,
    checker,
  });
  const died = log.includes('\ndied ') ? /^died .*$/m.exec(log) : null;
  if (died !== null) return result({ what: 'the executor', kernel: died[0], ours: '' });
  try {
    checker.run(opsLogItems('log', log));
  } catch (error) {
    // An earlier difference may be why the model broke.
    const [first] = checker.differences;
    if (first !== undefined)
      return result({ what: `line ${first.line}: ${first.what}`, kernel: first.kernel, ours: first.ours });
    if (!(error instanceof ModelBug) && !(error instanceof Unmodelled)) throw error;
    return result({ what: error.name, kernel: '', ours: error.message });
  }
  const [first] = checker.differences;
  if (first === undefined) return result(null);
  return result({ what: `line ${first.line}: ${first.what}`, kernel: first.kernel, ours: first.ours });
}

/** Plays a log as playLog does. @returns null when the model agrees; else the first difference */
export const checkLog = (log: string, options: PlayOptions = {}): OpsDifference | null =>
  playLog(log, options).difference;
