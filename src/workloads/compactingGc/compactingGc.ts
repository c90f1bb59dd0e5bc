/**
 * compacting-gc: a concurrent compacting collector in simulated memory, the program that seed 000 was written for.
 *
 * The heap is real: typed objects with headers and references lie in modelled bytes, mutators read, write and allocate through the page tables and
 * check what they find, and each cycle ends with a check of all objects. The pause swaps mappings; then threads of the collector make the pages
 * of the heap anew, and so do mutators that fault on one. How pages are kept from mutators and handed over is the strategy.
 *
 * Linux      ART's mark-compact collector does this; the strategies are those of the thread
 */
import { MADV_PAGEOUT } from '../../abi/mman.ts';
import { UsageError } from '../../base/assert.ts';
import { Prng } from '../../base/prng.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { type Running, type Thread, WaitQueue } from '../../machine/index.ts';
import { DEFAULT_CONFIG } from '../../mm/index.ts';
import type { Figures, ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Params, SEED_PARAM, seededBy } from '../workload.ts';
import { figure } from './access.ts';
import { Mremap } from './anonymous.ts';
import { type Built, build, type Shape } from './build.ts';
import { Collector } from './collector.ts';
import { countsOf, figuresOf } from './figures.ts';
import { Graph } from './graph.ts';
import { Heap, REGION_PAGES } from './heap.ts';
import { Marker } from './mark.ts';
import { Mutator } from './mutator.ts';
import type { Injected } from './produce.ts';
import { makeStrategy, registrationOf, STRATEGY_NAMES } from './strategies.ts';
import type { Strategy } from './strategy.ts';
import { Tally } from './tally.ts';
import { World } from './world.ts';

const REGION = REGION_PAGES * PAGE_SIZE;
/** Roots that belong to nobody, and those of each mutator. */
const GLOBAL_ROOTS = 64;
const OWN_ROOTS = 32;

/** What the parameters say about the heap. */
function shapeOf(params: Params): Shape & { readonly regions: number; readonly freeRegions: number } {
  const regions = Math.floor(numberParam(params, 'heap') / REGION);
  const share = (name: string): number => Math.round((regions * numberParam(params, name)) / 100);
  const freeRegions = Math.max(2, share('free'));
  const coldRegions = share('cold');
  const fragmentedRegions = share('fragmented');
  const denseRegions = regions - freeRegions - coldRegions - fragmentedRegions;
  if (denseRegions < 1)
    throw new UsageError(
      'nothing of the heap is left for dense regions',
      'fragmented + cold + free below 100',
    );
  const live = numberParam(params, 'live') / 100;
  return { regions, freeRegions, denseRegions, coldRegions, fragmentedRegions, live };
}

/** One run. */
class Run {
  readonly #t: Thread;
  readonly #params: Params;
  readonly #prng: Prng;
  readonly #shape: ReturnType<typeof shapeOf>;
  readonly #heap: Heap;
  readonly #graph = new Graph();
  readonly #tally = new Tally();
  readonly #world: World;
  readonly #marker: Marker;
  readonly #strategy: Strategy;
  readonly #collector: Collector;
  readonly #gcWanted: WaitQueue;
  #isOver = false;

