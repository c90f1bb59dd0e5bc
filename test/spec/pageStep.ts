/**
 * The operations of the case language that are about pages and page tables, described at the top of pages.cases.
 */
import {
  type CaseAddress,
  CaseSyntaxError,
  PROT,
  parseAddress,
  parseAdvice,
  parseCount,
  parseInteger,
  parseLength,
  parseLetters,
} from './operands.ts';
import { isUffdStep, UFFD_ANSWERS, UFFD_GRAMMAR, type UffdStep } from './uffdStep.ts';

/** The figures of smaps, in its order; those whose value no operation changes are left out. */
export const FIGURES = [
  'Rss',
  'Pss',
  'Pss_Dirty',
  'Shared_Clean',
  'Shared_Dirty',
  'Private_Clean',
  'Private_Dirty',
  'Referenced',
  'Anonymous',
  'KSM',
  'LazyFree',
  'AnonHugePages',
  'ShmemPmdMapped',
  'FilePmdMapped',
  'Swap',
  'SwapPss',
  'Locked',
] as const;
/** A figure of smaps. */
export type Figure = (typeof FIGURES)[number];

/** Lines of status. VmSwap and VmLck are answered as they are, the others as their change since the start of the case. */
export const STATUS_LINES = [
  'VmPTE',
  'VmRSS',
  'RssAnon',
  'RssFile',
  'RssShmem',
  'VmSwap',
  'VmLck',
  'VmData',
  'VmSize',
] as const;
/** A line of status. */
export type StatusLine = (typeof STATUS_LINES)[number];

/** Features of userfaultfd that cases ask for, with their bits. */
export const UFFD_FEATURES = {
  none: 0,
  SIGBUS: 1 << 7,
  WP_UNPOPULATED: 1 << 13,
  POISON: 1 << 14,
  WP_ASYNC: 1 << 15,
  MOVE: 1 << 16,
} as const;

/** One member for each operation, all with the same operands, so that `op` tells them apart. */
type Each<Op extends string, Operands> = Op extends unknown
  ? { readonly op: Op } & Readonly<Operands>
  : never;

/** One operation about pages or userfaultfd with its operands. */
export type PageStep = PlainPageStep | UffdStep;

/** One operation about pages with its operands. */
export type PlainPageStep =
  | Each<'vmpte' | 'faults' | 'swap', object>
  | Each<'pm' | 'folio' | 'sum', { addr: CaseAddress; nrPages: number }>
  | { readonly op: 'word'; readonly addr: CaseAddress }
  /** No figures: all that are not zero. */
  | Each<'figures', { addr: CaseAddress; len: bigint; figures: readonly Figure[] }>
  | { readonly op: 'status'; readonly line: StatusLine }
  | Each<'proteach', { addr: CaseAddress; times: number; stride: bigint; len: bigint; prot: number }>
  | Each<'memwrite' | 'pin' | 'ksm', { addr: CaseAddress; nrPages: number }>
  | Each<'pmread', { bytes: number; offset: number }>
  | Each<'ownword' | 'vmsplice', { addr: CaseAddress }>
  | Each<'unpin' | 'pipeval', object>
  | Each<'adveach', { addr: CaseAddress; times: number; stride: bigint; len: bigint; advice: number }>
  | Each<'vmread' | 'vmwrite', { addr: CaseAddress; nrPages: number; of: 'self' | 'parent' }>
  | Each<'truncate', { slot: number; nrPages: number }>
  | Each<'punch' | 'fval', { slot: number; page: number; nrPages: number }>
  | Each<'fread' | 'fwrite', { slot: number; page: number; addr: CaseAddress; nrPages: number }>
  | Each<'put', { slot: number; page: number; value: number }>
  | { readonly op: 'uffdopen'; readonly features: number }
  | Each<'uffdwp', { addr: CaseAddress; len: bigint; on: boolean }>
  | Each<'uffdpoison' | 'uffdzero' | 'uffdcont', { addr: CaseAddress; len: bigint }>
  | Each<'uffdcopy', { addr: CaseAddress; nrPages: number; wp: boolean }>
  | Each<'uffdmove', { to: CaseAddress; from: CaseAddress; len: bigint }>
  | Each<'race', { addr: CaseAddress; nrPages: number; times: number }>;

