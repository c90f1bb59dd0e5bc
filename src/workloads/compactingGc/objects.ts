/**
 * Objects as they lie in the bytes of the heap.
 *
 *   word 0     number of the object
 *   word 1     magic | type
 *   word 2     version: how often its data were written
 *   word 3     seal of number, type and version
 *   4 …        references, two words each: an address, 0 for none
 *   the rest   data, which follow from number and version
 *
 * Words have 32 bits. An object does not cross the border of a page; sizes are powers of two, so pages can be filled whole.
 *
 * Left out   objects larger than a page
 */
import type { Prng } from '../../base/prng.ts';
import type { PageWords } from './access.ts';

/** Sizes and positions of objects are multiples of this, bytes. */
export const GRANULE = 128;

/** What objects there are: bytes, and references of each. */
export const TYPES = [
  { bytes: 128, refs: 2 },
  { bytes: 256, refs: 4 },
  { bytes: 512, refs: 8 },
] as const;

/** The most references an object has. */
export const MAX_REFS = 8;

/** The number of a type of objects. */
export type TypeNr = number;

const MAGIC = 0xfa170000;
const HEADER_WORDS = 4;
const HIGH = 2 ** 32;

const BYTES: readonly number[] = TYPES.map(({ bytes }) => bytes);
const REFS: readonly number[] = TYPES.map(({ refs }) => refs);

/** Returns the size of objects of `type`, bytes. */
export const bytesOf = (type: TypeNr): number => BYTES[type] ?? 0;
/** Returns how many references objects of `type` have. */
export const refsOf = (type: TypeNr): number => REFS[type] ?? 0;

/** Every second object is of the middle size. */
const DRAWN: readonly TypeNr[] = [0, 1, 1, 2];

/** Draws a type. */
export const drawType = (prng: Prng): TypeNr => prng.pick(DRAWN);

/** Who knows what objects are, apart from what they refer to. */
export interface Identities {
  /** Returns the type of an object. */
  type(id: number): TypeNr;
  /** Returns how often its data were rewritten. */
  version(id: number): number;
}

const sealOf = (id: number, type: TypeNr, version: number): number =>
  (Math.imul(id ^ (type << 28), 0x9e3779b1) ^ Math.imul(version + 1, 0x85ebca6b)) >>> 0;

/** Writes object `id` at word `at` of its page, all references 0. */
export function writeObject(page: PageWords, at: number, id: number, of: Identities): void {
  const type = of.type(id);
  page[at] = id;
  page[at + 1] = (MAGIC | type) >>> 0;
  page.fill(0, at + HEADER_WORDS, at + HEADER_WORDS + 2 * refsOf(type));
  writeData(page, at, id, of);
}

/** Writes version, seal and data of an object that is there. */
export function writeData(page: PageWords, at: number, id: number, of: Identities): void {
  const type = of.type(id);
  const version = of.version(id);
  page[at + 2] = version;
  const seal = sealOf(id, type, version);
  page[at + 3] = seal;
  const end = at + (bytesOf(type) >> 2);
  let x = seal;
  for (let i = at + HEADER_WORDS + 2 * refsOf(type); i < end; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    page[i] = x;
  }
}

/** Returns the type that the header at word `at` tells, or null if there is none. */
export function typeAt(page: PageWords, at: number): TypeNr | null {
  const word = page[at + 1] as number;
  const type = word & 0xffff;
  return (word & 0xffff0000) >>> 0 === MAGIC && type < TYPES.length ? type : null;
}

/** Returns reference `slot` of the object at word `at`: an address, or 0. */
export function refAt(page: PageWords, at: number, slot: number): number {
  const i = at + HEADER_WORDS + 2 * slot;
  return (page[i] as number) + (page[i + 1] as number) * HIGH;
}

/** Sets reference `slot` of the object at word `at`. */
export function setRef(page: PageWords, at: number, slot: number, addr: number): void {
  const i = at + HEADER_WORDS + 2 * slot;
  // An array of 32-bit words takes the low 32 bits of a number.
  page[i] = addr;
  page[i + 1] = Math.floor(addr / HIGH);
}

/** Compares header and data with what they should be. Returns what is wrong, or null. References are compared by who knows where objects are. */
export function whatIsWrong(page: PageWords, at: number, id: number, of: Identities): string | null {
  const type = of.type(id);
  const version = of.version(id);
  if (page[at] !== id) return `holds object ${page[at]}`;
  if (typeAt(page, at) !== type) return 'has no header of its type';
  if (page[at + 2] !== version) return `is of version ${page[at + 2]}, and was written as ${version}`;
  const seal = sealOf(id, type, version);
  if (page[at + 3] !== seal) return 'has a broken seal';
  const end = at + (bytesOf(type) >> 2);
  let x = seal;
  for (let i = at + HEADER_WORDS + 2 * refsOf(type); i < end; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    if (page[i] !== x) return `has other data in word ${i - at}`;
  }
  return null;
}
