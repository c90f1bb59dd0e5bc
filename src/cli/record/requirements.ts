/**
 * What a recording needs from the machine: x86-64 Linux, strace, bash and coreutils for the launcher; perf if page faults
 * are wanted. Everything is looked for before the program is started, and a missing tool is named with its Debian package.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { RecordError } from './recordError.ts';

/** Tools by absolute path; `perf` and `setarch` are null where they are missing. */
export interface Tools {
  readonly strace: string;
  readonly straceVersion: string;
  readonly bash: string;
  readonly env: string;
  readonly setarch: string | null;
  readonly perf: string | null;
  readonly perfVersion: string | null;
}

/** The first strace that knows every option used here (--seccomp-bpf, --absolute-timestamps=unix,ns, --syscall-times). */
const OLDEST_STRACE: readonly [number, number] = [5, 10];

/** Returns the executable file that `name` means, as a shell would find it, or null. The path is absolute, links kept. */
export function findProgram(name: string, path: string | undefined): string | null {
  const candidates = name.includes('/')
    ? [resolve(name)]
    : (path ?? '').split(delimiter).map((dir) => join(resolve(dir), name));
  for (const file of candidates) {
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not there, or not ours to run: the next folder may have it.
    }
  }
  return null;
}

const toolPath = (): string => `${process.env['PATH'] ?? ''}:/usr/bin:/bin:/usr/sbin:/sbin`;

/** Finds the tools on `path`, or throws a RecordError that names the missing one and its package. */
export function findTools(path: string = toolPath()): Tools {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new RecordError(`recording needs Linux on x86-64; this is ${process.platform} on ${process.arch}`);
  }
  const need = (name: string, debianPackage: string): string => {
    const found = findProgram(name, path);
    if (found === null)
      throw new RecordError(
        `recording needs ${name}, which is not installed: apt-get install ${debianPackage}`,
      );
    return found;
  };
  const strace = need('strace', 'strace');
  const straceVersion = versionOf(strace);
  const [major, minor] = straceVersion.split('.').map(Number);
  const isTooOld = major! < OLDEST_STRACE[0] || (major === OLDEST_STRACE[0] && minor! < OLDEST_STRACE[1]);
  if (isTooOld) {
    throw new RecordError(
      `recording needs strace ${OLDEST_STRACE.join('.')} or newer; ${strace} is ${straceVersion}`,
    );
  }
  const perf = findProgram('perf', path);
  return {
    strace,
    straceVersion,
    bash: need('bash', 'bash'),
    env: need('env', 'coreutils'),
    setarch: findProgram('setarch', path),
    perf,
    perfVersion: perf === null ? null : versionOf(perf),
  };
}

/** Returns the last word of the first line a tool prints for --version: `strace -- version 6.1`, `perf version 6.1.192`. */
function versionOf(tool: string): string {
  let text: string;
  try {
    text = execFileSync(tool, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    throw new RecordError(`${tool} --version fails: this tool cannot be used`);
  }
  return text.split('\n')[0]!.trim().split(' ').at(-1) ?? '';
}
