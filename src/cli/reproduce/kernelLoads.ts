/**
 * Runs the loads of an experiment on the running kernel. The number of VMAs is what /proc/self/maps shows to anybody.
 */
import type { KernelLoads } from '../../experiments/index.ts';
import { LoadPrograms } from './loadPrograms.ts';

/** Runs a program of oracle/experiments and returns the numbers that it prints. */
type RunProgram = LoadPrograms['run'];

/** Of so many runs the fastest is taken: what else a machine does only adds. */
const RUNS = 3;
/** Of so many compactions the median is taken, as it was where they were measured. */
const COMPACTIONS = 3;

/** Hands the loads to `use`, and removes afterwards what was compiled for them. Throws UsageError where they cannot be run. */
export function withKernelLoads<T>(use: (loads: KernelLoads) => T): T {
  const programs = new LoadPrograms();
  try {
    return use(loadsOf((...of) => programs.run(...of)));
  } finally {
    programs.remove();
  }
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
    lostStores: ({ tracker, pages }) => one('protectRange', ['lost', tracker, pages]),
  };
}
