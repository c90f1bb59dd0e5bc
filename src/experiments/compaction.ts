/**
 * One concurrent compaction of a heap, the micro benchmark of seed 000: half of the heap is dense and has its references updated in place, the other
 * half is fragmented, and every two pages of it are gathered into one.
 *
 *   protnone   shared memory mapped twice: the heap becomes PROT_NONE, the handler of SIGSEGV works through the alias and allows the page
 *   copy       the heap is moved aside, missing pages are made by UFFDIO_COPY from a buffer
 *   continue   shared memory mapped twice: the heap is unmapped, pages are prepared through the alias and mapped by UFFDIO_CONTINUE
 *   move       the heap is moved aside, pages are prepared where they are and moved back by UFFDIO_MOVE; those that are done with are used again
 *
 * The application faults on each page (the thread that faults produces it, by signal), or collector threads produce pages in order, some at a time.
 * Every page of the result is looked at. What the work on the pages itself costs is in alone.ts.
 */
import {
  MADV_DONTNEED,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  PROT_NONE,
} from '../abi/mman.ts';
import {
  UFFD_FEATURE_MINOR_SHMEM,
  UFFD_FEATURE_MISSING_SHMEM,
  UFFD_FEATURE_MOVE,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
} from '../abi/userfaultfd.ts';
import { must } from '../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { type Calibration, type Running, type Thread, Userfaultfd } from '../machine/index.ts';
import { FACT } from '../mm/index.ts';
import { memoryOf, ownWorkOf, runAlone, timed } from './alone.ts';

/** The strategies. */
export type Mode = 'protnone' | 'copy' | 'continue' | 'move';
/** All of them, in the order of the rows. */
export const MODES: readonly Mode[] = ['protnone', 'copy', 'continue', 'move'];
/** Who asks for pages: the application, in which order and how; or collector threads. */
export type Access = 'random' | 'random-read' | 'sequential' | 'collector';

/** What is run. */
export interface CompactionPlan {
  readonly calibration: Calibration;
  readonly mode: Mode;
  readonly access: Access;
  /** Pages of the heap, a multiple of 512. */
  readonly pages: number;
  /** Pages that a collector thread produces at a time; 1 for the application. */
  readonly batch: number;
  /** Collector threads, each on a CPU. */
  readonly threads: number;
}

/** What it came to. */
export interface Compaction {
  readonly armNs: number;
  readonly runNs: number;
  readonly finishNs: number;
  readonly minorFaults: number;
  /** Pages and page tables that the kernel allocated, and pages that it copied. */
  readonly pagesAllocated: number;
  readonly tablesAllocated: number;
  readonly pagesCopied: number;
  /** Pages given back by madvise, before and after. */
  readonly pagesGivenBack: number;
  /** The most vmas at once, of those looked at, more than before. */
  readonly moreVmas: number;
}

/** What a program can tell of one that it runs itself. */
export type MeasuredCompaction = Pick<
  Compaction,
  'armNs' | 'runNs' | 'finishNs' | 'minorFaults' | 'pagesGivenBack' | 'moreVmas'
>;

const HEAP = 0x7e40_0000_0000;
const BACK = 0x7e80_0000_0000;
const OWN = 0x7ec0_0000_0000;
/** Pages that a collector may produce at a time, and that it has to begin with. */
const MOST = 64;

/** A multiple of 2 MiB apart. */
const BUFFER_STEP = 2 ** 21;

/** What one producing thread has of its own. */
interface Producer {
  /** COPY: where pages are gathered. */
  readonly buffer: Addr;
  /** MOVE: pages that may be filled. */
  readonly pool: Addr[];
}

/** Everything that a run shares. */
interface Heap {
  readonly plan: CompactionPlan;
  readonly dense: number;
  readonly targets: number;
  /** The first fragmented page. */
  readonly fragments: Addr;
  readonly updateNs: number;
  readonly gatherNs: number;
  uffd: Userfaultfd | null;
}

