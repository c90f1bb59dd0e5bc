/**
 * The process that executed an ops file, outside its window: what a mapping meets that the kernel places there.
 *
 * The files say nothing about it, yet it matters: a mapping placed right below the executor's own anonymous memory joins it and is
 * faulted from then on, so its page offset stays when it is moved back into the window. The executor is a small C program without
 * randomisation: below the stack lie the loader with the kernel's pages, two written pages of the loader, a hole, libc's zeroed data,
 * libc, and three written pages of thread-local storage, under which large mappings go.
 *
 *      … room …  | tls | libc file … | bss |  hole  | 2 pages | vvar, vdso, loader |
 *           T_TLS ^                        ^ BSS_END  ^ LOADER_DATA
 *
 * Where a file's own placements contradict these addresses, another written range is assumed right above the contradicting placement.
 */
import { PAGE_SIZE, PMD_SIZE, pageCeil } from '../../base/units.ts';
import type { Machine, Op } from '../../machine/index.ts';
import { accessPage, adoptVma, type MappedFile, type Mm, startGap, vmFlagsOfCodes } from '../../mm/index.ts';
import type { ReplayOp } from '../item.ts';

const TLS = 0x7fff_f7dd_1000;
const LIBC = 0x7fff_f7dd_4000;
const BSS = 0x7fff_f7fa_9000;
const BSS_END = 0x7fff_f7fb_6000;
const LOADER_DATA = 0x7fff_f7fc_0000;
const KERNEL_PAGES = 0x7fff_f7fc_2000;
/** From here to the top are the vvar and the vdso: special, so that locking all memory does not lock them. */
const SPECIAL = 0x7fff_f7ff_7000;
const TOP = 0x7fff_f7ff_f000;

/**
 * The executor of `oracle/` itself, above every window: a page for its handler of signals, 8 of program and data, and what it shares with
 * its observer. Only how many they are matters, where a limit meets all memory that is locked: test/spec/fuzzed.ops has rows that
 * reach that limit to the page on the kernel.
 */
const PROGRAM = 0x4000_0000_0000;
const PROGRAM_PAGES = 1 + 8 + 1169;

/** kB of page tables that the signal handler of a child takes when it first runs: its code, the C library's and the loader's. */
export const HANDLER_TABLES_KB = 12;

/** What stands for files allows nothing, so that locking everything brings none of it. */
const closed = (): number => vmFlagsOfCodes(['mr', 'mw', 'me']) as number;
const written = (): number => vmFlagsOfCodes(['rd', 'wr', 'mr', 'mw', 'me', 'ac']) as number;

/** The executor's own memory in its parts. */
const WRITTEN: readonly (readonly [start: number, end: number])[] = [
  [TLS, LIBC],
  [BSS, BSS_END],
  [LOADER_DATA, KERNEL_PAGES],
];

/** Nothing makes it present either: the executor has touched it before an operation comes that would. */
const SPECIAL_FLAGS = vmFlagsOfCodes(['mr', 'mw', 'me', 'de']) as number;

function adopt(mm: Mm, start: number, end: number, file: MappedFile | null): void {
  adoptVma(mm, {
    start,
    end,
    flags: file === null ? written() : closed(),
    file,
    filePgoff: 0,
    special: null,
    anonPages: file === null ? (end - start) / PAGE_SIZE : 0,
  });
}

/** Gives the process of an ops file the mappings its executor has outside the window. */
export function seedExecutor(machine: Machine, mm: Mm): void {
  const library = machine.kernel.openFile(
    machine.kernel.newFileObject({ path: 'executor', kind: 'regular' }),
    { readable: true, writable: false },
  );
  for (const [start, end] of WRITTEN) adopt(mm, start, end, null);
  adopt(mm, LIBC, BSS, library);
  adopt(mm, KERNEL_PAGES, SPECIAL, library);
  adoptVma(mm, {
    start: SPECIAL,
    end: TOP,
    flags: SPECIAL_FLAGS,
    file: null,
    filePgoff: 0,
    special: '[vdso]',
    anonPages: 0,
  });
  adopt(mm, PROGRAM, PROGRAM + PROGRAM_PAGES * PAGE_SIZE, library);
  mm.mmapBase = TOP;
}

/** Makes the executor's own memory what mlockall finds: it is written again after each fork, where that call is among the operations. */
export function settleExecutor(mm: Mm): void {
  const { minFlt, majFlt } = mm;
  mm.kernel.work.uncounted(() => {
    for (const [start, end] of WRITTEN)
      for (let addr = start; addr < end; addr += PAGE_SIZE)
        accessPage(mm, { addr, access: 'write', stamp: null });
  });
  mm.minFlt = minFlt;
  mm.majFlt = majFlt;
}

/** Before an operation that the kernel placed outside the window: makes room and neighbours agree with that place. */
export function agreeWithPlacement(
  mm: Mm,
  item: ReplayOp,
  window: { readonly start: number; readonly end: number },
): void {
  const { chosen, op } = item;
  if (chosen.addr === undefined || (op.call !== 'mmap' && op.call !== 'mremap')) return;
  if (chosen.addr >= window.start && chosen.addr < window.end) return;
  const len = pageCeil(op.call === 'mmap' ? op.len : op.newLen);
  const end = chosen.addr + len;
  const above = mm.vmas.firstEndingAbove(chosen.addr);
  if (above === null || above.start <= end || mayEndBelow(mm, op, len) || startGap(mm, above) === end) return;
  adopt(mm, end, Math.min(end + 2 * PAGE_SIZE, above.start), null);
}

/** Tells whether a mapping need not touch what is above it: where huge pages may be, it is aligned; a file's from 2 MiB on, whatever its length. */
function mayEndBelow(mm: Mm, op: Op & { call: 'mmap' | 'mremap' }, len: number): boolean {
  if (len % PMD_SIZE === 0) return true;
  const isFile = op.call === 'mmap' ? op.fd >= 0 : mm.vmas.firstEndingAbove(op.addr)?.file !== null;
  return isFile && len > PMD_SIZE;
}
