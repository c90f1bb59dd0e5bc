/**
 * Random calls on some MiB against an array of pages.
 *
 * Strategy    runs of up to 24 groups of up to five calls on six tables of addresses and one memfd, by up to three processes; the calls of a group are
 *             about one range, which begins and ends at, just before, just behind or far from borders of tables; with huge pages always or where
 *             asked for, with much, little or no swap
 * Invariants  what each page of the range holds, in each process, and all that verifyMm and verifyKernel know, after every call; what every page
 *             holds after every group, [remap-bytes]
 * Not reached files on a disk, locked memory, userfaultfd, GiB borders
 */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  PROT_NONE,
  PROT_READ,
} from '../../src/abi/mman.ts';
import { Machine, RW } from '../support/memory.ts';
import { FILE_PAGES, NR_PAGES, WindowFile, WindowProcess } from './pageWindow.ts';

const TABLE = 512;

/** The pages that a call is about, and the process, by its place among the living. */
interface Range {
  readonly process: number;
  readonly page: number;
  readonly n: number;
}
type Call = Range &
  (
    | { readonly call: 'map'; readonly file: boolean; readonly shared: boolean; readonly pgoff: number }
    | { readonly call: 'unmap' | 'fork' | 'exit' }
    | { readonly call: 'punch' | 'truncate' }
    | { readonly call: 'protect'; readonly prot: number }
    | { readonly call: 'touch'; readonly step: number; readonly store: boolean }
    | { readonly call: 'advise'; readonly advice: number }
    | { readonly call: 'move'; readonly to: number; readonly dontUnmap: boolean }
  );

const near = fc.constantFrom(-2, -1, 0, 0, 0, 0, 0, 0, 1, 3, 256);
const pageNr = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.constantFrom(0, 0, 1, 1, 2, 3, 4, 5), near)
      .map(([slot, by]) => Math.max(0, slot * TABLE + by)),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: NR_PAGES - 1 }) },
);
const count = fc.oneof(
  fc.constantFrom(1, 2, 511, TABLE, TABLE, 513, 2 * TABLE, 3 * TABLE),
  fc.integer({ min: 1, max: 700 }),
);
const range = fc
  .record({ process: fc.integer({ min: 0, max: 2 }), page: pageNr, n: count })
  .map((r) => ({ ...r, n: Math.min(r.n, NR_PAGES - r.page) }));

const ADVICE = [
  MADV_HUGEPAGE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_DONTNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_FREE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_PAGEOUT,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_COLLAPSE,
  MADV_COLLAPSE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
];

const mapping = fc.record({
  call: fc.constant('map' as const),
  file: fc.boolean(),
  shared: fc.boolean(),
  pgoff: fc.constantFrom(0, 0, 1, TABLE, 600),
});
const protection = fc.record({
  call: fc.constant('protect' as const),
  prot: fc.constantFrom(RW, RW, PROT_READ, PROT_NONE),
});
const accesses = fc.record({
  call: fc.constant('touch' as const),
  step: fc.constantFrom(1, 3, 100, TABLE),
  store: fc.constantFrom(true, true, false),
});
const advising = fc.record({ call: fc.constant('advise' as const), advice: fc.constantFrom(...ADVICE) });
const moving = fc.record({
  call: fc.constant('move' as const),
  to: pageNr,
  dontUnmap: fc.constantFrom(false, false, false, true),
});
const others = fc.record({
  call: fc.constantFrom('unmap' as const, 'fork' as const, 'fork' as const, 'exit' as const),
});
const shortening = fc.record({ call: fc.constantFrom('punch' as const, 'truncate' as const) });

const body: fc.Arbitrary<Body> = fc.oneof(
  { weight: 3, arbitrary: mapping },
  { weight: 3, arbitrary: protection },
  { weight: 8, arbitrary: accesses },
  { weight: 14, arbitrary: advising },
  { weight: 5, arbitrary: moving },
  { weight: 4, arbitrary: others },
  { weight: 2, arbitrary: shortening },
);
type Body = Call extends infer C ? (C extends Call ? Omit<C, keyof Range> : never) : never;
const advise = (advice: number): Body => ({ call: 'advise', advice });
const store = (step: number): Body => ({ call: 'touch', step, store: true });
const LOAD: Body = { call: 'touch', step: 1, store: false };
/** What random calls seldom do in this order. */
const STORIES: readonly (readonly Body[])[] = [
  [store(1), advise(MADV_FREE), store(3), advise(MADV_PAGEOUT)],
  [store(3), advise(MADV_PAGEOUT), advise(MADV_COLLAPSE)],
  [store(1), advise(MADV_PAGEOUT), { call: 'fork' }, LOAD, store(3)],
  [advise(MADV_HUGEPAGE), advise(MADV_DONTNEED), store(100), { call: 'fork' }, store(3)],
];
/** Calls about one range: what one leaves, the next finds. */
const group: fc.Arbitrary<Call[]> = fc
  .tuple(
    range,
    fc.oneof(
      { weight: 4, arbitrary: fc.array(body, { minLength: 1, maxLength: 4, size: 'max' }) },
      { weight: 1, arbitrary: fc.constantFrom(...STORIES) },
    ),
  )
  .map(([r, bodies]) => bodies.map((one) => ({ ...r, ...one })));

/** What a run is made on. */
interface Setting {
  readonly swapPages: number;
  readonly thp: 'madvise' | 'always';
  readonly maxProcesses: number;
}

