/**
 * Reads strace text and puts the halves of interrupted lines together: from lines to whole calls.
 *
 * What comes out, in the order of the file: `open` when a call is entered that another line interrupts, `call` when a call is whole,
 * `signal`, `exit` when a thread ends, `renamed` when one takes the number of its process in execve, and `seen` for everything else a
 * thread does (so that its first sign of life is known).
 *
 * Time is ns since the first line, or, where nobody needs a clock (a bare strace), the number of the line: within one file the order of
 * the lines is the order in which strace saw the threads stop, whatever its clock says.
 * Held in memory: one unfinished line per thread. Bad lines are UsageErrors; in a lenient file (output on a terminal, where the
 * program's own words stand between) lines that are not strace's are counted instead. A last line that breaks off is a warning.
 */
import { UsageError } from '../base/assert.ts';
import type { Addr } from '../base/units.ts';
import type { Chosen, Op, Recorded } from '../machine/op.ts';
import { isHarmlessCall } from './harmlessCalls.ts';
import { Scanner } from './scanner.ts';
import { CallText } from './straceArgs.ts';
import { CALL_RULES, CLONE3_UNSEEN, callName, chosenOf, UNKNOWN_PATH } from './straceCalls.ts';
import { StraceClock } from './straceClock.ts';
import { StraceLine } from './straceLine.ts';
import { StraceThreads } from './straceThreads.ts';
import { uffdAnswer } from './straceUffd.ts';
import type { Warnings } from './warnings.ts';

/** What a thread does, as far as a replay is concerned. */
export type StraceEvent =
  | {
      readonly kind: 'open';
      readonly tid: number;
      readonly time: number;
      readonly line: number;
      readonly name: string;
      readonly op: Op | null;
    }
  | StraceCall
  | {
      readonly kind: 'signal';
      readonly tid: number;
      readonly time: number;
      readonly line: number;
      readonly signal: string;
      readonly code: string;
      readonly addr: Addr;
    }
  | { readonly kind: 'exit'; readonly tid: number; readonly time: number; readonly line: number }
  | { readonly kind: 'renamed'; readonly tid: number; readonly time: number; readonly from: number }
  | { readonly kind: 'seen'; readonly tid: number; readonly time: number };

/** A whole call. */
export interface StraceCall {
  readonly kind: 'call';
  readonly tid: number;
  readonly entry: number;
  readonly exit: number;
  /** The line of its entry. */
  readonly line: number;
  /** An `open` event came before it. */
  readonly wasOpen: boolean;
  readonly op: Op;
  readonly chosen: Chosen;
  readonly recorded: Recorded;
}

/** How a file is to be read. */
export interface StraceOptions {
  /** Name in messages. */
  readonly file: string;
  /** `ns`: times are compared with those of other files; `lines`: only the order in the file counts. */
  readonly clock: 'ns' | 'lines';
  /** Lines that are not strace's are an error, not a warning. */
  readonly strict: boolean;
  readonly warnings: Warnings;
}

/** The first half of a call that another line interrupted. */
interface Unfinished {
  readonly name: string;
  readonly text: string;
  readonly bodyFrom: number;
  readonly line: number;
  readonly time: number;
}

const ATTACHED = /^(.*?)strace: Process (\d+) attached$/;
/** Codes of signals where strace prints numbers. */
const CODES_BY_NUMBER: ReadonlyMap<string, string> = new Map([
  ['SIGSEGV 0x1', 'SEGV_MAPERR'],
  ['SIGSEGV 0x2', 'SEGV_ACCERR'],
  ['SIGBUS 0x2', 'BUS_ADRERR'],
]);
const EARLY_NAMES: ReadonlySet<string> = new Set(['munmap', 'mremap']);

/** Pulls events out of the lines of one file. */
export class StraceReader {
  readonly #lines: Iterator<string>;
  readonly #options: StraceOptions;
  readonly #at: Scanner;
  readonly #line = new StraceLine();
  readonly #call: CallText;
  readonly #unfinished = new Map<number, Unfinished>();
  readonly #skipped = new Map<string, number>();
  readonly #pidfds = new Map<number, number>();
  readonly #threads = new StraceThreads();
  readonly #clock = new StraceClock();
  #next: IteratorResult<string>;
  #lineNr = 0;
  #time = 0;
  #sawDuration = false;
  #held = '';
  constructor(lines: Iterable<string>, options: StraceOptions) {
    this.#options = options;
    this.#at = new Scanner(options.file);
    this.#call = new CallText(this.#at);
    this.#lines = lines[Symbol.iterator]();
    this.#next = this.#lines.next();
  }

  /** How many lines have been read. */
  get nrLines(): number {
    return this.#lineNr;
  }

  /** Tells whether lines of more than one thread have been read. */
  get hasOthers(): boolean {
    return this.#threads.hasOthers;
  }

  /** Calls passed over because they change nothing, by name. */
  get skipped(): ReadonlyMap<string, number> {
    return this.#skipped;
  }

