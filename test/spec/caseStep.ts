/**
 * One operation of a case, as text of the case file and as data: the operands are decoded to bytes and flags of the system calls,
 * nothing is left for the targets to interpret.
 *
 * Addresses and lengths are `bigint`, because some cases pass all 64 bits; a target that works with doubles converts them itself.
 * The notation is described at the top of vma.cases, what is about pages (pageStep.ts) at the top of pages.cases. Anything that is not in it throws a `CaseSyntaxError`.
 */
import * as mman from '../../src/abi/mman.ts';
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
  RESOURCE,
} from './operands.ts';
import { PAGE_GRAMMAR, type PageStep } from './pageStep.ts';

export { type CaseAddress, CaseSyntaxError, PAGE, WINDOW, WINDOW_END } from './operands.ts';

/** Operations on a range, with nothing else to say. */
export type RangeOp = 'unmap' | 'lock' | 'unlock' | 'seal' | 'mbind0' | 'mincore' | 'uffdunreg' | 'name';
/** Operations on a range with one number: protection, advice, flags, policy or mode. */
export type RangeArgOp = 'prot' | 'adv' | 'lock2' | 'mbind' | 'msync' | 'uffdreg';
/** Accesses to pages. */
export type AccessOp = 'touch' | 'read' | 'touchto' | 'readto';
/** Questions about pages. */
export type PageOp = 'val' | 'pfn' | 'slots' | 'tables';
/** Operations with one number. */
export type NumberOp =
  | 'brk'
  | 'lockall'
  | 'crefs'
  | 'fill'
  | 'ksmall'
  | 'overcommit'
  | 'comm'
  | 'at'
  | 'drop';
/** Operations without operands. `exited` is where a child has ended and its parent goes on. */
export type PlainOp =
  | 'unlockall'
  | 'uid'
  | 'count'
  | 'fork'
  | 'forkhold'
  | 'forkdrop'
  | 'endchild'
  | 'exited'
  | 'uffd'
  | 'mdwe'
  | 'vmas'
  | 'vmacount'
  | 'vfork'
  | 'smaps';
/** Operations on one of the three slots for files and segments. */
export type SlotOp = 'fd' | 'fillfd' | 'file' | 'dir' | 'devnull' | 'devzero' | 'shmget';
/** How a file of a case is opened. */
export type FileAccess = 'rw' | 'ro' | 'wo';

/** One member for each operation, all with the same operands, so that `op` tells them apart. */
type Each<Op extends string, Operands> = Op extends unknown
  ? { readonly op: Op } & Readonly<Operands>
  : never;

/** An operation without operands. */
export type PlainStep = Each<PlainOp, object>;

/** One operation with its operands. */
export type Step = VmaStep | PageStep;

/** One operation of vma.cases. */
export type VmaStep =
  | {
      readonly op: 'map';
      readonly addr: CaseAddress;
      readonly len: bigint;
      readonly prot: number;
      readonly flags: number;
      /** The slot of the file, null for anonymous memory. */
      readonly fd: number | null;
      readonly offset: bigint;
    }
  | Each<RangeOp, { addr: CaseAddress; len: bigint }>
  | Each<RangeArgOp, { addr: CaseAddress; len: bigint; arg: number }>
  | {
      readonly op: 'remap';
      readonly addr: CaseAddress;
      readonly oldLen: bigint;
      readonly newLen: bigint;
      readonly flags: number;
      readonly newAddr: CaseAddress;
    }
  /** Pages `stride` bytes apart, by default neighbours. */
  | Each<AccessOp, { addr: CaseAddress; nrPages: number; stride?: bigint }>
  | Each<PageOp, { addr: CaseAddress; nrPages: number }>
  | Each<
      'padv' | 'padvparent',
      { advice: number; ranges: readonly { readonly addr: CaseAddress; readonly len: bigint }[] }
    >
  | Each<NumberOp, { arg: number }>
  | PlainStep
  | { readonly op: 'limit'; readonly resource: number; readonly bytes: bigint; readonly aboveUse: boolean }
  | Each<SlotOp, { slot: number; nrPages: number; access: FileAccess }>
  | { readonly op: 'shmat'; readonly slot: number; readonly addr: CaseAddress }
  | { readonly op: 'seals'; readonly slot: number; readonly arg: number }
  /** `first`: so many of the pages, in the order that the seed draws. */
  | {
      readonly op: 'commit';
      readonly addr: CaseAddress;
      readonly nrPages: number;
      readonly seed: number;
      readonly first: number;
    }
  | { readonly op: 'gather'; readonly addr: CaseAddress; readonly nrPages: number };

const parseMap = (a: readonly string[]): Step => {
  const letters = a[3] as string;
  const fd = /[012]/.exec(letters);
  const flags = parseLetters(letters.replace(/[012]/, ''), MAP);
  return {
    op: 'map',
    addr: letters.includes('z') ? { from: 'zero', bytes: 0n } : parseAddress(a[0] as string),
    len: parseLength(a[1] as string),
    prot: parseLetters(a[2] as string, PROT),
    flags: fd === null ? flags | mman.MAP_ANONYMOUS : flags,
    fd: fd === null ? null : Number(fd[0]),
    offset: a[4] === undefined ? 0n : BigInt(parseLength(a[4])),
  };
};

