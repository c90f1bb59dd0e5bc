/**
 * The programs of oracle/ that run on this machine's kernel: why they cannot, and where they are once built.
 *
 * They are built on demand with the system compiler, because what they are linked with belongs to the machine, into a cache that is the
 * repository's or, for an installed package, the user's. Nothing is built twice: make looks at the ages of the sources.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../base/assert.ts';
import { packageVersion } from '../version.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Tells why no program of the oracle can be built and run here, in one line, or null when it can. Root is another matter. */
export function whyNoKernel(): string | null {
  const why = whyNoPrograms();
  if (why !== null) return why;
  return release().startsWith('6.18.') ? null : `needs Linux 6.18, which the model is; this is ${release()}`;
}

/** The same for programs that any Linux will do for. */
export function whyNoPrograms(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `needs Linux on x86-64, this is ${process.platform} on ${process.arch}`;
  for (const tool of [compiler(), 'make'])
    if (spawnSync(tool, ['--version']).status !== 0)
      return `needs a C compiler and make; there is no ${tool} (Debian: apt-get install gcc libc6-dev make)`;
  return null;
}

/** Builds a program of oracle/ unless it is there and newer than its sources. @returns its path. Throws UsageError */
export function buildProgram(
  name: 'caserun' | 'opsrun' | 'views' | 'cost' | 'snapshot' | 'gcReplay' | 'vrangePoison',
): string {
  const out = cacheFolder();
  const program = join(out, name);
  const made = spawnSync('make', ['--silent', '-C', join(ROOT, 'oracle'), `OUT=${out}`, program], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (made.status !== 0)
    throw new UsageError(
      `oracle/${name} could not be built: ${whatFailed(made.stderr)}`,
      'a C compiler with a static C library (Debian: apt-get install gcc libc6-dev make)',
    );
  return program;
}

const whatFailed = (stderr: string): string => {
  const lines = stderr.trimEnd().split('\n');
  return lines.find((line) => /error|cannot find/.test(line)) ?? lines.at(-1) ?? '';
};

const compiler = (): string => process.env['CC'] ?? 'cc';

function cacheFolder(): string {
  // Only a repository has its own packages below it.
  const own = join(ROOT, 'node_modules');
  if (existsSync(own)) return join(own, '.cache/faultline/oracle');
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'faultline', packageVersion(), 'oracle');
}