/** How an operation is read: how many operands it takes, and what they are. */
export interface PageRule {
  readonly min: number;
  readonly max: number;
  readonly read: (a: readonly string[]) => PageStep;
}

/** Picks `word` out of a closed list. */
function oneOf<T extends string>(list: readonly T[], word: string | undefined): T {
  const found = list.find((one) => one === word);
  if (found === undefined) throw new CaseSyntaxError(`"${word}" is none of ${list.join(', ')}`);
  return found;
}

/** Operands by position: each is there, because the grammar counts them first. */
const addr = (a: readonly string[], i: number): CaseAddress => parseAddress(a[i] as string);
const len = (a: readonly string[], i: number): bigint => parseLength(a[i] as string);
const count = (a: readonly string[], i: number): number => parseCount(a[i] as string);
const number = (a: readonly string[], i: number): number => parseInteger(a[i] as string);

const features = (word: string): number => {
  const names = Object.keys(UFFD_FEATURES) as (keyof typeof UFFD_FEATURES)[];
  return word.split('|').reduce((bits, name) => bits | UFFD_FEATURES[oneOf(names, name)], 0);
};

const rules: Readonly<{ [Op in PlainPageStep['op']]: PageRule }> = {
  vmpte: { min: 0, max: 0, read: () => ({ op: 'vmpte' }) },
  faults: { min: 0, max: 0, read: () => ({ op: 'faults' }) },
  swap: { min: 0, max: 0, read: () => ({ op: 'swap' }) },
  pm: { min: 2, max: 2, read: (a) => ({ op: 'pm', addr: addr(a, 0), nrPages: count(a, 1) }) },
  folio: { min: 2, max: 2, read: (a) => ({ op: 'folio', addr: addr(a, 0), nrPages: count(a, 1) }) },
  sum: { min: 2, max: 2, read: (a) => ({ op: 'sum', addr: addr(a, 0), nrPages: count(a, 1) }) },
  word: { min: 1, max: 1, read: (a) => ({ op: 'word', addr: addr(a, 0) }) },
  figures: {
    min: 2,
    max: 8,
    read: (a) => ({
      op: 'figures',
      addr: addr(a, 0),
      len: len(a, 1),
      figures: a.slice(2).map((word) => oneOf(FIGURES, word)),
    }),
  },
  status: { min: 1, max: 1, read: (a) => ({ op: 'status', line: oneOf(STATUS_LINES, a[0]) }) },
  proteach: {
    min: 5,
    max: 5,
    read: (a) => ({
      op: 'proteach',
      addr: addr(a, 0),
      times: number(a, 1),
      stride: len(a, 2),
      len: len(a, 3),
      prot: parseLetters(a[4] as string, PROT),
    }),
  },
  memwrite: { min: 2, max: 2, read: (a) => ({ op: 'memwrite', addr: addr(a, 0), nrPages: count(a, 1) }) },
  ksm: { min: 2, max: 2, read: (a) => ({ op: 'ksm', addr: addr(a, 0), nrPages: count(a, 1) }) },
  pmread: { min: 2, max: 2, read: (a) => ({ op: 'pmread', bytes: number(a, 0), offset: number(a, 1) }) },
  pin: { min: 2, max: 2, read: (a) => ({ op: 'pin', addr: addr(a, 0), nrPages: count(a, 1) }) },
  unpin: { min: 0, max: 0, read: () => ({ op: 'unpin' }) },
  ownword: { min: 1, max: 1, read: (a) => ({ op: 'ownword', addr: addr(a, 0) }) },
  vmsplice: { min: 1, max: 1, read: (a) => ({ op: 'vmsplice', addr: addr(a, 0) }) },
  pipeval: { min: 0, max: 0, read: () => ({ op: 'pipeval' }) },
  adveach: {
    min: 5,
    max: 5,
    read: (a) => ({
      op: 'adveach',
      addr: addr(a, 0),
      times: number(a, 1),
      stride: len(a, 2),
      len: len(a, 3),
      advice: parseAdvice(a[4] as string),
    }),
  },
  vmread: { min: 2, max: 3, read: (a) => ({ op: 'vmread', ...otherSide(a) }) },
  vmwrite: { min: 2, max: 3, read: (a) => ({ op: 'vmwrite', ...otherSide(a) }) },
  truncate: { min: 2, max: 2, read: (a) => ({ op: 'truncate', slot: number(a, 0), nrPages: count(a, 1) }) },
  punch: { min: 3, max: 3, read: (a) => ({ op: 'punch', ...filePart(a) }) },
  fval: { min: 3, max: 3, read: (a) => ({ op: 'fval', ...filePart(a) }) },
  fread: { min: 4, max: 4, read: (a) => ({ op: 'fread', ...transfer(a) }) },
  fwrite: { min: 4, max: 4, read: (a) => ({ op: 'fwrite', ...transfer(a) }) },
  put: {
    min: 3,
    max: 3,
    read: (a) => ({ op: 'put', slot: number(a, 0), page: number(a, 1), value: number(a, 2) }),
  },
  uffdopen: { min: 1, max: 1, read: (a) => ({ op: 'uffdopen', features: features(a[0] as string) }) },
  uffdwp: {
    min: 3,
    max: 3,
    read: (a) => ({
      op: 'uffdwp',
      addr: addr(a, 0),
      len: len(a, 1),
      on: oneOf(['on', 'off'], a[2]) === 'on',
    }),
  },
  uffdpoison: { min: 2, max: 2, read: (a) => ({ op: 'uffdpoison', addr: addr(a, 0), len: len(a, 1) }) },
  uffdzero: { min: 2, max: 2, read: (a) => ({ op: 'uffdzero', addr: addr(a, 0), len: len(a, 1) }) },
  uffdcont: { min: 2, max: 2, read: (a) => ({ op: 'uffdcont', addr: addr(a, 0), len: len(a, 1) }) },
  uffdcopy: {
    min: 2,
    max: 3,
    read: (a) => ({
      op: 'uffdcopy',
      addr: addr(a, 0),
      nrPages: count(a, 1),
      wp: a[2] !== undefined && oneOf(['wp'], a[2]) === 'wp',
    }),
  },
  uffdmove: {
    min: 3,
    max: 3,
    read: (a) => ({ op: 'uffdmove', to: addr(a, 0), from: addr(a, 1), len: len(a, 2) }),
  },
  race: {
    min: 3,
    max: 3,
    read: (a) => ({ op: 'race', addr: addr(a, 0), nrPages: count(a, 1), times: number(a, 2) }),
  },
};

