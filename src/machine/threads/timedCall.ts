/**
 * A system call in virtual time: waits for the locks that Linux takes, is carried out, and pays what it costs under them.
 *
 *   entry          no lock: the price of an empty call
 *   the lock       mmap_lock, or that of the vma (lockPlan.ts); waits for its turn
 *   carried out    at once, whole
 *   the vmas       who changed vmas waits until the faults in them are over
 *   main           what vmas cost; splits and merges of written ones under the lock of their anon_vma
 *   late           pages that are taken away: under mmap_lock for reading when the call downgrades
 *   shootdowns     with the last of these
 *   populate       what the call fills in afterwards, under mmap_lock for reading
 *   waiting        for user space, or until an event was read: without locks; then a step like the first (opsUnderWay.ts)
 *
 * Invariant   [sim-alone] the parts add up to the charges of the call
 */
import type { Addr } from '../../base/units.ts';
import type { Mm } from '../../mm/mm.ts';
import { isWait, type UffdWait } from '../../mm/uffdContext.ts';
import { vrangeLockVerdict } from '../../mm/vrange.ts';
import type { AddrRange } from '../locks/mmLocks.ts';
import type { Op } from '../op.ts';
import type { OpUnderWay } from '../opsUnderWay.ts';
import type { Outcome } from '../outcome.ts';
import { type LockPlan, lockPlanOf, rangeOf } from '../paid/lockPlan.ts';
import type { Running } from '../sched/schedTask.ts';
import type { Simulation } from './simulation.ts';
import type { Thread } from './thread.ts';
import { isTableAdvice, timedRecheck, timedReclaim } from './timedScan.ts';

/** What a call costs by the lock under which it is paid, nanoseconds. */
interface Bill {
  outsideNs: number;
  mainNs: number;
  anonVmaNs: number;
  lateNs: number;
  readonly populateNs: number;
}

/** Carries out `op` for `thread`, in virtual time. */
export function* timedCall(thread: Thread, op: Op): Running<Outcome> {
  const { simulation } = thread;
  yield* thread.owe(simulation.prices.syscallNs);
  const mm = targetOf(thread, op);
  if (mm !== null && isTableAdvice(mm, op)) return yield* timedReclaim(thread, mm, op);
  let plan = mm === null ? 'none' : lockPlanOf(op, vrangeLockVerdict(simulation.kernel));
  const underWay = simulation.machine.begin(thread.tid, op);
  let paidNs = simulation.prices.syscallNs;
  for (;;) {
    const came = yield* timedStep(thread, { op, underWay, mm, plan, paidNs });
    if (!isWait(came)) return came;
    yield* simulation.uffd.waitFor(thread, came);
    plan = planAfterWait(op, plan);
    paidNs = 0;
  }
}

/** How a call locks the address space that goes on after it waited: what changed vmas only has events left to wait for, and pages to fill in. */
function planAfterWait(op: Op, plan: LockPlan): LockPlan {
  if (plan !== 'write' && plan !== 'downgrade') return plan;
  return op.call === 'munmap' || op.call === 'clone' ? 'none' : 'read';
}

/** One step of a call. */
interface TimedStep {
  readonly op: Op;
  readonly underWay: OpUnderWay;
  readonly mm: Mm | null;
  readonly plan: LockPlan;
  /** Of its price, so much is paid already. */
  readonly paidNs: number;
}

/** Does as much of a call as can be done now, under its locks. Whoever has to wait holds none. */
function* timedStep(thread: Thread, step: TimedStep): Running<Outcome | UffdWait> {
  const { simulation, task } = thread;
  const { op, mm, plan } = step;
  if (mm === null || plan === 'none') {
    const outcome = carryOut(thread, step);
    const bill = takeBill(simulation, step.paidNs);
    yield* thread.owe(bill.outsideNs + bill.mainNs + bill.anonVmaNs + bill.lateNs + bill.populateNs);
    return outcome;
  }
  const { mmapLock } = simulation.locksOf(mm);
  if (plan === 'write' || plan === 'downgrade') return yield* writingStep(thread, { ...step, mm, plan });
  const range = plan === 'vma' ? oneVma(simulation, mm, op) : null;
  const byVma = range !== null && simulation.locksOf(mm).tryReadVma(range);
  if (!byVma) yield* mmapLock.read(task);
  const recheck: Addr[] = [];
  mm.recheck = recheck;
  const outcome = carryOut(thread, step);
  mm.recheck = null;
  const bill = takeBill(simulation, step.paidNs);
  const ns = bill.mainNs + bill.anonVmaNs + bill.lateNs + bill.populateNs;
  sweep(thread, mm, op, ns);
  yield* thread.owe(ns);
  if (recheck.length > 0) yield* timedRecheck(thread, mm, recheck);
  if (byVma) simulation.locksOf(mm).endReadVma(range);
  else mmapLock.releaseRead();
  yield* thread.owe(bill.outsideNs);
  return outcome;
}

