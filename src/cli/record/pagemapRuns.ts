/**
 * The page states of a process as runs: `start-end FLAGS` in hex, FLAGS being P (present), S (swap entry or marker),
 * F (file or shared memory), X (mapped only here), each `-` if not, then W if write-protected by userfaultfd. Pages
 * without any mark are left out; a run ends where its VMA does.
 *
 * Cost: 8 bytes are read per page, mapped or not. A mapping of more than SCAN_LIMIT bytes in which nothing is resident or
 * swapped (a reserve that some runtimes make is terabytes long) is not scanned; guard markers in it are lost.
 */
import { closeSync, openSync, readSync } from 'node:fs';

const PAGE = 4096;
const BATCH = 65536;
const SCAN_LIMIT = 64 * 2 ** 30;

// The upper half of a pagemap word: bits 63, 62, 61, 57 and 56 of the whole.
const PRESENT = 2 ** 31;
const SWAP = 2 ** 30;
const FILE = 2 ** 29;
const UFFD_WP = 2 ** 25;
const EXCLUSIVE = 2 ** 24;
const SHOWN = PRESENT + SWAP + FILE + UFFD_WP + EXCLUSIVE;

/** One VMA, as far as the scan needs it. */
export interface Range {
  readonly start: number;
  readonly end: number;
  /** Nothing resident, nothing swapped. */
  readonly empty: boolean;
}

/** Returns the VMAs of an smaps text; the gate page (vsyscall) is none. */
export function rangesOf(smaps: string): Range[] {
  const ranges: { start: number; end: number; empty: boolean }[] = [];
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]{1,12})-([0-9a-f]{1,12}) /.exec(line);
    if (head !== null) {
      ranges.push({ start: Number.parseInt(head[1]!, 16), end: Number.parseInt(head[2]!, 16), empty: true });
    } else if (/^(Rss|Swap): +[1-9]/.test(line) && ranges.length > 0) {
      ranges.at(-1)!.empty = false;
    }
  }
  return ranges;
}

/** Returns the letters of a page whose pagemap word has `high` as its upper half. */
export function pageFlags(high: number): string {
  const has = (bit: number, letter: string): string => ((high & bit) === 0 ? '-' : letter);
  return (
    has(PRESENT, 'P') +
    has(SWAP, 'S') +
    has(FILE, 'F') +
    has(EXCLUSIVE, 'X') +
    ((high & UFFD_WP) === 0 ? '' : 'W')
  );
}

/** Reads the page states of a stopped process. Runs are in the order of the addresses. */
export function readPagemapRuns(pid: number, ranges: readonly Range[]): string {
  const fd = openSync(`/proc/${pid}/pagemap`, 'r');
  const buffer = Buffer.alloc(BATCH * 8);
  const lines: string[] = [];
  let start = 0;
  let end = 0;
  let marks = 0;
  const close = (): void => {
    if (marks !== 0) lines.push(`${start.toString(16)}-${end.toString(16)} ${pageFlags(marks)}\n`);
    marks = 0;
  };
  for (const range of ranges) {
    if (range.empty && range.end - range.start > SCAN_LIMIT) continue;
    for (let addr = range.start; addr < range.end; ) {
      const want = Math.min(BATCH, (range.end - addr) / PAGE);
      const nrPages = Math.floor(readSync(fd, buffer, 0, want * 8, (addr / PAGE) * 8) / 8);
      if (nrPages === 0) break;
      for (let i = 0; i < nrPages; i++, addr += PAGE) {
        const here = buffer.readInt32LE(i * 8 + 4) & SHOWN;
        if (here !== marks) {
          close();
          start = addr;
          marks = here;
        }
        end = addr + PAGE;
      }
    }
    close();
  }
  closeSync(fd);
  return lines.join('');
}