function otherSide(a: readonly string[]): { addr: CaseAddress; nrPages: number; of: 'self' | 'parent' } {
  return {
    addr: addr(a, 0),
    nrPages: count(a, 1),
    of: a[2] === undefined ? 'self' : oneOf(['parent'], a[2]),
  };
}
function filePart(a: readonly string[]): { slot: number; page: number; nrPages: number } {
  return { slot: number(a, 0), page: count(a, 1), nrPages: count(a, 2) };
}
function transfer(a: readonly string[]): { slot: number; page: number; addr: CaseAddress; nrPages: number } {
  return { slot: number(a, 0), page: count(a, 1), addr: addr(a, 2), nrPages: count(a, 3) };
}

/** The operations about pages by name. */
export const PAGE_GRAMMAR: ReadonlyMap<string, PageRule> = new Map<string, PageRule>([
  ...Object.entries(rules),
  ...UFFD_GRAMMAR,
]);

const PAGE_WORD = '(?:-|guardw?|poisonw?|wp|sw?|[azf]h?w?!?)';
const RUNS = (word: string): RegExp => new RegExp(String.raw`^${word}(?:\*\d+)?(?: ${word}(?:\*\d+)?)*$`);
/** What may stand after each operation that does not answer a result. */
export const PAGE_ANSWERS: Readonly<Record<string, RegExp>> = {
  vmpte: /^-?\d+$/,
  faults: /^\d+$/,
  pm: RUNS(PAGE_WORD),
  folio: RUNS('[-sL]'),
  sum: /^(\d+|SIG\d+)$/,
  ownword: /^0x[0-9a-f]+$/,
  word: /^0x[0-9a-f]+$/,
  figures: /^(\d+( \d+)*|[A-Z]\w+ \d+( [A-Z]\w+ \d+)*)$/,
  status: /^-?\d+$/,
  fval: /^(\d+|-)( (\d+|-))*$/,
  ...UFFD_ANSWERS,
};

/** Tells whether a step is one of those about pages. */
export const isPageStep = (step: { readonly op: string }): step is PageStep =>
  PAGE_GRAMMAR.has(step.op) || isUffdStep(step);
