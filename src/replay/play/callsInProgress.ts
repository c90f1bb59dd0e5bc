/**
 * Calls that were in progress while another thread faulted.
 *
 * A call that changes a mapping takes its entries out for a moment, or has changed some of them and others not yet. So what another thread's fault
 * finds on a page that the call works on is not determined. Calls are applied at one moment between entry and return, so a fault may come
 * before the call in the order of the input or after it: what cannot be judged yet waits. And a page that comes while a call takes pages away, or copies
 * them, may have been met by that call or not: it is not settled until the next fault on it.
 *
 * Cost   the calls that overlap something else and have not returned long ago; the number of waiting differences is bounded
 */
import { CLONE_VM } from '../../abi/mman.ts';
import type { Addr } from '../../base/units.ts';
import type { Op, OpName, Recorded } from '../../machine/index.ts';
import type { Mm } from '../../mm/index.ts';
import { type Range, takesAway } from '../effects.ts';
import type { ReplayOp } from '../item.ts';
import type { Difference } from './difference.ts';

interface Call {
  readonly mm: Mm;
  readonly task: number;
  readonly entry: number;
  readonly exit: number;
  readonly ranges: readonly Range[] | 'all';
  /** It takes pages away, or copies them: whether it still met a page that came in the meantime is open. */
  readonly isUnsettling: boolean;
  /** The copy it makes; null: none. */
  readonly child: Mm | null;
}

/** Where and when a thread faulted. */
export interface FaultPlace {
  readonly mm: Mm;
  readonly task: number;
  readonly page: Addr;
  readonly time: number;
}

/** A fault that differs, unless a call explains it. */
export interface DeferredFault extends FaultPlace {
  readonly difference: Difference;
}

/** More than this many do not wait: then something else is wrong. */
const MAX_WAITING = 1000;
/** So many calls are kept before those that are over are dropped. */
const MANY_CALLS = 64;

const range = (start: Addr, len: number): readonly Range[] => [{ start, end: start + len }];

const WORKS_ON_ALL: ReadonlySet<OpName> = new Set([
  'brk',
  'mlockall',
  'munlockall',
  'shmdt',
  'process_madvise',
  'process_vm',
]);

/** Returns the ranges whose entries an operation may change. */
function workedOn(op: Op, recorded: Recorded): readonly Range[] | 'all' {
  if (op.call === 'clone') return op.flags & CLONE_VM ? [] : 'all';
  if (WORKS_ON_ALL.has(op.call)) return 'all';
  if (op.call === 'mmap') return recorded.kind === 'value' ? range(recorded.value, op.len) : [];
  if (op.call !== 'mremap') return 'addr' in op && 'len' in op ? range(op.addr, op.len) : [];
  const to = recorded.kind === 'value' ? range(recorded.value, op.newLen) : [];
  return [...range(op.addr, op.oldLen), ...to];
}

const isDuring = (call: Call, fault: FaultPlace): boolean =>
  call.mm === fault.mm &&
  call.task !== fault.task &&
  call.entry < fault.time &&
  fault.time < call.exit &&
  (call.ranges === 'all' || call.ranges.some(({ start, end }) => start <= fault.page && fault.page < end));

/** The calls of one run that overlap something, and the faults that wait for one. */
export class CallsInProgress {
  #calls: Call[] = [];
  #waiting: DeferredFault[] = [];

  /**
   * Takes in a call of `mm` that was carried out; faults that it explains wait no longer.
   * @param child    the copy of the address space it made, or null
   * @param before   faults that came before it in the order of the input
   * @returns        those of them whose page it may have met or not
   */
  add(
    item: ReplayOp,
    { mm, child }: { readonly mm: Mm; readonly child: Mm | null },
    before: readonly FaultPlace[],
  ): readonly FaultPlace[] {
    if (!item.overlaps) return [];
    const { op, recorded, task, entry, exit } = item;
    const ranges = workedOn(op, recorded);
    if (ranges.length === 0) return [];
    const isUnsettling = op.call === 'clone' || takesAway(op, recorded);
    const call = { mm, task, entry, exit, ranges, isUnsettling, child };
    if (this.#waiting.length > 0) this.#waiting = this.#waiting.filter((fault) => !isDuring(call, fault));
    if (this.#calls.length >= MANY_CALLS) this.#calls = this.#calls.filter((other) => other.exit >= item.at);
    this.#calls.push(call);
    return isUnsettling ? before.filter((fault) => isDuring(call, fault)) : [];
  }

  /** Returns the address spaces in which it is open whether they have the page of a fault, because a call that was put before it may have met it or not. */
  unsettledBy(fault: FaultPlace): readonly Mm[] {
    const calls = this.#calls.filter((call) => call.isUnsettling && isDuring(call, fault));
    return calls.flatMap(({ mm, child }) => (child === null ? [mm] : [mm, child]));
  }

  /** Lets a fault wait until it is known which calls were in progress; one that is explained already is forgotten. Returns false if too many wait. */
  defer(fault: DeferredFault): boolean {
    if (this.#calls.some((call) => isDuring(call, fault))) return true;
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(fault);
    return true;
  }

  /** Returns the differences that no call explains, in their order, and forgets them. */
  takeRest(): readonly Difference[] {
    const rest = this.#waiting.map(({ difference }) => difference);
    this.#waiting = [];
    return rest;
  }
}
