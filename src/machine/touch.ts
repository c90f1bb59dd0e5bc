/**
 * Accesses of a program to its memory, page by page: by far the most frequent operation, so nothing is made on the way that is not needed.
 */
import { Unmodelled } from '../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { type AccessRequest, accessPage, type FaultResult } from '../mm/fault.ts';
import { REST_WRITTEN } from '../mm/frameContents.ts';
import type { Mm } from '../mm/mm.ts';
import type { UffdWait } from '../mm/uffdContext.ts';
import type { Op } from './op.ts';
import { DONE, type Outcome } from './outcome.ts';

/** One access at the start of each page (or at `addr`, where it leaves no first word), ascending; stops at the first signal. */
export function touch(mm: Mm, op: Extract<Op, { call: 'touch' }>): Outcome {
  const end = op.addr + op.len;
  const stamp = op.stamp ?? null;
  const { access } = op;
  const by = op.by === 'kernel' ? 'copy' : 'program';
  for (let addr = op.addr; addr < end; addr += PAGE_SIZE) {
    const result = accessPage(mm, { addr, access, stamp: stampAt(addr, stamp), by });
    if (result.kind === 'userfault') throw new Unmodelled('a userfaultfd fault', 'docs/scope.md#userfaultfd');
    if (result.kind === 'signal') return refusal(op, addr, result);
  }
  return DONE;
}

/** What a store leaves: behind the first word of a page, only that something is there. */
const stampAt = (addr: Addr, stamp: number | null): number | null =>
  stamp === null || addr % PAGE_SIZE === 0 ? stamp : REST_WRITTEN;

function refusal(
  { by }: Extract<Op, { call: 'touch' }>,
  addr: Addr,
  result: Extract<FaultResult, { kind: 'signal' }>,
): Outcome {
  if (by === 'kernel') return { kind: 'errno', errno: 'EFAULT', why: 'not-mapped' };
  return { kind: 'signal', signal: result.signal, code: result.codeName, addr };
}

/** The same, by a thread that can wait for user space to provide a page. */
export class Touching {
  readonly #mm: Mm;
  readonly #op: Extract<Op, { call: 'touch' }>;
  readonly #tid: number;
  #addr: Addr;
  #again: AccessRequest | null = null;

  constructor(mm: Mm, op: Extract<Op, { call: 'touch' }>, tid: number) {
    this.#mm = mm;
    this.#op = op;
    this.#tid = tid;
    this.#addr = op.addr;
  }

  /** Goes on. Returns the outcome, or what to wait for. */
  step(): Outcome | UffdWait {
    const { addr, len, access, by, stamp = null } = this.#op;
    for (; this.#addr < addr + len; this.#addr += PAGE_SIZE) {
      const who = by === 'kernel' ? ('copy' as const) : ('program' as const);
      const left = stampAt(this.#addr, stamp);
      const first: AccessRequest = { addr: this.#addr, access, stamp: left, by: who, tid: this.#tid };
      const result = accessPage(this.#mm, this.#again ?? first);
      this.#again = result.kind === 'userfault' ? result.again : null;
      if (result.kind === 'userfault') return result.wait;
      if (result.kind === 'signal') return refusal(this.#op, this.#addr, result);
    }
    return DONE;
  }
}
