/**
 * One recording, from the held program to the finished directory.
 *
 *   hold the program at its first instruction -> start snapshot -> attach perf -> let go
 *     -> wait for exit_group, the load, the time or an interrupt
 *     -> stop every thread -> end snapshot of every process -> stop perf, kill everything -> write the files
 *
 * Everything is made in a folder beside the wanted one and renamed at the end: an unfinished recording never looks like
 * a finished one, and a failure leaves nothing. The files and fields are those of docs/recording.md.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { realtimeMinusMonotonicNs } from './clock.ts';
import { type EndCondition, waitForEnd } from './endOfRecording.ts';
import { EXIT_HOLD_MS, type Launch } from './launcher.ts';
import { describeRecording, type EndMode, printMeta } from './meta.ts';
import { FaultRecorder, type Losses, secondsText } from './pageFaults.ts';
import { exitStatusOf, isGone, threadsHeldAtExit, threadsOf } from './processes.ts';
import { RecordError } from './recordError.ts';
import { writeFaults, writeSystemCalls } from './recordingFiles.ts';
import type { Tools } from './requirements.ts';
import { writeEnd, writeOther, writeStart } from './snapshots.ts';
import type { HeldExecve } from './straceFile.ts';
import { Tracer } from './tracer.ts';

/** How long an execve of the program is held, a failing one too; the second value is for a machine too busy for the first. */
const START_HOLDS_MS = [250, 4000];
const STOP_LIMIT_MS = 10_000;
const TOO_BUSY =
  'the program could not be stopped at its first instruction: try again on a less busy machine';

/** What to record and how; every field is required. */
export interface RecordOptions {
  /** The directory to make; it must not exist or must be empty. */
  readonly dir: string;
  /** The program by absolute path, and its arguments. */
  readonly argv: readonly [string, ...string[]];
  readonly variables: readonly string[];
  readonly user: string | null;
  readonly aslr: boolean;
  readonly end: EndCondition;
  readonly faults: boolean;
  /** Where the program's standard output goes. */
  readonly programOutput: 'inherit' | 'stderr';
}

/** The user at the terminal: how often they have pressed Ctrl-C, and where to tell them something. */
export interface User {
  readonly interrupts: number;
  note(text: string): void;
}

/** What a finished recording holds. */
export interface Recorded {
  readonly dir: string;
  readonly mode: EndMode;
  readonly lines: number;
  readonly faults: number | null;
  readonly faultsLost: number;
  readonly vmasAtStart: number;
  readonly vmasAtEnd: number;
  readonly processesAtEnd: number;
  readonly threadsNotStopped: number;
  readonly interrupted: boolean;
}

/** What is lost without page faults, in plain words. */
export const LOST_WITHOUT_FAULTS =
  'page faults are missing, and with them: which pages the program touched, when its stack grew, and which VMAs have an ' +
  'anon_vma (which decides merges). System calls, snapshots and their order are complete; a check can only be approximate';

interface EndState {
  readonly mode: EndMode;
  readonly otherPids: readonly number[];
  readonly threadsAtEnd: number;
  readonly notQuiescentTids: readonly number[];
  readonly heldTids: ReadonlySet<number>;
  readonly timeNs: bigint;
  readonly offsetNs: bigint;
}

/** Makes a recording. Throws RecordError, and leaves nothing behind, if there is none to be had. */
export async function record(options: RecordOptions, tools: Tools, user: User): Promise<Recorded> {
  const dir = resolve(options.dir);
  if (existsSync(dir) && readdirSync(dir).length > 0) {
    throw new RecordError(`${options.dir} exists and is not empty: name another directory with --output`);
  }
  mkdirSync(dirname(dir), { recursive: true });
  const work = mkdtempSync(join(dirname(dir), `.${basename(dir)}-unfinished-`));
  const session = new Session(options, tools, user, work);
  const onExit = (): void => {
    session.destroyNow();
    rmSync(work, { recursive: true, force: true });
  };
  process.once('exit', onExit);
  try {
    const recorded = await session.run();
    if (existsSync(dir)) rmSync(dir, { recursive: true });
    renameSync(join(work, 'recording'), dir);
    return { ...recorded, dir: options.dir };
  } finally {
    await session.destroy();
    process.off('exit', onExit);
    rmSync(work, { recursive: true, force: true });
  }
}

