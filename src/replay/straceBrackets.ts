/**
 * Where the parts of a strace line end that may hold any character: strings, comments, paths in angle brackets.
 */
import type { Scanner } from './scanner.ts';

const QUOTE = 34;
const MINUS = 45;
const LESS = 60;
const GREATER = 62;
const BACKSLASH = 92;

/** Returns the index after the string that opens at `open`. */
export function endOfString(at: Scanner, open: number): number {
  const { text } = at;
  for (let i = open + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === QUOTE) return i + 1;
  }
  return at.fail('the line ends inside a string', 'a closing quote', text.length);
}

/** Returns the index after the C comment that opens at `open`. */
export function endOfComment(at: Scanner, open: number): number {
  const close = at.text.indexOf('*/', open + 2);
  if (close < 0) at.fail('the line ends inside a comment', '"*/"', at.text.length);
  return close + 2;
}

/** Returns the index after the path that opens at `open`; paths of devices and sockets nest, `->` closes nothing. */
export function endOfDecoration(at: Scanner, open: number): number {
  const { text } = at;
  let depth = 1;
  for (let i = open + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === LESS) depth++;
    else if (code === GREATER && text.charCodeAt(i - 1) !== MINUS && --depth === 0) return i + 1;
  }
  return at.fail('the line ends inside a path', '">" after the path of a descriptor', text.length);
}
