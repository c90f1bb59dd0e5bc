/**
 * The one form of a fault line that our recorder writes, read in a single sweep over its bytes: recordings have them by the hundred
 * thousand.
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
const NS_DIGITS = 9;

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const EVENT = bytesOf(': exceptions:page_fault_');
const USER = bytesOf('user: address=0x');
const KERNEL = bytesOf('kernel: address=0x');
const IP = bytesOf(' ip=');
const CODE = bytesOf(' error_code=0x');

/** The numbers of one line; one object for all lines of a file. */
export class RecordedFault {
  pid = 0;
  tid = 0;
  seconds = 0;
  nanoseconds = 0;
  isUser = true;
  addr = 0;
  errorCode = 0;
  #bytes: Uint8Array = EVENT;
  /** The next byte. */
  #at = 0;

  /** Reads the line at [from, to); false when it has another form, and then the numbers mean nothing. */
  read(bytes: Uint8Array, from: number, to: number): boolean {
    this.#bytes = bytes;
    this.#at = from;
    this.pid = this.#decimal();
    if (this.pid < 0 || !this.#isByte(SLASH)) return false;
    this.tid = this.#decimal();
    if (this.tid < 0 || !this.#isByte(BLANK)) return false;
    this.seconds = this.#decimal();
    if (this.seconds < 0 || !this.#isByte(DOT)) return false;
    const fraction = this.#at;
    this.nanoseconds = this.#decimal();
    if (this.#at - fraction !== NS_DIGITS || !this.#isNext(EVENT)) return false;
    this.isUser = this.#isNext(USER);
    if (!this.isUser && !this.#isNext(KERNEL)) return false;
    this.addr = this.#hex();
    if (this.addr < 0 || !this.#isNext(IP) || !this.#skipToCode(to)) return false;
    this.errorCode = this.#hex();
    return this.errorCode >= 0 && this.#at === to;
  }

  #isByte(byte: number): boolean {
    return this.#bytes[this.#at++] === byte;
  }

  /** Passes over `wanted` if it is next. */
  #isNext(wanted: Uint8Array): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
    this.#at = at + wanted.length;
    return true;
  }

  /** Passes over the instruction pointer, which may be a name; false: no error code follows it. */
  #skipToCode(to: number): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    while (at < to && bytes[at] !== BLANK) at++;
    this.#at = at;
    return this.#isNext(CODE);
  }

  /** Reads decimal digits; -1 when there are none. */
  #decimal(): number {
    const bytes = this.#bytes;
    const from = this.#at;
    let at = from;
    let value = 0;
    for (let digit = byteAt(bytes, at) - ZERO; digit >= 0 && digit <= 9; digit = byteAt(bytes, ++at) - ZERO)
      value = value * 10 + digit;
    this.#at = at;
    return at === from ? -1 : value;
  }

  /** Reads lower-case hexadecimal digits; -1 when there are none. */
  #hex(): number {
    const bytes = this.#bytes;
    const from = this.#at;
    let at = from;
    let value = 0;
    for (; ; at++) {
      const code = byteAt(bytes, at);
      if (code >= ZERO && code < ZERO + 10) value = value * 16 + code - ZERO;
      else if (code >= LOWER_A && code < LOWER_A + 6) value = value * 16 + code - LOWER_A + 10;
      else break;
    }
    this.#at = at;
    return at === from ? -1 : value;
  }
}

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
