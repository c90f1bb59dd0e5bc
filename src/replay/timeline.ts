/**
 * Merges the calls of strace and the faults of perf by time, sends both through the order window, and follows processes.
 *
 * A process that calls execve gets an address space that no snapshot describes. In a recording (`afterExec: 'drop'`) everything it
 * does from then on is left out; in a bare strace (`'restart'`) it begins anew with a `start` item of which nothing is known.
 * What a thread seems to do after its end (a signal line printed late) is left out and counted.
 */

import type { Held, HeldOp } from './held.ts';
import type { InputFormat, ReplayItem, Start } from './item.ts';
import { type OrderContext, OrderWindow } from './order.ts';
import type { Fault, FaultSource } from './perf.ts';
import type { StraceCall, StraceEvent } from './straceReader.ts';

/** Where calls come from: their events in the order of time. A source may have the faults among them. */
export interface EventSource {
  next(): StraceEvent | FaultEvent | null;
}

/** A page fault among the calls. */
export interface FaultEvent {
  readonly kind: 'fault';
  readonly time: number;
  readonly fault: Fault;
}

/** What to do besides ordering. */
export interface TimelineOptions extends OrderContext {
  /** What the starts say they come from. */
  readonly format: InputFormat;
  readonly afterExec: 'drop' | 'restart';
  /** The line of an execve whose result is the start state itself; 0: none. */
  readonly startLine: number;
  /** The first thread of the recorded process, where it is known before anything happens. */
  readonly firstTask?: number;
}

/** What came by, for the summary. */
export interface TimelineCounts {
  calls: number;
  touches: number;
  overlapping: number;
}

/** The merged stream; iterate `items` once, then ask the rest. */
export class Timeline {
  readonly #calls: EventSource;
  readonly #faults: FaultSource | null;
  readonly #options: TimelineOptions;
  readonly #window: OrderWindow;
  readonly #execed = new Set<number>();
  readonly #exited = new Set<number>();
  readonly #brkKnown = new Set<number>();
  /** Threads of each process that has more than one. */
  readonly #threads = new Map<number, Set<number>>();
  readonly counts: TimelineCounts = { calls: 0, touches: 0, overlapping: 0 };
  #fault: Fault | null = null;
  /** A whole call whose return lies ahead; faults may come before it. */
  #pending: StraceCall | null = null;
  #nr = 0;

  constructor(calls: EventSource, faults: FaultSource | null, options: TimelineOptions) {
    this.#calls = calls;
    this.#faults = faults;
    this.#options = options;
    this.#window = new OrderWindow(options);
    if (options.firstTask !== undefined) this.#window.seen(options.firstTask, Number.NEGATIVE_INFINITY, 0);
  }

  /** Tells whether a process has called execve since the start, so that its end cannot be compared. */
  hasExeced(process: number): boolean {
    return this.#execed.has(process);
  }

