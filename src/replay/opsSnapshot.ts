/**
 * Snapshots in `.ops` files: from `snapshot NUMBER` to `end`, the window of each process as /proc showed it.
 *
 *   self pgtables_kb=140                                    child 0 pgtables_kb=68 swap_kb=12
 *   vma START-END PERMS OFFSET [NAME] Rss=852 … flags=rd wr mr mw me ac
 *   internal START-END pgoff=N anon=1 root=1 parent=1 children=1 vmas=2 chain=1
 *   pg START-END P--X---- v=23
 *
 * Where threads sleep, there are two columns more, swap_kb=, and the lines of opsSnapshotUffd.ts.
 */
import { must } from '../base/assert.ts';
import type {
  Snapshot,
  SnapshotCategories,
  SnapshotInternals,
  SnapshotPages,
  SnapshotProcess,
  SnapshotText,
  SnapshotVma,
} from './item.ts';
import { readCategories, UffdLines } from './opsSnapshotUffd.ts';
import { isDigit, ownCopy, Scanner } from './scanner.ts';

/** The task of the process itself. */
export const SELF = 1;
/** The task of child 0; child K is CHILD + K. */
export const CHILD = 2;
/** The task of worker 0 of the process in files with userfaultfd; worker T is WORKER + T. */
export const WORKER = 900_000;
/** The descriptor of userfaultfd 0 in ops files; uN is UFFD_FD + N. */
export const UFFD_FD = 10_000;

const PERMS = /^[r-][w-][x-][ps]$/;
const PAGE_FLAGS = /^[P-][S-][F-][X-][D-][G-][Z-][H-]$/;
const PAGE_FLAGS_UFFD = /^[P-][S-][F-][X-][D-][G-][Z-][H-][W-][wpg-]$/;
const [BLANK, ZERO, EQUALS, UPPER_A, UPPER_Z, UNDERSCORE, LOWER_A, LOWER_Z] = [
  32, 48, 61, 65, 90, 95, 97, 122,
];

const isWordCharacter = (code: number): boolean =>
  (code >= LOWER_A && code <= LOWER_Z) ||
  (code >= UPPER_A && code <= UPPER_Z) ||
  code === UNDERSCORE ||
  isDigit(code);

interface OpenProcess {
  readonly task: number;
  readonly pageTablesKb: number;
  readonly swapKb: number | null;
  readonly vmas: SnapshotVma[];
  readonly pages: SnapshotPages[];
  readonly categories: SnapshotCategories[];
  internals: SnapshotInternals[] | null;
  readonly line: number;
}

/** Collects the lines of one snapshot after another. */
export class SnapshotReader {
  readonly #at: Scanner;
  /** Words and lists of flags that were read before, and are valid. */
  readonly #words = new Map<string, { readonly word: string; readonly pattern: RegExp }>();
  readonly #codes = new Map<string, readonly string[]>();
  #processes: OpenProcess[] = [];
  /** The operation that it follows. */
  number = 0;
  #line = 0;
  readonly #lines: UffdLines;
  /** Between `snapshot` and `end`. */
  isOpen = false;
  /** They are those of a file with userfaultfd. */
  isUffd = false;

  constructor(at: Scanner) {
    this.#at = at;
    this.#lines = new UffdLines(at);
  }

  /** It was asked for, and nothing of it has come. */
  get isAsked(): boolean {
    return this.isOpen && this.#processes.length === 0;
  }
  /** Nothing of it comes. */
  leaveOut(): void {
    this.isOpen = false;
  }