const isFile = ({ mode }: CompactionPlan): boolean => mode === 'protnone' || mode === 'continue';

/** Runs it. Throws ModelBug when a page of the result is wrong. */
export function compact(plan: CompactionPlan): Compaction {
  return runAlone({ calibration: plan.calibration, cpus: plan.threads }, (t) => program(t, plan));
}

function* program(t: Thread, plan: CompactionPlan): Running<Compaction> {
  const { pages, threads } = plan;
  const dense = pages / 2;
  const targets = dense + pages / 4;
  const fragments = BACK + (isFile(plan) ? targets : dense) * PAGE_SIZE;
  const heap: Heap = { plan, dense, targets, fragments, ...ownWorkOf(plan.calibration), uffd: null };
  yield* isFile(plan) ? fillFile(t, heap) : fillAnonymous(t, heap);
  const producers: Producer[] = [];
  for (let i = 0; i < threads; i++) producers.push(yield* producerOf(t, plan, i));
  const mm = memoryOf(t);
  const before = countersOf(t);
  const armNs = yield* timed(t, arm(t, heap));
  const unmapped = since(before, countersOf(t), FACT.filePtesZapped);
  let mostVmas = 0;
  const look = (done: number): void => {
    if (done % (targets / 32) === 0) mostVmas = Math.max(mostVmas, mm.mapCount);
  };
  const run = plan.access === 'collector' ? collect(t, heap, producers) : mutate(t, heap, producers, look);
  const runNs = yield* timed(t, run);
  const finishNs = yield* timed(t, finish(t, heap));
  const after = countersOf(t);
  yield* check(t, heap);
  const given = since(before, after, FACT.pagesPunched) + since(before, after, FACT.anonPtesZapped);
  return {
    armNs,
    runNs,
    finishNs,
    ...differences(before, after),
    pagesGivenBack: given + unmapped,
    moreVmas: Math.max(0, mostVmas - before.vmas),
  };
}

// ---- setting up ------------------------------------------------------------------------------------------------------------------

/** Marks each page with its number. */
function* mark(t: Thread, addr: Addr, pages: number, first: number): Running<void> {
  for (let i = 0; i < pages; i++)
    if (!t.store(addr + i * PAGE_SIZE, first + i)) yield* t.write(addr + i * PAGE_SIZE, first + i);
}

function* fillFile(t: Thread, { plan, dense, targets, fragments }: Heap): Running<void> {
  const bytes = (targets + plan.pages / 2) * PAGE_SIZE;
  const fd = yield* t.memfd('heap', bytes);
  yield* t.mmap(targets * PAGE_SIZE, { at: HEAP, flags: MAP_SHARED, fd });
  yield* t.mmap(bytes, { at: BACK, flags: MAP_SHARED, fd });
  yield* mark(t, HEAP, dense, 0);
  yield* t.touch(BACK, dense * PAGE_SIZE, 'read');
  yield* mark(t, fragments, plan.pages / 2, dense);
}

function* fillAnonymous(t: Thread, { plan }: Heap): Running<void> {
  const bytes = plan.pages * PAGE_SIZE;
  yield* t.mmap(bytes, { at: HEAP });
  // What is moved aside takes its place.
  yield* t.mmap(bytes, { at: BACK });
  yield* mark(t, HEAP, plan.pages, 0);
}

function* producerOf(t: Thread, plan: CompactionPlan, nr: number): Running<Producer> {
  const buffer = OWN + 2 * nr * BUFFER_STEP;
  const spare = buffer + BUFFER_STEP;
  const pool: Addr[] = [];
  if (isFile(plan)) return { buffer, pool };
  for (const at of [buffer, spare]) {
    yield* t.mmap(MOST * PAGE_SIZE, { at });
    yield* t.madvise(at, MOST * PAGE_SIZE, MADV_POPULATE_WRITE);
  }
  for (let i = 0; i < MOST; i++) pool.push(spare + i * PAGE_SIZE);
  return { buffer, pool };
}

// ---- the three phases --------------------------------------------------------------------------------------------------------------

