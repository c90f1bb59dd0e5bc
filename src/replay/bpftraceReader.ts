/**
 * Reads what oracle/record.bt prints (docs/bpftrace-format.md) into events in the order of their time.
 *
 *   call ENTRY RETURN PID TID NAME ARGUMENTS... = RESULT [file DEVICE INODE NAME]        fault TIME PID TID user ADDRESS IP ERROR_CODE
 *   fork TIME PID TID CHILD FLAGS      exec TIME PID OLD_TID PATH      exit TIME PID TID LEFT      snapshot start|end|done TIME PID
 *
 * Lines come roughly in time order and a call is printed when it returns, so the last SLACK moments are held back and sorted.
 * Faults the kernel takes while it loads a new program are printed before `exec` and belong to the new memory: they are taken out.
 */
import { errnoName } from '../abi/errno.ts';
import { CLONE_THREAD } from '../abi/mman.ts';
import { UsageError } from '../base/assert.ts';
import type { Addr } from '../base/units.ts';
import type { Chosen, Op, Recorded } from '../machine/op.ts';
import { bpftraceOp } from './bpftraceCalls.ts';
import { choicesIn } from './choices.ts';
import { type MapsLine, scanMapsLine, VSYSCALL } from './maps.ts';
import type { Fault } from './perf.ts';
import { ownCopy, Scanner } from './scanner.ts';
import { type ProcStat, scanStat } from './stat.ts';
import type { StraceCall, StraceEvent } from './straceReader.ts';
import { TimeHeap } from './timeHeap.ts';
import type { EventSource, FaultEvent } from './timeline.ts';
import type { Warnings } from './warnings.ts';

/** How the line begins that names the format. */
export const BPFTRACE_HEADER = '# faultline-bpftrace ';
const VERSION = 1;
/** So many moments are held back until their order is certain. */
const SLACK = 1 << 16;
const WRITE = 0x2;
const FETCH = 0x10;
const MAX_ERRNO = 4095;

/** What a snapshot showed. */
export interface BpftraceSnapshot {
  readonly time: number;
  readonly maps: readonly MapsLine[];
  readonly stat: ProcStat | null;
}

type Event = StraceEvent | FaultEvent;

/** A process that has called execve keeps its number; files are known by device and inode. */
export class BpftraceReader implements EventSource {
  readonly #lines: Iterator<string>;
  readonly #at: Scanner;
  readonly #warnings: Warnings;
  readonly #paths: ReadonlyMap<string, string>;
  readonly #sorted = new TimeHeap<Event | null>();
  readonly #fileOfFd = new Map<string, string>();
  /** Threads of processes whose memory was never seen. */
  readonly #unknown = new Set<number>();
  #lineNr = 0;
  #base = -1;
  #isOver = false;
  /** The process that was asked for. */
  pid = 0;
  start: BpftraceSnapshot | null = null;
  end: BpftraceSnapshot | null = null;

  /** @param paths  full paths by `DEVICE INODE`, see filePaths */
  constructor(lines: Iterable<string>, file: string, paths: ReadonlyMap<string, string>, warnings: Warnings) {
    this.#lines = lines[Symbol.iterator]();
    this.#at = new Scanner(file);
    this.#paths = paths;
    this.#warnings = warnings;
  }

  /** How many lines have been read. */
  get nrLines(): number {
    return this.#lineNr;
  }

