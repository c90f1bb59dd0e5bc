/**
 * Plays one input in one configuration and gathers what `run` tells: counts, refusals, warnings. Recordings and workloads alike.
 */
import { ModelBug } from '../../base/assert.ts';
import type { CostTable, Machine, Op, Outcome, Process } from '../../machine/index.ts';
import type { EventSink, Features, KernelConfig, Why } from '../../mm/index.ts';
import type { ReplayOp, Start, Warning } from '../../replay/index.ts';
import { isCompared } from '../../replay/play/difference.ts';
import { Player, placeError, type VerifyWhen } from '../../replay/play/player.ts';
import { UnmappedTouches } from '../../replay/play/unmappedTouches.ts';
import { type Counts, callText, EventCounts } from '../../report/index.ts';
import { Acting, type ActKind, type ActReport, type Bound } from '../../whatif/acts/act.ts';
import { ProgramSteps, programOf } from '../../whatif/runInput.ts';
import { FIRST_TASK, runWorkload } from '../../workloads/index.ts';
import type { CliInput, ItemsInput, WorkloadInput } from '../inputs.ts';

/** An operation that was carried out. */
export interface PlayedOp {
  readonly nr: number;
  /** Null in a workload. */
  readonly place: { readonly file: string; readonly line: number } | null;
  readonly task: number;
  readonly op: Op;
  readonly outcome: Outcome;
  /** The item with the kernel's answer, or null where there is none. */
  readonly recorded: ReplayOp | null;
  /** The process whose thread did it; null if it is not known. */
  readonly process: Process | null;
}

/** How to play. */
export interface PlaybackOptions {
  readonly features: Features;
  readonly verify: VerifyWhen;
  /** Rewrites and probes; where a recording does not tell all accesses, with those that it tells. */
  readonly acts?: readonly ActKind[];
  /** Prices by which time passes in inputs that tell none. */
  readonly costs: CostTable;
  readonly config?: Partial<KernelConfig>;
  /** Is told every event. */
  readonly events?: EventSink;
  /** Is told how each address space begins. */
  readonly onStart?: (start: Start) => void;
  /** Is told after each operation; returns false to stop there. */
  readonly onOp?: (played: PlayedOp) => boolean;
}

/** Calls refused with the same errno for the same reason, or accesses that ended in the same signal. */
export interface Refusal {
  readonly call: string;
  readonly errno: string;
  readonly why: Why | string;
  readonly count: number;
}

/** What a run came to. */
export interface Playback {
  readonly machine: Machine;
  /** The process the input is about; null if it is not there any more. */
  readonly main: Process | null;
  readonly ops: { readonly total: number; readonly calls: number; readonly touches: number };
  readonly counts: Counts;
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly Warning[];
  /** What rewrites and probes did; with `least` numbers are lower bounds. */
  readonly acts: readonly ActReport[];
  readonly bound: Bound;
  /** The listener stopped it before the end. */
  readonly isStopped: boolean;
}

/** Plays `input` to its end. */
export function playInput(input: CliInput, options: PlaybackOptions): Playback {
  const run = new Run(options);
  if (input.kind === 'items') run.items(input);
  else run.workload(input);
  return run.result();
}

/** Thrown to leave a workload, whose loop is not ours. */
class Stopped extends Error {}

class Run {
  readonly #options: PlaybackOptions;
  readonly #player: Player;
  readonly #counts = new EventCounts();
  readonly #refusals = new Map<string, { -readonly [K in keyof Refusal]: Refusal[K] }>();
  readonly #warnings: Warning[] = [];
  #ops = 0;
  #touches = 0;
  #mainTask: number | null = null;
  readonly #unmapped = new UnmappedTouches();
  readonly #acting: Acting | null;
  #isStopped = false;

