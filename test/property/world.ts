/**
 * The model under test beside the stupid one: several machines that differ in their switches alone and are given the same calls.
 *
 * After each call every machine must agree with the pages: what is mapped, with which access and flags, what it holds, what the counters
 * say, and what the call answered; and every invariant must hold. So the machines agree with each other in everything but the borders of vmas.
 */
import { expect } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { Machine, type Op, type Outcome, type Process } from '../../src/machine/index.ts';
import {
  type Features,
  type FileObject,
  Kernel,
  type Mm,
  pageAt,
  permsOf,
  type Vma,
  verifyKernel,
  verifyMm,
  vmFlagCodes,
} from '../../src/mm/index.ts';
import { VM_ACCOUNT, VM_MAYBE_GUARD } from '../../src/mm/vmFlags.ts';
import { contentOf, countersOf, type ModelObject, PAGE, type Page, type PageProcess } from './pageModel.ts';

/** First page of the window in which everything happens. */
export const WINDOW = 0x1000_0000_0000 / PAGE;
/** Pages of the window; the highest are the heap. */
export const WINDOW_PAGES = 20;
/** Where the heap begins. */
export const HEAP = WINDOW + 14;
/** The pid of the first process. */
export const ROOT = 1;
/** Descriptors: a memfd, a file that is mapped privately, one that may only be read. */
export const FD = { memfd: 3, file: 4, readOnly: 5 } as const;
/** Pages of the three at the start. */
export const FILE_PAGES = 6;

/** Flags that pages do not decide: one depends on faults, one belongs to whole vmas. */
const VMA_ONLY = VM_ACCOUNT | VM_MAYBE_GUARD;

type Counter = keyof ReturnType<typeof countersOf>;

/** One machine and how its file objects are called in the stupid model. */
export class Subject {
  readonly machine: Machine;
  readonly #objects = new Map<ModelObject, FileObject>();

  constructor(features: Features) {
    const kernel = new Kernel(features, { overcommit: 1, totalSwapPages: 1 << 20 });
    this.machine = new Machine(kernel);
    const mm = must(this.machine.spawn(ROOT).mm, 'a new process has an address space');
    mm.mmapBase = (WINDOW + WINDOW_PAGES) * PAGE;
    mm.startBrk = HEAP * PAGE;
    mm.brk = HEAP * PAGE;
    this.apply(ROOT, { call: 'memfd_create', name: 'm', flags: 0 });
    this.apply(ROOT, { call: 'ftruncate', fd: FD.memfd, size: FILE_PAGES * PAGE });
    const size = FILE_PAGES * PAGE;
    this.apply(ROOT, { call: 'open', path: '/f', mode: 'read-write', kind: 'regular', size });
    this.apply(ROOT, { call: 'open', path: '/r', mode: 'read', kind: 'regular', size });
    const file = this.#process(ROOT).files.get(FD.file);
    // There is no operation for write(2): the file is filled by hand.
    for (let i = 0; i < FILE_PAGES && file?.kind === 'file'; i++)
      kernel.frames.setStamp(kernel.cache.page(file.file.object, i), fileContent(i));
  }

