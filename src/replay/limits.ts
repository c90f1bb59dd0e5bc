/**
 * `/proc/PID/limits`: a heading, then one line per resource in columns of fixed width: name, soft, hard, units.
 *
 * Linux   fs/proc/base.c, proc_pid_limits()
 */
import { RLIM_INFINITY, RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK } from '../abi/mman.ts';
import { type InputFiles, pathIn } from './input.ts';
import { Scanner } from './scanner.ts';

/** A limit: soft and hard value, RLIM_INFINITY for "unlimited". */
export interface Limit {
  readonly soft: number;
  readonly hard: number;
}

/** The names that /proc gives the limits memory management tests, with their numbers. */
const RESOURCES: ReadonlyMap<string, number> = new Map([
  ['Max data size', RLIMIT_DATA],
  ['Max stack size', RLIMIT_STACK],
  ['Max locked memory', RLIMIT_MEMLOCK],
  ['Max address space', RLIMIT_AS],
]);

function scanValue(at: Scanner): number {
  at.blanks();
  return at.accept('unlimited') ? RLIM_INFINITY : at.decimal('a number or "unlimited"');
}

/** Reads a limits file into the limits memory management tests, by their RLIMIT number; other lines are passed over. */
export function readLimits(files: InputFiles, file: string): ReadonlyMap<number, Limit> {
  const at = new Scanner(pathIn(files, file));
  const limits = new Map<number, Limit>();
  let line = 0;
  for (const text of files.lines(file)) {
    at.start(text, ++line);
    if (line === 1 && !text.startsWith('Limit '))
      at.missing('the heading "Limit  Soft Limit  Hard Limit  Units"');
    for (const [name, resource] of RESOURCES) {
      if (!at.accept(`${name} `)) continue;
      limits.set(resource, { soft: scanValue(at), hard: scanValue(at) });
    }
  }
  for (const [name, resource] of RESOURCES) {
    if (!limits.has(resource))
      at.fail(`there is no line "${name}"`, 'all limits, as /proc/PID/limits prints them', 0);
  }
  return limits;
}
