/**
 * The operations of the case language about userfaultfd, described at the top of uffd.cases.
 */
import * as scan from '../../src/abi/pagemapScan.ts';
import * as abi from '../../src/abi/userfaultfd.ts';
import {
  type CaseAddress,
  CaseSyntaxError,
  MAP,
  PROT,
  parseAddress,
  parseAdvice,
  parseCount,
  parseInteger,
  parseLength,
  parseLetters,
  REMAP,
} from './operands.ts';

/** What fills or moves pages, in the order in which the oracle numbers it. */
export const FILLS = ['copy', 'zero', 'cont', 'poison', 'move'] as const;
export type Fill = (typeof FILLS)[number];
/** The structure of an ioctl: as usual, one that cannot be written, none. */
export const STRUCTURES = ['rw', 'ro', 'null'] as const;
export type Structure = (typeof STRUCTURES)[number];
/** Where a copy comes from: memory of the window, a buffer full of 200, or that many bytes before memory that is not there. */
export interface FillSource {
  readonly kind: 'addr' | 'buf' | 'bufend';
  readonly addr: CaseAddress;
}

/** What a thread does, in the order in which the oracle numbers it. */
export const THREAD_WORK = [
  'touch',
  'read',
  'adv',
  'unmap',
  'lock',
  'remap',
  'vmread',
  'vmwrite',
  'ucopy',
  'map',
  'fread',
  'forkhold',
] as const;
export type ThreadWork =
  | {
      readonly what: 'touch' | 'read' | 'vmread' | 'vmwrite';
      readonly addr: CaseAddress;
      readonly nrPages: number;
    }
  | { readonly what: 'adv'; readonly addr: CaseAddress; readonly len: number; readonly advice: number }
  | { readonly what: 'unmap' | 'lock'; readonly addr: CaseAddress; readonly len: number }
  | {
      readonly what: 'remap';
      readonly addr: CaseAddress;
      readonly oldLen: number;
      readonly newLen: number;
      readonly flags: number;
      readonly newAddr: CaseAddress;
    }
  | {
      readonly what: 'ucopy';
      readonly context: number;
      readonly to: CaseAddress;
      readonly from: CaseAddress;
      readonly len: number;
      readonly mode: number;
    }
  | {
      readonly what: 'map';
      readonly addr: CaseAddress;
      readonly len: number;
      readonly prot: number;
      readonly flags: number;
    }
  | {
      readonly what: 'fread';
      readonly slot: number;
      readonly page: number;
      readonly addr: CaseAddress;
      readonly nrPages: number;
    }
  | { readonly what: 'forkhold' };

/** One operation about userfaultfd with its operands. */
export type UffdStep =
  | {
      readonly op: 'uopen';
      readonly context: number;
      readonly flags: number;
      readonly features: number | null;
    }
  | { readonly op: 'uapi'; readonly context: number; readonly api: number; readonly features: number }
  | {
      readonly op: 'ureg';
      readonly context: number;
      readonly addr: CaseAddress;
      readonly len: number;
      readonly mode: number;
      readonly structure: Structure;
    }
  | {
      readonly op: 'uunreg' | 'uwake';
      readonly context: number;
      readonly addr: CaseAddress;
      readonly len: number;
    }
  | {
      readonly op: 'uwp';
      readonly context: number;
      readonly addr: CaseAddress;
      readonly len: number;
      readonly mode: number;
    }
  | {
      readonly op: 'ufill';
      readonly context: number;
      readonly what: Fill;
      readonly addr: CaseAddress;
      readonly source: FillSource | null;
      readonly len: number;
      readonly mode: number;
      readonly structure: Structure;
    }
  | { readonly op: 'uclose' | 'ucount' | 'upoll' | 'uwrite'; readonly context: number }
  | { readonly op: 'ublock'; readonly context: number; readonly blocks: number }
  | { readonly op: 'udup'; readonly context: number; readonly other: number }
  | {
      readonly op: 'umovers';
      readonly context: number;
      readonly to: CaseAddress;
      readonly from: CaseAddress;
      readonly nrPages: number;
    }
  | {
      readonly op: 'uread';
      readonly context: number;
      readonly times: number;
      readonly bytes: number;
      /** Into memory that is not there. */
      readonly isBad: boolean;
    }
  | {
      readonly op: 'scan';
      readonly addr: CaseAddress;
      readonly end: CaseAddress;
      readonly size: number;
      readonly flags: number;
      readonly vec: 'set' | 'none' | 'unwritable' | 'bad';
      readonly vecLen: number;
      readonly maxPages: number;
      readonly inverted: number;
      readonly mask: number;
      readonly anyof: number;
      readonly returned: number;
      /** Whose memory: 0 one's own, else the process left behind with that number. */
      readonly of: number;
      /** The structure is there; it is not; it is, and the ioctl is another one. */
      readonly how: (typeof SCAN_HOW)[number];
    }
  | { readonly op: 'sig'; readonly thread: number }
  | { readonly op: 'bg'; readonly thread: number; readonly work: ThreadWork }
  | { readonly op: 'join'; readonly thread: number };

