/**
 * An access that could not be made at once, in virtual time: what its thread owes passes, and the fault is served.
 *
 *   0. It enters the kernel: what a call pays for that, which is not under any lock, stands in for entry and exit.
 *   1. The vma is looked up and its lock tried (features.perVmaLocks). Somebody who changes it, no vma, or the old way: mmap_lock for reading.
 *      The first write of anonymous memory needs mmap_lock for a moment, to give the vma its anon_vma: tried, too. A stack that grows writes it.
 *   2. The fault is served, at once (mm/fault.ts).
 *   3. It pays: its path, the wait for the lock of its page table, interrupts of other CPUs.
 *
 * It may end in a handler of the process; whoever wanted the access makes it again afterwards.
 * Two threads that fault on one page: the second one finds the page there when it has its lock, and has had a fault all the same.
 *
 * Linux   arch/x86/mm/fault.c: do_user_addr_fault(); mm/mmap_lock.c: lock_vma_under_rcu(); mm/memory.c: vmf_anon_prepare()
 */
import { UFFD_PAGEFAULT_FLAG_MINOR, UFFD_PAGEFAULT_FLAG_WP } from '../../abi/userfaultfd.ts';
import type { Addr } from '../../base/units.ts';
import {
  type AccessRequest,
  accessPage,
  countFaults,
  type FaultAccess,
  type FaultResult,
} from '../../mm/fault.ts';
import type { Mm } from '../../mm/mm.ts';
import { MISS } from '../../mm/translate.ts';
import type { UffdMessage } from '../../mm/uffdContext.ts';
import { isAnonymousVma, type Vma } from '../../mm/vma.ts';
import { VM_GROWSDOWN } from '../../mm/vmFlags.ts';
import { FACT } from '../../mm/work.ts';
import type { AddrRange, MmLocks } from '../locks/mmLocks.ts';
import type { Running } from '../sched/schedTask.ts';
import type { ThreadMemory } from './threadMemory.ts';
import { usesVmaLocks } from './timedCall.ts';
import { timedScan } from './timedScan.ts';

/** What reports call the stall of an access. */
const STALLS: Readonly<Record<FaultAccess, string>> = {
  read: 'read fault',
  write: 'write fault',
  exec: 'exec fault',
};

/**
 * Does what keeps an access of `thread` from being made, which it has just tried: lets time pass, serves a fault, waits for user space where it is to
 * provide the page, runs a handler. One generator for all of that: each further one is gone through with every pause.
 */
export function* timedFault(thread: ThreadMemory, addr: Addr, access: FaultAccess): Running<void> {
  const { simulation, task, tid, mm } = thread;
  const hasPaused = !thread.pays(0);
  if (hasPaused) yield 'pay';
  if (thread.group.isOver || mm === null) yield 'end';
  const { isScanning } = simulation.machine.tableReclaim;
  if (isScanning) yield* timedScan(thread);
  // As long as nobody else ran, the access is not possible yet; but where tables are scanned it was put off for that.
  const mayBeOpen = hasPaused || isScanning;
  if (mm === null || (mayBeOpen && thread.translate(mm, addr, access) !== MISS)) return;
  const startNs = simulation.scheduler.nowNs;
  const askedNs = task.voluntaryNs;
  const locks = simulation.locksOf(mm);
  const { mmapLock } = locks;
  let request: AccessRequest = { addr, access, stamp: null, tid };
  for (;;) {
    if (!thread.pays(simulation.prices.syscallNs)) yield 'pay';
    const vma = mm.vmas.firstEndingAbove(addr);
    const range = usesVmaLocks(simulation) ? lockVma(locks, vma, addr, access) : null;
    const grows = range === null && vma !== null && vma.start > addr && (vma.flags & VM_GROWSDOWN) !== 0;
    if (grows) yield* mmapLock.write(task);
    else if (range === null) yield* mmapLock.read(task);
    const result = serve(thread, mm, request);
    if (!thread.pays(billOf(thread, mm, result, addr))) yield 'pay';
    if (range !== null) locks.endReadVma(range);
    else if (grows) mmapLock.releaseWrite(task);
    else mmapLock.releaseRead();
    if (result.kind === 'userfault') {
      thread.note(whyAsked(result.wait.message));
      request = result.again;
      // As `waitFor` does.
      const { wait } = result;
      simulation.uffd.tellReader(wait);
      if (!thread.pays(0)) yield 'pay';
      if (wait.done) continue;
      const waiter = simulation.uffd.begin(thread, wait);
      yield 'park';
      simulation.uffd.end(waiter, wait);
      if (!thread.pays(0)) yield 'pay';
      if (thread.group.isOver) yield 'end';
      continue;
    }
    if (thread.group.isOver) yield 'end';
    if (result.kind === 'signal') {
      thread.note(result.signal);
      yield* thread.signalled({ signal: result.signal, code: result.codeName, addr });
    }
    task.noteStall(STALLS[access], startNs, simulation.scheduler.nowNs, task.voluntaryNs - askedNs);
    return;
  }
}

/** Locks the vma of the access, if that is possible; returns its range. */
function lockVma(locks: MmLocks, vma: Vma | null, addr: Addr, access: FaultAccess): AddrRange | null {
  if (vma === null || vma.start > addr) return null;
  if (access === 'write' && vma.anonVma === null && isAnonymousVma(vma)) {
    if (!locks.mmapLock.tryRead()) return null;
    locks.mmapLock.releaseRead();
  }
  const range = { start: vma.start, end: vma.end };
  return locks.tryReadVma(range) ? range : null;
}

/** Serves the fault, at once. */
function serve({ simulation, faults }: ThreadMemory, mm: Mm, request: AccessRequest): FaultResult {
  const { ledger, kernel } = simulation;
  ledger.begin();
  kernel.opNr++;
  kernel.work.faultTally = faults;
  const result = accessPage(mm, request);
  if (result.kind === 'hit') countFaults(mm, 'spurious');
  return result;
}

/** Returns what the fault that was just served costs besides its entry: its path, the wait for its page table, interrupts of other CPUs. */
function billOf({ simulation, task }: ThreadMemory, mm: Mm, result: FaultResult, addr: Addr): number {
  const { prices, scheduler } = simulation;
  const ns = simulation.billNs();
  if (result.kind === 'signal' || !simulation.isShared(mm, task)) return ns;
  const lockNs = Math.min(ns, prices.pteLockNs);
  const { ptes } = simulation.locksOf(mm);
  // It had found the table, waited for its lock, and found it gone: it begins again. Linux: pte_offset_map_lock() fails
  if (ptes.isTakenAway(addr, scheduler.nowNs)) simulation.kernel.work.count(FACT.ptMapRetries);
  const waitNs = ptes.fault(addr, scheduler.nowNs + ns - lockNs, lockNs);
  task.debtSpinNs += waitNs;
  return ns + waitNs;
}

/** What a thread waits for user space to do: bring a missing page, map one that is in the file, let a protected one be written. */
function whyAsked(message: UffdMessage): string {
  const flags = message.event === 'pagefault' ? message.flags : 0;
  if (flags & UFFD_PAGEFAULT_FLAG_WP) return 'wp';
  return flags & UFFD_PAGEFAULT_FLAG_MINOR ? 'minor' : 'missing';
}
