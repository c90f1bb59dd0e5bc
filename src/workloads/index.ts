/**
 * The workloads there are, and what one is written with.
 *
 * A workload of yours is an object like these, exported by a module: examples/workloads/.
 */
import { UsageError } from '../base/assert.ts';
import { BLOAT } from './bloat/index.ts';
import { COMPACTING_GC } from './compactingGc/compactingGc.ts';
import { CONTENTION } from './contention.ts';
import { EBIZZY } from './ebizzy/ebizzy.ts';
import { FORK_SERVER } from './forkServer.ts';
import { LIVE_SNAPSHOT } from './liveSnapshot/liveSnapshot.ts';
import { REALLOC } from './realloc.ts';
import { RESERVE_COMMIT } from './reserveCommit.ts';
import { SLIDE } from './slide.ts';
import { CACHE } from './spare/cache.ts';
import { DEEP_STACK } from './spare/deepStack.ts';
import { MANAGED_HEAP } from './spare/managedHeap.ts';
import { SWAPLESS } from './spare/swapless.ts';
import type { ThreadedWorkload } from './threaded.ts';
import { type Params, type ParamValue, settleParams, type Workload, type WorkloadSpec } from './workload.ts';

export * from '../abi/mman.ts';
export * from '../abi/pagemapScan.ts';
export * from '../abi/userfaultfd.ts';
export { PAGE_SIZE } from '../base/units.ts';
export {
  Barrier,
  Mutex,
  Pipe,
  type Running,
  readPagemap,
  type ScanHow,
  scanPagemap,
  type Thread,
  Userfaultfd,
} from '../machine/index.ts';
export type { Purge } from './ebizzy/buffers.ts';
export { type Doing, type MapOptions, type RemapOptions, Task } from './task.ts';
export { type Figures, runThreaded, type ThreadedRun, type ThreadedWorkload } from './threaded.ts';
export {
  describeParam,
  FIRST_TASK,
  numberParam,
  type Param,
  type Parametrized,
  type Params,
  type ParamValue,
  runWorkload,
  SEED_PARAM,
  seededBy,
  settleParams,
  type Workload,
  type WorkloadSpec,
} from './workload.ts';

/** Every workload, in the order in which they are listed. */
export const WORKLOADS: readonly Workload[] = [RESERVE_COMMIT, REALLOC, SLIDE, FORK_SERVER];

/** Returns the workload of that name, or null. */
export const findWorkload = (name: string): Workload | null =>
  WORKLOADS.find((workload) => workload.name === name) ?? null;

/** Every workload of several threads, in the order in which they are listed. */
export const THREADED_WORKLOADS: readonly ThreadedWorkload[] = [
  CONTENTION,
  COMPACTING_GC,
  LIVE_SNAPSHOT,
  EBIZZY,
  CACHE,
  MANAGED_HEAP,
  DEEP_STACK,
  SWAPLESS,
  ...BLOAT,
];

/** A threaded workload with a value for every parameter. */
export interface ThreadedSpec {
  readonly workload: ThreadedWorkload;
  readonly params: Params;
}

/** Reads `workload:NAME[,key=value…]` if NAME is one of several threads; null if it is not. @throws UsageError as `parseWorkloadSpec` */
export function parseThreadedSpec(text: string): ThreadedSpec | null {
  const [name, settings] = splitSpec(text);
  const workload = THREADED_WORKLOADS.find((each) => each.name === name);
  if (workload === undefined) return null;
  return { workload, params: settleParams(workload, parseSettings(name, settings)) };
}

const PREFIX = 'workload:';

/** Splits `workload:NAME,key=value,…` into the name and the settings. */
function splitSpec(text: string): [name: string, settings: string[]] {
  const bare = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  const [name = '', ...settings] = bare.split(',');
  return [name, settings];
}

/**
 * Reads `workload:NAME[,key=value…]`.
 * @throws UsageError for a name, a parameter or a value that is not possible, with what would be
 */
export function parseWorkloadSpec(text: string): WorkloadSpec {
  const [name, settings] = splitSpec(text);
  const workload = findWorkload(name);
  if (workload === null && THREADED_WORKLOADS.some((each) => each.name === name))
    throw new UsageError(
      `${name} has several threads, which run in virtual time`,
      'faultline run or compare',
    );
  if (workload === null) {
    const names = [...WORKLOADS, ...THREADED_WORKLOADS].map((each) => each.name).join(', ');
    throw new UsageError(`there is no workload '${name}'`, `one of ${names}; see faultline workloads`);
  }
  return { workload, params: settleParams(workload, parseSettings(workload.name, settings)) };
}

function parseSettings(name: string, settings: readonly string[]): Record<string, ParamValue> {
  const given: Record<string, ParamValue> = {};
  for (const setting of settings) {
    const at = setting.indexOf('=');
    if (at <= 0) throw new UsageError(`'${setting}' is no parameter of ${name}`, 'key=value');
    given[setting.slice(0, at)] = setting.slice(at + 1);
  }
  return given;
}
