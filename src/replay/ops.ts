/**
 * `.ops` files: random operations that a real process executed, with exact answers (opfuzz and opfuzz-uffd, format 1).
 *
 *   # opfuzz format 1 seed 1 ops 200 window 0x200000000000-0x200000800000 mode 1
 *   1 touch_write(0x200000025000, 872448) = 0 <flt 213>
 *   19 fork() = child 0
 *   20 child_touch_write(0, 0x200000600000, 24576) = -1 SIGSEGV {si_code=SEGV_ACCERR, si_addr=0x200000600000}
 *   21 @0 madvise(0x200000600000, 4096, MADV_COLD) = 0 <flt 0>
 *   snapshot 25 … end
 *
 * The process is task SELF, child K is task CHILD + K. The calls are in opsCalls.ts. One number may have two lines: each is an operation of its own.
 * In opfuzz-uffd files calls may sleep: `join(T)` and `child_join(K)` tell that one is over. There every line that is no child's is of task SELF; which
 * worker makes the call is found out when it is played (play/workers.ts).
 */
import type { Chosen, Op, Recorded } from '../machine/op.ts';
import { type InputFiles, pathIn } from './input.ts';
import type { Completion, ReplayItem, ReplayOp, Start } from './item.ts';
import { AnswerReader } from './opsAnswers.ts';
import { OPS_NAMES, OpsCalls } from './opsCalls.ts';
import { LAST_LINE, passOver, SELF, SnapshotReader, UnreadSnapshot } from './opsSnapshot.ts';
import { isDigit, ownCopy, Scanner } from './scanner.ts';
import { CallText } from './straceArgs.ts';
import { chosenOf } from './straceCalls.ts';

const FORMAT = '# opfuzz format 1 ';
/** What a sequence may end with where several follow each other. */
const END = 'end of sequence';
const UFFD_FORMAT = '# opfuzz-uffd format 1 ';
/** Pages of swap space that files with userfaultfd are made with, if they do not say: more than the window and its children ever need. */
const SWAP_PAGES = 2 ** 20;
const PLACED = { placed: true } as const;

/** Yields what an ops file holds. @param file  its name within `files`; '' if the input is that file */
export function* opsItems(files: InputFiles, file = ''): Generator<ReplayItem> {
  const reader = new OpsReader(pathIn(files, file));
  for (const text of files.lines(file)) {
    const item = reader.read(text);
    if (item !== null) yield item;
  }
  yield reader.finish();
}

/**
 * Yields what a log holds that is at hand as a whole: the same, but its snapshots are read only when somebody asks for their processes. What is wrong with
 * a snapshot is therefore said then, or, if nobody asks, never.
 * @param name  in messages
 */
export function* opsLogItems(name: string, log: string): Generator<ReplayItem> {
  const reader = new OpsReader(name);
  for (let at = 0; at < log.length; ) {
    const newline = log.indexOf('\n', at);
    const end = newline < 0 ? log.length : newline;
    const item = reader.read(log.slice(at, end));
    if (item !== null) yield item;
    at = end + 1;
    const snapshot = reader.passOverSnapshot(log, at);
    if (snapshot === null) continue;
    yield snapshot;
    at = snapshot.unread.to + LAST_LINE.length + 1;
  }
  yield reader.finish();
}

/** Tells whether a line before the first is a remark: the rows that `faultline fuzz` writes begin with what differed. */
const isRemark = (text: string): boolean =>
  text === '' || (text.startsWith('#') && !text.startsWith('# opfuzz'));

class OpsReader {
  readonly #at: Scanner;
  readonly #call: CallText;
  readonly #calls: OpsCalls;
  readonly #snapshots: SnapshotReader;
  readonly #answers: AnswerReader;
  #isUffd = false;
  #hasBegun = false;
  #lineNr = 0;
  #nr = 0;
  #touches = 0;

  constructor(file: string) {
    this.#at = new Scanner(file);
    this.#call = new CallText(this.#at, OPS_NAMES);
    this.#calls = new OpsCalls(this.#at, this.#call);
    this.#snapshots = new SnapshotReader(this.#at);
    this.#answers = new AnswerReader(this.#at, this.#call);
  }

