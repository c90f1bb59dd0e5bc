/**
 * Growth of a GROWSDOWN vma: a fault below it moves its start down to the faulting page.
 *
 * Linux   mm/vma.c: expand_downwards, acct_stack_growth; spec/vma.md 8
 */
import { ENOMEM, EPERM } from '../abi/errno.ts';
import { type Addr, nrPagesIn, pageFloor } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { accountVm, exceededLimit, type Mm, mayCommit, mayLockMore } from './mm.ts';
import { OK, refused, type SysResult } from './result.ts';
import type { Vma } from './vma.ts';
import { VM_ACCESS_FLAGS, VM_ACCOUNT, VM_GROWSDOWN, VM_LOCKED } from './vmFlags.ts';
import { FACT } from './work.ts';

/**
 * Grows `vma`, which is GROWSDOWN and starts above `addr`, down to the page of `addr`.
 *
 * Refusals   EPERM below-mmap-min-addr · ENOMEM guard-gap, address-space-limit, stack-limit, locked-limit, overcommit; the caller makes it a SIGSEGV
 * Effect     creates the anon_vma, also when a limit then refuses; no map limit is asked
 */
export function expandStack(mm: Mm, vma: Vma, addr: Addr): SysResult {
  const { config } = mm.kernel;
  const start = pageFloor(addr);
  if (start < config.mmapMinAddr) return refused(EPERM, 'below-mmap-min-addr');
  const { prev } = vma;
  const needsGap = prev !== null && (prev.flags & VM_GROWSDOWN) === 0 && (prev.flags & VM_ACCESS_FLAGS) !== 0;
  if (needsGap && start - prev.end < config.stackGuardGap) return refused(ENOMEM, 'guard-gap');
  prepareAnonVma(mm.kernel, vma);
  const grow = nrPagesIn(vma.start - start);
  if (grow > vma.pgoff) return refused(ENOMEM, 'wraps');
  const limit = exceededLimit(mm, vma.flags, grow);
  if (limit !== null) return refused(ENOMEM, limit);
  if (vma.end - start > mm.limits.stack.soft) return refused(ENOMEM, 'stack-limit');
  if (!mayLockMore(mm, vma.flags, grow * 4096)) return refused(ENOMEM, 'locked-limit');
  if (!mayCommit(mm, grow)) return refused(ENOMEM, 'overcommit');
  mm.kernel.commit(grow);
  // What grows is charged whether it is VM_ACCOUNT or not, but only VM_ACCOUNT memory gives its charge back.
  if ((vma.flags & VM_ACCOUNT) === 0) mm.kernel.committedLeak += grow;
  if (vma.flags & VM_LOCKED) mm.lockedVm += grow;
  accountVm(mm, vma.flags, grow);
  vma.pgoff -= grow;
  mm.vmas.resize(vma, start, vma.end);
  mm.kernel.work.count(FACT.vmasGrown);
  mm.kernel.emit?.({
    kind: 'vmaResize',
    op: mm.kernel.opNr,
    mm: mm.id,
    vma: vma.id,
    start,
    end: vma.end,
    cause: 'stack',
  });
  return OK;
}