  /** Reads the header and everything up to the end of the first snapshot (or of the file, if there is none). */
  readStart(): void {
    while (this.pid === 0) {
      if (!this.#nextLine())
        this.#at.fail('there is no line that names the format', `${BPFTRACE_HEADER}${VERSION} pid PID`, 0);
      if (this.#at.text.startsWith(BPFTRACE_HEADER)) this.#header();
    }
    while (this.start === null && this.#nextLine()) this.#line();
  }

  /** Returns the next event, null at the end. */
  next(): Event | null {
    for (;;) {
      while (!this.#isOver && this.#sorted.size < SLACK) {
        if (this.#nextLine()) this.#line();
        else this.#isOver = true;
      }
      const time = this.#sorted.firstTime;
      if (this.#sorted.size === 0) return null;
      const event = this.#sorted.pop();
      if (event !== null && this.#isWanted(event, time)) return event;
    }
  }

  /** What happened before the start is in its snapshot; a child made before it has a copy of something nobody saw. */
  #isWanted(event: Event, time: number): boolean {
    const tid = event.kind === 'fault' ? event.fault.tid : event.tid;
    const isBefore = this.start !== null && time < this.start.time;
    if (event.kind === 'call' && event.op.call === 'clone' && (isBefore || this.#unknown.has(tid))) {
      const isThread = (event.op.flags & CLONE_THREAD) !== 0;
      if (!isThread || this.#unknown.has(tid)) this.#unknown.add(event.op.child);
    }
    if (this.#unknown.has(tid)) {
      this.#warnings.add(
        'unknown-thread',
        'what children did that were made before the start snapshot was left out',
        this.#at.file,
        0,
      );
      return false;
    }
    return !isBefore && (this.end === null || time <= this.end.time);
  }

  #nextLine(): boolean {
    const result = this.#lines.next();
    if (result.done === true) return false;
    this.#at.start(result.value, ++this.#lineNr);
    return true;
  }

  #header(): void {
    const at = this.#at;
    at.expect(BPFTRACE_HEADER, BPFTRACE_HEADER);
    const from = at.pos;
    const version = at.decimal('the version of the format');
    if (version !== VERSION) at.fail(`this is version ${version} of the format`, `version ${VERSION}`, from);
    at.expect(' pid ', '" pid " and the process');
    this.pid = at.decimal('the process');
  }

  #line(): void {
    const at = this.#at;
    if (at.atEnd) return;
    if (at.accept('call ')) this.#call();
    else if (at.accept('fault ')) this.#fault();
    else if (at.accept('fork ')) this.#fork();
    else if (at.accept('exec ')) this.#exec();
    else if (at.accept('exit ')) this.#exit();
    else if (at.accept('snapshot ')) this.#snapshot();
    else if (at.accept('Lost '))
      this.#warnings.add('events-lost', 'bpftrace lost events: the recording has holes', at.file, at.line);
    else if (at.accept('error:'))
      throw new UsageError(`the recorder said:${at.rest()}`, 'a recording of record.bt PID', {
        file: at.file,
        line: at.line,
        column: 1,
      });
    else at.missing('call, fault, fork, exec, exit, snapshot or Lost');
  }

  /** Reads a time in ns and a blank; returns it relative to the first. */
  #time(): number {
    const time = this.#at.decimal('a time in ns');
    this.#at.expect(' ', 'a blank after the time');
    if (this.#base < 0) this.#base = time;
    return time - this.#base;
  }

  #number(wanted: string): number {
    const value = this.#at.number(wanted);
    if (!this.#at.atEnd) this.#at.expect(' ', `a blank after ${wanted}`);
    return value;
  }

  #call(): void {
    const at: Scanner = this.#at;
    const entry = this.#time();
    const exit = this.#time();
    if (exit < entry) at.fail('the call returns before its entry', 'ENTRY, then RETURN', 'call '.length);
    const pid = this.#number('the process');
    const tid = this.#number('the thread');
    const nameAt = at.pos;
    const name = at.word();
    const args: number[] = [];
    at.expect(' ', 'a blank, then arguments or =');
    while (!at.accept('= ')) args.push(this.#number(`an argument of ${name}, or "= "`));
    const result = at.number(`the result of ${name}`);
    const op = bpftraceOp(name, args);
    if (op === null)
      at.fail(
        `${name} with ${args.length} arguments is not known`,
        'a call of docs/bpftrace-format.md',
        nameAt,
      );
    const isError = result < 0 && result >= -MAX_ERRNO && op.call !== 'brk';
    const recorded: Recorded = isError
      ? { kind: 'errno', errno: errnoName(-result) }
      : { kind: 'value', value: result };
    const fdPath = this.#mappedFile();
    const chosen = choicesIn(op, { value: isError ? null : result, fdPath, ring: null });
    if (op.call === 'mmap' && fdPath !== null) this.#forgetOldFile({ pid, tid, fd: op.fd, fdPath, entry });
    this.#add({ kind: 'open', tid, time: entry, line: at.line, name, op }, entry);
    this.#add({ kind: 'call', tid, entry, exit, line: at.line, wasOpen: true, op, chosen, recorded }, exit);
  }

  /** Reads ` file DEVICE INODE NAME` into a path, if it is there. */
  #mappedFile(): string | null {
    const at = this.#at;
    if (at.atEnd) return null;
    at.expect(' file ', 'the end of the line, or " file DEVICE INODE NAME"');
    const device = at.word();
    at.expect(' ', 'a blank and the inode');
    const inode = at.decimal('the inode');
    at.accept(' ');
    const name = ownCopy(at.rest());
    return this.#paths.get(`${device} ${inode}`) ?? (name.startsWith('memfd:') ? `/${name} (deleted)` : name);
  }

  /** Opens and closes are not recorded: a descriptor that shows another file than before was closed in between. */
  #forgetOldFile(map: { pid: number; tid: number; fd: number; fdPath: string; entry: number }): void {
    const { pid, tid, fd, fdPath, entry } = map;
    const key = `${pid} ${fd}`;
    const before = this.#fileOfFd.get(key);
    this.#fileOfFd.set(key, fdPath);
    if (before === undefined || before === fdPath) return;
    this.#addCall(tid, entry, { call: 'close', fd }, 0, {});
  }

  #fault(): void {
    const at = this.#at;
    const time = this.#time();
    const pid = this.#number('the process');
    const tid = this.#number('the thread');
    const by = at.accept('user ') ? 'user' : 'kernel';
    if (by === 'kernel') at.expect('kernel ', '"user " or "kernel "');
    const addr: Addr = this.#number('the address');
    this.#number('the instruction');
    const bits = this.#number('the error code');
    const access = (bits & FETCH) !== 0 ? 'exec' : (bits & WRITE) !== 0 ? 'write' : 'read';
    const fault: Fault = { pid, tid, time, addr, access, by, errorCode: bits, line: at.line };
    this.#add({ kind: 'fault', time, fault }, time);
  }

