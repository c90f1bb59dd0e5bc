/**
 * What a call takes away and what it is given: the facts that decide where between entry and return it is put (order.ts).
 */
import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_PAGEOUT,
  MADV_REMOVE,
  MREMAP_DONTUNMAP,
} from '../abi/mman.ts';
import type { Addr } from '../base/units.ts';
import type { Op, Recorded } from '../machine/op.ts';

/** A range of addresses; `end` is exclusive. */
export interface Range {
  readonly start: Addr;
  readonly end: Addr;
}

const DISCARDS: ReadonlySet<number> = new Set([
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_PAGEOUT,
  MADV_COLD,
  MADV_GUARD_INSTALL,
]);

/** Tells whether a call that returned this gives back address space or pages. brk is decided elsewhere: it depends on where it was. */
export function takesAway(op: Op, recorded: Recorded): boolean {
  if (op.call === 'munmap' || op.call === 'shmdt' || op.call === 'execve') return true;
  if (op.call === 'madvise' || op.call === 'process_madvise') return DISCARDS.has(op.advice);
  if (op.call !== 'mremap' || recorded.kind !== 'value') return false;
  return recorded.value !== op.addr || op.newLen < op.oldLen;
}

/** Returns the range a call was handed by the kernel's choice while it gives back another: a move without MREMAP_FIXED. */
export function gainedRange(op: Op, recorded: Recorded): Range | null {
  if (op.call !== 'mremap' || recorded.kind !== 'value' || recorded.value === op.addr) return null;
  return { start: recorded.value, end: recorded.value + op.newLen };
}

/** Returns the range a call frees; of one that has not returned (null) what it asks to free. */
export function freedRange(op: Op, recorded: Recorded | null): Range | null {
  if (op.call === 'munmap') return { start: op.addr, end: op.addr + op.len };
  if (op.call !== 'mremap' || (op.flags & MREMAP_DONTUNMAP) !== 0) return null;
  const stays = recorded !== null && (recorded.kind !== 'value' || recorded.value === op.addr);
  const start = stays ? op.addr + Math.min(op.newLen, op.oldLen) : op.addr;
  return { start, end: op.addr + op.oldLen };
}

/** Tells whether two ranges share an address. */
export const intersects = (a: Range, b: Range): boolean => a.start < b.end && b.start < a.end;
