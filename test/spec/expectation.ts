/**
 * What a case expects of a step, as data, and how an observation is held against it.
 *
 * The kernel (through the oracle) answers in the text of the case file, so one parser reads both what is written and what was seen. A
 * question mark in an observed vma (`o=?`, anon `?`) means that the field cannot be seen there; it is then reported as model-only
 * and not compared.
 */
import { CaseSyntaxError } from './operands.ts';
import { PAGE_ANSWERS } from './pageStep.ts';

/** An anon_vma in an expectation: its label, that of its root, and how long the chain of the vma is. */
export interface ExpectedAnon {
  readonly label: string;
  readonly root: string;
  readonly chain: number;
}

/** One vma of the window: page numbers relative to B, flags sorted. */
export interface ExpectedVma {
  readonly start: number;
  readonly end: number;
  readonly perms: string;
  /** `B+4`, `4`, or `?`. */
  readonly pgoff: string;
  readonly anon: ExpectedAnon | 'unf' | '?';
  readonly flags: readonly string[];
  readonly file: boolean;
}

/** One access that must trap: the page of the touch, the signal and its code. */
export interface ExpectedTrap {
  readonly page: number;
  readonly signal: 'SIGSEGV' | 'SIGBUS';
  readonly code: number;
}

/** What a step must give. `answer` is everything that is one word or a row of words: results, values, pages, markers. */
export type Expectation =
  | { readonly kind: 'answer'; readonly text: string }
  | { readonly kind: 'vmas'; readonly vmas: readonly ExpectedVma[]; readonly lockedVm: number }
  | { readonly kind: 'traps'; readonly traps: readonly ExpectedTrap[] }
  | { readonly kind: 'nothing' };

const VMA = /^\[(\d+),(\d+)\) ([r-][w-][x-][sp]) o=(B\+\d+|\d+|\?)((?: \S+)*)$/;

const parseAnon = (word: string): ExpectedAnon | 'unf' | '?' => {
  if (word === 'unf' || word === '?') return word;
  const match = /^(a\d+)(?:<(a\d+),ch(\d+))?$/.exec(word);
  if (match === null) throw new CaseSyntaxError(`"${word}" is not an anon_vma`);
  return {
    label: match[1] as string,
    root: match[2] ?? (match[1] as string),
    chain: Number(match[3] ?? '1'),
  };
};

const parseVma = (text: string): ExpectedVma => {
  const match = VMA.exec(text);
  if (match === null) throw new CaseSyntaxError(`"${text}" is not a vma`);
  const [anon, ...rest] = (match[5] as string).trim().split(' ');
  const flags = rest.filter((word) => word !== 'file');
  const strange = flags.find((word) => !/^([a-z]{2}|\?\?)$/.test(word));
  if (strange !== undefined) throw new CaseSyntaxError(`"${strange}" is not a flag`);
  return {
    start: Number(match[1]),
    end: Number(match[2]),
    perms: match[3] as string,
    pgoff: match[4] as string,
    anon: parseAnon(anon as string),
    flags: flags.sort(),
    file: rest.includes('file'),
  };
};

/** Reads what stands after `=>`. */
export function parseVmas(text: string): Expectation {
  const match = /^(.*?)(?: {2}locked_vm=(\d+))?$/.exec(text) as RegExpExecArray;
  const list = match[1] as string;
  return {
    kind: 'vmas',
    vmas: list === '(empty)' ? [] : list.split(' | ').map(parseVma),
    lockedVm: Number(match[2] ?? '0'),
  };
}

/** Reads `page +0: SIGSEGV code 1`. */
export function parseTrap(text: string): ExpectedTrap {
  const match = /^page \+(\d+): (SIGSEGV|SIGBUS) code (\d+)$/.exec(text);
  if (match === null) throw new CaseSyntaxError(`"${text}" is not a trap`);
  return { page: Number(match[1]), signal: match[2] as ExpectedTrap['signal'], code: Number(match[3]) };
}

