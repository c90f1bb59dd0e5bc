/**
 * From an Op about memory to the function of mm/ that does it.
 *
 * Arguments are passed on as they are; descriptors are looked up; choices of a recording are handed down where the kernel chooses freely.
 */
import { EACCES, EINVAL, EPERM } from '../abi/errno.ts';
import { VRANGE_BEHAVIOR, VRANGE_MODE } from '../abi/vrange.ts';
import { brk } from '../mm/brk.ts';
import { clearRefs } from '../mm/clearRefs.ts';
import { madvise } from '../mm/madvise.ts';
import { mbind } from '../mm/mempolicy.ts';
import { endMigration, startMigration } from '../mm/migration.ts';
import { mincore, msync } from '../mm/mincore.ts';
import { mlock, mlockall, munlock, munlockall } from '../mm/mlock.ts';
import type { Mm } from '../mm/mm.ts';
import { mmap } from '../mm/mmap.ts';
import { mprotect } from '../mm/mprotect.ts';
import { mremap } from '../mm/mremap.ts';
import { mseal } from '../mm/mseal.ts';
import { munmap } from '../mm/munmap.ts';
import { processMadvise } from '../mm/processMadvise.ts';
import { processVm } from '../mm/processVm.ts';
import type { SysResult } from '../mm/result.ts';
import { shmat, shmdt } from '../mm/shm.ts';
import type { MappedFile } from '../mm/vma.ts';
import { setVmaName } from '../mm/vmaName.ts';
import { type VrangeRequest, vrange } from '../mm/vrange.ts';
import { objectForPath } from './fileCalls.ts';
import { fileKindOf } from './fileKind.ts';
import { ioSetup } from './ioRing.ts';
import type { Machine } from './machine.ts';
import type { Chosen, Op } from './op.ts';
import { failure, type Outcome, outcomeOf } from './outcome.ts';
import type { PressureOp } from './pressure.ts';
import type { Process } from './process.ts';
import { settingCall } from './settings.ts';

/** Who does it. */
export interface Caller {
  readonly machine: Machine;
  readonly process: Process;
  readonly mm: Mm;
  readonly tid: number;
}

/** The members of Op that memoryCall handles. */
export type MemoryOp = Exclude<
  Op,
  {
    call:
      | 'clone'
      | 'execve'
      | 'exit'
      | 'exit_group'
      | 'open'
      | 'memfd_create'
      | 'close'
      | 'close_range'
      | 'dup'
      | 'ftruncate'
      | 'fallocate'
      | 'write_file'
      | 'add_seals'
      | 'userfaultfd'
      | 'uffd_ioctl'
      | 'uffd_read'
      | 'pagemap_scan'
      | 'shmget'
      | PressureOp['call']
      | 'touch'
      | 'nop';
  }
>;

/** Carries out one memory operation. Throws Unmodelled for what docs/scope.md leaves out. */
export function memoryCall(caller: Caller, op: MemoryOp, chosen: Chosen): Outcome {
  const { mm } = caller;
  const place = chosen.addr ?? null;
  switch (op.call) {
    case 'mmap':
      return callMmap(caller, op, chosen);
    case 'munmap':
      return outcomeOf(munmap(mm, op.addr, op.len));
    case 'mprotect':
      return op.pkey !== undefined && op.pkey > 0
        ? failure(EINVAL, 'bad-flags')
        : outcomeOf(mprotect(mm, op.addr, op.len, op.prot));
    case 'mremap':
      return callMremap(mm, op, place);
    case 'brk':
      return setBrk(mm, op.addr, place);
    case 'madvise':
      return outcomeOf(madvise(mm, op.addr, op.len, op.advice));
    case 'vrange':
      return outcomeOf(vrange(mm, vrangeRequestOf(op)));
    case 'process_madvise':
      return callProcessMadvise(caller, op);
    case 'clear_refs':
      return callClearRefs(caller, op);
    case 'process_vm':
      return callProcessVm(caller, op);
    case 'migrate': {
      const move = op.step === 'start' ? startMigration : endMigration;
      return { kind: 'value', value: move(mm, op.addr, op.addr + op.len), why: 'ok' };
    }
    case 'mlock':
    case 'mlock2':
    case 'munlock':
    case 'mlockall':
    case 'munlockall':
      return outcomeOf(lockCall(mm, op));
    case 'mincore': {
      const result = mincore(mm, op.addr, op.len);
      return result.resident === undefined ? outcomeOf(result) : { kind: 'resident', pages: result.resident };
    }
    case 'msync':
      return outcomeOf(msync(mm, op.addr, op.len, op.flags));
    case 'mseal':
      return outcomeOf(mseal(mm, op.addr, op.len, op.flags));
    case 'mbind':
      return outcomeOf(mbind(mm, op.addr, op.len, op));
    case 'set_vma_name':
      return outcomeOf(setVmaName(mm, op.addr, op.len, op.name));
    case 'set_memory_merge':
    case 'set_mdwe':
    case 'set_thp_disable':
    case 'prctl_pt_reclaim':
    case 'pt_scan_write':
    case 'setrlimit':
    case 'set_uid':
    case 'fill_maps':
    case 'overcommit':
      return settingCall(caller, op);
    case 'shmat':
      return callShmat(caller, op, place);
    case 'shmdt':
      return outcomeOf(shmdt(mm, op.addr));
    case 'io_setup':
      return ioSetup(caller, op.nrEvents, place);
  }
}