type Words = readonly string[];
interface UffdRule {
  readonly min: number;
  readonly max: number;
  readonly read: (a: Words) => UffdStep;
}

const addr = (a: Words, i: number): CaseAddress => parseAddress(a[i] as string);
const len = (a: Words, i: number): number => Number(parseLength(a[i] as string));
const number = (a: Words, i: number): number => parseInteger(a[i] as string);
const count = (a: Words, i: number): number => parseCount(a[i] as string);

function oneOf<T extends string>(list: readonly T[], word: string): T {
  const found = list.find((one) => one === word);
  if (found === undefined) throw new CaseSyntaxError(`"${word}" is none of ${list.join(', ')}`);
  return found;
}

/** Names joined by `|`, or a number. */
function bitsOf(word: string, table: object, prefix: string): number {
  if (/^(0x[0-9a-f]+|\d+)$/.test(word)) return Number(word);
  return word.split('|').reduce((bits, name) => {
    const bit = (table as Readonly<Record<string, unknown>>)[`${prefix}${name}`];
    if (typeof bit !== 'number') throw new CaseSyntaxError(`"${name}" is no ${prefix}`);
    return bits | bit;
  }, 0);
}
const features = (word: string): number => bitsOf(word, abi, 'UFFD_FEATURE_');
const categories = (word: string): number => bitsOf(word, scan, 'PAGE_IS_');

const OPEN_FLAGS = { '-': 0, n: 0o4000, m: 1, x: 0x10 };
const NO_ADDRESS: CaseAddress = { from: 'zero', bytes: 0n };
const structureOf = (word: string | undefined): Structure =>
  word === undefined ? 'rw' : oneOf(STRUCTURES, word);

function sourceOf(word: string): FillSource {
  const match = /^(buf|bufend)(?:[+-](\d+))?$/.exec(word);
  if (match === null) return { kind: 'addr', addr: parseAddress(word) };
  return { kind: match[1] as 'buf' | 'bufend', addr: { from: 'zero', bytes: BigInt(match[2] ?? '0') } };
}

const fill = (what: Fill): UffdRule => {
  const from = what === 'copy' || what === 'move' ? 1 : 0;
  return {
    min: 4 + from,
    max: 5 + from,
    read: (a) => ({
      op: 'ufill',
      context: number(a, 0),
      what,
      addr: addr(a, 1),
      source: from === 0 ? null : sourceOf(a[2] as string),
      len: len(a, 2 + from),
      mode: number(a, 3 + from),
      structure: structureOf(a[4 + from]),
    }),
  };
};
const plain = (op: 'uclose' | 'ucount' | 'upoll' | 'uwrite'): UffdRule => ({
  min: 1,
  max: 1,
  read: (a) => ({ op, context: number(a, 0) }),
});
const range = (op: 'uunreg' | 'uwake'): UffdRule => ({
  min: 3,
  max: 3,
  read: (a) => ({ op, context: number(a, 0), addr: addr(a, 1), len: len(a, 2) }),
});

