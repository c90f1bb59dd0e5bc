/**
 * One line of strace: who, when, and which kind of line; the call itself is left to straceArgs.ts.
 *
 *   [pid  17] 12:00:01.123456 (+ 0.000012) [   9] [00007f…] mmap(NULL, 4096, …) = 0x7f… <0.000010>
 *   TID SECONDS.NANOSECONDS call(args <unfinished ...>          TID SECONDS.NANOSECONDS <... call resumed>rest) = result <duration>
 *   --- SIGNAL {…} ---      --- stopped by SIGSTOP ---      +++ exited with N +++      +++ superseded by execve in pid N +++
 *
 * All that stands before the call depends on the options -f, -Y, -t, -tt, -ttt, -r, -n, -i and on where the output went; each part is
 * optional here and recognised by its form. One object is reused for all lines.
 */
import { isDigit, type Scanner } from './scanner.ts';

/** What a line is. `other`: nothing of strace's that we know, such as output of the program or rows of a summary. */
export type StraceLineKind =
  | 'call'
  | 'unfinished'
  | 'resumed'
  | 'signal'
  | 'stopped'
  | 'exited'
  | 'superseded'
  | 'note'
  | 'other';

/** How a line tells the time: not at all, since the epoch, since the line before (-r), or of the day. */
export type StraceClock = 'none' | 'epoch' | 'since-last' | 'day';

const BLANK = 32;
const DOT = 46;
const COLON = 58;
const LESS = 60;
const GREATER = 62;
const OPEN_BRACKET = 91;
const MINUS = 45;
const PLUS = 43;
const OPEN_PAREN = 40;
const NS_DIGITS = 9;
/** A time in seconds above this is since the epoch (1973 or later), below it since the line before. */
const SMALLEST_EPOCH = 100_000_000;

const UNFINISHED = '<unfinished ...>';

/** The parts of a line; valid until the next `read`. */
export class StraceLine {
  kind: StraceLineKind = 'other';
  /** The thread, 0 where the line does not say. */
  tid = 0;
  clock: StraceClock = 'none';
  seconds = 0;
  nanoseconds = 0;
  /** Name of the call, or of the signal. */
  name = '';
  /** Index of the first character after `(`, after `resumed>`, or after the name of a signal. */
  bodyFrom = 0;
  /** Index after the last character of the body: before ` <unfinished ...>`, otherwise the end of the line. */
  bodyTo = 0;
  /** The thread that a `superseded` or `pid changed` line names. */
  otherTid = 0;

  /** Reads the line the scanner has just been started on. */
  read(at: Scanner): void {
    this.kind = 'other';
    this.tid = 0;
    this.clock = 'none';
    this.otherTid = 0;
    this.readThread(at);
    at.blanks();
    this.readTime(at);
    while (at.peek() === OPEN_BRACKET) this.skipBracket(at);
    this.readBody(at);
  }

  /** Reads `[pid  17] ` or `17 ` or `17<name> `, if one of them is there. */
  private readThread(at: Scanner): void {
    if (at.accept('[pid ')) {
      at.blanks();
      this.tid = at.decimal('the pid');
      skipDecoration(at);
      at.expect(']', '"]" after the pid');
      return;
    }
    if (!isDigit(at.peek())) return;
    const from = at.pos;
    const number = at.decimal('a pid');
    if (at.peek() === LESS) skipDecoration(at);
    if (at.peek() === BLANK) this.tid = number;
    else at.pos = from;
  }

  /** Reads `1795171146.945064389 `, `0.000012 `, `12:00:01.123456 `, each perhaps followed by `(+ 0.000012) `. */
  private readTime(at: Scanner): void {
    if (!isDigit(at.peek())) return;
    const first = at.decimal('a time');
    this.nanoseconds = 0;
    if (at.peek() === DOT) {
      this.clock = first >= SMALLEST_EPOCH ? 'epoch' : 'since-last';
      this.seconds = first;
      this.readFraction(at);
    } else if (at.peek() === COLON) {
      at.pos++;
      const minutes = at.decimal('minutes');
      at.expect(':', '":" and seconds');
      this.clock = 'day';
      this.seconds = (first * 60 + minutes) * 60 + at.decimal('seconds');
      if (at.peek() === DOT) this.readFraction(at);
    } else if (first >= SMALLEST_EPOCH) {
      this.clock = 'epoch';
      this.seconds = first;
    }
    at.blanks();
    if (at.peek() === OPEN_PAREN) {
      at.pos = Math.max(at.pos, at.text.indexOf(')', at.pos) + 1);
      at.blanks();
    }
  }

