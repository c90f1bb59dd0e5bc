/**
 * The probe `snapshot:METHOD@OP`: from operation OP on somebody saves the memory of the program as it is then.
 *
 * Nothing is saved before the input ends: so every first write that comes later is one that has to wait, or to copy, or is lost. In a recording only pages that were not there
 * leave their first write; pages that were there may all have been written, or none: `least` and `most`.
 */
import type { Op, Outcome, Process } from '../../machine/index.ts';
import { FAULTED } from '../../mm/index.ts';
import type { ReplayOp } from '../../replay/index.ts';
import { METHOD, type MethodName } from '../../workloads/liveSnapshot/method.ts';
import type { Act, ActReport, ActSetting, Stage } from './act.ts';
import { ChargesSince } from './chargesSince.ts';
import { Observer, Refused } from './observer.ts';

/** Which snapshot. */
export interface SnapshotWanted {
  readonly method: MethodName;
  /** Number of the operation before which it is taken. */
  readonly op: number;
}

/** Takes one snapshot. */
export class SnapshotProbe implements Act {
  readonly #wanted: SnapshotWanted;
  readonly #name: string;
  readonly #setting: ActSetting;
  #process: Process | null = null;
  #observer: Observer | null = null;
  #refusal: string | null = null;
  #arming: ChargesSince | null = null;
  #kept = { armedPages: 0, tablesMade: 0, cow: 0 };
  #written = 0;
  #isOver = false;

  constructor(wanted: SnapshotWanted, name: string, setting: ActSetting) {
    this.#wanted = wanted;
    this.#name = name;
    this.#setting = setting;
  }

  begin(process: Process): void {
    this.#process = process;
  }

  turn(item: ReplayOp, process: Process, stage: Stage): null {
    if (this.#observer === null && this.#refusal === null && item.nr >= this.#wanted.op) this.#take(stage);
    if (process === this.#process && this.#observer !== null && !this.#isOver) {
      if (item.op.call === 'touch') this.#observer.before(item.op, stage);
      else if (isEnd(item.op)) this.#finish(stage);
      else this.#observer.beforeCall(item.op, stage);
    }
    return null;
  }

  done({ op }: ReplayOp, _outcome: Outcome, stage: Stage): void {
    if (op.call === 'mprotect' && this.#setting.bound === 'most' && !this.#isOver)
      this.#observer?.writeRest(stage);
  }

  #take(stage: Stage): void {
    const process = this.#process;
    if (process === null || process.mm === null) {
      this.#refusal = 'the program has no memory any more';
      return;
    }
    const { work } = process.mm.kernel;
    const arming = new ChargesSince(work);
    const tables = process.mm.pages.bytes;
    const observer = new Observer(process, this.#wanted.method, stage);
    try {
      observer.arm(stage);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#refusal = error.message;
      return;
    }
    arming.stop();
    this.#arming = arming;
    this.#observer = observer;
    this.#kept = {
      armedPages: observer.ranges.reduce((sum, { start, end }) => sum + (end - start) / 4096, 0),
      tablesMade: process.mm.pages.bytes - tables,
      cow: work.faults[FAULTED.cow] as number,
    };
    if (this.#setting.bound === 'most') observer.writeAll(stage);
  }

  end(stage: Stage): void {
    if (!this.#isOver) this.#finish(stage);
  }
  #finish(stage: Stage): void {
    const observer = this.#observer;
    this.#isOver = true;
    if (observer === null) return;
    this.#written = observer.collect(stage);
    const { work } = stage.machine.kernel;
    this.#kept.cow = (work.faults[FAULTED.cow] as number) - this.#kept.cow;
    observer.close(stage);
  }

  report(): ActReport {
    const observer = this.#observer;
    const { by } = METHOD[this.#wanted.method];
    if (observer === null)
      return {
        name: this.#name,
        applied: 0,
        left: {},
        figures: {},
        remarks: [`not taken: ${this.#refusal ?? `the input has no operation ${this.#wanted.op}`}`],
      };
    return {
      name: this.#name,
      applied: 1,
      left: {},
      figures: {
        'pages armed': this.#kept.armedPages,
        'areas that were refused': observer.nrRefused,
        'tables made by arming, kB': this.#kept.tablesMade / 1024,
        ...(by === 'child'
          ? { 'copies on write since (those of other forks among them)': this.#kept.cow }
          : by === 'messages'
            ? {
                'writes that waited': observer.nrAnswered,
                'pages lost (written unnoticed)': observer.nrUnnoticed,
              }
            : { 'pages to be saved again': this.#written }),
      },
      ...(this.#arming === null ? {} : { priced: { 'to arm': this.#arming.charges } }),
      remarks: [this.#certainty(), ...this.#aboutLoss()],
    };
  }

  /** Who writes a page before giving it back has waited, and it was saved. */
  #aboutLoss(): string[] {
    const isOpen = METHOD[this.#wanted.method].by === 'messages' && this.#setting.bound !== null;
    if (this.#setting.isComplete || !isOpen || (this.#observer?.nrUnnoticed ?? 0) === 0) return [];
    return [
      this.#setting.bound === 'most'
        ? 'pages lost: at least these, for all that was written before it was given back is saved here'
        : 'pages lost: at most these, for what was given back before the input shows it written counts as lost',
    ];
  }

  #certainty(): string {
    const { bound, isComplete } = this.#setting;
    if (isComplete) return 'certain: the input tells every access; nothing is saved before its end';
    if (bound === 'most')
      return 'the most: every armed page that was there is written once; nothing is saved before the end';
    return 'the least: recorded accesses alone, so pages that were not there; of those that were the recording does not tell whether they were written';
  }
}

/** Tells whether an operation takes the address space away. */
export const isEnd = ({ call }: Op): boolean => call === 'exit_group' || call === 'execve';