class Session {
  readonly #options: RecordOptions;
  readonly #tools: Tools;
  readonly #user: User;
  readonly #work: string;
  readonly #dir: string;
  readonly #raw: string;
  #tracer: Tracer | null = null;
  #perf: FaultRecorder | null = null;
  #begun: HeldExecve | null = null;
  /** When that was, on perf's clock. */
  #beginNs = 0n;
  /** Children that the process had before it replaced its program: their fork is not in the recording. */
  #olderPids: ReadonlySet<number> = new Set();

  constructor(options: RecordOptions, tools: Tools, user: User, work: string) {
    this.#options = options;
    this.#tools = tools;
    this.#user = user;
    this.#work = work;
    this.#dir = join(work, 'recording');
    this.#raw = join(work, 'strace');
    mkdirSync(this.#dir);
  }

  async run(): Promise<Recorded> {
    const tracer = await this.#start();
    this.#begin(tracer);
    await this.#attachPerf(tracer.pid);
    const offsetNs = realtimeMinusMonotonicNs();
    this.#assertNotInterrupted();
    tracer.letGo();
    this.#user.note(`recording ${this.#options.argv[0]} (pid ${tracer.pid}); ${this.#howItEnds()}`);
    const beginAgain = (): Promise<void> => this.#beginAgain(tracer);
    const mode = await waitForEnd({ tracer, condition: this.#options.end, beginAgain, user: this.#user });
    const end = await this.#end(tracer, mode);
    await this.#perf?.stop();
    tracer.file.follow();
    const { line: first, end: start } = this.#begun!;
    const cut = { first, start, end: tracer.file.end, heldTids: end.heldTids, olderPids: this.#olderPids };
    await tracer.destroy();
    this.#user.note('writing');
    const lines = await writeSystemCalls(this.#raw, this.#dir, cut);
    const faults = await writeFaults(this.#perf, this.#dir, {
      beginNs: this.#beginNs,
      offsetNs,
      olderPids: this.#olderPids,
    });
    return this.#describe({ pid: tracer.pid, end, lines, faults, offsetNs });
  }

  /** The process stands at the first instruction of a program: here the recording begins, whatever was before. */
  #begin(tracer: Tracer): void {
    this.#begun = tracer.file.held;
    this.#beginNs = process.hrtime.bigint();
    this.#olderPids = new Set(tracer.tracees().filter((pid) => pid !== tracer.pid));
    writeStart(tracer.pid, this.#dir);
  }

  /** The process has replaced its program (a wrapper has done its work): everything before is dropped. */
  async #beginAgain(tracer: Tracer): Promise<void> {
    if (!(await tracer.stopAtFirstInstruction())) throw new RecordError(TOO_BUSY);
    this.#begin(tracer);
    const program = /execve\("([^"]*)"/.exec(this.#begun!.line)?.[1] ?? 'another program';
    this.#user.note(`the process has replaced itself by ${program}: the recording begins there`);
    tracer.letGo();
  }

  #assertNotInterrupted(): void {
    if (this.#user.interrupts > 0)
      throw new RecordError('interrupted before the program ran: nothing is recorded', true);
  }

  #howItEnds(): string {
    const { atExit, seconds, load } = this.#options.end;
    const ends: string[] = [];
    if (atExit) ends.push('when it exits');
    if (seconds !== null) ends.push(`after ${seconds} s`);
    if (load !== null) ends.push('after the load');
    return `ends ${ends.join(' or ')}, or with Ctrl-C`;
  }

  async #start(): Promise<Tracer> {
    const { argv, variables, user, aslr, end } = this.#options;
    const { bash, env } = this.#tools;
    const setarch = aslr ? null : this.#tools.setarch;
    for (const holdStartMs of START_HOLDS_MS) {
      const given = { bash, env, setarch, variables, argv, user };
      const launch: Launch = { ...given, holdStartMs, holdExit: end.atExit, output: this.#raw };
      const tracer = new Tracer(this.#tools.strace, launch, this.#options.programOutput);
      this.#tracer = tracer;
      await tracer.waitForProgram();
      if (await tracer.stopAtFirstInstruction()) return tracer;
      this.#assertNotInterrupted();
      await tracer.destroy();
      this.#user.note(
        'the machine is too busy to stop the program at its first instruction: once more, more slowly',
      );
    }
    throw new RecordError(TOO_BUSY);
  }

  async #attachPerf(pid: number): Promise<void> {
    if (!this.#options.faults) return;
    const tool = this.#tools.perf;
    const attached =
      tool === null
        ? { why: 'perf is not installed: apt-get install linux-perf' }
        : await FaultRecorder.attach(tool, join(this.#work, 'perf.data'), pid);
    if ('perf' in attached) {
      this.#perf = attached.perf;
      return;
    }
    const asRoot = process.getuid?.() === 0 || tool === null ? '' : ' (perf needs root for this)';
    this.#user.note(`only system calls are recorded: ${attached.why}${asRoot}`);
    this.#user.note(LOST_WITHOUT_FAULTS);
  }

  /** Stops everything and takes the end snapshot. */
  async #end(tracer: Tracer, mode: EndMode): Promise<EndState> {
    // The delay of a held exit_group runs on; strace is frozen before it is over, and with it whatever strace holds.
    const notQuiescentTids = await tracer.stopAll(mode === 'exit' ? EXIT_HOLD_MS * 0.7 : STOP_LIMIT_MS);
    if (mode === 'exit') tracer.freeze();
    tracer.file.follow();
    if (tracer.file.held !== this.#begun) {
      // The end has come while a new program was held: it has not run yet, and start and end are the same.
      if (!tracer.isAtFirstInstruction()) throw new RecordError(TOO_BUSY);
      this.#begin(tracer);
    }
    const offsetNs = realtimeMinusMonotonicNs();
    const timeNs = process.hrtime.bigint() + offsetNs;
    const { pid } = tracer;
    if (isGone(pid))
      throw new RecordError(
        'the program was gone before its end snapshot: the machine is too busy; try again',
      );
    if (mode === 'exit') {
      const status = exitStatusOf(pid, threadsHeldAtExit(pid)[0] ?? pid);
      this.#user.note(`the program exits with status ${status ?? 'unknown'}`);
    }
    writeEnd(pid, this.#dir);
    const otherPids = tracer.tracees().filter((other) => other !== pid && !this.#olderPids.has(other));
    for (const other of otherPids) writeOther(other, this.#dir);
    const heldTids = new Set([pid, ...otherPids].flatMap(threadsHeldAtExit));
    return {
      mode,
      otherPids,
      threadsAtEnd: threadsOf(pid).length,
      notQuiescentTids,
      heldTids,
      timeNs,
      offsetNs,
    };
  }

  #describe(made: { pid: number; end: EndState; lines: number; faults: number; offsetNs: bigint }): Recorded {
    const { argv, variables, aslr, end: condition } = this.#options;
    const { mode, otherPids, threadsAtEnd, notQuiescentTids } = made.end;
    const losses: Losses = this.#perf?.losses() ?? { lost: 0, throttled: 0 };
    const microseconds = (ns: bigint): number => Math.round(Number(ns) / 1000);
    const meta = describeRecording(
      this.#dir,
      {
        ...{
          argv,
          env: variables,
          mode,
          load: condition.load ?? '',
          aslr,
          pid: made.pid,
          otherPids,
          threadsAtEnd,
        },
        notQuiescentTids,
        endTime: secondsText(made.end.timeNs),
        realtimeMinusMonotonicUs: [microseconds(made.offsetNs), microseconds(made.end.offsetNs)],
        lines: made.lines,
        faults: made.faults,
        faultsLost: losses.lost,
        faultsThrottled: losses.throttled,
        faultsRecorded: this.#perf !== null,
      },
      this.#tools,
    );
    writeFileSync(join(this.#dir, 'meta.json'), printMeta(meta));
    return {
      dir: this.#options.dir,
      mode,
      lines: made.lines,
      faults: this.#perf === null ? null : made.faults,
      faultsLost: losses.lost + losses.throttled,
      vmasAtStart: countVmas(join(this.#dir, 'maps.start')),
      vmasAtEnd: countVmas(join(this.#dir, 'maps.end')),
      processesAtEnd: 1 + otherPids.length,
      threadsNotStopped: notQuiescentTids.length,
      interrupted: this.#user.interrupts > 0,
    };
  }

  async destroy(): Promise<void> {
    this.#perf?.kill();
    await this.#tracer?.destroy();
  }

  destroyNow(): void {
    this.#perf?.kill();
    this.#tracer?.destroyNow();
  }
}

/** Counts the lines of a maps file; the gate page (vsyscall) is no VMA. */
function countVmas(path: string): number {
  return readFileSync(path, 'latin1')
    .split('\n')
    .filter((line) => line !== '' && !line.endsWith('[vsyscall]')).length;
}