/** What happens while the application stands still: accesses to the heap are intercepted from now on. */
function* arm(t: Thread, heap: Heap): Running<void> {
  const { plan, targets } = heap;
  if (plan.mode === 'protnone') {
    yield* t.mprotect(HEAP, targets * PAGE_SIZE, PROT_NONE);
    return;
  }
  const uffd = yield* Userfaultfd.open(
    t,
    UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MOVE,
  );
  heap.uffd = uffd;
  if (isFile(plan)) {
    yield* t.madvise(HEAP, targets * PAGE_SIZE, MADV_DONTNEED);
    const mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_MISSING;
    yield* uffd.register(t, HEAP, targets * PAGE_SIZE, mode);
    return;
  }
  const bytes = plan.pages * PAGE_SIZE;
  yield* t.mremap(HEAP, bytes, bytes, BACK, MREMAP_DONTUNMAP);
  yield* uffd.register(t, HEAP, bytes, UFFDIO_REGISTER_MODE_MISSING);
}

/** The application touches every page; the handler of the signal that it gets produces it. */
function* mutate(
  t: Thread,
  heap: Heap,
  producers: readonly Producer[],
  look: (done: number) => void,
): Running<void> {
  const { plan, targets } = heap;
  const producer = must(producers[0], '[experiment] somebody produces');
  t.onSignal(plan.mode === 'protnone' ? 'SIGSEGV' : 'SIGBUS', function* (self, { addr }) {
    yield* produce(self, heap, producer, { target: Math.floor((addr - HEAP) / PAGE_SIZE), count: 1 });
  });
  const order = plan.access === 'sequential' ? null : shuffled(targets);
  const access = plan.access === 'random-read' ? 'read' : 'write';
  for (let i = 0; i < targets; i++) {
    yield* t.touch(HEAP + (order?.[i] ?? i) * PAGE_SIZE, PAGE_SIZE, access);
    look(i);
  }
}

/** Collector threads produce all pages, each a part of the dense and of the gathered ones. */
function* collect(t: Thread, heap: Heap, producers: readonly Producer[]): Running<void> {
  const [first, ...others] = producers;
  const threads: Thread[] = [];
  for (const [i, producer] of others.entries())
    threads.push(yield* t.spawn(`collector ${i + 2}`, (c) => part(c, heap, producer, i + 1), { cpu: i + 1 }));
  yield* part(t, heap, must(first, '[experiment] somebody produces'), 0);
  for (const thread of threads) yield* t.join(thread);
}

function* part(t: Thread, heap: Heap, producer: Producer, nr: number): Running<void> {
  const { plan, dense, targets } = heap;
  const share = (from: number, to: number, i: number): number =>
    i === plan.threads ? to : from + Math.floor(((to - from) / plan.batch) * (i / plan.threads)) * plan.batch;
  for (const [from, to] of [
    [0, dense],
    [dense, targets],
  ] as const) {
    const end = share(from, to, nr + 1);
    for (let target = share(from, to, nr); target < end; target += plan.batch)
      yield* produce(t, heap, producer, { target, count: Math.min(plan.batch, end - target) });
  }
}

/** What is left of the old space is given back. */
function* finish(t: Thread, { plan, fragments, targets }: Heap): Running<void> {
  if (isFile(plan)) yield* t.madvise(fragments, (plan.pages / 2) * PAGE_SIZE, MADV_REMOVE);
  else yield* t.madvise(BACK, plan.pages * PAGE_SIZE, MADV_DONTNEED);
  if (plan.mode === 'protnone') yield* t.mprotect(HEAP, targets * PAGE_SIZE);
}

// ---- producing pages ---------------------------------------------------------------------------------------------------------------

/** Which pages, all dense or all gathered. */
interface Wanted {
  readonly target: number;
  readonly count: number;
}

