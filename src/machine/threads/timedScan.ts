/**
 * Looking for empty page tables in virtual time (seed 003): the scan of a thread that returns to its program, MADV_PT_RECLAIM, and the second look of
 * MADV_DONTNEED at a table whose lock it had given up.
 *
 *   a scan     tries mmap_lock for reading; if somebody changes vmas, or waits for that, it is left for the next time. It pays table by table, so faults and
 *              calls of others, which lock single vmas, come between: what is found empty without locks is looked at again (mm/ptScan.ts), and who waits for
 *              the lock of a table that goes begins again (`ptMapRetries`)
 *   the call   reads mmap_lock; looks, pays, clears what still is empty, and says EAGAIN if something is not
 *
 * The thread that happens to be on its way back pays for the scan of all threads: that is the pause.
 *
 * Linux   RFC 3/3 of seed 003; mm/pt_reclaim.c: try_to_free_pte(). Left out: a shootdown that is asked for while interrupts are off waits for them
 */
import { MADV_PT_RECLAIM } from '../../abi/mman.ts';
import { type Addr, isPageAligned, PMD_SIZE } from '../../base/units.ts';
import type { Mm } from '../../mm/mm.ts';
import { isAdviceKnown, RangeReclaim, recheckTables } from '../../mm/ptReclaim.ts';
import { TableScan } from '../../mm/ptScan.ts';
import { PATH } from '../../mm/work.ts';
import type { MmLocks } from '../locks/mmLocks.ts';
import type { Op } from '../op.ts';
import { type Outcome, outcomeOf } from '../outcome.ts';
import type { Running } from '../sched/schedTask.ts';
import type { ThreadMemory } from './threadMemory.ts';

/** Tables that are looked at before others get to do something, if none of them goes. */
const AT_ONCE = 16;

/** `thread` returns to its program: if the scan of its address space is due, it does it. */
export function* timedScan(thread: ThreadMemory): Running<void> {
  const { simulation, mm, task } = thread;
  const { tableReclaim } = simulation.machine;
  if (mm === null || thread.group.isOver || !tableReclaim.take(mm)) return;
  const locks = simulation.locksOf(mm);
  if (!locks.mmapLock.tryRead()) {
    tableReclaim.failed();
    return;
  }
  const beganNs = task.times.runNs + task.times.spinNs;
  yield* steps(thread, mm, locks);
  locks.mmapLock.releaseRead();
  const ns = task.times.runNs + task.times.spinNs - beganNs;
  tableReclaim.noteStop(ns);
}

/** Looks at table after table, under mmap_lock. */
function* steps(thread: ThreadMemory, mm: Mm, locks: MmLocks): Running<void> {
  const { ledger } = thread.simulation;
  const scan = new TableScan(mm);
  for (let isOver = false; !isOver; ) {
    ledger.begin();
    const look = scan.nextFew(AT_ONCE);
    if (!thread.pays(bill(thread, { mm, locks, base: look?.isFreed ? look.base : null }))) yield 'pay';
    if (thread.group.isOver) yield 'end';
    if (look?.isFound) {
      ledger.begin();
      const verdict = scan.clear(look.base);
      yield* thread.owe(bill(thread, { mm, locks, base: verdict === 'freed' ? look.base : null }));
    }
    isOver = look === null;
  }
}

/** Returns what that costs which was just done. @param of.base  the table that went, whose lock is held meanwhile; null: none did */
function bill(
  thread: ThreadMemory,
  of: { readonly mm: Mm; readonly locks: MmLocks; readonly base: Addr | null },
): number {
  const { simulation, task } = thread;
  const { ledger, prices } = simulation;
  const ns = ledger.totalNs + ledger.shootdowns * prices.shootdownNs;
  if (of.base !== null && simulation.isShared(of.mm, task)) {
    const { nowNs } = simulation.scheduler;
    of.locks.ptes.sweep(of.base, of.base + PMD_SIZE, nowNs, nowNs + ns);
    of.locks.ptes.takenAway(of.base, nowNs + ns);
  }
  return ns;
}

/** Tells whether `op` is MADV_PT_RECLAIM, where it is known and not refused at once. */
export const isTableAdvice = (
  mm: Mm,
  op: Op,
): op is Extract<Op, { call: 'madvise' }> & { readonly advice: typeof MADV_PT_RECLAIM } =>
  op.call === 'madvise' &&
  op.advice === MADV_PT_RECLAIM &&
  op.len > 0 &&
  op.addr + op.len < 2 ** 63 &&
  isPageAligned(op.addr) &&
  isAdviceKnown(mm.kernel);

/** Carries MADV_PT_RECLAIM out; its entry is paid. */
export function* timedReclaim(
  thread: ThreadMemory,
  mm: Mm,
  { addr, len }: { readonly addr: Addr; readonly len: number },
): Running<Outcome> {
  const { simulation, task } = thread;
  const { ledger, kernel } = simulation;
  const locks = simulation.locksOf(mm);
  yield* locks.mmapLock.read(task);
  kernel.opNr++;
  kernel.work.charge(PATH.syscall, 1);
  const call = new RangeReclaim(mm, addr, len);
  ledger.begin();
  call.look();
  yield* thread.owe(bill(thread, { mm, locks, base: null }));
  ledger.begin();
  const result = call.clearFound();
  yield* thread.owe(bill(thread, { mm, locks, base: null }));
  locks.mmapLock.releaseRead();
  return outcomeOf(result);
}

/** Looks again at tables that were empty when their lock was given up, under both locks. */
export function* timedRecheck(thread: ThreadMemory, mm: Mm, bases: readonly Addr[]): Running<void> {
  const { ledger } = thread.simulation;
  ledger.begin();
  recheckTables(mm, bases);
  yield* thread.owe(bill(thread, { mm, locks: thread.simulation.locksOf(mm), base: null }));
}
