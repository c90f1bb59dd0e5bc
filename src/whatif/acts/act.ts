/**
 * Acts: what changes or watches an input while it is played, between the input and the machine.
 *
 *   rewrite   changes single calls of the program on their way, as if it had made others (`--as`)
 *   probe     somebody beside the program, who watches its memory or makes it scarce (`--probe`)
 *
 * Operations that an act adds are carried out and charged as if the program or the observer had made them; the program is told what it would be told.
 *
 * A recording tells accesses by their page faults: an access that found its page left no mark. As long as an act leaves to the program at least what
 * it had, every access that faults is in the recording, and what is counted is certain. An act that takes more away is played twice: `least` with the
 * recorded accesses alone, `most` with every access that may have been made besides. The truth is between the two in sums: all faults, pages allocated, tables,
 * what is resident, all time. How they divide (which kind of fault, which path) depends on how the accesses were made, and is not bounded.
 *
 * Invariant   without acts nothing here is called
 */
import type { Charges, Chosen, Machine, Op, Outcome, Process } from '../../machine/index.ts';
import type { FeatureSetting, Mm } from '../../mm/index.ts';
import type { InputFormat, ReplayItem, ReplayOp } from '../../replay/index.ts';
import type { Player } from '../../replay/play/player.ts';

/**
 * Which accesses are played that the input does not tell; null: all that matter are told. `some`: those that are told, and what is counted is neither the least nor the
 * most, because what goes depends on all of them.
 */
export type Bound = 'least' | 'most' | 'some' | null;

/** What becomes of one operation. */
export interface Turn {
  /** What is carried out; null: nothing. */
  readonly op: Op | null;
  /** What the kernel chose, if that is not what is recorded of the operation. */
  readonly chosen?: Chosen;
  /** What the program is told, if that is not what came of `op`. */
  readonly answer?: (outcome: Outcome) => Outcome;
}

/** The place where acts play. */
export interface Stage {
  readonly machine: Machine;
  /** When the operation at hand was made, in nanoseconds, where the input tells times; else a number that rises. */
  readonly now: number;
  /** Number of the operation at hand. */
  readonly nr: number;
  /** Carries out an operation for the thread of the operation at hand. */
  inject(op: Op): Outcome;
  /** Carries out an operation for another thread. @param chosen  what the observer wants the kernel to choose */
  injectFor(task: number, op: Op, chosen?: Chosen): Outcome;
}

/** A process whose memory is known. */
export type Living = Process & { readonly mm: Mm };

/** One act on its way. Every method may be left out. */
export interface Act {
  /** The process the input is about has begun. */
  begin?(process: Process, stage: Stage): void;
  /** An operation of a process whose memory is known is next. Returns what becomes of it; null leaves it. */
  turn?(item: ReplayOp, process: Living, stage: Stage): Turn | null;
  /** It was carried out, if it was left as `op`. */
  done?(item: ReplayOp, outcome: Outcome, stage: Stage): void;
  /** The input has ended. */
  end?(stage: Stage): void;
  /** Tells what was done. */
  report(): ActReport;
}

/** A number about an act, by the name it is printed under. */
export type Figures = Readonly<Record<string, number>>;

/** What an act did. */
export interface ActReport {
  /** As it was asked for: `as dontneed=free`. */
  readonly name: string;
  /** Rewrites: calls that were changed. Probes: 1 if it was done, how often if it is done again and again. */
  readonly applied: number;
  /** Rewrites: calls of the same kind that were not, by reason. */
  readonly left: Readonly<Record<string, number>>;
  readonly figures: Figures;
  /** What is certain, what is a bound, and what it means. Whole clauses without a full stop. */
  readonly remarks: readonly string[];
  /** Parts of the work that are priced by themselves, by the name they are printed under. */
  readonly priced?: Readonly<Record<string, Charges>>;
  /** What was seen over time, one line each, under a line of titles. */
  readonly series?: { readonly titles: readonly string[]; readonly rows: readonly (readonly number[])[] };
}

/** How an act is begun. */
export interface ActSetting {
  readonly bound: Bound;
  /** The input tells every access, not only those that faulted. */
  readonly isComplete: boolean;
}

