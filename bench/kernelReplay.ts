/**
 * Writes what a recording does to its memory for oracle/bench/replay.c, which does it to the running kernel's.
 *
 * The recording is played on the model, whose answers are the kernel's (`faultline check` proves it), so each operation goes out with
 * the addresses and the answer it had. Addresses are moved down by a constant, into a part of the address space that the program doing it
 * does not use itself. What the kernel chose is asked for at that address, files become memfds of the same size, growth of brk becomes an
 * anonymous mapping at the same place.
 *
 * Left out, and counted: calls about descriptors and limits (the model takes part in them, the kernel's side is spared them), accesses
 * that ended in a signal, and what concerns a whole process (mlockall, userfaultfd).
 */
import { constants } from 'node:os';
import {
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../src/abi/mman.ts';
import { pageCeil } from '../src/base/units.ts';
import type { Machine, Op, Outcome } from '../src/machine/index.ts';
import { Kernel, type MappedFile, type Mm, permsOf, type Vma, vmFlagCodes } from '../src/mm/index.ts';
import type { ReplayItem, ReplayOp } from '../src/replay/index.ts';
import { Player } from '../src/replay/play/player.ts';

/** Addresses from here up are moved; below it lie arguments that are no addresses. */
const LOWEST_MOVED = 0x5000_0000_0000;
const MOVED_BY = 0x2000_0000_0000;
const PAGE = 4096;
/** What a double still counts one by one. */
const LARGEST = 2 ** 53;

/** Where an address of the recording lies on the kernel's side. */
export const moved = (addr: number): number => (addr >= LOWEST_MOVED ? addr - MOVED_BY : addr);

/** A recording as replay.c reads it. */
export interface KernelReplay {
  readonly text: string;
  readonly written: number;
  /** What replay.c does not do, by name. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** Plays `items` on the model and writes them down. */
export function writeKernelReplay(items: Iterable<ReplayItem>): KernelReplay {
  const writer = new Writer();
  let last: Outcome | null = null;
  const player = new Player({ verify: 'never' }, { operation: (_item, outcome) => (last = outcome) });
  for (const item of items) {
    if (item.kind !== 'op') {
      player.feed(item);
      if (item.kind === 'start' && item === player.start) writer.start(mmOf(player.machine, item.task));
      continue;
    }
    const { machine } = player;
    const mm = mmOf(machine, item.task);
    const before = { mm, brk: mm?.brk ?? 0 };
    player.feed(item);
    if (last !== null) writer.operation(machine, item, before, last);
  }
  return writer.done();
}

const STANDS_FOR_ITSELF = {
  object: new Kernel().newFileObject({ path: '', kind: 'memfd' }),
  readable: true,
  writable: false,
};

const mmOf = (machine: Machine, task: number): Mm | null => machine.processOf(task)?.mm ?? null;

/** How an operation found its address space. */
interface Before {
  readonly mm: Mm | null;
  readonly brk: number;
}

class Writer {
  readonly #files = new Map<MappedFile, { index: number; size: number }>();
  /** Address spaces that live, by number; the first is 0. */
  readonly #spaces = new Map<Mm, number>();
  readonly #parents = new Map<number, number>();
  readonly #vmas: string[] = [];
  readonly #ops: string[] = [];
  readonly #leftOut = new Map<string, number>();
  #nrSpaces = 0;

  /** The address space as the recording found it. */
  start(mm: Mm | null): void {
    if (mm === null) return;
    this.#spaces.set(mm, this.#nrSpaces++);
    for (const vma of mm.vmas) this.#vmas.push(this.#startVma(vma));
  }

  #startVma(vma: Vma): string {
    const perms = permsOf(vma.flags);
    const prot =
      (perms[0] === 'r' ? PROT_READ : 0) |
      (perms[1] === 'w' ? PROT_WRITE : 0) |
      (perms[2] === 'x' ? PROT_EXEC : 0);
    const growsDown = vmFlagCodes(vma.flags).split(' ').includes('gd') ? MAP_GROWSDOWN : 0;
    // A mapping of the kernel's own stands for itself: a file keeps it from joining its neighbours.
    const file = vma.file ?? (vma.special === null ? null : { id: -1, ...STANDS_FOR_ITSELF });
    const len = vma.end - vma.start;
    const flags =
      (perms[3] === 's' ? MAP_SHARED : MAP_PRIVATE) | growsDown | (file === null ? MAP_ANONYMOUS : 0);
    const offset = vma.file === null ? 0 : vma.pgoff * PAGE;
    const index = file === null ? -1 : this.#file(file, offset + len);
    const touched = vma.anonVma !== null && prot & PROT_WRITE ? 1 : 0;
    return `v ${hexes([moved(vma.start), len, prot, flags, index, offset, touched])}`;
  }

  #file(file: MappedFile, end: number): number {
    const known = this.#files.get(file) ?? { index: this.#files.size, size: 0 };
    known.size = Math.max(known.size, end);
    this.#files.set(file, known);
    return known.index;
  }

  /** One operation that was just carried out. */
  operation(machine: Machine, item: ReplayOp, before: Before, outcome: Outcome): void {
    const space = before.mm === null ? undefined : this.#spaces.get(before.mm);
    if (before.mm === null || space === undefined) {
      this.#leave(`${item.op.call} of a process that is not followed`);
      return;
    }
    this.#fork(machine, space, outcome, item.op);
    this.#ends(machine, before.mm, space);
    const line = this.#lineOf(machine, item, before, outcome);
    if (line === null) this.#leave(item.op.call);
    else if (line !== '') this.#ops.push(`${line[0]} ${space.toString(16)} ${line.slice(2)}`);
  }

  #leave(what: string): void {
    this.#leftOut.set(what, (this.#leftOut.get(what) ?? 0) + 1);
  }

  #fork(machine: Machine, space: number, outcome: Outcome, op: Op): void {
    if (op.call !== 'clone' || outcome.kind !== 'value') return;
    const mm = mmOf(machine, outcome.value);
    if (mm === null || this.#spaces.has(mm)) return;
    const child = this.#nrSpaces++;
    this.#spaces.set(mm, child);
    this.#parents.set(child, space);
    this.#ops.push(`F ${hexes([space, child, 0])}`);
  }

  #ends(machine: Machine, mm: Mm, space: number): void {
    if (machine.processes.some((process) => process.mm === mm)) return;
    this.#spaces.delete(mm);
    const parent = this.#parents.get(space);
    if (parent !== undefined) this.#ops.push(`X ${hexes([parent, space, 0])}`);
  }

  /** Returns the line without the process, '' for what is written already or needs nothing, null for what is left out. */
  #lineOf(machine: Machine, item: ReplayOp, before: Before, outcome: Outcome): string | null {
    const { op } = item;
    const expected = answerOf(outcome);
    if (expected === null) return null;
    switch (op.call) {
      case 'mmap':
        return this.#mmap(machine, item.task, op, expected);
      case 'munmap':
        return lineOf('u', [moved(op.addr), op.len], expected);
      case 'mprotect':
        return op.pkey === undefined || op.pkey < 0
          ? lineOf('p', [moved(op.addr), op.len, op.prot], expected)
          : null;
      case 'mremap':
        return mremapLine(op, expected);
      case 'brk':
        return before.mm === null ? null : brkLine(before.brk, before.mm.brk);
      case 'madvise':
        return lineOf('a', [moved(op.addr), op.len, op.advice], expected);
      case 'mlock':
        return lineOf('l', [moved(op.addr), op.len, 0], expected);
      case 'mlock2':
        return lineOf('l', [moved(op.addr), op.len, op.flags], expected);
      case 'munlock':
        return lineOf('L', [moved(op.addr), op.len], expected);
      case 'msync':
        return lineOf('s', [moved(op.addr), op.len, op.flags], expected);
      case 'touch':
        return lineOf('t', [moved(op.addr), op.len, op.access === 'write' ? 1 : 0], 0);
      case 'clone':
      case 'exit':
      case 'exit_group':
      case 'execve':
      case 'nop':
        return '';
      default:
        return null;
    }
  }

  #mmap(machine: Machine, task: number, op: Extract<Op, { call: 'mmap' }>, expected: number): string | null {
    const descriptor = op.flags & MAP_ANONYMOUS ? null : machine.processOf(task)?.files.get(op.fd);
    if (descriptor === undefined || (descriptor !== null && descriptor.kind !== 'file')) return null;
    const index = descriptor === null ? -1 : this.#file(descriptor.file, op.offset + pageCeil(op.len));
    const isFixed = (op.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
    const addr = isFixed || expected < 0 ? op.addr : expected;
    const flags = isFixed || expected < 0 ? op.flags : (op.flags & ~MAP_32BIT) | MAP_FIXED_NOREPLACE;
    return lineOf('m', [moved(addr), op.len, op.prot, flags, index, op.offset], moved(expected));
  }

  /** Returns the whole. */
  done(): KernelReplay {
    const files = [...this.#files].map(
      ([file, { index, size }]) => `f ${hexes([index, pageCeil(size), file.writable ? 1 : 0])}`,
    );
    const text = [...files, ...this.#vmas, ...this.#ops, ''].join('\n');
    return { text, written: this.#ops.length, leftOut: this.#leftOut };
  }
}

/** Returns the number that a call returned, negative for an errno; null for an answer that replay.c cannot hold against its own. */
function answerOf(outcome: Outcome): number | null {
  switch (outcome.kind) {
    case 'value':
      return outcome.value;
    case 'errno': {
      const errno = (constants.errno as Readonly<Record<string, number>>)[outcome.errno];
      return errno === undefined ? null : -errno;
    }
    case 'signal':
    case 'resident':
    case 'ioctl':
    case 'messages':
    case 'blocked':
    case 'unknown-memory':
      return null;
  }
}

function mremapLine(op: Extract<Op, { call: 'mremap' }>, expected: number): string {
  const { addr, oldLen, newLen } = op;
  const stays = expected < 0 || expected === addr || (op.flags & MREMAP_FIXED) !== 0;
  const flags = stays ? op.flags : op.flags | MREMAP_FIXED;
  // In place it must not move: the place that the kernel would choose is another one here.
  const inPlace = expected === addr && (op.flags & (MREMAP_FIXED | MREMAP_MAYMOVE)) === MREMAP_MAYMOVE;
  const newAddr = stays ? op.newAddr : expected;
  return lineOf(
    'r',
    [moved(addr), oldLen, newLen, inPlace ? flags & ~MREMAP_MAYMOVE : flags, moved(newAddr)],
    moved(expected),
  );
}

/** The heap as anonymous mappings. */
function brkLine(from: number, to: number): string {
  const [start, end] = [pageCeil(from), pageCeil(to)];
  if (from === 0 || start === end) return '';
  if (end < start) return lineOf('u', [moved(end), start - end], 0);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  return lineOf('m', [moved(start), end - start, PROT_READ | PROT_WRITE, flags, -1, 0], moved(start));
}

const lineOf = (call: string, args: readonly number[], expected: number): string =>
  `${call} ${hexes([...args, expected])}`;

/** Writes numbers of up to 64 bits. */
const hexes = (numbers: readonly number[]): string =>
  numbers.map((n) => (n < LARGEST ? n : BigInt(n)).toString(16)).join(' ');
