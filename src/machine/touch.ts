/**
 * Accesses of a program to its memory, page by page: by far the most frequent operation, so nothing is made on the way that is not needed.
 */
import { Unmodelled } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { accessPage } from '../mm/fault.ts';
import type { Mm } from '../mm/mm.ts';
import { DONE, type Outcome } from './machine.ts';
import type { Op } from './op.ts';

/** One access at the start of each page (or at `addr`), ascending; stops at the first signal. */
export function touch(mm: Mm, op: Extract<Op, { call: 'touch' }>): Outcome {
  const end = op.addr + op.len;
  const stamp = op.stamp ?? null;
  const { access } = op;
  const by = op.by === 'kernel' ? 'copy' : 'program';
  for (let addr = op.addr; addr < end; addr += PAGE_SIZE) {
    const result = accessPage(mm, { addr, access, stamp, by });
    if (result.kind === 'userfault') throw new Unmodelled('a userfaultfd fault', 'docs/scope.md#userfaultfd');
    if (result.kind !== 'signal') continue;
    if (op.by === 'kernel') return { kind: 'errno', errno: 'EFAULT', why: 'not-mapped' };
    return { kind: 'signal', signal: result.signal, code: result.codeName, addr };
  }
  return DONE;
}
