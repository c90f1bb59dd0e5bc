/**
 * A lane: one configuration of one input on its way, with everything that is counted.
 *
 * Several lanes are fed the same items side by side, so that an input is read once and the first operation in which two of them differ is seen
 * when it happens. What the program would have seen to the end is kept of the main process even if it exits before the input ends.
 *
 * Cost   one machine a lane
 */
import type { CostTable, Machine, Op, Outcome, Process } from '../machine/index.ts';
import { type KernelConfig, type MmEvent, type VmaRow, vmaRows } from '../mm/index.ts';
import { CpuTime, type ReplayItem, type ReplayOp } from '../replay/index.ts';
import { agrees, isCompared, outcomeText, recordedText } from '../replay/play/difference.ts';
import { Player, placeError, type VerifyWhen } from '../replay/play/player.ts';
import {
  type Counts,
  countPairs,
  EventCounts,
  type MergeEvent,
  type Neighbours,
  neighboursOf,
  type PairCounts,
  type WorkCounts,
  workCounts,
} from '../report/index.ts';
import { FIRST_TASK } from '../workloads/index.ts';
import { Acting, type ActReport, type Bound } from './acts/act.ts';
import type { Configuration } from './configurations.ts';
import { added, type MemoryEnd, memoryOf } from './memoryEnd.ts';
import { type OpPlace, PlaceBook, placeOf } from './placeBook.ts';

/** How lanes are run. */
export interface LaneOptions {
  readonly verify?: VerifyWhen;
  readonly config?: Partial<KernelConfig>;
  /** Prices by which time passes in inputs that tell none. */
  readonly costs?: CostTable;
  /** Is handed every event, too. */
  readonly events?: (event: MmEvent) => void;
}

/** One address space at the end: alive, or as it was when the main process went. */
export interface ProcessEnd {
  readonly pid: number;
  /** The process the input begins with. */
  readonly isMain: boolean;
  /** Number of the address space in events. */
  readonly mm: number;
  readonly rows: readonly VmaRow[];
  readonly vmas: { readonly end: number; readonly peak: number };
  readonly neighbours: readonly Neighbours[];
  readonly pairs: PairCounts;
}

/** What a lane came to. */
export interface LaneEnd {
  readonly configuration: Configuration;
  readonly processes: readonly ProcessEnd[];
  /** Blocked pairs of all processes. */
  readonly pairs: PairCounts;
  readonly counts: Counts;
  /** System calls by name, touches under `touch`. */
  readonly calls: Readonly<Record<string, number>>;
  /** What was done, and the priced paths it took. */
  readonly work: WorkCounts;
  /** User and system time of the recorded program in nanoseconds; null where it was not recorded. */
  readonly cpuNs: number | null;
  /** How often each rewrite was applied. */
  readonly rewritten: Readonly<Record<string, number>>;
  /** Memory at the end, of all processes. */
  readonly memory: MemoryEnd;
  /** What rewrites and probes did. */
  readonly acts: readonly ActReport[];
  /** Which of the accesses that the input does not tell were played; null: none is missing that matters. */
  readonly bound: Bound;
  /** With rewrites or probes: answers that are not the recorded ones. */
  readonly diverged: Diverged;
}

/** Answers of the kernel that a rewrite or a probe makes others. */
export interface Diverged {
  readonly calls: number;
  readonly first: {
    readonly place: OpPlace;
    readonly modelled: string;
    readonly recorded: string;
  } | null;
}

interface Leaver {
  readonly pid: number;
  readonly mm: number;
  readonly rows: readonly VmaRow[];
}

const ENDS: ReadonlySet<Op['call']> = new Set<Op['call']>(['exit', 'exit_group', 'execve']);

/** One configuration of one input. */
export class Lane {
  readonly configuration: Configuration;
  /** Merge attempts of the operation at hand. */
  merges: MergeEvent[] = [];
  /** Whether the kernel's choice of an address in the operation at hand was not ours. */
  isMisplaced = false;
  outcome: Outcome | null = null;
  /** The process that did the operation. */
  process: Process | null = null;
  readonly places = new PlaceBook();
  readonly #counts = new EventCounts();
  readonly #player: Player;
  readonly #listener: ((event: MmEvent) => void) | null;
  readonly #calls = new Map<string, number>();
  #touches = 0;
  readonly #cpuTime = new CpuTime();
  readonly #acting: Acting | null;
  #nrDiverged = 0;
  #firstDiverged: Diverged['first'] = null;
  #mainPid: number | null = null;
  #left: Leaver | null = null;
  #leftMemory: MemoryEnd | null = null;

  /** Makes a machine for `configuration`. */
  constructor(configuration: Configuration, options: LaneOptions = {}) {
    this.configuration = configuration;
    this.#listener = options.events ?? null;
    this.#player = new Player(
      {
        features: configuration.features,
        verify: options.verify ?? 'never',
        events: (event) => this.#event(event),
        ...(options.config === undefined ? {} : { config: options.config }),
        ...(options.costs === undefined ? {} : { costs: options.costs }),
      },
      {
        operation: (_item, outcome, process) => {
          this.outcome = outcome;
          this.process = process;
          if (this.#acting !== null) this.#acting.outcome = outcome;
        },
      },
    );
    const kinds = [...configuration.rewrites, ...(configuration.probes ?? [])];
    this.#acting = kinds.length === 0 ? null : new Acting(this.#player, kinds, configuration.bound ?? null);
  }

