/**
 * Somebody who changes calls of threads on their way, or looks at what they left. Accesses pass him by: they are no operations.
 */
import type { Machine } from '../machine.ts';
import type { Op } from '../op.ts';
import type { Outcome } from '../outcome.ts';

/** Who makes a call, and when. */
export interface Calling {
  readonly tid: number;
  /** Of virtual time. */
  readonly nowNs: number;
  readonly simulation: { readonly machine: Machine };
}

/** Is asked before each call, and told after it. Must not change the model. */
export interface CallWatch {
  /** Returns what is called instead; null: nothing. */
  before(who: Calling, op: Op): Op | null;
  /** Returns what the program is told. @param op  what was called */
  after(who: Calling, op: Op, outcome: Outcome): Outcome;
}
