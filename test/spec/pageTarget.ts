/**
 * Steps about pages on something that behaves like a kernel, with its answers put into the notation of pages.cases.
 *
 * The target says what is there, as numbers and kinds; runs and words are made here. The kernel's oracle does the same in C (oracle/pages.c,
 * pageSteps.c).
 */
import type { CallResult, Loaded } from './caseTarget.ts';
import type { Expectation } from './expectation.ts';
import { type CaseAddress, PAGE } from './operands.ts';
import { FIGURES, type Figure, type PageStep, type PlainPageStep, type StatusLine } from './pageStep.ts';
import { isUffdStep, type UffdStep } from './uffdStep.ts';

/** What pagemap, kpageflags and PAGEMAP_SCAN say of one page. */
export interface PageEntry {
  readonly kind: 'none' | 'anonymous' | 'file' | 'zero' | 'swap' | 'guard' | 'poison' | 'wp';
  /** Part of an entry of 2 MiB. */
  readonly isHuge: boolean;
  readonly isOnce: boolean;
  readonly isProtected: boolean;
}

/** Steps that are one call, whose result is a number or an error. */
export type PageCallStep = Exclude<
  PlainPageStep,
  { op: 'vmpte' | 'faults' | 'pm' | 'folio' | 'sum' | 'word' | 'ownword' | 'figures' | 'status' | 'fval' }
>;

/** The pages of the current process of a case. */
export interface PageTarget {
  /** Faults charged to the current process since it was last asked, or since its start. */
  takeFaults(): number;
  entry(addr: number): PageEntry;
  /** The word of pagemap as the process itself reads it. */
  ownWord(addr: number): bigint;
  /** The word of pagemap. */
  word(addr: number): bigint;
  /** Whether the page is part of a large folio; null where none is present. */
  isLarge(addr: number): boolean | null;
  /** kB, added up over the vmas that meet [start, start+len). */
  figures(start: number, len: number): Readonly<Record<Figure, number>>;
  /** kB; VmSwap and VmLck as they are, the others counted from the start of the case. */
  status(line: StatusLine): number;
  call(step: PageCallStep, at: (a: CaseAddress) => number): CallResult;
  /** Makes a step about userfaultfd; returns the answer in the notation of uffd.cases. */
  uffd(step: UffdStep, at: (a: CaseAddress) => number): string;
  /** The first byte of a page of a file; null beyond its end. */
  fileValue(slot: number, page: number): number | null;
}

const PG = Number(PAGE);
/** Bits of a pagemap word that hold a frame or a place in swap. */
const FRAME = (1n << 55n) - 1n;
const PRESENT = 1n << 63n;
const TYPE = 31n;

const LETTER = { anonymous: 'a', file: 'f', zero: 'z' } as const;

function wordOf(page: PageEntry): string {
  const w = page.isProtected ? 'w' : '';
  switch (page.kind) {
    case 'none':
      return '-';
    case 'wp':
      return 'wp';
    case 'swap':
      return `s${w}`;
    case 'guard':
    case 'poison':
      return `${page.kind}${w}`;
    default:
      return `${LETTER[page.kind]}${page.isHuge ? 'h' : ''}${w}${page.isOnce ? '!' : ''}`;
  }
}

/** Joins equal neighbours: `a!*4 -*2`. */
function runsOf(words: readonly string[]): string {
  const runs: { readonly word: string; length: number }[] = [];
  for (const word of words) {
    const last = runs.at(-1);
    if (last?.word === word) last.length++;
    else runs.push({ word, length: 1 });
  }
  return runs.map(({ word, length }) => (length === 1 ? word : `${word}*${length}`)).join(' ');
}

function withoutFrame(word: bigint): bigint {
  if (word & PRESENT) return word & ~FRAME;
  return (word & TYPE) === TYPE ? word : word & ~FRAME;
}

function figuresText(step: Extract<PageStep, { op: 'figures' }>, target: PageTarget, start: number): string {
  const all = target.figures(start, Number(step.len));
  if (step.figures.length > 0)
    return FIGURES.filter((name) => step.figures.includes(name))
      .map((name) => all[name])
      .join(' ');
  const seen = FIGURES.filter((name) => all[name] !== 0).map((name) => `${name} ${all[name]}`);
  return seen.join(' ') || '0';
}

/** The first bytes of the pages added up, or the first trap. */
function sumText(addr: number, nrPages: number, load: (addr: number) => Loaded): string {
  let sum = 0;
  for (let i = 0; i < nrPages; i++) {
    const got = load(addr + i * PG);
    if ('signal' in got) return got.signal === 'SIGSEGV' ? 'SIG11' : 'SIG7';
    sum += got.value % 256;
  }
  return String(sum);
}

/**
 * Makes one step about pages; returns what was observed, in the notation of the case file.
 * @param at    turns the addresses of the step into numbers
 * @param load  loads the first byte of a page
 */
export function observePages(
  step: PageStep,
  target: PageTarget,
  at: (a: CaseAddress) => number,
  load: (addr: number) => Loaded,
): Expectation {
  const each = (from: CaseAddress, nrPages: number, word: (addr: number) => string): string =>
    runsOf(Array.from({ length: nrPages }, (_, i) => word(at(from) + i * PG)));
  const folio = (addr: number): string => ({ null: '-', true: 'L', false: 's' })[`${target.isLarge(addr)}`];
  const text = (): string => {
    if (isUffdStep(step)) return target.uffd(step, at);
    switch (step.op) {
      case 'vmpte':
        return String(target.status('VmPTE'));
      case 'status':
        return String(target.status(step.line));
      case 'faults':
        return String(target.takeFaults());
      case 'pm':
        return each(step.addr, step.nrPages, (addr) => wordOf(target.entry(addr)));
      case 'folio':
        return each(step.addr, step.nrPages, folio);
      case 'sum':
        return sumText(at(step.addr), step.nrPages, load);
      case 'word':
        return `0x${withoutFrame(target.word(at(step.addr))).toString(16)}`;
      case 'ownword':
        return `0x${target.ownWord(at(step.addr)).toString(16)}`;
      case 'figures':
        return figuresText(step, target, at(step.addr));
      case 'fval':
        return Array.from(
          { length: step.nrPages },
          (_, i) => target.fileValue(step.slot, step.page + i) ?? '-',
        ).join(' ');
      default: {
        const result = target.call(step, at);
        if ('errno' in result) return `-${result.errno}`;
        return result.ret === 0 ? '0' : `0x${result.ret.toString(16)}`;
      }
    }
  };
  return { kind: 'answer', text: text() };
}
