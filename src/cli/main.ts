/**
 * The program: runs a command in a thread of its own and answers Ctrl-C meanwhile.
 *
 * Playing an input is one long computation that never returns to the event loop, so the thread that computes cannot hear a signal. What a
 * command prints is written at once (output.ts), so that after an interruption everything that was finished is there.
 * `record`, `fuzz` and `calibrate` are the exceptions: they wait for others, have their own answer to signals, and stay in this thread.
 */
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const INTERRUPTED = 130;
/** Commands that answer Ctrl-C themselves. */
const OWN_ANSWER: ReadonlySet<string | undefined> = new Set(['record', 'fuzz', 'calibrate']);
const STDERR = 2;
const INSISTS_MS = 500;

/** Runs `faultline` with the arguments after the program's name and returns the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  if (!OWN_ANSWER.has(argv[0])) return inWorker(argv);
  const { runCommandLine } = await import('./commandLine.ts');
  return runCommandLine(argv);
}

async function inWorker(argv: readonly string[]): Promise<number> {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { argv: [...argv] });
  let interruptedAt: number | null = null;
  const onInterrupt = (): void => {
    const now = performance.now();
    // A thread that hangs in a system call cannot be stopped, so who insists is obeyed. One Ctrl-C may arrive twice: from the
    // terminal and from npx.
    if (interruptedAt !== null && now - interruptedAt > INSISTS_MS) process.kill(process.pid, 'SIGKILL');
    interruptedAt ??= now;
    void worker.terminate();
  };
  process.on('SIGINT', onInterrupt);
  try {
    const status = await new Promise<number>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('exit', resolve);
    });
    if (interruptedAt === null) return status;
    writeSync(STDERR, 'faultline: interrupted; what was finished has been printed\n');
    return INTERRUPTED;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}
