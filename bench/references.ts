/**
 * The reference programs: C programs of oracle/bench that do a benchmark's work on the running kernel. Built when they are first asked for.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What a reference program printed: numbers by name, and the hash of its address space. */
export interface Answer {
  readonly numbers: ReadonlyMap<string, number>;
  readonly hash: string;
}

/** Returns the root of the project, wherever this file was compiled to. */
function findRoot(): string {
  let folder = new URL('.', import.meta.url);
  while (!existsSync(new URL('oracle/bench', folder))) folder = new URL('..', folder);
  return fileURLToPath(folder);
}

/** Root of the project, with a slash at its end. */
export const ROOT: string = findRoot();

const SOURCES = `${ROOT}oracle/bench`;
const PROGRAMS = `${ROOT}node_modules/.cache/faultline/bench`;
const FLAGS = ['-std=gnu11', '-O2', '-Wall', '-Wextra'];
const LIMIT_MS = 120_000;

/** Builds and runs reference programs, as far as this machine can. */
export class References {
  /** Why there are none here, or null. */
  readonly missing: string | null = whyNone();
  readonly #built = new Set<string>();

  /** Runs the program of oracle/bench/NAME.c. Returns null where there are none; throws when it fails. */
  run(name: string, args: readonly (string | number)[]): Answer | null {
    if (this.missing !== null) return null;
    if (!this.#built.has(name)) build(name);
    this.#built.add(name);
    const result = spawnSync(`${PROGRAMS}/${name}`, args.map(String), {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    });
    if (result.status !== 0)
      throw new Error(
        `${name} ${args.join(' ')}: ${result.error?.message ?? `${result.signal ?? ''}${result.stderr}`}`,
      );
    const lines = result.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' '));
    const numbers = new Map(lines.map(([key, value]) => [key as string, Number(value)]));
    return { numbers, hash: lines.find(([key]) => key === 'hash')?.[1] ?? '' };
  }
}

function whyNone(): string | null {
  if (process.platform !== 'linux') return `no reference: this is ${process.platform}`;
  return spawnSync('cc', ['--version']).status === 0 ? null : 'no reference: no C compiler';
}

function build(name: string): void {
  const program = `${PROGRAMS}/${name}`;
  const changed = [`${SOURCES}/${name}.c`, `${SOURCES}/bench.h`].map((path) => statSync(path).mtimeMs);
  if ((statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0) > Math.max(...changed)) return;
  mkdirSync(PROGRAMS, { recursive: true });
  const result = spawnSync('cc', [...FLAGS, '-o', program, `${SOURCES}/${name}.c`], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`cc ${name}.c: ${result.stderr}`);
}
