/**
 * Whether a stopped process stands at its very first instruction: that of the dynamic loader, or of the program itself
 * if there is none. This is the proof that the start snapshot is exact.
 */
import { closeSync, openSync, readSync } from 'node:fs';

const AT_PHDR = 3;
const AT_BASE = 7;
const AT_ENTRY = 9;

/** Returns the pairs of an auxiliary vector. Values are 64 bits. */
export function parseAuxv(bytes: Buffer): [type: number, value: bigint][] {
  const pairs: [number, bigint][] = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    pairs.push([Number(bytes.readBigUInt64LE(at)), bytes.readBigUInt64LE(at + 8)]);
  }
  return pairs;
}

/** Returns the instruction pointer of a stopped thread, from the text of /proc/PID/syscall, or null. */
export function instructionPointer(syscallText: string): bigint | null {
  const last = syscallText.trim().split(' ').at(-1);
  return last?.startsWith('0x') ? BigInt(last) : null;
}

/** Returns where the first instruction of a process is, or null if its loader cannot be read. */
export function firstInstruction(auxv: Buffer, maps: string): bigint | null {
  const value = new Map(parseAuxv(auxv));
  const base = value.get(AT_BASE);
  if (base === undefined || base === 0n) return value.get(AT_ENTRY) ?? null;
  if (!value.has(AT_PHDR)) return null;
  // The loader is the file mapped at AT_BASE; its header says where it begins (e_entry, 8 bytes at 24).
  const line = maps.split('\n').find((text) => BigInt(`0x${text.split('-')[0] || '0'}`) === base);
  const path = line?.slice(line.indexOf('/'));
  if (path === undefined || !path.startsWith('/')) return null;
  const header = Buffer.alloc(32);
  try {
    const fd = openSync(path, 'r');
    readSync(fd, header, 0, 32, 0);
    closeSync(fd);
  } catch {
    return null;
  }
  return base + header.readBigUInt64LE(24);
}
