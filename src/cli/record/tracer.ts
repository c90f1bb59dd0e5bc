/**
 * strace and everything it traces: started with the program held at its first instruction, stopped all together at the
 * end, and killed without a trace.
 *
 * Invariant: whatever happens, `destroy` leaves no process behind: neither strace nor a process it traces.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { firstInstruction, instructionPointer } from './entryPoint.ts';
import { type Launch, straceArguments } from './launcher.ts';
import { pause, until } from './pause.ts';
import {
  isWaitingForVfork,
  readProc,
  signalAll,
  statFields,
  threadsHeldAtExit,
  threadsOf,
  traceesOf,
} from './processes.ts';
import { RecordError } from './recordError.ts';
import { type HeldExecve, StraceFile } from './straceFile.ts';

const START_MS = 30_000;
const POLL_MS = 3;
/** After this long without a stop line, other evidence is looked at. */
const PATIENCE_MS = 300;

/** One run of strace. */
export class Tracer {
  readonly file: StraceFile;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  #hasEnded = false;
  #errors = '';

  /** Starts strace. Its session is its own, so that an interrupt from the terminal reaches only us. */
  constructor(strace: string, launch: Launch, programOutput: 'inherit' | 'stderr') {
    writeFileSync(launch.output, '');
    this.file = new StraceFile(launch.output);
    const { BASH_ENV, ...env } = process.env;
    const variables = [`_=${launch.argv[0]}`, ...(BASH_ENV === undefined ? [] : [`BASH_ENV=${BASH_ENV}`])];
    const args = straceArguments({ ...launch, variables: [...variables, ...launch.variables] });
    const stdout = programOutput === 'stderr' ? 2 : 'inherit';
    this.#child = spawn(strace, args, { stdio: ['inherit', stdout, 'pipe', 2], detached: true, env });
    this.#closed = new Promise((done) => {
      const end = (): void => {
        this.#hasEnded = true;
        done();
      };
      this.#child.on('exit', end);
      this.#child.on('error', (error) => {
        this.#errors += error.message;
        end();
      });
    });
    (this.#child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
  }

  /** The recorded process. */
  get pid(): number {
    return this.file.pid;
  }
  get hasEnded(): boolean {
    return this.#hasEnded;
  }
  /** What strace itself said. */
  get errors(): string {
    return this.#errors.trim();
  }

  /** Returns all recorded processes that are alive. */
  tracees(): number[] {
    return this.#child.pid === undefined ? [] : traceesOf(this.#child.pid);
  }

  /** Waits for the program's held execve. Throws if it does not come. */
  async waitForProgram(): Promise<HeldExecve> {
    await until(START_MS, POLL_MS, () => {
      this.file.follow();
      return this.file.held !== null || this.#hasEnded;
    });
    if (this.file.held === null) throw new RecordError(this.#whyNotStarted());
    return this.file.held;
  }

  /**
   * Stops the process whose execve is held. Returns false if the stop came after the first instruction: the machine was too
   * busy to send it during the hold.
   */
  async stopAtFirstInstruction(): Promise<boolean> {
    this.file.forgetStops();
    signalAll([this.pid], 'SIGSTOP');
    await until(START_MS, POLL_MS, () => {
      this.file.follow();
      return this.file.stopped.has(this.pid) || this.#hasEnded;
    });
    return this.isAtFirstInstruction();
  }

  /** Tells whether the process is stopped before its first instruction. */
  isAtFirstInstruction(): boolean {
    if (this.#hasEnded || !this.file.stopped.has(this.pid)) return false;
    const here = instructionPointer(readProc(`/proc/${this.pid}/syscall`) ?? '');
    const auxv = readFileSync(`/proc/${this.pid}/auxv`);
    const first = firstInstruction(auxv, readFileSync(`/proc/${this.pid}/maps`, 'latin1'));
    return here === null || first === null || here === first;
  }

  #whyNotStarted(): string {
    if (/ptrace|PTRACE/.test(this.#errors)) {
      return `strace may not trace here (a container without the capability SYS_PTRACE, or kernel.yama.ptrace_scope): ${this.errors}`;
    }
    if (this.file.execFailure !== '')
      return `the kernel does not execute the program: ${this.file.execFailure}`;
    if (this.#errors.trim() !== '') return `strace could not start the program: ${this.errors}`;
    return this.file.fate === ''
      ? 'the program did not start'
      : `the program was not started; its launcher ${this.file.fate}`;
  }

  /** Lets the stopped recorded process run. */
  letGo(): void {
    signalAll([this.pid], 'SIGCONT');
  }

  /**
   * Stops every recorded process and waits until strace has seen every thread stop: then no thread is inside a call and
   * every finished call is in the file. Returns the threads that could not be seen to stop within `limitMs`.
   */
  async stopAll(limitMs: number): Promise<number[]> {
    this.file.follow();
    this.file.forgetStops();
    let known = this.tracees();
    signalAll(known, 'SIGSTOP');
    let moving: number[] = [];
    let since = performance.now();
    await until(limitMs, POLL_MS, () => {
      const isLate = performance.now() - since > PATIENCE_MS;
      this.file.follow();
      const pids = this.tracees();
      signalAll(
        pids.filter((pid) => !known.includes(pid)),
        'SIGSTOP',
      );
      known = pids;
      moving = pids.flatMap((pid) => this.#movingThreads(pid, isLate));
      if (isLate && this.#letVforksFinish(pids, moving)) since = performance.now();
      return moving.length === 0 || this.#hasEnded;
    });
    return moving;
  }

  #movingThreads(pid: number, isLate: boolean): number[] {
    const tids = threadsOf(pid).filter((tid) => !this.file.stopped.has(tid));
    if (tids.length === 0) return [];
    const held = new Set(threadsHeldAtExit(pid));
    return tids.filter((tid) => {
      if (held.has(tid)) return false;
      const stat = readProc(`/proc/${pid}/task/${tid}/stat`);
      const state = stat === null ? 'X' : statFields(stat)[0]!;
      if (state === 'Z' || state === 'X') return false;
      // A process that was stopped before we stopped it gives no second line.
      return !(isLate && (state === 'T' || state === 't') && this.file.stoppedLast.has(tid));
    });
  }

  /** A parent in vfork stops only after its child has gone on: lets all run for a moment and stops them again. */
  #letVforksFinish(pids: readonly number[], moving: readonly number[]): boolean {
    const isVfork = pids.some((pid) =>
      threadsOf(pid).some((tid) => moving.includes(tid) && isWaitingForVfork(pid, tid)),
    );
    if (!isVfork) return false;
    signalAll(pids, 'SIGCONT');
    this.file.forgetStops();
    setTimeout(() => signalAll(this.tracees(), 'SIGSTOP'), 20);
    return true;
  }

  /** Stops strace itself: what it holds stays held, whatever the delay. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  /** Kills every recorded process and ends strace. */
  async destroy(): Promise<void> {
    for (let round = 0; round < 200 && !this.#hasEnded; round++) {
      signalAll(this.tracees(), 'SIGKILL');
      this.#child.kill('SIGCONT');
      await Promise.race([this.#closed, pause(20)]);
      // Before strace has a tracee there is none to be seen, and strace ends with its last one.
      if (round > 50 && this.tracees().length === 0) break;
    }
    this.destroyNow();
    await this.#closed;
    this.file.close();
  }

  /** The same without waiting: for the moment in which this process ends. */
  destroyNow(): void {
    if (this.#hasEnded) return;
    // A process may fork while it is being killed: strace follows its child, so the next round finds it.
    for (
      let round = 0, pids = this.tracees();
      pids.length > 0 && round < 20;
      round++, pids = this.tracees()
    ) {
      signalAll(pids, 'SIGKILL');
    }
    this.#child.kill('SIGKILL');
  }
}
