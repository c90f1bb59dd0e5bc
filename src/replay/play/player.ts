/**
 * The player: feeds the items of an input to a machine and tells what happened.
 *
 * It takes from the input only what the kernel chose freely. Each answer of the model goes to the listener beside the recorded one; the listener
 * (check, compare, explain) decides what a difference is.
 *
 * Cost   the machine's, plus one comparison an operation
 */
import { Arena } from '../../base/arena.ts';
import { ModelBug, Unmodelled } from '../../base/assert.ts';
import { type Addr, hex } from '../../base/units.ts';
import {
  type CostTable,
  Machine,
  type Op,
  type OpName,
  type Outcome,
  type Process,
} from '../../machine/index.ts';
import {
  DEFAULT_CONFIG,
  type EventSink,
  FEATURES,
  type Features,
  Kernel,
  type KernelConfig,
  type KernelStorage,
  LINUX_6_18,
  type Mm,
  verifyAround,
  verifyKernel,
  verifyMm,
} from '../../mm/index.ts';
import type {
  Completion,
  EndState,
  InputFormat,
  Meta,
  ReplayItem,
  ReplayOp,
  SignalItem,
  Snapshot,
  Start,
} from '../item.ts';
import { agreeWithPlacement, settleExecutor } from './executor.ts';
import { seedProcess } from './seed.ts';
import { type Came, Sleepers } from './sleepers.ts';
import { type Ended, Workers } from './workers.ts';

/** When the invariants are checked: never; at the end; after every operation (around it, and everything each 1,000 operations). */
export type VerifyWhen = 'never' | 'end' | 'every';

/** How an input is to be played. */
export interface PlayOptions {
  readonly features?: Features;
  readonly config?: Partial<KernelConfig>;
  readonly verify?: VerifyWhen;
  /** Prices by which time passes where the input tells none; without, nothing can be done now and then. */
  readonly costs?: CostTable;
  readonly events?: EventSink;
  /** Is told what came of each operation. */
  readonly outcomes?: (op: Op, outcome: Outcome) => void;
}

/** What the player tells. Every method may be left out. */
export interface PlayListener {
  /** An operation was carried out; `faults` is how many faults were served on the way. */
  operation?(item: ReplayOp, outcome: Outcome, process: Process | null, faults: number): void;
  /** An operation is over that was told of as `blocked`: its thread of a recording slept in userfaultfd. */
  woken?(came: Came): void;
  /** These calls, in which somebody slept, are over because of an operation. */
  ended?(item: ReplayOp, ended: readonly Ended[]): void;
  /** The file says that a call in which somebody slept is over. */
  completion?(item: Completion): void;
  /** The recording says that a thread got a signal. */
  signal?(item: SignalItem): void;
  /** The kernel's own view between two operations. */
  snapshot?(item: Snapshot, machine: Machine): void;
  /** The kernel's own view of one process at the end. */
  end?(item: EndState, machine: Machine): void;
  /** Any other item: starts, warnings, the summary. */
  other?(item: ReplayItem): void;
}

const FULL_CHECK_EVERY = 1000;
/** 64 KiB of tables are taken at a time. */
const SMALL_CHUNK_LOG2 = 4;
/** Calls that return an address. */
const PLACES: ReadonlySet<OpName> = new Set<OpName>(['mmap', 'mremap', 'shmat']);

const faultsOf = (mm: Mm | null): number => (mm === null ? 0 : mm.minFlt + mm.majFlt);

/** Makes the machine an input was recorded on: its sysctls and THP switch, where the input tells them and the caller does not. */
function machineFor(options: PlayOptions, start: Start | null): Machine {
  const meta = start?.state?.meta ?? null;
  const wanted = options.features ?? LINUX_6_18;
  const thp: Features['thp'] | undefined = FEATURES.thp.values.find((value) => value === meta?.thpEnabled);
  const features = thp === undefined || wanted.thp !== LINUX_6_18.thp ? wanted : { ...wanted, thp };
  const config = { ...configOf(meta), totalSwapPages: start?.swapPages ?? 0, ...options.config };
  const kernel = new Kernel(features, config, start?.format === 'opfuzz' ? smallStorage() : {});
  kernel.emit = options.events ?? null;
  const machine = new Machine(kernel);
  if (options.costs !== undefined) machine.tableReclaim.useModelledTime(options.costs);
  return machine;
}

