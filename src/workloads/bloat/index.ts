/** The recipes bloat/*: programs that make page tables and leave them without entries (seed 003). */
import type { ThreadedWorkload } from '../threaded.ts';
import { HEAPS } from './heaps.ts';
import { JVM_LIKE } from './jvmLike.ts';
import { LOOPS } from './loops.ts';
import { PINNED } from './pinned.ts';

/** All of them, in the order in which they are listed. */
export const BLOAT: readonly ThreadedWorkload[] = [...LOOPS, ...HEAPS, ...PINNED, JVM_LIKE];
