/**
 * What the program sees of an operation: a value, an error, a signal, or what a call wrote.
 */
import { errnoName } from '../abi/errno.ts';
import type { Addr } from '../base/units.ts';
import { OK, type SysResult, type Why } from '../mm/result.ts';
import type { IoctlOutput, ReadMessage } from './uffdCalls.ts';

/** An error. */
export type ErrorOutcome = { readonly kind: 'errno'; readonly errno: string; readonly why: Why };

/** A value or an error. */
export type PlainOutcome =
  | { readonly kind: 'value'; readonly value: number; readonly why: Why }
  | ErrorOutcome;

/** What the program sees of an operation. */
export type Outcome =
  | PlainOutcome
  | { readonly kind: 'signal'; readonly signal: string; readonly code: string; readonly addr: Addr }
  /** mincore: one flag a page. */
  | { readonly kind: 'resident'; readonly pages: readonly boolean[] }
  /** An ioctl: its result, and what it wrote into its structure (null: nothing). */
  | { readonly kind: 'ioctl'; readonly result: PlainOutcome; readonly output: IoctlOutput | null }
  /** Reads of a userfaultfd: messages, then the error that ended them, if one did. */
  | {
      readonly kind: 'messages';
      readonly messages: readonly ReadMessage[];
      readonly error: ErrorOutcome | null;
    }
  /** The thread sleeps in the call; what comes of it is told later. `worker` is null where the process has only one thread. */
  | { readonly kind: 'blocked'; readonly worker: number | null }
  /** The thread's address space is not known (it called execve, or was never seen to start). */
  | { readonly kind: 'unknown-memory' };

/** Success with 0. */
export const DONE: PlainOutcome = { kind: 'value', value: 0, why: 'ok' };
/** The outcome for a thread whose address space is not known. */
export const UNKNOWN: Outcome = { kind: 'unknown-memory' };

/** Makes an outcome of what mm/ returned. */
export const outcomeOf = (result: SysResult): PlainOutcome => {
  if (result === OK) return DONE;
  return result.why === 'ok' || result.ret >= 0
    ? { kind: 'value', value: result.ret, why: result.why }
    : { kind: 'errno', errno: errnoName(-result.ret), why: result.why };
};

/** Returns what an operation came to where what an ioctl wrote does not matter. */
export const resultOf = (outcome: Outcome): Exclude<Outcome, { kind: 'ioctl' }> =>
  outcome.kind === 'ioctl' ? outcome.result : outcome;

/** Makes an error outcome. */
export const failure = (errno: number, why: Why): ErrorOutcome => ({
  kind: 'errno',
  errno: errnoName(errno),
  why,
});