  constructor(options: PlaybackOptions) {
    this.#options = options;
    const { features, verify, costs, config = {} } = options;
    const events: EventSink = (event) => {
      this.#counts.add(event);
      options.events?.(event);
    };
    this.#player = new Player(
      { features, verify, costs, config, events },
      {
        operation: (item, outcome, process) => {
          if (this.#acting !== null) this.#acting.outcome = outcome;
          this.#recorded(item, outcome, process);
        },
        other: (item) => {
          if (item.kind === 'warning') this.#warnings.push(item);
          if (item.kind !== 'start') return;
          this.#mainTask ??= item.task;
          options.onStart?.(item);
        },
      },
    );
    const { acts = [] } = options;
    const bounds = acts.map((kind) => kind.bounds).filter((each) => !each.includes(null));
    const isSome = bounds.some((each) => each.includes('some'));
    const bound = bounds.length === 0 ? null : isSome ? 'some' : 'least';
    this.#acting = acts.length === 0 ? null : new Acting(this.#player, acts, bound);
  }

  items(input: ItemsInput): void {
    for (const item of input.items()) {
      try {
        if (this.#acting === null) this.#player.feed(item);
        else this.#acting.feed(item);
      } catch (error) {
        throw placeError(error, item);
      }
      if (this.#isStopped) return;
    }
    const hole = input.format === 'bpftrace' ? this.#unmapped.warning() : null;
    if (hole !== null) this.#warnings.push(hole);
    if (this.#options.verify !== 'never') this.#player.verifyAll();
  }

  workload(input: WorkloadInput): void {
    this.#mainTask = FIRST_TASK;
    if (this.#acting !== null) {
      this.#actedWorkload(input, this.#acting);
      return;
    }
    const { machine } = this.#player;
    try {
      runWorkload(machine, input.spec, input.seed, (nr, { task, op }, outcome) => {
        const process = machine.processOf(task);
        this.#note({ nr, place: null, task, op, outcome, recorded: null, process });
        if (this.#options.verify === 'every') this.#verifyAfter(nr, op);
        if (this.#isStopped) throw new Stopped();
      });
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
    if (this.#options.verify !== 'never') this.#player.verifyAll();
  }

  /** Steps one by one, each through the acts; the program is told what they say. */
  #actedWorkload(input: WorkloadInput, acting: Acting): void {
    acting.begin(this.#player.machine.spawn(FIRST_TASK), true);
    const steps = new ProgramSteps(programOf(input));
    for (let item = steps.next(); item !== null && !this.#isStopped; item = steps.next()) {
      const told = acting.feed(item);
      if (told !== null) steps.took(told);
    }
    if (this.#options.verify !== 'never') this.#player.verifyAll();
  }

  #verifyAfter(nr: number, op: Op): void {
    try {
      this.#player.verifyAll();
    } catch (error) {
      if (error instanceof ModelBug) throw new ModelBug(`${error.message}\n  op ${nr} ${callText(op)}`);
      throw error;
    }
  }

  #recorded(item: ReplayOp, outcome: Outcome, process: Process | null): void {
    const { nr, task, op } = item;
    this.#unmapped.took(item, outcome);
    const recorded = item.recorded.kind === 'none' ? null : item;
    this.#note({ nr, place: item, task, op, outcome, recorded, process });
  }

  #note(played: PlayedOp): void {
    const { op, outcome, recorded } = played;
    this.#ops++;
    if (op.call === 'touch') this.#touches++;
    // What a call about descriptors answers is not ours to know: which are open is only partly in a recording.
    const isOurs = recorded === null || isCompared(recorded, outcome);
    if (isOurs && outcome.kind === 'errno') this.#refuse(op.call, outcome.errno, outcome.why);
    if (isOurs && outcome.kind === 'signal') this.#refuse(op.call, outcome.signal, outcome.code);
    if (this.#options.onOp?.(played) === false) this.#isStopped = true;
  }

  #refuse(call: string, errno: string, why: string): void {
    const key = `${call} ${errno} ${why}`;
    const known = this.#refusals.get(key);
    if (known === undefined) this.#refusals.set(key, { call, errno, why, count: 1 });
    else known.count++;
  }

  result(): Playback {
    const { machine } = this.#player;
    const acts = this.#acting?.end() ?? [];
    const refusals = [...this.#refusals.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, each]) => each);
    return {
      machine,
      main: this.#mainTask === null ? null : machine.process(this.#mainTask),
      ops: { total: this.#ops, calls: this.#ops - this.#touches, touches: this.#touches },
      counts: this.#counts.counts(),
      refusals,
      warnings: this.#warnings,
      acts,
      bound: this.#acting?.bound ?? null,
      isStopped: this.#isStopped,
    };
  }
}
