/**
 * Check: plays an input and holds every answer and every view that the kernel left in it against the model.
 *
 * Where threads overlap, the order of their calls is not in the recording. The order that ordering rules give is tried first; if it
 * leads to a difference and other permitted orders exist, single calls are tried at the other end of their interval, and the result says so
 * only if that gives the kernel's answer.
 */

import { MADV_FREE } from '../../abi/mman.ts';
import { type Addr, hex, pageFloor } from '../../base/units.ts';
import type { Op, Outcome } from '../../machine/index.ts';
import type { MmEvent } from '../../mm/index.ts';
import type { ReplayItem, ReplayOp, SignalItem, Summary, Warning } from '../item.ts';
import { CompletionComparison } from './compareCompletions.ts';
import { RecordingComparison } from './compareRecording.ts';
import { SnapshotComparison } from './compareSnapshot.ts';
import { compareResult, type Difference, isCompared, outcomeText, recordedText } from './difference.ts';
import { PlacementOrder } from './placementOrder.ts';
import { describeOp, Player, type PlayOptions, placeError } from './player.ts';
import { findOrder } from './reorder.ts';
import type { Came } from './sleepers.ts';

/** How many things of each kind were compared. */
export interface Compared {
  results: number;
  /** Lines about vmas: of maps, smaps, snapshots; fields of single vmas. */
  vmas: number;
  touches: number;
  /** Pages whose state is known from the kernel. */
  pages: number;
  /** Numbers: faults of an operation, figures of smaps, sizes of page tables, totals of a process. */
  counts: number;
}

/** What check found out about one input. */
export interface CheckReport {
  readonly input: string;
  readonly ok: boolean;
  readonly compared: Compared;
  readonly differences: readonly Difference[];
  readonly warnings: readonly Warning[];
  readonly summary: Summary | null;
  /** Where we would have placed mappings: how often the kernel chose the same. */
  readonly placement: { readonly predicted: number; readonly chosen: number };
  /** The order of overlapping calls mattered: lines of the calls that had to be moved. */
  readonly reordered: readonly number[];
  /** Why the pages of a recording were not compared; null: they were, or it is none. */
  readonly pagesUnknown: string | null;
}

/** How many calls whose place in time is open are remembered: enough to try other orders, bounded for large inputs. */
const MAX_OVERLAPPING = 100_000;

/** One run over one order of the items. */
export class Checker {
  readonly differences: Difference[] = [];
  readonly compared: Compared = { results: 0, vmas: 0, touches: 0, pages: 0, counts: 0 };
  readonly warnings: Warning[] = [];
  summary: Summary | null = null;
  /** Calls whose place in time was not determined. */
  readonly overlapping: ReplayOp[] = [];
  placementsRight = 0;
  placements = 0;
  /** Operations whose mapping the kernel put elsewhere than we would have: with threads, a sign of another order. */
  readonly misplaced: number[] = [];
  readonly player: Player;
  readonly #recording: RecordingComparison;
  readonly #snapshots: SnapshotComparison;
  readonly #completions: CompletionComparison;
  readonly #anonVmaBorn = new Map<number, number>();
  readonly #vmaChanged = new Map<number, number>();
  /** What the addresses of this run say about the order of overlapping calls. */
  readonly order: PlacementOrder;
  #isMisplaced = false;
  #areSleepersSettled = false;
  /** Where the kernel put the mapping of this operation, if we have something mapped there. */
  #taken: number | null = null;
  /** The last access of each thread, which waits for the recording to say whether it ended in a signal. */
  readonly #accessed = new Map<number, { item: ReplayOp; outcome: Outcome }>();

  /** @param options  switches and when to verify; events are used for placement, so `events` of the caller are passed on */
  constructor(options: PlayOptions, placements: ReadonlyMap<number, number> = new Map()) {
    this.order = new PlacementOrder(placements);
    const { events } = options;
    this.#recording = new RecordingComparison((difference) => this.differences.push(difference));
    this.#snapshots = new SnapshotComparison((difference) => this.differences.push(difference));
    this.#completions = new CompletionComparison((difference) => this.differences.push(difference));
    this.player = new Player(
      {
        ...options,
        events: (event) => {
          this.#note(event);
          events?.(event);
        },
      },
      {
        operation: (item, outcome, process, faults) => {
          this.#recording.after(item, outcome, process, faults);
          this.#operation(item, outcome, faults);
        },
        woken: (came) => {
          this.#recording.woken(came);
          this.#woken(came);
        },
        ended: (item, ended) => {
          this.#completions.after(item, ended);
          for (const each of ended) this.#noteEffects(each.item, each.outcome, each.faults);
        },
        completion: (item) => this.#completions.compare(item),
        signal: (item) => this.#signal(item),
        snapshot: (item, machine) => {
          this.#completions.settle();
          const window = this.player.start?.state?.window ?? null;
          this.#snapshots.compare(item, machine, window, this.player.workers);
        },
        end: (item, machine) => {
          this.#settle();
          this.#recording.end(item, machine);
        },
        other: (item) => {
          if (item.kind === 'warning') this.warnings.push(item);
          if (item.kind === 'summary') {
            this.summary = item;
            this.#recording.summary(item);
          }
          if (item.kind === 'start') this.#recording.start(item);
        },
      },
    );
  }