  private readFraction(at: Scanner): void {
    const from = ++at.pos;
    const value = at.decimal('a fraction of a second');
    this.nanoseconds = Math.round(value * 10 ** (NS_DIGITS - (at.pos - from)));
  }

  /** Skips the call number of -n or the instruction pointer of -i. */
  private skipBracket(at: Scanner): void {
    const close = at.text.indexOf(']', at.pos);
    if (close < 0) at.missing('"]" after a call number or an instruction pointer');
    at.pos = close + 1;
    at.blanks();
  }

  private readBody(at: Scanner): void {
    const code = at.peek();
    this.bodyTo = at.text.length;
    if (isNameCode(code)) this.readCall(at);
    else if (code === LESS) this.readResumed(at);
    else if (code === MINUS) this.readSignal(at);
    else if (code === PLUS) this.readEnd(at);
    else if (code === GREATER) this.kind = 'note';
  }

  private readCall(at: Scanner): void {
    const from = at.pos;
    while (isNameCode(at.peek())) at.pos++;
    if (at.atEnd) at.missing('"(" and the arguments of a call');
    if (at.peek() !== OPEN_PAREN) {
      if (at.text.startsWith('strace: ', from)) this.kind = 'note';
      return;
    }
    this.name = at.text.slice(from, at.pos);
    this.bodyFrom = ++at.pos;
    this.kind = 'call';
    const length = at.text.length;
    if (at.text.charCodeAt(length - 1) !== GREATER || at.text.charCodeAt(length - 2) === MINUS) return;
    if (at.text.charCodeAt(length - 2) === DOT) this.readUnfinished(at);
  }

  private readUnfinished(at: Scanner): void {
    const open = at.text.lastIndexOf('<');
    const note = at.text.slice(open);
    const changed = /^<pid changed to (\d+) \.\.\.>$/.exec(note);
    if (note !== UNFINISHED && note !== '<detached ...>' && changed === null) return;
    this.kind = 'unfinished';
    if (changed !== null) this.otherTid = Number(changed[1]);
    this.bodyTo = open > 0 && at.text.charCodeAt(open - 1) === BLANK ? open - 1 : open;
  }

  private readResumed(at: Scanner): void {
    if (!at.accept('<... ')) return;
    this.name = at.word();
    if (!at.accept(' resumed>')) return;
    this.kind = 'resumed';
    this.bodyFrom = at.pos;
    if (at.text.endsWith('...>')) {
      // A call may be resumed and interrupted again before it ends (execve that changes the pid, ptrace stops).
      const open = at.text.lastIndexOf('<');
      if (open >= at.pos) this.readUnfinished(at);
    }
  }

  private readSignal(at: Scanner): void {
    if (!at.accept('--- ')) return;
    this.name = at.word();
    this.kind = this.name === 'stopped' ? 'stopped' : 'signal';
    this.bodyFrom = at.pos;
  }

  private readEnd(at: Scanner): void {
    if (!at.accept('+++ ')) return;
    if (!at.text.endsWith(' +++')) at.fail('the line ends too early', '" +++"', at.text.length);
    this.kind = at.accept('superseded by execve in pid ') ? 'superseded' : 'exited';
    if (this.kind === 'superseded') this.otherTid = at.decimal('the pid of the thread that called execve');
  }
}

const QUESTION = 63;
const LOWER_A = 97;
const LOWER_Z = 122;
const UPPER_A = 65;
const UPPER_Z = 90;
const UNDERSCORE = 95;

/** Letters, digits, `_`; and `?`, because strace calls a thread's call `???` when it can no longer see which it is. */
function isNameCode(code: number): boolean {
  if (code >= LOWER_A && code <= LOWER_Z) return true;
  return code === UNDERSCORE || isDigit(code) || (code >= UPPER_A && code <= UPPER_Z) || code === QUESTION;
}

/** Skips `<name>` behind a pid. */
function skipDecoration(at: Scanner): void {
  if (at.peek() !== LESS) return;
  const close = at.text.indexOf('>', at.pos);
  if (close < 0) at.missing('">" after the name of a process');
  at.pos = close + 1;
}
