/**
 * Calls as fast-check commands: how one is carried out on the pages and on every machine, and how both are compared.
 *
 * A command names pages of the window and a process by its place among the living, so that a shrunk run stays meaningful. A call whose
 * answer depends on where vmas begin is left out where the machines would differ; where they agree, the pages are told.
 */
import type fc from 'fast-check';
import { expect } from 'vitest';
import * as mman from '../../src/abi/mman.ts';
import type { Op, Outcome } from '../../src/machine/index.ts';
import type { Features } from '../../src/mm/index.ts';
import { VM_LOCKED, VM_MAY_ALL, VM_READ, VM_WRITE } from '../../src/mm/vmFlags.ts';
import { describeOp } from './describe.ts';
import { advisePages, lockAllPages, lockPages, unlockAllPages, unlockPages } from './pageAdvice.ts';
import { isTargetSealed, type ModelFile, mapPages, remapPages } from './pageMapping.ts';
import {
  type Answer,
  brkPages,
  DONE,
  type ModelObject,
  munmapPages,
  type OpOf,
  PAGE,
  PageProcess,
  protectPages,
  sealPages,
  touchPages,
  value,
  vpns,
} from './pageModel.ts';
import { FD, FILE_PAGES, fileContent, HEAP, ROOT, Subject, WINDOW } from './world.ts';

const HEAP_FLAGS = VM_READ | VM_WRITE | VM_MAY_ALL;
const MAX_PROCESSES = 3;

/** All processes of the stupid model, and its files. */
export class Pages {
  readonly processes = new Map<number, PageProcess>();
  readonly files: Readonly<Record<number, ModelFile>>;
  /** Number of calls so far; also what the next store leaves. */
  nrCalls = 0;
  /** A call has left unwritten memory with an old page offset: what was moved away with DONTUNMAP, or wiped in a child. */
  hasLeftovers = false;
  hasForked = false;
  nextPid = ROOT + 1;

  constructor() {
    const root = new PageProcess();
    root.startBrk = HEAP * PAGE;
    root.brk = root.startBrk;
    this.processes.set(ROOT, root);
    const object = (name: string): ModelObject => ({ name, size: FILE_PAGES, contents: new Map() });
    const file = object('file');
    for (let i = 0; i < FILE_PAGES; i++) file.contents.set(i, fileContent(i));
    this.files = {
      [FD.memfd]: { object: object('memfd'), writable: true },
      [FD.file]: { object: file, writable: true },
      [FD.readOnly]: { object: object('read-only'), writable: false },
    };
  }
}

/** The machines. */
export interface Subjects {
  readonly machines: readonly Subject[];
  readonly features: readonly Features[];
}

/** Makes one machine for each set of switches. */
const subjectsOf = (features: readonly Features[]): Subjects => ({
  features,
  machines: features.map((one) => new Subject(one)),
});

/** Whether the source of an mremap crosses a border of vmas: in no machine, in all, or in some. */
function crossing(subjects: Subjects, pid: number, op: OpOf<'mremap'>): 'none' | 'all' | 'some' {
  const len = Math.min(op.oldLen, op.newLen);
  const all = subjects.machines.map((subject) => subject.crosses(pid, op.addr, len));
  return all.every((one) => one) ? 'all' : all.some((one) => one) ? 'some' : 'none';
}

/** One call of one process. */
export class Call implements fc.Command<Pages, Subjects> {
  readonly #process: number;
  readonly #op: Op;

  /** @param process  counts the living, oldest first, and wraps around */
  constructor(process: number, op: Op) {
    this.#process = process;
    this.#op = op;
  }

