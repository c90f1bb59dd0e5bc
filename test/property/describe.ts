/**
 * Operations as short text for the report of a failing run: addresses are pages of the window.
 */
import type { Op } from '../../src/machine/index.ts';

const PAGE = 4096;

/** Prints an operation, e.g. `mprotect addr=3 len=2 prot=1`; addresses count pages from page number `window`. */
export function describeOp(op: Op, window: number): string {
  const { call, ...rest } = op;
  const args = Object.entries(rest).map(([name, given]) => {
    if (typeof given !== 'number') return `${name}=${String(given)}`;
    if (/addr/i.test(name)) return `${name}=${given / PAGE - window}`;
    if (/len|offset|size/i.test(name)) return `${name}=${given / PAGE}`;
    return name === 'flags' ? `flags=0x${given.toString(16)}` : `${name}=${given}`;
  });
  return [call, ...args].join(' ');
}
