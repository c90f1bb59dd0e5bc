/**
 * The model as a target of cases: a machine with one process that has what `caseSetup.ts` says, and a case running in a fork of it.
 */
import { MFD_ALLOW_SEALING } from '../../src/abi/fcntl.ts';
import {
  BUS_ADRERR,
  CLONE_VFORK,
  CLONE_VM,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  SEGV_ACCERR,
  SEGV_MAPERR,
} from '../../src/abi/mman.ts';
import { must } from '../../src/base/assert.ts';
import type { Coverage } from '../../src/fuzz/coverage.ts';
import { fileKindOf } from '../../src/machine/fileKind.ts';
import {
  type Chosen,
  Machine,
  type Op,
  type Outcome,
  type Process,
  resultOf,
  uffdIoctl,
} from '../../src/machine/index.ts';
import { type Features, LINUX_6_18 } from '../../src/mm/features.ts';
import {
  Kernel,
  type Mm,
  pageAt,
  permsOf,
  type Vma,
  verifyKernel,
  verifyMm,
  vmFlagCodes,
  type Work,
} from '../../src/mm/index.ts';
import type { Case } from './caseFile.ts';
import { opOf } from './caseOps.ts';
import { FULL_MAP_LIMIT, HEAP_PAGES, SMALL_MAP_LIMIT, TOP_ALIGNED, TOP_PAGES } from './caseSetup.ts';
import { type CaseAddress, PAGE, WINDOW, WINDOW_END } from './caseStep.ts';
import {
  type CallResult,
  type CallStep,
  type CaseTarget,
  type FileStep,
  type Loaded,
  type PageState,
  runCase,
  type TargetVma,
} from './caseTarget.ts';
import type { Expectation } from './expectation.ts';
import { ModelPages, type ModelScene } from './modelPages.ts';
import { isPageStep } from './pageStep.ts';

const PG = Number(PAGE);
const MMAP_BASE = 0x7fff_f7e0_0000 + TOP_PAGES * PG;
const HEAP = 0x5555_5560_0000;
const FAR = 0x2000_0000_0000;
const ANCHOR = Number(WINDOW) + 2 ** 38;
const ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
const SIGNAL_CODE: Readonly<Record<string, number>> = { SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR };
const DEVICE: Readonly<Record<string, string>> = { devnull: '/dev/null', devzero: '/dev/zero' };
const MODE = { rw: 'read-write', ro: 'read', wo: 'write' } as const;
/** Verifying visits every vma and every table: where there are more of them, once a case is enough. */
const VERIFY_UP_TO = 5000;
const VERIFY_TABLES_UP_TO = 2000;

/** Machine-wide settings that a case asks for. */
const kernelFor = (c: Pick<Case, 'id' | 'steps'>, features: Features): Kernel => {
  const mode = c.steps.find(({ step }) => step.op === 'overcommit')?.step;
  const swaps = c.steps.some(
    (s) => s.step.op === 'swap' || (s.expected.kind === 'answer' && s.expected.text.includes('swap')),
  );
  const fills = c.steps.some(({ step }) => step.op === 'fill');
  return new Kernel(features, {
    overcommit: mode?.op === 'overcommit' ? (mode.arg as 0 | 1 | 2) : 0,
    totalSwapPages: swaps ? 16384 : 0,
    ...(fills && !FULL_MAP_LIMIT.has(c.id) ? { maxMapCount: SMALL_MAP_LIMIT } : {}),
  });
};

const targetVma = (vma: Vma): TargetVma => ({
  start: vma.start,
  end: vma.end,
  perms: permsOf(vma.flags),
  pgoff: vma.pgoff,
  anonVma: vma.anonVma === null ? null : { id: vma.anonVma.id, root: vma.anonVma.root.id },
  chain: vma.chain.length,
  flags: vmFlagCodes(vma.flags).split(' '),
  file: vma.file !== null,
});

