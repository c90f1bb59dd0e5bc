/**
 * What an ops file has behind ` = `: numbers, errors, signals, structures, messages, `blocked`; and the page faults behind that.
 *
 *   = 0x200000000000 <flt 0>          = -1 EAGAIN (Resource temporarily unavailable) {copy=8192} <flt 2 maj 1>
 *   = -1 SIGBUS {si_code=BUS_ADRERR, si_addr=0x200000001000}          = {PAGEFAULT flags=WRITE addr=0x200000001000 ptid=w0} EAGAIN
 *   = blocked 1          = child 2          = u3          = 0 vec=1101
 */
import type { Recorded } from '../machine/op.ts';
import { CHILD, UFFD_FD } from './opsSnapshot.ts';
import { ownCopy, type Scanner } from './scanner.ts';
import type { CallText } from './straceArgs.ts';

const HEX = '0x[0-9a-f]+';
const REGION = '[0-9a-f]+-[0-9a-f]+ [A-Z_|0]+';
/** The structures that ioctls write to. */
const OUTPUT = new RegExp(
  `^\\{(api=${HEX}, features=${HEX}, ioctls=${HEX}|ioctls=${HEX}|(copy|zeropage|mapped|updated|move)=(-?\\d+|untouched)|walk_end=(${HEX}|untouched)(, regions=\\[${REGION}(, ${REGION})*\\])?)\\}$`,
);
const OUTPUTS =
  '{api=, features=, ioctls=}, {ioctls=}, {copy=}, {zeropage=}, {mapped=}, {updated=}, {move=} or {walk_end=, regions=[START-END CATEGORIES]}';
const MESSAGE = new RegExp(
  `^\\{(PAGEFAULT flags=(0|[A-Z|]+) addr=${HEX} ptid=(0|w\\d+|child\\d+)|FORK ufd=u\\d+|REMAP from=${HEX} to=${HEX} len=\\d+|(REMOVE|UNMAP) start=${HEX} end=${HEX})\\}$`,
);
const ERROR = /^E[A-Z0-9]+$/;

/** Reads the answers of one file. */
export class AnswerReader {
  readonly #at: Scanner;
  readonly #call: CallText;

  /** @param call  is given the plain result, for those who ask what the kernel chose */
  constructor(at: Scanner, call: CallText) {
    this.#at = at;
    this.#call = call;
  }

  /** Reads ` = RESULT`, if there is one. @param name  of the call, or null for one that is over */
  result(name: string | null): Recorded {
    const at = this.#at;
    const call = this.#call;
    call.result = 'none';
    if (at.atEnd) return { kind: 'none' };
    at.expect(' = ', '" = " and the result');
    if (name === 'uffd_read') return this.#messages();
    if (at.accept('blocked')) {
      return { kind: 'blocked', worker: at.accept(' ') ? at.decimal('the number of the worker') : null };
    }
    call.result = 'value';
    if (at.accept('child ')) {
      call.value = at.decimal('the number of the child');
      return { kind: 'value', value: CHILD + call.value };
    }
    if (at.accept('u')) {
      call.value = UFFD_FD + at.decimal('the number of the userfaultfd');
      return { kind: 'value', value: call.value };
    }
    call.value = at.number('the result');
    if (call.value >= 0) return this.#value(call.value, name);
    call.result = 'errno';
    at.expect(' ', 'a blank and the name of an error or a signal');
    const from = at.pos;
    const word = at.word();
    if (word === 'SIGSEGV' || word === 'SIGBUS') return this.#signal(word);
    if (!ERROR.test(word))
      at.fail(`"${word}" is no error and no signal`, 'a name such as ENOMEM, SIGSEGV or SIGBUS', from);
    if (at.accept(' (')) at.pos = at.text.indexOf(')', at.pos) + 1;
    return this.#withOutput({ kind: 'errno', errno: ownCopy(word) }, name);
  }

  /** Reads ` <flt F>` or ` <flt F maj M>`, if it is there: of how many had to wait for a device nobody is asked. */
  faults(): number | null {
    const at = this.#at;
    if (!at.accept(' <flt ')) return null;
    const faults = at.decimal('the number of faults');
    if (at.accept(' maj ')) at.decimal('the number of major faults');
    at.expect('>', '">" after the number of faults');
    return faults;
  }

  /** Reads ` vec=1101` or a structure, if it is there. */
  #value(value: number, name: string | null): Recorded {
    const at = this.#at;
    if (!at.accept(' vec=')) return this.#withOutput({ kind: 'value', value }, name);
    const from = at.pos;
    const resident = at.word();
    if (!/^[01]*$/.test(resident)) at.fail(`"${resident}" are no pages`, '0 or 1 for each page', from);
    return { kind: 'value', value, resident: ownCopy(resident) };
  }

  #withOutput(result: Extract<Recorded, { kind: 'value' | 'errno' }>, name: string | null): Recorded {
    const output = this.#at.accept(' {') ? this.#braces(OUTPUT, OUTPUTS) : null;
    return output === null && name !== 'ioctl' ? result : { kind: 'ioctl', result, output };
  }

  /** Reads up to the closing brace; the opening one was read. */
  #braces(pattern: RegExp, wanted: string): string {
    const at = this.#at;
    const from = at.pos - 1;
    const close = at.text.indexOf('}', from);
    const text = at.text.slice(from, close < 0 ? at.text.length : close + 1);
    if (!pattern.test(text)) at.fail(`found "${text}"`, wanted, from);
    at.pos = close + 1;
    return ownCopy(text);
  }

  #messages(): Recorded {
    const at = this.#at;
    const words: string[] = [];
    do {
      if (at.accept('{'))
        words.push(this.#braces(MESSAGE, 'a message such as {PAGEFAULT flags=0 addr=0x1000 ptid=0}'));
      else {
        const from = at.pos;
        const word = at.word();
        if (!ERROR.test(word))
          at.fail(`"${word}" is no message and no error`, '{MESSAGE …} or a name such as EAGAIN', from);
        words.push(word);
        break;
      }
    } while (at.accept(' '));
    return { kind: 'messages', text: ownCopy(words.join(' ')) };
  }

  #signal(signal: string): Recorded {
    const at = this.#at;
    at.expect(' {si_code=', '" {si_code=" and the code');
    const comma = at.text.indexOf(',', at.pos);
    if (comma < 0) at.missing('si_code, then si_addr');
    const code = ownCopy(at.text.slice(at.pos, comma));
    at.pos = comma;
    at.expect(', si_addr=', '", si_addr=" and the address');
    const addr = at.number('the address');
    at.expect('}', '"}" after the address');
    return { kind: 'signal', signal, code, addr };
  }
}
