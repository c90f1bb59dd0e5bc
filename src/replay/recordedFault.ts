/**
 * The one form of a fault line that our recorder writes, read in a single sweep: recordings have them by the hundred thousand.
 *
 *   16605/16605 1795171146.945064389: exceptions:page_fault_user: address=0x7f40… ip=0x7f40… error_code=0x14
 *
 * Whatever differs in anything is left to the reader that knows all forms and says what is wrong (perf.ts).
 */

const BLANK = 32;
const DOT = 46;
const SLASH = 47;
const ZERO = 48;
const LOWER_A = 97;
const USER = ': exceptions:page_fault_user: address=0x';
const KERNEL = ': exceptions:page_fault_kernel: address=0x';
const CODE = ' error_code=0x';
const NS_DIGITS = 9;

/** The numbers of one line; one object for all lines of a file. */
export class RecordedFault {
  pid = 0;
  tid = 0;
  seconds = 0;
  nanoseconds = 0;
  isUser = true;
  addr = 0;
  errorCode = 0;
  /** Where the last number ended. */
  #end = 0;

  /** Reads a line; false when it has another form, and then the numbers mean nothing. */
  read(text: string): boolean {
    this.pid = this.#decimal(text, 0);
    if (this.pid < 0 || text.charCodeAt(this.#end) !== SLASH) return false;
    this.tid = this.#decimal(text, this.#end + 1);
    if (this.tid < 0 || text.charCodeAt(this.#end) !== BLANK) return false;
    this.seconds = this.#decimal(text, this.#end + 1);
    if (this.seconds < 0 || text.charCodeAt(this.#end) !== DOT) return false;
    const fraction = this.#end + 1;
    this.nanoseconds = this.#decimal(text, fraction);
    if (this.#end - fraction !== NS_DIGITS) return false;
    this.isUser = text.startsWith(USER, this.#end);
    if (!this.isUser && !text.startsWith(KERNEL, this.#end)) return false;
    this.addr = this.#hex(text, this.#end + (this.isUser ? USER.length : KERNEL.length));
    if (this.addr < 0 || !text.startsWith(' ip=', this.#end)) return false;
    const code = text.indexOf(CODE, this.#end);
    if (code < 0) return false;
    this.errorCode = this.#hex(text, code + CODE.length);
    return this.errorCode >= 0 && this.#end === text.length;
  }

  /** Reads decimal digits from `at` on; -1 when there are none. */
  #decimal(text: string, at: number): number {
    let value = 0;
    let i = at;
    for (let digit = text.charCodeAt(i) - ZERO; digit >= 0 && digit <= 9; digit = text.charCodeAt(++i) - ZERO)
      value = value * 10 + digit;
    this.#end = i;
    return i === at ? -1 : value;
  }

  /** Reads lower-case hexadecimal digits from `at` on; -1 when there are none. */
  #hex(text: string, at: number): number {
    let value = 0;
    let i = at;
    for (; ; i++) {
      const code = text.charCodeAt(i);
      if (code >= ZERO && code < ZERO + 10) value = value * 16 + code - ZERO;
      else if (code >= LOWER_A && code < LOWER_A + 6) value = value * 16 + code - LOWER_A + 10;
      else break;
    }
    this.#end = i;
    return i === at ? -1 : value;
  }
}