/** A machine whose operations are noted. */
class NotedMachine extends Machine {
  readonly #coverage: Coverage;

  constructor(kernel: Kernel, coverage: Coverage) {
    super(kernel);
    kernel.emit = coverage.event;
    this.#coverage = coverage;
  }
  override apply(tid: number, op: Op, chosen?: Chosen): Outcome {
    const outcome = super.apply(tid, op, chosen);
    this.#coverage.outcome(op, outcome);
    return outcome;
  }
}

/** The model, set up for one case. */
export class VmaModel implements CaseTarget {
  readonly #machine: Machine;
  /** The current process last; those before it wait for it. */
  readonly #processes: Process[] = [];
  /** Those left behind by forkhold, from 1. */
  readonly #held: (Process | null)[] = [null];
  /** Their address spaces, also of those that are gone. */
  readonly #heldMms: (Mm | null)[] = [null];
  /** Which of them goes on; 0 when none of them does. */
  #turn = 0;
  readonly #fds: number[] = [];
  readonly #segments: number[] = [];
  #uffd = -1;
  #nrFiles = 0;
  readonly #scene: ModelScene;
  readonly pages: ModelPages;

  /** @param c  says what the machine has to be like; its steps are not made here @param coverage  takes note of what is reached */
  constructor(
    c: Pick<Case, 'id' | 'steps'>,
    features: Features = LINUX_6_18,
    coverage: Coverage | null = null,
  ) {
    const kernel = kernelFor(c, features);
    this.#machine = coverage === null ? new Machine(kernel) : new NotedMachine(kernel, coverage);
    this.#scene = {
      machine: this.#machine,
      current: () => this.#process,
      parent: () => must(this.#processes.at(-2), 'there is a parent'),
      fd: (slot) => this.#fds[slot] ?? -1,
      segment: (slot) => this.#segments[slot] ?? -1,
      uffd: () => this.#uffd,
      setUffd: (fd) => {
        this.#uffd = fd;
      },
      forkHold: () => this.forkHold(),
      heldMm: (number) => must(this.#heldMms[number] ?? null, 'a process that was left behind'),
      fileValue: (slot, page) => this.pages.fileValue(slot, page),
    };
    this.pages = new ModelPages(this.#scene);
    const first = this.#machine.spawn();
    const mm = must(first.mm, 'a new process has an address space');
    mm.mmapBase = MMAP_BASE;
    mm.startBrk = HEAP;
    mm.brk = HEAP;
    this.#processes.push(first);
    this.brk(HEAP + HEAP_PAGES * PG);
    for (let page = 0; page < HEAP_PAGES; page++) this.store(HEAP + page * PG, 1);
    const flags = ANONYMOUS | MAP_FIXED;
    this.#apply({ call: 'mmap', addr: MMAP_BASE, len: PG, prot: 7, flags, fd: -1, offset: 0 });
    this.store(MMAP_BASE, 1);
    this.fork();
    if (TOP_ALIGNED.has(c.id))
      this.#apply({
        call: 'mmap',
        addr: 0,
        len: TOP_PAGES * PG,
        prot: 0,
        flags: ANONYMOUS,
        fd: -1,
        offset: 0,
      });
    if (c.steps.some(({ step }) => isPageStep(step))) this.#startCounting();
  }

