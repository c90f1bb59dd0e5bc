/**
 * mbind(2) as far as vmas see it: the policy of a range, compared by value, is part of merge compatibility.
 *
 * Linux   mm/mempolicy.c: do_mbind, mbind_range; spec/vma.md 14.1 rule 3
 * Left out   where pages are placed; moving pages
 */
import { EFAULT, EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, isPageAligned, pageCeil } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { firstHole } from './mseal.ts';
import { OK, refused, type SysResult } from './result.ts';
import { modifyVma } from './vmaMerge.ts';

const MPOL_DEFAULT = 0;
const MPOL_LOCAL = 4;
const MPOL_MODES = 7;

/**
 * mbind(2).
 * @param mode   MPOL_DEFAULT (0) takes the policy away, wants no nodes and goes over holes
 * @param nodes  the node set as text, empty for none
 * Refusals      EINVAL unaligned, bad-range, bad-flags · EFAULT hole · ENOMEM map-count
 */
export function mbind(
  mm: Mm,
  addr: Addr,
  len: number,
  what: { readonly mode: number; readonly nodes: string },
): SysResult {
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  const end = addr + pageCeil(len);
  if (end >= 2 ** 64) return refused(EINVAL, 'bad-range');
  if (end === addr) return OK;
  const mode = what.mode & 0xfff;
  const wantsNodes = mode !== MPOL_DEFAULT && mode !== MPOL_LOCAL;
  if (
    mode >= MPOL_MODES ||
    (mode === MPOL_DEFAULT && what.nodes !== '') ||
    (wantsNodes && what.nodes === '' && mode !== 1)
  ) {
    return refused(EINVAL, 'bad-flags');
  }
  const policy = mode === MPOL_DEFAULT ? null : `${what.mode}:${what.nodes}`;
  const first = mm.vmas.firstEndingAbove(addr);
  if (first === null || first.start >= end) return refused(EFAULT, 'hole');
  if (policy !== null && firstHole(mm, addr, end) !== null) return refused(EFAULT, 'hole');
  for (let from = addr; from < end; ) {
    const vma = mm.vmas.firstEndingAbove(from);
    if (vma === null || vma.start >= end) break;
    const range = {
      start: Math.max(vma.start, from),
      end: Math.min(vma.end, end),
      cause: 'mbind' as const,
    };
    const bound = vma.policy === policy ? vma : modifyVma(mm, vma, range, { policy });
    if (bound === null) return refused(ENOMEM, 'map-count');
    from = bound.end;
  }
  return OK;
}