const parseRemap = (a: readonly string[]): Step => ({
  op: 'remap',
  addr: parseAddress(a[0] as string),
  oldLen: parseLength(a[1] as string),
  newLen: parseLength(a[2] as string),
  flags: parseLetters(a[3] as string, REMAP),
  newAddr: a[4] === undefined ? { from: 'zero', bytes: 0n } : parseAddress(a[4]),
});

const parseRanges = (op: 'padv' | 'padvparent', a: readonly string[]): Step => {
  if (a.length % 2 !== 1) throw new CaseSyntaxError('ranges come in pairs of address and length');
  const ranges = [];
  for (let i = 1; i < a.length; i += 2) {
    ranges.push({ addr: parseAddress(a[i] as string), len: parseLength(a[i + 1] as string) });
  }
  return { op, advice: parseAdvice(a[0] as string), ranges };
};

const parseLimit = (a: readonly string[]): Step => {
  const resource = RESOURCE[a[0] as string];
  const value = a[1] as string;
  if (resource === undefined) throw new CaseSyntaxError(`unknown limit ${a[0]}`);
  const aboveUse = value.startsWith('+');
  return { op: 'limit', resource, bytes: parseLength(aboveUse ? value.slice(1) : value), aboveUse };
};

const parseSlot = (op: SlotOp, a: readonly string[]): Step => {
  const access = a[2] ?? 'rw';
  if (access !== 'rw' && access !== 'ro' && access !== 'wo')
    throw new CaseSyntaxError(`unknown access ${access}`);
  return { op, slot: parseInteger(a[0] as string), nrPages: parseCount(a[1] ?? '0'), access };
};

/** How many operands each operation takes, and how they are read. */
const GRAMMAR = new Map<
  string,
  { readonly min: number; readonly max: number; readonly read: (a: readonly string[]) => Step }
>(PAGE_GRAMMAR);

const define = (op: string, min: number, max: number, read: (a: readonly string[]) => Step): unknown =>
  GRAMMAR.set(op, { min, max, read });

define('map', 4, 5, parseMap);
define('remap', 4, 5, parseRemap);
define('limit', 2, 2, parseLimit);
define('shmat', 2, 2, (a) => ({
  op: 'shmat',
  slot: parseInteger(a[0] as string),
  addr: parseAddress(a[1] as string),
}));
define('seals', 2, 2, (a) => ({
  op: 'seals',
  slot: parseInteger(a[0] as string),
  arg: parseInteger(a[1] as string),
}));
for (const op of ['unmap', 'lock', 'unlock', 'seal', 'mbind0', 'mincore', 'uffdunreg', 'name'] as const) {
  define(op, 2, 2, (a) => ({ op, addr: parseAddress(a[0] as string), len: parseLength(a[1] as string) }));
}
for (const op of ['prot', 'adv', 'lock2', 'mbind', 'msync', 'uffdreg'] as const) {
  const readArg =
    op === 'prot' ? (w: string) => parseLetters(w, PROT) : op === 'adv' ? parseAdvice : parseInteger;
  define(op, 3, 3, (a) => ({
    op,
    addr: parseAddress(a[0] as string),
    len: parseLength(a[1] as string),
    arg: readArg(a[2] as string),
  }));
}
for (const op of ['touch', 'read', 'touchto', 'readto'] as const) {
  define(op, 1, 3, (a) => ({
    op,
    addr: parseAddress(a[0] as string),
    nrPages: parseCount(a[1] ?? '1'),
    ...(a[2] === undefined ? {} : { stride: parseLength(a[2]) }),
  }));
}
for (const op of ['val', 'pfn', 'slots', 'tables'] as const) {
  define(op, 1, 2, (a) => ({ op, addr: parseAddress(a[0] as string), nrPages: parseCount(a[1] ?? '1') }));
}
for (const op of ['padv', 'padvparent'] as const) define(op, 3, 13, (a) => parseRanges(op, a));
for (const op of ['brk', 'lockall', 'crefs', 'fill', 'ksmall', 'overcommit', 'comm', 'at', 'drop'] as const) {
  define(op, 1, 1, (a) => ({ op, arg: parseInteger(a[0] as string) }));
}
for (const op of [
  'unlockall',
  'uid',
  'count',
  'fork',
  'forkhold',
  'forkdrop',
  'endchild',
  'exited',
  'uffd',
  'mdwe',
  'vmas',
  'vmacount',
  'vfork',
  'smaps',
] as const) {
  define(op, 0, 0, () => ({ op }));
}
for (const op of ['fd', 'fillfd', 'file', 'dir', 'devnull', 'devzero', 'shmget'] as const)
  define(op, 1, 3, (a) => parseSlot(op, a));
define('commit', 3, 4, (a) => ({
  op: 'commit',
  addr: parseAddress(a[0] as string),
  nrPages: parseInteger(a[1] as string),
  seed: parseInteger(a[2] as string),
  first: parseInteger(a[3] ?? (a[1] as string)),
}));
define('gather', 2, 2, (a) => ({
  op: 'gather',
  addr: parseAddress(a[0] as string),
  nrPages: parseInteger(a[1] as string),
}));

/** Reads one operation and its operands, without what is expected of it. */
export function parseStep(text: string): Step {
  const [op, ...operands] = text.split(/\s+/);
  const rule = GRAMMAR.get(op as string);
  if (rule === undefined) throw new CaseSyntaxError(`unknown operation "${op}"`);
  if (operands.length < rule.min || operands.length > rule.max) {
    throw new CaseSyntaxError(`${op} does not take ${operands.length} operands`);
  }
  return rule.read(operands);
}
