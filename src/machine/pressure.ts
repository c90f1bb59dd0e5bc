/**
 * Memory that gets short: the operations that make it so, and who is killed when nothing can be got back.
 *
 * A process that is chosen while it makes an operation itself ends when that is over, and the operation ends in SIGKILL; another one ends at once, between
 * two faults. What an operation took beyond a limit goes when it is over.
 *
 * Linux   mm/memcontrol.c, mm/oom_kill.c: select_bad_process, oom_badness; docs/reclaim.md
 * Left out   oom_score_adj, the reaper, processes that share memory without being threads
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { Kernel } from '../mm/kernel.ts';
import type { OutOfMemory } from '../mm/memoryGroup.ts';
import { reclaimMemory, setMemoryLimit, setMemorySize, settleMemory } from '../mm/memoryLimit.ts';
import type { Mm } from '../mm/mm.ts';
import { OK, type SysResult } from '../mm/result.ts';
import { PATH } from '../mm/work.ts';
import type { Op } from './op.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import type { Process } from './process.ts';

/** The operations that make memory short, or not. */
export type PressureOp = Extract<Op, { call: 'set_memory_limit' | 'reclaim' | 'set_memory_size' | 'swapon' }>;

/** Carries out one of them. What is got back charges itself. */
export function pressureCall(mm: Mm, op: PressureOp): Outcome {
  const { work } = mm.kernel;
  const result = carryOut(mm, op);
  work.charge(PATH.syscall, 1);
  work.settle();
  return outcomeOf(result);
}

function carryOut(mm: Mm, op: PressureOp): SysResult {
  switch (op.call) {
    case 'set_memory_limit':
      return setMemoryLimit(mm, op.bytes);
    case 'reclaim':
      return reclaimMemory(mm, op.bytes);
    case 'set_memory_size':
      return setMemorySize(mm.kernel, op.bytes);
    case 'swapon':
      mm.kernel.addSwap(Math.floor(op.bytes / PAGE_SIZE), op.readAtOnce ?? 1);
      return OK;
  }
}

/** A process that was killed because no memory could be got back. */
export interface OutOfMemoryKill {
  /** Number of the operation. */
  readonly op: number;
  readonly pid: number;
  /** Pages that it had: in memory, in swap, tables. */
  readonly pages: number;
  /** It was the limit of its group that was met, not the end of the machine's memory. */
  readonly isLimit: boolean;
}

/** Who ends for want of memory on one machine. */
export class Killer {
  readonly kernel: Kernel;
  readonly #processes: () => Iterable<Process>;
  readonly #end: (process: Process) => void;
  /** Address spaces whose process ends with the operation that it is making. */
  readonly #doomed = new Set<Mm>();
  /** Who was killed, in order. */
  readonly kills: OutOfMemoryKill[] = [];

  /** @param processes  returns those that live; @param end  ends one */
  constructor(kernel: Kernel, processes: () => Iterable<Process>, end: (process: Process) => void) {
    this.kernel = kernel;
    this.#processes = processes;
    this.#end = end;
    kernel.onOutOfMemory = (group, asking) => this.#kill(group, asking);
  }

  /** The largest process of a group, or of the machine; of several alike the newest. */
  #kill(...[group, asking]: Parameters<OutOfMemory>): ReturnType<OutOfMemory> {
    let [victim, most]: [Process | null, number] = [null, 0];
    for (const process of this.#processes()) {
      const { mm } = process;
      if (mm === null || (group !== null && mm.memory !== group)) continue;
      const points = mm.rssAnon + mm.rssFile + mm.rssShmem + mm.nrSwap + mm.pages.bytes / PAGE_SIZE;
      if (points >= most) [victim, most] = [process, points];
    }
    if (victim === null || victim.mm === null) return 'nobody';
    this.kills.push({ op: this.kernel.opNr, pid: victim.pid, pages: most, isLimit: group !== null });
    if (victim.mm === asking) {
      this.#doomed.add(victim.mm);
      return 'asking';
    }
    this.#end(victim);
    return 'other';
  }

  /** An operation begins: its process is charged for what it takes. */
  begins({ mm }: Process): void {
    const { reclaim } = this.kernel;
    if (reclaim !== null && mm !== null) reclaim.lru.current = mm.memory;
  }
  /** An operation of `process`, which had `mm`, is over. Returns what the program sees of it. */
  ends(process: Process, mm: Mm | null, outcome: Outcome): Outcome {
    if (mm !== null && !mm.gone && !this.#doomed.has(mm)) settleMemory(mm);
    if (mm === null || !this.#doomed.delete(mm)) return outcome;
    if (!mm.gone) this.#end(process);
    return outcome.kind === 'signal' && outcome.signal === 'SIGKILL'
      ? outcome
      : { kind: 'signal', signal: 'SIGKILL', code: 'SI_KERNEL', addr: 0 };
  }
}
