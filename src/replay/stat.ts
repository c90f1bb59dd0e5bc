/**
 * `/proc/PID/stat`, `status`, `auxv` (as text) and the figures a replay needs from them.
 *
 * Of stat only the fields that place the parts of an address space: the program's text and data, the stack, where brk starts,
 * arguments and environment. A command name may hold blanks and parentheses; fields are counted after its last `)`.
 *
 * Linux   proc_pid_stat(5), proc_pid_status(5), fs/proc/array.c
 */
import type { Addr } from '../base/units.ts';
import { type InputFiles, pathIn } from './input.ts';
import { Scanner } from './scanner.ts';

/** The fields of /proc/PID/stat that describe memory. */
export interface ProcStat {
  readonly pid: number;
  readonly comm: string;
  readonly minflt: number;
  readonly majflt: number;
  /** Clock ticks in user mode and in the kernel, of the process and of its children that were waited for. */
  readonly utime: number;
  readonly stime: number;
  readonly cutime: number;
  readonly cstime: number;
  /** Bytes of address space. */
  readonly vsize: number;
  /** Resident pages. */
  readonly rss: number;
  readonly startCode: Addr;
  readonly endCode: Addr;
  readonly startStack: Addr;
  readonly startData: Addr;
  readonly endData: Addr;
  /** Where the heap of brk begins. */
  readonly startBrk: Addr;
  readonly argStart: Addr;
  readonly argEnd: Addr;
  readonly envStart: Addr;
  readonly envEnd: Addr;
}

/** Numbers of the fields in proc(5), which start at 3 after the command name. */
const FIELD = {
  minflt: 10,
  majflt: 12,
  utime: 14,
  stime: 15,
  cutime: 16,
  cstime: 17,
  vsize: 23,
  rss: 24,
  startCode: 26,
  endCode: 27,
  startStack: 28,
  startData: 45,
  endData: 46,
  startBrk: 47,
  argStart: 48,
  argEnd: 49,
  envStart: 50,
  envEnd: 51,
} as const;
const FIRST_FIELD = 3;

/** Reads a stat file: one line. */
export function readStat(files: InputFiles, file: string): ProcStat {
  const at = new Scanner(pathIn(files, file));
  const [text = ''] = firstLines(files, file, 1);
  at.start(text, 1);
  return scanStat(at);
}

/** Reads the line of a stat file at the scanner. */
export function scanStat(at: Scanner): ProcStat {
  const { text } = at;
  const pid = at.decimal('the pid');
  at.expect(' (', '" (" and the command name');
  const close = text.lastIndexOf(') ');
  if (close < 0) at.missing('the command name in parentheses');
  const comm = text.slice(at.pos, close);
  at.pos = close + 2;
  const values: number[] = [];
  while (!at.atEnd) {
    const from = at.pos;
    const word = at.word();
    const value = values.length === 0 ? 0 : Number(word);
    if (Number.isNaN(value))
      at.fail(`"${word}" is no number`, `a number in field ${values.length + FIRST_FIELD}`, from);
    values.push(value);
    at.blanks();
  }
  const field = (nr: number): number =>
    values[nr - FIRST_FIELD] ??
    at.fail('the line ends too early', `at least ${FIELD.envEnd} fields`, text.length);
  return {
    pid,
    comm,
    minflt: field(FIELD.minflt),
    majflt: field(FIELD.majflt),
    utime: field(FIELD.utime),
    stime: field(FIELD.stime),
    cutime: field(FIELD.cutime),
    cstime: field(FIELD.cstime),
    vsize: field(FIELD.vsize),
    rss: field(FIELD.rss),
    startCode: field(FIELD.startCode),
    endCode: field(FIELD.endCode),
    startStack: field(FIELD.startStack),
    startData: field(FIELD.startData),
    endData: field(FIELD.endData),
    startBrk: field(FIELD.startBrk),
    argStart: field(FIELD.argStart),
    argEnd: field(FIELD.argEnd),
    envStart: field(FIELD.envStart),
    envEnd: field(FIELD.envEnd),
  };
}

/** Returns at most the first `nr` lines of a file. */
export function firstLines(files: InputFiles, file: string, nr: number): readonly string[] {
  const lines: string[] = [];
  for (const text of files.lines(file)) {
    lines.push(text);
    if (lines.length === nr) break;
  }
  return lines;
}

/** Reads a status file into its values by name, each as text without the blanks around it (`VmPTE` -> `188 kB`). */
export function readStatus(files: InputFiles, file: string): ReadonlyMap<string, string> {
  const at = new Scanner(pathIn(files, file));
  const values = new Map<string, string>();
  let line = 0;
  for (const text of files.lines(file)) {
    at.start(text, ++line);
    const colon = text.indexOf(':');
    if (colon <= 0) at.missing('"Name:" and a value');
    values.set(text.slice(0, colon), text.slice(colon + 1).trim());
  }
  return values;
}

/** Returns a size of a status file in bytes (`VmPTE`), or null if it has none. */
export function statusBytes(status: ReadonlyMap<string, string>, name: string): number | null {
  const match = /^(\d+) kB$/.exec(status.get(name) ?? '');
  return match === null ? null : Number(match[1]) * 1024;
}

/** Reads an auxv file of `TYPE VALUE` lines into values by type. */
export function readAuxv(files: InputFiles, file: string): ReadonlyMap<number, number> {
  const at = new Scanner(pathIn(files, file));
  const values = new Map<number, number>();
  let line = 0;
  for (const text of files.lines(file)) {
    at.start(text, ++line);
    const type = at.decimal('the type in decimal');
    at.expect(' ', 'a blank and the value');
    values.set(type, at.number('the value'));
    at.finish('the end of the line after the value');
  }
  return values;
}
