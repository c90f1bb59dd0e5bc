/**
 * Address spaces as strips: a bar is a vma border, a letter a page, a dot a page of a hole.
 *
 *   n none   r read-only   w writable   x writable and executable      a capital: the page was written and is there
 *
 *   |rrr|Www|      two vmas; the second one has an anon_vma, because its first page was written
 *
 * Strips begin at page 0, a fixed address. All memory is private, anonymous and MAP_NORESERVE, so that VM_ACCOUNT plays no part, unless the
 * strip is set up as `accounted`. In a strip that is set up every written vma has an anon_vma of its own, and its page offset is that of its address.
 */
import * as mman from '../../src/abi/mman.ts';
import { must } from '../../src/base/assert.ts';
import { Machine, type Op, type Outcome } from '../../src/machine/index.ts';
import { prepareAnonVma } from '../../src/mm/anonVma.ts';
import {
  accountVm,
  type Features,
  Kernel,
  linkVma,
  type Mm,
  type MmEvent,
  nrPagesOf,
  pageAt as pageStateAt,
  Vma,
  verifyKernel,
  verifyMm,
} from '../../src/mm/index.ts';
import { EXCLUSIVE } from '../../src/mm/pte.ts';
import { mapNewAnon } from '../../src/mm/rmap.ts';
import { VM_ACCOUNT, VM_EXEC, VM_MAY_ALL, VM_NORESERVE, VM_READ, VM_WRITE } from '../../src/mm/vmFlags.ts';

const PAGE = 4096;
const BASE = 0x1000_0000_0000;
const PARENT = 1;
const CHILD = 2;
const PROT: Readonly<Record<string, number>> = { n: 0, r: 1, w: 3, x: 7 };
const ADVICE: Readonly<Record<string, number>> = {
  dontneed: mman.MADV_DONTNEED,
  dontfork: mman.MADV_DONTFORK,
  dontdump: mman.MADV_DONTDUMP,
  guard: mman.MADV_GUARD_INSTALL,
};
const MREMAP: Readonly<Record<string, number>> = {
  dontunmap: mman.MREMAP_DONTUNMAP,
  relocate: mman.MREMAP_RELOCATE_ANON,
  must: mman.MREMAP_MUST_RELOCATE_ANON,
  onlypages: mman.MREMAP_ONLYPAGES,
};

/** The flags of a vma of strips; `reserve` is VM_NORESERVE, VM_ACCOUNT or neither. */
const flagsOf = (letter: string, reserve: number): number => {
  const prot = must(PROT[letter.toLowerCase()], 'a letter of strips');
  return (
    VM_MAY_ALL | reserve | (prot & 1 ? VM_READ : 0) | (prot & 2 ? VM_WRITE : 0) | (prot & 4 ? VM_EXEC : 0)
  );
};
const letterOf = (flags: number): string => {
  if ((flags & VM_READ) === 0) return 'n';
  return flags & VM_EXEC ? 'x' : flags & VM_WRITE ? 'w' : 'r';
};

/** One process (and perhaps a child) whose address space is a strip. */
export class StripWorld {
  readonly machine: Machine;
  readonly events: MmEvent[] = [];
  #now = PARENT;
  #isAccounted = false;

  constructor(features: Features) {
    const kernel = new Kernel(features, { overcommit: 1 });
    this.machine = new Machine(kernel);
    this.machine.spawn(PARENT);
    kernel.emit = (event) => this.events.push(event);
  }