const SCAN_HOW = ['set', 'null', 'other'] as const;
const VECTORS = ['set', 'none', 'unwritable', 'bad'] as const;
/** `scan A N FLAGS [end=A] [vec=..] [len=..] [max=..] [inv=..] [mask=..] [any=..] [ret=..] [size=..] [arg=..]` */
function parseScan(a: Words): UffdStep {
  const named = new Map(a.slice(3).map((word) => word.split('=') as [string, string]));
  const value = (name: string, otherwise: string): string => named.get(name) ?? otherwise;
  const start = addr(a, 0);
  const end = named.get('end');
  return {
    op: 'scan',
    addr: start,
    end: end === undefined ? { ...start, bytes: start.bytes + BigInt(len(a, 1)) } : parseAddress(end),
    size: Number(value('size', '96')),
    flags: bitsOf(a[2] as string, scan, 'PM_SCAN_'),
    vec: oneOf(VECTORS, value('vec', value('len', '64') === '0' ? 'none' : 'set')),
    vecLen: Number(value('len', '64')),
    maxPages: Number(value('max', '0')),
    inverted: categories(value('inv', '0')),
    mask: categories(value('mask', '0')),
    anyof: categories(value('any', '0')),
    returned: categories(value('ret', '0x1ff')),
    of: Number(value('of', '0')),
    how: oneOf(SCAN_HOW, value('arg', 'set')),
  };
}

function parseWork(words: Words): ThreadWork {
  const what = oneOf(THREAD_WORK, words[0] as string);
  const a = words.slice(1);
  switch (what) {
    case 'touch':
    case 'read':
    case 'vmread':
    case 'vmwrite':
      return { what, addr: addr(a, 0), nrPages: a[1] === undefined ? 1 : count(a, 1) };
    case 'adv':
      return { what, addr: addr(a, 0), len: len(a, 1), advice: parseAdvice(a[2] as string) };
    case 'unmap':
    case 'lock':
      return { what, addr: addr(a, 0), len: len(a, 1) };
    case 'remap': {
      const flags = parseLetters(a[3] as string, REMAP);
      const newAddr = a[4] === undefined ? NO_ADDRESS : addr(a, 4);
      return { what, addr: addr(a, 0), oldLen: len(a, 1), newLen: len(a, 2), flags, newAddr };
    }
    case 'ucopy':
      return {
        what,
        context: number(a, 0),
        to: addr(a, 1),
        from: addr(a, 2),
        len: len(a, 3),
        mode: number(a, 4),
      };
    case 'map': {
      const [prot, flags] = [parseLetters(a[2] as string, PROT), parseLetters(a[3] as string, MAP)];
      return { what, addr: addr(a, 0), len: len(a, 1), prot, flags: flags | 0x20 };
    }
    case 'fread':
      return { what, slot: number(a, 0), page: count(a, 1), addr: addr(a, 2), nrPages: count(a, 3) };
    case 'forkhold':
      return { what };
  }
}

