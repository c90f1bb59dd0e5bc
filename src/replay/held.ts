/**
 * What the order window holds: items on their way from a file to the player, which get their number when they leave.
 */
import type { Chosen, Op, Recorded } from '../machine/op.ts';
import type { ReplayOp, SignalItem } from './item.ts';
import type { Fault } from './perf.ts';

/** An operation on its way: it gets its number when it leaves. */
export type HeldOp = { -readonly [K in keyof ReplayOp]: ReplayOp[K] };
/** Anything the window holds. */
export type Held = HeldOp | SignalItem;

const NOTHING: Chosen = {};
const NO_ANSWER: Recorded = { kind: 'none' };

/** Where an operation that takes no time stands. */
export interface Moment {
  readonly task: number;
  /** On the clock of the input. */
  readonly time: number;
  readonly file: string;
  readonly line: number;
}

/** Makes the item of an operation that takes no time and has no answer. */
export const momentItem = (op: Op, { task, time, file, line }: Moment): HeldOp => ({
  kind: 'op',
  op,
  nr: 0,
  line,
  file,
  task,
  chosen: NOTHING,
  recorded: NO_ANSWER,
  entry: time,
  exit: time,
  at: time,
  overlaps: false,
});

/** Makes the item of a page fault. @param overlaps  it lies inside a call of another thread */
export const touchItem = (fault: Fault, file: string, overlaps: boolean): HeldOp => ({
  kind: 'op',
  op: { call: 'touch', addr: fault.addr, len: 1, access: fault.access, by: fault.by },
  nr: 0,
  line: fault.line,
  file,
  task: fault.tid,
  chosen: NOTHING,
  recorded: NO_ANSWER,
  entry: fault.time,
  exit: fault.time,
  at: fault.time,
  overlaps,
  errorCode: fault.errorCode,
});
