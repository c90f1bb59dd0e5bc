/**
 * The page faults of a recording against the model: one by one, and their number at the end.
 *
 * Which accesses happen is taken from the recording; what each finds is computed. A recorded fault says by its error code whether the page was
 * mapped (then it did not allow the access) or not. Ours must say the same, and an access that finds a page which allows it is no fault.
 *
 * A fault is written down a moment after the access that failed; that moment lies anywhere after the last thing its thread showed. Two things make a
 * fault that nothing was left to do for, and neither is a difference:
 *   race    another thread faulted on the same page since then, or before and may still be in that fault, because it shows nothing later. A call of
 *           another thread that works on the page does the same (callsInProgress.ts)
 *   again   the kernel, on behalf of one thread, faults on the same page in the same way twice in a row: the first time it had faults switched off,
 *           and tried again with them on. That is counted once
 *
 * Not determined, so not compared: pages of regular files (fault-around brings neighbours that the page cache has, reclaim takes them away), and pages
 * of shared memory that we do not hold (write(2) to a memfd is not recorded). Where a call populates such pages, or an access faults twice in a row (a
 * signal may have come while it waited for the disk), the number of faults is a range.
 *
 * Cost   a page looked up, and two map look-ups, for each fault; the faults remembered for one that differs
 */
import { type Addr, floorTo, hex, PMD_SIZE, pageFloor } from '../../base/units.ts';
import type { Machine, Outcome, Process } from '../../machine/index.ts';
import { isAnonymousVma, isSharedMemory, type Mm, pageAt, permsOf, type Vma } from '../../mm/index.ts';
import type { ReplayOp } from '../item.ts';
import { CallsInProgress } from './callsInProgress.ts';
import type { Difference } from './difference.ts';
import { type Charged, FaultCounts } from './faultCounts.ts';
import { PageSet } from './pageSet.ts';
import type { Came } from './sleepers.ts';

/** error_code: the page was mapped. */
const PRESENT = 0x1;
const WRITE = 0x2;
const USER = 0x4;
const FETCH = 0x10;
/** What a processor without protection keys and shadow stacks can say. */
const POSSIBLE = PRESENT | WRITE | USER | FETCH;
/** Pages that a load of shared memory brings at most, aligned: 16 of 4 KiB. */
const FAULT_AROUND = 0x1_0000;

/** What we hold at the place of an access. `unknown`: the recording does not determine what the kernel holds. */
type Held = 'mapped' | 'nothing' | 'unknown';

interface Fault {
  readonly mm: Mm;
  readonly task: number;
  readonly page: Addr;
  readonly time: number;
  readonly errorCode: number;
}

/** The last thing a thread showed: when, and the fault if it was one. */
interface LastSign {
  readonly time: number;
  readonly fault: Fault | null;
}

/** So many faults are remembered for races: what happens at the same moment is not far apart in the input. */
const REMEMBERED = 4096;

/** Compares the faults of one run over a recording. */
export class FaultComparison {
  readonly #report: (difference: Difference) => void;
  readonly #last = new Map<number, LastSign>();
  /** The faults that came last, in a ring. */
  readonly #recent: Fault[] = [];
  #nrFaults = 0;
  #machine: Machine | null = null;
  /** Pages of which it is open whether they are still there, or whether a child has them. */
  readonly unsettled = new PageSet();
  readonly #calls = new CallsInProgress();
  #held: Held = 'unknown';
  readonly counts = new FaultCounts();
  /** Faults of which it is determined what they find. */
  compared = 0;

  /** @param report  is called for each difference; some wait until `settle` */
  constructor(report: (difference: Difference) => void) {
    this.#report = report;
  }

  /** Is told of each operation before it is carried out. */
  before(item: ReplayOp, machine: Machine): void {
    const mm = machine.processOf(item.task)?.mm ?? null;
    this.#machine = machine;
    if (mm === null) return;
    if (item.op.call === 'touch') this.#held = heldAt(mm, item.op.addr);
    else this.counts.beforeCall(item.op, machine.kernel);
  }