  /** Reads the scanner's line; returns the snapshot when it was its last. */
  read(): Snapshot | null {
    const at = this.#at;
    if (!this.isOpen) {
      at.expect('snapshot ', '"snapshot " and the number of an operation');
      this.number = at.decimal('the number of an operation');
      at.finish('the end of the line');
      this.#line = at.line;
      this.#processes = [];
      this.isOpen = true;
      return null;
    }
    if (at.text === 'end') {
      this.isOpen = false;
      const processes: readonly SnapshotProcess[] = this.#processes;
      const uffd = this.isUffd ? this.#lines.take() : null;
      return { kind: 'snapshot', number: this.number, processes, uffd, file: at.file, line: this.#line };
    }
    if (at.accept('self ')) this.#begin(SELF);
    else if (at.accept('child ')) this.#begin(CHILD + at.decimal('the number of the child'));
    else if (at.accept('vma ')) this.#current().vmas.push(this.#vma());
    else if (at.accept('pg ')) this.#current().pages.push(this.#pages());
    else if (at.accept('internal ')) {
      const process = this.#current();
      process.internals ??= [];
      process.internals.push(this.#internals());
    } else if (this.isUffd && at.accept('cat ')) this.#current().categories.push(readCategories(at));
    else if (!this.isUffd) at.missing('"self", "child K", "vma", "internal", "pg" or "end"');
    else if (!this.#lines.accept())
      at.missing(
        '"self", "child K", "vma", "internal", "pg", "cat", "uffd uN", "memfd m0", "blocked" or "end"',
      );
    return null;
  }

  #begin(task: number): void {
    const at = this.#at;
    at.blanks();
    at.expect('pgtables_kb=', 'pgtables_kb= and a number');
    const pageTablesKb = at.decimal('a number of kB');
    const swapKb = this.isUffd || at.text.startsWith(' swap_kb=', at.pos) ? this.#swapKb() : null;
    at.finish('the end of the line');
    const lists = { vmas: [], pages: [], categories: [], internals: null };
    this.#processes.push({ task, pageTablesKb, swapKb, ...lists, line: at.line });
  }

  #swapKb(): number {
    this.#at.expect(' swap_kb=', '" swap_kb=" and a number');
    return this.#at.decimal('a number of kB');
  }

  #current(): OpenProcess {
    return (
      this.#processes.at(-1) ??
      this.#at.fail('there is no process yet', '"self" or "child K" before the first vma', 0)
    );
  }

  #vma(): SnapshotVma {
    const at = this.#at;
    const start = at.hex('the start address in hex');
    at.expect('-', '"-" between start and end');
    const end = at.hex('the end address in hex');
    at.expect(' ', 'a blank and four permission letters');
    const perms = this.#checkedWord(PERMS, 'no permissions', 'four letters such as rw-p');
    at.expect(' ', 'a blank and the offset in hex');
    const offset = at.hex('the offset in hex');
    const flagsAt = at.text.lastIndexOf(' flags=');
    if (flagsAt < at.pos) at.missing('the figures and flags=');
    const figures = new Map<string, number>();
    const name = this.#figures(flagsAt, figures) ? '' : this.#nameAndFigures(flagsAt, figures);
    return { start, end, perms, offset, name, figures, vmFlags: this.#vmFlags(flagsAt), line: at.line };
  }

  /** Reads a word that matches `pattern`; all that are equal are one string. */
  #checkedWord(pattern: RegExp, is: string, wanted: string): string {
    const at = this.#at;
    const word = at.word();
    const known = this.#words.get(word);
    if (known !== undefined && known.pattern === pattern) return known.word;
    if (!pattern.test(word)) at.fail(`"${word}" are ${is}`, wanted, at.pos - word.length);
    const own = ownCopy(word);
    this.#words.set(own, { word: own, pattern });
    return own;
  }

  /** Reads `Rss=4 Swap=8` up to `end`. Returns false, and reads nothing, if there is something else, too: a name. */
  #figures(end: number, figures: Map<string, number>): boolean {
    const { text, pos } = this.#at;
    for (let from = pos; from < end; ) {
      if (text.charCodeAt(from) === BLANK) {
        from++;
        continue;
      }
      const code = text.charCodeAt(from);
      if (code < UPPER_A || code > UPPER_Z) return false;
      let equals = from + 1;
      while (isWordCharacter(text.charCodeAt(equals))) equals++;
      if (text.charCodeAt(equals) !== EQUALS) return false;
      let value = 0;
      let to = equals + 1;
      for (; isDigit(text.charCodeAt(to)); to++) value = value * 10 + (text.charCodeAt(to) - ZERO);
      if (to === equals + 1 || text.charCodeAt(to) !== BLANK) return false;
      figures.set(text.slice(from, equals), value);
      from = to;
    }
    return true;
  }

  /** Reads what #figures does not. Names of files may hold blanks and "=", figures are the words at the end. */
  #nameAndFigures(end: number, figures: Map<string, number>): string {
    figures.clear();
    const words = this.#at.text
      .slice(this.#at.pos, end)
      .split(' ')
      .filter((word) => word !== '');
    for (let word = words.at(-1); word !== undefined; word = words.at(-1)) {
      const figure = /^([A-Z]\w*)=(\d+)$/.exec(word);
      if (figure === null) break;
      figures.set(figure[1] ?? '', Number(figure[2]));
      words.pop();
    }
    return ownCopy(words.join(' '));
  }

  /** Reads the codes behind ` flags=`; lists that are equal are one. */
  #vmFlags(flagsAt: number): readonly string[] {
    const at = this.#at;
    const codes = at.text.slice(flagsAt + ' flags='.length);
    let vmFlags = this.#codes.get(codes);
    if (vmFlags === undefined) {
      vmFlags = codes === '' ? [] : ownCopy(codes).split(' ');
      const wrong = vmFlags.find((code) => !/^[a-z?]{2}$/.test(code));
      if (wrong !== undefined)
        at.fail(`"${wrong}" is no flag code`, 'codes of two letters', at.text.indexOf(wrong, flagsAt));
      this.#codes.set(ownCopy(codes), vmFlags);
    }
    return vmFlags;
  }

  #internals(): SnapshotInternals {
    const at = this.#at;
    const start = at.hex('the start address in hex');
    at.expect('-', '"-" between start and end');
    const end = at.hex('the end address in hex');
    const field = (name: string): number => {
      at.expect(` ${name}=`, `" ${name}=" and a number`);
      return at.number(`${name} as a number`);
    };
    const internals = {
      start,
      end,
      pgoff: field('pgoff'),
      anonVma: field('anon'),
      root: field('root'),
      parent: field('parent'),
      children: field('children'),
      vmas: field('vmas'),
      chain: field('chain'),
      line: at.line,
    };
    at.finish('the end of the line');
    return internals;
  }

  #pages(): SnapshotPages {
    const at = this.#at;
    const start = at.hex('the start address in hex');
    at.expect('-', '"-" between start and end');
    const end = at.hex('the end address in hex');
    at.expect(' ', `a blank and ${this.isUffd ? 'ten' : 'eight'} columns`);
    const flags = this.isUffd
      ? this.#checkedWord(
          PAGE_FLAGS_UFFD,
          'no page flags',
          'P S F X D G Z H W or - in nine columns, then w, p, g or -',
        )
      : this.#checkedWord(PAGE_FLAGS, 'no page flags', 'P S F X D G Z H or - in eight columns');
    const stamp = at.accept(' v=') ? at.decimal('the stamp') : null;
    at.finish('the end of the line');
    return { start, end, flags, stamp, line: at.line };
  }
}