  /** A case about pages finds the table of the 512 GiB around its window. */
  #startCounting(): void {
    const flags = ANONYMOUS | MAP_FIXED;
    this.#apply({ call: 'mmap', addr: ANCHOR, len: PG, prot: 3, flags, fd: -1, offset: 0 });
    this.store(ANCHOR, 1);
    this.pages.start();
  }

  get #process(): Process {
    return must(this.#held[this.#turn] ?? this.#processes.at(-1), 'a case has a process');
  }
  get #mm(): Mm {
    return must(this.#process.mm, 'no case calls execve');
  }
  #apply(op: Op): Outcome {
    return this.#machine.apply(this.#process.pid, op);
  }
  #result(op: Op): CallResult {
    const outcome = resultOf(this.#apply(op));
    if (outcome.kind === 'value') return { ret: outcome.value };
    return { errno: outcome.kind === 'errno' ? outcome.errno : outcome.kind };
  }
  #value(op: Op): number {
    const outcome = this.#apply(op);
    if (outcome.kind !== 'value') throw new Error(`${op.call} failed while a case was set up`);
    return outcome.value;
  }

  call(step: CallStep, at: (a: CaseAddress) => number): CallResult {
    switch (step.op) {
      case 'limit':
        return this.#limit(step);
      case 'overcommit':
        return { ret: 0 };
      case 'seals':
        return this.#result({ call: 'add_seals', fd: this.#fds[step.slot] ?? -1, seals: step.arg });
      case 'uffd':
        this.#uffd = this.#value({ call: 'userfaultfd', flags: 0 });
        this.#result(uffdIoctl(this.#uffd, { name: 'UFFDIO_API', api: 0xaa, features: 0 }));
        return { ret: 0 };
      case 'vfork': {
        const child = this.#value({ call: 'clone', flags: CLONE_VM | CLONE_VFORK, child: 0 });
        this.#machine.apply(child, { call: 'exit_group' });
        return { ret: 0 };
      }
      case 'shmget':
        this.#segments[step.slot] = this.#value({
          call: 'shmget',
          key: 0,
          size: step.nrPages * PG,
          flags: 0,
        });
        return { ret: 0 };
      default:
        return this.#result(opOf(step, this.#scene, at));
    }
  }

  #limit(step: Extract<CallStep, { op: 'limit' }>): CallResult {
    const use = step.resource === 9 ? this.#mm.totalVm : this.#mm.dataVm;
    const soft = Number(step.bytes) + (step.aboveUse ? use * PG : 0);
    return this.#result({ call: 'setrlimit', resource: step.resource, soft, hard: null });
  }

  makeFile(step: FileStep): void {
    const path = DEVICE[step.op] ?? `/tmp/case-${this.#nrFiles++}`;
    if (step.op === 'fillfd') this.pages.fillFile(step.slot, step.nrPages);
    else if (step.op === 'fd') {
      this.#fds[step.slot] = this.#value({ call: 'memfd_create', name: 'case', flags: MFD_ALLOW_SEALING });
      this.#value({ call: 'ftruncate', fd: this.#fds[step.slot] as number, size: step.nrPages * PG });
    } else {
      const kind = step.op === 'file' ? 'regular' : step.op === 'dir' ? 'directory' : fileKindOf(path);
      this.#fds[step.slot] = this.#value({
        call: 'open',
        path,
        mode: step.op === 'dir' ? 'read' : MODE[step.access],
        kind,
        size: step.nrPages * PG,
      });
    }
  }

  #access(addr: number, stamp: number | null): Loaded {
    const access = stamp === null ? { access: 'read' as const } : { access: 'write' as const, stamp };
    const outcome = this.#apply({ call: 'touch', addr, len: 1, by: 'user', ...access });
    if (outcome.kind !== 'signal') return { value: stamp ?? pageAt(this.#mm, addr).stamp };
    const signal = outcome.signal === 'SIGBUS' ? 'SIGBUS' : 'SIGSEGV';
    return { signal, code: SIGNAL_CODE[outcome.code] ?? -1 };
  }
  store(addr: number, value: number): Loaded {
    return this.#access(addr, value);
  }
  load(addr: number): Loaded {
    return this.#access(addr, null);
  }

  page(addr: number): PageState {
    const { kind, number } = pageAt(this.#mm, addr);
    if (kind === 'none' || kind === 'guard' || kind === 'swap') return kind;
    return { frame: number, once: kind !== 'zeroPage' && this.#machine.kernel.frames.mapcount(number) === 1 };
  }
  hasTable(addr: number): boolean {
    // A huge mapping shows the kernel's side what an empty entry of a table shows: that nothing is write-protected.
    return this.#mm.pages.pmd(addr) !== 0;
  }
  isFreed(frame: number): boolean {
    return frame !== 0 && !this.#machine.kernel.frames.isUsed(frame);
  }

  mincore(addr: number, len: number): CallResult | readonly boolean[] {
    const outcome = this.#apply({ call: 'mincore', addr, len });
    if (outcome.kind === 'resident') return outcome.pages;
    return outcome.kind === 'value'
      ? { ret: outcome.value }
      : { errno: outcome.kind === 'errno' ? outcome.errno : outcome.kind };
  }
  brk(addr: number): number {
    return this.#value({ call: 'brk', addr });
  }

  windowVmas(): readonly TargetVma[] {
    const seen: TargetVma[] = [];
    let vma = this.#mm.vmas.firstEndingAbove(Number(WINDOW));
    for (; vma !== null && vma.start < Number(WINDOW_END); vma = vma.next) seen.push(targetVma(vma));
    return seen;
  }
  lockedVm(): number {
    return this.#mm.lockedVm;
  }
  mapCount(): { readonly now: number; readonly max: number } {
    return { now: this.#mm.mapCount, max: this.#machine.kernel.config.maxMapCount };
  }
  committedPages(): number {
    return this.#machine.kernel.committedPages;
  }
  fill(nrVmas: number): void {
    for (let i = 0; i < nrVmas; i++) {
      this.#value({
        call: 'mmap',
        addr: FAR + i * PG,
        len: PG,
        prot: i % 2,
        flags: ANONYMOUS | MAP_FIXED,
        fd: -1,
        offset: 0,
      });
    }
  }

  fork(): void {
    const pid = this.#value({ call: 'clone', flags: 0, child: 0 });
    this.pages.processForked(this.#process.pid, pid);
    this.#processes.push(must(this.#machine.process(pid), 'clone made a process'));
  }
  forkHold(): void {
    const pid = this.#value({ call: 'clone', flags: 0, child: 0 });
    this.pages.processForked(this.#process.pid, pid);
    const child = this.#machine.process(pid);
    this.#held.push(child);
    this.#heldMms.push(child?.mm ?? null);
  }
  switchTo(number: number): void {
    if (number > 0) must(this.#held[number], 'a process that was left behind');
    this.#turn = number;
  }
  drop(number: number): void {
    const { pid } = must(this.#held[number], 'a process that was left behind');
    this.#held[number] = null;
    this.#machine.apply(pid, { call: 'exit_group' });
    this.pages.processEnded();
  }
  dropParent(): void {
    const parent = must(this.#processes.at(-2), 'there is a parent');
    this.#machine.apply(parent.pid, {
      call: 'munmap',
      addr: Number(WINDOW),
      len: Number(WINDOW_END - WINDOW),
    });
  }
  exit(): void {
    this.#apply({ call: 'exit_group' });
    this.#processes.pop();
  }

  verify(): void {
    const { mapCount, pages } = this.#mm;
    if (mapCount <= VERIFY_UP_TO && pages.nrPtes <= VERIFY_TABLES_UP_TO) this.verifyAll();
  }
  /** What the kernel counted. */
  get work(): Work {
    return this.#machine.kernel.work;
  }

  /** Checks every invariant of every process. */
  verifyAll(): void {
    const mms = this.#machine.processes.flatMap((p) => (p.mm === null ? [] : [p.mm]));
    for (const mm of mms) verifyMm(mm);
    verifyKernel(this.#machine.kernel, mms);
  }
}

/** Runs a case on the model, by default as linux-6.18. Throws what the model throws. @param coverage  takes note of what is reached */
export function runOnModel(
  c: Case,
  features: Features = LINUX_6_18,
  coverage: Coverage | null = null,
): Expectation[] {
  const model = new VmaModel(c, features, coverage);
  const seen = runCase(c, model);
  model.verifyAll();
  coverage?.faults(model.work);
  return seen;
}
