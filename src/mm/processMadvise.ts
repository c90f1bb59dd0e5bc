/**
 * process_madvise(2): advice for several ranges, also of another process.
 *
 * Linux   mm/madvise.c: vector_madvise, sys_process_madvise; spec/vma.md 10
 */
import { EFAULT, EINVAL, EPERM } from '../abi/errno.ts';
import { MADV_COLD, MADV_COLLAPSE, MADV_PAGEOUT, MADV_WILLNEED } from '../abi/mman.ts';
import { type Addr, TASK_SIZE } from '../base/units.ts';
import { madvise } from './madvise.ts';
import type { Mm } from './mm.ts';
import { refused, type SysResult } from './result.ts';

/** The most bytes that the kernel takes of one iovec. */
const MOST_OF_IOVEC = 0x7fff_f000;

/** Reads an iovec as the kernel copies it in, before it looks at anything else. */
function importRanges(ranges: readonly AdviceRange[]): readonly AdviceRange[] | SysResult {
  if (ranges.some(({ len }) => len >= 2 ** 63)) return refused(EINVAL, 'bad-length');
  // A single range is cut before it is looked at, several are looked at whole.
  const cut =
    ranges.length === 1 ? ranges.map((r) => ({ ...r, len: Math.min(r.len, MOST_OF_IOVEC) })) : ranges;
  if (cut.some(({ addr, len }) => addr + len > TASK_SIZE)) return refused(EFAULT, 'beyond-task-size');
  return cut;
}

/** A member of an iovec. */
interface AdviceRange {
  readonly addr: Addr;
  readonly len: number;
}

const REMOTE_ADVICE = new Set([MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_COLLAPSE]);

/**
 * process_madvise(2).
 *
 * @param iovec   the ranges, bytes
 * @param remote  the target is another process: only COLD, PAGEOUT, WILLNEED, COLLAPSE
 * @returns       bytes advised before the first refusal, or that refusal if there are none
 */
export function processMadvise(
  mm: Mm,
  iovec: readonly AdviceRange[],
  how: {
    readonly advice: number;
    readonly flags: number;
    readonly remote: boolean;
    readonly mayAdvise?: boolean;
  },
): SysResult {
  if (how.flags !== 0) return refused(EINVAL, 'bad-flags');
  const ranges = importRanges(iovec);
  if ('ret' in ranges) return ranges;
  if (how.remote && !REMOTE_ADVICE.has(how.advice)) return refused(EINVAL, 'bad-advice');
  if (how.remote && how.mayAdvise === false) return refused(EPERM, 'not-permitted');
  // Nobody looks at the advice when all ranges are empty; behind the first one, empty ranges are passed over.
  if (ranges.every(({ len }) => len === 0)) return { ret: 0, why: 'ok' };
  let bytes = 0;
  for (const [i, { addr, len }] of ranges.entries()) {
    if (len === 0 && i > 0) continue;
    const result = madvise(mm, addr, len, how.advice);
    if (result.why !== 'ok') return bytes > 0 ? { ret: bytes, why: 'ok' } : result;
    bytes += len;
  }
  return { ret: bytes, why: 'ok' };
}
