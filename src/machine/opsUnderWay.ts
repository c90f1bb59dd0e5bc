/**
 * Operations that may have to wait for userfaultfd, one step at a time: for a page that user space provides, or until an event was read.
 *
 *   madvise, mlock, process_vm, copies by the kernel   stop in the middle and go on
 *   mmap, munmap, mremap, brk                          have done their work; each event is waited for, then what is locked comes in
 *   fork                                               the same; the child begins when its parent goes on
 *
 * Between two steps other operations are carried out; what those did is not charged to this one.
 *
 * Left out   process_madvise, mlockall, MAP_FIXED of shared segments and execve in memory that user space provides: they cannot wait
 */
import type { Mm } from '../mm/index.ts';
import { Madvise } from '../mm/madvise.ts';
import { Mlock } from '../mm/mlock.ts';
import { ProcessVmCopy } from '../mm/processVm.ts';
import type { SysResult } from '../mm/result.ts';
import { isWait, type UffdWait } from '../mm/uffdContext.ts';
import { brkCall, mmapCall, mremapCall, munmapCall, type WaitingCall } from '../mm/waitingCalls.ts';
import type { CallCharges } from './callCharges.ts';
import { type Caller, fileForMmap, isHidden, type MemoryOp } from './memoryCalls.ts';
import type { Chosen, Op } from './op.ts';
import { type Outcome, outcomeOf } from './outcome.ts';

/** An operation that was begun: each step gives the outcome, or what has to be done before the next one. */
export type OpUnderWay = WaitingCall<Outcome>;

/** The operations that may have to wait in the middle, or for their events to be read; fork, and copies by the kernel, apart. */
type WaitingOp = Extract<
  MemoryOp,
  { call: 'mmap' | 'munmap' | 'mremap' | 'brk' | 'madvise' | 'mlock' | 'mlock2' | 'process_vm' }
>;
const WAITING: ReadonlySet<string> = new Set<WaitingOp['call']>([
  'mmap',
  'munmap',
  'mremap',
  'brk',
  'madvise',
  'mlock',
  'mlock2',
  'process_vm',
]);

/** Tells whether `op` may have to wait. */
export const mayWait = (op: Op): op is WaitingOp => WAITING.has(op.call);

/**
 * Returns what makes the waiting form of `op`, or null if it is refused at once. Making it may already do its work.
 * @param caller  who does it; @param chosen  what the kernel chose, where a recording tells
 */
export function waitingForm(caller: Caller, op: WaitingOp, chosen: Chosen): (() => WaitingCall) | null {
  const { mm, tid } = caller;
  switch (op.call) {
    case 'mmap':
      return () => {
        const file = op.fd < 0 ? null : fileForMmap(caller, op, chosen);
        return mmapCall(mm, { ...op, file, chosen: chosen.addr ?? null }, tid);
      };
    case 'munmap':
      return () => munmapCall(mm, op.addr, op.len);
    case 'mremap':
      return () => mremapCall(mm, { ...op, chosen: chosen.addr ?? null }, tid);
    case 'brk':
      return () => brkCall(mm, op.addr);
    case 'madvise':
      return () => new Madvise(mm, { addr: op.addr, len: op.len, advice: op.advice, tid });
    case 'mlock':
    case 'mlock2':
      return () =>
        new Mlock(mm, { addr: op.addr, len: op.len, flags: op.call === 'mlock2' ? op.flags : 0, tid });
    case 'process_vm': {
      const target = caller.machine.targetMm(caller.process, op.target);
      if ('kind' in target || isHidden(caller, op.target)) return null;
      const copy = { ...op, stamp: op.stamp ?? null, tid };
      const make = (): WaitingCall => new ProcessVmCopy(mm, target.mm, copy);
      return target.mm === mm ? make : () => caller.machine.using(target.mm, make());
    }
  }
}

/** A call about memory under way, with its charges. */
export class MemoryOpUnderWay implements OpUnderWay {
  readonly #op: MemoryOp;
  readonly #make: () => WaitingCall;
  readonly #charges: CallCharges;
  #call: WaitingCall | null = null;

  /** @param charges  of this operation alone */
  constructor(op: MemoryOp, make: () => WaitingCall, charges: CallCharges) {
    this.#op = op;
    this.#make = make;
    this.#charges = charges;
  }

  step(): Outcome | UffdWait {
    if (this.#call === null) {
      this.#charges.begin(this.#op);
      this.#call = this.#make();
    } else this.#charges.resume();
    const came: SysResult | UffdWait = this.#call.step();
    if (isWait(came)) {
      this.#charges.suspend();
      return came;
    }
    const outcome = outcomeOf(came);
    this.#charges.end(this.#op, outcome.kind === 'errno');
    return outcome;
  }
}

/** A fork under way. */
export class ForkUnderWay implements OpUnderWay {
  readonly #make: () => WaitingCall<Mm | SysResult>;
  readonly #finish: (came: Mm | SysResult) => Outcome;
  readonly #charges: CallCharges;
  #call: WaitingCall<Mm | SysResult> | null = null;

  /** @param finish  makes the process, once its parent goes on */
  constructor(
    make: () => WaitingCall<Mm | SysResult>,
    finish: (came: Mm | SysResult) => Outcome,
    charges: CallCharges,
  ) {
    this.#make = make;
    this.#finish = finish;
    this.#charges = charges;
  }

  step(): Outcome | UffdWait {
    if (this.#call === null) {
      this.#charges.begin(null);
      this.#call = this.#make();
      // All of the work is done when its events are announced.
      this.#charges.endFork();
    }
    const came = this.#call.step();
    return isWait(came) ? came : this.#finish(came);
  }
}
