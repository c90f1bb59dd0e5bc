/**
 * The collector's cycles.
 *
 *   mark          beside the mutators
 *   first pause   what was stored since is marked; where mutators allocate is given up, so that what is allocated from here on has pages of its own
 *   plan          beside the mutators: where everything goes
 *   second pause  mappings are swapped, roots are updated; nothing is moved
 *   compact       threads of the collector make pages in ascending order, mutators those that they fault on
 *   give back     what is left of the old heap
 *   check         that nothing was lost; takes no time
 *
 * Left out   the runtime's own data structures cost no memory
 */
import { MADV_PAGEOUT } from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { type Running, type Thread, WaitQueue } from '../../machine/index.ts';
import { MISS, permsOf, translate } from '../../mm/index.ts';
import { checkGraph } from './check.ts';
import type { Graph } from './graph.ts';
import { type Heap, REGION_PAGES } from './heap.ts';
import type { Marker } from './mark.ts';
import { BUSY, CLOSED, COLD, DONE, NOTHING, Plan, WAITING } from './plan.ts';
import { type Injected, lost, Producer } from './produce.ts';
import type { Strategy } from './strategy.ts';
import { cpuNs, type FaultOn, type Tally } from './tally.ts';
import type { World } from './world.ts';

/** What the collector works with. */
export interface CollectorOptions {
  readonly heap: Heap;
  readonly graph: Graph;
  readonly strategy: Strategy;
  readonly marker: Marker;
  readonly tally: Tally;
  readonly world: World;
  /** Threads that compact. */
  readonly threads: number;
  readonly batch: number;
  readonly objectNs: number;
  /** Share of a region that has to be live for it not to be compacted. */
  readonly density: number;
  readonly injected: Injected;
}

/** How long who waits for a page spins before it sleeps, and sleeps, nanoseconds. */
const SPIN_NS = 300;
const SPINS = 10;
const SLEEP_NS = 10_000;

const KIND: readonly FaultOn[] = ['fresh', 'dense', 'slid', 'cold'];

/** Collects one heap. */
export class Collector {
  readonly #o: CollectorOptions;
  #plan: Plan | null = null;
  #producer: Producer | null = null;
  #next = 0;
  /** Pages that held objects at the second pause; those taken since are new. */
  #usedBefore = new Uint8Array(0);
  /** Is woken when memory has come free. */
  readonly memoryFreed: WaitQueue;

  constructor(t: Thread, options: CollectorOptions) {
    this.#o = options;
    this.memoryFreed = new WaitQueue(t.simulation.scheduler);
  }

