/**
 * Operations as strace would write them: `mremap(0x7f12, 16384, 32768, MREMAP_MAYMOVE)`, and `write at 0x7f12` for a touch.
 *
 * For people. Only the flags that matter for a mapping are named; what is left over is printed in hex, so nothing is dropped.
 */
import {
  adviceName,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MREMAP_MUST_RELOCATE_ANON,
  MREMAP_RELOCATE_ANON,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { hex, PAGE_SIZE } from '../base/units.ts';
import type { Op, OpName } from '../machine/index.ts';

type Names = readonly (readonly [name: string, flag: number])[];

const PROT: Names = [
  ['PROT_READ', PROT_READ],
  ['PROT_WRITE', PROT_WRITE],
  ['PROT_EXEC', PROT_EXEC],
];
const MAP: Names = [
  ['MAP_SHARED', MAP_SHARED],
  ['MAP_PRIVATE', MAP_PRIVATE],
  ['MAP_FIXED', MAP_FIXED],
  ['MAP_FIXED_NOREPLACE', MAP_FIXED_NOREPLACE],
  ['MAP_ANONYMOUS', MAP_ANONYMOUS],
  ['MAP_GROWSDOWN', MAP_GROWSDOWN],
  ['MAP_LOCKED', MAP_LOCKED],
  ['MAP_NORESERVE', MAP_NORESERVE],
  ['MAP_POPULATE', MAP_POPULATE],
  ['MAP_STACK', MAP_STACK],
];
const MREMAP: Names = [
  ['MREMAP_MAYMOVE', MREMAP_MAYMOVE],
  ['MREMAP_FIXED', MREMAP_FIXED],
  ['MREMAP_DONTUNMAP', MREMAP_DONTUNMAP],
  ['MREMAP_RELOCATE_ANON', MREMAP_RELOCATE_ANON],
  ['MREMAP_MUST_RELOCATE_ANON', MREMAP_MUST_RELOCATE_ANON],
];

function flagNames(flags: number, names: Names, zero: string): string {
  let rest = flags;
  const found: string[] = [];
  for (const [name, flag] of names) {
    if ((rest & flag) === 0) continue;
    found.push(name);
    rest &= ~flag;
  }
  if (rest !== 0) found.push(hex(rest >>> 0));
  return found.length === 0 ? zero : found.join('|');
}

const place = (addr: number): string => (addr === 0 ? 'NULL' : hex(addr));

const vrangeName = (value: string | number): string =>
  typeof value === 'number' ? String(value) : `VRANGE_${value.toUpperCase()}`;

const protText = (prot: number): string => flagNames(prot, PROT, 'PROT_NONE');

/** Calls that have a text of their own. */
const TEXT: { readonly [Name in OpName]?: (op: Extract<Op, { call: Name }>) => string } = {
  mmap: (op) =>
    `mmap(${place(op.addr)}, ${op.len}, ${protText(op.prot)}, ${flagNames(op.flags, MAP, '0')}, ${op.fd}, ${op.offset})`,
  mprotect: (op) => `mprotect(${hex(op.addr)}, ${op.len}, ${protText(op.prot)})`,
  mremap: (op) => {
    const to = op.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) ? `, ${place(op.newAddr)}` : '';
    return `mremap(${hex(op.addr)}, ${op.oldLen}, ${op.newLen}, ${flagNames(op.flags, MREMAP, '0')}${to})`;
  },
  madvise: (op) => `madvise(${hex(op.addr)}, ${op.len}, ${adviceName(op.advice)})`,
  vrange: ({ addr, len, mode, behavior }) =>
    `vrange(${hex(addr)}, ${len}, ${vrangeName(mode)}, ${vrangeName(behavior)})`,
  brk: (op) => `brk(${place(op.addr)})`,
  clone: (op) => `clone(${hex(op.flags)})`,
  touch: touchText,
};

/** Returns `op` in one line of text. */
export function callText(op: Op): string {
  const own = TEXT[op.call] as ((op: Op) => string) | undefined;
  return own === undefined ? otherCall(op) : own(op);
}

function touchText(op: Extract<Op, { call: 'touch' }>): string {
  const pages = Math.ceil(op.len / PAGE_SIZE);
  const where = pages > 1 ? `${hex(op.addr)}, ${pages} pages` : hex(op.addr);
  return `${op.by === 'kernel' ? 'kernel ' : ''}${op.access} at ${where}`;
}

/** Calls without flags worth a name: their arguments as they are, addresses in hex. */
function otherCall(op: Op): string {
  const { call, ...rest } = op;
  const text = (name: string, value: unknown): string => {
    if (typeof value !== 'number') return typeof value === 'string' ? `"${value}"` : JSON.stringify(value);
    return name === 'addr' || name === 'flags' ? hex(value) : String(value);
  };
  return `${call}(${Object.entries(rest)
    .map(([name, value]) => text(name, value))
    .join(', ')})`;
}