  #fork(): void {
    const time = this.#time();
    this.#number('the process');
    const tid = this.#number('the thread');
    const child = this.#number('the child');
    const flags = this.#number('the flags');
    this.#addCall(tid, time, { call: 'clone', flags, child }, child, { handle: child });
  }

  #exec(): void {
    const time = this.#time();
    const pid = this.#number('the process');
    const from = this.#number('the thread that called execve');
    this.#dropLoading(from, time);
    if (from !== pid) this.#add({ kind: 'renamed', tid: pid, time, from }, time);
    this.#addCall(pid, time, { call: 'execve', path: ownCopy(this.#at.rest()) }, 0, {});
  }

  /** Takes out the faults the kernel took for thread `tid` since its last user fault or call. */
  #dropLoading(tid: number, before: number): void {
    let since = Number.NEGATIVE_INFINITY;
    const items = this.#sorted.items();
    for (const event of items) {
      if (event === null || event.kind === 'renamed' || event.kind === 'seen') continue;
      const time = event.kind === 'call' ? event.exit : event.time;
      const isTheirs =
        event.kind === 'fault' ? event.fault.tid === tid && event.fault.by === 'user' : event.tid === tid;
      if (isTheirs && time < before) since = Math.max(since, time);
    }
    this.#sorted.replace((event) => {
      const isLoading =
        event?.kind === 'fault' && event.fault.tid === tid && event.time > since && event.time < before;
      return isLoading ? null : event;
    });
  }

  #exit(): void {
    const time = this.#time();
    this.#number('the process');
    const tid = this.#number('the thread');
    this.#add({ kind: 'exit', tid, time, line: this.#at.line }, time);
  }

  #snapshot(): void {
    const at = this.#at;
    const isStart = at.accept('start ');
    if (!isStart) at.expect('end ', '"start " or "end "');
    const time = this.#time();
    const maps: MapsLine[] = [];
    let stat: ProcStat | null = null;
    for (;;) {
      if (!this.#nextLine())
        at.fail('the file ends inside a snapshot', 'a line "snapshot done"', at.text.length);
      if (at.text.startsWith('snapshot done')) break;
      if (/^\d+ \(/.test(at.text)) stat = scanStat(at);
      else maps.push(scanMapsLine(at));
    }
    const snapshot = { time, maps: maps.filter((line) => line.name !== VSYSCALL), stat };
    if (isStart) this.start = snapshot;
    else this.end = snapshot;
  }

  #addCall(tid: number, time: number, op: Op, value: number, chosen: Chosen): void {
    const call: StraceCall = {
      kind: 'call',
      tid,
      entry: time,
      exit: time,
      line: this.#at.line,
      wasOpen: true,
      op,
      chosen,
      recorded: { kind: 'value', value },
    };
    this.#add(call, time);
  }

  #add(event: Event, time: number): void {
    this.#sorted.push(event, time);
  }
}

/** Reads only the snapshots of a file: full paths by `DEVICE INODE`. */
export function filePaths(lines: Iterable<string>): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  let isInside = false;
  for (const line of lines) {
    if (line.startsWith('snapshot ')) isInside = !line.startsWith('snapshot done');
    else if (isInside) {
      const match = /^\S+ \S{4} \S+ (\S+ [1-9]\d*) +(\/.*)$/.exec(line);
      if (match !== null) paths.set(ownCopy(match[1] ?? ''), ownCopy(match[2] ?? ''));
    }
  }
  return paths;
}
