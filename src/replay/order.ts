/**
 * Puts calls and page faults of many threads into one order, in a window that moves along the input.
 *
 * A user fault happened at its time. The effect of a call lies somewhere between its entry and its return, and is put
 *   - at its entry, if the call takes away: munmap, shmdt, the advices that discard, brk that shrinks, mremap that shrinks or moves, execve;
 *   - at its return, if it adds or changes: mmap, mprotect, brk and mremap that grow, and all others;
 *   - for fork and clone, before the first sign of life of the child, before the first page the kernel writes for the caller inside the
 *     call (it stores the child's id after the copy is made), or at the return, whichever is first.
 * So an address that one call frees is free when another call, which overlaps the first, is handed it. One case is left: an mremap that
 * moves into a place that a call entered later has freed. Such a move is put right after that call.
 *
 * Within one thread the order is total. Faults the kernel takes inside a call of the same thread lie inside that call by their time.
 * Other orders are possible where something of another thread of the same process lies inside a call: `overlaps`. `placements`
 * puts single calls (named by the line of their entry) at another moment between entry and return, so that a check can try these orders.
 *
 * The window holds what is younger than the oldest call that may still be put at its entry; beyond MAX_HELD items it lets go and says so.
 * Cost: a heap of the items held, and for each event the calls that are open.
 */
import { CLONE_THREAD, CLONE_VM } from '../abi/mman.ts';
import type { Addr } from '../base/units.ts';
import type { Op, Recorded } from '../machine/op.ts';
import { freedRange, gainedRange, intersects, type Range, takesAway } from './effects.ts';
import { type Held, momentItem, touchItem } from './held.ts';
import type { Fault } from './perf.ts';
import type { OrderOptions } from './reading.ts';
import type { StraceCall, StraceEvent } from './straceReader.ts';
import { TimeHeap } from './timeHeap.ts';
import type { Warnings } from './warnings.ts';

/** Files and counters the window reports with. */
export interface OrderContext extends OrderOptions {
  readonly callsFile: string;
  readonly faultsFile: string;
  readonly warnings: Warnings;
}

/** A call that has been entered and has not returned. */
interface OpenCall {
  readonly tid: number;
  readonly process: number;
  readonly entry: number;
  readonly line: number;
  /** It may be put before its return. */
  readonly isEarly: boolean;
  readonly isClone: boolean;
  /** What it frees, where that is known at its entry. */
  readonly op: Op | null;
  overlaps: boolean;
  /** The latest moment at which a clone can have copied. */
  before: number;
}

/** More than this many items are not held back. */
const MAX_HELD = 1 << 18;
/** Between two moments of the input's clock, which counts in whole numbers. */
const JUST = 0.5;

const CLONE_NAMES: ReadonlySet<string> = new Set(['clone', 'clone3', 'fork', 'vfork']);
const EARLY_NAMES: ReadonlySet<string> = new Set([
  'munmap',
  'shmdt',
  'madvise',
  'process_madvise',
  'mremap',
  'brk',
  'execve',
  'execveat',
  ...CLONE_NAMES,
]);

/** The window. Events go in by `open`, `call`, `fault`, `signal`, `exit`, `seen`, in the order of their time; items come out by `take`. */
export class OrderWindow {
  readonly #context: OrderContext;
  readonly #held = new TimeHeap<Held>();
  readonly #open = new Map<number, OpenCall>();
  /** The process of each thread that has been announced. */
  readonly #processOf = new Map<number, number>();
  /** When a thread that nobody has announced was first seen. */
  readonly #firstSeen = new Map<number, number>();
  readonly #brkOf = new Map<number, Addr>();
  #nrOpenClones = 0;
  #main = 0;
  #now = Number.NEGATIVE_INFINITY;
  #lastOut = Number.NEGATIVE_INFINITY;

  constructor(context: OrderContext) {
    this.#context = context;
  }

  /** Returns the process of a thread, itself where nothing is known. */
  processOf(tid: number): number {
    return this.#processOf.get(tid) ?? tid;
  }

  /** A thread has shown itself; the first one is the recorded process. */
  seen(tid: number, time: number, line: number): void {
    this.#now = Math.max(this.#now, time);
    if (this.#processOf.has(tid)) return;
    if (this.#main === 0) {
      this.#main = tid;
      this.#processOf.set(tid, tid);
    } else if (this.#nrOpenClones > 0) {
      if (!this.#firstSeen.has(tid)) this.#firstSeen.set(tid, time);
    } else {
      this.#adopt(tid, time, line);
    }
  }

  /** A call was entered and another line came before its return; or is known to take until a later moment. */
  open(event: Extract<StraceEvent, { kind: 'open' }>): void {
    this.seen(event.tid, event.time, event.line);
    const isClone = CLONE_NAMES.has(event.name);
    if (isClone) this.#nrOpenClones++;
    this.#enter({
      tid: event.tid,
      process: this.processOf(event.tid),
      entry: event.time,
      line: event.line,
      isClone,
      op: event.op,
      overlaps: false,
      isEarly: EARLY_NAMES.has(event.name) || this.#context.placements?.has(event.line) === true,
      before: Number.POSITIVE_INFINITY,
    });
  }

