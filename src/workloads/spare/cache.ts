/**
 * cache: objects that can be made again, kept as long as there is memory.
 *
 * A browser's images, rendered pages, decoded glyphs. An object that is not shown is let go; one that is wanted again and lost is built again. With vrange
 * a reader may also use an object without taking it back first, and have SIGBUS tell it that it is gone (`use=sigbus`): the handler takes the object back, builds it
 * again and lets it go, and the access is made again.
 *
 * Every access looks at pages of the object it uses.
 */
import { ModelBug } from '../../base/assert.ts';
import type { Prng } from '../../base/prng.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, SignalInfo, Thread } from '../../machine/index.ts';
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
  way: wayParam('an object that nobody looks at'),
  behavior: {
    default: 'full',
    unit: '',
    text: 'of volatile objects: one with a hole is worth nothing',
    choices: ['full', 'partial'],
  },
  use: {
    default: 'pin',
    unit: '',
    text: 'take an object back before it is used, or use it and be told by SIGBUS (vrange only)',
    choices: ['pin', 'sigbus'],
  },
  objects: { default: 64, unit: 'objects', text: 'objects there are', min: 1, max: 1_000_000 },
  size: { default: 256 * 1024, unit: 'bytes', text: 'size of an object', min: PAGE_SIZE, max: 2 ** 30 },
  accesses: {
    default: 2000,
    unit: 'accesses',
    text: 'how often an object is wanted',
    min: 1,
    max: 10_000_000,
  },
  rebuild: { default: 2000, unit: 'ns', text: 'what building a page of an object takes', max: 1_000_000_000 },
  limit: { default: 8 * MIB, unit: 'bytes', text: 'memory of the program; 0: no limit', max: 2 ** 46 },
  swap: { default: 0, unit: 'bytes', text: 'size of a swap device', max: 2 ** 46 },
};

/** The cache and what became of it. */
class Cache {
  readonly params: Params;
  readonly size: number;
  readonly base: Addr;
  readonly spare: SpareMemory;
  /** How often each object was built; 0 never. */
  readonly built: Float64Array;
  rebuilds = 0;
  buses = 0;
  #servedNs = 0;

  constructor(params: Params, base: Addr, size: number) {
    this.params = params;
    this.base = base;
    this.size = size;
    this.built = new Float64Array(numberParam(params, 'objects'));
    this.spare = new SpareMemory(params['way'] as Way, params['behavior'] === 'full' ? 'full' : 'partial');
  }

  #at(object: number): Addr {
    return this.base + object * this.size;
  }
  /** What every page of an object holds: its number and how often it was built. */
  #word(object: number): number {
    return (object + 1) * 2 ** 24 + (this.built[object] as number);
  }

  *#build(t: Thread, object: number): Running<void> {
    if (this.built[object] !== 0) this.rebuilds++;
    this.built[object] = (this.built[object] as number) + 1;
    yield* stamp(t, this.#at(object), this.size, this.#word(object));
    yield* t.work((numberParam(this.params, 'rebuild') * this.size) / PAGE_SIZE);
  }

  /** Somebody wants `object`, and looks at its first page, its last and one between. */
  *use(t: Thread, object: number, prng: Prng): Running<void> {
    const pinned = this.params['use'] === 'pin';
    const startNs = t.nowNs;
    const isNew = this.built[object] === 0;
    if (pinned || isNew) {
      const found = isNew ? 'lost' : yield* this.spare.takeBack(t, this.#at(object), this.size);
      if (found === 'lost') yield* this.#build(t, object);
      if (!pinned) yield* this.spare.letGo(t, this.#at(object), this.size);
    }
    const pages = this.size / PAGE_SIZE;
    for (const page of [0, prng.below(pages), pages - 1]) {
      const addr = this.#at(object) + page * PAGE_SIZE;
      const word = yield* t.read(addr);
      if (word !== this.#word(object))
        throw new ModelBug(
          `[memory] page ${page} of object ${object} holds ${word} and not ${this.#word(object)}`,
        );
    }
    if (pinned) yield* this.spare.letGo(t, this.#at(object), this.size);
    this.#servedNs += t.nowNs - startNs;
  }

  /** The handler of SIGBUS: an object is gone. */
  *lost(t: Thread, { addr }: SignalInfo): Running<void> {
    this.buses++;
    const object = Math.floor((addr - this.base) / this.size);
    yield* this.spare.takeBack(t, this.#at(object), this.size);
    yield* this.#build(t, object);
    yield* this.spare.letGo(t, this.#at(object), this.size);
  }

  figures(t: Thread, accesses: number): Figures {
    const { facts } = t.simulation.kernel.work;
    return {
      'objects wanted': accesses,
      'objects built again': this.rebuilds,
      'SIGBUS handled': this.buses,
      'time of an access, ns': Math.round(this.#servedNs / accesses),
      'letting go, ns': Math.round(this.spare.letGoNs / Math.max(1, this.spare.calls)),
      'pages purged': facts[FACT.pagesPurged] as number,
      'pages swapped out': facts[FACT.pagesSwappedOut] as number,
      'pages swapped in': facts[FACT.pagesSwappedIn] as number,
      'resident at the end, KiB': ((t.mm?.rssAnon ?? 0) * PAGE_SIZE) / 1024,
    };
  }
}

function* run(t: Thread, params: Params, prng: Prng): Running<Figures> {
  const size = wholePages(params, 'size');
  const objects = numberParam(params, 'objects');
  const accesses = numberParam(params, 'accesses');
  yield* addSwap(t, numberParam(params, 'swap'));
  yield* limitMemory(t, numberParam(params, 'limit'));
  const cache = new Cache(params, yield* t.mmap(objects * size), size);
  t.onSignal('SIGBUS', (thread, info) => cache.lost(thread, info));
  for (let i = 0; i < accesses; i++) {
    // Few are wanted often.
    const share = prng.unit();
    yield* cache.use(t, Math.floor(objects * share * share), prng);
  }
  return cache.figures(t, accesses);
}

/** The workload `cache`. */
export const CACHE: ThreadedWorkload = {
  name: 'cache',
  title: 'objects that can be built again are kept while there is memory',
  text: 'Images or rendered pages of a browser: an object that nobody looks at is let go, under a memory limit that half of them fill; one that is wanted again is there, or has to be built again. With use=sigbus it is used without asking, and SIGBUS tells that it is gone. Compare with way=vrange,free,dontneed; way=none needs swap.',
  params: PARAMS,
  machine: machineFor,
  main: run,
};
