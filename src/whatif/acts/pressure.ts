/**
 * The probe `pressure:…`: the program and what it forks are in a group that may have so much memory, always or by a schedule.
 *
 * A step sets the limit or asks memory back: at the start, before an operation, or at a time of the input. A machine without swap, as most are on which recordings are made, can
 * get back files and what was given away; `swap=SIZE` adds a device.
 * What reclaim takes depends on what is used, and a recording tells first accesses only: what was taken and used again would be read back or made anew. So of a recording
 * everything is counted with the recorded accesses alone, and is neither the least nor the most.
 *
 * Cost   that of reclaim (docs/reclaim.md)
 */
import type { Outcome, Process } from '../../machine/index.ts';
import { FACT, type FactName } from '../../mm/index.ts';
import type { ReplayOp } from '../../replay/index.ts';
import { grouped } from '../../report/index.ts';
import type { Act, ActReport, ActSetting, Stage } from './act.ts';

/** One step of a schedule. */
export interface PressureStep {
  /** As it was written. */
  readonly text: string;
  readonly what: 'limit' | 'reclaim';
  /** Of the limit (infinity: none), or to be got back. */
  readonly bytes: number;
  /** Before the operation of that number, or at that time of the input, in nanoseconds. */
  readonly at: { readonly unit: 'op' | 'ns'; readonly value: number };
}

/** How much memory there is. */
export interface PressureWanted {
  readonly steps: readonly PressureStep[];
  /** Bytes of a swap device that is added; 0: none. */
  readonly swap: number;
}

const FIGURES: readonly (readonly [name: string, fact: FactName])[] = [
  ['times the limit was met', 'limitsMet'],
  ['pages looked at', 'lruScanned'],
  ['of lazily freed ones dropped', 'lruDiscarded'],
  ['volatile ones purged', 'pagesPurged'],
  ['swapped out', 'pagesSwappedOut'],
  ['read back from swap', 'pagesSwappedIn'],
  ['pages of files dropped', 'fileEvicted'],
];

/** Makes memory scarce. */
export class Pressure implements Act {
  readonly #wanted: PressureWanted;
  readonly #name: string;
  readonly #setting: ActSetting;
  /** Steps that are still to come. */
  #ahead: readonly PressureStep[];
  #process: Process | null = null;
  #killed: string | null = null;
  #refusal: string | null = null;
  #figures: Readonly<Record<string, number>> = {};

  constructor(wanted: PressureWanted, name: string, setting: ActSetting) {
    this.#wanted = wanted;
    this.#name = name;
    this.#setting = setting;
    this.#ahead = wanted.steps;
  }

  begin(process: Process, stage: Stage): void {
    const { steps, swap } = this.#wanted;
    this.#process = process;
    if (stage.machine.tableReclaim.clock === null && steps.some(({ at }) => at.unit === 'ns')) {
      this.#refusal = 'the input tells no times: steps before operations, as 24M@1000, would be right';
      return;
    }
    if (swap > 0) stage.injectFor(process.pid, { call: 'swapon', bytes: swap });
    this.#takeSteps(process, stage, 0);
    this.#look(stage);
  }

  turn(item: ReplayOp, process: Process, stage: Stage): null {
    if (this.#ahead.length === 0 || this.#refusal !== null || this.#killed !== null) return null;
    // Whoever the program has forked is in the same group.
    this.#takeSteps(this.#process?.mm?.gone === false ? this.#process : process, stage, item.nr);
    return null;
  }
  #takeSteps({ pid }: Process, stage: Stage, nr: number): void {
    const nowNs = stage.machine.tableReclaim.clock?.() ?? 0;
    const isDue = ({ at }: PressureStep): boolean => (at.unit === 'op' ? nr : nowNs) >= at.value;
    const due = this.#ahead.filter(isDue);
    if (due.length === 0) return;
    this.#ahead = this.#ahead.filter((step) => !isDue(step));
    for (const { what, bytes } of due)
      stage.injectFor(
        pid,
        what === 'limit' ? { call: 'set_memory_limit', bytes } : { call: 'reclaim', bytes },
      );
  }

  done(_item: ReplayOp, _outcome: Outcome, stage: Stage): void {
    if (this.#killed === null) this.#look(stage);
  }
  #look(stage: Stage): void {
    const [kill] = stage.machine.outOfMemory.kills;
    if (kill === undefined) return;
    const whose = kill.pid === this.#process?.pid ? 'the program' : `process ${kill.pid}`;
    this.#killed = `out of memory: ${whose} is killed at op ${grouped(kill.op)} with ${grouped(kill.pages * 4)} kB; what comes after it does not happen`;
  }

  end(stage: Stage): void {
    const { facts } = stage.machine.kernel.work;
    this.#figures = Object.fromEntries(FIGURES.map(([name, fact]) => [name, facts[FACT[fact]] as number]));
  }

  report(): ActReport {
    if (this.#refusal !== null)
      return { name: this.#name, applied: 0, left: {}, figures: {}, remarks: [`not done: ${this.#refusal}`] };
    const ahead = this.#ahead.map(({ text }) => text);
    return {
      name: this.#name,
      applied: 1,
      left: {},
      figures: this.#figures,
      remarks: [
        ...(this.#killed === null ? [] : [this.#killed]),
        ...(ahead.length === 0 ? [] : [`the input ended before ${ahead.join(', ')}`]),
        this.#setting.isComplete
          ? 'which of several pages that may go is taken first is modelled (docs/reclaim.md)'
          : 'with the recorded accesses alone: what went and was used again without a mark in the recording would be read back, or made anew',
      ],
    };
  }
}