/** Of a sequence of random operations, of which there are thousands: room for few tables, since what is taken has to be cleared. */
const smallStorage = (): KernelStorage => ({ tables: new Arena(SMALL_CHUNK_LOG2) });

/** Returns the settings of the recorded machine that differ from the default. */
function configOf(meta: Meta | null): Partial<KernelConfig> {
  if (meta === null) return {};
  const { sysctl } = meta;
  const maxMapCount = sysctl.get('max_map_count');
  const overcommit = sysctl.get('overcommit_memory');
  const minAddr = sysctl.get('mmap_min_addr');
  return {
    ...(maxMapCount === undefined ? {} : { maxMapCount }),
    ...(overcommit === 1 || overcommit === 2 ? { overcommit } : {}),
    ...(minAddr === undefined
      ? {}
      : { sysctlMmapMinAddr: minAddr, mmapMinAddr: Math.max(minAddr, DEFAULT_CONFIG.mmapMinAddr) }),
    shmemHuge: meta.shmemEnabled === 'always',
  };
}

/** Inputs that tell when calls were made. */
const TIMED: ReadonlySet<InputFormat> = new Set(['recording', 'strace', 'bpftrace']);

/** Plays one input on one machine. */
export class Player {
  #machine: Machine | null = null;
  readonly #options: PlayOptions;
  readonly #verify: VerifyWhen;
  readonly #listener: PlayListener;
  /** The start item that was met first, or null. */
  start: Start | null = null;
  /** Operations carried out. */
  nrOps = 0;
  /** The last operation, and the address that it returned. */
  #last: ReplayOp | null = null;
  #placed: Addr | null = null;
  /** When the operation at hand was made: ns, of inputs that tell. */
  #now = 0;
  /** The threads of a file with userfaultfd, else null. */
  workers: Workers | null = null;
  /** Those who sleep in userfaultfd in a recording that uses it, else null. */
  sleepers: Sleepers | null = null;
  /** No item has changed anything since `verifyOnce`. */
  #isVerified = false;

  /** @param listener  who is told */
  constructor(options: PlayOptions, listener: PlayListener) {
    this.#options = options;
    this.#verify = options.verify ?? 'end';
    this.#listener = listener;
  }

  /** The machine: the one the input describes, from its first start item on. */
  get machine(): Machine {
    this.#machine ??= machineFor(this.#options, null);
    return this.#machine;
  }

  /** Takes one item. Throws Unmodelled or ModelBug with the place in the input added to its text. */
  feed(item: ReplayItem): void {
    switch (item.kind) {
      case 'op':
        this.#isVerified = false;
        this.#operation(item);
        return;
      case 'start':
        this.#isVerified = false;
        if (this.start === null) this.#machine = machineFor(this.#options, item);
        this.start ??= item;
        // What is there at the start is nobody's work.
        this.machine.kernel.work.uncounted(() => seedProcess(this.machine, item));
        if (TIMED.has(item.format)) this.machine.tableReclaim.clock = () => this.#now;
        if (item.format === 'opfuzz' || item.format === 'opfuzz-uffd')
          this.machine.kernel.swap.contentsAreTold = true;
        if (item.format === 'opfuzz-uffd') this.workers = new Workers(this.machine);
        this.#listener.other?.(item);
        return;
      case 'completion':
        this.#listener.completion?.(item);
        return;
      case 'signal':
        this.#listener.signal?.(item);
        return;
      case 'snapshot':
        this.#listener.snapshot?.(item, this.machine);
        return;
      case 'end':
        if (this.#verify !== 'never') this.verifyOnce();
        this.#listener.end?.(item, this.machine);
        return;
      case 'warning':
      case 'summary':
        this.#listener.other?.(item);
        return;
    }
  }

  /** Plays a whole input. */
  play(items: Iterable<ReplayItem>): void {
    for (const item of items) this.feed(item);
    if (this.#verify !== 'never') this.verifyOnce();
  }

  #operation(given: ReplayOp): void {
    const item = given.placed ? this.#withPlaced(given) : given;
    if (item === null) return;
    const process = this.machine.processOf(item.task);
    this.machine.kernel.opNr = item.nr;
    this.#now = item.at;
    this.nrOps++;
    if (this.workers !== null) {
      this.#withWorkers(this.workers, item, process);
      return;
    }
    const window = this.start?.state?.window ?? null;
    if (window !== null && process?.mm) agreeWithPlacement(process.mm, item, window);
    if (item.op.call === 'mlockall' && this.start?.format === 'opfuzz' && process?.mm)
      settleExecutor(process.mm);
    if (item.op.call === 'userfaultfd') this.sleepers ??= new Sleepers(this.machine);
    if (this.sleepers !== null) {
      this.#withSleepers(this.sleepers, item);
      return;
    }
    const mm = process?.mm ?? null;
    const before = faultsOf(mm);
    const outcome = this.machine.apply(item.task, item.op, item.chosen);
    this.#carriedOut({ item, outcome, process, faults: faultsOf(mm) - before });
  }

  #carriedOut({ item, outcome, process, faults }: Came): void {
    this.#options.outcomes?.(item.op, outcome);
    this.#last = item;
    this.#placed = outcome.kind === 'value' && PLACES.has(item.op.call) ? outcome.value : null;
    if (this.#verify === 'every') this.#verifyAfter(item.op, process);
    this.#listener.operation?.(item, outcome, process, faults);
  }

  #withSleepers(sleepers: Sleepers, item: ReplayOp): void {
    this.#carriedOut(sleepers.run(item));
    for (const came of sleepers.woken(item)) {
      this.#options.outcomes?.(came.item.op, came.outcome);
      this.#listener.woken?.(came);
    }
  }

