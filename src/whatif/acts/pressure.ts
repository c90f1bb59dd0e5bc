/**
 * The probe `pressure:LIMIT`: the program and what it forks are in a group that may have so much memory.
 *
 * It holds from the first operation on. A machine without swap, as most are on which recordings are made, can get back files and what was given away; `swap=SIZE` adds a device.
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

/** How much memory there is; bytes. */
export interface PressureWanted {
  readonly limit: number;
  /** Of a swap device that is added; 0: none. */
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
  #process: Process | null = null;
  #killed: string | null = null;
  #figures: Readonly<Record<string, number>> = {};

  constructor(wanted: PressureWanted, name: string, setting: ActSetting) {
    this.#wanted = wanted;
    this.#name = name;
    this.#setting = setting;
  }

  begin(process: Process, stage: Stage): void {
    this.#process = process;
    const { limit, swap } = this.#wanted;
    if (swap > 0) stage.injectFor(process.pid, { call: 'swapon', bytes: swap });
    stage.injectFor(process.pid, { call: 'set_memory_limit', bytes: limit });
    this.#look(stage);
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
    return {
      name: this.#name,
      applied: 1,
      left: {},
      figures: this.#figures,
      remarks: [
        ...(this.#killed === null ? [] : [this.#killed]),
        this.#setting.isComplete
          ? 'which of several pages that may go is taken first is modelled (docs/reclaim.md)'
          : 'with the recorded accesses alone: what went and was used again without a mark in the recording would be read back, or made anew',
      ],
    };
  }
}
