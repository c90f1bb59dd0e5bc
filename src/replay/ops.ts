/**
 * `.ops` files: random operations that a real process executed, with exact answers (opfuzz format 1).
 *
 *   # opfuzz format 1 seed 1 ops 200 window 0x200000000000-0x200000800000 mode 1
 *   1 touch_write(0x200000025000, 872448) = 0 <flt 213>
 *   19 fork() = child 0
 *   20 child_touch_write(0, 0x200000600000, 24576) = -1 SIGSEGV {si_code=SEGV_ACCERR, si_addr=0x200000600000}
 *   snapshot 25 … end
 *
 * The process is task SELF, child K is task CHILD + K. One number may have two lines: each is an operation of its own.
 * `opfuzz-uffd` files have more operations and sleeping threads; they are recognised and refused.
 */
import { UsageError } from '../base/assert.ts';
import type { Addr } from '../base/units.ts';
import type { Access, Chosen, Op, Recorded } from '../machine/op.ts';
import { type InputFiles, pathIn } from './input.ts';
import type { ReplayItem, ReplayOp, Start } from './item.ts';
import { CHILD, SELF, SnapshotReader } from './opsSnapshot.ts';
import { Scanner } from './scanner.ts';
import { CallText } from './straceArgs.ts';
import { CALL_RULES, chosenOf } from './straceCalls.ts';

const FORMAT = '# opfuzz format 1 ';
const UFFD_FORMAT = '# opfuzz-uffd ';
/** Added to the number of an operation in the stamps that a child writes. */
const CHILD_STAMP = 0x10_0000;
const SIGCHLD = 17;

/** Yields what an ops file holds. @param file  its name within `files`; '' if the input is that file */
export function* opsItems(files: InputFiles, file = ''): Generator<ReplayItem> {
  const reader = new OpsReader(pathIn(files, file));
  for (const text of files.lines(file)) {
    const item = reader.read(text);
    if (item !== null) yield item;
  }
  yield reader.finish();
}

class OpsReader {
  readonly #at: Scanner;
  readonly #call: CallText;
  readonly #snapshots: SnapshotReader;
  #lineNr = 0;
  #nr = 0;
  #touches = 0;

  constructor(file: string) {
    this.#at = new Scanner(file);
    this.#call = new CallText(this.#at);
    this.#snapshots = new SnapshotReader(this.#at);
  }

  /** Reads one line; null while a snapshot goes on. */
  read(text: string): ReplayItem | null {
    this.#at.start(text, ++this.#lineNr);
    if (this.#lineNr === 1) return this.#header();
    if (this.#snapshots.isOpen || text.startsWith('snapshot ')) return this.#snapshots.read();
    return this.#operation();
  }

  finish(): ReplayItem {
    if (this.#lineNr === 0) this.#at.fail('the file is empty', `a first line ${FORMAT}…`, 0);
    if (this.#snapshots.isOpen) this.#at.fail('the file ends inside a snapshot', 'a line "end"');
    return {
      kind: 'summary',
      format: 'opfuzz',
      lines: this.#lineNr,
      calls: this.#nr - this.#touches,
      touches: this.#touches,
      skipped: new Map(),
      overlapping: 0,
    };
  }

  #header(): Start {
    const at = this.#at;
    if (at.text.startsWith(UFFD_FORMAT)) {
      const place = { file: at.file, line: 1, column: 1 };
      throw new UsageError(
        'files of opfuzz-uffd (userfaultfd) cannot be read yet',
        `a file that begins with "${FORMAT}"`,
        place,
      );
    }
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
    at.finish('the end of the line after the mode');
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
    return {
      kind: 'start',
      task: SELF,
      format: 'opfuzz',
      state,
      program: `opfuzz seed ${seed} mode ${mode}`,
    };
  }

  #operation(): ReplayOp {
    const at = this.#at;
    const number = at.decimal('the number of an operation, or "snapshot"');
    at.expect(' ', 'a blank and a call');
    const open = at.text.indexOf('(', at.pos);
    if (open < 0) at.missing('a call with its arguments in parentheses');
    const name = at.text.slice(at.pos, open);
    this.#call.readArgs(name, open + 1);
    const recorded = this.#result();
    const faults = this.#faults();
    at.finish('the end of the line');
    const { op, task } = this.#decode(name, number);
    if (op.call === 'touch') this.#touches++;
    const chosen: Chosen = op.call === 'clone' ? { handle: op.child } : chosenOf(op, this.#call);
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
    };
  }

  #decode(name: string, number: number): { op: Op; task: number } {
    const a = this.#call;
    switch (name) {
      case 'touch_read':
        return { op: touchOp(a.number(0), a.number(1), 'read', null), task: SELF };
      case 'touch_write':
        return { op: touchOp(a.number(0), a.number(1), 'write', number), task: SELF };
      case 'child_touch_read':
        return { op: touchOp(a.number(1), a.number(2), 'read', null), task: CHILD + a.int(0) };
      case 'child_touch_write':
        return {
          op: touchOp(a.number(1), a.number(2), 'write', number + CHILD_STAMP),
          task: CHILD + a.int(0),
        };
      case 'fork':
        return { op: { call: 'clone', flags: SIGCHLD, child: CHILD + a.value }, task: SELF };
      case 'child_exit':
        return { op: { call: 'exit_group' }, task: CHILD + a.int(0) };
      case 'migrate_start':
      case 'migrate_end':
        return { op: migrateOp(a, name), task: SELF };
      case 'nop':
        return { op: { call: 'nop' }, task: SELF };
    }
    const op = CALL_RULES.get(name)?.decode(a) ?? null;
    if (op === null || typeof op === 'string') {
      this.#at.fail(
        `"${name}" is no operation of an ops file`,
        'mmap, munmap, mprotect, mremap, madvise, mlock, mlock2, munlock, prctl, touch_read, touch_write, fork, child_…, migrate_start, migrate_end or nop',
        this.#at.text.indexOf(name),
      );
    }
    return { op, task: SELF };
  }