  /** The machine, as it is now. */
  get machine(): Machine {
    return this.#player.machine;
  }
  /** Neighbours joined so far. */
  get nrJoined(): number {
    return this.#counts.nrJoined;
  }

  /** VMAs of all processes. */
  get nrVmas(): number {
    return this.#counts.nrVmas;
  }

  /** Starts the process that a program of ours begins in. */
  startProgram(): void {
    const process = this.#player.machine.spawn(FIRST_TASK);
    this.#mainPid = process.pid;
    this.#acting?.begin(process, true);
  }

  /** Takes one item. Throws Unmodelled or ModelBug with the place in the input. */
  feed(item: ReplayItem): void {
    if (this.merges.length > 0) this.merges = [];
    this.isMisplaced = false;
    try {
      if (item.kind === 'op') this.#operation(item);
      else if (this.#acting === null) this.#player.feed(item);
      else this.#acting.feed(item);
    } catch (error) {
      throw placeError(error, item);
    }
    this.#cpuTime.add(item);
    if (item.kind === 'start') this.#mainPid ??= item.task;
  }

  #operation(item: ReplayOp): void {
    const { call } = item.op;
    if (call === 'touch') this.#touches++;
    else {
      this.#calls.set(call, (this.#calls.get(call) ?? 0) + 1);
      if (ENDS.has(call)) this.#beforeEnd(item);
    }
    this.places.enter(item);
    if (this.#acting === null) this.#player.feed(item);
    else this.#act(this.#acting, item);
  }

  #act(acting: Acting, item: ReplayOp): void {
    const told = acting.feed(item);
    if (told === null) return;
    this.outcome = told;
    if (!isCompared(item, told) || agrees(told, item.recorded)) return;
    this.#nrDiverged++;
    this.#firstDiverged ??= {
      place: placeOf(item),
      modelled: outcomeText(told),
      recorded: recordedText(item.recorded),
    };
  }

  #event(event: MmEvent): void {
    this.#counts.add(event);
    this.places.add(event);
    if (event.kind === 'vmaMerge') this.merges.push(event);
    else if (event.kind === 'placement')
      this.isMisplaced = event.chosen !== null && event.chosen !== event.predicted;
    this.#listener?.(event);
  }

  /** The main process is about to lose its address space: keeps what it had. */
  #beforeEnd(item: ReplayOp): void {
    const process = this.#player.machine.processOf(item.task);
    if (process === null || process.mm === null || process.pid !== this.#mainPid) return;
    if (item.op.call === 'exit' && process.threads.size > 1) return;
    this.#left = { pid: process.pid, mm: process.mm.id, rows: vmaRows(process.mm) };
    this.#leftMemory = memoryOf([process.mm]);
  }

  /** Returns what the lane came to. The input has ended. */
  end(verify: VerifyWhen = 'never'): LaneEnd {
    const acts = this.#acting?.end() ?? [];
    if (verify !== 'never') this.#player.verifyOnce();
    const counts = this.#counts.counts();
    const peaks = new Map(counts.addressSpaces.map(({ mm, peak }) => [mm, peak]));
    const processes = this.#leavers().map(({ pid, mm, rows }): ProcessEnd => {
      const neighbours = neighboursOf(rows);
      return {
        pid,
        isMain: pid === this.#mainPid,
        mm,
        rows,
        vmas: { end: rows.length, peak: peaks.get(mm) ?? rows.length },
        neighbours,
        pairs: countPairs(neighbours),
      };
    });
    return {
      configuration: this.configuration,
      processes,
      pairs: countPairs(processes.flatMap(({ neighbours }) => neighbours)),
      counts,
      calls: {
        ...Object.fromEntries([...this.#calls].sort(([a], [b]) => (a < b ? -1 : 1))),
        touch: this.#touches,
      },
      work: workCounts(this.#player.machine.kernel.work),
      cpuNs: this.#cpuTime.ns,
      rewritten: Object.fromEntries(
        this.configuration.rewrites.map(({ rule, name }) => [
          rule,
          acts.find((act) => act.name === name)?.applied ?? 0,
        ]),
      ),
      memory: this.#memory(),
      acts,
      bound: this.#acting?.bound ?? null,
      diverged: { calls: this.#nrDiverged, first: this.#firstDiverged },
    };
  }

  #memory(): MemoryEnd {
    return this.#leftMemory === null
      ? memoryOf(this.#player.machine.addressSpaces)
      : added(this.#leftMemory, memoryOf(this.#player.machine.addressSpaces));
  }

  /** The main process first, then the others in the order of their appearance; each address space once. */
  #leavers(): Leaver[] {
    const found: Leaver[] = [];
    const seen = new Set<number>();
    for (const { pid, mm } of this.#player.machine.processes) {
      if (mm === null || seen.has(mm.id)) continue;
      seen.add(mm.id);
      found.push({ pid, mm: mm.id, rows: vmaRows(mm) });
    }
    const left = this.#left;
    if (left !== null && !found.some(({ pid }) => pid === left.pid)) found.push(left);
    const isMain = ({ pid }: Leaver): boolean => pid === this.#mainPid;
    return [...found.filter(isMain), ...found.filter((each) => !isMain(each))];
  }
}
