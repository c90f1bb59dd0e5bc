/**
 * The later forms of vrange as postings of seed 002 had them, over the call of v7: they answer otherwise, and do the same.
 *
 *   v8 to v10   vrange(start, len, mode, *purged)              bytes done; whether pages were lost is written to *purged
 *   v14         madvise(MADV_VOLATILE), (MADV_NONVOLATILE)     0; 1 when pages were lost
 *
 * Both know no behavior: a range goes as a whole. v8 to v10 stopped or skipped where memory is of another kind; here such a range is refused, as v7's
 * call does it, and so all of it is done or nothing.
 *
 * Linux   never merged; spec/volatile-ranges.md 1 and 3.1
 * Left out   mvolatile and mnovolatile of v4, vrange with flags of v11
 */
import { VRANGE_FULL, VRANGE_MODE } from '../abi/vrange.ts';
import type { Addr } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { isRefused, ok, type SysResult } from './result.ts';
import { vrange } from './vrange.ts';
import type { VrangeMode } from './vrangeTree.ts';

/** A range, bytes. */
interface Range {
  readonly addr: Addr;
  readonly len: number;
}

/** What vrange of v8 to v10 answers: `ret` is in bytes, `purged` what is written to `*purged`, 0 or 1. */
export interface VrangeBytes extends SysResult {
  readonly purged: number;
}

/**
 * vrange as in v8 to v10.
 * @returns  bytes done: all of them; and whether pages of the range were lost, which only `novolatile` tells
 * Refusals  as vrange
 */
export function vrangeBytes(mm: Mm, { addr, len }: Range, mode: VrangeMode): VrangeBytes {
  const result = vrange(mm, { addr, len, mode: VRANGE_MODE[mode], behavior: VRANGE_FULL });
  return isRefused(result) ? { ...result, purged: 0 } : { ...ok(len), purged: result.ret };
}

/**
 * madvise(MADV_VOLATILE) and madvise(MADV_NONVOLATILE) as in v14, for a range that madvise has checked and rounded.
 * @returns  0; 1 from `novolatile` if a page of the range was lost
 * Refusals  as vrange
 */
export const madviseVolatile = (mm: Mm, { addr, len }: Range, mode: VrangeMode): SysResult =>
  vrange(mm, { addr, len, mode: VRANGE_MODE[mode], behavior: VRANGE_FULL });
