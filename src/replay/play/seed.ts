/**
 * From the start of an input to a process: vmas as execve built them, heap, stack, limits, where the search for room begins.
 *
 * What /proc does not show is what execve does: page offsets (mm/initial.ts) and the base of the mmap area, which is taken from the
 * highest mapping below the stack, because the loader and the vdso are the first to be placed there.
 */

import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK } from '../../abi/mman.ts';
import { must } from '../../base/assert.ts';
import { type Addr, nrPagesIn, PAGE_SIZE, pageFloor } from '../../base/units.ts';
import type { Machine, Process } from '../../machine/index.ts';
import { adoptVma, type Mm, vmFlagsOfCodes } from '../../mm/index.ts';
import type { Start, StartState, StartVma } from '../item.ts';
import { MEMFD, MEMFD_RO } from '../opsCalls.ts';
import { statusBytes } from '../stat.ts';
import { seedExecutor } from './executor.ts';
import { StartFiles } from './files.ts';

/** Makes the process of a start item. */
export function seedProcess(machine: Machine, start: Start): Process {
  const process = machine.spawn(start.task);
  const mm = must(process.mm, '[seed] a new process has an address space');
  if (start.state !== null) seedMm(machine, mm, start.state);
  if (start.format === 'opfuzz') seedExecutor(machine, mm);
  if (start.format === 'opfuzz' || start.format === 'opfuzz-uffd') process.uid = 0;
  if (start.memfdBytes !== undefined) seedMemfd(machine, process, start.memfdBytes);
  return process;
}

/** The memfd that is there from the start, open twice: for reading and writing, and for reading only. */
function seedMemfd({ kernel }: Machine, { files }: Process, size: number): void {
  const object = kernel.newFileObject({ path: '/memfd:m0 (deleted)', kind: 'memfd', size, dev: '00:01' });
  const open = (fd: number, writable: boolean): void =>
    files.set(fd, { kind: 'file', file: kernel.openFile(object, { readable: true, writable }) });
  open(MEMFD, true);
  open(MEMFD_RO, false);
}

function seedMm(machine: Machine, mm: Mm, state: StartState): void {
  const { stat, limits, status } = state;
  if (status !== null) mm.privileged = isPrivileged(status);
  if (stat !== null) {
    mm.startBrk = stat.startBrk;
    mm.brk = stat.startBrk;
    mm.startCode = stat.startCode;
    mm.endCode = stat.endCode;
    mm.startData = stat.startData;
    mm.endData = stat.endData;
    mm.startStack = stat.startStack;
  }
  if (limits !== null) {
    const known = [
      [RLIMIT_AS, 'as'],
      [RLIMIT_DATA, 'data'],
      [RLIMIT_STACK, 'stack'],
      [RLIMIT_MEMLOCK, 'memlock'],
    ] as const;
    for (const [number, name] of known) {
      const limit = limits.get(number);
      if (limit !== undefined) mm.limits[name] = limit;
    }
  }
  const files = new StartFiles(machine);
  for (const vma of state.vmas) seedVma(files, mm, vma, state);
  mm.mmapBase = mmapBaseOf(state) ?? mm.mmapBase;
  const heap = state.vmas.filter((vma) => vma.name === '[heap]').at(-1);
  if (heap !== undefined) mm.brk = heap.end;
  const peak = status === null ? null : statusBytes(status, 'VmPeak');
  if (peak !== null) mm.hiwaterVm = nrPagesIn(peak);
}

const CAP_IPC_LOCK = 14n;

/** Tells whether the process may lock as it likes; the other privileges that matter here come together with that one. */
function isPrivileged(status: ReadonlyMap<string, string>): boolean {
  const effective = status.get('CapEff');
  return effective === undefined || ((BigInt(`0x${effective.trim()}`) >> CAP_IPC_LOCK) & 1n) === 1n;
}

function seedVma(files: StartFiles, mm: Mm, vma: StartVma, state: StartState): void {
  const isFile = vma.inode !== 0 || vma.dev !== '00:00';
  const special = !isFile && /^\[(vdso|vvar.*|uprobes|sigpage)\]$/.test(vma.name) ? vma.name : null;
  adoptVma(mm, {
    start: vma.start,
    end: vma.end,
    flags: flagsOf(vma),
    special,
    filePgoff: nrPagesIn(vma.offset),
    file: isFile ? files.open(vma) : null,
    ...anonOf(vma, state),
  });
}

/** How many pages of a vma are resident and its own, and where: at its end, except on the stack, where execve has written in two places. */
function anonOf(vma: StartVma, state: StartState): { anonPages: number; anonAt?: readonly Addr[] } {
  const anonPages = Math.ceil((vma.anonymousKb ?? guessAnonymousKb(vma)) / 4);
  const written = vma.name === '[stack]' ? writtenByExecve(vma, state) : [];
  return written.length === anonPages ? { anonPages, anonAt: written } : { anonPages };
}

const AT_PLATFORM = 15;
const AT_RANDOM = 25;

/**
 * Returns the pages of the stack that execve has written: the strings at the top, and, a random distance below, the pointers to them, the
 * auxiliary vector and what it points to. Linux: fs/binfmt_elf.c, create_elf_tables(); arch_align_stack()
 */
function writtenByExecve(stack: StartVma, { stat, auxv }: StartState): readonly Addr[] {
  if (stat === null || stat.argStart === 0) return [];
  const vectorEnd = Math.max(
    stat.startStack,
    ...[AT_RANDOM, AT_PLATFORM].map((type) => (auxv?.get(type) ?? 0) + 1),
  );
  const pages = new Set<Addr>();
  for (const [from, to] of [
    [stat.startStack, vectorEnd],
    [stat.argStart, stack.end],
  ] as const)
    for (let page = pageFloor(from); page < to; page += PAGE_SIZE)
      if (page >= stack.start && page < stack.end) pages.add(page);
  return [...pages].sort((a, b) => a - b);
}

/** Without smaps: a writable private file mapping of the program and the stack have been written by execve. */
const guessAnonymousKb = (vma: StartVma): number =>
  vma.name === '[stack]' || (vma.inode !== 0 && vma.perms === 'rw-p') ? 4 : 0;

/** Flags as smaps has them; without smaps what the permissions and the name imply. */
function flagsOf(vma: StartVma): number {
  const codes = vma.vmFlags ?? impliedCodes(vma);
  const flags = vmFlagsOfCodes(codes);
  return must(typeof flags === 'number' ? flags : null, '[seed] a flag code of smaps that we do not know');
}

function impliedCodes(vma: StartVma): string[] {
  const { perms, name } = vma;
  const codes: string[] = [];
  if (perms[0] === 'r') codes.push('rd');
  if (perms[1] === 'w') codes.push('wr');
  if (perms[2] === 'x') codes.push('ex');
  if (perms[3] === 's') codes.push('sh', 'ms');
  if (/^\[vvar/.test(name)) return [...codes, 'mr', 'pf', 'io', 'de', 'dd'];
  codes.push('mr', 'mw', 'me');
  if (name === '[vdso]') codes.push('de');
  if (name === '[stack]') codes.push('gd');
  if (perms[1] === 'w' && perms[3] === 'p') codes.push('ac');
  return codes;
}

/** The highest end of a mapping that lies below the stack; the vdso may lie above it and does not count. */
function mmapBaseOf(state: StartState): Addr | null {
  const stack = state.vmas.find((vma) => vma.name === '[stack]');
  const below = state.vmas.filter((vma) => stack === undefined || vma.end <= stack.start);
  return below.at(-1)?.end ?? null;
}
