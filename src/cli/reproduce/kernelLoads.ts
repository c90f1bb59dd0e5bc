/**
 * Runs the loads of an experiment on the running kernel: compiles the programs of oracle/experiments, each when it is needed, and reads what they print.
 *
 * Needs Linux and a C compiler, no privileges: the number of VMAs is what /proc/self/maps shows to anybody.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../base/assert.ts';
import type { KernelLoads } from '../../experiments/index.ts';

/** The programs of oracle/experiments, and what is compiled with them. */
const PROGRAMS = {
  freeBuffers: [],
  mergeLoads: [],
  movePages: [],
  protectRange: [],
  compaction: [],
  slideSwapped: ['../cost/setup.c'],
} as const;
type LoadProgram = keyof typeof PROGRAMS;
/** Runs one of them and returns the numbers that it prints. */
type RunProgram = (program: LoadProgram, args: readonly (string | number)[], input?: string) => number[];

const LIMIT_MS = 300_000;
/** Of so many runs the fastest is taken: what else a machine does only adds. */
const RUNS = 3;
/** How long threads copy buffers. */
const WINDOW_MS = 400;
/** Of so many compactions the median is taken, as it was where they were measured. */
const COMPACTIONS = 3;

/** Hands the loads to `use`, and removes afterwards what was compiled for them. Throws UsageError where they cannot be run. */
export function withKernelLoads<T>(use: (loads: KernelLoads) => T): T {
  if (process.platform !== 'linux')
    throw new UsageError(`--measure asks the running kernel, and this is ${process.platform}`, 'Linux');
  const directory = mkdtempSync(join(tmpdir(), 'faultline-'));
  const programs = new Map<LoadProgram, string>();
  try {
    return use(
      loadsOf((program, args, input = '') => {
        const path = programs.get(program) ?? compiled(program, directory);
        programs.set(program, path);
        return printed(path, args, input);
      }),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
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

function loadsOf(run: RunProgram): KernelLoads {
  const one = (...of: Parameters<RunProgram>): number => run(...of)[0] ?? Number.NaN;
  return {
    reserveCommit: (order) => one('mergeLoads', ['reserve-commit', order.length], `${order.join('\n')}\n`),
    realloc: ({ operations, touch, hole }) => one('mergeLoads', ['realloc', operations, touch, hole]),
    slide: ({ pages, sources }) => one('mergeLoads', ['slide', pages, sources]),
    protect: ({ method, bytes, huge, writesOfFour = -1 }) => {
      const args = ['protect', method, bytes, huge ? 1 : 0, writesOfFour, RUNS];
      const [prefaultNs = 0, protectNs = 0, unprotectNs = 0, kib = 0, writeNs = 0, writeFaults = 0] = run(
        'protectRange',
        args,
      );
      return { prefaultNs, protectNs, unprotectNs, tableBytes: kib * 1024, writeNs, writeFaults };
    },
    nsAPage: ({ way, batch }) => one('movePages', ['cost', way, batch]) / 1000,
    compaction: ({ mode, access, pages, batch, threads }) => {
      const args = [mode, access, pages, batch, threads, COMPACTIONS];
      const [armNs = 0, runNs = 0, finishNs = 0, minorFaults = 0, pagesGivenBack = 0, moreVmas = 0] = run(
        'compaction',
        args,
      );
      return { armNs, runNs, finishNs, minorFaults, pagesGivenBack, moreVmas };
    },
    slideSwapped: ({ way, pages }) => {
      const [ns = 0, pagesRead = 0, residentKib = 0, pagesOutAgain = 0] = run('slideSwapped', [way, pages]);
      return { ns, pagesRead, residentKib, pagesOutAgain };
    },
    vmasAtLimit: () => one('movePages', ['limit']),
    moveRefused: (isArmed) => one('movePages', ['refused', isArmed ? 1 : 0]),
    recordsACpuSecond: ({ chunks, purge, threads }) =>
      one('freeBuffers', ['records', chunks, purge, threads, WINDOW_MS]),
    forkWithTables: ({ tables, freed }) => {
      const [forkUs = 0, vmPteKib = 0] = run('freeBuffers', ['fork', tables, freed ? 'call' : 'none']);
      return { forkUs, vmPteKib };
    },
    lostStores: ({ tracker, pages }) => one('protectRange', ['lost', tracker, pages]),
  };
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