  /** A call that nothing interrupted was entered; `call` follows when its return is due. */
  enter(call: StraceCall): void {
    this.seen(call.tid, call.entry, call.line);
    const isClone = call.op.call === 'clone';
    if (isClone) this.#nrOpenClones++;
    this.#enter({
      tid: call.tid,
      process: this.processOf(call.tid),
      entry: call.entry,
      line: call.line,
      isClone,
      op: call.op,
      overlaps: false,
      isEarly: true,
      before: Number.POSITIVE_INFINITY,
    });
  }

  /** A call has returned. */
  call(call: StraceCall): void {
    this.seen(call.tid, call.exit, call.line);
    const open = this.#open.get(call.tid);
    if (open !== undefined) this.#leave(open);
    if (call.op.call === 'clone') this.#announce(call, call.op.flags, call.op.child);
    const at = this.#momentOf(call, open);
    const { op, line, tid: task, chosen, recorded, entry, exit } = call;
    const overlaps = open?.overlaps ?? false;
    this.#push(
      {
        kind: 'op',
        op,
        nr: 0,
        line,
        file: this.#context.callsFile,
        task,
        chosen,
        recorded,
        entry,
        exit,
        at,
        overlaps,
      },
      at,
    );
  }

  /** A page was touched and faulted. */
  fault(fault: Fault): void {
    const { tid, time, line } = fault;
    if (!this.#processOf.has(tid)) this.seen(tid, time, line);
    else this.#now = Math.max(this.#now, time);
    const overlaps = this.#open.size > 0 && this.#isInsideCalls(fault);
    this.#push(touchItem(fault, this.#context.faultsFile, overlaps), time);
  }

  /** Returns the item of a fault that nothing can come before any more, so that it need not be held; null, and nothing is taken, if something can. */
  pass(fault: Fault): Held | null {
    const { tid, time } = fault;
    const mustWait = this.#open.size > 0 || this.#held.size > 0 || time < this.#lastOut;
    if (mustWait || !this.#processOf.has(tid)) return null;
    this.#now = Math.max(this.#now, time);
    this.#lastOut = time;
    return touchItem(fault, this.#context.faultsFile, false);
  }

  /** A thread got a signal for an access. */
  signal(event: Extract<StraceEvent, { kind: 'signal' }>): void {
    const { tid: task, time, line, signal, code, addr } = event;
    this.seen(task, time, line);
    this.#push({ kind: 'signal', task, signal, code, addr, file: this.#context.callsFile, line }, time);
  }

  /** A thread has ended. */
  exit(event: Extract<StraceEvent, { kind: 'exit' }>): void {
    const { tid: task, time, line } = event;
    this.seen(task, time, line);
    const open = this.#open.get(task);
    if (open !== undefined) this.#leave(open);
    const op: Op = { call: 'exit' };
    this.#push(momentItem(op, { task, time, line, file: this.#context.callsFile }), time);
  }

  /** A call that was opened turned out to be of no interest (it failed, or changes nothing). */
  drop(tid: number): void {
    const open = this.#open.get(tid);
    if (open !== undefined) this.#leave(open);
  }

  /** A thread goes on under another number: it called execve, which gives it that of its process. */
  rename(from: number, to: number, time: number): void {
    this.seen(to, time, 0);
    const open = this.#open.get(from);
    if (open === undefined) return;
    this.#open.delete(from);
    this.#open.set(to, { ...open, tid: to });
  }

  /** Nothing more will come: what is held can go. */
  finish(): void {
    this.#open.clear();
    this.#now = Number.POSITIVE_INFINITY;
  }

  /** Returns the next item whose place nothing can change any more, or null. */
  take(): Held | null {
    if (this.#held.size === 0) return null;
    if (this.#held.firstTime >= this.#watermark() && !this.#isFull()) return null;
    if (this.#held.firstTime < this.#lastOut) {
      this.#warn('late', 'events lie before others that had already been put in order');
    } else this.#lastOut = this.#held.firstTime;
    return this.#held.pop();
  }

  #enter(call: OpenCall): void {
    for (const other of this.#open.values()) {
      if (other.process !== call.process) continue;
      other.overlaps = true;
      call.overlaps = true;
    }
    this.#open.set(call.tid, call);
  }

  #leave(call: OpenCall): void {
    this.#open.delete(call.tid);
    if (call.isClone) this.#nrOpenClones--;
  }

  /** Marks the calls of other threads that a fault lies inside, and bounds a clone of its own thread. */
  #isInsideCalls(fault: Fault): boolean {
    let inside = false;
    for (const call of this.#open.values()) {
      if (call.tid === fault.tid) {
        if (call.isClone && fault.by === 'kernel' && fault.access === 'write')
          call.before = Math.min(call.before, fault.time);
      } else if (call.process === this.processOf(fault.tid)) {
        call.overlaps = true;
        inside = true;
      }
    }
    return inside;
  }

  /** Learns what a clone has made; a child that was seen before bounds the moment of the copy. */
  #announce(call: StraceCall, flags: number, child: number): void {
    const isThread = (flags & CLONE_THREAD) !== 0;
    this.#processOf.set(child, isThread ? this.processOf(call.tid) : child);
    const brk = this.#brkOf.get(this.processOf(call.tid));
    if (!isThread && (flags & CLONE_VM) === 0 && brk !== undefined) this.#brkOf.set(child, brk);
  }

  /** Returns the moment at which a call takes effect. */
  #momentOf(call: StraceCall, open: OpenCall | undefined): number {
    const moment = this.#context.placements?.get(call.line) ?? this.#defaultMoment(call, open);
    return Math.min(Math.max(moment, call.entry), call.exit);
  }

  #defaultMoment(call: StraceCall, open: OpenCall | undefined): number {
    const { op, entry, exit } = call;
    if (op.call === 'clone') {
      const seen = this.#firstSeen.get(op.child) ?? Number.POSITIVE_INFINITY;
      this.#firstSeen.delete(op.child);
      const before = Math.min(seen, open?.before ?? seen);
      return before > exit ? exit : before - JUST;
    }
    if (op.call === 'brk') return this.#nowShrinks(call) ? entry : exit;
    if (!takesAway(op, call.recorded)) return exit;
    const gained = open?.overlaps === true ? gainedRange(op, call.recorded) : null;
    return gained === null ? entry : this.#afterFreeing(gained, call);
  }

  /** Notes where brk is now and tells whether it went down. */
  #nowShrinks(call: StraceCall): boolean {
    if (call.recorded.kind !== 'value') return false;
    const process = this.processOf(call.tid);
    const before = this.#brkOf.get(process) ?? 0;
    this.#brkOf.set(process, call.recorded.value);
    return call.recorded.value < before;
  }

  /** Returns the moment right after the last overlapping call that frees a part of `range`; the entry of `call` if there is none. */
  #afterFreeing(range: Range, call: StraceCall): number {
    let moment = call.entry;
    const consider = (op: Op | null, recorded: Recorded | null, task: number, at: number): void => {
      const freed = op === null || task === call.tid ? null : freedRange(op, recorded);
      if (freed !== null && intersects(freed, range) && at >= moment) moment = at + JUST;
    };
    for (const item of this.#held.items())
      if (item.kind === 'op') consider(item.op, item.recorded, item.task, item.at);
    for (const open of this.#open.values()) consider(open.op, null, open.tid, open.entry);
    return moment;
  }

  /** Everything before it is in place: no call that is open can be put there any more. */
  #watermark(): number {
    let mark = this.#now;
    for (const call of this.#open.values()) if (call.isEarly && call.entry < mark) mark = call.entry;
    return mark;
  }

  #isFull(): boolean {
    if (this.#held.size <= MAX_HELD) return false;
    this.#warn('window-full', 'a call took so long that what came after its entry was not held back for it');
    return true;
  }

  /** Takes a thread nobody announced for one of the recorded process: strace was attached to a running program. */
  #adopt(tid: number, time: number, line: number): void {
    this.#processOf.set(tid, this.processOf(this.#main));
    this.#warn(
      'unknown-thread',
      'threads whose creation is not in the file were taken for threads of the first process',
      line,
    );
    const op: Op = { call: 'clone', flags: CLONE_VM | CLONE_THREAD, child: tid };
    const at = { task: this.#main, time, line, file: this.#context.callsFile };
    this.#push({ ...momentItem(op, at), chosen: { handle: tid } }, time - JUST);
  }

  #push(item: Held, time: number): void {
    this.#held.push(item, time);
  }

  #warn(what: 'late' | 'window-full' | 'unknown-thread', text: string, line = 0): void {
    this.#context.warnings.add(what, text, this.#context.callsFile, line);
  }
}
