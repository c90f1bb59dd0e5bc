/**
 * Single values in strace's notation: terms of numbers and names, and escaped strings.
 */
import { fcntlConstant } from '../abi/fcntl.ts';
import { ipcConstant } from '../abi/ipc.ts';
import { mmanConstant } from '../abi/mman.ts';
import { processConstant } from '../abi/prctl.ts';
import { uffdConstant } from '../abi/userfaultfd.ts';
import { vrangeConstant } from '../abi/vrange.ts';
import { isDigit, ownCopy } from './scanner.ts';

const MINUS = 45;
/** Bits that `N<<MAP_HUGE_SHIFT` is shifted by. */
const MAP_HUGE_SHIFT = 26;

/** Names for "nothing". */
const ZERO_NAMES: ReadonlyMap<string, number> = new Map([
  ['NULL', 0],
  ['MAP_FILE', 0],
]);

/** Returns the value of a constant that strace prints by name, or null. */
const constant = (name: string): number | null =>
  mmanConstant(name) ??
  fcntlConstant(name) ??
  processConstant(name) ??
  ipcConstant(name) ??
  vrangeConstant(name) ??
  uffdConstant(name) ??
  ZERO_NAMES.get(name) ??
  null;

/** Returns the value of one term: a number in any of strace's forms, a name, `~` and a term; null if it is none. */
export function termValue(term: string): number | null {
  if (isDigit(term.charCodeAt(0)) || term.charCodeAt(0) === MINUS) return plainNumber(term);
  if (term.startsWith('~')) {
    const bits = termValue(term.slice(1));
    return bits === null ? null : 2 ** 32 - 1 - bits;
  }
  return constant(term);
}

/** `4096`, `-1`, `0x1000`, `0644`, `8192*1024`, `21<<MAP_HUGE_SHIFT`. */
function plainNumber(term: string): number | null {
  const shifted = /^(\d+)<<MAP_HUGE_SHIFT$/.exec(term);
  if (shifted !== null) return Number(shifted[1]) * 2 ** MAP_HUGE_SHIFT;
  if (/^\d+(\*\d+)+$/.test(term))
    return term.split('*').reduce((product, factor) => product * Number(factor), 1);
  if (/^0[0-7]+$/.test(term)) return Number.parseInt(term, 8);
  return /^-?(\d+|0x[0-9a-f]+)$/i.test(term) ? Number(term) : null;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', v: '\v' };

/** Decodes the escapes of a string printed by strace: `\"`, `\\`, `\n`, octal `\74`, hex `\x3c`; bytes above 127 are UTF-8. */
export function unescaped(text: string): string {
  if (!text.includes('\\')) return ownCopy(text);
  return text.replace(/(?:\\(?:[0-7]{1,3}|x[0-9a-f]{2}))+|\\(.)/gs, (bytes, other?: string) =>
    other === undefined ? decodeBytes(bytes.split('\\').slice(1)) : (ESCAPES[other] ?? other),
  );
}

/** Decodes bytes given as `303` or `xc3`; where they are not UTF-8 each stands for the character of that code. */
function decodeBytes(digits: readonly string[]): string {
  const codes = digits.map((byte) => Number.parseInt(byte.replace('x', ''), byte.startsWith('x') ? 16 : 8));
  try {
    return decodeURIComponent(codes.map((code) => `%${code.toString(16).padStart(2, '0')}`).join(''));
  } catch {
    return String.fromCharCode(...codes);
  }
}