  /** Returns the next event, or null at the end of the file. */
  next(): StraceEvent | null {
    while (this.#next.done !== true) {
      const text = this.#next.value;
      this.#next = this.#lines.next();
      this.#lineNr++;
      const event = this.#next.done === true ? this.#lastLine(text) : this.#readLine(text);
      if (event !== null) return event;
    }
    this.#reportUnfinished();
    return null;
  }

  #lastLine(text: string): StraceEvent | null {
    try {
      return this.#readLine(text);
    } catch (error) {
      if (!(error instanceof UsageError) || !breaksOff(error, this.#at.text)) throw error;
      this.#warn('truncated', 'the last line breaks off and was not used');
      return null;
    }
  }

  #readLine(physical: string): StraceEvent | null {
    const text = this.#joined(physical);
    if (text === null) return null;
    this.#at.start(text, this.#lineNr);
    if (!this.#readPrefix()) return null;
    const line = this.#line;
    if (line.kind === 'note') return null;
    if (line.kind === 'other') return this.#notStrace(text);
    this.#time = this.#options.clock === 'lines' ? this.#lineNr : this.#clock.timeOf(line, this.#at);
    const tid = this.#threads.taskOf(line.tid);
    switch (line.kind) {
      case 'call':
        return this.#whole(tid, this.#lineNr, this.#time, false);
      case 'unfinished':
        return this.#begin(tid);
      case 'resumed':
        return this.#resume(tid);
      case 'signal':
        return this.#signal(tid);
      case 'exited':
        return this.#exit(tid);
      case 'superseded':
        this.#moveUnfinished(line.otherTid, tid);
        this.#threads.remove(line.otherTid);
        return { kind: 'renamed', tid, time: this.#time, from: line.otherTid };
      case 'stopped':
        return { kind: 'seen', tid, time: this.#time };
    }
  }

  /** Joins a call that strace's own message cut in two on a terminal: `clone(…strace: Process 7 attached` and the rest below it. */
  #joined(physical: string): string | null {
    const text = this.#held + physical;
    this.#held = '';
    const attached = physical.endsWith(' attached') ? ATTACHED.exec(text) : null;
    if (attached === null) return text;
    this.#threads.attach(Number(attached[2]));
    this.#held = attached[1] ?? '';
    return null;
  }

  /** Reads what stands before the call; false: not a line of strace, and that is allowed. */
  #readPrefix(): boolean {
    if (this.#options.strict) {
      this.#line.read(this.#at);
      return true;
    }
    try {
      this.#line.read(this.#at);
      return true;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      if (this.#next.done === true && breaksOff(error, this.#at.text)) throw error;
      this.#notStrace(this.#at.text);
      return false;
    }
  }

  #notStrace(text: string): null {
    if (this.#options.strict) {
      this.#at.fail(
        `"${text.slice(0, 40)}" is no line of strace`,
        'TID TIME call(arguments) = result <duration>',
        0,
      );
    }
    this.#warn('not-strace', 'lines that are not lines of strace were passed over');
    return null;
  }

