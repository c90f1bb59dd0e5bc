/**
 * A situation: a few operations in a window of the address space where nothing else is, as a line of text, played on a fresh machine.
 *
 * The words are those of test/spec/vma.cases, so that the same line can be put to the running kernel; two are ours and have no
 * counterpart there. Numbers are pages, addresses pages from the start of the window:
 *
 *   map A N prot F [off]    F: p private, s shared, f fixed, n MAP_NORESERVE, 0/1 that memfd; off in bytes
 *   touch A [N] · unmap A N · prot A N p · lock A N · unlock A N · adv A N NAME · mbind A N mode
 *   remap A old new F [B]   F: m MREMAP_MAYMOVE, f FIXED, d DONTUNMAP, 0 none
 *   forkhold                a child that lives on · fork  goes on in the child
 *   commit A N seed · gather A N · fd K N · uffd · uffdreg A N mode
 *   share A                 ours: the page is counted as mapped once more, though no anon_vma knows of it
 *   name A N text           ours: prctl(PR_SET_VMA_ANON_NAME), which the kernel that was measured does not have
 */
import * as mman from '../abi/mman.ts';
import { must, UsageError } from '../base/assert.ts';
import { Prng } from '../base/prng.ts';
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { Machine, type Op, type Outcome, resultOf, uffdIoctl } from '../machine/index.ts';
import { type Features, Kernel, type Mm, type VmaRow, verifyMm, vmaRows } from '../mm/index.ts';
import { EXCLUSIVE, WRITE } from '../mm/pte.ts';

/** Start and end of the window; the cases of test/spec use the same. */
export const WINDOW: Addr = 0x1000_0000_0000;
export const WINDOW_END: Addr = WINDOW + 64 * 2 ** 30;

/** The address space that maps a page once more, and is nobody's. */
const ELSEWHERE = 0x7fff_ffff;

/** How a situation is played. */
export interface PlayedWith {
  readonly features: Features;
  /** Added to the flags of every mremap that moves: MREMAP_RELOCATE_ANON, for example. */
  readonly remapFlags?: number;
}

/** What became of a situation. */
export interface Played {
  /** The vmas of the window, ascending. */
  readonly vmas: readonly VmaRow[];
  /** The errno of the call that was refused, by name, or null; nothing was done after it. */
  readonly refused: string | null;
}

const PROT: Readonly<Record<string, number>> = {
  '-': 0,
  r: mman.PROT_READ,
  w: mman.PROT_WRITE,
  x: mman.PROT_EXEC,
};
const MAP: Readonly<Record<string, number>> = {
  p: mman.MAP_PRIVATE,
  s: mman.MAP_SHARED,
  f: mman.MAP_FIXED,
  n: mman.MAP_NORESERVE,
};
const REMAP: Readonly<Record<string, number>> = {
  '0': 0,
  m: mman.MREMAP_MAYMOVE,
  f: mman.MREMAP_FIXED,
  d: mman.MREMAP_DONTUNMAP,
};
const MOVES = mman.MREMAP_FIXED | mman.MREMAP_DONTUNMAP;

/** Splits a line into its operations, each into its words. */
export const stepsOf = (text: string): string[][] =>
  text
    .split(';')
    .map((step) => step.trim().split(/\s+/))
    .filter(([op]) => op !== '');

/** Plays a situation from its start. Throws UsageError for what is not in the notation. */
export function playSituation(text: string, how: PlayedWith): Played {
  const run = new Run(how);
  for (const words of stepsOf(text)) {
    const refused = run.step(words);
    if (refused !== null) return { vmas: run.vmas(), refused };
  }
  return { vmas: run.vmas(), refused: null };
}

/** One situation being played. */
class Run {
  readonly #machine: Machine;
  readonly #remapFlags: number;
  readonly #fds: number[] = [];
  #uffd = -1;
  #pid: number;

  constructor({ features, remapFlags = 0 }: PlayedWith) {
    this.#machine = new Machine(new Kernel(features, { totalSwapPages: 16_384 }));
    this.#remapFlags = remapFlags;
    this.#pid = this.#machine.spawn().pid;
  }

  get #mm(): Mm {
    return must(this.#machine.process(this.#pid)?.mm, '[situation] its process has an address space');
  }

  /** The vmas of the window, after checking every invariant. */
  vmas(): VmaRow[] {
    verifyMm(this.#mm);
    return vmaRows(this.#mm).filter(({ start }) => start >= WINDOW && start < WINDOW_END);
  }

  /** Does one step. Returns the errno that refused it, or null. */
  step(words: readonly string[]): string | null {
    const [op = '', ...rest] = words;
    const numbers = rest.map(Number);
    switch (op) {
      case 'commit':
      case 'gather':
        return this.#each(smallSteps(op, numbers));
      case 'forkhold':
        return this.#apply({ call: 'clone', flags: 0, child: 0 });
      case 'fork':
        this.#pid = this.#value({ call: 'clone', flags: 0, child: 0 });
        return null;
      case 'fd':
        this.#fds[numbers[0] ?? 0] = this.#value({ call: 'memfd_create', name: 'f', flags: 0 });
        return this.#apply({
          call: 'ftruncate',
          fd: this.#fds[numbers[0] ?? 0] ?? -1,
          size: (numbers[1] ?? 0) * PAGE_SIZE,
        });
      case 'uffd':
        this.#uffd = this.#value({ call: 'userfaultfd', flags: 0 });
        this.#apply(uffdIoctl(this.#uffd, { name: 'UFFDIO_API', api: 0xaa, features: 0 }));
        return null;
      case 'share':
        this.#share(at(numbers[0]));
        return null;
      default:
        return this.#apply(this.#op(op, rest, numbers));
    }
  }