  #withWorkers(workers: Workers, item: ReplayOp, process: Process | null): void {
    const { outcome, faults, ended } = workers.run(item);
    this.#options.outcomes?.(item.op, outcome);
    for (const each of ended) this.#options.outcomes?.(each.item.op, each.outcome);
    if (this.#verify === 'every') this.#verifyAfter(item.op, process);
    this.#listener.operation?.(item, outcome, process, faults);
    this.#listener.ended?.(item, ended);
  }

  /** Puts the place that the operation before was given into one of the same number and process; null: it was given none outside the window. */
  #withPlaced(item: ReplayOp): ReplayOp | null {
    const { op } = item;
    const window = this.start?.state?.window;
    const addr = this.#placed;
    if (window === undefined || window === null || addr === null || !('addr' in op)) return null;
    if (this.#last?.number !== item.number || this.#last?.task !== item.task) return null;
    return addr >= window.start && addr < window.end ? null : { ...item, op: { ...op, addr } };
  }

  #verifyAfter(op: Op, process: Process | null): void {
    if (this.nrOps % FULL_CHECK_EVERY === 0) this.verifyAll();
    else if (process?.mm && 'addr' in op && 'len' in op) verifyAround(process.mm, op.addr, op.addr + op.len);
  }

  /** Checks as `verifyAll` does, unless that was done after the last operation: at the end it is asked for by everyone who is told. */
  verifyOnce(): void {
    if (!this.#isVerified) this.verifyAll();
    this.#isVerified = true;
  }

  /** Checks every invariant of every address space. Throws ModelBug. */
  verifyAll(): void {
    const mms = this.machine.addressSpaces;
    for (const mm of mms) verifyMm(mm);
    verifyKernel(this.machine.kernel, mms);
  }
}

/** Returns one line that names an operation and its arguments, as strace would. */
export function describeOp(op: Op): string {
  const { call, ...rest } = op;
  const args = Object.entries(rest).map(
    ([name, value]) =>
      `${name}=${typeof value === 'number' && /addr|offset|flags/i.test(name) ? hex(value) : JSON.stringify(value)}`,
  );
  return `${call}(${args.join(', ')})`;
}

/** Adds the place of an item to an error of the model; other errors are returned as they are. */
export function placeError(error: unknown, item: ReplayItem): unknown {
  if (item.kind !== 'op') return error;
  const { file, line } = item;
  const op = `op ${item.nr} ${describeOp(item.op)}`;
  if (error instanceof ModelBug) return new ModelBug(`${error.message}\n  ${file}:${line}: ${op}`);
  if (error instanceof Unmodelled)
    return new Unmodelled(`${error.what} (${op})`, error.where, { file, line, column: 0 });
  return error;
}
