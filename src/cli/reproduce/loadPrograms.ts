/**
 * The programs of oracle/experiments: each compiled when it is needed, run, and what it prints read.
 *
 * Needs Linux and a C compiler, no privileges.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../base/assert.ts';

/** The programs, and what is compiled with them. */
const PROGRAMS = {
  freeBuffers: [],
  mergeLoads: [],
  movePages: [],
  protectRange: [],
  compaction: [],
  slideSwapped: ['../cost/setup.c'],
} as const;

/** One of them. */
export type LoadProgram = keyof typeof PROGRAMS;

const LIMIT_MS = 300_000;

/** Compiles and runs them in a directory of its own, until `remove`. */
export class LoadPrograms {
  readonly #directory = mkdtempSync(join(tmpdir(), 'faultline-'));
  readonly #compiled = new Map<LoadProgram, string>();

  /** Throws UsageError where there is no Linux. */
  constructor() {
    if (process.platform === 'linux') return;
    this.remove();
    throw new UsageError(`--measure asks the running kernel, and this is ${process.platform}`, 'Linux');
  }

  /** Runs one of them and returns the numbers that it prints. Throws UsageError when it cannot be compiled or fails. */
  run(program: LoadProgram, args: readonly (string | number)[], input = ''): number[] {
    const path = this.#compiled.get(program) ?? compiled(program, this.#directory);
    this.#compiled.set(program, path);
    return printed(path, args, input);
  }
  /** Removes what was compiled. */
  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function compiled(name: LoadProgram, directory: string): string {
  const sources = [`${name}.c`, ...PROGRAMS[name]].map((source) =>
    fileURLToPath(new URL(`../../../oracle/experiments/${source}`, import.meta.url)),
  );
  const program = join(directory, name);
  const flags = ['-std=gnu11', '-D_GNU_SOURCE=', '-O2', '-pthread'];
  const result = spawnSync('cc', [...flags, '-o', program, ...sources], { encoding: 'utf8' });
  if (result.error !== undefined)
    throw new UsageError(
      '--measure needs a C compiler, and there is no cc here',
      'apt-get install gcc libc6-dev',
    );
  if (result.status !== 0)
    throw new UsageError(`cc cannot compile ${sources[0]}: ${result.stderr.trim()}`, 'gcc and libc6-dev');
  return program;
}

function printed(program: string, args: readonly (string | number)[], input: string): number[] {
  const options = { input, encoding: 'utf8', timeout: LIMIT_MS, maxBuffer: 1 << 20 } as const;
  const { stdout, stderr, status } = spawnSync(program, args.map(String), options);
  if (status === 0 && /^\d+( \d+)*\n$/.test(stdout)) return stdout.trim().split(' ').map(Number);
  throw new UsageError(
    `the load ${args.join(' ')} did not come to its end on this kernel: ${stderr.trim()}`,
    'smaller --param, root for userfaultfd, or a kernel with the usual vm.max_map_count',
  );
}
