/**
 * The text of one system call as strace prints it, cut into arguments and result, and read on demand.
 *
 *   mmap(0x7f…, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, 3</usr/lib/libx.so>, 0x26000) = 0x7f… <0.000013>
 *
 * Arguments are ranges of the text; nothing is copied until somebody asks for a value. Members of structures and elements of lists are ranges too
 * (`member`, `elements`), so that one set of readers serves all. Written by hand, because it runs for every line.
 * Numbers may be decimal, hex, octal, products (`8192*1024`) or names; a C comment may follow each (`0x66` and then `MADV_???`).
 */
// Long because: arguments, their parts and the result of a call are ranges of one text, and nobody else knows where they lie.
import { errnoByName, errnoName } from '../abi/errno.ts';
import type { Place } from '../base/assert.ts';
import type { Recorded } from '../machine/op.ts';
import { hexDigit, isDigit, ownCopy, type Scanner } from './scanner.ts';
import { endOfComment, endOfDecoration, endOfString } from './straceBrackets.ts';
import { termValue, unescaped } from './straceValues.ts';

const DOT = 46;
const [FIRST_RANGES, MOST_RANGES] = [64, 8192];
const [BLANK, QUOTE, OPEN, CLOSE, STAR, COMMA, MINUS, SLASH, ZERO, LESS, GREATER, QUESTION] = [
  32, 34, 40, 41, 42, 44, 45, 47, 48, 60, 62, 63,
];
const [OPEN_SQUARE, CLOSE_SQUARE, OPEN_CURLY, PIPE, CLOSE_CURLY, LOWER_X] = [91, 93, 123, 124, 125, 120];
const FLAG_CACHE_MAX = 4096;
/** More digits may be no exact number. */
const MOST_DIGITS = 15;

/** What to do with a name that is in none of our tables. */
export type UnknownName = 'refuse' | 'ignore';

/** Values of arguments by their text, with unknown names refused and ignored. */
type FlagCache = Readonly<Record<UnknownName, Map<string, number>>>;

/** One for each set of names: files of one kind share what was worked out. */
const flagCaches = new WeakMap<ReadonlyMap<string, number>, FlagCache>();
const NO_NAMES: ReadonlyMap<string, number> = new Map();

function cacheFor(names: ReadonlyMap<string, number>): FlagCache {
  const cache = flagCaches.get(names) ?? { refuse: new Map(), ignore: new Map() };
  flagCaches.set(names, cache);
  return cache;
}

/** A call's text; reused for all calls of a file. */
export class CallText {
  readonly #at: Scanner;
  readonly #names: ReadonlyMap<string, number>;
  #from = new Int32Array(FIRST_RANGES);
  #to = new Int32Array(FIRST_RANGES);
  readonly #flagCache: FlagCache;
  #nrRanges = 0;
  #argsEnd = 0;
  #text = '';
  /** Name of the call. */
  name = '';
  /** The thread that makes it; set by the reader. */
  tid = 0;
  /** How many arguments were printed. */
  nrArgs = 0;
  /** `value`: a number came back; `errno`; `none`: the call did not return (`= ?`). */
  result: 'value' | 'errno' | 'none' = 'none';
  value = 0;
  errno = '';
  /** The path behind a descriptor that came back, as maps would print it, or null. */
  resultPath: string | null = null;
  /** How long the call took in ns, or -1 where the line does not say. */
  durationNs = -1;

  /** @param at  the scanner of the file; it holds the text and makes the errors; @param names  that stand for numbers besides the constants */
  constructor(at: Scanner, names: ReadonlyMap<string, number> = NO_NAMES) {
    this.#at = at;
    this.#names = names;
    this.#flagCache = cacheFor(names);
  }

  /** Cuts the scanner's text from `from` (after the opening parenthesis) into arguments and result. */
  read(name: string, from: number): void {
    this.readArgs(name, from);
    this.#readResult();
  }

  /** Cuts only the arguments, which may end without a closing parenthesis (a line that is unfinished at `to`). */
  readArgs(name: string, from: number, to?: number): void {
    this.name = name;
    this.#text = this.#at.text;
    this.#nrRanges = 0;
    this.result = 'none';
    this.resultPath = null;
    this.durationNs = -1;
    this.#argsEnd = this.#split(from, to ?? this.#text.length, to === undefined ? CLOSE : 0);
    this.#at.pos = this.#argsEnd;
    this.nrArgs = this.#nrRanges;
  }

