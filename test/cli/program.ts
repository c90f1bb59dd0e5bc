/**
 * Runs `faultline` as a program of its own, as a user does: exit status, what it printed on both outputs.
 *
 * The program is dist/, which must be what src/ says: it is compiled anew when a source is younger. Test files run side by side, so
 * one of them compiles and the others wait.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));
/** What a user runs. */
export const BIN: string = join(ROOT, 'bin/faultline.js');
/** Inputs made for these tests. */
export const FIXTURES = 'test/fixtures/cli';

const DIST = join(ROOT, 'dist');
const LOCK = join(ROOT, 'node_modules/.faultline-compiling');
const LOCK_MS_MAX = 120_000;

function isStale(): boolean {
  const src = join(ROOT, 'src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .some((file) => {
      const compiled = join(DIST, file.replace(/\.ts$/, '.js'));
      return !existsSync(compiled) || statSync(compiled).mtimeMs < statSync(join(src, file)).mtimeMs;
    });
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function takeLock(): boolean {
  try {
    mkdirSync(LOCK);
    return true;
  } catch {
    const since = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs;
    // Whoever made it is gone.
    if (since !== undefined && Date.now() - since > LOCK_MS_MAX) rmdirSync(LOCK);
    return false;
  }
}

/** Brings dist/ up to date. A type error is a matter of the type check; what was compiled is run. */
function compile(): void {
  while (isStale()) {
    if (!takeLock()) {
      pause(100);
      continue;
    }
    try {
      const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
      if (isStale()) spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: ROOT });
    } finally {
      rmdirSync(LOCK);
    }
    return;
  }
}
compile();

/** What a run gave. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run. */
export interface RunOptions {
  /** Handed to standard input, which is closed behind it. */
  readonly stdin?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `faultline` with arguments in the root of the repository. */
export function faultline(args: readonly string[], options: RunOptions = {}): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    cwd: ROOT,
    input: options.stdin ?? '',
    env: { ...process.env, ...options.env },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 50_000,
  });
  return { status, stdout, stderr };
}

/** Returns the lines of JSON in a text. */
export const jsonLines = <T>(text: string): T[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