  #each(steps: readonly string[][]): string | null {
    for (const step of steps) {
      const refused = this.step(step);
      if (refused !== null) return refused;
    }
    return null;
  }

  #apply(op: Op): string | null {
    return refusedWith(resultOf(this.#machine.apply(this.#pid, op)));
  }
  #value(op: Op): number {
    const outcome = this.#machine.apply(this.#pid, op);
    if (outcome.kind !== 'value') throw new UsageError(`${op.call} does not work`, 'a situation that does');
    return outcome.value;
  }

  #share(addr: Addr): void {
    const { pages, kernel } = this.#mm;
    kernel.frames.addPte(pages.high(addr), ELSEWHERE);
    pages.setLow(addr, pages.low(addr) & ~(EXCLUSIVE | WRITE));
  }

  /** Translates one operation on a range. */
  #op(op: string, words: readonly string[], [from, pages = 1, third = 0]: readonly number[]): Op {
    const range = { addr: at(from), len: pages * PAGE_SIZE };
    switch (op) {
      case 'map':
        return this.#map(range, words);
      case 'remap':
        return this.#remap(range.addr, words);
      case 'touch':
        return { call: 'touch', ...range, access: 'write', by: 'user' };
      case 'unmap':
        return { call: 'munmap', ...range };
      case 'prot':
        return { call: 'mprotect', ...range, prot: letters(words[2], PROT) };
      case 'lock':
        return { call: 'mlock', ...range };
      case 'unlock':
        return { call: 'munlock', ...range };
      case 'adv':
        return { call: 'madvise', ...range, advice: mman.mmanConstant(`MADV_${words[2]}`) ?? -1 };
      case 'mbind':
        return { call: 'mbind', ...range, mode: third, nodes: '0', flags: 0 };
      case 'uffdreg':
        return uffdIoctl(this.#uffd, {
          name: 'UFFDIO_REGISTER',
          start: range.addr,
          len: range.len,
          mode: third,
        });
      case 'name':
        return { call: 'set_vma_name', ...range, name: words[2] ?? null };
      default:
        throw new UsageError(`no operation '${op}' in a situation`, 'one that situation.ts lists');
    }
  }

  #map(range: { addr: Addr; len: number }, words: readonly string[]): Op {
    const flags = words[3] ?? '';
    const slot = /[01]/.exec(flags)?.[0];
    const kind = slot === undefined ? mman.MAP_ANONYMOUS : 0;
    return {
      call: 'mmap',
      ...range,
      prot: letters(words[2], PROT),
      flags: letters(flags.replace(/[01]/, ''), MAP) | kind,
      fd: slot === undefined ? -1 : (this.#fds[Number(slot)] ?? -1),
      offset: Number(words[4] ?? 0),
    };
  }

  #remap(addr: Addr, words: readonly string[]): Op {
    const flags = letters(words[3], REMAP);
    return {
      call: 'mremap',
      addr,
      oldLen: Number(words[1]) * PAGE_SIZE,
      newLen: Number(words[2]) * PAGE_SIZE,
      flags: flags & MOVES ? flags | this.#remapFlags : flags,
      newAddr: words[4] === undefined ? 0 : at(Number(words[4])),
    };
  }
}

const at = (page: number | undefined): Addr => WINDOW + (page ?? 0) * PAGE_SIZE;

function letters(word: string | undefined, table: Readonly<Record<string, number>>): number {
  let bits = 0;
  for (const letter of word ?? '') {
    const bit = table[letter];
    if (bit === undefined)
      throw new UsageError(`unknown letter '${letter}' in '${word}'`, Object.keys(table).join(' '));
    bits |= bit;
  }
  return bits;
}

function refusedWith(outcome: Outcome): string | null {
  if (outcome.kind === 'errno') return outcome.errno;
  return outcome.kind === 'signal' ? outcome.signal : null;
}

/** The many small steps that `commit` (each page made accessible and written, in shuffled order) and `gather` (pages moved together) stand for. */
function smallSteps(op: 'commit' | 'gather', [from = 0, pages = 0, seed = 0]: readonly number[]): string[][] {
  const numbers = Array.from({ length: pages }, (_, i) => i);
  if (op === 'gather')
    return numbers.slice(1).map((i) => ['remap', `${from + 2 * i}`, '1', '1', 'mf', `${from + i}`]);
  return new Prng(seed).shuffle(numbers).flatMap((i) => [
    ['prot', `${from + i}`, '1', 'rw'],
    ['touch', `${from + i}`],
  ]);
}
