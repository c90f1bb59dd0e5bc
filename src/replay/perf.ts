/**
 * `perf script` lines of the page-fault tracepoints: which page was touched, how, and by whom.
 *
 *   16605/16605 1795171146.945064389: exceptions:page_fault_user: address=0x7f40… ip=0x7f40… error_code=0x14       (a recording)
 *   redis-server 16605 [001]  2560.342517: exceptions:page_fault_user: address=0x7f40… ip=0x7f40… error_code=0x14  (perf's default)
 *
 * error_code: 0x1 protection fault, 0x2 write, 0x4 user mode, 0x10 instruction fetch.
 */

import type { Addr } from '../base/units.ts';
import type { Access } from '../machine/op.ts';
import type { RawLines } from './rawLines.ts';
import { RecordedFault } from './recordedFault.ts';
import { isDigit, Scanner } from './scanner.ts';

/** One page fault; the reader reuses the object. */
export interface Fault {
  pid: number;
  tid: number;
  /** ns since the base of the reader. */
  time: number;
  addr: Addr;
  access: Access;
  by: 'user' | 'kernel';
  /** The bits the processor told, of which `access` is made. */
  errorCode: number;
  line: number;
}

/** Where faults come from, in the order of their time. */
export interface FaultSource {
  /** How many lines have been read. */
  readonly nrLines: number;
  /** Returns the next fault, the same object each time, or null at the end. */
  next(): Fault | null;
}

const WRITE = 0x2;
const FETCH = 0x10;
const BLANK = 32;
const DOT = 46;
const SLASH = 47;
const NS_DIGITS = 9;
const EVENT = 'page_fault_';

/** A fault that nobody took yet. */
export const NO_FAULT: Fault = {
  pid: 0,
  tid: 0,
  time: 0,
  addr: 0,
  access: 'read',
  by: 'user',
  errorCode: 0,
  line: 0,
};

/** Returns how memory was accessed, from the bits of an error code. */
export const accessOf = (errorCode: number): Access =>
  (errorCode & FETCH) !== 0 ? 'exec' : (errorCode & WRITE) !== 0 ? 'write' : 'read';

/** Reads the faults of one file. */
export class PerfReader implements FaultSource {
  readonly #lines: RawLines;
  readonly #at: Scanner;
  readonly #fault: Fault = { ...NO_FAULT };
  readonly #recorded = new RecordedFault();
  #baseSeconds: number;
  #lineNr = 0;

  /**
   * @param file         name in messages
   * @param baseSeconds  seconds that are time 0; -1: those of the first line
   */
  constructor(lines: RawLines, file: string, baseSeconds: number) {
    this.#lines = lines;
    this.#at = new Scanner(file);
    this.#baseSeconds = baseSeconds;
  }

  /** How many lines have been read. */
  get nrLines(): number {
    return this.#lineNr;
  }

  /** Returns the next fault (the same object each time), or null at the end. Blank lines and comments are passed over. */
  next(): Fault | null {
    while (this.#lines.next()) {
      this.#lineNr++;
      if (this.#readRecorded()) return this.#fault;
      const text = this.#lines.text();
      if (text === '' || text.startsWith('#')) continue;
      this.#at.start(text, this.#lineNr);
      this.#read();
      return this.#fault;
    }
    return null;
  }

  /** Reads the form that most lines have; false: it is another one. */
  #readRecorded(): boolean {
    const { bytes, from: start, to } = this.#lines;
    const from = this.#recorded;
    if (!from.read(bytes, start, to)) return false;
    const fault = this.#fault;
    fault.line = this.#lineNr;
    fault.pid = from.pid;
    fault.tid = from.tid;
    if (this.#baseSeconds < 0) this.#baseSeconds = from.seconds;
    fault.time = (from.seconds - this.#baseSeconds) * 1e9 + from.nanoseconds;
    fault.by = from.isUser ? 'user' : 'kernel';
    fault.addr = from.addr;
    fault.errorCode = from.errorCode;
    fault.access = accessOf(from.errorCode);
    return true;
  }

  #read(): void {
    const at = this.#at;
    const fault = this.#fault;
    fault.line = this.#lineNr;
    at.blanks();
    this.#readThread();
    at.blanks();
    this.#readTime();
    at.blanks();
    at.accept('exceptions:');
    at.expect(EVENT, 'exceptions:page_fault_user or exceptions:page_fault_kernel');
    if (at.accept('user:')) fault.by = 'user';
    else {
      at.expect('kernel:', 'user: or kernel: after page_fault_');
      fault.by = 'kernel';
    }
    at.blanks();
    at.expect('address=', 'address=0x…');
    fault.addr = this.#hexNumber();
    at.expect(' ip=', ' ip=…');
    const code = at.text.indexOf(' error_code=', at.pos);
    if (code < 0) at.missing('error_code=0x…');
    at.pos = code + ' error_code='.length;
    fault.errorCode = this.#hexNumber();
    at.finish('the end of the line after error_code');
    fault.access = accessOf(fault.errorCode);
  }

  #hexNumber(): number {
    this.#at.accept('0x');
    return this.#at.hex('a number in hex');
  }

  /** Reads `PID/TID`, or `comm PID/TID [cpu]`, `comm TID [cpu]`; a name of a command may hold blanks. */
  #readThread(): void {
    const at: Scanner = this.#at;
    if (isDigit(at.peek())) {
      const from = at.pos;
      this.#fault.pid = at.decimal('the pid');
      this.#fault.tid = this.#fault.pid;
      if (at.peek() === SLASH) {
        at.pos++;
        this.#fault.tid = at.decimal('the thread id after "/"');
        if (at.peek() === BLANK) return;
      }
      if (at.peek() === BLANK && this.#isBeforeTime()) return;
      at.pos = from;
    }
    const match = /^(.*?)\s+(\d+)(?:\/(\d+))?\s+(?:\[\d+\]\s+)?(?=\d+\.\d+:)/.exec(at.text);
    if (match === null)
      at.missing('PID/TID SECONDS.NANOSECONDS:, or COMMAND PID/TID [CPU] SECONDS.NANOSECONDS:');
    this.#fault.pid = Number(match[2]);
    this.#fault.tid = Number(match[3] ?? match[2]);
    at.pos = match[0].length;
  }

  /** A number may also be the name of a command: what follows a thread is a time. */
  #isBeforeTime(): boolean {
    const { text } = this.#at;
    let i = this.#at.pos;
    while (text.charCodeAt(i) === BLANK) i++;
    while (isDigit(text.charCodeAt(i))) i++;
    return text.charCodeAt(i) === DOT;
  }

  #readTime(): void {
    const at = this.#at;
    const seconds = at.decimal('the time in seconds');
    at.expect('.', '"." and a fraction of a second');
    const from = at.pos;
    const fraction = at.decimal('a fraction of a second');
    const digits = at.pos - from;
    at.expect(':', '":" after the time');
    if (this.#baseSeconds < 0) this.#baseSeconds = seconds;
    const nanoseconds = digits === NS_DIGITS ? fraction : Math.round(fraction * 10 ** (NS_DIGITS - digits));
    this.#fault.time = (seconds - this.#baseSeconds) * 1e9 + nanoseconds;
  }
}