function* produce(t: Thread, heap: Heap, producer: Producer, wanted: Wanted): Running<void> {
  const { plan, dense } = heap;
  const { target, count } = wanted;
  const start = HEAP + target * PAGE_SIZE;
  const len = count * PAGE_SIZE;
  const isDense = target < dense;
  const inPlace = BACK + target * PAGE_SIZE;
  let source = inPlace;
  if (!isDense && plan.mode === 'copy') source = producer.buffer;
  // The newest ones, which lie side by side.
  if (!isDense && plan.mode === 'move')
    source = must(producer.pool.splice(-count)[0], '[experiment] gathering a page frees two');
  for (let i = 0; i < count; i++)
    yield* isDense
      ? update(t, heap, source + i * PAGE_SIZE)
      : gather(t, heap, source + i * PAGE_SIZE, target + i);
  const { uffd } = heap;
  if (uffd === null) yield* t.mprotect(start, len);
  else if (plan.mode === 'continue') yield* uffd.fill(t, 'continue', { start, len });
  else if (plan.mode === 'copy') yield* uffd.fill(t, 'copy', { start, len, source });
  else {
    yield* uffd.move(t, { start, source, len });
    if (!isDense) recycle(heap, producer, wanted);
  }
}

/** The pages whose objects were gathered can be filled from now on. */
function recycle({ fragments, dense }: Heap, { pool }: Producer, { target, count }: Wanted): void {
  for (let i = 0; i < 2 * count; i++) pool.push(fragments + (2 * (target - dense) + i) * PAGE_SIZE);
}

/** Updates the references of a page. */
function* update(t: Thread, { updateNs }: Heap, page: Addr): Running<void> {
  const word = t.load(page) ?? (yield* t.read(page));
  if (!t.store(page, word + 1)) yield* t.write(page, word + 1);
  t.uses(updateNs);
}

/** Gathers the live objects of two pages. */
function* gather(t: Thread, { fragments, dense, gatherNs }: Heap, page: Addr, target: number): Running<void> {
  const from = fragments + 2 * (target - dense) * PAGE_SIZE;
  const word = t.load(from) ?? (yield* t.read(from));
  if (t.load(from + PAGE_SIZE) === null) yield* t.read(from + PAGE_SIZE);
  if (!t.store(page, word)) yield* t.write(page, word);
  t.uses(gatherNs);
}

function* check(t: Thread, { dense, targets }: Heap): Running<void> {
  for (let i = 0; i < targets; i++)
    yield* t.expect(HEAP + i * PAGE_SIZE, i < dense ? i + 1 : dense + 2 * (i - dense));
}

// ---- counting ----------------------------------------------------------------------------------------------------------------------

type Fact = (typeof FACT)['pagesCopied'];

interface Counters {
  readonly facts: Float64Array;
  readonly minorFaults: number;
  readonly vmas: number;
}
function countersOf(t: Thread): Counters {
  const mm = memoryOf(t);
  return { facts: t.simulation.kernel.work.facts.slice(), minorFaults: mm.minFlt, vmas: mm.mapCount };
}

const since = (before: Counters, after: Counters, fact: Fact): number =>
  (after.facts[fact] as number) - (before.facts[fact] as number);

function differences(
  before: Counters,
  after: Counters,
): Pick<Compaction, 'minorFaults' | 'pagesAllocated' | 'tablesAllocated' | 'pagesCopied'> {
  return {
    minorFaults: after.minorFaults - before.minorFaults,
    pagesAllocated: since(before, after, FACT.pagesAllocated),
    tablesAllocated:
      since(before, after, FACT.pteTablesAllocated) + since(before, after, FACT.upperTablesAllocated),
    pagesCopied: since(before, after, FACT.pagesCopied),
  };
}

/** The order in which the measured program touches pages: a shuffle by the generator of ANSI C, from 7. */
function shuffled(length: number): number[] {
  const order = Array.from({ length }, (_, i) => i);
  let seed = 7;
  for (let i = length - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const j = (seed >>> 4) % (i + 1);
    const [a, b] = [order[i] as number, order[j] as number];
    order[i] = b;
    order[j] = a;
  }
  return order;
}
