/**
 * /proc/PID/smaps and smaps_rollup as text, byte for byte as Linux prints them: the line of maps, figures in kB, THPeligible, VmFlags with
 * its trailing blank. `[vsyscall]`, which is no vma, is left out.
 *
 * Figures are rounded down to kB one by one, those of Pss after their fractions of a byte were summed.
 *
 * Cost    linear in the touched entries
 * Linux   fs/proc/task_mmu.c: show_smap, __show_smap, show_smaps_rollup; spec/vma.md 16.2, 16.3
 */
import { hexRange } from '../base/units.ts';
import { isHugeEligible } from './hugeEligible.ts';
import type { Mm } from './mm.ts';
import { mapsLine, paddedName } from './procfs.ts';
import { figuresOf, gatherFigures, type MemoryFigures, noFigures, pssBytes } from './smaps.ts';
import type { Vma } from './vma.ts';
import { vmFlagCodes } from './vmFlags.ts';

const LABEL_WIDTH = 16;
const VALUE_WIDTH = 8;
const PAGE_KB = 4;

const inKb = (bytes: number): string => String(Math.floor(bytes / 1024));
const line = (label: string, kB: string): string => {
  const name = `${label}:`.padEnd(LABEL_WIDTH);
  // A label that needs a column more leaves its value one less.
  return `${name}${kB.padStart(VALUE_WIDTH + LABEL_WIDTH - name.length)} kB\n`;
};

/** The lines that a block of smaps and the rollup have in common; `split` are those only the rollup has. */
function figureLines(sums: MemoryFigures, split: string): string {
  const pss = (label: string, sum: number): string => line(label, inKb(pssBytes(sum)));
  const size = (label: string, bytes: number): string => line(label, inKb(bytes));
  return (
    size('Rss', sums.resident) +
    pss('Pss', sums.pss) +
    pss('Pss_Dirty', sums.pssDirty) +
    split +
    size('Shared_Clean', sums.sharedClean) +
    size('Shared_Dirty', sums.sharedDirty) +
    size('Private_Clean', sums.privateClean) +
    size('Private_Dirty', sums.privateDirty) +
    size('Referenced', sums.referenced) +
    size('Anonymous', sums.anonymous) +
    line('KSM', '0') +
    size('LazyFree', sums.lazyFree) +
    size('AnonHugePages', sums.anonymousThp) +
    size('ShmemPmdMapped', sums.shmemThp) +
    size('FilePmdMapped', sums.fileThp) +
    line('Shared_Hugetlb', '0') +
    line('Private_Hugetlb', '0') +
    size('Swap', sums.swap) +
    pss('SwapPss', sums.swapPss) +
    pss('Locked', sums.pssLocked)
  );
}

/** Returns the block of one vma. */
export function smapsBlock(mm: Mm, vma: Vma): string {
  const eligible = isHugeEligible(mm, vma) ? '1' : '0';
  return (
    `${mapsLine(mm, vma)}\n` +
    line('Size', inKb(vma.end - vma.start)) +
    line('KernelPageSize', String(PAGE_KB)) +
    line('MMUPageSize', String(PAGE_KB)) +
    figureLines(figuresOf(mm, vma), '') +
    `${'THPeligible:'.padEnd(LABEL_WIDTH)}${eligible.padStart(VALUE_WIDTH)}\n` +
    `VmFlags: ${vmFlagCodes(vma.flags)} \n`
  );
}

/** Returns /proc/PID/smaps. @param isShown  which vmas, by default all */
export function smapsText(mm: Mm, isShown: (vma: Vma) => boolean = () => true): string {
  let text = '';
  for (const vma of mm.vmas) if (isShown(vma)) text += smapsBlock(mm, vma);
  return text;
}

/** Returns /proc/PID/smaps_rollup; the empty string for an address space without vmas. */
export function smapsRollupText(mm: Mm): string {
  const { first, last } = mm.vmas;
  if (first === null || last === null) return '';
  const sums = noFigures();
  for (const vma of mm.vmas) gatherFigures(mm, vma, sums);
  const split =
    line('Pss_Anon', inKb(pssBytes(sums.pssAnon))) +
    line('Pss_File', inKb(pssBytes(sums.pssFile))) +
    line('Pss_Shmem', inKb(pssBytes(sums.pssShmem)));
  const head = `${hexRange(first.start, last.end)} ---p 00000000 00:00 0 `;
  return `${paddedName(head, '[rollup]')}\n${figureLines(sums, split)}`;
}