  #begin(tid: number): StraceEvent {
    const line = this.#line;
    const name = callName(line.name);
    const owner = line.otherTid === 0 ? tid : this.#threads.taskOf(line.otherTid);
    this.#unfinished.set(owner, {
      name,
      text: this.#at.text.slice(0, line.bodyTo),
      bodyFrom: line.bodyFrom,
      line: this.#lineNr,
      time: this.#time,
    });
    if (!CALL_RULES.has(name)) return { kind: 'seen', tid, time: this.#time };
    let op: Op | null = null;
    if (EARLY_NAMES.has(name)) {
      this.#call.readArgs(name, line.bodyFrom, line.bodyTo);
      const decoded = CALL_RULES.get(name)?.decode(this.#call) ?? null;
      if (decoded !== null && typeof decoded !== 'string') op = decoded;
    }
    return { kind: 'open', tid: owner, time: this.#time, line: this.#lineNr, name, op };
  }

  #resume(tid: number): StraceEvent | null {
    const line = this.#line;
    const name = callName(line.name);
    const first = this.#unfinished.get(tid);
    if (first === undefined || first.name !== name) {
      this.#warn('resumed-without-call', 'calls were resumed whose beginning is not in the file');
      return { kind: 'seen', tid, time: this.#time };
    }
    const rest = this.#at.text.slice(line.bodyFrom, line.bodyTo);
    if (line.kind !== 'resumed') return null;
    this.#unfinished.delete(tid);
    this.#at.start(first.text + rest, this.#lineNr);
    line.name = first.name;
    line.bodyFrom = first.bodyFrom;
    return this.#whole(tid, first.line, first.time, true);
  }

  /** Decodes the call whose text is in the scanner. */
  #whole(tid: number, lineNr: number, entry: number, wasOpen: boolean): StraceEvent | null {
    const name = callName(this.#line.name);
    const rule = CALL_RULES.get(name);
    if (rule === undefined) return this.#passOver(tid, name);
    const call = this.#call;
    call.tid = tid;
    call.read(name, this.#line.bodyFrom);
    if (call.durationNs >= 0) this.#sawDuration = true;
    else if (this.#sawDuration && this.#next.done === true && call.result !== 'none') {
      this.#at.fail('the last line has no duration', '<duration>', this.#at.text.length);
    }
    const exit =
      wasOpen || this.#options.clock === 'lines' ? this.#time : entry + Math.max(0, call.durationNs);
    const op = call.result === 'value' || rule.evenFailed ? this.#decoded(rule.decode(call), name) : null;
    if (op === null || (call.result === 'none' && op.call !== 'execve')) {
      if (op !== null)
        this.#warn('unfinished-call', 'calls did not return; whether they had an effect is not known');
      return { kind: 'seen', tid, time: this.#time };
    }
    if (op.call === 'clone') this.#threads.add(op.child);
    if (op.call === 'clone' && op.flags === CLONE3_UNSEEN && name === 'clone3' && !call.isOpened(0)) {
      this.#warn('clone-flags-unknown', 'clone3 calls without their flags are taken for new threads');
    }
    return {
      kind: 'call',
      tid,
      entry,
      exit,
      line: lineNr,
      wasOpen,
      op,
      chosen: chosenOf(op, call),
      recorded: uffdAnswer(op, call),
    };
  }

  #decoded(decoded: Op | string | null, name: string): Op | null {
    if (typeof decoded === 'string') {
      this.#warn('not-followed', `${name}: ${decoded}`);
      return null;
    }
    if (decoded === null) {
      this.#count(name);
      return null;
    }
    if ((decoded.call === 'open' || decoded.call === 'execve') && decoded.path === UNKNOWN_PATH) {
      this.#warn('path-unknown', 'paths were printed as pointers; record with strace -y to see file names');
    }
    if (decoded.call !== 'process_madvise' || decoded.target === 'self') return decoded;
    // -10000 and below stand for "myself" since 6.14.
    const target = decoded.target <= -10_000 ? 'self' : (this.#pidfds.get(decoded.target) ?? 'self');
    return { ...decoded, target };
  }

  #passOver(tid: number, name: string): StraceEvent {
    if (!isHarmlessCall(name)) this.#warn('unknown-call', `${name} is not known here and was passed over`);
    else this.#count(name);
    if (name === 'pidfd_open') this.#notePidfd(name);
    return { kind: 'seen', tid, time: this.#time };
  }

  #notePidfd(name: string): void {
    this.#call.read(name, this.#line.bodyFrom);
    if (this.#call.result === 'value') this.#pidfds.set(this.#call.value, this.#call.int(0));
  }

  #count(name: string): void {
    this.#skipped.set(name, (this.#skipped.get(name) ?? 0) + 1);
  }

  #signal(tid: number): StraceEvent {
    const { name } = this.#line;
    const address = /si_code=(\w+)(?: \/\* (\w+) \*\/)?, si_addr=(NULL|0x[0-9a-f]+)/.exec(this.#at.text);
    if (address === null || (name !== 'SIGSEGV' && name !== 'SIGBUS'))
      return { kind: 'seen', tid, time: this.#time };
    const printed = address[2] ?? address[1] ?? '';
    const code = CODES_BY_NUMBER.get(`${name} ${printed}`) ?? printed;
    const addr = address[3] === 'NULL' ? 0 : Number(address[3]);
    return {
      kind: 'signal',
      tid,
      time: this.#time,
      line: this.#lineNr,
      signal: name,
      code,
      addr,
    };
  }

  #exit(tid: number): StraceEvent {
    const open = this.#unfinished.get(tid);
    this.#unfinished.delete(tid);
    if (open !== undefined && CALL_RULES.has(open.name)) {
      this.#warn('unfinished-call', 'calls did not return; whether they had an effect is not known');
    }
    this.#threads.remove(tid);
    return { kind: 'exit', tid, time: this.#time, line: this.#lineNr };
  }

  #moveUnfinished(from: number, to: number): void {
    const open = this.#unfinished.get(from);
    if (open === undefined) return;
    this.#unfinished.delete(from);
    this.#unfinished.set(to, open);
  }

  #reportUnfinished(): void {
    for (const open of this.#unfinished.values()) {
      if (!CALL_RULES.has(open.name)) continue;
      const text = 'calls did not return before the end of the file; whether they had an effect is not known';
      this.#options.warnings.add('unfinished-call', text, this.#options.file, open.line);
    }
    this.#unfinished.clear();
  }

  #warn(what: Parameters<Warnings['add']>[0], text: string): void {
    this.#options.warnings.add(what, text, this.#options.file, this.#lineNr);
  }
}

/** Tells whether an error is that the text ends too early. */
const breaksOff = (error: UsageError, text: string): boolean => (error.place?.column ?? 0) > text.length;
