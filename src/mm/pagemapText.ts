/**
 * /proc/PID/pagemap as runs of pages that look alike, as recordings keep it (`pagemap.end.rle`): `START-END FLAGS` in hex, empty pages left out.
 *
 * FLAGS are four columns, then W or nothing: P present, S swap entry or marker, F of a file or shared memory, X mapped only here;
 * W write-protected by userfaultfd. A run ends where its vma does. The words themselves, which hold frame numbers, are pagemap.ts's.
 *
 * Cost   linear in the touched pages
 */
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { type PagemapBits, pagemapBits } from './pagemap.ts';
import { forEachPage } from './pageState.ts';
import type { Vma } from './vma.ts';

/** Pages of one vma that look alike. */
export interface PagemapRun {
  readonly start: Addr;
  end: Addr;
  readonly flags: string;
}

/** The flags of an empty page. */
export const NO_PAGEMAP_FLAGS = '----';

/** Prints the bits that are kept, by columns. */
export const pagemapFlags = (
  bits: Pick<PagemapBits, 'present' | 'swap' | 'file' | 'exclusive' | 'uffdWp'>,
): string =>
  (bits.present ? 'P' : '-') +
  (bits.swap ? 'S' : '-') +
  (bits.file ? 'F' : '-') +
  (bits.exclusive ? 'X' : '-') +
  (bits.uffdWp ? 'W' : '');

/** Returns the runs of one vma, ascending. */
export function pagemapRuns(mm: Mm, vma: Vma): PagemapRun[] {
  const runs: PagemapRun[] = [];
  forEachPage(mm, vma.start, vma.end, (addr) => {
    const flags = pagemapFlags(pagemapBits(mm, addr));
    if (flags === NO_PAGEMAP_FLAGS) return;
    const last = runs.at(-1);
    if (last !== undefined && last.end === addr && last.flags === flags) last.end = addr + PAGE_SIZE;
    else runs.push({ start: addr, end: addr + PAGE_SIZE, flags });
  });
  return runs;
}

/** Returns the runs of all vmas, one a line. @param isShown  which vmas, by default all */
export function pagemapText(mm: Mm, isShown: (vma: Vma) => boolean = () => true): string {
  let text = '';
  for (const vma of mm.vmas) {
    if (!isShown(vma)) continue;
    for (const { start, end, flags } of pagemapRuns(mm, vma))
      text += `${start.toString(16)}-${end.toString(16)} ${flags}\n`;
  }
  return text;
}
