/**
 * ioctls of userfaultfd as strace prints them: from their text to an operation, and what the kernel wrote into their structures.
 *
 *   UFFDIO_COPY, {dst=0x7f…, src=0x55…, len=0x2000, mode=UFFDIO_COPY_MODE_WP, copy=0x2000}
 *   UFFDIO_ZEROPAGE, {range={start=0x7f…, len=0x2000}, mode=0, zeropage=0x2000}
 *   UFFDIO_API, {api=0xaa, features=0x16000 => features=UFFD_FEATURE_…, ioctls=1<<_UFFDIO_REGISTER|…}
 *   _IOC(_IOC_READ|_IOC_WRITE, 0xaa, 0x5, 0x28), 0x7ffe…          one that this strace does not know
 *
 * What a COPY reads is not in a recording: its pages hold what the model has at its source. Of what was written, how far an ioctl came is compared; the lists
 * of features and ioctls say which kernel it was, and are not.
 *
 * Not followed   an ioctl whose structure strace did not print: WRITEPROTECT, CONTINUE, POISON and MOVE of strace 6.1
 */
import type { Op, Recorded } from '../machine/op.ts';
import { type UffdIoctlName, type UffdRequest, uffdIoctl } from '../machine/uffdOp.ts';
import type { CallText } from './straceArgs.ts';
import { termValue } from './straceValues.ts';

/** Names by the last byte of the number. */
const NAMES: ReadonlyMap<number, UffdIoctlName> = new Map([
  [0x3f, 'UFFDIO_API'],
  [0x00, 'UFFDIO_REGISTER'],
  [0x01, 'UFFDIO_UNREGISTER'],
  [0x02, 'UFFDIO_WAKE'],
  [0x03, 'UFFDIO_COPY'],
  [0x04, 'UFFDIO_ZEROPAGE'],
  [0x05, 'UFFDIO_MOVE'],
  [0x06, 'UFFDIO_WRITEPROTECT'],
  [0x07, 'UFFDIO_CONTINUE'],
  [0x08, 'UFFDIO_POISON'],
]);
const KNOWN: ReadonlySet<string> = new Set(NAMES.values());
/** Where an ioctl says how far it came. */
const DONE_FIELDS: Readonly<Partial<Record<UffdIoctlName, string>>> = {
  UFFDIO_COPY: 'copy',
  UFFDIO_ZEROPAGE: 'zeropage',
  UFFDIO_CONTINUE: 'mapped',
  UFFDIO_POISON: 'updated',
  UFFDIO_MOVE: 'move',
};

const isName = (text: string): text is UffdIoctlName => KNOWN.has(text);

/** Returns the name of an ioctl, `other` for one of userfaultfd that has none here, null for any other. */
function nameOf(text: string): UffdIoctlName | 'other' | null {
  const word = /^\w+/.exec(text)?.[0] ?? '';
  if (isName(word)) return word;
  // `0xc028aa03`, or `_IOC(_IOC_READ|_IOC_WRITE, 0xaa, 0x3, 0x28)`; a comment may follow.
  const number = /^0x[0-9a-f]{4}aa([0-9a-f]{2})\b/.exec(text) ?? /^_IOC\([^,]*, 0xaa, (\w+),/.exec(text);
  if (number === null) return word.startsWith('UFFDIO_') ? 'other' : null;
  const digits = number[1] as string;
  return NAMES.get(digits.startsWith('0x') ? Number(digits) : Number.parseInt(digits, 16)) ?? 'other';
}

/** Adds up the features that are asked for, before `=>`; names that are not known count as nothing. */
function askedFeatures(text: string): number {
  const asked = (text.split('=>')[0] as string).replaceAll(/\/\*.*?\*\//g, '');
  return asked.split('|').reduce((bits, term) => bits + (termValue(term.trim()) ?? 0), 0);
}

function request(a: CallText, name: UffdIoctlName): UffdRequest {
  const number = (structure: number, field: string): number => a.number(a.member(structure, field));
  switch (name) {
    case 'UFFDIO_API':
      return { name, api: number(2, 'api'), features: askedFeatures(a.text(a.member(2, 'features'))) };
    case 'UFFDIO_UNREGISTER':
    case 'UFFDIO_WAKE':
      return { name, start: number(2, 'start'), len: number(2, 'len') };
    case 'UFFDIO_COPY':
    case 'UFFDIO_MOVE': {
      const [dst, src, len] = [number(2, 'dst'), number(2, 'src'), number(2, 'len')];
      return { name, dst, src, len, mode: a.flags(a.member(2, 'mode')) };
    }
    case 'UFFDIO_REGISTER':
    case 'UFFDIO_WRITEPROTECT':
    case 'UFFDIO_ZEROPAGE':
    case 'UFFDIO_CONTINUE':
    case 'UFFDIO_POISON': {
      const mode = a.flags(a.member(2, 'mode'));
      const range = a.member(2, 'range');
      return { name, start: number(range, 'start'), len: number(range, 'len'), mode };
    }
  }
}

/** Reads an ioctl: an operation, null for one that is not about userfaultfd, or why it is not followed. */
export function uffdIoctlOp(a: CallText): Op | string | null {
  const name = nameOf(a.text(1));
  if (name === null) return null;
  if (name === 'other') return 'an ioctl of userfaultfd that is not known';
  if (a.isNull(2)) return { call: 'uffd_ioctl', fd: a.int(0), name, request: null };
  if (!a.isOpened(2)) return `strace did not print the structure of ${name}`;
  return uffdIoctl(a.int(0), request(a, name));
}

/** Returns the answer of an ioctl of userfaultfd, with how far it came where strace printed that. */
export function uffdAnswer(op: Op, a: CallText): Recorded {
  const recorded = a.recorded();
  const field = op.call === 'uffd_ioctl' && op.request !== null ? DONE_FIELDS[op.name] : undefined;
  if (field === undefined || recorded.kind !== 'value') return recorded;
  const range = a.memberOrNull(2, field);
  if (range === null) return recorded;
  return {
    kind: 'ioctl',
    result: { kind: 'value', value: recorded.value },
    output: `{${field}=${a.number(range)}}`,
  };
}
