/**
 * managed-heap: a heap of regions as Dalvik has it. A collection finds regions free; they are let go until the mutator takes them again.
 *
 * Besides the heap the program has memory that grows and shrinks (bitmaps, code): under a limit it is what needs the free regions. Regions in use hold what was
 * written; one that was taken back may hold old data, or zeros where it was lost, and is written anew.
 */
import type { Prng } from '../../base/prng.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { FACT } from '../../mm/index.ts';
import type { Figures, ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Param, type Params } from '../workload.ts';
import {
  addSwap,
  limitMemory,
  machineFor,
  SpareMemory,
  stamp,
  type Way,
  wayParam,
  wholePages,
} from './ways.ts';

const MIB = 2 ** 20;

const PARAMS: Readonly<Record<string, Param>> = {
  way: wayParam('a free region'),
  behavior: {
    default: 'partial',
    unit: '',
    text: 'of volatile regions: any page of them may go',
    choices: ['full', 'partial'],
  },
  regions: { default: 64, unit: 'regions', text: 'regions of the heap', min: 2, max: 1_000_000 },
  size: { default: 256 * 1024, unit: 'bytes', text: 'size of a region', min: PAGE_SIZE, max: 2 ** 30 },
  collections: { default: 40, unit: 'collections', text: 'collections', min: 1, max: 1_000_000 },
  live: { default: 30, unit: '%', text: 'regions that a collection finds in use', max: 100 },
  native: {
    default: 4 * MIB,
    unit: 'bytes',
    text: 'memory besides the heap, all of it in every fourth cycle',
    max: 2 ** 40,
  },
  limit: { default: 0, unit: 'bytes', text: 'memory of the program; 0: no limit', max: 2 ** 46 },
  swap: { default: 0, unit: 'bytes', text: 'size of a swap device', max: 2 ** 46 },
};

interface Region {
  readonly addr: Addr;
  /** What its pages hold; 0 while it is free. */
  word: number;
  /** It was let go, and not taken back since. */
  isSpare: boolean;
}

/** The heap. */
class Heap {
  readonly regions: readonly Region[];
  readonly size: number;
  readonly spare: SpareMemory;
  taken = 0;
  asItWas = 0;
  allocateNs = 0;
  #next = 1;

  constructor(params: Params, base: Addr, size: number) {
    this.size = size;
    this.spare = new SpareMemory(params['way'] as Way, params['behavior'] === 'full' ? 'full' : 'partial');
    this.regions = Array.from({ length: numberParam(params, 'regions') }, (_, i) => ({
      addr: base + i * size,
      word: 0,
      isSpare: false,
    }));
  }

  /** The mutator fills all regions that are free. */
  *mutate(t: Thread): Running<void> {
    for (const region of this.regions) {
      if (region.word !== 0) continue;
      const startNs = t.nowNs;
      this.taken++;
      if (region.isSpare && (yield* this.spare.takeBack(t, region.addr, this.size)) === 'kept')
        this.asItWas++;
      region.isSpare = false;
      region.word = this.#next++;
      yield* stamp(t, region.addr, this.size, region.word);
      this.allocateNs += t.nowNs - startNs;
    }
  }

  /** A collection: regions that nobody uses are let go, all others are looked at. */
  *collect(t: Thread, live: number, prng: Prng): Running<void> {
    for (const region of this.regions) {
      if (prng.below(100) < live) {
        yield* t.expect(region.addr, region.word);
        yield* t.expect(region.addr + this.size - PAGE_SIZE, region.word);
        continue;
      }
      region.word = 0;
      region.isSpare = true;
      yield* this.spare.letGo(t, region.addr, this.size);
    }
  }
}

function* run(t: Thread, params: Params, prng: Prng): Running<Figures> {
  const size = wholePages(params, 'size');
  const native = wholePages(params, 'native');
  yield* addSwap(t, numberParam(params, 'swap'));
  yield* limitMemory(t, numberParam(params, 'limit'));
  const heap = new Heap(params, yield* t.mmap(numberParam(params, 'regions') * size), size);
  const startNs = t.nowNs;
  const collections = numberParam(params, 'collections');
  for (let i = 0; i < collections; i++) {
    yield* heap.mutate(t);
    yield* heap.collect(t, numberParam(params, 'live'), prng);
    if (native === 0 || i % 4 !== 3) continue;
    const other = yield* t.mmap(native);
    yield* stamp(t, other, native, i + 1);
    yield* t.expect(other, i + 1);
    yield* t.munmap(other, native);
  }
  yield* t.owe(0);
  const { facts } = t.simulation.kernel.work;
  return {
    collections,
    'time of a cycle, us': Math.round((t.nowNs - startNs) / collections / 1000),
    'regions taken': heap.taken,
    'of them as they were left': heap.asItWas,
    'taking a region and filling it, ns': Math.round(heap.allocateNs / heap.taken),
    'letting a region go, ns': Math.round(heap.spare.letGoNs / Math.max(1, heap.spare.calls)),
    'pages purged': facts[FACT.pagesPurged] as number,
    'pages swapped out': facts[FACT.pagesSwappedOut] as number,
    'resident at the end, KiB': ((t.mm?.rssAnon ?? 0) * PAGE_SIZE) / 1024,
  };
}

/** The workload `managed-heap`. */
export const MANAGED_HEAP: ThreadedWorkload = {
  name: 'managed-heap',
  title: 'a heap of regions lets those go that a collection found free',
  text: 'A heap as Dalvik has it: the mutator fills its regions, a collection finds most of them free and lets them go, and the next cycle takes them again. Now and then other memory of the program grows; with a limit it takes the pages of free regions. Compare with way=vrange,free,dontneed,none.',
  params: PARAMS,
  machine: machineFor,
  main: run,
};
