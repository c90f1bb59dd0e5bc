/**
 * Sequences about volatile ranges, on the model and on the running kernel by way of markers (oracle/vrangePoison.c): drawn from a seed, carried out on both,
 * compared line by line, and cut down where they differ.
 *
 * Strategy   short ranges in a window of 96 pages, so that they overlap; up to four processes; a purge now and then takes all that may go. Which pages
 *            those are each side finds out by itself: the model by its ranges and its reverse mapping, the other by a flag a page and the kernel's frames
 * Compared   the result or errno of each call, value, SIGBUS or SIGSEGV of each access, EFAULT of each copy, how many pages each purge takes
 * Beyond     which pages a purge with a target takes, swap, huge pages: no marker of the kernel stands for those
 */
import { spawnSync } from 'node:child_process';
import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_FREE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  SEGV_ACCERR,
  SEGV_MAPERR,
} from '../../src/abi/mman.ts';
import { must } from '../../src/base/assert.ts';
import { Prng } from '../../src/base/prng.ts';
import { PAGE_SIZE } from '../../src/base/units.ts';
import { Machine, type Op, type Outcome } from '../../src/machine/index.ts';
import {
  Kernel,
  LINUX_6_18,
  type Mm,
  pageAt,
  purgeVolatile,
  verifyKernel,
  verifyMm,
} from '../../src/mm/index.ts';

const BASE = 0x2000_0000_0000;
/** Pages that sequences are about; those of the program are more. */
const WINDOW = 96;
const FIRST_PID = 100;
const PROCESSES = 4;
const RW = PROT_READ | PROT_WRITE;
/** After so many steps every invariant of the model is checked. */
const VERIFY_EVERY = 64;

const at = (page: number): number => BASE + page * PAGE_SIZE;
const pidOf = (who: number): number => FIRST_PID + who;

/**
 * Draws `steps` steps, one a line. Sequences of every second seed lock memory: those have no calls whose answer depends on whether neighbours have become one
 * vma, because to set a marker splits and merges vmas, which joins what unlocking by fork or by MREMAP_DONTUNMAP has left apart.
 */
export function drawVrangeScript(seed: number, steps: number): string[] {
  const prng = new Prng(seed);
  const locks = seed % 2 === 0;
  const living = new Set([0]);
  const lines = ['0 map 0 64', ...Array.from({ length: 64 }, (_, i) => `0 write ${i} ${i + 1}`)];
  const range = (): string => {
    const first = prng.below(WINDOW - 16);
    return `${first} ${1 + prng.below(prng.below(4) === 0 ? 16 : 6)}`;
  };
  const page = (): number => prng.below(prng.below(8) === 0 ? WINDOW : 64);
  const move = (): string => {
    const pages = 1 + prng.below(12);
    const flags = !locks && prng.below(4) === 0 ? MREMAP_DONTUNMAP : 0;
    return `move ${prng.below(WINDOW - 16)} ${pages} ${prng.below(WINDOW - 16)} ${flags}`;
  };
  const resize = (): string => `resize ${range()} ${1 + prng.below(12)}`;
  const forked = (): string => {
    const child = 1 + prng.below(PROCESSES - 1);
    living.add(child);
    return `fork ${child}`;
  };
  const draws: readonly (readonly [weight: number, draw: () => string])[] = [
    [18, () => `volatile ${range()} ${prng.below(2)}`],
    [12, () => `novolatile ${range()}`],
    [5, () => 'purge'],
    [18, () => `read ${page()}`],
    [16, () => `write ${page()} ${lines.length}`],
    [3, () => `copyin ${page()} ${lines.length}`],
    [4, () => `copyout ${page()}`],
    [3, () => `peek ${page()} ${prng.below(PROCESSES)}`],
    [4, () => `protect ${range()} ${prng.pick([PROT_NONE, PROT_READ, RW, RW])}`],
    [3, () => `advise ${range()} ${prng.pick([MADV_DONTNEED, MADV_FREE, MADV_COLD])}`],
    [locks ? 4 : 0, () => `lock ${range()}`],
    [locks ? 5 : 0, () => `unlock ${range()}`],
    [3, () => `map ${range()}`],
    [2, () => `unmap ${range()}`],
    [4, move],
    [locks ? 0 : 2, resize],
    [2, forked],
    [1, () => 'exit'],
  ];
  const bag = draws.flatMap(([weight, draw]) => Array<() => string>(weight).fill(draw));
  while (lines.length < steps) {
    const who = prng.pick([...living]);
    const what = prng.pick(bag)();
    // The first process stays: its window is the one that was filled.
    if (what !== 'exit' || who !== 0) lines.push(`${who} ${what}`);
    if (what === 'exit' && who !== 0) living.delete(who);
  }
  return lines;
}

