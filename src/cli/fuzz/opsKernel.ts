/**
 * Sequences of operations on the kernel of this machine: oracle/opsrun, kept running and fed through pipes.
 *
 * Several batches may be handed over at once; opsrun carries them out one after the other. A sequence without operations behind each
 * batch tells where its output ends. What an executor does to itself, or to opsrun, must not end a fuzzing run: a process that breaks off
 * is reported as `died …` in the log of the sequence it was at, which is a difference like any other, and the rest runs in a new one.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { logsIn, type RunOps } from '../../fuzz/index.ts';

/** The lines of a sequence. */
export type Sequence = readonly string[];

/** What a batch came to. */
export interface KernelLogs {
  /** As many as there were sequences, in their order. */
  readonly logs: readonly string[];
  /** CPU time of opsrun and the executors since the batch before. */
  readonly cpuMs: number;
}

const MAX_OUTPUT = 1 << 29;
/** USER_HZ, in which /proc counts. */
const MS_PER_TICK = 10;
/** Status of opsrun when it cannot read a sequence. */
const REFUSED = 2;
/** What the kernel's own structures say of vmas belongs to every fourth snapshot, where they can be read; to each where a difference is looked at. */
const SOME_INTERNALS = '--internals=4';
const INTERNALS = '--internals';
const END = 'end of sequence';
/** A marker is shorter. */
const MARKER_BYTES = 256;
const HEADER = '# opfuzz';
const BLANK = 32;

const textOf = (sequences: readonly Sequence[]): string =>
  sequences.map((lines) => `${lines.join('\n')}\n${END}\n`).join('');

const endText = (status: number | null, signal: string | null): string => signal ?? `status ${status}`;

/** Completes the log of the sequence at which a run broke off. */
const broken = (sequence: Sequence, log: string | undefined, why: string): string =>
  `${log ?? sequence[0] ?? ''}\ndied with opsrun: ${why}`;

/** Returns what runs sequences and waits for them, in a process for each call. */
export function opsKernel(opsrun: string): RunOps {
  return (sequences) => {
    const result = spawnSync(opsrun, [INTERNALS], {
      input: textOf(sequences),
      encoding: 'latin1',
      maxBuffer: MAX_OUTPUT,
    });
    const logs = logsIn(result.stdout ?? '');
    if (result.error === undefined && result.status === 0) return logs;
    if (result.status === REFUSED) throw new Error(`opsrun: ${result.stderr.trim()}`);
    const why = result.error?.message ?? endText(result.status, result.signal);
    const last = Math.max(0, logs.length - 1);
    return sequences.map((lines, i) => (i < last ? (logs[i] ?? '') : broken(lines, logs[i], why)));
  };
}

/** Returns the logs in what opsrun printed, where no line but the first of each begins with the header. Each is a text of its own, not a part of a large one. */
function logsOf(bytes: Buffer): string[] {
  const logs: string[] = [];
  for (let at = bytes.indexOf(HEADER); at >= 0; ) {
    const next = bytes.indexOf(`\n${HEADER}`, at);
    let end = next < 0 ? bytes.length : next;
    while (end > at && (bytes[end - 1] as number) <= BLANK) end--;
    logs.push(bytes.toString('latin1', at, end));
    at = next < 0 ? -1 : next + 1;
  }
  return logs;
}

/** A batch that has been handed over. */
interface Request {
  readonly marker: string;
  readonly done: (output: Output) => void;
  readonly failed: (error: Error) => void;
}

interface Output {
  readonly bytes: Buffer;
  /** How opsrun ended before the batch did; null: it did not. */
  readonly broke: string | null;
  /** It ended in an earlier batch. */
  readonly begun: boolean;
}

/** opsrun, kept running. */
export class OpsrunProcess {
  readonly #opsrun: string;
  readonly #args: readonly string[];
  #child: ChildProcessWithoutNullStreams | null = null;
  #cpuMs = 0;
  /** What it has printed for the first request; joined only when all of it is there, because it is much. */
  #printed: Buffer[] = [];
  #stderr = '';
  #requests: Request[] = [];
  #nrMarkers = 0;

  /** @param cpu  where it stays; where it happens to begin if not given */
  constructor(opsrun: string, cpu: number | null) {
    this.#opsrun = opsrun;
    this.#args = cpu === null ? [SOME_INTERNALS] : [SOME_INTERNALS, '--cpu', String(cpu)];
  }

