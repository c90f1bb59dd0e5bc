/**
 * ebizzy: a web server's allocator at work. Threads copy a chunk into a fresh buffer, look a record up in it, and give the buffer back.
 *
 * The benchmark of seed 002, by its published algorithm: `n` chunks of `s` bytes, record j of each holds j. Each of `t` threads, for `S`: takes a chunk
 * at random, gets a buffer of that size, copies, finds a random key by bisection (not found ends the program), frees the buffer, counts one.
 *
 * Every key is looked at, and a buffer's every word can be (contents=words). Times of copying depend on over how much memory it goes: `copiesAmong`.
 *
 * Left out   -m, -M, -p, -P, -R, -T, -z, -l of the original; counts are added up exactly, not as the original does without atomics
 * Source     spec/volatile-ranges.md 6; ebizzy 0.3
 */
import { ModelBug } from '../../base/assert.ts';
import type { Prng } from '../../base/prng.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { Barrier, Mutex, type Running, type Thread, type ThreadMain } from '../../machine/index.ts';
import { FACT } from '../../mm/index.ts';
import { GlibcAllocator } from '../allocators/glibc.ts';
import { JemallocAllocator } from '../allocators/jemalloc.ts';
import { addSwap, limitMemory } from '../spare/ways.ts';
import type { Figures, ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Param, type Params } from '../workload.ts';
import { AllocatedBuffers, type Buffers, Pool, PURGES, type Purge } from './buffers.ts';
import { EbizzyRng, type Rng } from './generator.ts';

const WORD = 8;
const WORDS_A_PAGE = PAGE_SIZE / WORD;
const NS_PER_MS = 1e6;
/** From when all are there until all begin. */
const START_NS = 3_000_000;

const PARAMS: Readonly<Record<string, Param>> = {
  ms: {
    default: 20,
    unit: 'ms',
    text: 'how long the threads go on (-S of ebizzy is seconds)',
    min: 1,
    max: 100_000,
  },
  threads: { default: 0, unit: 'threads', text: 'threads (-t); 0: twice as many as CPUs', max: 1024 },
  chunks: { default: 10, unit: 'chunks', text: 'chunks (-n)', min: 1, max: 65_536 },
  size: { default: 512 * 1024, unit: 'bytes', text: 'size of a chunk (-s)', min: PAGE_SIZE, max: 2 ** 30 },
  rng: {
    default: 'published',
    unit: '',
    text: 'the generator of ebizzy, which always returns 0, or a working one',
    choices: ['published', 'fixed'],
  },
  allocator: {
    default: 'pool',
    unit: '',
    text: 'where buffers come from: one for each thread, an arena of each thread, one heap of all',
    choices: ['pool', 'jemalloc', 'glibc'],
  },
  purge: {
    default: 'dontneed',
    unit: '',
    text: 'what is done with a free buffer of a pool, or by jemalloc (dontneed, free, vrange); auto: vrange where the kernel has it; syscall, read-lock, vma-flag: two such calls in place of vrange',
    choices: PURGES,
  },
  behavior: { default: 'partial', unit: '', text: 'of volatile buffers', choices: ['full', 'partial'] },
  dirty: { default: 0, unit: 'ms', text: 'dirty_decay_ms of jemalloc; 0: at each free', max: 1_000_000 },
  muzzy: { default: 0, unit: 'ms', text: 'muzzy_decay_ms of jemalloc', max: 1_000_000 },
  retain: { default: 'yes', unit: '', text: 'whether jemalloc keeps addresses', choices: ['yes', 'no'] },
  mmapThreshold: { default: 0, unit: 'bytes', text: 'M_MMAP_THRESHOLD of glibc; 0: it adapts', max: 2 ** 40 },
  trimThreshold: { default: 0, unit: 'bytes', text: 'M_TRIM_THRESHOLD of glibc; 0: it adapts', max: 2 ** 40 },
  pressure: {
    default: 0,
    unit: 'bytes',
    text: 'what another program writes over and over meanwhile; with a limit memory gets short',
    max: 2 ** 40,
  },
  limit: { default: 0, unit: 'bytes', text: 'memory of both programs; 0: no limit', max: 2 ** 40 },
  swap: { default: 0, unit: 'bytes', text: 'size of a swap device', max: 2 ** 40 },
  contents: {
    default: 'words',
    unit: '',
    text: 'keep every word of memory, or the first of each page (faster; keys are then looked up by page)',
    choices: ['words', 'pages'],
  },
};

/** What all threads share. */
interface Shared {
  readonly params: Params;
  readonly chunks: readonly Addr[];
  readonly size: number;
  /** Every word can be looked at; otherwise only the first of each page. */
  readonly byWords: boolean;
  readonly windowNs: number;
  readonly start: Barrier;
  /** When all begin, once the first knows. */
  readonly begin: { ns: number | null };
  readonly heap: { readonly allocator: GlibcAllocator; readonly lock: Mutex } | null;
}

