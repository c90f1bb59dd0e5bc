/**
 * The operands of the case language: addresses, lengths, counts, letters for flags, advice by name.
 *
 * Anything that is not in the notation throws a `CaseSyntaxError`.
 */
import * as mman from '../../src/abi/mman.ts';

/** Bytes of a page. */
export const PAGE = 4096n;
/** B of the notation: the start of the window in which nothing else is mapped, and its end. */
export const WINDOW = 0x1000_0000_0000n;
export const WINDOW_END = WINDOW + (64n << 30n);

/** Thrown for text that is not in the notation; the parser of the file adds the line. */
export class CaseSyntaxError extends Error {}

/** An address: absolute, counted from the first break that the case sees, or from the last mapping outside the window. */
export interface CaseAddress {
  readonly from: 'zero' | 'brk0' | 'last';
  readonly bytes: bigint;
}

/** Letters of protections. */
export const PROT: Readonly<Record<string, number>> = {
  '-': 0,
  r: mman.PROT_READ,
  w: mman.PROT_WRITE,
  x: mman.PROT_EXEC,
  d: mman.PROT_GROWSDOWN,
  u: mman.PROT_GROWSUP,
  q: 0x100,
};
/** Letters of mmap flags. */
export const MAP: Readonly<Record<string, number>> = {
  p: mman.MAP_PRIVATE,
  s: mman.MAP_SHARED,
  v: mman.MAP_SHARED_VALIDATE,
  D: mman.MAP_DROPPABLE,
  4: 4,
  f: mman.MAP_FIXED,
  r: mman.MAP_FIXED_NOREPLACE,
  z: 0,
  n: mman.MAP_NORESERVE,
  P: mman.MAP_POPULATE,
  N: mman.MAP_NONBLOCK,
  L: mman.MAP_LOCKED,
  g: mman.MAP_GROWSDOWN,
  S: mman.MAP_STACK,
  H: mman.MAP_HUGETLB,
  Y: mman.MAP_SYNC,
  3: mman.MAP_32BIT,
  7: 0x40_0000,
  t: 21 << 26,
  G: 30 << 26,
};
/** Letters of mremap flags. */
export const REMAP: Readonly<Record<string, number>> = {
  '0': 0,
  m: mman.MREMAP_MAYMOVE,
  f: mman.MREMAP_FIXED,
  d: mman.MREMAP_DONTUNMAP,
  x: mman.MREMAP_RELOCATE_ANON,
  o: mman.MREMAP_ONLYPAGES,
  h: mman.MREMAP_ONLYPAGES_HOLES,
};
/** Resources of `limit`. */
export const RESOURCE: Readonly<Record<string, number>> = {
  as: mman.RLIMIT_AS,
  data: mman.RLIMIT_DATA,
  stack: mman.RLIMIT_STACK,
  memlock: mman.RLIMIT_MEMLOCK,
};
const ADVICE = new Map<string, number>(
  Object.entries(mman).flatMap(([name, value]) =>
    name.startsWith('MADV_') ? [[name.slice('MADV_'.length), value as number]] : [],
  ),
);

/** Reads a word of letters as the bits that `table` has for them. */
export const parseLetters = (word: string, table: Readonly<Record<string, number>>): number => {
  let bits = 0;
  for (const letter of word) {
    const bit = table[letter];
    if (bit === undefined) throw new CaseSyntaxError(`unknown letter "${letter}" in "${word}"`);
    bits |= bit;
  }
  return bits;
};

/** Reads a number. */
export const parseInteger = (word: string): number => {
  if (!/^(-?\d+|0x[0-9a-f]+)$/.test(word)) throw new CaseSyntaxError(`"${word}" is not a number`);
  return Number(word);
};

/** Reads an address. */
export const parseAddress = (word: string): CaseAddress => {
  if (/^0x[0-9a-f]+$/.test(word)) return { from: 'zero', bytes: BigInt(word) };
  const match = /^(?:(\d+[MG]?)(?:\+(\d+))?|brk0\+(\d+)|last\+(\d+))$/.exec(word);
  if (match === null) throw new CaseSyntaxError(`"${word}" is not an address`);
  if (match[4] !== undefined) return { from: 'last', bytes: BigInt(match[4]) * PAGE };
  if (match[3] !== undefined) return { from: 'brk0', bytes: BigInt(match[3]) * PAGE };
  return { from: 'zero', bytes: WINDOW + parseLength(match[1] as string) + BigInt(match[2] ?? '0') };
};

const UNIT: Readonly<Record<string, bigint>> = {
  '': PAGE,
  b: 1n,
  M: 1n << 20n,
  G: 1n << 30n,
  T: 1n << 40n,
};

/** Reads a length in bytes: pages, or a number with a unit. */
export const parseLength = (word: string): bigint => {
  if (/^0x[0-9a-f]+$/.test(word)) return BigInt(word);
  const match = /^(\d+)([bMGT]?)$/.exec(word);
  if (match === null) throw new CaseSyntaxError(`"${word}" is not a length`);
  return BigInt(match[1] as string) * (UNIT[match[2] as string] as bigint);
};

/** Reads a number of pages: the number, or a length of whole pages. */
export const parseCount = (word: string): number => {
  const bytes = parseLength(word);
  if (bytes % PAGE !== 0n) throw new CaseSyntaxError(`"${word}" is not a number of pages`);
  return Number(bytes / PAGE);
};

/** Reads an advice, by its name without MADV_ or by its number. */
export const parseAdvice = (word: string): number => {
  const advice = ADVICE.get(word) ?? (/^\d+$/.test(word) ? Number(word) : undefined);
  if (advice === undefined) throw new CaseSyntaxError(`unknown advice ${word}`);
  return advice;
};
