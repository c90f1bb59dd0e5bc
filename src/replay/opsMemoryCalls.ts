/**
 * The calls of an ops file that set how memory is reclaimed: limits of the memory cgroup, how much memory and swap the machine has (docs/reclaim.md), how
 * empty page tables are scanned for.
 */
import { SCAN_TUNABLES } from '../mm/index.ts';
import type { Call } from './opsCalls.ts';
import type { CallText } from './straceArgs.ts';

/** A number of bytes, or `max` for no limit. */
const bytesOrMax = (a: CallText): number => (a.text(0) === 'max' ? Number.POSITIVE_INFINITY : a.number(0));

/** Each by its name. */
export const MEMORY_CALLS: readonly (readonly [name: string, call: Call])[] = [
  ['memory.max', { args: 1, decode: (a) => ({ call: 'set_memory_limit', bytes: bytesOrMax(a) }) }],
  ['memory.reclaim', { args: 1, decode: (a) => ({ call: 'reclaim', bytes: a.number(0) }) }],
  ['memory.size', { args: 1, decode: (a) => ({ call: 'set_memory_size', bytes: bytesOrMax(a) }) }],
  [
    'pt_scan',
    {
      args: Object.keys(SCAN_TUNABLES).length,
      optional: Object.keys(SCAN_TUNABLES).length - 1,
      decode: (a) => ({
        call: 'pt_scan_write',
        settings: Array.from({ length: a.nrArgs }, (_, i) => a.text(i)).join(' '),
      }),
    },
  ],
  [
    'swapon',
    {
      args: 2,
      optional: 1,
      decode: (a) => ({
        call: 'swapon',
        bytes: a.number(0),
        ...(a.nrArgs > 1 ? { readAtOnce: a.number(1) } : {}),
      }),
    },
  ],
];
