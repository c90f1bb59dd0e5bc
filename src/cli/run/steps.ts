/**
 * `run --step`: each operation with its answer and what it changed in maps.
 *
 * On a terminal it stops after each operation and asks; otherwise it runs through.
 * Cost   the whole of maps after each operation that changed a vma
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Addr } from '../../base/units.ts';
import type { Outcome } from '../../machine/index.ts';
import { type Mm, type MmEvent, mapsLine, mapsText } from '../../mm/index.ts';
import { compareResult, isCompared, outcomeText } from '../../replay/play/difference.ts';
import { callText, grouped } from '../../report/index.ts';
import { isStdoutTerminal, note, noteRaw, print, sleep, styled } from '../output.ts';
import type { PlayedOp } from './playback.ts';

/** Events after which maps reads otherwise. */
const CHANGES_MAPS: ReadonlySet<MmEvent['kind']> = new Set([
  'vmaCreate',
  'vmaSplit',
  'vmaResize',
  'vmaRemove',
  'vmaMove',
  'flags',
]);

/** A part of an address space. */
export interface Window {
  readonly start: Addr;
  readonly end: Addr;
}

/** Prints operations one by one. */
export class Stepper {
  readonly #input: string;
  readonly #before = new Map<Mm, readonly string[]>();
  readonly #keyboard = isStdoutTerminal() && isatty(0) ? new Keyboard() : null;
  #isChanged = true;
  /** What an ops file speaks about; the rest is the memory of the program that ran it. */
  #window: Window | null = null;
  /** Operations to go before the next question. */
  #toGo = 1;

  /** @param input  its name, left out of places within it */
  constructor(input: string) {
    this.#input = input;
  }

  /** Shows only vmas that reach into `window`. */
  showOnly(window: Window): void {
    this.#window = window;
  }

  /** Takes an event of the operation at hand. */
  event(event: MmEvent): void {
    if (CHANGES_MAPS.has(event.kind)) this.#isChanged = true;
  }

  /** Prints one operation. Returns false when the user wants no more. */
  step(played: PlayedOp): boolean {
    const { nr, place, task, op, outcome, recorded, process } = played;
    const where = place === null ? '' : ` ${this.#within(place)}`;
    let text = styled('dim', `${grouped(nr)}${where} [${task}]`);
    text += ` ${callText(op)} = ${answerText(outcome)}\n`;
    const difference =
      recorded !== null && isCompared(recorded, outcome) ? compareResult(recorded, outcome) : null;
    if (difference !== null) text += styled('red', `    the kernel answered ${difference.kernel}\n`);
    // A name may be given without any event.
    if (op.call === 'set_vma_name') this.#isChanged = true;
    if (process?.mm && this.#isChanged) text += this.#changes(process.mm);
    print(text);
    if (this.#keyboard === null || --this.#toGo > 0) return true;
    return this.#ask(this.#keyboard, process?.mm ?? null);
  }

  /** Lets the keyboard go. */
  end(): void {
    this.#keyboard?.close();
  }

  /** `syscalls.strace:17` in a recording, `line 17` in a file. */
  #within({ file, line }: { readonly file: string; readonly line: number }): string {
    return file === this.#input ? `line ${line}` : `${file.slice(file.lastIndexOf('/') + 1)}:${line}`;
  }

  #maps(mm: Mm): string {
    const window = this.#window;
    if (window === null) return mapsText(mm);
    let text = '';
    for (const vma of mm.vmas)
      if (vma.start < window.end && vma.end > window.start) text += `${mapsLine(mm, vma)}\n`;
    return text;
  }

  #changes(mm: Mm): string {
    this.#isChanged = false;
    const before = this.#before.get(mm) ?? [];
    const after = this.#maps(mm).split('\n').slice(0, -1);
    this.#before.set(mm, after);
    return changedLines(before, after);
  }

  #ask(keyboard: Keyboard, mm: Mm | null): boolean {
    for (;;) {
      noteRaw('Enter next, n N, c to the end, m maps, q quit> ');
      const [command = '', argument = ''] = keyboard.line().trim().split(/\s+/);
      this.#toGo = 1;
      if (command === '') return true;
      if (command === 'q') return false;
      if (command === 'c') {
        this.#toGo = Number.POSITIVE_INFINITY;
        return true;
      }
      if (command === 'm') print(mm === null ? '' : this.#maps(mm));
      else if (command === 'n' && /^[1-9]\d*$/.test(argument)) {
        this.#toGo = Number(argument);
        return true;
      } else note(`no command ${JSON.stringify(command)}`);
    }
  }
}

/** mincore answers for each page; of many pages only the number is told. */
function answerText(outcome: Outcome): string {
  if (outcome.kind !== 'resident') return outcomeText(outcome);
  const { pages } = outcome;
  if (pages.length <= 64) return `0 [${pages.map((present) => (present ? '1' : '0')).join('')}]`;
  const present = pages.filter((each) => each).length;
  return `0 [${grouped(present)} of ${grouped(pages.length)} pages]`;
}

/** Returns the lines that are gone and those that are new, by address; a line that stays is left out. */
function changedLines(before: readonly string[], after: readonly string[]): string {
  const old = new Set(before);
  const now = new Set(after);
  const lines = [
    ...before.filter((line) => !now.has(line)).map((line) => ({ sign: '-', line })),
    ...after.filter((line) => !old.has(line)).map((line) => ({ sign: '+', line })),
  ];
  const start = (line: string): number => Number.parseInt(line, 16);
  lines.sort((a, b) => start(a.line) - start(b.line));
  return lines
    .map(({ sign, line }) => styled(sign === '+' ? 'green' : 'red', `    ${sign} ${line}`.trimEnd()))
    .map((line) => `${line}\n`)
    .join('');
}

/** Lines typed on the terminal. Read without blocking, so that Ctrl-C is heard while we wait. */
class Keyboard {
  readonly #fd = openSync('/dev/tty', constants.O_RDONLY | constants.O_NONBLOCK);
  readonly #bytes = Buffer.alloc(4096);

  /** Returns the next line; `q` when there will be none. */
  line(): string {
    for (;;) {
      try {
        const length = readSync(this.#fd, this.#bytes, 0, this.#bytes.length, null);
        return length === 0 ? 'q' : this.#bytes.toString('utf8', 0, length);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        sleep(20);
      }
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