  /** Runs sequences. Rejects when opsrun cannot read one of them. */
  async run(sequences: readonly Sequence[]): Promise<KernelLogs> {
    if (sequences.length === 0) return { logs: [], cpuMs: 0 };
    const { bytes, broke, begun } = await this.#handOver(sequences);
    if (!begun) return this.run(sequences);
    const logs = logsOf(bytes);
    const cpuMs = this.#cpuSince();
    if (broke === null) return { logs, cpuMs };
    const at = Math.max(0, logs.length - 1);
    const culprit = broken(sequences[at] ?? [], logs[at], broke);
    const rest = sequences.slice(at + 1);
    const after = await this.run(rest);
    return { logs: [...logs.slice(0, at), culprit, ...after.logs], cpuMs: cpuMs + after.cpuMs };
  }

  #handOver(sequences: readonly Sequence[]): Promise<Output> {
    const child = this.#child ?? this.#start();
    // No sequence that is drawn has no operations.
    const header = (sequences[0]?.[0] ?? '').replace(
      / seed \d+ ops \d+ /,
      ` seed ${this.#nrMarkers++} ops 0 `,
    );
    return new Promise((done, failed) => {
      this.#requests.push({ marker: `${header}\n`, done, failed });
      child.stdin.write(`${textOf(sequences)}${header}\n${END}\n`, 'latin1');
    });
  }

  #start(): ChildProcessWithoutNullStreams {
    // In a session of its own, so that Ctrl-C on the terminal does not end it in the middle of a batch. It ends with its input.
    const child = spawn(this.#opsrun, this.#args, { detached: true, stdio: 'pipe' });
    this.#child = child;
    [this.#printed, this.#stderr, this.#cpuMs] = [[], '', 0];
    child.stdout.on('data', (bytes: Buffer) => this.#read(bytes));
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      this.#stderr += text;
    });
    // What it has not read is lost with it, which its end tells.
    child.stdin.on('error', () => {});
    child.on('error', (error) => this.#ended(child, error.message));
    child.on('close', (status, signal) => this.#ended(child, endText(status, signal), status));
    return child;
  }

  #read(bytes: Buffer): void {
    // The marker may have begun in the piece before.
    const before = this.#printed.pop();
    let fresh = before === undefined ? bytes : Buffer.concat([before, bytes]);
    for (let first = this.#requests[0]; first !== undefined; first = this.#requests[0]) {
      const at = fresh.indexOf(first.marker, 0, 'latin1');
      if (at < 0) break;
      this.#printed.push(fresh.subarray(0, at));
      first.done({ bytes: Buffer.concat(this.#printed), broke: null, begun: true });
      this.#requests.shift();
      this.#printed = [];
      fresh = fresh.subarray(at + first.marker.length);
    }
    const tail = Math.max(0, fresh.length - MARKER_BYTES);
    this.#printed.push(fresh.subarray(0, tail), fresh.subarray(tail));
  }

  /** The first batch broke off; those behind it have not begun. */
  #ended(child: ChildProcessWithoutNullStreams, how: string, status: number | null = null): void {
    if (this.#child !== child) return;
    this.#child = null;
    const [first, ...others] = this.#requests;
    const bytes = Buffer.concat(this.#printed);
    this.#requests = [];
    if (status === REFUSED) {
      for (const request of [first, ...others]) request?.failed(new Error(`opsrun: ${this.#stderr.trim()}`));
      return;
    }
    first?.done({ bytes, broke: how, begun: true });
    for (const request of others) request.done({ bytes: Buffer.alloc(0), broke: how, begun: false });
  }

  #cpuSince(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) return 0;
    const now = cpuTimeOf(pid);
    const since = Math.max(0, now - this.#cpuMs);
    this.#cpuMs = Math.max(now, this.#cpuMs);
    return since;
  }
}

/** Returns the CPU time of a process, of those that it has waited for, and of its living children. */
function cpuTimeOf(pid: number): number {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ');
  return [String(pid), ...children].reduce((sum, each) => sum + ownCpuTime(each.trim()), 0);
}

function ownCpuTime(pid: string): number {
  const stat = pid === '' ? '' : read(`/proc/${pid}/stat`);
  if (stat === '') return 0;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime, stime, cutime, cstime: the 14th field and on, and two were cut off.
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * MS_PER_TICK;
}

/** Returns what is in a file of /proc; nothing when the process has ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
