/**
 * The state of an address space as one number, computed alike of the model and, by oracle/bench/bench.h, of the kernel.
 */
import { type Mm, mapsText } from '../src/mm/index.ts';

/** How many VMAs a part of an address space has, and the hash of them. */
export interface EndState {
  readonly vmas: number;
  readonly hash: string;
}

const FNV_START = 2166136261;
const FNV_PRIME = 16777619;

/** Hashes any text: FNV-1a, 32 bits, eight hex digits. */
export function hashOf(text: string): string {
  let hash = FNV_START;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/**
 * Looks at the VMAs of [low, high).
 * @param move  what their addresses are printed as
 */
export function endState(
  mm: Mm,
  range: { readonly low: number; readonly high: number },
  move: (addr: number) => number,
): EndState {
  let text = '';
  let vmas = 0;
  for (const line of mapsText(mm).split('\n')) {
    const [addresses = '', perms = ''] = line.split(' ');
    const [start = Number.NaN, end = Number.NaN] = addresses
      .split('-')
      .map((hex) => Number.parseInt(hex, 16));
    if (!(start >= range.low && end <= range.high)) continue;
    text += `${move(start).toString(16)}-${move(end).toString(16)} ${perms}\n`;
    vmas++;
  }
  return { vmas, hash: hashOf(text) };
}

/** Throws unless the kernel ended in the same state. */
export function expectSameEnd(bench: string, ours: EndState, kernel: { vmas: number; hash: string }): void {
  if (ours.vmas !== kernel.vmas || ours.hash !== kernel.hash)
    throw new Error(
      `${bench}: the model ends with ${ours.vmas} VMAs (${ours.hash}), the kernel with ${kernel.vmas} (${kernel.hash})`,
    );
}
