/**
 * The probe `dirty:METHOD/PERIOD`: somebody asks again and again which pages were written, as before a migration or for incremental backups.
 *
 * A round collects what was written since the last one, takes in memory that is new, and protects again. A round is due when the period has passed, in time where the input
 * tells times, else in operations; it comes before the next operation of the program.
 */
import type { Outcome, Process } from '../../machine/index.ts';
import type { ReplayOp } from '../../replay/index.ts';
import { METHOD, type MethodName } from '../../workloads/liveSnapshot/method.ts';
import type { Act, ActReport, ActSetting, Stage } from './act.ts';
import { ChargesSince } from './chargesSince.ts';
import { Observer, Refused } from './observer.ts';
import { isEnd } from './snapshot.ts';

/** How often a round is made. */
export interface Period {
  readonly unit: 'ns' | 'ops';
  readonly every: number;
}

const NS_PER_MS = 1e6;
/** Rounds that are told one by one; of more, as many of them. */
const TOLD = 24;

type Round = readonly [op: number, ms: number, written: number, unnoticed: number];

/** Tracks written pages in rounds. */
export class DirtyRounds implements Act {
  readonly #method: MethodName;
  readonly #period: Period;
  readonly #name: string;
  readonly #setting: ActSetting;
  #process: Process | null = null;
  #observer: Observer | null = null;
  #refusal: string | null = null;
  #due = 0;
  #isOver = false;
  #charges: ChargesSince | null = null;
  readonly #rounds: Round[] = [];
  #answered = 0;
  #unnoticed = 0;

  constructor(of: { method: MethodName; period: Period }, name: string, setting: ActSetting) {
    this.#method = of.method;
    this.#period = of.period;
    this.#name = name;
    this.#setting = setting;
  }

  begin(process: Process, stage: Stage): void {
    this.#process = process;
    if (this.#period.unit === 'ns' && stage.machine.tableReclaim.clock === null)
      this.#refusal = 'the input tells no times: a period in operations, as 1000ops, would be right';
  }

  turn(item: ReplayOp, process: Process, stage: Stage): null {
    if (this.#isOver || this.#refusal !== null || process !== this.#process) return null;
    const now = this.#period.unit === 'ns' ? stage.now : item.nr;
    if (now >= this.#due || isEnd(item.op)) {
      this.#due = now + this.#period.every;
      this.#round(stage, isEnd(item.op));
    }
    if (item.op.call === 'touch') this.#observer?.before(item.op, stage);
    else this.#observer?.beforeCall(item.op, stage);
    return null;
  }

  done({ op }: ReplayOp, _outcome: Outcome, stage: Stage): void {
    if (op.call === 'mprotect' && this.#setting.bound === 'most' && !this.#isOver)
      this.#observer?.writeRest(stage);
  }

  #round(stage: Stage, isLast: boolean): void {
    const process = this.#process;
    if (process === null || process.mm === null) return;
    this.#charges ??= new ChargesSince(process.mm.kernel.work);
    this.#charges.go();
    const known = this.#observer;
    if (known !== null) this.#collect(known, stage);
    const observer = known ?? new Observer(process, this.#method, stage);
    this.#observer = observer;
    if (isLast) this.#isOver = true;
    else this.#arm(observer, stage);
    this.#charges.stop();
    if (isLast) observer.close(stage);
    else if (this.#refusal === null && this.#setting.bound === 'most') observer.writeAll(stage);
  }
  #arm(observer: Observer, stage: Stage): void {
    try {
      observer.arm(stage);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#refusal = error.message;
    }
  }
  #collect(observer: Observer, stage: Stage): void {
    const isCounted = METHOD[this.#method].by === 'messages';
    const found = observer.collect(stage);
    const written = isCounted ? found - this.#answered : found;
    const unnoticed = observer.nrUnnoticed - this.#unnoticed;
    this.#answered = observer.nrAnswered;
    this.#unnoticed = observer.nrUnnoticed;
    const ms = Math.round(stage.now / (NS_PER_MS / 10)) / 10;
    this.#rounds.push([stage.nr, ms, written, unnoticed]);
  }

  end(stage: Stage): void {
    if (!this.#isOver && this.#refusal === null) this.#round(stage, true);
    this.#isOver = true;
  }

  report(): ActReport {
    const rounds = this.#rounds;
    if (this.#refusal !== null)
      return { name: this.#name, applied: 0, left: {}, figures: {}, remarks: [`not done: ${this.#refusal}`] };
    const sum = rounds.reduce((all, [, , written]) => all + written, 0);
    const isTimed = this.#period.unit === 'ns';
    const titles = ['op', 'ms', 'pages written', 'unnoticed'];
    const step = Math.ceil(rounds.length / TOLD);
    const told = rounds.filter((_round, i) => i % step === 0 || i === rounds.length - 1);
    return {
      name: this.#name,
      applied: rounds.length,
      left: {},
      figures: {
        rounds: rounds.length,
        'pages written, all rounds': sum,
        'most in a round': rounds.reduce((most, [, , written]) => Math.max(most, written), 0),
        'first writes that nobody noticed': this.#unnoticed,
        'areas that were refused': this.#observer?.nrRefused ?? 0,
      },
      ...(this.#charges === null ? {} : { priced: { 'all rounds': this.#charges.charges } }),
      remarks: [this.#certainty()],
      series: {
        titles: isTimed ? titles : titles.filter((title) => title !== 'ms'),
        rows: told.map((row) => (isTimed ? row : row.filter((_value, i) => i !== 1))),
      },
    };
  }

  #certainty(): string {
    const { bound, isComplete } = this.#setting;
    if (isComplete) return 'certain: the input tells every access';
    if (bound === 'most') return 'the most: every armed page that is there is written once in every round';
    return 'the least: recorded accesses alone, which are first ones; a page that was there may have been written in any round';
  }
}
