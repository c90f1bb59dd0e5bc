/**
 * What programs ask of an allocator: models of those that people use differ in when they give memory back, and in which pieces.
 *
 * Their own bookkeeping takes neither time nor memory here: only what they ask of the kernel does.
 */
import type { Addr } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';

/** An allocator of one process. */
export interface Allocator {
  /** Returns where `size` bytes are. */
  malloc(t: Thread, size: number): Running<Addr>;
  /** Takes back what `malloc` returned. */
  free(t: Thread, addr: Addr): Running<void>;
  /** Nobody allocates for a while: looks at what has to be done by now. Called now and then by `t`, as the ticks of an allocator are. */
  idle(t: Thread): Running<void>;
}

/** How memory that nobody needs is given back while its addresses are kept. */
export type PurgeBy = 'dontneed' | 'free' | 'vrange';

/** Rounds up to a multiple of `unit`. */
export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;