function callShmat(
  { mm, machine }: Caller,
  op: Extract<Op, { call: 'shmat' }>,
  chosen: number | null,
): Outcome {
  const segment = machine.segments.get(op.id);
  return segment === undefined
    ? failure(EINVAL, 'no-such-segment')
    : outcomeOf(shmat(mm, segment.object, { ...op, chosen }));
}

/** vrange with the numbers that the call has for names. */
function vrangeRequestOf({ addr, len, mode, behavior }: Extract<Op, { call: 'vrange' }>): VrangeRequest {
  return {
    addr,
    len,
    mode: typeof mode === 'number' ? mode : VRANGE_MODE[mode],
    behavior: typeof behavior === 'number' ? behavior : VRANGE_BEHAVIOR[behavior],
  };
}

function callProcessMadvise(caller: Caller, op: Extract<Op, { call: 'process_madvise' }>): Outcome {
  const { ranges, advice, flags } = op;
  const target = caller.machine.targetMm(caller.process, op.target);
  if ('kind' in target) return target;
  if (isHidden(caller, op.target)) return failure(EACCES, 'not-permitted');
  const mayAdvise = caller.process.uid === null || caller.mm.privileged;
  return outcomeOf(processMadvise(target.mm, ranges, { advice, flags, remote: target.remote, mayAdvise }));
}

/** Tells whether a process belongs to somebody else, and who asks is not root. Where it is not known whose they are, nobody is. */
export function isHidden({ machine, process, mm }: Caller, target: 'self' | number): boolean {
  if (target === 'self' || mm.privileged || process.uid === null) return false;
  return machine.process(target)?.uid !== process.uid;
}

function callClearRefs(caller: Caller, op: Extract<Op, { call: 'clear_refs' }>): Outcome {
  const target = caller.machine.targetMm(caller.process, op.target);
  return 'kind' in target ? target : outcomeOf(clearRefs(target.mm, op.what));
}

/** A process that was never seen may exist all the same: nothing can be said of its memory. */
function callProcessVm(caller: Caller, op: Extract<Op, { call: 'process_vm' }>): Outcome {
  const target = caller.machine.targetMm(caller.process, op.target);
  if ('kind' in target) return { kind: 'unknown-memory' };
  if (isHidden(caller, op.target)) return failure(EPERM, 'not-permitted');
  return outcomeOf(processVm(caller.mm, target.mm, { ...op, stamp: op.stamp ?? null }));
}

/** Carries out a call that locks or unlocks memory. */
function lockCall(
  mm: Mm,
  op: Extract<Op, { call: 'mlock' | 'mlock2' | 'munlock' | 'mlockall' | 'munlockall' }>,
): SysResult {
  switch (op.call) {
    case 'mlock':
      return mlock(mm, op.addr, op.len);
    case 'mlock2':
      return mlock(mm, op.addr, op.len, op.flags);
    case 'munlock':
      return munlock(mm, op.addr, op.len);
    case 'mlockall':
      return mlockall(mm, op.flags);
    case 'munlockall':
      return munlockall(mm);
  }
}

// Records are spelled out: spreading an Op into one costs more than the call itself.
function callMmap(caller: Caller, op: Extract<Op, { call: 'mmap' }>, chosen: Chosen): Outcome {
  const { addr, len, prot, flags, offset } = op;
  const file = op.fd < 0 ? null : fileForMmap(caller, op, chosen);
  return outcomeOf(mmap(caller.mm, { addr, len, prot, flags, offset, file, chosen: chosen.addr ?? null }));
}

function callMremap(mm: Mm, op: Extract<Op, { call: 'mremap' }>, chosen: number | null): Outcome {
  const { addr, oldLen, newLen, flags, newAddr } = op;
  return outcomeOf(mremap(mm, { addr, oldLen, newLen, flags, newAddr, chosen }));
}

/** A recording shows where brk begins by the first answer of brk(0). */
function setBrk(mm: Mm, addr: number, start: number | null): Outcome {
  if (mm.startBrk === 0 && start !== null) {
    mm.startBrk = start;
    mm.brk = start;
  }
  return outcomeOf(brk(mm, addr));
}

/** Looks the descriptor of mmap up; one whose opening we did not see is known by its path, if the recording shows it. */
export function fileForMmap(
  caller: Caller,
  op: Extract<Op, { call: 'mmap' }>,
  chosen: Chosen,
): MappedFile | null {
  const { process, machine } = caller;
  const descriptor = process.files.get(op.fd);
  if (descriptor?.kind === 'file') return descriptor.file;
  if (descriptor !== null)
    return machine.kernel.openFile(objectForPath(machine, `fd ${op.fd}`, 'other', null), {
      readable: true,
      writable: true,
    });
  if (chosen.fdPath === undefined) return null;
  const kind = fileKindOf(chosen.fdPath);
  const file = machine.kernel.openFile(objectForPath(machine, chosen.fdPath, kind, null), {
    readable: true,
    writable: true,
  });
  process.files.set(op.fd, { kind: 'file', file });
  return file;
}
