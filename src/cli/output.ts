/**
 * What the command line writes: results to standard output, everything else to standard error.
 *
 * Written with write(2) at once, so that what was printed is out when the program is interrupted, and in the order in which it was
 * said. A reader that has gone away (`faultline … | head`) ends the program quietly with the status reached so far.
 * Colours only where a person sees them: on a terminal, and not when NO_COLOR is set.
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { styleText } from 'node:util';

const STDOUT = 1;
const STDERR = 2;

/** Prints `text` to standard output as it is. */
export function print(text: string): void {
  writeAll(STDOUT, text);
}

/** Prints `text` and a newline to standard error: progress, remarks, complaints. */
export function note(text: string): void {
  writeAll(STDERR, `${text}\n`);
}

/** Prints `text` to standard error as it is: progress on a line that is written over. */
export function noteRaw(text: string): void {
  writeAll(STDERR, text);
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') process.exit();
      // A pipe that somebody else made non-blocking is full: its reader needs a moment.
      if (code !== 'EAGAIN') throw error;
      sleep(1);
    }
  }
}

/** Waits without a busy loop, as nothing else can happen in this thread meanwhile. */
export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Tells whether a person reads standard output. */
export const isStdoutTerminal = (): boolean => isatty(STDOUT);
/** Tells whether a person reads standard error. */
export const isStderrTerminal = (): boolean => isatty(STDERR);

/** How a text may be set off. */
export type Style = Parameters<typeof styleText>[0];

/** Returns `text` in a style, or as it is when standard output is no terminal or NO_COLOR is set. */
export function styled(style: Style, text: string): string {
  const { NO_COLOR } = process.env;
  if (!isStdoutTerminal() || (NO_COLOR !== undefined && NO_COLOR !== '')) return text;
  // The stream object of a worker thread does not know that it ends on a terminal.
  return styleText(style, text, { validateStream: false });
}