/** Carries a script out on the model. Returns a line for each of its lines. */
export function vrangeOnModel(lines: readonly string[]): string[] {
  const model = new Model();
  return lines.map((line, i) => {
    const said = model.step(line);
    if (i % VERIFY_EVERY === 0 || i === lines.length - 1) model.verify();
    return said;
  });
}

/** The same on the running kernel. @param program  oracle/vrangePoison; @param args  what it is to do wrong */
export function vrangeOnKernel(
  program: string,
  lines: readonly string[],
  args: readonly string[] = [],
): string[] {
  const { stdout, stderr, status } = spawnSync(program, args, {
    input: `${lines.join('\n')}\n`,
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 1 << 24,
  });
  if (status !== 0) throw new Error(`vrangePoison: ${stderr || `ended with ${status}`}`);
  return stdout.trimEnd().split('\n');
}

/** Where the two sides differ first. */
export interface VrangeDifference {
  readonly line: string;
  readonly model: string | undefined;
  readonly kernel: string | undefined;
}

/** Returns the first difference, or null. */
export function vrangeDifference(
  lines: readonly string[],
  onKernel: (lines: readonly string[]) => readonly string[],
): (VrangeDifference & { readonly at: number }) | null {
  const model = vrangeOnModel(lines);
  const kernel = onKernel(lines);
  const first = lines.findIndex((_, i) => model[i] !== kernel[i]);
  if (first < 0) return null;
  return { at: first, line: lines[first] as string, model: model[first], kernel: kernel[first] };
}

/**
 * Cuts a script in which the sides differ down: lines go, in ever smaller groups, then numbers get smaller, as long as there is a difference.
 * @returns  what is left, and the difference, which is in its last line
 */
export function shrinkVrangeScript(
  lines: readonly string[],
  onKernel: (lines: readonly string[]) => readonly string[],
): { readonly lines: readonly string[]; readonly difference: VrangeDifference } | null {
  const cut = (candidate: readonly string[]): readonly string[] | null => {
    const found = vrangeDifference(candidate, onKernel);
    return found === null ? null : candidate.slice(0, found.at + 1);
  };
  let best = cut(lines);
  if (best === null) return null;
  for (let size = best.length >> 1; size >= 1; ) {
    let isShorter = false;
    for (let from = 0; from < best.length; ) {
      const shorter = cut([...best.slice(0, from), ...best.slice(from + size)]);
      if (shorter === null) from += size;
      else {
        best = shorter;
        isShorter = true;
      }
    }
    if (!isShorter) size >>= 1;
  }
  for (let isSmaller = true; isSmaller; ) {
    isSmaller = false;
    for (const candidate of withSmallerNumbers(best)) {
      const smaller = cut(candidate);
      if (smaller === null || smaller.length > best.length) continue;
      best = smaller;
      isSmaller = true;
      break;
    }
  }
  const difference = must(vrangeDifference(best, onKernel), 'what was kept differs');
  return { lines: best, difference };
}

/** Each number of each line, but who does it, halved and less by one. */
function* withSmallerNumbers(lines: readonly string[]): Generator<string[]> {
  for (const [i, line] of lines.entries()) {
    const words = line.split(' ');
    for (let word = 2; word < words.length; word++) {
      const n = Number(words[word]);
      for (const less of new Set([n >> 1, n - 1]))
        if (less >= 0 && less < n) yield lines.with(i, words.with(word, String(less)).join(' '));
    }
  }
}

/** The machine that carries a script out. */
class Model {
  readonly #machine = new Machine(new Kernel({ ...LINUX_6_18, vrange: 'on' }));

