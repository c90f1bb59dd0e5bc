/**
 * What /proc/PID/status and statm say of memory, byte for byte as Linux prints it: the lines from VmPeak to VmSwap, and the seven numbers.
 *
 * Code is what the program file has from its first to its last byte of code, in whole pages; other mappings that may be executed and not
 * written are libraries. Page tables are counted without the topmost one.
 *
 * Linux   fs/proc/task_mmu.c: task_mem, task_statm
 * Left out   VmPin (0: nothing is pinned between operations), HugetlbPages
 */
import { PAGE_SIZE, pageCeil, pageFloor } from '../base/units.ts';
import type { Mm } from './mm.ts';

const WIDTH = 8;
const KB_PER_PAGE = PAGE_SIZE / 1024;

/** Returns the resident pages of all sorts. */
const residentPages = (mm: Mm): number => mm.rssAnon + mm.rssFile + mm.rssShmem;
/** Returns the pages of the program's code. */
const codePages = (mm: Mm): number => (pageCeil(mm.endCode) - pageFloor(mm.startCode)) / PAGE_SIZE;

/** Returns the lines of /proc/PID/status about memory. */
export function statusText(mm: Mm): string {
  const code = Math.min(codePages(mm), mm.execVm);
  const kB: readonly (readonly [name: string, kB: number])[] = [
    ['VmPeak', Math.max(mm.hiwaterVm, mm.totalVm) * KB_PER_PAGE],
    ['VmSize', mm.totalVm * KB_PER_PAGE],
    ['VmLck', mm.lockedVm * KB_PER_PAGE],
    ['VmPin', 0],
    ['VmHWM', Math.max(mm.hiwaterRss, residentPages(mm)) * KB_PER_PAGE],
    ['VmRSS', residentPages(mm) * KB_PER_PAGE],
    ['RssAnon', mm.rssAnon * KB_PER_PAGE],
    ['RssFile', mm.rssFile * KB_PER_PAGE],
    ['RssShmem', mm.rssShmem * KB_PER_PAGE],
    ['VmData', mm.dataVm * KB_PER_PAGE],
    ['VmStk', mm.stackVm * KB_PER_PAGE],
    ['VmExe', code * KB_PER_PAGE],
    ['VmLib', (mm.execVm - code) * KB_PER_PAGE],
    ['VmPTE', mm.pages.bytes / 1024],
    ['VmSwap', mm.nrSwap * KB_PER_PAGE],
  ];
  return kB.map(([name, value]) => `${name}:\t${String(value).padStart(WIDTH)} kB\n`).join('');
}

/** Returns /proc/PID/statm: size, resident, shared, code, 0, data, 0, in pages. */
export function statmText(mm: Mm): string {
  const numbers = [
    mm.totalVm,
    residentPages(mm),
    mm.rssFile + mm.rssShmem,
    codePages(mm),
    0,
    mm.dataVm + mm.stackVm,
    0,
  ];
  return `${numbers.join(' ')}\n`;
}