  /** Why the pages of the recording are not compared; null: they are. */
  get pagesUnknown(): string | null {
    return this.#recording.pagesUnknown;
  }

  /** Keeps what a later look for another order needs: where objects were born and changed. */
  #note(event: MmEvent): void {
    if (event.kind === 'placement') {
      if (event.chosen === null) return;
      this.placements++;
      if (event.taken) this.#taken = event.chosen;
      if (event.predicted === event.chosen) this.placementsRight++;
      else {
        this.misplaced.push(event.op);
        this.#isMisplaced = true;
      }
    } else if (event.kind === 'anonVmaCreate') this.#anonVmaBorn.set(event.anonVma, event.op);
    else if (event.kind === 'vmaCreate' || event.kind === 'vmaSplit' || event.kind === 'vmaResize')
      this.#vmaChanged.set(event.vma, event.op);
    if (event.kind === 'vmaSplit') this.#vmaChanged.set(event.other, event.op);
  }

  /** Returns the operations in which the objects of the differences were born or last changed. */
  suspects(): number[] {
    const ops = new Set<number>();
    for (const { about, op } of this.differences) {
      if (op !== null) ops.add(op);
      for (const id of about?.anonVmas ?? []) ops.add(this.#anonVmaBorn.get(id) ?? 0);
      for (const id of about?.vmas ?? []) ops.add(this.#vmaChanged.get(id) ?? 0);
    }
    return [...ops].filter((op) => op > 0);
  }

  /** Plays the items. */
  run(items: Iterable<ReplayItem>): void {
    for (const item of items) {
      try {
        if (item.kind === 'op') this.#recording.before(item, this.player.machine);
        this.player.feed(item);
      } catch (error) {
        throw placeError(error, item);
      }
    }
    this.#settle();
    const { vmas, pages, figures, tables, internals } = this.#snapshots.counts;
    this.compared.vmas += vmas + internals;
    this.compared.pages += pages;
    this.compared.counts += figures + tables;
    this.compared.results += this.#completions.counts.results;
    this.compared.counts += this.#completions.counts.faults;
    const recording = this.#recording.counts;
    this.compared.vmas += recording.vmas;
    this.compared.pages += recording.pages;
    this.compared.counts += recording.counts;
  }

  #operation(item: ReplayOp, outcome: Outcome, faults: number): void {
    this.#settleTask(item.task);
    this.order.took(item, this.#isMisplaced);
    this.#isMisplaced = false;
    if (item.overlaps && item.op.call !== 'touch' && this.overlapping.length < MAX_OVERLAPPING)
      this.overlapping.push(item);
    this.#noteEffects(item, outcome, faults);
    if (item.op.call === 'exit_group') this.#snapshots.noteExit(item.task);
    if (item.faults !== undefined && item.faults !== null && outcome.kind !== 'blocked')
      this.#compareFaults(item, item.faults, faults);
    if (item.op.call === 'touch') {
      this.compared.touches++;
      if (item.recorded.kind !== 'none') this.#compare(item, outcome);
      else this.#accessed.set(item.task, { item, outcome });
      return;
    }
    if (this.#taken !== null) this.#placeTaken(item, this.#taken);
    if (isCompared(item, outcome)) this.#compare(item, outcome);
  }

  /** A thread of the recording that slept in userfaultfd has gone on, and what it slept in is over. */
  #woken({ item, outcome }: Came): void {
    if (item.op.call === 'touch') this.#accessed.set(item.task, { item, outcome });
    else if (isCompared(item, outcome)) this.#compare(item, outcome);
  }

  /** What the recording goes on with, and nobody wakes here. */
  #settleSleepers(): void {
    for (const { file, line, nr, at, op, recorded } of this.player.sleepers?.stuck ?? []) {
      this.differences.push({
        file,
        line,
        op: nr,
        at,
        kind: 'result',
        what: op.call === 'touch' ? `${op.access} access at ${hex(op.addr)}` : describeOp(op),
        kernel: op.call === 'touch' ? 'served' : recordedText(recorded),
        ours: 'sleeps in userfaultfd',
      });
    }
  }

  /** What an operation makes of later snapshots. */
  #noteEffects(item: ReplayOp, outcome: Outcome, faults: number): void {
    if (item.op.call === 'madvise' && item.op.advice === MADV_FREE) this.#snapshots.noteLazyFree();
    // A pin for reading that took a fault: a page in a per-CPU batch is copied, and the copy is clean, another one is kept.
    if (item.op.call === 'process_vm' && !item.op.write && faults > 0) this.#snapshots.noteLazyFree();
    if (outcome.kind === 'signal') this.#snapshots.noteSignal(item.task);
  }

  /** An ops file says how many faults an operation was charged. */
  #compareFaults(item: ReplayOp, kernel: number, ours: number): void {
    this.compared.counts++;
    if (kernel === ours) return;
    this.differences.push({
      file: item.file,
      line: item.line,
      op: item.nr,
      kind: 'count',
      what: `faults of ${item.text ?? describeOp(item.op)}`,
      kernel: String(kernel),
      ours: String(ours),
    });
  }

  #placeTaken(item: ReplayOp, chosen: number): void {
    this.#taken = null;
    this.differences.push({
      file: item.file,
      line: item.line,
      op: item.nr,
      kind: 'result',
      what: `place of ${describeOp(item.op)}`,
      kernel: hex(chosen),
      ours: 'taken: something is mapped there',
    });
  }

  #compare(item: ReplayOp, outcome: Outcome): void {
    this.compared.results++;
    const difference = compareResult(item, outcome);
    if (difference !== null) this.differences.push(difference);
  }

  /** The recording says that a thread got a signal for an access: ours must have said the same just before. */
  #signal(item: SignalItem): void {
    const waiting = this.#accessed.get(item.task);
    this.#accessed.delete(item.task);
    if (waiting === undefined || waiting.outcome.kind === 'unknown-memory') return;
    const { outcome } = waiting;
    // A signal for another address is not about the access that was recorded: somebody sent it, or no page was asked for.
    const isServed = outcome.kind !== 'signal';
    if (isServed && !isAccessTo(waiting.item.op, item.addr)) return;
    this.compared.results++;
    if (outcome.kind === 'signal' && outcome.signal === item.signal && outcome.code === item.code) return;
    this.differences.push({
      file: item.file,
      line: item.line,
      op: waiting.item.nr,
      at: waiting.item.at,
      kind: 'result',
      what: `signal of thread ${item.task} at ${hex(item.addr)}`,
      kernel: `${item.signal} {si_code=${item.code}}`,
      ours: isServed ? 'served' : outcomeText(outcome),
    });
  }

  /** A signal of ours that the recording does not have is a difference. */
  #settleTask(task: number): void {
    const waiting = this.#accessed.get(task);
    if (waiting === undefined) return;
    this.#accessed.delete(task);
    const { item, outcome } = waiting;
    if (outcome.kind !== 'signal') return;
    this.differences.push({
      file: item.file,
      line: item.line,
      op: item.nr,
      at: item.at,
      kind: 'result',
      what: item.op.call === 'touch' ? `${item.op.access} access at ${hex(item.op.addr)}` : item.op.call,
      kernel: 'served',
      ours: outcomeText(outcome),
    });
  }

  #settle(): void {
    this.#completions.settle();
    for (const task of [...this.#accessed.keys()]) this.#settleTask(task);
    if (!this.#areSleepersSettled) this.#settleSleepers();
    this.#areSleepersSettled = true;
    // What had to wait for later operations comes late.
    if (this.#recording.settle())
      this.differences.sort(
        (a, b) => (a.op ?? Number.POSITIVE_INFINITY) - (b.op ?? Number.POSITIVE_INFINITY),
      );
  }
}

/** Tells whether `op` is an access to the page of `addr`. */
const isAccessTo = (op: Op, addr: Addr): boolean =>
  op.call === 'touch' && pageFloor(op.addr) === pageFloor(addr);

/** How check reads its input: again from the start, with calls placed elsewhere. */
export type ItemSource = (placements: ReadonlyMap<number, number>) => Iterable<ReplayItem>;

/**
 * Checks one input.
 * @param input    its name, for the report
 * @param source   opens it; may be called several times
 * @returns        what was compared and every difference (of the best order)
 * Cost            one play, and one more for each other order tried when there are differences and overlapping calls
 */
export function checkInput(input: string, source: ItemSource, options: PlayOptions = {}): CheckReport {
  const run = (placements: ReadonlyMap<number, number>): Checker => {
    const checker = new Checker(options, placements);
    checker.run(source(placements));
    return checker;
  };
  const { best, placements } = findOrder(run);
  const settled = best.differences.length === 0;
  return {
    input,
    ok: settled,
    compared: best.compared,
    differences: best.differences,
    warnings: best.warnings,
    summary: best.summary,
    placement: { predicted: best.placementsRight, chosen: best.placements },
    pagesUnknown: best.pagesUnknown,
    reordered: settled ? [...placements.keys()].sort((a, b) => a - b) : [],
  };
}
