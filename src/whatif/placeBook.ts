/**
 * Where in the input things happened: operations that moved memory or made an anon_vma, by number.
 *
 * Events carry the number of their operation only. An explanation wants the file, the line and the call, so the few operations that it
 * may ask for are kept, and nothing else.
 */
import type { Op } from '../machine/index.ts';
import type { MmEvent } from '../mm/index.ts';
import type { ReplayOp } from '../replay/index.ts';
import { callText } from '../report/index.ts';

/** A place in an input. */
export interface OpPlace {
  readonly op: number;
  /** The file within a recording; empty for a workload. */
  readonly file: string;
  /** From 1; 0 for a workload. */
  readonly line: number;
  readonly task: number;
  readonly call: string;
}

interface Kept {
  readonly file: string;
  readonly line: number;
  readonly task: number;
  readonly op: Op;
}

/** Returns the place of an item. */
export const placeOf = ({ nr, file, line, task, op }: ReplayOp): OpPlace => ({
  op: nr,
  file,
  line,
  task,
  call: callText(op),
});

/** Prints a place: `op 4,183 syscalls.strace:1234`; of a path its last part, as inputs are called in reports. */
export function placeText({ op, file, line }: OpPlace): string {
  const number = `op ${String(op).replace(/\B(?=(\d{3})+$)/g, ',')}`;
  return file === '' ? number : `${number} ${file.slice(file.lastIndexOf('/') + 1)}:${line}`;
}

/** Keeps the places of the operations that an explanation may name. */
export class PlaceBook {
  readonly #kept = new Map<number, Kept>();
  #now: ReplayOp | null = null;

  /** An operation begins. */
  enter(item: ReplayOp): void {
    this.#now = item;
  }

  /** Takes an event of the operation that began last. */
  add(event: MmEvent): void {
    if (event.kind === 'vmaMove' || event.kind === 'anonVmaCreate') this.keep();
  }

  /** Keeps the place of the operation that began last. */
  keep(): void {
    if (this.#now === null) return;
    const { nr, file, line, task, op } = this.#now;
    this.#kept.set(nr, { file, line, task, op });
  }

  /** Returns the place of operation `op`, or null for one that was not kept (or the start of the input). */
  placeOf(op: number): OpPlace | null {
    const kept = this.#kept.get(op);
    if (kept === undefined) return null;
    const { file, line, task } = kept;
    return { op, file, line, task, call: callText(kept.op) };
  }
}