  /** Tells whether argument `i` was printed. */
  has(i: number): boolean {
    return i < this.#nrRanges;
  }

  /** Where it is. */
  get place(): Place {
    return { file: this.#at.file, line: this.#at.line, column: 0 };
  }

  /** Returns the text of argument `i`. */
  text(i: number): string {
    this.#need(i);
    return this.#text.slice(this.#from[i], this.#to[i]);
  }

  /** Tells whether argument `i` begins with a small letter, which no number and no constant does. */
  startsWithLetter(i: number): boolean {
    return (this.#text[this.#from[i]!] ?? '') >= 'a';
  }

  /** Tells whether argument `i` is NULL (or 0). */
  isNull(i: number): boolean {
    const text = this.text(i);
    return text === 'NULL' || text === '0';
  }

  /** Tells whether argument `i` is a structure or a list that strace has read, not just a pointer. */
  isOpened(i: number): boolean {
    this.#need(i);
    const code = this.#text.charCodeAt(this.#from[i]!);
    return code === OPEN_CURLY || code === OPEN_SQUARE;
  }

  /** Returns argument `i` as a number: an address, a size, a plain constant. */
  number(i: number): number {
    this.#need(i);
    const from = this.#from[i]!;
    if (this.#text.charCodeAt(from) !== ZERO) return this.#decimal(from, this.#to[i]!) ?? this.flags(i);
    return this.#text.charCodeAt(from + 1) === LOWER_X ? this.#hexTo(from + 2, i) : this.flags(i);
  }

  /** Returns the number whose digits [from, to) are; null if they are anything else. */
  #decimal(from: number, to: number): number | null {
    if (to - from > MOST_DIGITS) return null;
    let value = 0;
    for (let at = from; at < to; at++) {
      const code = this.#text.charCodeAt(at);
      if (!isDigit(code)) return null;
      value = value * 10 + (code - ZERO);
    }
    return value;
  }

  /** Returns argument `i`, constants joined by `|`, as a number. Names we do not know are refused, or count as 0. */
  flags(i: number, unknown: UnknownName = 'refuse'): number {
    const text = this.text(i);
    const cache = this.#flagCache[unknown];
    const known = cache.get(text);
    if (known !== undefined) return known;
    const value = this.#sumOf(this.#from[i]!, this.#to[i]!, unknown);
    if (cache.size >= FLAG_CACHE_MAX) cache.clear();
    cache.set(ownCopy(text), value);
    return value;
  }

  /** Returns argument `i` as a 32-bit signed integer: a descriptor, of which -1 may have been printed as 0xffffffff. */
  int(i: number): number {
    this.#need(i);
    let at = this.#from[i]!;
    const negative = this.#text.charCodeAt(at) === MINUS;
    if (negative) at++;
    const isHex = this.#text.charCodeAt(at) === ZERO && this.#text.charCodeAt(at + 1) === LOWER_X;
    if (!isHex && !isDigit(this.#text.charCodeAt(at))) return this.flags(i);
    const base = isHex ? 16 : 10;
    let value = 0;
    for (at += isHex ? 2 : 0; at < this.#to[i]!; at++) {
      const digit = hexDigit(this.#text.charCodeAt(at));
      if (digit < 0 || digit >= base) break;
      value = (Math.imul(value, base) + digit) | 0;
    }
    return negative ? -value : value;
  }

  /** Returns the path behind descriptor `i` (option -y) as maps prints it, or null. */
  fdPath(i: number): string | null {
    this.#need(i);
    const open = this.#text.indexOf('<', this.#from[i]);
    if (open < 0 || open >= this.#to[i]!) return null;
    return this.#pathAt(open, this.#to[i]!);
  }

  /** Returns argument `i`, a quoted string, decoded; null where strace printed a pointer or NULL. */
  string(i: number): string | null {
    this.#need(i);
    const from = this.#from[i]!;
    if (this.#text.charCodeAt(from) !== QUOTE) return null;
    return unescaped(this.#text.slice(from + 1, endOfString(this.#at, from) - 1));
  }

  /** Returns the number of the range that holds member `name` of structure `i`; read it as if it were an argument. */
  member(i: number, name: string): number {
    return this.memberOrNull(i, name) ?? this.fail(i, `a member ${name}=`);
  }

  /** The same; null where structure `i` has no such member. */
  memberOrNull(i: number, name: string): number | null {
    return this.#afterName(this.elements(i), this.#nrRanges, name);
  }

  /** Returns the number of the argument that strace printed as `name=…`, or null; read it as if it were a plain one. */
  named(name: string): number | null {
    return this.#afterName(0, this.nrArgs, name);
  }

  /** Cuts structure or list `i` into its elements and returns the number of the first; `nrRanges` is one more than the last. */
  elements(i: number): number {
    this.#need(i);
    const first = this.#nrRanges;
    if (!this.isOpened(i)) this.fail(i, 'a structure or list', 'expected { or [');
    this.#split(this.#from[i]! + 1, this.#to[i]! - 1, 0);
    return first;
  }

  /** How many arguments, members and elements have been cut so far. */
  get nrRanges(): number {
    return this.#nrRanges;
  }

  /** The result in the form an OpRecord keeps. */
  recorded(): Recorded {
    switch (this.result) {
      case 'value':
        return { kind: 'value', value: this.value };
      case 'errno':
        return { kind: 'errno', errno: this.errno };
      case 'none':
        return { kind: 'none' };
    }
  }

  /** Throws the UsageError for argument `i`. */
  fail(i: number, wanted: string, problem?: string): never {
    const text = i < this.#nrRanges ? `"${this.#text.slice(this.#from[i], this.#to[i])}"` : 'nothing';
    return this.#at.fail(
      `argument ${i + 1} of ${this.name} is ${problem ?? text}`,
      wanted,
      this.#from[i] ?? this.#at.pos,
    );
  }

  /** Finds `name=` among ranges [first, last) and leaves only what follows it. */
  #afterName(first: number, last: number, name: string): number | null {
    for (let range = first; range < last; range++) {
      const from = this.#from[range]!;
      if (!this.#text.startsWith(name, from) || this.#text[from + name.length] !== '=') continue;
      this.#from[range] = from + name.length + 1;
      return range;
    }
    return null;
  }

  #need(i: number): void {
    if (i < this.#nrRanges) return;
    this.#at.fail(
      `${this.name} has ${this.#nrRanges} arguments here`,
      `at least ${i + 1} arguments`,
      Math.max(0, this.#argsEnd - 1),
    );
  }

  #grow(from: number): void {
    if (this.#nrRanges === MOST_RANGES)
      this.#at.fail('too many members in one call', `at most ${MOST_RANGES}`, from);
    const [starts, ends] = [new Int32Array(MOST_RANGES), new Int32Array(MOST_RANGES)];
    starts.set(this.#from);
    ends.set(this.#to);
    this.#from = starts;
    this.#to = ends;
  }
  #push(from: number, to: number): void {
    if (this.#nrRanges === this.#from.length) this.#grow(from);
    let start = from;
    let end = to;
    while (start < end && this.#text.charCodeAt(start) === BLANK) start++;
    while (end > start && this.#text.charCodeAt(end - 1) === BLANK) end--;
    if (start === end) return;
    this.#from[this.#nrRanges] = start;
    this.#to[this.#nrRanges++] = end;
  }

  /** Cuts [from, to) at its outer commas, up to an outer `closing` (0: up to `to`), and returns the index after it. */
  #split(from: number, to: number, closing: number): number {
    const text = this.#text;
    let depth = 0;
    let start = from;
    let i = from;
    for (; i < to; i++) {
      switch (text.charCodeAt(i)) {
        case QUOTE:
          i = endOfString(this.#at, i) - 1;
          break;
        case OPEN:
        case OPEN_SQUARE:
        case OPEN_CURLY:
          depth++;
          break;
        case CLOSE:
        case CLOSE_SQUARE:
        case CLOSE_CURLY:
          if (depth === 0 && text.charCodeAt(i) === closing) {
            this.#push(start, i);
            return i + 1;
          }
          depth--;
          break;
        case COMMA:
          if (depth !== 0) break;
          this.#push(start, i);
          start = i + 1;
          break;
        case SLASH:
          if (text.charCodeAt(i + 1) === STAR) i = endOfComment(this.#at, i) - 1;
          break;
        case LESS:
          if (this.#isDecoration(i)) i = endOfDecoration(this.#at, i) - 1;
          break;
      }
    }
    if (closing !== 0)
      this.#at.fail('the line ends inside the arguments', `")" and the result of ${this.name}`, text.length);
    this.#push(start, to);
    return to;
  }

  /** A `<` right behind a number or a name opens a path; one behind a blank, or followed by another, does not. */
  #isDecoration(i: number): boolean {
    const before = this.#text.charCodeAt(i - 1);
    return before !== BLANK && before !== LESS && this.#text.charCodeAt(i + 1) !== LESS;
  }

  #pathAt(open: number, to: number): string {
    const close = endOfDecoration(this.#at, open);
    const path = unescaped(this.#text.slice(open + 1, close - 1)).replaceAll('\n', '\\012');
    return this.#text.startsWith('(deleted)', close) && close < to ? `${path} (deleted)` : path;
  }

  #hexTo(from: number, i: number): number {
    const to = this.#to[i]!;
    let value = 0;
    let at = from;
    for (
      let digit = hexDigit(this.#text.charCodeAt(at));
      digit >= 0;
      digit = hexDigit(this.#text.charCodeAt(++at))
    ) {
      value = value * 16 + digit;
    }
    if (at === from || (at < to && this.#text.charCodeAt(at) !== BLANK))
      this.fail(i, 'a hexadecimal number such as 0x7f0000001000');
    return value;
  }

  /** Adds up the terms of [from, to) between `|`; bits named twice count once because strace never does so. */
  #sumOf(from: number, to: number, unknown: UnknownName): number {
    let sum = 0;
    let start = from;
    for (let i = from; i <= to; i++) {
      const code = i === to ? PIPE : this.#text.charCodeAt(i);
      if (code === SLASH && this.#text.charCodeAt(i + 1) === STAR) i = endOfComment(this.#at, i) - 1;
      else if (code === PIPE) {
        sum += this.#termValue(start, i, unknown);
        start = i + 1;
      }
    }
    return sum;
  }

  #termValue(from: number, to: number, unknown: UnknownName): number {
    const comment = this.#text.indexOf('/*', from);
    const term = this.#text.slice(from, comment >= 0 && comment < to ? comment : to).trim();
    const value = termValue(term) ?? this.#names.get(term) ?? null;
    if (value !== null) return value;
    if (unknown === 'ignore') return 0;
    return this.#at.fail(`"${term}" is no constant of ${this.name}`, 'a number or a constant by name', from);
  }

  #readResult(): void {
    const at = this.#at;
    at.blanks();
    at.expect('=', `" = " and the result of ${this.name}`);
    at.blanks();
    const code = at.peek();
    if (code === QUESTION) at.pos++;
    else if (code === MINUS) this.#readNegative();
    else {
      const from = at.pos;
      this.value = at.number(`the result of ${this.name}`);
      this.result = 'value';
      if (at.peek() === LESS && at.pos > from) this.resultPath = this.#pathAt(at.pos, this.#text.length);
    }
    this.#readDuration();
  }

  #readNegative(): void {
    const at = this.#at;
    const from = at.pos;
    const value = at.number(`the result of ${this.name}`);
    at.blanks();
    const name = at.word();
    const byNumber = /^\(errno (\d+)\)/.exec(`${name}${at.text.slice(at.pos, at.pos + 12)}`);
    if (byNumber !== null) this.errno = errnoName(Number(byNumber[1]));
    else if (/^E[A-Z0-9]+$/.test(name)) this.errno = name;
    else if (name.startsWith('E'))
      at.fail(`"${name}" is no error name`, 'a name such as ENOMEM', at.pos - name.length);
    else if (value > -4096 && value !== -1) this.errno = errnoName(-value);
    else {
      this.result = 'value';
      this.value = value;
      return;
    }
    if (errnoByName(this.errno) === null && !/^E/.test(this.errno))
      at.fail(`"${this.errno}"`, 'an error name', from);
    this.result = 'errno';
  }

  /** Reads `<0.000013>` at the end of the line, in ns. */
  #readDuration(): void {
    const text = this.#text;
    if (text.charCodeAt(text.length - 1) !== GREATER) return;
    const open = text.lastIndexOf('<');
    if (open < this.#at.pos || !isDigit(text.charCodeAt(open + 1))) return;
    let seconds = 0;
    let i = open + 1;
    for (; isDigit(text.charCodeAt(i)); i++) seconds = seconds * 10 + (text.charCodeAt(i) - ZERO);
    if (text.charCodeAt(i) !== DOT) return;
    let nanoseconds = 0;
    let unit = 100_000_000;
    for (i++; isDigit(text.charCodeAt(i)); i++, unit /= 10) nanoseconds += (text.charCodeAt(i) - ZERO) * unit;
    if (i === text.length - 1) this.durationNs = seconds * 1e9 + Math.floor(nanoseconds);
  }
}
