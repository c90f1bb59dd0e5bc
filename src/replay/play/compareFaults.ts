/**
 * The page faults of a recording against the model: one by one, and their number at the end.
 *
 * Which accesses happen is taken from the recording; what each finds is computed. A recorded fault says by its error code whether the page was
 * mapped (then it did not allow the access) or not. Ours must say the same, and an access that finds a page which allows it is no fault.
 *
 * Two things make a fault that nothing was left to do for, and neither is a difference:
 *   race    another thread is in a fault on the same page: it shows nothing later than that fault, so it may not have finished it. A call of
 *           another thread that works on the page does the same (callsInProgress.ts)
 *   again   the same thread faults on the same page in the same way twice in a row: the first time it was not served (the kernel had faults
 *           switched off and tried again with them on, or a signal came first). It is counted once
 *
 * Not determined, so not compared: pages of regular files (fault-around brings neighbours that the page cache has, reclaim takes them away), and pages
 * of shared memory that we do not hold (write(2) to a memfd is not recorded). Where a call populates such pages, the number of faults is a range.
 *
 * Cost   a page looked up, and two map look-ups, for each fault
 */
import { type Addr, floorTo, hex, PMD_SIZE, pageFloor } from '../../base/units.ts';
import type { Machine, Outcome, Process } from '../../machine/index.ts';
import { isAnonymousVma, type Mm, pageAt, permsOf, type Vma } from '../../mm/index.ts';
import type { ReplayOp } from '../item.ts';
import { CallsInProgress } from './callsInProgress.ts';
import type { Difference } from './difference.ts';
import { FaultCounts } from './faultCounts.ts';

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

/** A fault, as the last thing a thread did. */
interface Fault {
  readonly mm: Mm;
  readonly page: Addr;
  readonly errorCode: number;
}

/** Compares the faults of one run over a recording. */
export class FaultComparison {
  readonly #report: (difference: Difference) => void;
  /** The last thing each thread did; null: it was no fault. */
  readonly #last = new Map<number, Fault | null>();
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
    if (mm === null) return;
    if (item.op.call === 'touch') this.#held = heldAt(mm, item.op.addr);
    else this.counts.beforeCall(item.op, machine.kernel);
  }

  /** Is told of each operation after it was carried out. @param faults  how many faults an access took */
  after(item: ReplayOp, outcome: Outcome, process: Process | null, faults: number): void {
    const { op, errorCode, task } = item;
    const mm = process?.mm ?? null;
    if (process === null || mm === null) {
      this.#last.set(task, null);
    } else if (op.call === 'touch') {
      if (errorCode === undefined) return;
      const fault = { mm, page: pageFloor(op.addr), errorCode };
      const isServed = outcome.kind === 'value';
      const served = this.#judge(item, fault, { isServed, faults });
      this.counts.add(process, isServed ? served : 0);
      this.#last.set(task, fault);
    } else {
      this.counts.addCall(process, op, mm);
      this.#calls.add(item, mm);
      this.#last.set(task, null);
    }
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
  ): number {
    const held = this.#held;
    const { errorCode } = fault;
    if (!isPossible(errorCode, item)) this.#report(impossible(item, errorCode));
    // Every line that is served counts once, whatever our part in it was.
    const counts = Math.max(1, came.faults);
    if (held === 'unknown') return counts;
    this.compared++;
    const isHit = came.isServed && came.faults === 0;
    const wasMapped = (errorCode & PRESENT) !== 0;
    if (!isHit && wasMapped === (held === 'mapped')) return counts;
    if (isHit && isSame(this.#last.get(item.task), fault)) return 0;
    if (this.#isRace(item.task, fault)) return counts;
    const difference = differenceOf(item, { held, isHit, wasMapped });
    const waits = this.#calls.defer({ ...fault, task: item.task, time: item.at, difference });
    if (!waits) this.#report(difference);
    return counts;
  }

  /** Tells whether another thread may still be in a fault that brings the page, or changes its entry. */
  #isRace(task: number, { mm, page }: Fault): boolean {
    const size = unitAround(mm, page);
    for (const [other, last] of this.#last) {
      if (other === task || last === null || last.mm !== mm) continue;
      if (floorTo(last.page, size) === floorTo(page, size)) return true;
    }
    return false;
  }
}

const isSame = (last: Fault | null | undefined, fault: Fault): boolean =>
  last?.mm === fault.mm && last.page === fault.page && last.errorCode === fault.errorCode;

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
  special !== null ||
  (file !== null &&
    (file.object.kind === 'shmem' || file.object.kind === 'sysv' || file.object.kind === 'memfd'));

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
