/**
 * Acts among threads that run by themselves: calls are changed and looked at as they are made, in virtual time. Every access is the program's own and is
 * made, so nothing is a bound.
 */
import { ModelBug, UsageError } from '../../base/assert.ts';
import type { Calling, CallWatch, Machine, Op, Outcome } from '../../machine/index.ts';
import type { ReplayOp } from '../../replay/index.ts';
import { stepItem } from '../runInput.ts';
import type { Act, ActKind, ActReport, Living, Stage } from './act.ts';

const COMPLETE = { bound: null, isComplete: true } as const;

interface UnderWay {
  readonly item: ReplayOp;
  readonly answers: ((outcome: Outcome) => Outcome)[];
}

/** Lets acts watch the calls of a simulation. */
export class ThreadActs implements CallWatch, Stage {
  readonly #acts: readonly Act[];
  #machine: Machine | null = null;
  /** Calls that threads are in, by thread. */
  readonly #under = new Map<number, UnderWay>();
  now = 0;
  nr = 0;

  /** @throws UsageError  one of them has to see accesses, or makes calls of its own */
  constructor(kinds: readonly ActKind[]) {
    const other = kinds.find(({ isForThreads }) => isForThreads !== true);
    if (other !== undefined)
      throw new UsageError(
        'threads run by themselves, and nobody sees their accesses or makes calls among them',
        `for ${other.name} a recording, an ops file or a workload that is a list of calls; with threads rules that change calls alone, or --probe bloat`,
      );
    this.#acts = kinds.map((kind) => kind.begin(COMPLETE));
  }

  get machine(): Machine {
    if (this.#machine === null) throw new ModelBug('[acts-attached] calls are made on a machine');
    return this.#machine;
  }
  inject(): Outcome {
    throw new ModelBug('[acts-attached] among threads no act makes calls of its own');
  }
  injectFor(): Outcome {
    return this.inject();
  }

  before({ tid, nowNs, simulation }: Calling, op: Op): Op | null {
    this.#machine = simulation.machine;
    const process = simulation.machine.processOf(tid);
    this.nr++;
    this.now = nowNs;
    if (process === null || process.mm === null) return op;
    if (this.nr === 1) for (const act of this.#acts) act.begin?.(process, this);
    let item: ReplayOp = { ...stepItem(this.nr, { task: tid, op }), at: nowNs };
    const answers: UnderWay['answers'] = [];
    for (const act of this.#acts) {
      const turn = act.turn?.(item, process as Living, this) ?? null;
      if (turn === null) continue;
      item = { ...item, op: turn.op ?? { call: 'nop' } };
      if (turn.answer !== undefined) answers.push(turn.answer);
    }
    this.#under.set(tid, { item, answers });
    return item.op.call === 'nop' && op.call !== 'nop' ? null : item.op;
  }

  after({ tid, nowNs }: Calling, _op: Op, outcome: Outcome): Outcome {
    const call = this.#under.get(tid);
    if (call === undefined) return outcome;
    this.#under.delete(tid);
    this.now = nowNs;
    for (const act of this.#acts) act.done?.(call.item, outcome, this);
    return call.answers.reduceRight((told, answer) => answer(told), outcome);
  }

  /** The simulation has ended. Returns what each act did. */
  end(): ActReport[] {
    for (const act of this.#acts) act.end?.(this);
    return this.#acts.map((act) => act.report());
  }
}
