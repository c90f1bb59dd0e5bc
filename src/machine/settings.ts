/**
 * Calls that change a setting of the process, or of the machine, and no memory: prctl, limits, the user, overcommit.
 *
 * There is one privilege: who is not root has none.
 * Linux   kernel/sys.c: prctl_set_mdwe, prctl_set_thp_disable, do_prlimit, __sys_setuid
 */
import { EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK } from '../abi/mman.ts';
import { Unmodelled } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { setMemoryMerge } from '../mm/ksm.ts';
import type { Mm, Rlimits } from '../mm/mm.ts';
import { setPtReclaim, writePtScan } from '../mm/ptReclaimCalls.ts';
import type { Caller } from './memoryCalls.ts';
import type { Op } from './op.ts';
import { DONE, failure, type Outcome, outcomeOf } from './outcome.ts';

const MDWE_REFUSE_EXEC_GAIN = 1;
const MDWE_NO_INHERIT = 2;
const THP_DISABLE_EXCEPT_ADVISED = 2;

/** The members of Op that are about settings. */
export type SettingOp = Extract<
  Op,
  {
    call:
      | 'set_memory_merge'
      | 'set_mdwe'
      | 'set_thp_disable'
      | 'prctl_pt_reclaim'
      | 'pt_scan_write'
      | 'setrlimit'
      | 'set_uid'
      | 'fill_maps'
      | 'overcommit';
  }
>;

/** Carries out one of them. */
export function settingCall(caller: Caller, op: SettingOp): Outcome {
  const { mm, machine } = caller;
  switch (op.call) {
    case 'set_memory_merge':
      return outcomeOf(setMemoryMerge(mm, op.on));
    case 'set_mdwe':
      return setMdwe(mm, op.flags);
    case 'set_thp_disable':
      return setThpDisable(mm, op);
    case 'prctl_pt_reclaim':
      return outcomeOf(setPtReclaim(mm, op.mode));
    case 'pt_scan_write':
      return outcomeOf(writePtScan(mm, op.settings));
    case 'setrlimit':
      return setLimit(mm, op);
    case 'set_uid':
      return setUid(caller, op.uid);
    case 'fill_maps':
      return fillMaps(mm, op.room);
    case 'overcommit':
      if (op.mode !== 0 && op.mode !== 1 && op.mode !== 2) return failure(EINVAL, 'bad-flags');
      machine.kernel.setOvercommit(op.mode);
      return DONE;
  }
}

/**
 * Mappings elsewhere take up all vmas but `room`. They count for RLIMIT_AS, where there are too many of them, and would be locked after
 * MCL_FUTURE. Refusals: ENOMEM address-space-limit
 */
function fillMaps(mm: Mm, room: number): Outcome {
  if (mm.defFlags !== 0)
    throw new Unmodelled('filling up the vmas of a process whose new memory is locked', 'docs/ops-files.md');
  const missing = mm.maxMapCount - mm.mapCount - room;
  if (missing <= 0) return DONE;
  const { soft, hard } = mm.limits.as;
  const left = Math.floor(soft / PAGE_SIZE) - mm.totalVm;
  mm.limits.as = { soft: soft - Math.min(left, missing) * PAGE_SIZE, hard };
  if (left < missing) return failure(ENOMEM, 'address-space-limit');
  mm.ownMapLimit = mm.mapCount + room;
  return DONE;
}

/** PR_SET_MDWE: what is set stays. Refusals: EINVAL bad-flags · EPERM not-permitted */
function setMdwe(mm: Mm, flags: number): Outcome {
  if (flags & ~(MDWE_REFUSE_EXEC_GAIN | MDWE_NO_INHERIT) || flags === MDWE_NO_INHERIT)
    return failure(EINVAL, 'bad-flags');
  const now = (mm.mdwe ? MDWE_REFUSE_EXEC_GAIN : 0) | (mm.mdweNotInherited ? MDWE_NO_INHERIT : 0);
  if (now !== 0 && now !== flags) return failure(EPERM, 'not-permitted');
  mm.mdwe = (flags & MDWE_REFUSE_EXEC_GAIN) !== 0;
  mm.mdweNotInherited = (flags & MDWE_NO_INHERIT) !== 0;
  return DONE;
}

/** PR_SET_THP_DISABLE. Refusals: EINVAL bad-flags */
function setThpDisable(mm: Mm, { on, flags }: Extract<Op, { call: 'set_thp_disable' }>): Outcome {
  if (flags & ~THP_DISABLE_EXCEPT_ADVISED || (!on && flags !== 0)) return failure(EINVAL, 'bad-flags');
  mm.thpDisabled = !on ? 'no' : flags === 0 ? 'all' : 'unadvised';
  return DONE;
}

const LIMITS: Readonly<Record<number, keyof Rlimits>> = {
  [RLIMIT_AS]: 'as',
  [RLIMIT_DATA]: 'data',
  [RLIMIT_STACK]: 'stack',
  [RLIMIT_MEMLOCK]: 'memlock',
};

/** Pages that count against a limit. */
const USED: Readonly<Record<keyof Rlimits, (mm: Mm) => number>> = {
  as: (mm) => mm.totalVm,
  data: (mm) => mm.dataVm,
  stack: () => 0,
  memlock: (mm) => mm.lockedVm,
};

/** setrlimit(2). Refusals: EINVAL bad-length (the soft limit is above the hard one) */
function setLimit(mm: Mm, op: Extract<Op, { call: 'setrlimit' }>): Outcome {
  const name = LIMITS[op.resource];
  if (name === undefined) return DONE;
  const old = mm.limits[name];
  const above = op.aboveUse ? USED[name](mm) * PAGE_SIZE : 0;
  const soft = op.soft === null ? old.soft : op.soft + above;
  const hard = op.hard ?? old.hard;
  if (soft > hard) return failure(EINVAL, 'bad-length');
  mm.limits[name] = { soft, hard };
  return DONE;
}

/** setuid(2): nobody but root becomes somebody else. Refusals: EPERM not-permitted */
function setUid({ mm, process }: Caller, uid: number): Outcome {
  if (process.uid !== null && !mm.privileged && uid !== process.uid) return failure(EPERM, 'not-permitted');
  if (process.uid !== null) process.uid = uid;
  mm.privileged = uid === 0;
  return DONE;
}