const ADDRESS = String.raw`B\+\d+|brk0\+\d+|0x[0-9a-f]+|0|elsewhere(?:\(2M-aligned\))?`;
const NUMBER = '0x[0-9a-f]+|0';
const ERRNO = '-E[A-Z]+[0-9]?[A-Z]*';
/** What may stand after each operation. */
const ANSWERS: Readonly<Record<string, RegExp>> = {
  ...PAGE_ANSWERS,
  map: new RegExp(`^(${ADDRESS}|${ERRNO})$`),
  remap: new RegExp(`^(${ADDRESS}|${ERRNO})$`),
  shmat: new RegExp(`^(${ADDRESS}|${ERRNO})$`),
  brk: /^brk0[+-]\d+ \(b0%4096=0\)$/,
  val: /^(\d+|SIG\d+)( (\d+|SIG\d+))*$/,
  pfn: /^(-|guard|swap|p\d+!?)( (-|guard|swap|p\d+!?))*$/,
  slots: /^(-|s\d+)( (-|s\d+))*$/,
  mincore: new RegExp(`^([01]*|${ERRNO})$`),
  tables: /^[01-]+$/,
  fill: /^map_count now max[+-]\d+$/,
  count: /^map_count = max[+-]\d+$/,
  comm: /^(0|[+-]\d+)$/,
  vmacount: /^\d+$/,
  fork: /^\{child\}$/,
  forkhold: /^\{child alive\}$/,
  forkdrop: /^\[in child, parent dropped the range\]$/,
  exited: /^\{child exited\}$/,
};
const NUMBER_OR_ERRNO = new RegExp(`^(${NUMBER}|${ERRNO})$`);

/** Reads what stands after `->`, `:`, `=` or a marker; refuses what operation `op` cannot answer. */
export function parseAnswer(op: string, text: string): Expectation {
  if (!(ANSWERS[op] ?? NUMBER_OR_ERRNO).test(text))
    throw new CaseSyntaxError(`"${text}" is no answer of ${op}`);
  return { kind: 'answer', text };
}

/** Prints a vma as the case file does. */
export function formatVma(v: ExpectedVma): string {
  const anon =
    typeof v.anon === 'string'
      ? v.anon
      : v.anon.root === v.anon.label && v.anon.chain === 1
        ? v.anon.label
        : `${v.anon.label}<${v.anon.root},ch${v.anon.chain}`;
  const words = [
    `[${v.start},${v.end})`,
    v.perms,
    `o=${v.pgoff}`,
    anon,
    ...v.flags,
    ...(v.file ? ['file'] : []),
  ];
  return words.join(' ');
}

/** Prints an expectation or an observation as the case file does. */
export function formatExpectation(e: Expectation): string {
  switch (e.kind) {
    case 'answer':
      return e.text;
    case 'vmas':
      return (
        (e.vmas.map(formatVma).join(' | ') || '(empty)') +
        (e.lockedVm === 0 ? '' : `  locked_vm=${e.lockedVm}`)
      );
    case 'traps':
      return e.traps.map((t) => `page +${t.page}: ${t.signal} code ${t.code}`).join('; ') || 'no trap';
    case 'nothing':
      return 'nothing';
  }
}

/** Replaces what cannot be seen by what is written; `modelOnly` is called once for each such field. */
const fillUnseen = (
  written: ExpectedVma | undefined,
  seen: ExpectedVma,
  modelOnly: () => void,
): ExpectedVma => {
  if (written === undefined || (seen.pgoff !== '?' && seen.anon !== '?')) return seen;
  modelOnly();
  return {
    ...seen,
    pgoff: seen.pgoff === '?' ? written.pgoff : seen.pgoff,
    anon: seen.anon === '?' ? written.anon : seen.anon,
  };
};

/**
 * Compares an observation with what is written.
 * @param modelOnly  called for each vma with fields that the observer could not see
 * @returns          null when they agree, otherwise both as text
 */
export function difference(
  written: Expectation,
  seen: Expectation,
  modelOnly: () => void = () => undefined,
): { readonly written: string; readonly seen: string } | null {
  const shown: Expectation =
    seen.kind === 'vmas' && written.kind === 'vmas'
      ? { ...seen, vmas: seen.vmas.map((v, i) => fillUnseen(written.vmas[i], v, modelOnly)) }
      : seen;
  const texts = { written: formatExpectation(written), seen: formatExpectation(shown) };
  return texts.written === texts.seen ? null : texts;
}