  check(pages: Readonly<Pages>): boolean {
    const { call } = this.#op;
    if (call === 'clone') return pages.processes.size < MAX_PROCESSES;
    if (call === 'exit_group') return this.#pid(pages) !== ROOT;
    return !(call === 'mremap' && this.#unlocksMore(pages, this.#op));
  }

  /** DONTUNMAP takes the lock off the whole vma, whose borders pages do not know. */
  #unlocksMore(pages: Readonly<Pages>, op: OpOf<'mremap'>): boolean {
    const process = pages.processes.get(this.#pid(pages));
    return (
      (op.flags & mman.MREMAP_DONTUNMAP) !== 0 &&
      [...vpns(op.addr, op.oldLen)].some((vpn) => ((process?.pages.get(vpn)?.flags ?? 0) & VM_LOCKED) !== 0)
    );
  }

  #pid(pages: Readonly<Pages>): number {
    const pids = [...pages.processes.keys()];
    // The first process lives on; where there is no other, the command is not run.
    if (this.#op.call === 'exit_group' && pids.length > 1) pids.shift();
    return pids[this.#process % pids.length] as number;
  }

  run(pages: Pages, subjects: Subjects): void {
    const pid = this.#pid(pages);
    const op = this.#filledIn(pages);
    const crosses = op.call === 'mremap' ? crossing(subjects, pid, op) : 'none';
    const many = subjects.features[0]?.mremapManyVmas === 'on';
    if (op.call === 'mremap' && this.#isBorderBound(pages, { pid, op, crosses, many })) return;
    const limits = subjects.machines.map((subject) => limitOf(subject, pid, op));
    const outcomes = subjects.machines.map((subject) => subject.apply(pid, op));
    const [first] = outcomes as [Outcome];
    const told = { place: first.kind === 'value' ? first.value : null, crosses: crosses === 'all', many };
    const answer = carryOut(pages, { pid, op, told });
    for (const outcome of outcomes)
      if (!isSameAnswer(answer, outcome)) expect(outcome, this.toString()).toEqual(answer);
    noteHistory(pages, op);
    for (const [i, subject] of subjects.machines.entries()) {
      for (const [one, process] of pages.processes) subject.agree(one, process);
      subject.verify();
      expectOffsets(pages, subject, subjects.features[i] as Features);
      const limit = limits[i] ?? Infinity;
      if (limit !== Infinity && subject.mm(pid).mapCount > limit)
        expect.fail(`[remap-count] ${this.toString()}: ${subject.mm(pid).mapCount} vmas, not up to ${limit}`);
    }
  }

  /** Returns the call with what only the run knows: a stamp of its own, the pid of the child. */
  #filledIn(pages: Pages): Op {
    const op = this.#op;
    pages.nrCalls++;
    if (op.call === 'touch' && op.access === 'write') return { ...op, stamp: pages.nrCalls };
    return op.call === 'clone' ? { ...op, child: pages.nextPid++ } : op;
  }

  #isBorderBound(
    pages: Pages,
    at: { pid: number; op: OpOf<'mremap'>; crosses: 'none' | 'all' | 'some'; many: boolean },
  ): boolean {
    const sealed = isTargetSealed(pages.processes.get(at.pid) as PageProcess, at.op);
    const isMany = at.many && (at.op.flags & mman.MREMAP_FIXED) !== 0 && at.op.oldLen === at.op.newLen;
    return (at.crosses !== 'none' && sealed) || (at.crosses === 'some' && !isMany);
  }

  toString(): string {
    return `${this.#process}: ${describeOp(this.#op, WINDOW)}`;
  }
}

/** [remap-count]: how many vmas a call may leave; only moves to a given place have a limit. */
const limitOf = (subject: Subject, pid: number, op: Op): number =>
  op.call === 'mremap' &&
  op.flags & mman.MREMAP_FIXED &&
  (op.flags & mman.MREMAP_DONTUNMAP) === 0 &&
  op.oldLen > 0
    ? subject.limitAfterMove(pid, op)
    : Infinity;

function noteHistory(pages: Pages, op: Op): void {
  if (op.call === 'clone') pages.hasForked = true;
  if (op.call === 'mremap' && op.flags & mman.MREMAP_DONTUNMAP) pages.hasLeftovers = true;
  if (op.call === 'madvise' && op.advice === mman.MADV_WIPEONFORK) pages.hasLeftovers = true;
  if (op.call === 'mmap' && (op.flags & mman.MAP_TYPE) === mman.MAP_DROPPABLE) pages.hasLeftovers = true;
}

/** [vma-pgoff], as far as what has happened determines it. */
function expectOffsets(pages: Pages, subject: Subject, on: Features): void {
  const always = on.mergePgoffOnMove === 'on' && !pages.hasForked;
  if (!always && pages.hasLeftovers) return;
  const vma = subject.displaced(always);
  if (vma !== null) expect.fail(`[vma-pgoff] ${vma.pgoff - WINDOW} at page ${vma.start / PAGE - WINDOW}`);
}

function isSameAnswer(answer: Answer, outcome: Outcome): boolean {
  switch (answer.kind) {
    case 'value':
      return outcome.kind === 'value' && outcome.value === answer.value;
    case 'errno':
      return outcome.kind === 'errno' && outcome.errno === answer.errno;
    case 'signal':
      return (
        outcome.kind === 'signal' &&
        outcome.signal === answer.signal &&
        outcome.code === answer.code &&
        outcome.addr === answer.addr
      );
  }
}

interface Doing {
  readonly pid: number;
  readonly op: Op;
  readonly told: { readonly place: number | null; readonly crosses: boolean; readonly many: boolean };
}

/** Does to the pages what a call does. Returns what it must answer. */
function carryOut(pages: Pages, { pid, op, told }: Doing): Answer {
  const p = pages.processes.get(pid) as PageProcess;
  switch (op.call) {
    case 'mmap': {
      const makeShared = (size: number): ModelObject => ({
        name: `shared ${pages.nrCalls}`,
        size,
        contents: new Map(),
      });
      return mapPages(p, op, { file: pages.files[op.fd] ?? null, makeShared }, told);
    }
    case 'munmap':
      return munmapPages(p, op);
    case 'mprotect':
      return protectPages(p, op);
    case 'mremap':
      return remapPages(p, op, told);
    case 'madvise':
      return advisePages(p, op);
    case 'mlock2':
      return lockPages(p, op);
    case 'munlock':
      return unlockPages(p, op);
    case 'mlockall':
      return lockAllPages(p, op);
    case 'munlockall':
      return unlockAllPages(p);
    case 'mseal':
      return sealPages(p, op);
    case 'brk':
      return brkPages(p, op, HEAP_FLAGS);
    case 'touch':
      return touchPages(p, op);
    case 'ftruncate':
      return truncate(pages, op);
    case 'clone':
      pages.processes.set(op.child, p.fork());
      return value(op.child);
    case 'exit_group':
      pages.processes.delete(pid);
      return DONE;
    default:
      throw new Error(`no rule for ${op.call}`);
  }
}

function truncate(pages: Pages, op: OpOf<'ftruncate'>): Answer {
  const { object } = pages.files[op.fd] as ModelFile;
  object.size = op.size / PAGE;
  for (const pgoff of [...object.contents.keys()]) if (pgoff >= object.size) object.contents.delete(pgoff);
  return DONE;
}

const bytes = (pages: number): number => pages * PAGE;
const START: readonly Op[] = [
  {
    call: 'mmap',
    addr: bytes(WINDOW + 1),
    len: bytes(10),
    prot: 3,
    flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE | mman.MAP_FIXED,
    fd: -1,
    offset: 0,
  },
  { call: 'brk', addr: bytes(HEAP + 3) },
];

/** Returns pages and machines that have the same mapping and the same small heap. */
export function startState(features: readonly Features[]): { model: Pages; real: Subjects } {
  const state = { model: new Pages(), real: subjectsOf(features) };
  for (const op of START) new Call(0, op).run(state.model, state.real);
  return state;
}
