/**
 * The volatile ranges of one address space as text, a line each, in the manner of /proc/PID/vrange of seed 002:
 *
 *   200000000000-200000010000 full size_kb=64 rss_kb=48 swap_kb=0 purged_kb=16 turn=2
 *
 * `turn` is its place among the ranges of all address spaces in the order in which they are purged, 1 for the next one. What is neither resident nor in
 * swap nor purged was never touched, or was discarded.
 *
 * Cost    every entry of the ranges, and every range of the kernel
 * Linux   never merged; v7 named the file and not its format
 */
import { type Addr, hexRange, PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { HUGE, KIND_MASK, MARKER, MARKER_PURGED, PRESENT, SWAP } from './pte.ts';

const KIB = 1024;

/** Returns the lines of the ranges that `isShown` lets through, each with its newline. */
export function vrangesText(
  mm: Mm,
  isShown: (range: { readonly start: Addr; readonly end: Addr }) => boolean = () => true,
): string {
  const turns = new Map([...mm.kernel.vrangeLru].map((node, i) => [node, i + 1]));
  let text = '';
  for (const node of mm.vranges ?? []) {
    const { start, end, behavior } = node;
    if (!isShown(node)) continue;
    const { resident, swapped, purged } = bytesIn(mm, start, end);
    text +=
      `${hexRange(start, end)} ${behavior} size_kb=${(end - start) / KIB} rss_kb=${resident / KIB} ` +
      `swap_kb=${swapped / KIB} purged_kb=${purged / KIB} turn=${turns.get(node)}\n`;
  }
  return text;
}

/** Returns what there is of [start, end), in bytes. */
function bytesIn(
  mm: Mm,
  start: Addr,
  end: Addr,
): { readonly resident: number; readonly swapped: number; readonly purged: number } {
  const bytes = { resident: 0, swapped: 0, purged: 0 };
  mm.pages.forEach(start, end, (addr, low, high) => {
    const kind = low & KIND_MASK;
    const size = low & HUGE ? Math.min(addr + PMD_SIZE, end) - Math.max(addr, start) : PAGE_SIZE;
    if (kind === PRESENT) bytes.resident += size;
    else if (kind === SWAP) bytes.swapped += size;
    else if (kind === MARKER && high === MARKER_PURGED) bytes.purged += size;
  });
  return bytes;
}
