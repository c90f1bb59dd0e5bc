/**
 * fork-server: a parent that goes on reallocating and mapping while children that share its memory live.
 *
 * Pages that parent and child share belong to the anon_vma that both hang on. Seed 004 leaves such memory alone, in the parent while a child
 * lives and in the child always: this is the load for which it does least, and against which the share of merges that sharing blocks is held.
 */
import type { Prng } from '../base/prng.ts';
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { type Doing, Task } from './task.ts';
import { FIRST_TASK, numberParam, SEED_PARAM, seededBy, type Workload } from './workload.ts';

interface Block {
  addr: Addr;
  pages: number;
}

const MAX_PAGES = 64;

const newBlock = function* (w: Task, prng: Prng): Doing<Block> {
  const pages = 4 + prng.below(12);
  const addr = yield* w.mmap(pages * PAGE_SIZE);
  yield* w.touch(addr, pages * PAGE_SIZE);
  return { addr, pages };
};

/** Grows a block, which moves it where it cannot stay, and writes what is new; one that is big enough is replaced by a small one. */
function* grow(w: Task, block: Block, prng: Prng): Doing<Block> {
  const pages = block.pages + 1 + prng.below(block.pages);
  if (pages > MAX_PAGES) {
    yield* w.munmap(block.addr, block.pages * PAGE_SIZE);
    return yield* newBlock(w, prng);
  }
  const addr = yield* w.mremap(block.addr, block.pages * PAGE_SIZE, pages * PAGE_SIZE);
  yield* w.touch(addr + block.pages * PAGE_SIZE, (pages - block.pages) * PAGE_SIZE);
  return { addr, pages };
}

/** What a child does after it was forked: answers a request in memory of its own, writes some inherited pages, grows an inherited block. */
function* serve(child: Task, blocks: readonly Block[], prng: Prng): Doing<void> {
  yield* newBlock(child, prng);
  for (let i = 0; i < 4; i++) yield* child.touch(prng.pick(blocks).addr);
  yield* grow(child, prng.pick(blocks), prng);
}

/** The workload `fork-server`. */
export const FORK_SERVER: Workload = {
  name: 'fork-server',
  title: 'a parent that maps and moves while its children live',
  text: 'A server with written blocks forks a child for each round; while the youngest children live it grows, moves and replaces blocks. At the end all children have exited.',
  params: {
    blocks: { default: 200, unit: 'blocks', text: 'blocks of the parent', min: 1, max: 100_000 },
    children: { default: 4, unit: 'children', text: 'how many children live at a time', max: 1000 },
    rounds: { default: 100, unit: 'forks', text: 'how many rounds', max: 1_000_000 },
    moves: {
      default: 20,
      unit: 'calls',
      text: 'how many blocks the parent reallocates in a round',
      max: 100_000,
    },
    seed: SEED_PARAM,
  },
  *program(params, prng) {
    const random = seededBy(params, prng);
    const server = new Task(FIRST_TASK);
    const children: Task[] = [];
    const blocks: Block[] = [];
    for (let i = numberParam(params, 'blocks'); i > 0; i--) blocks.push(yield* newBlock(server, random));
    for (let round = numberParam(params, 'rounds'); round > 0; round--) {
      if (children.length >= numberParam(params, 'children')) {
        const oldest = children.shift();
        if (oldest !== undefined) yield* oldest.exit();
      }
      if (numberParam(params, 'children') > 0) {
        const child = yield* server.fork();
        children.push(child);
        yield* serve(child, blocks, random);
      }
      for (let i = numberParam(params, 'moves'); i > 0; i--) {
        const at = random.below(blocks.length);
        blocks[at] = yield* grow(server, blocks[at] as Block, random);
      }
    }
    for (const child of children) yield* child.exit();
    for (const { addr, pages } of blocks) yield* server.expectMemory(addr, pages * PAGE_SIZE);
  },
};
