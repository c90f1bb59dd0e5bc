/**
 * Runs the loads of an experiment on the running kernel: compiles the programs of oracle/experiments and reads the number each prints.
 *
 * Needs Linux and a C compiler, no privileges: the number of VMAs is what /proc/self/maps shows to anybody.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../base/assert.ts';
import type { KernelLoads } from '../../experiments/index.ts';

const SOURCE = fileURLToPath(new URL('../../../oracle/experiments/mergeLoads.c', import.meta.url));
const LIMIT_MS = 120_000;

/** Compiles the loads, hands them to `use` and removes what was compiled. Throws UsageError where that is not possible. */
export function withKernelLoads<T>(use: (loads: KernelLoads) => T): T {
  if (process.platform !== 'linux')
    throw new UsageError(`--measure asks the running kernel, and this is ${process.platform}`, 'Linux');
  const directory = mkdtempSync(join(tmpdir(), 'faultline-'));
  try {
    return use(loadsOf(compiled(directory)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function compiled(directory: string): string {
  const program = join(directory, 'mergeLoads');
  const result = spawnSync('cc', ['-std=gnu11', '-O2', '-o', program, SOURCE], { encoding: 'utf8' });
  if (result.error !== undefined)
    throw new UsageError(
      '--measure needs a C compiler, and there is no cc here',
      'apt-get install gcc libc6-dev',
    );
  if (result.status !== 0)
    throw new UsageError(`cc cannot compile ${SOURCE}: ${result.stderr.trim()}`, 'gcc and libc6-dev');
  return program;
}

function loadsOf(program: string): KernelLoads {
  const run = (args: readonly (string | number)[], input = ''): number => {
    const options = { input, encoding: 'utf8', timeout: LIMIT_MS, maxBuffer: 1 << 20 } as const;
    return printed(args.join(' '), spawnSync(program, args.map(String), options));
  };
  return {
    reserveCommit: (order) => run(['reserve-commit', order.length], `${order.join('\n')}\n`),
    realloc: ({ operations, touch, hole }) => run(['realloc', operations, touch, hole]),
    slide: ({ pages, sources }) => run(['slide', pages, sources]),
  };
}

function printed(what: string, { stdout, stderr, status }: SpawnSyncReturns<string>): number {
  if (status === 0 && /^\d+\n$/.test(stdout)) return Number(stdout);
  throw new UsageError(
    `the load ${what} did not come to its end on this kernel: ${stderr.trim()}`,
    'smaller --param, or a kernel with the usual vm.max_map_count',
  );
}