/** What a thread came to. */
class Tally {
  /** All, and those that ended before time was over. */
  records = 0;
  inTime = 0;
  /** Of a CPU, those that interrupts took and those it waited for locks on it included. */
  cpuNs = 0;
  nrPurged = 0;
  faults = 0;
}

function buffersOf({ params, heap }: Shared): Buffers & { readonly nrPurged?: number } {
  const purge = params['purge'] as Purge;
  if (heap !== null) return new AllocatedBuffers(heap.allocator, heap.lock);
  if (params['allocator'] === 'pool')
    return new Pool({ purge, behavior: params['behavior'] === 'full' ? 'full' : 'partial' });
  const how = purge === 'free' || purge === 'vrange' ? purge : 'dontneed';
  const allocator = new JemallocAllocator({
    dirtyMs: numberParam(params, 'dirty'),
    muzzyMs: numberParam(params, 'muzzy'),
    retain: params['retain'] === 'yes',
    purge: how,
  });
  return new AllocatedBuffers(allocator, null);
}

/** Writes a chunk: record j holds j. */
function* fillChunk(t: Thread, chunk: Addr, { size, byWords }: Shared): Running<void> {
  if (!byWords) {
    for (let at = 0; at < size; at += PAGE_SIZE)
      if (!t.store(chunk + at, at / WORD)) yield* t.write(chunk + at, at / WORD);
    return;
  }
  const words = new Float64Array(1);
  const bytes = new Uint8Array(PAGE_SIZE);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < size; at += PAGE_SIZE) {
    for (let i = 0; i < WORDS_A_PAGE; i++) {
      words[0] = at / WORD + i;
      view.setUint32(i * WORD, (words[0] as number) % 2 ** 32, true);
      view.setUint32(i * WORD + 4, Math.floor((words[0] as number) / 2 ** 32), true);
    }
    yield* t.writeBytes(chunk + at, bytes);
  }
}

/** Returns record `at` of a buffer. Where only first words are kept, that of the page tells it. */
function* recordAt(t: Thread, buffer: Addr, at: number, byWords: boolean): Running<number> {
  const inPage = byWords ? 0 : at % WORDS_A_PAGE;
  const addr = buffer + (at - inPage) * WORD;
  return (t.load(addr) ?? (yield* t.read(addr))) + inPage;
}

/** Finds `key` in a buffer of `n` sorted records by bisection. Returns where, or -1. */
function* search(t: Thread, of: { buffer: Addr; n: number; byWords: boolean }, key: number): Running<number> {
  let [low, high] = [0, of.n];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const found = yield* recordAt(t, of.buffer, middle, of.byWords);
    if (found === key) return middle;
    if (found < key) low = middle + 1;
    else high = middle;
  }
  return -1;
}

/** One record. */
function* transaction(t: Thread, shared: Shared, buffers: Buffers, rng: EbizzyRng): Running<void> {
  const { chunks, size, byWords } = shared;
  const chunk = chunks[rng.below(chunks.length)] as Addr;
  const buffer = yield* buffers.take(t, size);
  // Allocators put blocks where they like within a page; only whole pages are copied by their first words.
  const at = byWords ? buffer : Math.ceil(buffer / PAGE_SIZE) * PAGE_SIZE;
  const len = at === buffer ? size : size - PAGE_SIZE;
  yield* t.copyBytes(at, chunk, len);
  const n = Math.floor(len / WORD);
  const key = rng.below(n);
  const found = yield* search(t, { buffer: at, n, byWords }, key);
  if (found !== key) throw new ModelBug(`[memory] ebizzy: record ${key} is found at ${found} (${t.name})`);
  yield* buffers.giveBack(t, buffer, size);
}

const cpuNsOf = (t: Thread): number => {
  const { runNs, spinNs, stolenNs } = t.task.times;
  return runNs + spinNs + stolenNs;
};
const faultsOf = (t: Thread): number => t.faults.reduce((sum, n) => sum + n, 0);

const worker = (shared: Shared, tally: Tally, seed: number): ThreadMain =>
  function* (t) {
    const rng = new EbizzyRng(shared.params['rng'] as Rng, seed);
    const buffers = buffersOf(shared);
    t.copiesAmong(setOf(shared, t.simulation.scheduler.cpus.length));
    // Its buffer is there when time begins.
    yield* transaction(t, shared, buffers, rng);
    const startNs = yield* meet(t, shared);
    const [cpuNs, faults] = [cpuNsOf(t), faultsOf(t)];
    const endNs = startNs + shared.windowNs;
    while (t.nowNs < endNs) {
      yield* transaction(t, shared, buffers, rng);
      tally.records++;
      if (t.nowNs <= endNs) tally.inTime++;
    }
    yield* t.owe(0);
    tally.cpuNs = cpuNsOf(t) - cpuNs;
    tally.faults = faultsOf(t) - faults;
    tally.nrPurged = buffers.nrPurged ?? 0;
  };

