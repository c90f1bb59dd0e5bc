/**
 * When a recording ends: the process enters exit_group, the load has returned, the time is up, or the user interrupts;
 * whichever comes first. A process that dies otherwise cannot be recorded: there is no end snapshot.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { EndMode } from './meta.ts';
import { pause } from './pause.ts';
import { isGone, threadsHeldAtExit } from './processes.ts';
import { RecordError } from './recordError.ts';
import type { Tracer } from './tracer.ts';

const POLL_MS = 10;

/** What may end a recording besides an interrupt. */
export interface EndCondition {
  readonly atExit: boolean;
  readonly seconds: number | null;
  /** A shell command, not recorded, at whose return the recording ends. */
  readonly load: string | null;
  /** How long the program runs before the load starts. */
  readonly loadDelayMs: number;
}

/** The command of --load, running beside the recorded program. */
class Load {
  readonly #child: ChildProcess;
  #status: string | null = null;

  constructor(command: string, pid: number) {
    const env = { ...process.env, REC_PID: String(pid) };
    // Its own process group, so that all of it can be ended; its output is not a result, so it goes to standard error.
    this.#child = spawn('/bin/sh', ['-c', command], { env, stdio: ['ignore', 2, 2], detached: true });
    this.#child.on('exit', (code, signal) => {
      this.#status = signal ?? String(code);
    });
    this.#child.on('error', (error) => {
      this.#status = error.message;
    });
  }

  /** How it ended (`0`, `1`, `SIGTERM`), or null while it runs. */
  get status(): string | null {
    return this.#status;
  }

  kill(): void {
    if (this.#child.pid === undefined || this.#status !== null) return;
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // It has ended in the meantime.
    }
  }
}

/** Throws if there is no process any more of which an end snapshot could be taken. */
function assertAlive(tracer: Tracer): void {
  if (!tracer.hasEnded && !isGone(tracer.pid)) return;
  tracer.file.follow();
  const how = tracer.file.fate === '' ? 'ended' : tracer.file.fate.replace(/^killed/, 'was killed');
  throw new RecordError(
    `the program was gone before the end snapshot (it ${how}): --exit ends a recording when exit_group is entered; a program that a signal kills cannot be recorded to its end`,
  );
}

/** What the waiting needs to know. */
export interface Waiting {
  readonly tracer: Tracer;
  readonly condition: EndCondition;
  /** Called when the process has replaced its program and strace holds it; starts the recording anew. */
  readonly beginAgain: () => Promise<void>;
  readonly user: { readonly interrupts: number; note(text: string): void };
}

/** Waits for the end and returns what it was. The processes still run (or are held at exit_group) afterwards. */
export async function waitForEnd(waiting: Waiting): Promise<EndMode> {
  const { tracer, condition, user } = waiting;
  const began = performance.now();
  let held = tracer.file.held;
  let load: Load | null = null;
  try {
    for (;;) {
      tracer.file.follow();
      if (tracer.file.held !== held) {
        held = tracer.file.held;
        await waiting.beginAgain();
      }
      const elapsedMs = performance.now() - began;
      if (condition.atExit && threadsHeldAtExit(tracer.pid).length > 0) return 'exit';
      if (user.interrupts > 0) return 'time';
      assertAlive(tracer);
      if (condition.seconds !== null && elapsedMs >= condition.seconds * 1000) return 'time';
      if (condition.load !== null && load === null && elapsedMs >= condition.loadDelayMs) {
        load = new Load(condition.load, tracer.pid);
      }
      if (load !== null && load.status !== null) {
        if (load.status !== '0') user.note(`the load ended with ${load.status}`);
        return 'load';
      }
      await pause(POLL_MS);
    }
  } finally {
    load?.kill();
  }
}