/** The operations by name. */
export const UFFD_GRAMMAR: ReadonlyMap<string, UffdRule> = new Map<string, UffdRule>([
  [
    'uopen',
    {
      min: 3,
      max: 3,
      read: (a) => ({
        op: 'uopen',
        context: number(a, 0),
        flags: parseLetters(a[1] as string, OPEN_FLAGS),
        features: a[2] === '-' ? null : features(a[2] as string),
      }),
    },
  ],
  [
    'uapi',
    {
      min: 3,
      max: 3,
      read: (a) => ({
        op: 'uapi',
        context: number(a, 0),
        api: number(a, 1),
        features: features(a[2] as string),
      }),
    },
  ],
  [
    'ureg',
    {
      min: 4,
      max: 5,
      read: (a) => ({
        op: 'ureg',
        context: number(a, 0),
        addr: addr(a, 1),
        len: len(a, 2),
        mode: number(a, 3),
        structure: structureOf(a[4]),
      }),
    },
  ],
  ['uunreg', range('uunreg')],
  ['uwake', range('uwake')],
  [
    'uwp',
    {
      min: 4,
      max: 4,
      read: (a) => ({
        op: 'uwp',
        context: number(a, 0),
        addr: addr(a, 1),
        len: len(a, 2),
        mode: number(a, 3),
      }),
    },
  ],
  ...FILLS.map((what) => [`u${what}`, fill(what)] as const),
  ['uclose', plain('uclose')],
  ['ucount', plain('ucount')],
  ['upoll', plain('upoll')],
  ['uwrite', plain('uwrite')],
  [
    'uread',
    {
      min: 1,
      max: 4,
      read: (a) => ({
        op: 'uread',
        context: number(a, 0),
        times: a[1] === undefined ? 1 : number(a, 1),
        bytes: a[2] === undefined ? 32 : number(a, 2),
        isBad: a[3] === 'bad',
      }),
    },
  ],
  ['scan', { min: 3, max: 14, read: parseScan }],
  ['sig', { min: 1, max: 1, read: (a) => ({ op: 'sig', thread: number(a, 0) }) }],
  [
    'ublock',
    { min: 2, max: 2, read: (a) => ({ op: 'ublock', context: number(a, 0), blocks: number(a, 1) }) },
  ],
  ['udup', { min: 2, max: 2, read: (a) => ({ op: 'udup', context: number(a, 0), other: number(a, 1) }) }],
  [
    'umovers',
    {
      min: 4,
      max: 4,
      read: (a) => ({
        op: 'umovers',
        context: number(a, 0),
        to: addr(a, 1),
        from: addr(a, 2),
        nrPages: count(a, 3),
      }),
    },
  ],
  ['bg', { min: 2, max: 8, read: (a) => ({ op: 'bg', thread: number(a, 0), work: parseWork(a.slice(1)) }) }],
  ['join', { min: 1, max: 1, read: (a) => ({ op: 'join', thread: number(a, 0) }) }],
]);

const ERRNO = '-E[A-Z0-9]+';
const ADDRESS = String.raw`(?:B\+\d+(?:\.0x[0-9a-f]+)?|0x[0-9a-f]+)`;
const FILLED = String.raw`(?:0|${ERRNO})/(?:\.|\d+|${ERRNO})`;
const MESSAGE = String.raw`(?:\w+\([^ ]*\)|${ERRNO})`;
const ENDED = String.raw`(?:blocked|0|${ERRNO}|0x[0-9a-f]+|${ADDRESS}|(?:SEGV|BUS)\d+@${ADDRESS}|${FILLED})`;
const exactly = (text: string): RegExp => new RegExp(`^(?:${text})$`);
/** What may stand after each operation. */
export const UFFD_ANSWERS: Readonly<Record<string, RegExp>> = {
  uopen: exactly(`0|${ERRNO}`),
  uapi: exactly(`(?:0|${ERRNO}) 0x[0-9a-f]+ 0x[0-9a-f]+ 0x[0-9a-f]+`),
  ureg: exactly(`0x[0-9a-f]+|${ERRNO}`),
  ufill: exactly(FILLED),
  uread: exactly(`${MESSAGE}(?: ${MESSAGE})*`),
  ucount: exactly(String.raw`\d+ \d+ 0x[0-9a-f]+`),
  upoll: exactly('0|IN|ERR'),
  sig: exactly(String.raw`\d+`),
  umovers: exactly(String.raw`\d+ \d+ \d+`),
  scan: exactly(String.raw`(?:\d+|${ERRNO}) (?:\.|${ADDRESS})(?: ${ADDRESS}-${ADDRESS}:0x[0-9a-f]+)*`),
  bg: exactly(ENDED),
  join: exactly(ENDED),
};

const FILL_OPS: ReadonlySet<string> = new Set(FILLS.map((what) => `u${what}`));
const OPS: ReadonlySet<string> = new Set(['ufill', ...UFFD_GRAMMAR.keys()].filter((op) => !FILL_OPS.has(op)));
/** Tells whether a step is one of those about userfaultfd. */
export const isUffdStep = (step: { readonly op: string }): step is UffdStep => OPS.has(step.op);
