/**
 * The pages of the model as a case sees them: the page-level half of vmaModel.ts.
 *
 * write(2) and read(2) are no operations of the machine: they are put together from what the kernel does to both sides, the page cache and the
 * memory of the caller.
 */
import { errnoName } from '../../src/abi/errno.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../src/abi/fcntl.ts';
import { must, Unmodelled } from '../../src/base/assert.ts';
import type { Machine, Op, Outcome, Process } from '../../src/machine/index.ts';
import {
  accessPage,
  type FileObject,
  figuresOf,
  type MemoryFigures,
  type Mm,
  pageAt,
  pagemapBits,
  pagemapRead,
  pagemapWord,
  pssBytes,
} from '../../src/mm/index.ts';
import type { SysResult } from '../../src/mm/result.ts';
import { finished, type UffdContext } from '../../src/mm/uffdContext.ts';
import { type FillKind, UffdFill } from '../../src/mm/uffdFill.ts';
import { uffdMove } from '../../src/mm/uffdMove.ts';
import { uffdWriteProtect } from '../../src/mm/uffdProtect.ts';
import type { OpScene } from './caseOps.ts';
import type { CallResult } from './caseTarget.ts';
import { ModelUffd } from './modelUffd.ts';
import { type CaseAddress, PAGE } from './operands.ts';
import type { Figure, StatusLine } from './pageStep.ts';
import type { PageCallStep, PageEntry, PageTarget } from './pageTarget.ts';
import type { UffdStep } from './uffdStep.ts';

const PG = Number(PAGE);
const KB = 1024;
/** What vmwrite fills pages with (oracle/pageSteps.c has the same). */
const STAMP = 200;

/** Where the pages are. */
export interface ModelScene extends OpScene {
  readonly machine: Machine;
  /** The process that makes the steps. */
  current(): Process;
  /** Opens the userfaultfd context that has no number. */
  setUffd(fd: number): void;
  /** Leaves a child behind. */
  forkHold(): void;
  /** The address space of the child left behind with that number. */
  heldMm(number: number): Mm;
  /** The first byte of a page of a file; null beyond its end. */
  fileValue(slot: number, page: number): number | null;
}

const KINDS = {
  none: 'none',
  anonymous: 'anonymous',
  file: 'file',
  zeroPage: 'zero',
  swap: 'swap',
  guard: 'guard',
  poison: 'poison',
  purged: 'poison',
  uffdWp: 'wp',
  migration: 'swap',
} as const;

/** Figures in kB from the sums of the model: those that are sums of Pss are rounded as they are printed. */
const FIGURE: Readonly<Record<Figure, (sums: MemoryFigures) => number>> = {
  Rss: (s) => s.resident,
  Pss: (s) => pssBytes(s.pss),
  Pss_Dirty: (s) => pssBytes(s.pssDirty),
  Shared_Clean: (s) => s.sharedClean,
  Shared_Dirty: (s) => s.sharedDirty,
  Private_Clean: (s) => s.privateClean,
  Private_Dirty: (s) => s.privateDirty,
  Referenced: (s) => s.referenced,
  Anonymous: (s) => s.anonymous,
  KSM: () => 0,
  LazyFree: (s) => s.lazyFree,
  AnonHugePages: (s) => s.anonymousThp,
  ShmemPmdMapped: (s) => s.shmemThp,
  FilePmdMapped: (s) => s.fileThp,
  Swap: (s) => s.swap,
  SwapPss: (s) => pssBytes(s.swapPss),
  Locked: (s) => pssBytes(s.pssLocked),
};

const STATUS: Readonly<Record<StatusLine, (mm: Mm) => number>> = {
  VmPTE: (mm) => mm.pages.bytes / KB,
  VmRSS: (mm) => (mm.rssAnon + mm.rssFile + mm.rssShmem) * (PG / KB),
  RssAnon: (mm) => mm.rssAnon * (PG / KB),
  RssFile: (mm) => mm.rssFile * (PG / KB),
  RssShmem: (mm) => mm.rssShmem * (PG / KB),
  VmSwap: (mm) => mm.nrSwap * (PG / KB),
  VmLck: (mm) => mm.lockedVm * (PG / KB),
  VmData: (mm) => mm.dataVm * (PG / KB),
  VmSize: (mm) => mm.totalVm * (PG / KB),
};
const STATUS_NAMES = Object.keys(STATUS) as StatusLine[];
/** Not counted from the start of the case. */
const ABSOLUTE: ReadonlySet<StatusLine> = new Set(['VmSwap', 'VmLck']);