  /** Reads ` = RESULT`, if there is one. */
  #result(): Recorded {
    const at = this.#at;
    const call = this.#call;
    call.result = 'none';
    if (at.atEnd) return { kind: 'none' };
    at.expect(' = ', '" = " and the result');
    call.result = 'value';
    if (at.accept('child ')) {
      call.value = at.decimal('the number of the child');
      return { kind: 'none' };
    }
    call.value = at.number('the result');
    if (call.value >= 0) return { kind: 'value', value: call.value };
    call.result = 'errno';
    at.expect(' ', 'a blank and the name of an error or a signal');
    const from = at.pos;
    const name = at.word();
    if (name === 'SIGSEGV' || name === 'SIGBUS') return this.#signal(name);
    if (!/^E[A-Z0-9]+$/.test(name))
      at.fail(`"${name}" is no error and no signal`, 'a name such as ENOMEM, SIGSEGV or SIGBUS', from);
    if (at.accept(' (')) at.pos = at.text.indexOf(')', at.pos) + 1;
    return { kind: 'errno', errno: name };
  }

  #signal(signal: string): Recorded {
    const at = this.#at;
    at.expect(' {si_code=', '" {si_code=" and the code');
    const comma = at.text.indexOf(',', at.pos);
    if (comma < 0) at.missing('si_code, then si_addr');
    const code = at.text.slice(at.pos, comma);
    at.pos = comma;
    at.expect(', si_addr=', '", si_addr=" and the address');
    const addr = at.number('the address');
    at.expect('}', '"}" after the address');
    return { kind: 'signal', signal, code, addr };
  }

  /** Reads ` <flt F>`, if it is there. */
  #faults(): number | null {
    const at = this.#at;
    if (!at.accept(' <flt ')) return null;
    const faults = at.decimal('the number of faults');
    at.expect('>', '">" after the number of faults');
    return faults;
  }
}

const migrateOp = (a: CallText, name: 'migrate_start' | 'migrate_end'): Op => ({
  call: 'migrate',
  addr: a.number(0),
  len: a.number(1),
  step: name === 'migrate_start' ? 'start' : 'end',
});

function touchOp(addr: Addr, len: number, access: Access, stamp: number | null): Op {
  return stamp === null
    ? { call: 'touch', addr, len, access, by: 'user' }
    : { call: 'touch', addr, len, access, stamp, by: 'user' };
}