/** An act that can be asked for. */
export interface ActKind {
  /** As it was asked for. */
  readonly name: string;
  /** Switches without which the kernel would not know what it asks for. */
  readonly needs: readonly FeatureSetting[];
  /** How it is to be played where the input does not tell all accesses: once, if those that matter are told, else with the least and the most, or with some. */
  readonly bounds: readonly Bound[];
  /** It changes calls alone, or looks: it may be among threads that run by themselves, where accesses are no operations. */
  readonly isForThreads?: boolean;
  begin(setting: ActSetting): Act;
}

/** Inputs in which every access is an operation. */
const COMPLETE: ReadonlySet<InputFormat> = new Set(['opfuzz', 'opfuzz-uffd']);

/** Feeds a player through acts. */
export class Acting implements Stage {
  readonly player: Player;
  readonly #kinds: readonly ActKind[];
  #acts: Act[] | null = null;
  #item: ReplayOp | null = null;
  /** What came of the operation that was fed last: to be set by who listens to the player. */
  outcome: Outcome | null = null;
  /** The bound that is played: null where the input tells every access. */
  bound: Bound;

  constructor(player: Player, kinds: readonly ActKind[], bound: Bound) {
    this.player = player;
    this.#kinds = kinds;
    this.bound = bound;
  }

  get machine(): Machine {
    return this.player.machine;
  }
  get now(): number {
    return this.#item?.at ?? 0;
  }
  get nr(): number {
    return this.#item?.nr ?? 0;
  }

  inject(op: Op): Outcome {
    return this.injectFor(this.#item?.task ?? 0, op);
  }

  injectFor(task: number, op: Op, chosen: Chosen = {}): Outcome {
    const { machine } = this.player;
    if (this.#item !== null) machine.kernel.opNr = this.#item.nr;
    return machine.apply(task, op, chosen);
  }

  /** The process that everything begins with is there. @param isComplete  the input tells every access */
  begin(process: Process, isComplete: boolean): void {
    if (this.#acts !== null) return;
    if (isComplete) this.bound = null;
    this.#acts = this.#kinds.map((kind) => kind.begin({ bound: this.bound, isComplete }));
    for (const act of this.#acts) act.begin?.(process, this);
  }

  /** Takes one item. Returns what the program is told of an operation, null where nothing came of it. */
  feed(item: ReplayItem): Outcome | null {
    this.outcome = null;
    if (item.kind !== 'op') {
      this.player.feed(item);
      if (item.kind !== 'start') return null;
      const process = this.player.machine.processOf(item.task);
      if (process !== null) this.begin(process, COMPLETE.has(item.format));
      return null;
    }
    this.#item = item;
    const process = this.player.machine.processOf(item.task);
    if (this.#acts !== null && process !== null && process.mm !== null)
      return this.#play(this.#acts, item, process as Living);
    this.player.feed(item);
    return this.outcome;
  }

  #play(acts: readonly Act[], item: ReplayOp, process: Living): Outcome | null {
    let now = item;
    const answers: ((outcome: Outcome) => Outcome)[] = [];
    for (const act of acts) {
      const turn = act.turn?.(now, process, this) ?? null;
      if (turn === null) continue;
      now = { ...now, op: turn.op ?? { call: 'nop' }, chosen: turn.chosen ?? now.chosen };
      if (turn.answer !== undefined) answers.push(turn.answer);
    }
    this.player.feed(now);
    const came = this.outcome;
    if (came === null) return null;
    const told = answers.reduceRight((outcome, answer) => answer(outcome), came);
    for (const act of acts) act.done?.(now, came, this);
    return told;
  }

  /** The input has ended. Returns what each act did. Where none did anything that a recording does not tell all about, nothing is a bound. */
  end(): ActReport[] {
    const acts = this.#acts ?? [];
    for (const act of acts) act.end?.(this);
    const reports = acts.map((act) => act.report());
    const isBounded = reports.some(
      ({ applied }, i) => applied > 0 && this.#kinds[i]?.bounds.includes(null) === false,
    );
    if (!isBounded) this.bound = null;
    return reports;
  }
}
