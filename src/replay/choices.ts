/**
 * What the kernel is free to choose in a call: addresses without MAP_FIXED, descriptors, ids, pids.
 *
 * A replay takes these from the recorded answer, and nothing else.
 */
import { MAP_FIXED, MAP_FIXED_NOREPLACE, MREMAP_FIXED } from '../abi/mman.ts';
import type { Addr } from '../base/units.ts';
import type { Chosen, Op, OpName } from '../machine/op.ts';

/** What a call answered, as far as choices of the kernel are concerned. */
export interface Answer {
  /** What came back, null for a call that failed. */
  readonly value: number | null;
  /** The path of the descriptor that an mmap named, where it is known. */
  readonly fdPath: string | null;
  /** Where io_setup put its ring. */
  readonly ring: Addr | null;
}

/** Calls whose result is a descriptor, an id or a pid. */
const GIVES_HANDLE: ReadonlySet<OpName> = new Set<OpName>([
  'open',
  'memfd_create',
  'dup',
  'userfaultfd',
  'shmget',
  'clone',
]);
const NOTHING: Chosen = {};

/** Returns what the kernel chose in a call. */
export function choicesIn(op: Op, { value, fdPath, ring }: Answer): Chosen {
  if (op.call === 'mmap') {
    const isFree = value !== null && (op.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) === 0;
    if (fdPath === null) return isFree ? { addr: value } : NOTHING;
    return isFree ? { addr: value, fdPath } : { fdPath };
  }
  if (value === null) return NOTHING;
  if (op.call === 'mremap') return (op.flags & MREMAP_FIXED) === 0 ? { addr: value } : NOTHING;
  if (op.call === 'shmat') return op.addr === 0 ? { addr: value } : NOTHING;
  if (op.call === 'io_setup') return ring === null ? NOTHING : { addr: ring };
  return GIVES_HANDLE.has(op.call) ? { handle: value } : NOTHING;
}