  /** Reads one line; null while a snapshot goes on. */
  read(text: string): ReplayItem | null {
    this.#at.start(text, ++this.#lineNr);
    if (!this.#hasBegun) {
      if (isRemark(text)) return null;
      this.#hasBegun = true;
      return this.#header();
    }
    if (text === END || text === '') return null;
    // In a request the line that asks for a snapshot is all there is of it.
    if (this.#snapshots.isAsked && (isDigit(text.charCodeAt(0)) || text.startsWith('snapshot ')))
      this.#snapshots.leaveOut();
    if (this.#snapshots.isOpen || text.startsWith('snapshot ')) return this.#snapshots.read();
    return this.#operation();
  }

  /** If the line before was the first of a snapshot that can be read later, returns that; the next line is the one after it. */
  passOverSnapshot(log: string, from: number): UnreadSnapshot | null {
    if (!this.#snapshots.isAsked || this.#isUffd) return null;
    const lines = passOver(log, from);
    if (lines === null) return null;
    this.#snapshots.leaveOut();
    const line = this.#lineNr;
    this.#lineNr += lines.lines + 1;
    const { number } = this.#snapshots;
    return new UnreadSnapshot({ text: log, from, to: lines.to }, { number, file: this.#at.file, line });
  }

  finish(): ReplayItem {
    if (this.#lineNr === 0) this.#at.fail('the file is empty', `a first line ${FORMAT}…`, 0);
    if (this.#snapshots.isAsked) this.#snapshots.leaveOut();
    if (this.#snapshots.isOpen) this.#at.fail('the file ends inside a snapshot', 'a line "end"');
    return {
      kind: 'summary',
      format: this.#isUffd ? 'opfuzz-uffd' : 'opfuzz',
      lines: this.#lineNr,
      calls: this.#nr - this.#touches,
      touches: this.#touches,
      skipped: new Map(),
      overlapping: 0,
    };
  }

  #header(): Start {
    const at = this.#at;
    this.#isUffd = at.accept(UFFD_FORMAT);
    this.#snapshots.isUffd = this.#isUffd;
    this.#calls.isUffd = this.#isUffd;
    if (!this.#isUffd)
      at.expect(FORMAT, `the first line of an ops file: ${FORMAT}seed S ops N window LO-HI mode M`);
    at.expect('seed ', '"seed " and a number');
    const seed = at.decimal('the seed');
    at.expect(' ops ', '" ops " and a number');
    at.decimal('the number of operations');
    at.expect(' window ', '" window " and a range');
    const start = at.number('the start of the window');
    at.expect('-', '"-" inside the window');
    const end = at.number('the end of the window');
    at.expect(' mode ', '" mode " and a number');
    const mode = at.decimal('the mode');
    const uffd = this.#isUffd ? this.#uffdHeader() : null;
    const swapPages = at.accept(' swap ') ? at.decimal('the pages of the swap device') : 0;
    at.finish('the end of the line');
    if (end <= start)
      at.fail('the window is empty', 'LO below HI', at.text.indexOf(' window ') + ' window '.length);
    const state = {
      vmas: [],
      stat: null,
      limits: null,
      auxv: null,
      status: null,
      meta: null,
      window: { start, end },
      files: [],
    };
    const begun = { kind: 'start', task: SELF, state } as const;
    if (uffd === null)
      return { ...begun, format: 'opfuzz', program: `opfuzz seed ${seed} mode ${mode}`, swapPages };
    const { profile, memfdBytes } = uffd;
    const program = `opfuzz-uffd seed ${seed} mode ${mode} profile ${profile}`;
    return { ...begun, format: 'opfuzz-uffd', program, memfdBytes, swapPages: swapPages || SWAP_PAGES };
  }

  #uffdHeader(): { profile: number; memfdBytes: number } {
    const at = this.#at;
    at.expect(' profile ', '" profile " and a number');
    const profile = at.decimal('the profile');
    at.expect(' memfd ', '" memfd " and a number of bytes');
    return { profile, memfdBytes: at.decimal('the size of the memfd') };
  }

  #operation(): ReplayOp | Completion {
    const at = this.#at;
    const number = at.decimal('the number of an operation, or "snapshot"');
    at.expect(' ', 'a blank and a call');
    const by = this.#by();
    if (this.#isUffd && by === null && (at.accept('join(') || at.accept('child_join(')))
      return this.#completion(number);
    const open = at.text.indexOf('(', at.pos);
    if (open < 0) at.missing('a call with its arguments in parentheses');
    const name = at.text.slice(at.pos, open);
    this.#call.readArgs(name, open + 1);
    const text = this.#isUffd ? { text: ownCopy(at.text.slice(open - name.length, at.pos)) } : {};
    const result = this.#answers.result(name);
    const faults = this.#answers.faults();
    at.finish('the end of the line');
    const { op, task } = this.#calls.decode(name, number, by);
    if (op.call === 'touch') this.#touches++;
    const { chosen, recorded } = this.#answer(op, result);
    const moment = this.#lineNr;
    return {
      kind: 'op',
      op,
      nr: ++this.#nr,
      line: moment,
      file: at.file,
      task,
      chosen,
      recorded,
      entry: moment,
      exit: moment,
      at: moment,
      overlaps: false,
      number,
      faults,
      ...text,
      ...(this.#call.has(0) && this.#call.text(0) === 'placed' ? PLACED : {}),
    };
  }

  /** Reads what is behind `join(` or `child_join(`. */
  #completion(number: number): Completion {
    const at = this.#at;
    const kind = at.text.startsWith('child_', at.pos - 'child_join('.length) ? 'child' : 'worker';
    const who = { kind, number: at.decimal(`the number of a ${kind}`) } as const;
    at.expect(')', '")" and the result');
    const recorded = this.#answers.result(null);
    if (recorded.kind === 'none') at.missing('" = " and the result');
    const faults = this.#answers.faults();
    at.finish('the end of the line');
    return { kind: 'completion', number, who, recorded, faults, file: at.file, line: this.#lineNr };
  }

  /** Reads `@K `, if it is there. */
  #by(): number | null {
    const at = this.#at;
    if (!at.accept('@')) return null;
    const by = at.decimal('the number of the child that makes the call');
    at.expect(' ', 'a blank and a call');
    return by;
  }

  /** Returns what the kernel chose, and what it answered. Names of files hide numbers: a call that makes one answers 0. */
  #answer(op: Op, recorded: Recorded): { chosen: Chosen; recorded: Recorded } {
    const handle = this.#handleOf(op);
    if (handle === null) return { chosen: chosenOf(op, this.#call), recorded };
    return {
      chosen: { handle },
      recorded: recorded.kind === 'value' ? { kind: 'value', value: handle } : recorded,
    };
  }

  #handleOf(op: Op): number | null {
    if (op.call === 'clone') return op.child;
    if (op.call === 'shmget') return this.#calls.segment(this.#call.text(0));
    return op.call === 'open' || op.call === 'memfd_create' ? this.#call.int(0) : null;
  }
}