  constructor(t: Thread, params: Params, prng: Prng) {
    this.#t = t;
    this.#params = params;
    this.#prng = prng;
    this.#shape = shapeOf(params);
    const number = (name: string): number => numberParam(params, name);
    const heap = new Heap(this.#shape.regions * REGION_PAGES, GLOBAL_ROOTS, OWN_ROOTS * number('mutators'));
    const tally = this.#tally;
    const objectNs = number('work');
    this.#heap = heap;
    this.#world = new World(t);
    this.#marker = new Marker(heap, tally, objectNs);
    this.#gcWanted = new WaitQueue(t.simulation.scheduler);
    this.#strategy = makeStrategy(String(params['strategy']), {
      heap,
      tally,
      batch: number('pages'),
      sigbus: params['sigbus'] === 'on',
      registersEachTime: params['register'] === 'each',
    });
    this.#collector = new Collector(t, {
      heap,
      graph: this.#graph,
      strategy: this.#strategy,
      marker: this.#marker,
      tally,
      world: this.#world,
      threads: number('gc'),
      batch: number('pages'),
      objectNs,
      density: number('density') / 100,
      injected: params['inject'] as Injected,
    });
  }

  *main(): Running<Figures> {
    const t = this.#t;
    const strategy = this.#strategy;
    if (strategy instanceof Mremap) strategy.procMapsNs = figure(t, 'proc_maps_per_vma_10000');
    yield* strategy.setUp(t);
    const built = yield* build(t, { heap: this.#heap, graph: this.#graph, prng: this.#prng }, this.#shape);
    yield* this.#pageOutCold();
    const before = countsOf(t);
    this.#tally.look(t);
    const stopHandler = yield* this.#handleFaults();
    const mutators: Thread[] = [];
    for (let i = 0; i < numberParam(this.#params, 'mutators'); i++)
      mutators.push(yield* t.spawn(`mutator ${i + 1}`, this.#mutator(built, i)));
    for (let cycle = 0; cycle < numberParam(this.#params, 'cycles'); cycle++) {
      if (cycle > 0 && mutators.length > 0) yield* this.#awaitGarbage();
      yield* this.#collector.cycle(t);
    }
    this.#isOver = true;
    this.#collector.memoryFreed.wakeAll();
    for (const mutator of mutators) yield* t.join(mutator);
    yield* stopHandler(t);
    this.#tally.look(t);
    return figuresOf(t, this.#tally, before);
  }

  *#pageOutCold(): Running<void> {
    const { denseRegions, coldRegions } = this.#shape;
    if (coldRegions === 0) return;
    const addr = this.#heap.addressOf(denseRegions * REGION_PAGES);
    yield* this.#t.madvise(addr, coldRegions * REGION, MADV_PAGEOUT);
  }

  /** Waits until there is little room left. */
  *#awaitGarbage(): Running<void> {
    const t = this.#t;
    for (;;) {
      yield* t.owe(0);
      if (this.#isShort()) return;
      yield* this.#gcWanted.wait(t.task, { reason: 'garbage', voluntary: true });
    }
  }
  #isShort(): boolean {
    return this.#heap.nrFree <= this.#shape.freeRegions * REGION_PAGES;
  }

  #mutator(built: Built, nr: number) {
    const mutator = new Mutator({
      heap: this.#heap,
      graph: this.#graph,
      built,
      marker: this.#marker,
      tally: this.#tally,
      prng: new Prng(this.#prng.u32()),
      firstRoot: GLOBAL_ROOTS + nr * OWN_ROOTS,
      nrRoots: OWN_ROOTS,
      thinkNs: numberParam(this.#params, 'think'),
    });
    const world = this.#world;
    const isOver = (): boolean => this.#isOver || this.#heap.nrFree > 0;
    const run = this;
    return function* (m: Thread): Running<void> {
      world.enter();
      let operations = 0;
      while (!run.#isOver) {
        if (world.isStopping) yield* world.stopHere(m);
        const isDone = yield* mutator.step(m);
        if (run.#isShort()) run.#gcWanted.wakeAll();
        if (isDone) operations++;
        else yield* world.waitOutside(m, run.#collector.memoryFreed, isOver);
      }
      m.count('operations of mutators', operations);
      yield* m.owe(0);
      world.leave();
    };
  }

  /** Sees to it that faults in the heap are served. Returns what ends that. */
  *#handleFaults(): Running<(t: Thread) => Running<void>> {
    const t = this.#t;
    const registration = registrationOf(this.#strategy);
    const collector = this.#collector;
    t.onSignal(registration === null ? 'SIGSEGV' : 'SIGBUS', (who, { addr }) => collector.serve(who, addr));
    if (registration === null || this.#params['sigbus'] === 'on') return function* () {};
    const stopped = { isReady: () => this.#isOver, waiters: new WaitQueue(t.simulation.scheduler) };
    const handler = yield* t.spawn('handler', function* (h) {
      const { uffd } = registration;
      for (;;) {
        const ready = yield* h.poll([uffd, stopped]);
        if (!ready.includes(uffd)) return;
        // Somebody else may have handed the page over, so that there is no message any more.
        for (const message of yield* uffd.readNow(h, 1))
          if (message.event === 'pagefault') {
            yield* collector.serve(h, message.addr);
            yield* uffd.wake(h, message.addr - (message.addr % PAGE_SIZE), PAGE_SIZE);
          }
      }
    });
    return function* (main: Thread) {
      stopped.waiters.wakeAll();
      yield* main.join(handler);
    };
  }
}

/** The workload `compacting-gc`. */
export const COMPACTING_GC: ThreadedWorkload = {
  name: 'compacting-gc',
  title: 'a concurrent compacting collector, by how it intercepts and moves pages (seed 000)',
  text: 'A heap of typed objects in simulated memory. Mutators read, write, allocate and check their data; the collector marks, stops them to swap mappings, and makes pages anew beside them: references of dense regions are updated in place, fragmented regions slide together, cold pages that are in swap slide as they are. Each cycle ends with a check of all objects.',
  machine: (params) => ({
    contents: 'bytes',
    config: {
      maxMapCount: numberParam(params, 'maps'),
      totalSwapPages:
        numberParam(params, 'cold') === 0 ? 0 : 2 * Math.ceil(numberParam(params, 'heap') / PAGE_SIZE),
    },
    ...(params['strategy'] === 'mremap-onlypages' ? { features: { mremapOnlyPages: 'on' } } : {}),
  }),
  params: {
    strategy: {
      default: 'uffd-move',
      unit: '',
      text: 'how pages are kept from mutators and handed over',
      choices: STRATEGY_NAMES,
    },
    heap: { default: 16 * 1024 * 1024, unit: 'bytes', text: 'size of the heap', min: 8 * REGION },
    fragmented: { default: 40, unit: '%', text: 'share of the heap that is fragmented', max: 90 },
    live: { default: 50, unit: '%', text: 'share of the objects there that live', max: 100 },
    cold: { default: 10, unit: '%', text: 'share of the heap that is hardly used, and in swap', max: 50 },
    free: {
      default: 12,
      unit: '%',
      text: 'share of the heap that is free; a cycle begins at that',
      min: 5,
      max: 50,
    },
    density: {
      default: 75,
      unit: '%',
      text: 'a region is compacted if less of it is live',
      min: 1,
      max: 100,
    },
    mutators: { default: 2, unit: 'threads', text: 'threads of the program', max: 64 },
    gc: { default: 1, unit: 'threads', text: 'threads that compact', min: 1, max: 64 },
    pages: {
      default: 16,
      unit: 'pages',
      text: 'most pages that one call hands over',
      min: 1,
      max: REGION_PAGES,
    },
    sigbus: {
      default: 'on',
      unit: '',
      text: 'userfaultfd sends signals, which mutators answer; otherwise messages, which a thread answers',
      choices: ['on', 'off'],
    },
    register: {
      default: 'each',
      unit: '',
      text: 'the heap is registered in each pause, or once and for good',
      choices: ['each', 'once'],
    },
    maps: { default: DEFAULT_CONFIG.maxMapCount, unit: 'vmas', text: 'vm.max_map_count', min: 16 },
    cycles: { default: 3, unit: 'cycles', text: 'how often the collector runs', min: 1 },
    think: { default: 200, unit: 'ns', text: 'what a mutator computes for each operation' },
    work: { default: 50, unit: 'ns', text: 'the own work of the collector for each object' },
    inject: {
      default: 'none',
      unit: '',
      text: 'an error to be found: a byte is flipped, or pages are not handed over',
      choices: ['none', 'flip', 'skip'],
    },
    seed: SEED_PARAM,
  },
  main: (t, params, prng) => new Run(t, params, seededBy(params, prng)).main(),
};
