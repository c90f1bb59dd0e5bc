/**
 * The workloads there are, and what one is written with.
 *
 * A workload of yours is an object like these, exported by a module: examples/workloads/.
 */
import { UsageError } from '../base/assert.ts';
import { FORK_SERVER } from './forkServer.ts';
import { REALLOC } from './realloc.ts';
import { RESERVE_COMMIT } from './reserveCommit.ts';
import { SLIDE } from './slide.ts';
import { type ParamValue, settleParams, type Workload, type WorkloadSpec } from './workload.ts';

export * from '../abi/mman.ts';
export { PAGE_SIZE } from '../base/units.ts';
export { Barrier, Mutex, Pipe, type Running, type Thread } from '../machine/index.ts';
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

const PREFIX = 'workload:';

/**
 * Reads `workload:NAME[,key=value…]`.
 * @throws UsageError for a name, a parameter or a value that is not possible, with what would be
 */
export function parseWorkloadSpec(text: string): WorkloadSpec {
  const bare = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  const [name = '', ...settings] = bare.split(',');
  const workload = findWorkload(name);
  if (workload === null) {
    const names = WORKLOADS.map((each) => each.name).join(', ');
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
