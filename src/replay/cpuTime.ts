/**
 * The processor time that a recorded program took, from `stat.start` and `stat.end`: what modelled time is held against.
 *
 * Counted are user and system time of the recorded process and of its children that were waited for, from the start of the recording, and of the
 * other processes that are there at its end. Processes that nobody waited for are missing, and the time includes what the recorder cost.
 */
import type { ReplayItem } from './item.ts';
import type { ProcStat } from './stat.ts';

/** Nanoseconds of a clock tick: USER_HZ is 100. */
const TICK_NS = 10_000_000;

const ownTicks = (stat: ProcStat): number => stat.utime + stat.stime;
const allTicks = (stat: ProcStat): number => ownTicks(stat) + stat.cutime + stat.cstime;

/** The fold. Hand it every item of a recording. */
export class CpuTime {
  #start: ProcStat | null = null;
  #main: ProcStat | null = null;
  #others = 0;

  /** Takes one item; all but starts and ends are nothing to it. */
  add(item: ReplayItem): void {
    if (item.kind === 'start') this.#start ??= item.state?.stat ?? null;
    if (item.kind !== 'end' || item.stat === null) return;
    if (item.isMain) this.#main = item.stat;
    else this.#others += ownTicks(item.stat);
  }

  /** Nanoseconds of user and system time; null where they were not recorded, or were too short to be seen. */
  get ns(): number | null {
    if (this.#start === null || this.#main === null) return null;
    const ticks = allTicks(this.#main) - allTicks(this.#start) + this.#others;
    return ticks > 0 ? ticks * TICK_NS : null;
  }
}
