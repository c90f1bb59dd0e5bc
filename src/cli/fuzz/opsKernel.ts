/**
 * Sequences of operations on the kernel of this machine, with oracle/opsrun: one process for a batch of them.
 *
 * What an executor does to itself, or to opsrun, must not end a fuzzing run: a process that breaks off is reported as `died …` in the log
 * of the sequence it was at, which is a difference like any other.
 * Cost   a process for a batch (about 2 ms), one more for each sequence (the executor)
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { logsIn, type RunOps } from '../../fuzz/index.ts';

/** The lines of a sequence. */
export type Sequence = readonly string[];

/** What a batch came to. */
export interface KernelLogs {
  /** As many as there were sequences, in their order. */
  readonly logs: readonly string[];
  /** CPU time of opsrun and the executors. */
  readonly cpuMs: number;
}

const MAX_OUTPUT = 1 << 29;
/** USER_HZ, in which /proc counts. */
const MS_PER_TICK = 10;

const textOf = (sequences: readonly Sequence[]): string =>
  sequences.map((lines) => `${lines.join('\n')}\n`).join('');

/** Returns what runs sequences and waits for them. */
export function opsKernel(opsrun: string): RunOps {
  return (sequences) => {
    const result = spawnSync(opsrun, { input: textOf(sequences), encoding: 'utf8', maxBuffer: MAX_OUTPUT });
    const logs = logsIn(result.stdout ?? '');
    if (result.error === undefined && result.status === 0) return logs;
    if (result.status === REFUSED) throw new Error(`opsrun: ${result.stderr.trim()}`);
    return withBreak(sequences, logs, result.error?.message ?? endText(result.status, result.signal));
  };
}

/** Runs sequences on the kernel; this thread goes on meanwhile. */
export async function runOnKernel(opsrun: string, sequences: readonly Sequence[]): Promise<KernelLogs> {
  // In a session of its own, so that Ctrl-C on the terminal does not end it in the middle of a batch. It ends with its input.
  const child = spawn(opsrun, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    stderr += text;
  });
  let cpuMs = 0;
  const why = await new Promise<string | null>((resolve, reject) => {
    child.on('error', (error) => resolve(error.message));
    child.stdin.on('error', () => {});
    child.stdin.end(textOf(sequences), () => {});
    child.stdout.on('end', () => {
      // It is a zombie now, or about to become one: its times are still there.
      cpuMs = cpuTimeOf(child.pid ?? 0);
    });
    child.on('close', (code, signal) => {
      if (code === REFUSED) reject(new Error(`opsrun: ${stderr.trim()}`));
      else resolve(code === 0 ? null : endText(code, signal));
    });
  });
  const logs = logsIn(stdout);
  return { logs: why === null ? logs : withBreak(sequences, logs, why), cpuMs };
}

const endText = (status: number | null, signal: string | null): string => signal ?? `status ${status}`;

/** Status of opsrun when it cannot read a sequence. */
const REFUSED = 2;

/** Completes the logs of a run that broke off: in the last one, or before the first. */
function withBreak(sequences: readonly Sequence[], logs: readonly string[], why: string): string[] {
  return sequences.map((lines, i) => {
    const isWhole = i < logs.length - 1;
    return isWhole ? (logs[i] ?? '') : `${logs[i] ?? lines[0] ?? ''}\ndied with opsrun: ${why}`;
  });
}

/** Returns the CPU time of a process and of those it has waited for; 0 when it is not there any more. */
function cpuTimeOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // utime, stime, cutime, cstime: the 14th field and on, and two were cut off.
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * MS_PER_TICK;
  } catch {
    return 0;
  }
}
