/**
 * swapless: an embedded machine without swap. A program that caches meets another one that needs memory.
 *
 * Memory that nobody else can have has to fit: what the cache holds and does not let go stays, and when the second program needs more than is left the kernel
 * has to kill somebody. If the cache was let go (volatile, or lazily freed) its pages go instead, without a write to anywhere.
 */
import { MADV_DONTNEED } from '../../abi/mman.ts';
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
  way: wayParam('what is cached'),
  behavior: { default: 'full', unit: '', text: 'of volatile objects', choices: ['full', 'partial'] },
  memory: { default: 32 * MIB, unit: 'bytes', text: 'memory that there is', min: MIB, max: 2 ** 40 },
  cache: {
    default: 24 * MIB,
    unit: 'bytes',
    text: 'what is cached, in objects of 256 KiB',
    min: 2 ** 18,
    max: 2 ** 40,
  },
  need: {
    default: 24 * MIB,
    unit: 'bytes',
    text: 'what the second program needs',
    min: PAGE_SIZE,
    max: 2 ** 40,
  },
  swap: { default: 0, unit: 'bytes', text: 'size of a swap device, for comparison', max: 2 ** 40 },
};

const OBJECT = 2 ** 18;

/** How long one waits for the other before it looks again, nanoseconds. */
const LOOK_NS = 100_000;

/** What the two programs tell. */
class Story {
  isCached = false;
  isOver = false;
  cacheLives = false;
  written = 0;
  intact = 0;
  lost = 0;
}

/** The program that caches: builds objects, lets them go, and looks at them again when the other one has come to its end. */
function* caching(t: Thread, params: Params, story: Story): Running<void> {
  const objects = Math.floor(numberParam(params, 'cache') / OBJECT);
  const spare = new SpareMemory(params['way'] as Way, params['behavior'] === 'full' ? 'full' : 'partial');
  const base = yield* t.mmap(objects * OBJECT);
  const at = (object: number): Addr => base + object * OBJECT;
  for (let object = 0; object < objects; object++) {
    yield* stamp(t, at(object), OBJECT, object + 1);
    yield* spare.letGo(t, at(object), OBJECT);
  }
  story.isCached = true;
  while (!story.isOver) yield* t.sleep(LOOK_NS);
  for (let object = 0; object < objects; object++) {
    if ((yield* spare.takeBack(t, at(object), OBJECT)) === 'lost') story.lost++;
    else {
      yield* t.expect(at(object), object + 1);
      yield* t.expect(at(object) + OBJECT - PAGE_SIZE, object + 1);
      story.intact++;
    }
    yield* t.madvise(at(object), OBJECT, MADV_DONTNEED);
  }
  story.cacheLives = true;
}

/** The program that needs memory: writes all of it, and holds it. */
function* needing(t: Thread, params: Params, story: Story): Running<void> {
  const len = wholePages(params, 'need');
  const base = yield* t.mmap(len);
  for (let at = 0; at < len; at += PAGE_SIZE) {
    if (!t.store(base + at, at + 1)) yield* t.write(base + at, at + 1);
    story.written += PAGE_SIZE;
  }
  for (let at = 0; at < len; at += PAGE_SIZE) yield* t.expect(base + at, at + 1);
}

function* run(t: Thread, params: Params): Running<Figures> {
  yield* addSwap(t, numberParam(params, 'swap'));
  yield* limitMemory(t, numberParam(params, 'memory'));
  const story = new Story();
  const cache = yield* t.fork('cache', (c) => caching(c, params, story));
  cache.group.mayBeKilled = true;
  while (!story.isCached && !cache.group.isOver) yield* t.sleep(LOOK_NS);
  const second = yield* t.fork('second program', (n) => needing(n, params, story));
  second.group.mayBeKilled = true;
  yield* t.join(second);
  story.isOver = true;
  yield* t.join(cache);
  const { facts } = t.simulation.kernel.work;
  const kills = t.simulation.machine.outOfMemory.kills.length;
  if (kills > 0) t.simulation.remark(`out of memory: ${kills} of the programs were killed`);
  return {
    'programs killed for want of memory': kills,
    'second program wrote, KiB': story.written / 1024,
    'the program that caches lives': story.cacheLives ? 1 : 0,
    'objects intact': story.intact,
    'objects lost': story.lost,
    'pages purged': facts[FACT.pagesPurged] as number,
    'pages swapped out': facts[FACT.pagesSwappedOut] as number,
  };
}

/** The workload `swapless`. */
export const SWAPLESS: ThreadedWorkload = {
  name: 'swapless',
  title: 'a machine without swap: a cache that lets go lives, one that does not is killed',
  text: 'An embedded machine: one program caches, another one needs more memory than is left. What was let go (vrange, MADV_FREE) is taken from the cache; what was kept has nowhere to go, and somebody is killed. Compare with way=vrange,free,none, and with swap=32M.',
  params: PARAMS,
  machine: machineFor,
  main: run,
};
