/**
 * From a call of record.bt to an Op: names and plain numbers, in the order of the system call's arguments.
 */
import { MREMAP_DONTUNMAP, MREMAP_FIXED } from '../abi/mman.ts';
import type { Op } from '../machine/op.ts';

type Make = (a: number, b: number, c: number, d: number, e: number, f: number) => Op;

/** Each call with the number of its arguments. */
const CALLS: ReadonlyMap<string, readonly [nrArgs: number, make: Make]> = new Map<
  string,
  readonly [number, Make]
>([
  [
    'mmap',
    [6, (addr, len, prot, flags, fd, offset) => ({ call: 'mmap', addr, len, prot, flags, fd, offset })],
  ],
  ['munmap', [2, (addr, len) => ({ call: 'munmap', addr, len })]],
  ['mprotect', [3, (addr, len, prot) => ({ call: 'mprotect', addr, len, prot })]],
  [
    'pkey_mprotect',
    [4, (addr, len, prot, pkey) => ({ call: 'mprotect', addr, len, prot, pkey: signed(pkey) })],
  ],
  ['mremap', [5, mremap]],
  ['brk', [1, (addr) => ({ call: 'brk', addr })]],
  ['madvise', [3, (addr, len, advice) => ({ call: 'madvise', addr, len, advice })]],
  ['mlock', [2, (addr, len) => ({ call: 'mlock', addr, len })]],
  ['mlock2', [3, (addr, len, flags) => ({ call: 'mlock2', addr, len, flags })]],
  ['munlock', [2, (addr, len) => ({ call: 'munlock', addr, len })]],
  ['mlockall', [1, (flags) => ({ call: 'mlockall', flags })]],
  ['munlockall', [0, () => ({ call: 'munlockall' })]],
  ['shmget', [3, (key, size, flags) => ({ call: 'shmget', key, size, flags })]],
  ['shmat', [3, (id, addr, flags) => ({ call: 'shmat', id, addr, flags })]],
  ['shmdt', [1, (addr) => ({ call: 'shmdt', addr })]],
]);

/** Returns the operation of a call, null for a name that is not known or another number of arguments. */
export function bpftraceOp(name: string, args: readonly number[]): Op | null {
  const call = CALLS.get(name);
  if (call === undefined || call[0] !== args.length) return null;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
  return call[1](a, b, c, d, e, f);
}

/** The fifth register holds anything if the flags do not use it. */
function mremap(addr: number, oldLen: number, newLen: number, flags: number, newAddr: number): Op {
  const isUsed = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;
  return { call: 'mremap', addr, oldLen, newLen, flags, newAddr: isUsed ? newAddr : 0 };
}

/** -1 is printed as a full register, which a double rounds to 2^64. */
const signed = (value: number): number => (value >= 2 ** 63 ? -1 : value);