  constructor() {
    this.#machine.spawn(pidOf(0));
  }

  verify(): void {
    const mms = this.#machine.addressSpaces;
    for (const mm of mms) verifyMm(mm);
    verifyKernel(this.#machine.kernel, mms);
  }

  step(line: string): string {
    const [who = '', what = '', ...texts] = line.split(' ');
    const a = texts.map(Number);
    const mm = this.#mmOf(Number(who));
    if (mm === null) return 'nobody';
    if (what === 'purge') return `pages ${purgeVolatile(this.#machine.kernel, Number.POSITIVE_INFINITY)}`;
    const [first = 0, second = 0] = a;
    if (what === 'fork' && (first <= 0 || first >= PROCESSES || this.#mmOf(first) !== null)) return 'taken';
    const other = what === 'peek' ? this.#mmOf(second) : mm;
    if (other === null) return 'nobody';
    const outcome = this.#machine.apply(pidOf(Number(who)), operation(what, a));
    return said(what, outcome, other, first);
  }

  #mmOf(who: number): Mm | null {
    return this.#machine.process(pidOf(who))?.mm ?? null;
  }
}

/** What a step is as an operation. */
function operation(what: string, a: readonly number[]): Op {
  const [first = 0, second = 0, third = 0, fourth = 0] = a;
  const [addr, len] = [at(first), second * PAGE_SIZE];
  const touch = { call: 'touch', addr, len: 8 } as const;
  switch (what) {
    case 'volatile':
      return { call: 'vrange', addr, len, mode: 'volatile', behavior: third === 0 ? 'full' : 'partial' };
    case 'novolatile':
      return { call: 'vrange', addr, len, mode: 'novolatile', behavior: 'full' };
    case 'read':
      return { ...touch, access: 'read', by: 'user' };
    case 'write':
      return { ...touch, access: 'write', stamp: second, by: 'user' };
    case 'copyin':
      return { ...touch, access: 'write', stamp: second, by: 'kernel' };
    case 'copyout':
      return { ...touch, access: 'read', by: 'kernel' };
    case 'peek':
      return { call: 'process_vm', target: pidOf(second), ranges: [{ addr, len: 8 }], max: 8, write: false };
    case 'map':
      return {
        call: 'mmap',
        addr,
        len,
        prot: RW,
        flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
        fd: -1,
        offset: 0,
      };
    case 'unmap':
      return { call: 'munmap', addr, len };
    case 'lock':
      return { call: 'mlock', addr, len };
    case 'unlock':
      return { call: 'munlock', addr, len };
    case 'protect':
      return { call: 'mprotect', addr, len, prot: third };
    case 'advise':
      return { call: 'madvise', addr, len, advice: third };
    case 'move':
      return {
        call: 'mremap',
        addr,
        oldLen: len,
        newLen: len,
        flags: MREMAP_MAYMOVE | MREMAP_FIXED | fourth,
        newAddr: at(third),
      };
    case 'resize':
      return { call: 'mremap', addr, oldLen: len, newLen: third * PAGE_SIZE, flags: 0, newAddr: 0 };
    case 'fork':
      return { call: 'clone', flags: 0, child: pidOf(first) };
    default:
      return { call: 'exit_group' };
  }
}

/** Steps that answer with the first word of the page. */
const WITH_VALUE: ReadonlySet<string> = new Set(['read', 'write', 'copyin', 'copyout', 'peek']);
/** Steps that answer with an address, or with a process: on the other side with 0. */
const WITH_PLACE: ReadonlySet<string> = new Set(['map', 'move', 'resize', 'fork']);
const SIGNAL_CODES: Readonly<Record<string, number>> = { SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR: 2 };

/** What came of a step in the words of the other side. */
function said(what: string, outcome: Outcome, mm: Mm, page: number): string {
  switch (outcome.kind) {
    case 'errno':
      return outcome.errno;
    case 'signal':
      return `${outcome.signal} ${SIGNAL_CODES[outcome.code]}`;
    case 'value':
      if (WITH_VALUE.has(what)) return `value ${pageAt(mm, at(page)).stamp}`;
      return String(WITH_PLACE.has(what) ? 0 : outcome.value);
    default:
      return outcome.kind;
  }
}
