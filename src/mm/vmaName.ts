/**
 * prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME): names for anonymous ranges. The kernel we are held against has it configured off, so
 * every call is EINVAL there; the switch `anonVmaName` turns it on.
 *
 * Linux   mm/madvise.c: set_anon_vma_name; spec/vma.md 11
 */
import { EBADF, EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, isPageAligned, pageCeil } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { OK, refused, type SysResult } from './result.ts';
import { modifyVma } from './vmaMerge.ts';

const MAX_NAME = 79;
/** Printable, and none of the characters that would confuse readers of maps. */
const VALID_NAME = /^[\x20-\x7e]*$/;
const FORBIDDEN = /[\\`$[\]]/;

/** Tells whether the kernel is configured with names. */
const isNamingConfigured = (mm: Mm): boolean => mm.kernel.features.anonVmaName === 'on';

/**
 * Names [addr, addr+len), or takes the name away (null).
 * Refusals   EINVAL not-configured, bad-flags (name), unaligned, wraps · EBADF not-anonymous · ENOMEM hole, map-count
 */
export function setVmaName(mm: Mm, addr: Addr, len: number, name: string | null): SysResult {
  if (!isNamingConfigured(mm)) return refused(EINVAL, 'not-configured');
  if (name !== null && (name.length > MAX_NAME || !VALID_NAME.test(name) || FORBIDDEN.test(name)))
    return refused(EINVAL, 'bad-flags');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  const end = addr + pageCeil(len);
  if (end >= 2 ** 64) return refused(EINVAL, 'wraps');
  let hole = false;
  for (let from = addr; from < end; ) {
    const vma = mm.vmas.firstEndingAbove(from);
    if (vma === null) return refused(ENOMEM, 'hole');
    if (vma.start > from) {
      hole = true;
      from = vma.start;
      if (from >= end) break;
    }
    const kind = vma.file?.object.kind;
    if (vma.special !== null || (vma.file !== null && kind !== 'shmem'))
      return refused(EBADF, 'not-anonymous');
    const named = modifyVma(mm, vma, { start: from, end: Math.min(vma.end, end), cause: 'name' }, { name });
    if (named === null) return refused(ENOMEM, 'map-count');
    from = named.end;
  }
  return hole ? refused(ENOMEM, 'hole') : OK;
}