const [LOWER_E, NEWLINE] = [101, 10];
/** What a snapshot ends with. */
export const LAST_LINE = 'end';

const isLastLine = (text: string, at: number): boolean => {
  if (text.charCodeAt(at) !== LOWER_E || !text.startsWith(LAST_LINE, at)) return false;
  const end = at + LAST_LINE.length;
  return end === text.length || text.charCodeAt(end) === NEWLINE;
};

/**
 * A snapshot whose lines were only passed over: they are read when somebody asks for processes. Only of files without userfaultfd.
 *
 * @throws UsageError  then, for what is wrong with them
 */
export class UnreadSnapshot implements Snapshot {
  readonly kind = 'snapshot';
  readonly number: number;
  readonly uffd = null;
  readonly unread: SnapshotText;
  readonly file: string;
  readonly line: number;
  #read: Snapshot | null = null;

  constructor(
    unread: SnapshotText,
    of: { readonly number: number; readonly file: string; readonly line: number },
  ) {
    this.unread = unread;
    this.number = of.number;
    this.file = of.file;
    this.line = of.line;
  }

  get processes(): readonly SnapshotProcess[] {
    this.#read ??= this.#lines();
    return this.#read.processes;
  }

  #lines(): Snapshot {
    const { text, from, to } = this.unread;
    const at = new Scanner(this.file);
    const reader = new SnapshotReader(at);
    let { line } = this;
    at.start(`snapshot ${this.number}`, line);
    reader.read();
    for (const each of text.slice(from, to).split('\n').slice(0, -1)) {
      at.start(each, ++line);
      reader.read();
    }
    at.start('end', ++line);
    return must(reader.read(), '[snapshot] it ends with its last line');
  }
}

/**
 * Passes over the lines of a snapshot.
 * @param from  where the line after `snapshot NUMBER` begins
 * @returns     where the line `end` begins and how many lines there are before it; null: the snapshot does not end, or is only asked for
 */
export function passOver(text: string, from: number): { readonly to: number; readonly lines: number } | null {
  if (!text.startsWith('self', from)) return null;
  let lines = 0;
  for (let at = from; at < text.length; lines++) {
    if (isLastLine(text, at)) return { to: at, lines };
    const newline = text.indexOf('\n', at);
    if (newline < 0) return null;
    at = newline + 1;
  }
  return null;
}
