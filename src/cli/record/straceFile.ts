/**
 * The file strace is writing, read while it grows.
 *
 * Lines are looked at once, as latin1 text: one character is one byte, so offsets in the text are offsets in the file.
 * Only complete lines count; what is behind the last line end waits for the next call of `follow`.
 */
import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK = 1 << 20;

/** An execve that strace holds, or held, at its return. */
export interface HeldExecve {
  /** Its line, as it is to stand in a recording. */
  readonly line: string;
  /** Byte offset behind it. */
  readonly end: number;
}

/** What has been seen so far of a growing strace file. */
export class StraceFile {
  #fd: number;
  readonly #chunk = Buffer.allocUnsafe(CHUNK);
  #rest = '';
  #end = 0;
  #pid = 0;
  #nrLines = 0;
  #held: HeldExecve | null = null;
  #execBegun = '';
  #execFailure = '';
  #fate = '';
  #stopped = new Set<number>();
  readonly #stoppedLast = new Set<number>();

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
  }

  /** The recorded process: the one strace started; 0 before its first line. */
  get pid(): number {
    return this.#pid;
  }
  /** Byte offset behind the last complete line. */
  get end(): number {
    return this.#end;
  }
  get nrLines(): number {
    return this.#nrLines;
  }
  /** The last execve of the recorded process that was held and succeeded, or null: the recording begins with it. */
  get held(): HeldExecve | null {
    return this.#held;
  }
  /** What the last held execve returned if it failed (`-1 ENOEXEC (Exec format error)`), or the empty string. */
  get execFailure(): string {
    return this.#execFailure;
  }
  /** How the recorded process ended (`exited with 0`, `killed by SIGSEGV`), or the empty string. */
  get fate(): string {
    return this.#fate;
  }
  /** Threads that strace has seen to stop since `forgetStops`. */
  get stopped(): ReadonlySet<number> {
    return this.#stopped;
  }

  /** Threads whose last line says that they have stopped, by whatever signal and whenever. */
  get stoppedLast(): ReadonlySet<number> {
    return this.#stoppedLast;
  }

  /** Empties `stopped`: from now on only new stops count. */
  forgetStops(): void {
    this.#stopped = new Set();
  }

  /** Reads what strace has added. */
  follow(): void {
    for (;;) {
      const got = readSync(this.#fd, this.#chunk, 0, CHUNK, this.#end + this.#rest.length);
      if (got === 0) return;
      const text = this.#rest + this.#chunk.toString('latin1', 0, got);
      let at = 0;
      for (let eol = text.indexOf('\n'); eol >= 0; eol = text.indexOf('\n', at)) {
        this.#line(text.slice(at, eol), this.#end + at);
        at = eol + 1;
      }
      this.#rest = text.slice(at);
      this.#end += at;
    }
  }

  /** Closes the file; a second time does nothing. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #line(line: string, offset: number): void {
    this.#nrLines++;
    const tid = Number.parseInt(line, 10);
    if (this.#pid === 0) this.#pid = tid;
    this.#stoppedLast.delete(tid);
    if (line.endsWith(' ---') && line.includes('--- stopped by SIG')) {
      this.#stoppedLast.add(tid);
      if (line.endsWith('by SIGSTOP ---')) this.#stopped.add(tid);
    }
    if (tid !== this.#pid) return;
    const fate = /\+\+\+ (.*) \+\+\+$/.exec(line);
    if (fate !== null) this.#fate = fate[1]!;
    this.#execve(line, offset);
  }

  /** Another thread's line may have cut the one of the execve in two: the halves are put together again. */
  #execve(line: string, offset: number): void {
    const isResumed = line.includes(' <... execve resumed>');
    if (!isResumed && !line.includes(' execve(')) return;
    if (line.endsWith(' <unfinished ...>')) {
      this.#execBegun = line.slice(0, -' <unfinished ...>'.length);
      return;
    }
    if (!line.includes(' (DELAYED)')) return;
    const whole = isResumed
      ? this.#execBegun + line.slice(line.indexOf('resumed>') + 'resumed>'.length)
      : line;
    const result = whole.slice(whole.lastIndexOf(') = ') + ') = '.length);
    if (result.startsWith('0 ')) {
      this.#held = { line: whole.replace(' (DELAYED)', ''), end: offset + line.length + 1 };
    } else {
      this.#execFailure = result.slice(0, result.indexOf(' (DELAYED)'));
    }
  }
}

/**
 * Makes the lines of a recording out of strace's: the marks of delayed calls go away, and so do the entries of exit_group
 * that were still held at the end (`heldTids`): those calls have not happened.
 */
export function cleanLine(line: string, heldTids: ReadonlySet<number>): string | null {
  if (
    line.endsWith('<unfinished ...>') &&
    line.includes(' exit_group(') &&
    heldTids.has(Number.parseInt(line, 10))
  )
    return null;
  return line.includes(' (DELAYED)') ? line.replace(' (DELAYED)', '') : line;
}
