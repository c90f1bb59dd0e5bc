/**
 * mprotect(2) and pkey_mprotect(2): new access bits for a range, vma by vma.
 *
 * Stops at the first error; vmas before it stay changed. VM_ACCOUNT follows: gained with write access, lost again only while anonymous
 * and unfaulted, so a decommitted piece that was written never merges with the reservation around it.
 *
 * Linux   mm/mprotect.c: do_mprotect_pkey, mprotect_fixup; spec/vma.md 5
 */
import { EACCES, EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP, PROT_READ, PROT_SEM, PROT_WRITE } from '../abi/mman.ts';
import { type Addr, isPageAligned, nrPagesIn, pageCeil } from '../base/units.ts';
import { accountVm, exceededLimit, type Mm, mayCommit } from './mm.ts';
import { isDeniedWriteExec, protFlags } from './mmap.ts';
import { populateVma } from './populate.ts';
import { protectPages } from './protectPages.ts';
import { OK, refused, type SysResult } from './result.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { modifyVma } from './vmaMerge.ts';
import {
  VM_ACCESS_FLAGS,
  VM_ACCOUNT,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_NORESERVE,
  VM_SEALED,
  VM_SHARED,
  VM_WRITE,
} from './vmFlags.ts';

const GROWS = PROT_GROWSDOWN | PROT_GROWSUP;

/**
 * mprotect(2).
 *
 * @param addr  page aligned
 * @param len   bytes, rounded up
 * @param prot  PROT_* bits; PROT_GROWSDOWN extends the range down to the start of the vma
 * @returns     0
 * Refusals     EINVAL bad-prot, unaligned, not-growsdown · ENOMEM wraps, hole, data-limit, overcommit, map-count · EACCES may-access, write-exec · EPERM sealed
 * Events       vmaMerge, vmaSplit, flags
 */
export function mprotect(mm: Mm, addr: Addr, len: number, prot: number): SysResult {
  const grows = prot & GROWS;
  if (grows === GROWS) return refused(EINVAL, 'bad-prot');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (len === 0) return OK;
  const end = addr + pageCeil(len);
  if (end >= 2 ** 64 || end <= addr) return refused(ENOMEM, 'wraps');
  if (prot & ~(GROWS | PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)) return refused(EINVAL, 'bad-prot');
  const vma = mm.vmas.firstEndingAbove(addr);
  if (vma === null || vma.start >= end) return refused(ENOMEM, 'hole');
  let start = addr;
  if (grows === PROT_GROWSDOWN) {
    start = vma.start;
    if ((vma.flags & VM_GROWSDOWN) === 0) return refused(EINVAL, 'not-growsdown');
  } else if (vma.start > start) return refused(ENOMEM, 'hole');
  if (grows === PROT_GROWSUP) return refused(EINVAL, 'not-growsdown');
  return protectWalk(mm, vma, { start, end }, protFlags(prot));
}

function protectWalk(mm: Mm, first: Vma, range: { start: Addr; end: Addr }, access: number): SysResult {
  let from = range.start;
  let vma: Vma | null = first;
  while (from < range.end) {
    if (vma === null || vma.start > from) return refused(ENOMEM, 'hole');
    const flags = (vma.flags & ~VM_ACCESS_FLAGS) | access;
    if (access & ~(vma.flags >> 4) & VM_ACCESS_FLAGS) return refused(EACCES, 'may-access');
    if (isDeniedWriteExec(mm, vma.flags, flags)) return refused(EACCES, 'write-exec');
    const changed = protectVma(mm, vma, { start: from, end: Math.min(vma.end, range.end) }, flags);
    if ('why' in changed) return changed;
    from = changed.end;
    vma = changed.next;
  }
  return OK;
}

/** Changes [start, end) of one vma. Returns the vma that covers it now. Linux: mprotect_fixup(). */
function protectVma(mm: Mm, vma: Vma, range: { start: Addr; end: Addr }, wanted: number): Vma | SysResult {
  const { start, end } = range;
  const old = vma.flags;
  if (old & VM_SEALED) return refused(EPERM, 'sealed');
  if (wanted === old) return vma;
  const pages = nrPagesIn(end - start);
  let flags = wanted;
  let charged = 0;
  if (flags & VM_WRITE) {
    const limit = exceededLimit(mm, flags, pages);
    if (limit !== null && exceededLimit(mm, old, pages) === null) return refused(ENOMEM, limit);
    if ((old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE)) === 0) {
      if (!mayCommit(mm, pages)) return refused(ENOMEM, 'overcommit');
      charged = pages;
      mm.kernel.commit(charged);
      flags |= VM_ACCOUNT;
    }
  } else if (old & VM_ACCOUNT && isAnonymousVma(vma) && vma.anonVma === null) flags &= ~VM_ACCOUNT;
  const changed = modifyVma(mm, vma, { start, end, cause: 'mprotect' }, { flags });
  if (changed === null) {
    mm.kernel.commit(-charged);
    return refused(ENOMEM, 'map-count');
  }
  protectPages(mm, changed, range, old);
  if (old & VM_ACCOUNT && (flags & VM_ACCOUNT) === 0) mm.kernel.commit(-pages);
  if ((old & (VM_WRITE | VM_SHARED | VM_LOCKED)) === VM_LOCKED && flags & VM_WRITE)
    populateVma(mm, changed, start, end);
  accountVm(mm, old, -pages);
  accountVm(mm, flags, pages);
  return changed;
}