  /** The address space of the process that acts. */
  get mm(): Mm {
    return must(this.machine.process(this.#now)?.mm, 'the process lives');
  }

  /** Makes the vmas of a strip; nothing merges. Accounted memory is VM_ACCOUNT where it is writable or written. */
  setUp(strip: string, isAccounted = false): void {
    this.#isAccounted = isAccounted;
    let at = BASE;
    for (const pages of strip.split('|')) {
      const end = at + pages.length * PAGE;
      if (pages !== '' && !pages.startsWith('.')) this.#makeVma(at, pages);
      at = end;
    }
  }

  #makeVma(start: number, pages: string): void {
    const { mm } = this;
    const { kernel } = mm;
    const at = { start, end: start + pages.length * PAGE, pgoff: start / PAGE, file: null };
    const reserve = this.#isAccounted ? (/[A-Zwx]/.test(pages) ? VM_ACCOUNT : 0) : VM_NORESERVE;
    const vma = new Vma(kernel.nextVmaId(), { ...at, flags: flagsOf(pages[0] ?? '', reserve) });
    if (reserve === VM_ACCOUNT) kernel.commit(pages.length);
    // Before it has neighbours, so that it shares with none.
    if (/[A-Z]/.test(pages)) prepareAnonVma(kernel, vma);
    linkVma(mm, vma, 'initial');
    accountVm(mm, vma.flags, nrPagesOf(vma));
    [...pages].forEach((letter, i) => {
      if (/[A-Z]/.test(letter))
        kernel.frames.setStamp(mapNewAnon(mm, vma, start + i * PAGE, EXCLUSIVE), i + 1);
    });
  }

  /** Draws the address space of the process that acts. */
  draw(): string {
    const { mm } = this;
    let text = '';
    let at = BASE;
    for (const vma of mm.vmas) {
      if (vma.start > at) text += `|${'.'.repeat((vma.start - at) / PAGE)}`;
      text += '|';
      for (at = vma.start; at < vma.end; at += PAGE) {
        const letter = letterOf(vma.flags);
        text += pageStateAt(mm, at).kind === 'anonymous' ? letter.toUpperCase() : letter;
      }
    }
    return `${text}|`;
  }

  /** Number of anon_vmas that vmas of the process have as their own. */
  get nrAnonVmas(): number {
    return new Set([...this.mm.vmas].map(({ anonVma }) => anonVma).filter((one) => one !== null)).size;
  }

  /**
   * Carries out one line, such as `mprotect 3..6 r` or `mremap 0..2 to 5 dontunmap`.
   * @returns  0, a page number (for a mapping), or the name of an error or signal
   */
  act(line: string): string {
    const [verb = '', ...words] = line.split(/\s+/);
    if (verb === 'fork') return this.#fork();
    if (verb === 'child' || verb === 'parent') {
      this.#now = verb === 'child' ? CHILD : PARENT;
      return '0';
    }
    if (verb === 'exit') {
      const outcome = this.#apply({ call: 'exit_group' });
      this.#now = PARENT;
      return resultOf(outcome);
    }
    return resultOf(this.#apply(opOf(verb, words, this.#isAccounted ? 0 : mman.MAP_NORESERVE)));
  }

  #fork(): string {
    const { kind } = this.#apply({ call: 'clone', flags: 17, child: CHILD });
    return kind === 'value' ? '0' : kind;
  }

  #apply(op: Op): Outcome {
    this.machine.kernel.opNr++;
    return this.machine.apply(this.#now, op);
  }

  /** Checks every invariant of every process. */
  verify(): void {
    const mms = this.machine.processes.flatMap(({ mm }) => (mm === null ? [] : [mm]));
    for (const mm of mms) verifyMm(mm);
    verifyKernel(this.machine.kernel, mms);
  }

  /** Sees that a fork and the end of the child leave no trace in the strip. */
  forkAndBack(): { before: string; after: string } {
    const before = `${this.draw()} ${this.nrAnonVmas}`;
    const child = this.machine.apply(this.#now, { call: 'clone', flags: 17, child: 0 });
    this.verify();
    if (child.kind === 'value') this.machine.apply(child.value, { call: 'exit_group' });
    return { before, after: `${this.draw()} ${this.nrAnonVmas}` };
  }
}

function resultOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'value':
      return String(outcome.value < BASE ? outcome.value : (outcome.value - BASE) / PAGE);
    case 'errno':
      return outcome.errno;
    case 'signal':
      return outcome.signal;
    case 'resident':
    case 'ioctl':
    case 'messages':
    case 'blocked':
    case 'unknown-memory':
      return outcome.kind;
  }
}

const pageAt = (text: string | undefined): number => BASE + Number(text) * PAGE;

/** Reads `a..b`. */
function rangeOf(text: string | undefined): { addr: number; len: number } {
  const [from, to] = (text ?? '').split('..');
  return { addr: pageAt(from), len: pageAt(to) - pageAt(from) };
}

function opOf(verb: string, words: readonly string[], reserve: number): Op {
  const range = rangeOf(words[0]);
  switch (verb) {
    case 'mmap': {
      const flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED | reserve;
      return { call: 'mmap', ...range, prot: PROT[words[1] ?? ''] ?? 0, flags, fd: -1, offset: 0 };
    }
    case 'munmap':
      return { call: 'munmap', ...range };
    case 'mprotect':
      return { call: 'mprotect', ...range, prot: PROT[words[1] ?? ''] ?? 0 };
    case 'mremap':
      return remapOp(range, words.slice(1));
    case 'write':
      return { call: 'touch', ...range, access: 'write', stamp: 99, by: 'user' };
    case 'read':
      return { call: 'touch', ...range, access: 'read', by: 'user' };
    case 'madvise':
      return { call: 'madvise', ...range, advice: must(ADVICE[words[1] ?? ''], 'an advice of strips') };
    case 'mlock':
      return { call: 'mlock', ...range };
    case 'munlock':
      return { call: 'munlock', ...range };
    case 'name':
      return { call: 'set_vma_name', ...range, name: words[1] ?? null };
    default:
      throw new Error(`"${verb}" is no verb of strips`);
  }
}

/** `to 5 [dontunmap] [relocate]` moves; `grow 2` grows in place. */
function remapOp({ addr, len }: { addr: number; len: number }, [how, by, ...rest]: readonly string[]): Op {
  if (how === 'grow')
    return { call: 'mremap', addr, oldLen: len, newLen: len + Number(by) * PAGE, flags: 0, newAddr: 0 };
  const extra = rest.reduce((flags, word) => flags | must(MREMAP[word], 'a flag of strips'), 0);
  const flags = mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED | extra;
  return { call: 'mremap', addr, oldLen: len, newLen: len, flags, newAddr: pageAt(by) };
}
