/**
 * realloc: blocks that grow, shrink, move and are freed, each a mapping of its own, as realloc() of big blocks makes them.
 *
 * The load `merge` of the calibration programs, with its generator: the same blocks at the same pages on the kernel and here. What is
 * random is where the kernel can place a block, and that depends on the holes of the process; the one that was measured had one, of ten
 * pages, where the dynamic loader had mapped its cache. So does this one (`hole`), and the counts of vmas are the measured ones.
 */
import { MAP_NORESERVE, PROT_NONE, PROT_READ } from '../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { type Doing, Task } from './task.ts';
import { FIRST_TASK, numberParam, type Workload } from './workload.ts';

interface Block {
  addr: Addr;
  pages: number;
}

/** Blocks are from 4 to 15 pages when they are allocated, and start over with 4 when they would exceed 64. */
const FIRST_PAGES = 4;
const MAX_PAGES = 64;

/** The linear congruential generator of the measured program: 32 bits, of which the lowest 8 are thrown away. */
class Generator {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return this.#state >>> 8;
  }
}

/** Returns how many pages a block of `pages` gets next: three times of four it grows, by at most its size. */
function nextSize(pages: number, random: number): number {
  const part = random >>> 4;
  const wanted = random % 4 === 0 ? pages - (part % (Math.floor(pages / 2) + 1)) : pages + 1 + (part % pages);
  return wanted > MAX_PAGES ? FIRST_PAGES : Math.max(1, wanted);
}

/** Leaves a hole of `pages` pages with a read-only page on either side, at the top of the address space. */
function* leaveHole(w: Task, pages: number): Doing<void> {
  if (pages === 0) return;
  yield* w.mmap(PAGE_SIZE, { prot: PROT_READ });
  const hole = yield* w.mmap(pages * PAGE_SIZE, { prot: PROT_NONE });
  yield* w.mmap(PAGE_SIZE, { prot: PROT_READ });
  yield* w.munmap(hole, pages * PAGE_SIZE);
}

/** Does one operation on a slot and returns what is in it afterwards. */
function* step(w: Task, block: Block | null, random: number): Doing<Block | null> {
  if (block === null) {
    const pages = FIRST_PAGES + (random % 12);
    return { addr: yield* w.mmap(pages * PAGE_SIZE, { flags: MAP_NORESERVE }), pages };
  }
  if (random % 8 === 0) {
    yield* w.munmap(block.addr, block.pages * PAGE_SIZE);
    return null;
  }
  const pages = nextSize(block.pages, random);
  const addr = yield* w.mremap(block.addr, block.pages * PAGE_SIZE, pages * PAGE_SIZE);
  return { addr, pages };
}

/** The workload `realloc`. */
export const REALLOC: Workload = {
  name: 'realloc',
  title: 'big blocks that are reallocated',
  text: 'Allocates, grows, shrinks and frees blocks of 1 to 64 pages, each with a mapping of its own. A block that has been written and moves keeps its page offset, so it merges with no new neighbour.',
  params: {
    slots: { default: 2000, unit: 'blocks', text: 'how many blocks there can be', min: 1, max: 1_000_000 },
    operations: { default: 40_000, unit: 'operations', text: 'how many operations on a block' },
    touch: {
      default: 'all',
      unit: '',
      text: 'whether a block is written after each operation: always, never, half of the times',
      choices: ['all', 'none', 'half'],
    },
    hole: { default: 10, unit: 'pages', text: 'a hole above the blocks', max: 2 ** 20 },
    seed: { default: 42, unit: '', text: 'seed of the generator of the measured program' },
  },
  *program(params) {
    const w = new Task(FIRST_TASK);
    const { touch } = params;
    const slots: (Block | null)[] = Array.from({ length: numberParam(params, 'slots') }, () => null);
    const generator = new Generator(numberParam(params, 'seed'));
    yield* leaveHole(w, numberParam(params, 'hole'));
    for (let left = numberParam(params, 'operations'); left > 0; left--) {
      const i = generator.next() % slots.length;
      const random = generator.next();
      const block = yield* step(w, slots[i] ?? null, random);
      slots[i] = block;
      if (block === null) continue;
      if (touch === 'all' || (touch === 'half' && (random >>> 3) % 2 === 1))
        yield* w.touch(block.addr, block.pages * PAGE_SIZE);
    }
    for (const block of slots)
      if (block !== null) yield* w.expectMemory(block.addr, block.pages * PAGE_SIZE, touch === 'all');
  },
};