/** A step that changes vmas. */
function* writingStep(thread: Thread, step: TimedStep & { readonly mm: Mm }): Running<Outcome | UffdWait> {
  const { simulation, task } = thread;
  const { op, mm, plan } = step;
  const locks = simulation.locksOf(mm);
  yield* locks.mmapLock.write(task);
  const given = rangeOf(op);
  const before = given === null ? null : extentOf(mm, given);
  const root = given === null ? null : sharedRoot(mm, given.start);
  const outcome = carryOut(thread, step);
  const bill = takeBill(simulation, step.paidNs);
  if (bill.mainNs > 0) yield* locks.writeVmas(task, changedBy(mm, { op, outcome, given, before }));
  if (plan === 'write') {
    bill.mainNs += bill.lateNs;
    bill.lateNs = 0;
  }
  yield* thread.owe(bill.mainNs);
  if (bill.anonVmaNs > 0 && root !== null) {
    const lock = simulation.anonLock(root);
    yield* lock.write(task);
    yield* thread.owe(bill.anonVmaNs);
    lock.releaseWrite(task);
  } else yield* thread.owe(bill.anonVmaNs);
  locks.endWriteVmas();
  if (bill.lateNs > 0) {
    locks.mmapLock.downgrade(task);
    yield* thread.owe(bill.lateNs);
    locks.mmapLock.releaseRead();
  } else locks.mmapLock.releaseWrite(task);
  if (bill.populateNs > 0) {
    yield* locks.mmapLock.read(task);
    yield* thread.owe(bill.populateNs);
    locks.mmapLock.releaseRead();
  }
  yield* thread.owe(bill.outsideNs);
  return outcome;
}

function carryOut({ simulation, faults }: Thread, { underWay }: TimedStep): Outcome | UffdWait {
  simulation.ledger.begin();
  simulation.kernel.opNr++;
  simulation.kernel.work.faultTally = faults;
  return underWay.step();
}

/** Reads the ledger, less what is paid already: the price of an empty call. */
function takeBill({ ledger, prices }: Simulation, alreadyNs: number): Bill {
  const bill = {
    outsideNs: ledger.ns('before'),
    mainNs: ledger.ns('main'),
    anonVmaNs: ledger.ns('anonVma'),
    lateNs: ledger.ns('late'),
    populateNs: ledger.ns('populate'),
  };
  let paidNs = alreadyNs;
  for (const part of ['outsideNs', 'mainNs', 'anonVmaNs', 'lateNs'] as const) {
    const ns = Math.min(paidNs, bill[part]);
    bill[part] -= ns;
    paidNs -= ns;
  }
  const interruptNs = ledger.shootdowns * prices.shootdownNs;
  if (bill.lateNs > 0) bill.lateNs += interruptNs;
  else bill.mainNs += interruptNs;
  return bill;
}

/** The address space that a call is about: that of its thread, or of the process it names. */
function targetOf({ simulation, mm }: Thread, op: Op): Mm | null {
  if (!('target' in op) || op.target === 'self') return mm;
  return simulation.machine.process(op.target)?.mm ?? null;
}

function extentOf(mm: Mm, { start, end }: AddrRange): AddrRange | null {
  const first = mm.vmas.firstEndingAbove(start);
  if (first === null || first.start >= end) return null;
  const last = mm.vmas.at(end - 1);
  return { start: Math.min(start, first.start), end: Math.max(end, last?.end ?? end) };
}

/** The vmas that a call changed: those in its range before, those in it now (a neighbour it merged with is a part of them), and where it put something. */
function changedBy(
  mm: Mm,
  of: { op: Op; outcome: Outcome | UffdWait; given: AddrRange | null; before: AddrRange | null },
): AddrRange[] {
  const { op, outcome, given, before } = of;
  const ranges = [before, given === null ? null : extentOf(mm, given)];
  if (
    !isWait(outcome) &&
    outcome.kind === 'value' &&
    (op.call === 'mmap' || op.call === 'mremap' || op.call === 'shmat')
  ) {
    const vma = mm.vmas.at(outcome.value);
    if (vma !== null) ranges.push({ start: vma.start, end: vma.end });
  }
  return ranges.filter((range) => range !== null);
}

/** The vma that holds all of the range of a call, if vmas are locked one by one. */
function oneVma(simulation: Simulation, mm: Mm, op: Op): AddrRange | null {
  const range = rangeOf(op);
  if (range === null || !usesVmaLocks(simulation)) return null;
  const vma = mm.vmas.at(range.start);
  return vma === null || vma.end < range.end ? null : { start: vma.start, end: vma.end };
}

/** Tells whether faults lock their vma. */
export const usesVmaLocks = (simulation: Simulation): boolean =>
  simulation.kernel.features.perVmaLocks === 'on';

/** The root of the anon_vma at `addr` if other processes may have vmas in its tree. */
function sharedRoot(mm: Mm, addr: Addr): number | null {
  const root = mm.vmas.at(addr)?.anonVma?.root ?? null;
  // A root counts itself as a child.
  return root !== null && root.nrChildren > 1 ? root.id : null;
}

/** A call that goes over pages while others run: it holds the lock of one table after the other. Volatile ranges lie beside the tables. */
function sweep({ simulation, task }: Thread, mm: Mm, op: Op, ns: number): void {
  const range = rangeOf(op);
  if (range === null || op.call === 'vrange' || !simulation.isShared(mm, task)) return;
  const { nowNs } = simulation.scheduler;
  simulation.locksOf(mm).ptes.sweep(range.start, range.end, nowNs, nowNs + ns);
}