const answerOf = (result: SysResult): CallResult =>
  result.ret < 0 ? { errno: errnoName(-result.ret) } : { ret: result.ret };

/** The pages of the model, for one case. */
export class ModelPages implements PageTarget {
  readonly #scene: ModelScene;
  /** Faults that were told, by process. */
  readonly #told = new Map<number, number>();
  #atStart = new Map<StatusLine, number>();
  readonly #pinned: number[] = [];
  /** The frame that is in the pipe. */
  #inPipe = 0;
  readonly #uffd: ModelUffd;

  constructor(scene: ModelScene) {
    this.#scene = scene;
    this.#uffd = new ModelUffd(scene);
  }

  /** From here on is counted. */
  start(): void {
    this.#atStart = new Map(STATUS_NAMES.map((line) => [line, STATUS[line](this.#mm)]));
    this.takeFaults();
  }

  get #mm(): Mm {
    return must(this.#scene.current().mm, 'no case calls execve');
  }
  #apply(op: Op): Outcome {
    return this.#scene.machine.apply(this.#scene.current().pid, op);
  }
  #result(op: Op): CallResult {
    const outcome = this.#apply(op);
    if (outcome.kind === 'value') return { ret: outcome.value };
    return { errno: outcome.kind === 'errno' ? outcome.errno : outcome.kind };
  }

  takeFaults(): number {
    const { pid } = this.#scene.current();
    const now = this.#mm.minFlt + this.#mm.majFlt - this.#uffd.threadFaults;
    const told = this.#told.get(pid) ?? 0;
    this.#told.set(pid, now);
    return now - told;
  }
  entry(addr: number): PageEntry {
    const { kind } = pageAt(this.#mm, addr);
    const bits = pagemapBits(this.#mm, addr);
    return { kind: KINDS[kind], isHuge: bits.huge, isOnce: bits.exclusive, isProtected: bits.uffdWp };
  }
  word(addr: number): bigint {
    return pagemapWord(this.#mm, addr);
  }
  ownWord(addr: number): bigint {
    return pagemapWord(this.#mm, addr, this.#mm.privileged);
  }
  isLarge(addr: number): boolean | null {
    const { kind, number } = pageAt(this.#mm, addr);
    if (kind === 'anonymous' || kind === 'file') return this.#scene.machine.kernel.frames.isLarge(number);
    return kind === 'zeroPage' ? pagemapBits(this.#mm, addr).huge : null;
  }
  figures(start: number, len: number): Readonly<Record<Figure, number>> {
    const vmas = [...this.#mm.vmas].filter((vma) => vma.start < start + len && vma.end > start);
    const each = vmas.map((vma) => figuresOf(this.#mm, vma));
    const total = (name: Figure): number =>
      each.reduce((sum, figures) => sum + Math.floor(FIGURE[name](figures) / KB), 0);
    return Object.fromEntries(Object.keys(FIGURE).map((name) => [name, total(name as Figure)])) as Record<
      Figure,
      number
    >;
  }
  status(line: StatusLine): number {
    return STATUS[line](this.#mm) - (ABSOLUTE.has(line) ? 0 : (this.#atStart.get(line) ?? 0));
  }

  /** A process has a child, with its descriptors. */
  processForked(parent: number, child: number): void {
    this.#uffd.inherit(parent, child);
  }
  /** A process of the case has ended, and its descriptors were closed. */
  processEnded(): void {
    this.#uffd.closeUnheld();
  }

  uffd(step: UffdStep, at: (a: CaseAddress) => number): string {
    return this.#uffd.step(step, at);
  }

  call(step: PageCallStep, at: (a: CaseAddress) => number): CallResult {
    if (step.op.startsWith('uffd')) return this.#uffdCall(step, at);
    switch (step.op) {
      case 'swap':
        return { ret: 0 };
      case 'proteach':
        return this.#protectEach(step, at(step.addr));
      case 'memwrite':
        return this.#writeThroughProc(step, at(step.addr));
      case 'ksm':
        throw new Unmodelled('pages of equal contents that are merged', 'docs/scope.md');
      case 'pmread':
        return answerOf(pagemapRead(this.#mm, step.offset, step.bytes));
      case 'pin':
        return this.#pin(step, at(step.addr));
      case 'unpin':
        for (const pfn of this.#pinned.splice(0)) this.#scene.machine.kernel.frames.unpin(pfn);
        return { ret: 0 };
      case 'vmsplice':
        this.#inPipe = pageAt(this.#mm, at(step.addr)).number;
        return { ret: PG };
      case 'pipeval':
        return { ret: this.#scene.machine.kernel.frames.stamp(this.#inPipe) % 256 };
      case 'adveach':
        return this.#adviseEach(step, at(step.addr));
      case 'vmread':
      case 'vmwrite':
        return this.#copyBetween(step, at(step.addr));
      case 'truncate':
        return this.#result({ call: 'ftruncate', fd: this.#scene.fd(step.slot), size: step.nrPages * PG });
      case 'punch':
        return this.#result({
          call: 'fallocate',
          fd: this.#scene.fd(step.slot),
          mode: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
          offset: step.page * PG,
          len: step.nrPages * PG,
        });
      case 'put':
        this.#writeFile(step.slot, step.page, step.value);
        return { ret: 1 };
      case 'fread':
      case 'fwrite':
        return this.#transfer(step, at(step.addr));
      default:
        throw new Error(`${step.op} does not run on the model`);
    }
  }

  /** Steps about the one context that has no number. */
  #uffdCall(step: PageCallStep, at: (a: CaseAddress) => number): CallResult {
    if (step.op === 'uffdopen') {
      const outcome = this.#apply({ call: 'userfaultfd', flags: 0 });
      if (outcome.kind !== 'value') return { errno: 'EPERM' };
      this.#scene.setUffd(outcome.value);
      const { context } = this.#uffdDescriptor();
      context.features = null;
      return answerOf(context.handshake(0xaa, step.features, true));
    }
    const { context } = this.#uffdDescriptor();
    const fill = (
      kind: FillKind,
      from: CaseAddress,
      len: number,
      rest: { mode?: number; source?: number } = {},
    ): CallResult => {
      const request = { start: at(from), len, mode: 0, ...rest };
      return answerOf(finished(new UffdFill(context, kind, request, { mm: this.#mm }).step()));
    };
    switch (step.op) {
      case 'uffdwp': {
        const request = { start: at(step.addr), len: Number(step.len), mode: step.on ? 1 : 0 };
        return answerOf(uffdWriteProtect(context, request));
      }
      case 'uffdpoison':
        return fill('poison', step.addr, Number(step.len));
      case 'uffdzero':
        return fill('zeropage', step.addr, Number(step.len));
      case 'uffdcont':
        return fill('continue', step.addr, Number(step.len));
      case 'uffdcopy': {
        const source = this.#uffd.source({ kind: 'buf', addr: { from: 'zero', bytes: 0n } }, at);
        return fill('copy', step.addr, step.nrPages * PG, { mode: step.wp ? 2 : 0, source });
      }
      case 'uffdmove': {
        const request = { start: at(step.to), source: at(step.from), len: Number(step.len), mode: 0 };
        return answerOf(uffdMove(context, request, this.#mm));
      }
      default:
        throw new Error(`${step.op} is no step about userfaultfd`);
    }
  }
  #uffdDescriptor(): { readonly context: UffdContext } {
    const descriptor = this.#scene.current().files.get(this.#scene.uffd());
    if (descriptor?.kind !== 'uffd') throw new Error('no context was opened');
    return descriptor;
  }

  #adviseEach(step: Extract<PageCallStep, { op: 'adveach' }>, addr: number): CallResult {
    const len = Number(step.len);
    for (let i = 0; i < step.times; i++) {
      const from = addr + i * Number(step.stride);
      const result = this.#result({ call: 'madvise', addr: from, len, advice: step.advice });
      if ('errno' in result) return result;
    }
    return { ret: 0 };
  }
  /** How many calls work before the first that does not. */
  #protectEach(step: Extract<PageCallStep, { op: 'proteach' }>, addr: number): CallResult {
    for (let i = 0; i < step.times; i++) {
      const at = addr + i * Number(step.stride);
      if ('errno' in this.#result({ call: 'mprotect', addr: at, len: Number(step.len), prot: step.prot }))
        return { ret: i };
    }
    return { ret: step.times };
  }
  /** A write to /proc/self/mem: the kernel cannot wait for user space. */
  #writeThroughProc(step: { readonly nrPages: number }, addr: number): CallResult {
    for (let i = 0; i < step.nrPages; i++) {
      const page = {
        addr: addr + i * PG,
        access: 'write',
        stamp: null,
        by: 'gup',
        cannotWait: true,
      } as const;
      if (accessPage(this.#mm, page).kind === 'signal') return i === 0 ? { errno: 'EIO' } : { ret: i * PG };
      this.#scene.machine.kernel.frames.setStamp(pageAt(this.#mm, page.addr).number, STAMP);
    }
    return { ret: step.nrPages * PG };
  }
  /** A fixed buffer of io_uring: the pages are brought in for a store, and held. */
  #pin(step: { readonly nrPages: number }, addr: number): CallResult {
    for (let i = 0; i < step.nrPages; i++) {
      accessPage(this.#mm, { addr: addr + i * PG, access: 'write', stamp: null, by: 'gup' });
      const { number } = pageAt(this.#mm, addr + i * PG);
      this.#pinned.push(number);
      this.#scene.machine.kernel.frames.pin(number);
    }
    return { ret: 0 };
  }
  #copyBetween(step: Extract<PageCallStep, { op: 'vmread' | 'vmwrite' }>, addr: number): CallResult {
    const len = step.nrPages * PG;
    return this.#result({
      call: 'process_vm',
      target: step.of === 'self' ? 'self' : this.#scene.parent().pid,
      ranges: [{ addr, len }],
      max: len,
      write: step.op === 'vmwrite',
      stamp: STAMP,
    });
  }

  // ---- files: what read(2) and write(2) do ----

  #object(slot: number): FileObject {
    const descriptor = this.#scene.current().files.get(this.#scene.fd(slot));
    if (descriptor?.kind !== 'file') throw new Error('no file in that slot');
    return descriptor.file.object;
  }
  fileValue(slot: number, page: number): number | null {
    const object = this.#object(slot);
    if (object.size !== null && page * PG >= object.size) return null;
    const { kernel } = this.#scene.machine;
    const frame = kernel.cache.find(object, page);
    return frame === null ? 0 : kernel.frames.stamp(frame) % 256;
  }
  #writeFile(slot: number, page: number, stamp: number): void {
    const object = this.#object(slot);
    const { kernel } = this.#scene.machine;
    if (object.size !== null) object.size = Math.max(object.size, page * PG + 1);
    kernel.frames.setStamp(kernel.cache.pageToWrite(object, page), stamp);
  }
  /** Page i of the file starts with byte 65 + i. */
  fillFile(slot: number, nrPages: number): void {
    for (let i = 0; i < nrPages; i++) this.#writeFile(slot, i, (65 + i) % 256);
  }
  /** The page of the file is there before the memory is looked at, as write(2) does it. */
  #transfer(step: Extract<PageCallStep, { op: 'fread' | 'fwrite' }>, addr: number): CallResult {
    for (let i = 0; i < step.nrPages; i++) {
      const into = step.op === 'fread';
      if (!into) this.#scene.machine.kernel.cache.page(this.#object(step.slot), step.page + i);
      const outcome = this.#apply({
        call: 'touch',
        addr: addr + i * PG,
        len: 1,
        by: 'kernel',
        ...(into
          ? { access: 'write', stamp: this.fileValue(step.slot, step.page + i) ?? 0 }
          : { access: 'read' }),
      });
      if (outcome.kind === 'errno') return i === 0 ? { errno: outcome.errno } : { ret: i * PG };
      if (!into) this.#writeFile(step.slot, step.page + i, pageAt(this.#mm, addr + i * PG).stamp);
    }
    return { ret: step.nrPages * PG };
  }
}
