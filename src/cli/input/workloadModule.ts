/**
 * Modules of the user's that export a workload, in TypeScript or JavaScript.
 *
 * Node 20 cannot load TypeScript, so jiti does. In such a module `faultline/workloads` and the other parts of this package can be
 * imported wherever the module lies.
 */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { UsageError } from '../../base/assert.ts';
import type { ThreadedWorkload, Workload } from '../../workloads/index.ts';

const WANTED =
  'a module with `export default { name, title, text, params, *program(params, prng) { … } }`, or of several threads with `*main(t, params, prng) { … }`; see examples/workloads';

/** Tells whether an argument names a module. */
export const isModule = (path: string): boolean => /\.[cm]?[jt]s$/.test(path);

/** Loads a module that exports one workload, by default or by name. */
export function loadWorkload(path: string): Workload {
  const exported = new Set(Object.values(load(path)).filter(isWorkload));
  const [workload] = exported;
  if (workload === undefined) throw new UsageError(`${path} exports no workload`, WANTED);
  if (exported.size > 1) {
    const names = [...exported].map(({ name }) => name).join(', ');
    throw new UsageError(`${path} exports several workloads: ${names}`, 'a module that exports one');
  }
  return workload;
}

/** Loads a module that exports a workload of several threads; null if it exports none. */
export function loadThreaded(path: string): ThreadedWorkload | null {
  return Object.values(load(path)).find(isThreaded) ?? null;
}

function load(path: string): Record<string, unknown> {
  // Loaded only when needed: it is larger than all of this program.
  const { createJiti } = createRequire(import.meta.url)('jiti') as typeof import('jiti');
  const root = resolve(import.meta.dirname, '..', '..');
  const alias: Record<string, string> = { faultline: resolve(root, 'index.js') };
  for (const name of ['base', 'abi', 'mm', 'machine', 'replay', 'report', 'workloads'])
    alias[`faultline/${name}`] = resolve(root, name, 'index.js');
  // Native first, so that the module gets this very package and not a transpiled copy of it, which takes seconds.
  const options = { alias, tryNative: true, fsCache: false, interopDefault: false };
  const jiti = createJiti(import.meta.url, options);
  try {
    const exported: unknown = jiti(resolve(path));
    return typeof exported === 'object' && exported !== null ? { ...exported } : {};
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${path} cannot be loaded: ${message}`, WANTED);
  }
}

const isWorkload = (value: unknown): value is Workload => isNamed(value, 'program');
const isThreaded = (value: unknown): value is ThreadedWorkload => isNamed(value, 'main');

/** Tells whether `value` has a name, parameters, and a function called `body`. */
function isNamed(value: unknown, body: 'program' | 'main'): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, params, [body]: run } = value as Record<string, unknown>;
  return (
    typeof name === 'string' && typeof params === 'object' && params !== null && typeof run === 'function'
  );
}
