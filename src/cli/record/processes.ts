/**
 * Recorded processes, as /proc shows them.
 *
 * A process is recorded if strace traces it. Its tracer is asked, not its parent: a process whose parent has died belongs
 * to init, but is still in the recording. Everything here may vanish between two reads; what is gone is left out.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** The number of exit_group on x86-64. */
const EXIT_GROUP = '231';
/** Calls inside which a thread waits for its vfork child and sees no signal: vfork, clone, clone3. */
const VFORKS: ReadonlySet<string> = new Set(['58', '56', '435']);

/** Returns the text of a /proc file, or null if the process is gone or the file is not ours to read. */
export function readProc(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch {
    return [];
  }
}

/** Returns the processes traced by `tracer`, by rising number. Zombies are left out. */
export function traceesOf(tracer: number): number[] {
  const line = new RegExp(`^TracerPid:\\t${tracer}$`, 'm');
  return numbersIn('/proc').filter((pid) => {
    const status = readProc(`/proc/${pid}/status`);
    return status !== null && line.test(status) && !/^State:\t[ZX]/m.test(status);
  });
}

/** Returns the threads of a process. */
export function threadsOf(pid: number): number[] {
  return numbersIn(`/proc/${pid}/task`);
}

/** Returns the fields of a stat line from field 3 (the state) on: the command before them may contain anything. */
export function statFields(stat: string): string[] {
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .trimEnd()
    .split(' ');
}

/** Tells whether a process is gone or a zombie. */
export function isGone(pid: number): boolean {
  const stat = readProc(`/proc/${pid}/stat`);
  const state = stat === null ? 'X' : statFields(stat)[0];
  return state === 'Z' || state === 'X';
}

function callOf(pid: number, tid: number): string {
  return readProc(`/proc/${pid}/task/${tid}/syscall`)?.split(' ')[0] ?? '';
}

/** Returns the threads of a process that strace holds at the entry of exit_group. */
export function threadsHeldAtExit(pid: number): number[] {
  return threadsOf(pid).filter((tid) => {
    if (callOf(pid, tid) !== EXIT_GROUP) return false;
    const stat = readProc(`/proc/${pid}/task/${tid}/stat`);
    return stat !== null && statFields(stat)[0] === 't';
  });
}

/** Returns the status that a thread held at exit_group gives, or null. */
export function exitStatusOf(pid: number, tid: number): number | null {
  const words = readProc(`/proc/${pid}/task/${tid}/syscall`)?.split(' ');
  return words?.[0] === EXIT_GROUP ? Number(words[1]) & 0xff : null;
}

/** Tells whether a thread waits for its vfork child: it stops only when that child has gone on. */
export function isWaitingForVfork(pid: number, tid: number): boolean {
  const stat = readProc(`/proc/${pid}/task/${tid}/stat`);
  return stat !== null && statFields(stat)[0] === 'D' && VFORKS.has(callOf(pid, tid));
}

/** Sends a signal to processes; those that are gone are left out. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended in the meantime.
    }
  }
}