  /** Collects once. */
  *cycle(t: Thread): Running<void> {
    const { tally, marker, world, heap } = this.#o;
    const startNs = cpuNs(t);
    const faultsBefore = tally.faultNs;
    marker.begin();
    yield* marker.drain(t);
    tally.pauses.push(yield* world.stop(t, () => this.#remark(t)));
    const plan = new Plan(heap);
    plan.classify(this.#o.density);
    plan.place();
    for (let page = 0; page < heap.pages; page++)
      if (plan.regionOf(page) !== NOTHING && heap.inUse[page] === 0) heap.reserve(page);
    yield* t.owe(2 * plan.nrVisited * t.simulation.prices.accessNs);
    tally.markNs += cpuNs(t) - startNs - (tally.faultNs - faultsBefore);
    tally.pauses.push(yield* world.stop(t, () => this.#flip(t, plan)));
    yield* this.#compact(t);
    yield* this.#finish(t, plan);
    tally.objectsChecked += checkGraph(t, heap, this.#o.graph);
    tally.cycles++;
    this.memoryFreed.wakeAll();
  }

  *#remark(t: Thread): Running<void> {
    const { marker, heap } = this.#o;
    marker.shadeRoots();
    yield* marker.drain(t);
    marker.isOn = false;
    heap.retireBuffers();
  }

  *#flip(t: Thread, plan: Plan): Running<void> {
    const { heap, strategy, tally } = this.#o;
    const startNs = cpuNs(t);
    heap.retireBuffers();
    this.#usedBefore = heap.inUse.slice();
    // What was allocated since the plan was made: its objects stay, but refer to others.
    const isTarget = new Uint8Array(heap.pages);
    for (const page of plan.targets) isTarget[page] = 1;
    for (let page = 0; page < heap.pages; page++)
      if (plan.regionOf(page) === NOTHING && heap.inUse[page] === 1 && isTarget[page] === 0)
        plan.addDense(page);
    plan.targets.sort((a, b) => a - b);
    // Other free pages may be taken again from now on.
    heap.unreserveAll();
    for (const page of plan.targets) heap.reserve(page);
    for (const [i, addr] of heap.roots.entries()) heap.roots[i] = plan.forward(addr);
    t.uses(2 * heap.roots.length * t.simulation.prices.accessNs);
    yield* strategy.flip(t, plan);
    this.#plan = plan;
    this.#producer = new Producer(t, { ...this.#o, plan });
    this.#next = 0;
    tally.isCompacting = true;
    tally.look(t);
    tally.flipNs += cpuNs(t) - startNs;
  }

  *#compact(t: Thread): Running<void> {
    const helpers: Thread[] = [];
    for (let i = 1; i < this.#o.threads; i++)
      helpers.push(yield* t.spawn(`gc ${i + 1}`, (helper) => this.#makeAll(helper)));
    yield* this.#makeAll(t);
    for (const helper of helpers) yield* t.join(helper);
    // Mutators may still be making some, or could not open them.
    while (this.#plan?.isDone === false) {
      if (!this.#plan.targets.some((page) => this.#plan?.state[page] === BUSY)) break;
      yield* t.sleep(SLEEP_NS);
    }
  }
  *#makeAll(t: Thread): Running<void> {
    for (let run = this.#nextRun(); run !== null; run = this.#nextRun())
      yield* (this.#producer as Producer).make(t, run.first, run.pages);
  }
  /** Takes the next pages that nobody has begun: in a row, of one treatment, in one region (beyond it there may be another mapping). */
  #nextRun(): { first: number; pages: number } | null {
    const { targets, state, treatment } = this.#plan as Plan;
    while (this.#next < targets.length && state[targets[this.#next] as number] !== WAITING) this.#next++;
    const first = targets[this.#next];
    if (first === undefined) return null;
    let pages = 1;
    const most = Math.min(this.#o.batch, REGION_PAGES - (first % REGION_PAGES));
    while (
      pages < most &&
      targets[this.#next + pages] === first + pages &&
      state[first + pages] === WAITING &&
      treatment[first + pages] === treatment[first]
    )
      pages++;
    this.#next += pages;
    return { first, pages };
  }

  *#finish(t: Thread, plan: Plan): Running<void> {
    const { strategy, tally, heap } = this.#o;
    tally.giveBackNs += yield* tally.timed(t, strategy.giveBack(t));
    tally.isCompacting = false;
    this.#plan = null;
    this.#settle(plan);
    heap.unreserveAll();
    heap.rewind();
    yield* this.#pageOutCold(t, plan);
  }

  /** Pages that everything has left are free. What is left of a cold region is none: what is allocated there would be taken for cold. */
  #settle(plan: Plan): void {
    const { heap } = this.#o;
    const holdsTargets = new Uint8Array(heap.nrRegions);
    const isTarget = new Uint8Array(heap.pages);
    for (const page of plan.targets) {
      isTarget[page] = 1;
      holdsTargets[Math.floor(page / REGION_PAGES)] = 1;
      heap.setInUse(page, true);
    }
    for (let region = 0; region < heap.nrRegions; region++)
      if (holdsTargets[region] === 0) heap.isCold[region] = 0;
    for (let page = 0; page < heap.pages; page++)
      if (isTarget[page] === 0 && this.#usedBefore[page] === 1)
        heap.setInUse(page, heap.isCold[Math.floor(page / REGION_PAGES)] === 1);
  }

  /** Cold pages go to swap (again, where they had to be read). */
  *#pageOutCold(t: Thread, plan: Plan): Running<void> {
    const { heap } = this.#o;
    if (t.simulation.kernel.swap.totalPages === 0) return;
    for (let region = 0; region < heap.nrRegions; region++)
      if (plan.regions[region] === COLD) {
        const addr = heap.addressOf(region * REGION_PAGES);
        yield* t.madvise(addr, REGION_PAGES * PAGE_SIZE, MADV_PAGEOUT);
      }
  }

  // ---- faults --------------------------------------------------------------------------------------------------------------------

  /** Somebody needs the page at `addr`, which it cannot access: makes it, or waits for who makes it. */
  *serve(t: Thread, addr: number): Running<void> {
    const { heap, tally, strategy } = this.#o;
    const before = cpuNs(t);
    const page = heap.pageOf(addr);
    const plan = this.#plan;
    const treatment = plan?.treatment[page] ?? NOTHING;
    if (page < 0 || page >= heap.pages) lost(page);
    if (treatment === NOTHING) {
      tally.faultsOn.fresh++;
      yield* strategy.fresh(t, page);
    } else if (plan !== null) yield* this.#serveTarget(t, plan, page, addr);
    tally.handlerNs += cpuNs(t) - before;
  }
  *#serveTarget(t: Thread, plan: Plan, page: number, addr: number): Running<void> {
    const { tally } = this.#o;
    switch (plan.state[page]) {
      case WAITING:
        tally.faultsOn[KIND[plan.treatment[page] as number] as FaultOn]++;
        yield* (this.#producer as Producer).make(t, page, 1);
        return;
      case BUSY:
        tally.faultsOn.busy++;
        yield* this.#awaitPage(t, plan, page);
        return;
      case CLOSED:
        yield* (this.#producer as Producer).handOver(t, page, 1, 0);
        if (plan.state[page] === CLOSED) yield* t.sleep(SLEEP_NS);
        return;
      case DONE:
        // Handed over between the fault and now; or not at all.
        if (!this.#isOpen(t, addr)) lost(page);
        return;
    }
  }
  /** Tells whether an access is made, or served by the kernel alone. */
  #isOpen({ mm }: Thread, addr: number): boolean {
    const vma = mm?.vmas.at(addr) ?? null;
    if (mm === null || vma === null) return false;
    return translate(mm, addr, 'read') !== MISS || (vma.uffd === null && permsOf(vma.flags).startsWith('r'));
  }
  *#awaitPage(t: Thread, plan: Plan, page: number): Running<void> {
    for (let spins = 0; plan.state[page] === BUSY; spins++)
      if (spins < SPINS) yield* t.work(SPIN_NS);
      else yield* t.sleep(SLEEP_NS);
  }
}
