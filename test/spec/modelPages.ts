/**
 * The pages of the model as a case sees them: the page-level half of vmaModel.ts.
 *
 * write(2) and read(2) are no operations of the machine: they are put together from what the kernel does to both sides, the page cache and the
 * memory of the caller.
 */
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../src/abi/fcntl.ts';
import { must } from '../../src/base/assert.ts';
import type { Machine, Op, Outcome, Process } from '../../src/machine/index.ts';
import {
  type FileObject,
  figuresOf,
  type MemoryFigures,
  type Mm,
  pageAt,
  pagemapBits,
  pagemapWord,
  pssBytes,
} from '../../src/mm/index.ts';
import type { OpScene } from './caseOps.ts';
import type { CallResult } from './caseTarget.ts';
import { type CaseAddress, PAGE } from './operands.ts';
import type { Figure, StatusLine } from './pageStep.ts';
import type { PageCallStep, PageEntry, PageTarget } from './pageTarget.ts';

const PG = Number(PAGE);
const KB = 1024;
/** What vmwrite fills pages with (oracle/pageSteps.c has the same). */
const STAMP = 200;

/** Where the pages are. */
export interface ModelScene extends OpScene {
  readonly machine: Machine;
  /** The process that makes the steps. */
  current(): Process;
}

const KINDS = {
  none: 'none',
  anonymous: 'anonymous',
  file: 'file',
  zeroPage: 'zero',
  swap: 'swap',
  guard: 'guard',
  poison: 'poison',
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

/** The pages of the model, for one case. */
export class ModelPages implements PageTarget {
  readonly #scene: ModelScene;
  /** Faults that were told, by process. */
  readonly #told = new Map<number, number>();
  #atStart = new Map<StatusLine, number>();

  constructor(scene: ModelScene) {
    this.#scene = scene;
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
    const now = this.#mm.minFlt + this.#mm.majFlt;
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

  call(step: PageCallStep, at: (a: CaseAddress) => number): CallResult {
    switch (step.op) {
      case 'swap':
        return { ret: 0 };
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

  #adviseEach(step: Extract<PageCallStep, { op: 'adveach' }>, addr: number): CallResult {
    const len = Number(step.len);
    for (let i = 0; i < step.times; i++) {
      const from = addr + i * Number(step.stride);
      const result = this.#result({ call: 'madvise', addr: from, len, advice: step.advice });
      if ('errno' in result) return result;
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
    const frame = kernel.findCached(object, page);
    return frame === null ? 0 : kernel.frames.stamp(frame) % 256;
  }
  #writeFile(slot: number, page: number, stamp: number): void {
    const object = this.#object(slot);
    const { kernel } = this.#scene.machine;
    if (object.size !== null) object.size = Math.max(object.size, page * PG + 1);
    kernel.frames.setStamp(kernel.pageToWrite(object, page), stamp);
  }
  /** Page i of the file starts with byte 65 + i. */
  fillFile(slot: number, nrPages: number): void {
    for (let i = 0; i < nrPages; i++) this.#writeFile(slot, i, (65 + i) % 256);
  }
  /** The page of the file is there before the memory is looked at, as write(2) does it. */
  #transfer(step: Extract<PageCallStep, { op: 'fread' | 'fwrite' }>, addr: number): CallResult {
    for (let i = 0; i < step.nrPages; i++) {
      const into = step.op === 'fread';
      if (!into) this.#scene.machine.kernel.cachedPage(this.#object(step.slot), step.page + i);
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