  #process(pid: number): Process {
    return must(this.machine.process(pid), 'the process lives');
  }
  /** Returns the address space of a living process. */
  mm(pid: number): Mm {
    return must(this.#process(pid).mm, 'nobody calls execve');
  }
  /** Carries out a call. */
  apply(pid: number, op: Op): Outcome {
    this.machine.kernel.opNr++;
    return this.machine.apply(pid, op);
  }
  /** Tells whether [addr, addr+len) goes beyond the vma that holds its start. */
  crosses(pid: number, addr: number, len: number): boolean {
    const vma = this.mm(pid).vmas.at(addr);
    return vma !== null && addr + len > vma.end;
  }
  /** Number of vmas of all processes. */
  get nrVmas(): number {
    return this.machine.processes.reduce((sum, { mm }) => sum + (mm?.mapCount ?? 0), 0);
  }

  /** Holds one process against its pages. */
  agree(pid: number, pages: PageProcess): void {
    const mm = this.mm(pid);
    for (const [name, count] of Object.entries(countersOf(pages)))
      if (mm[name as Counter] !== count)
        expect.fail(`process ${pid}: ${name} is ${mm[name as Counter]}, not ${count}`);
    for (const vma of mm.vmas)
      for (let addr = vma.start; addr < vma.end; addr += PAGE) {
        const page = pages.pages.get(addr / PAGE);
        const wrong = page === undefined ? 'mapped' : this.#difference(mm, vma, { addr, page });
        if (wrong !== null) expect.fail(`process ${pid}, page ${addr / PAGE - WINDOW}: ${wrong}`);
      }
  }

  /** Returns what differs at one page, in words, or null. */
  #difference(mm: Mm, vma: Vma, at: { addr: number; page: Page }): string | null {
    const { addr, page } = at;
    if ((vma.flags & ~VMA_ONLY) !== page.flags)
      return `${permsOf(vma.flags)} ${vmFlagCodes(vma.flags)}, not ${vmFlagCodes(page.flags)}`;
    if (page.wasGuard && (vma.flags & VM_MAYBE_GUARD) === 0) return 'VM_MAYBE_GUARD was lost';
    if ((pageAt(mm, addr).kind === 'guard') !== page.guard) return `guard is ${!page.guard}`;
    const pgoff = vma.pgoff + (addr - vma.start) / PAGE;
    const object = vma.file?.object ?? null;
    if ((object === null) !== (page.object === null)) return 'a file, or none, where there should not be';
    if (object !== null && page.object !== null) {
      if (!this.#isSame(page.object, object)) return `object ${object.path}, not ${page.object.name}`;
      if (pgoff !== page.pgoff) return `page ${pgoff} of the object, not ${page.pgoff}`;
    }
    const holds = this.#content(mm, object, { addr, pgoff });
    return page.guard || holds === contentOf(page) ? null : `holds ${holds}, not ${contentOf(page)}`;
  }

  #isSame(model: ModelObject, object: FileObject): boolean {
    const known = this.#objects.get(model);
    if (known === undefined) this.#objects.set(model, object);
    return known === undefined || known === object;
  }

  /** What a load would find, without faulting. */
  #content(mm: Mm, object: FileObject | null, at: { addr: number; pgoff: number }): number {
    const { kernel } = this.machine;
    const { kind, stamp } = pageAt(mm, at.addr);
    if (kind === 'anonymous' || kind === 'file' || kind === 'swap') return stamp;
    if (object === null || kind !== 'none') return 0;
    const pfn = kernel.cache.find(object, at.pgoff);
    if (pfn !== null) return kernel.frames.stamp(pfn);
    const slot = kernel.sharedSwap.slotOf(object, at.pgoff);
    return slot === null ? 0 : kernel.swap.stamp(slot);
  }

  /** How many vmas there may be after an mremap with MREMAP_FIXED: those now, and one for each border it cuts. */
  limitAfterMove(pid: number, op: Extract<Op, { call: 'mremap' }>): number {
    const mm = this.mm(pid);
    const borders = new Set([op.addr, op.addr + op.oldLen, op.newAddr, op.newAddr + op.newLen]);
    const delta = op.newAddr - op.addr;
    let vma = mm.vmas.firstEndingAbove(op.addr);
    for (; vma !== null && vma.start < op.addr + op.oldLen; vma = vma.next)
      for (const border of [vma.start, vma.end])
        if (border > op.addr && border < op.addr + op.oldLen) borders.add(border + delta);
    const isCut = (addr: number): boolean => (mm.vmas.at(addr)?.start ?? addr) !== addr;
    return mm.mapCount + [...borders].filter(isCut).length;
  }

  /**
   * Returns a vma of private anonymous memory whose page offset is not that of its address, or null. Written memory may have another after a
   * move, unless `always`: then none may.
   */
  displaced(always: boolean): Vma | null {
    for (const { mm } of this.machine.processes)
      for (const vma of mm?.vmas ?? [])
        if (vma.file === null && vma.pgoff * PAGE !== vma.start && (always || vma.anonVma === null))
          return vma;
    return null;
  }

  /** Checks every invariant of every process. */
  verify(): void {
    const mms = this.machine.processes.map(({ pid }) => this.mm(pid));
    for (const mm of mms) verifyMm(mm);
    verifyKernel(this.machine.kernel, mms);
  }
}

/** What page `i` of the privately mapped file holds. */
export const fileContent = (i: number): number => 100 + i;