  /** Is told of each operation after it was carried out. @param faults  how many faults an access took */
  after(item: ReplayOp, outcome: Outcome, process: Process | null, faults: number): void {
    const { op, errorCode, task } = item;
    const mm = process?.mm ?? null;
    if (process === null || mm === null) {
      this.#last.set(task, { time: item.exit, fault: null });
    } else if (op.call === 'touch') {
      if (errorCode === undefined) return;
      const fault = { mm, task, page: pageFloor(op.addr), time: item.at, errorCode };
      const isServed = outcome.kind === 'value';
      const { most, open } = this.#judge(item, fault, { isServed, faults });
      if (isServed) this.counts.add(process, most, open);
      this.#last.set(task, { time: item.at, fault });
      this.#recent[this.#nrFaults++ % REMEMBERED] = fault;
      // Only a fault that the model took too puts both sides in the same state.
      if (faults > 0) this.unsettled.delete(mm, fault.page);
      for (const unsure of this.#calls.unsettledBy(fault)) this.unsettled.add(unsure, fault.page);
    } else {
      this.counts.addCall(process, op, mm);
      const child = op.call === 'clone' ? (this.#machine?.processOf(op.child)?.mm ?? null) : null;
      const copy = child === mm ? null : child;
      for (const { page } of this.#calls.add(item, { mm, child: copy }, this.#recent))
        this.unsettled.add(mm, page);
      if (copy !== null) this.unsettled.copy(mm, copy);
      this.#last.set(task, { time: item.exit, fault: null });
    }
  }

  /** Is told that what a thread slept in is over: an access counts once; what a call populated in parts is a range. */
  woken({ item, outcome, process, faults }: Came): void {
    if (process === null || faults === 0) return;
    if (item.op.call !== 'touch') this.counts.add(process, faults, faults);
    else if (outcome.kind === 'value') this.counts.add(process, 1);
  }

  /** Reports the differences that nothing has explained. Returns whether there were any. */
  settle(): boolean {
    const rest = this.#calls.takeRest();
    for (const difference of rest) this.#report(difference);
    return rest.length > 0;
  }

  /** Compares one fault. Returns how many faults it counts for, if it was served. */
  #judge(
    item: ReplayOp,
    fault: Fault,
    came: { readonly isServed: boolean; readonly faults: number },
  ): Charged {
    const held = this.#held;
    const { errorCode } = fault;
    if (!isPossible(errorCode, item)) this.#report(impossible(item, errorCode));
    // Every line that is served counts once, whatever our part in it was.
    const counts = { most: Math.max(1, came.faults), open: 0 };
    const isHit = came.isServed && came.faults === 0;
    const isAgain = isHit && isSame(this.#last.get(item.task)?.fault ?? null, fault);
    if (held === 'unknown') return isAgain ? { most: 1, open: 1 } : counts;
    this.compared++;
    const wasMapped = (errorCode & PRESENT) !== 0;
    if (!isHit && wasMapped === (held === 'mapped')) return counts;
    if (isAgain && (errorCode & USER) === 0) return { most: 0, open: 0 };
    if (this.#isRace(fault) || this.unsettled.has(fault.mm, fault.page)) return counts;
    const difference = differenceOf(item, { held, isHit, wasMapped });
    const waits = this.#calls.defer({ ...fault, difference });
    if (!waits) this.#report(difference);
    return counts;
  }

  /** Tells whether another thread may have been in a fault that brings the page, or changes its entry, when the access failed. */
  #isRace({ mm, task, page, time }: Fault): boolean {
    const size = unitAround(mm, page);
    const isThere = (other: Fault): boolean =>
      other.task !== task && other.mm === mm && floorTo(other.page, size) === floorTo(page, size);
    for (const { fault } of this.#last.values()) if (fault !== null && isThere(fault)) return true;
    const since = Math.min(this.#last.get(task)?.time ?? Number.NEGATIVE_INFINITY, time);
    return this.#recent.some((other) => other.time >= since && isThere(other));
  }
}

const isSame = (last: Fault | null, fault: Fault): boolean =>
  last?.mm === fault.mm &&
  last.time < fault.time &&
  last.page === fault.page &&
  last.errorCode === fault.errorCode;

/** Tells what is mapped at `addr`, as the processor sees it: pages without any access are not there for it. */
function heldAt(mm: Mm, addr: Addr): Held {
  const vma = mm.vmas.at(addr);
  if (vma === null) return 'nothing';
  const { kind } = pageAt(mm, addr);
  if (kind === 'none') return isAnonymousVma(vma) || vma.special !== null ? 'nothing' : 'unknown';
  if (kind === 'file' && !isDetermined(vma)) return 'unknown';
  const isPresent = kind === 'anonymous' || kind === 'file' || kind === 'zeroPage';
  return isPresent && !permsOf(vma.flags).startsWith('---') ? 'mapped' : 'nothing';
}

/** Tells whether a page of the page cache that was mapped in `vma` stays there until the program takes it away. */
const isDetermined = ({ file, special }: Vma): boolean =>
  special !== null || (file !== null && isSharedMemory(file.object));

/** How much of the memory around `page` one fault brings in, in bytes. */
function unitAround(mm: Mm, page: Addr): number {
  const { kind, isHuge } = pageAt(mm, page);
  if (isHuge) return PMD_SIZE;
  return kind === 'file' ? FAULT_AROUND : 1;
}

const isPossible = (errorCode: number, { op }: ReplayOp): boolean =>
  (errorCode & ~POSSIBLE) === 0 &&
  (errorCode & (WRITE | FETCH)) !== (WRITE | FETCH) &&
  op.call === 'touch' &&
  ((errorCode & USER) !== 0) === (op.by === 'user');

const atFault = ({ file, line, nr }: ReplayOp): Pick<Difference, 'file' | 'line' | 'op' | 'kind'> => ({
  file,
  line,
  op: nr,
  kind: 'page',
});

const accessText = ({ op }: ReplayOp): string =>
  op.call === 'touch'
    ? `${op.by === 'kernel' ? 'kernel ' : ''}${op.access} access at ${hex(op.addr)}`
    : op.call;

const impossible = (item: ReplayOp, errorCode: number): Difference => ({
  ...atFault(item),
  what: `error code of the ${accessText(item)}`,
  kernel: hex(errorCode),
  ours: 'no processor says so',
});

function differenceOf(
  item: ReplayOp,
  found: { readonly held: Held; readonly isHit: boolean; readonly wasMapped: boolean },
): Difference {
  return {
    ...atFault(item),
    at: item.at,
    what: `page fault: ${accessText(item)}`,
    kernel: found.wasMapped ? 'mapped, and not for this access' : 'not mapped',
    ours: found.isHit
      ? 'mapped for this access: no fault'
      : found.held === 'mapped'
        ? 'mapped'
        : 'not mapped',
  };
}
