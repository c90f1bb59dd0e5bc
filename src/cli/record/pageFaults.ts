/**
 * Page faults, by perf: attached to the stopped process (threads and children are inherited), counting nothing until
 * `enable` is acknowledged, so that no fault is missed and none of the launcher's is in the file.
 *
 * The trace points refuse CLOCK_REALTIME; perf's times are monotonic and the constant offset is added when the file is
 * written. perf is told what to do over two inherited descriptors, so there are no fifos to clean up.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Duplex, Readable } from 'node:stream';

const EVENTS = ['exceptions:page_fault_user', 'exceptions:page_fault_kernel'];
/** Buffer of each CPU in pages: 16 MiB, because a burst of faults must not be lost. */
const BUFFER_PAGES = 4096;
const ANSWER_MS = 20_000;

/** A perf that has answered, or why there is none. */
export type Attached = { readonly perf: FaultRecorder } | { readonly why: string };

/** The lost and throttled counts of a perf file; both must be 0. */
export interface Losses {
  readonly lost: number;
  readonly throttled: number;
}

/** perf, attached to one process and its descendants. */
export class FaultRecorder {
  readonly #tool: string;
  readonly #file: string;
  readonly #child: ChildProcess;
  readonly #answers: (() => void)[] = [];
  readonly #ended: Promise<void>;
  #errors = '';

  private constructor(tool: string, file: string, pid: number) {
    this.#tool = tool;
    this.#file = file;
    const args = [
      'record',
      '-q',
      '-B',
      '-N',
      '-o',
      file,
      '-p',
      String(pid),
      '-D',
      '-1',
      '--control',
      'fd:3,4',
    ];
    args.push('-k', 'CLOCK_MONOTONIC', '-m', String(BUFFER_PAGES), '-c', '1');
    for (const event of EVENTS) args.push('-e', event);
    // Its own session: an interrupt from the terminal is for us, and we end it in order.
    this.#child = spawn(tool, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], detached: true });
    this.#ended = new Promise((done) => {
      this.#child.on('close', () => done());
      this.#child.on('error', () => done());
    });
    (this.#child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    (this.#child.stdio[3] as Duplex).on('error', () => {});
    (this.#child.stdio[4] as Duplex).on('data', (text: Buffer) => {
      if (text.includes('ack')) this.#answers.shift()?.();
    });
  }

  /** Attaches perf to a stopped process and switches counting on. */
  static async attach(tool: string, file: string, pid: number): Promise<Attached> {
    const perf = new FaultRecorder(tool, file, pid);
    if (await perf.#tell('enable')) return { perf };
    perf.kill();
    await perf.#ended;
    const lines = perf.#errors.split('\n').filter((line) => line.trim() !== '');
    return { why: lines.slice(0, 2).join(' ').replace(/\s+/g, ' ').trim() || 'perf does not answer' };
  }

  /** Sends a command; false if perf ends or does not answer in time. */
  async #tell(command: string): Promise<boolean> {
    return new Promise((done) => {
      const timer = setTimeout(() => done(false), ANSWER_MS);
      const settle = (ok: boolean): void => {
        clearTimeout(timer);
        done(ok);
      };
      this.#answers.push(() => settle(true));
      void this.#ended.then(() => settle(false));
      (this.#child.stdio[3] as Duplex).write(`${command}\n`);
    });
  }

  /** Ends perf in order: its file is complete afterwards. */
  async stop(): Promise<void> {
    await this.#tell('stop');
    const timer = setTimeout(() => this.#child.kill('SIGINT'), 2000);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Ends perf at once; its file is worth nothing. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /**
   * Gives the faults since `beginNs` (of perf's clock) as lines of a recording; `offsetNs` is what is added to that clock.
   * Call after `stop`.
   */
  async *lines(beginNs: bigint, offsetNs: bigint): AsyncGenerator<string> {
    const args = ['script', '-i', this.#file, '--ns', '-F', 'pid,tid,time,event,trace'];
    const script = spawn(this.#tool, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    for await (const line of createInterface({ input: script.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      const fault = faultLine(line, beginNs, offsetNs);
      if (fault !== null) yield fault;
    }
  }

  /** Returns how many events perf says it has lost or throttled. Call after `stop`. */
  losses(): Losses {
    const args = ['report', '-i', this.#file, '--stats'];
    return parseLosses(
      execFileSync(this.#tool, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  }
}

/**
 * Turns a line of `perf script --ns -F pid,tid,time,event,trace` into one of a recording. Null if it is no page fault or
 * older than `beginNs`.
 */
export function faultLine(line: string, beginNs: bigint, offsetNs: bigint): string | null {
  const parts = /^\s*(\d+)\/(\d+)\s+(\d+)\.(\d{9}):\s+(exceptions:page_fault_(?:user|kernel)):\s+(.*)$/.exec(
    line,
  );
  if (parts === null) return null;
  const [, pid, tid, seconds, nanoseconds, event, fields] = parts;
  const ns = BigInt(seconds!) * 1_000_000_000n + BigInt(nanoseconds!);
  if (ns < beginNs) return null;
  return `${pid}/${tid} ${secondsText(ns + offsetNs)}: ${event}: ${fields}`;
}

/** Prints nanoseconds as seconds with nine digits behind the point. */
export function secondsText(ns: bigint): string {
  return `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
}

/** Adds up the losses in what `perf report --stats` prints. */
export function parseLosses(text: string): Losses {
  let lost = 0;
  let throttled = 0;
  for (const [, kind, count] of text.matchAll(/^\s*(\w+) events:\s+(\d+)/gm)) {
    if (kind === 'LOST' || kind === 'LOST_SAMPLES') lost += Number(count);
    if (kind === 'THROTTLE') throttled += Number(count);
  }
  return { lost, throttled };
}