  /** Yields operations, signals and starts in their order. */
  *items(): Generator<ReplayItem> {
    this.#fault = this.#faults?.next() ?? null;
    const restarts = this.#options.afterExec === 'restart';
    let event = this.#calls.next();
    for (let isMore = true; isMore; ) {
      const due = event === null ? Number.POSITIVE_INFINITY : startOf(event);
      for (let fault = this.#passing(due); fault !== null; fault = this.#passing(due))
        if (this.#follow(fault)) yield fault;
      if (this.#advance(due)) {
        if (event === null) this.#window.finish();
        else this.#feed(event);
        isMore = event !== null;
        event = this.#calls.next();
      }
      for (let item = this.#window.take(); item !== null; item = this.#window.take()) {
        if (!this.#follow(item)) continue;
        yield item;
        if (restarts && item.kind === 'op' && item.op.call === 'execve')
          yield startAfterExec(item.task, item.op.path, this.#options.format);
      }
    }
  }

  /** Returns the next fault if it comes before `due` and needs not wait for anything, as most do. */
  #passing(due: number): Held | null {
    if (this.#pending !== null || this.#fault === null || this.#fault.time >= due) return null;
    const item = this.#window.pass(this.#fault);
    if (item !== null) this.#fault = this.#faults?.next() ?? null;
    return item;
  }

  /** Takes in one fault or one return that comes before `due`; true: there is none. */
  #advance(due: number): boolean {
    const pending = this.#pending;
    const next = pending === null ? due : Math.min(pending.exit, due);
    if (this.#fault !== null && this.#fault.time < next) {
      this.#window.fault(this.#fault);
      this.#fault = this.#faults?.next() ?? null;
      return false;
    }
    if (pending === null) return true;
    // Nothing interrupted the call, so it had returned when the next line was printed, whatever its duration says.
    this.#pending = null;
    this.#window.call(pending.exit <= due ? pending : { ...pending, exit: due });
    return false;
  }

  #feed(event: StraceEvent | FaultEvent): void {
    switch (event.kind) {
      case 'open':
        this.#window.open(event);
        return;
      case 'call':
        if (!event.wasOpen && event.exit > event.entry) {
          this.#window.enter(event);
          this.#pending = event;
        } else this.#window.call(event);
        return;
      case 'signal':
        this.#window.signal(event);
        return;
      case 'exit':
        this.#window.exit(event);
        return;
      case 'fault':
        this.#window.fault(event.fault);
        return;
      case 'renamed':
        this.#window.rename(event.from, event.tid, event.time);
        return;
      case 'seen':
        this.#window.drop(event.tid);
        this.#window.seen(event.tid, event.time, 0);
        return;
    }
  }

  /** Numbers and counts an item that is about to be yielded, and keeps track of what it does to processes; false: leave it out. */
  #follow(item: Held): boolean {
    if (this.#isOver(item)) return false;
    if (item.kind === 'signal') return true;
    const { op } = item;
    if (op.call === 'touch') this.counts.touches++;
    else {
      if (op.call === 'execve' && item.line === this.#options.startLine) return false;
      this.counts.calls++;
      this.#followCall(item);
    }
    if (item.overlaps) this.counts.overlapping++;
    item.nr = ++this.#nr;
    return true;
  }

  #followCall(item: HeldOp): void {
    const { op, task } = item;
    const process = this.#window.processOf(task);
    if (op.call === 'brk') this.#chooseBrk(item, process);
    else if (op.call === 'exit') this.#exited.add(task);
    else if (op.call === 'clone') {
      this.#exited.delete(op.child);
      const threads = this.#threads.get(process);
      if (this.#window.processOf(op.child) !== process) return;
      if (threads === undefined) this.#threads.set(process, new Set([task, op.child]));
      else threads.add(op.child);
    } else if (op.call === 'execve') {
      // The other threads are gone by the time the new program is there.
      for (const thread of this.#threads.get(process) ?? []) if (thread !== task) this.#exited.add(thread);
      this.#threads.delete(process);
      this.#execed.add(process);
      this.#brkKnown.delete(process);
    }
  }

  /** Where nothing is known of the start, the first answer of brk tells where the heap begins. */
  #chooseBrk(item: HeldOp, process: number): void {
    if (this.#options.afterExec === 'drop') return;
    if (this.#brkKnown.has(process) || item.recorded.kind !== 'value') return;
    this.#brkKnown.add(process);
    item.chosen = { addr: item.recorded.value };
  }

  /** Tells whether an item belongs to a thread that is gone, and counts it. */
  #isOver(item: Held): boolean {
    const { warnings, afterExec } = this.#options;
    if (this.#exited.has(item.task)) {
      // execve and exit_group end the other threads before strace says so.
      if (item.kind === 'op' && item.op.call === 'exit') return true;
      warnings.add(
        'after-exit',
        'events of threads that had already ended were left out',
        item.file,
        item.line,
      );
      return true;
    }
    if (afterExec === 'restart' || !this.#execed.has(this.#window.processOf(item.task))) return false;
    if (item.kind === 'op' && item.op.call === 'clone')
      this.#execed.add(this.#window.processOf(item.op.child));
    warnings.add(
      'after-exec',
      'what a process did after it called execve was left out: the start of its new address space was not recorded',
      item.file,
      item.line,
    );
    return true;
  }
}

/** The time of the first thing an event tells. */
function startOf(event: StraceEvent | FaultEvent): number {
  if (event.kind !== 'call') return event.time;
  return event.wasOpen ? event.exit : event.entry;
}

const startAfterExec = (task: number, program: string, format: InputFormat): Start => ({
  kind: 'start',
  task,
  format,
  state: null,
  program,
});