/** The processes, the file, and the machine they are on. */
class World {
  readonly #machine: Machine;
  readonly #file: WindowFile;
  readonly processes: WindowProcess[];
  readonly #maxProcesses: number;
  #nrCalls = 0;

  constructor({ swapPages, thp, maxProcesses }: Setting) {
    this.#maxProcesses = maxProcesses;
    this.#machine = new Machine(swapPages, { thp });
    this.#file = new WindowFile(this.#machine.memfd(FILE_PAGES));
    const first = new WindowProcess(this.#machine.spawn());
    // Something to begin with: written memory over three tables, the first two of which may be huge, and the file, mapped privately and shared.
    first.map(0, 3 * TABLE, { file: null, shared: false, pgoff: 0 });
    first.advise(0, 2 * TABLE, MADV_HUGEPAGE);
    first.touch(0, 3 * TABLE, { step: 100, store: 1_000_000 });
    first.map(3 * TABLE, TABLE, { file: this.#file, shared: false, pgoff: 0 });
    first.map(4 * TABLE, 2 * TABLE, { file: this.#file, shared: true, pgoff: 0 });
    this.processes = [first];
  }

  /** Carries out a call, or leaves it out where it makes no sense. */
  apply(call: Call): void {
    this.#nrCalls++;
    const process = this.processes[call.process % this.processes.length] as WindowProcess;
    const { page, n } = call;
    switch (call.call) {
      case 'map':
        process.map(page, n, {
          file: call.file ? this.#file : null,
          shared: call.file && call.shared,
          pgoff: call.pgoff,
        });
        return;
      case 'unmap':
        process.unmap(page, n);
        return;
      case 'protect':
        process.protect(page, n, call.prot);
        return;
      case 'touch':
        process.touch(page, n, { step: call.step, store: call.store ? this.#nrCalls * 10_000 : null });
        return;
      case 'advise':
        process.advise(page, n, call.advice);
        return;
      case 'move':
        this.#move(process, call);
        return;
      case 'fork':
        if (this.processes.length < this.#maxProcesses) this.processes.push(process.fork());
        return;
      case 'exit':
        if (this.processes.length > 1) this.#exit(process);
        return;
      case 'punch':
      case 'truncate':
        this.#shorten(call);
    }
  }

  #move(process: WindowProcess, { page, n, to, dontUnmap }: Extract<Call, { call: 'move' }>): void {
    const isApart = to + n <= page || to >= page + n;
    if (!isApart || to + n > NR_PAGES || !process.isMapped(page, n)) return;
    const vma = process.memory.vma(page);
    const isOne = vma.end >= process.memory.addr(page + n);
    process.move(page, to, n, dontUnmap && isOne);
  }
  #exit(process: WindowProcess): void {
    process.memory.exit();
    this.processes.splice(this.processes.indexOf(process), 1);
  }
  #shorten(call: Range & { readonly call: 'punch' | 'truncate' }): void {
    const file = this.#file;
    const [first, end] = call.call === 'punch' ? [call.page, call.page + call.n] : [call.page, NR_PAGES];
    if (call.call === 'punch') this.#machine.punch(file.object, first, call.n);
    else this.#machine.truncate(file.object, first);
    for (const pgoff of [...file.contents.keys()])
      if (pgoff >= first && pgoff < end) file.contents.delete(pgoff);
    if (call.call === 'truncate') file.pages = first;
    for (const process of this.processes) process.loseFile(file, { first, end }, call.call === 'truncate');
  }

  /** Holds pages of every process, by default all, against what they should be. */
  check(from = 0, to = NR_PAGES): void {
    for (const [i, process] of this.processes.entries()) {
      const wrong = process.difference(from, to);
      if (wrong !== null) throw new Error(`process ${i}: ${wrong}`);
    }
  }
  /** Ends every process. Nothing must be left but the file. */
  end(): void {
    for (const process of [...this.processes]) this.#exit(process);
    const { kernel } = this.#machine;
    this.#machine.truncate(this.#file.object, 0);
    const left = [kernel.frames.nrUsed, kernel.swap.nrUsed, kernel.tables.arena.nrUsed];
    if (left.some((n) => n !== 0)) throw new Error(`frames, slots, tables left: ${left.join(', ')}`);
  }
}

function runCalls(how: { seed: number; numRuns: number }, setting: Setting): void {
  fc.assert(
    fc.property(fc.array(group, { minLength: 6, maxLength: 24, size: 'max' }), (groups) => {
      const world = new World(setting);
      for (const calls of groups) {
        for (const call of calls) {
          world.apply(call);
          world.check(call.page, call.page + call.n);
        }
        world.check();
      }
      world.end();
    }),
    how,
  );
}

describe('random calls on whole tables agree with an array of pages', () => {
  it('with huge pages where asked for', () => {
    runCalls({ seed: 1, numRuns: 10 }, { swapPages: 0, thp: 'madvise', maxProcesses: 3 });
  });
  it('with huge pages always', () => {
    runCalls({ seed: 2, numRuns: 7 }, { swapPages: 0, thp: 'always', maxProcesses: 3 });
  });
  it('with much swap', () => {
    runCalls({ seed: 3, numRuns: 6 }, { swapPages: 1 << 20, thp: 'madvise', maxProcesses: 1 });
  });
  it('with little swap', () => {
    runCalls({ seed: 4, numRuns: 6 }, { swapPages: 700, thp: 'always', maxProcesses: 1 });
  });
});