/** All threads begin at one time, when all are there; waking each by itself would take longer than some runs do. Returns that time. */
function* meet(t: Thread, shared: Shared): Running<number> {
  yield* shared.start.wait(t);
  shared.begin.ns ??= t.nowNs + START_NS;
  yield* t.sleep(Math.max(0, shared.begin.ns - t.nowNs));
  yield* t.owe(0);
  return shared.begin.ns;
}

/** Bytes that the records of the threads on all CPUs go over: the chunks that are ever taken, and a buffer for each CPU. */
const setOf = ({ params, chunks, size }: Shared, cpus: number): number =>
  ((params['rng'] === 'published' ? 1 : chunks.length) + cpus) * size;

/** Another program that writes memory over and over, under the limit of both. Returns what ends it. */
function* press(t: Thread, params: Params): Running<() => void> {
  const bytes = numberParam(params, 'pressure');
  yield* addSwap(t, numberParam(params, 'swap'));
  yield* limitMemory(t, numberParam(params, 'limit'));
  let [goesOn, isShort] = [true, bytes === 0];
  if (bytes > 0)
    yield* t.fork('pressure', function* (p) {
      const area = yield* p.mmap(bytes);
      while (goesOn) {
        for (let at = area; at < area + bytes && goesOn; at += PAGE_SIZE)
          if (!p.store(at, 1)) yield* p.write(at, 1);
        isShort = true;
      }
    });
  // All of it was written once: from now on it is short.
  while (!isShort) yield* t.sleep(NS_PER_MS);
  return () => {
    goesOn = false;
  };
}

function* run(t: Thread, params: Params, prng: Prng): Running<Figures> {
  const { simulation } = t;
  const nrThreads = numberParam(params, 'threads') || 2 * simulation.scheduler.cpus.length;
  const size = Math.floor(numberParam(params, 'size') / PAGE_SIZE) * PAGE_SIZE;
  const chunks: Addr[] = [];
  const optional = (name: string): number | undefined => numberParam(params, name) || undefined;
  const glibc = { mmapThreshold: optional('mmapThreshold'), trimThreshold: optional('trimThreshold') };
  const shared: Shared = {
    params,
    chunks,
    size,
    byWords: params['contents'] === 'words',
    windowNs: numberParam(params, 'ms') * NS_PER_MS,
    start: new Barrier(simulation, nrThreads),
    begin: { ns: null },
    heap:
      params['allocator'] === 'glibc'
        ? { allocator: new GlibcAllocator(defined(glibc)), lock: new Mutex(simulation) }
        : null,
  };
  for (let i = 0; i < numberParam(params, 'chunks'); i++) {
    const chunk = yield* t.mmap(size);
    yield* fillChunk(t, chunk, shared);
    chunks.push(chunk);
  }
  const isOver = yield* press(t, params);
  const tallies: Tally[] = [];
  const workers: Thread[] = [];
  for (let i = 0; i < nrThreads; i++) {
    const tally = new Tally();
    tallies.push(tally);
    workers.push(yield* t.spawn(`ebizzy ${i}`, worker(shared, tally, prng.below(2 ** 31) + 1)));
  }
  for (const each of workers) yield* t.join(each);
  isOver();
  return figuresOf(t, tallies, shared.windowNs);
}

/** Returns only what is given of some options. */
function defined(of: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(Object.entries(of).flatMap(([name, n]) => (n === undefined ? [] : [[name, n]])));
}

function figuresOf(t: Thread, tallies: readonly Tally[], windowNs: number): Figures {
  const sum = (each: (tally: Tally) => number): number =>
    tallies.reduce((all, tally) => all + each(tally), 0);
  const records = sum((tally) => tally.records);
  const pages = t.mm?.pages;
  return {
    records,
    'records a second': Math.round((sum(({ inTime }) => inTime) * 1e9) / windowNs),
    'records a CPU second': Math.round((records * 1e9) / sum(({ cpuNs }) => cpuNs)),
    'faults in 100 records': Math.round((100 * sum(({ faults }) => faults)) / records),
    'records whose buffer was purged': sum(({ nrPurged }) => nrPurged),
    'pages purged': t.simulation.kernel.work.facts[FACT.pagesPurged] as number,
    'pages swapped out': t.simulation.kernel.work.facts[FACT.pagesSwappedOut] as number,
    'resident at the end, KiB': ((t.mm?.rssAnon ?? 0) * PAGE_SIZE) / 1024,
    'VmPTE at the end, KiB': (pages?.bytes ?? 0) / 1024,
  };
}

/** The workload `ebizzy`. */
export const EBIZZY: ThreadedWorkload = {
  name: 'ebizzy',
  title: 'threads copy, look up and free: the benchmark of seed 002',
  text: 'Each thread copies a chunk into a buffer of its own, finds a record in it and gives the buffer back. What giving back costs, and what the next use costs then, is all that differs. Compare with purge=munmap,dontneed,free,vrange,none, and with allocator=jemalloc,glibc.',
  params: PARAMS,
  machine: (params) => ({ contents: params['contents'] === 'pages' ? 'fingerprint' : 'bytes' }),
  main: run,
};
