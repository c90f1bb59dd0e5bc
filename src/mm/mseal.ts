/**
 * mseal(2): a range whose mapping can never be changed again.
 *
 * Linux   mm/mseal.c; spec/vma.md 11
 */
import { EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, isPageAligned, pageCeil } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { OK, refused, type SysResult } from './result.ts';
import { modifyVma } from './vmaMerge.ts';
import { VM_SEALED } from './vmFlags.ts';

/**
 * mseal(2).
 * @param addr  page aligned; len bytes, rounded up; flags must be 0
 * Refusals     EINVAL bad-flags, unaligned, wraps · ENOMEM hole (nothing is sealed then), map-count
 */
export function mseal(mm: Mm, addr: Addr, len: number, flags = 0): SysResult {
  if (flags !== 0) return refused(EINVAL, 'bad-flags');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  const bytes = pageCeil(len);
  if (addr + bytes >= 2 ** 64) return refused(EINVAL, 'wraps');
  const end = addr + bytes;
  if (firstHole(mm, addr, end) !== null) return refused(ENOMEM, 'hole');
  for (let from = addr; from < end; ) {
    const vma = mm.vmas.at(from);
    if (vma === null) return refused(ENOMEM, 'hole');
    const range = { start: from, end: Math.min(vma.end, end), cause: 'mseal' as const };
    const sealed = vma.flags & VM_SEALED ? vma : modifyVma(mm, vma, range, { flags: vma.flags | VM_SEALED });
    if (sealed === null) return refused(ENOMEM, 'map-count');
    from = sealed.end;
  }
  return OK;
}

/** Returns the first address of [start, end) that is not mapped, or null. Cost: one step per vma. */
export function firstHole(mm: Mm, start: Addr, end: Addr): Addr | null {
  for (let at = start; at < end; ) {
    const vma = mm.vmas.at(at);
    if (vma === null) return at;
    at = vma.end;
  }
  return null;
}
