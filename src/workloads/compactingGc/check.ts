/**
 * The check at the end of each cycle: every object that can be reached is where references say, holds what it should, and is there once.
 *
 * It looks at memory as mutators would find it, through their page tables and in swap, takes no time and leaves no trace; the object graph as it
 * should be was never in that memory (graph.ts).
 *
 * Throws ModelBug, which names the object, its address and what is wrong.
 */
import { ModelBug } from '../../base/assert.ts';
import { type Addr, hex, PAGE_SIZE } from '../../base/units.ts';
import type { Thread } from '../../machine/index.ts';
import { pageAt, type SavedPage, type Vma } from '../../mm/index.ts';
import { frameWords, type PageWords } from './access.ts';
import type { Graph } from './graph.ts';
import type { Heap } from './heap.ts';
import { bytesOf, refAt, refsOf, typeAt, whatIsWrong } from './objects.ts';

/** Pages as mutators find them. */
class Pages {
  readonly #t: Thread;

  constructor(t: Thread) {
    this.#t = t;
  }

  /** Returns the words of the page at `page`, null if there is none. */
  at(page: Addr): PageWords | null {
    const { mm, simulation } = this.#t;
    const vma = mm?.vmas.at(page) ?? null;
    if (mm === null || vma === null) return null;
    const { kind, number } = pageAt(mm, page);
    if (kind === 'anonymous' || kind === 'file') return frameWords(this.#t, number);
    const slot: number | null = kind === 'swap' ? number : null;
    const found = slot === null ? this.#inFile(vma, page) : simulation.kernel.swap.content(slot);
    return found instanceof Uint32Array ? found : null;
  }
  /** A page of shared memory need not be mapped: an access would find it in the file. */
  #inFile(vma: Vma, page: Addr): SavedPage | null {
    const { kernel } = this.#t.simulation;
    if (vma.file === null) return null;
    const { object } = vma.file;
    const pgoff = vma.pgoff + (page - vma.start) / PAGE_SIZE;
    const pfn = kernel.cache.find(object, pgoff);
    if (pfn !== null) return frameWords(this.#t, pfn);
    const slot = kernel.sharedSwap.slotOf(object, pgoff);
    return slot === null ? null : kernel.swap.content(slot);
  }
}

/** Objects lie in a row from the start of a page; tells `each` of number and place of those in `page`. */
function forEachObject(page: PageWords, each: (id: number, at: number) => void): void {
  for (let at = 0; at < page.length; ) {
    const type = typeAt(page, at);
    if (type === null) return;
    each(page[at] as number, at);
    at += bytesOf(type) >> 2;
  }
}

/**
 * Checks all objects.
 * @returns  how many there are
 */
export function checkGraph(t: Thread, heap: Heap, graph: Graph): number {
  const pages = new Pages(t);
  const isLive = graph.reachable();
  const addressOf = new Float64Array(graph.limit);
  const fail = (id: number, what: string): never => {
    throw new ModelBug(`[memory] object ${id} at ${hex(addressOf[id] as number)} ${what}`);
  };
  const inUse = [...heap.inUse.keys()].filter((page) => heap.inUse[page] === 1);
  const views = inUse.map((page) => pages.at(heap.addressOf(page)));
  for (const [i, page] of inUse.entries())
    forEachObject(views[i] ?? NO_WORDS, (id, at) => {
      if (isLive[id] === 1 && addressOf[id] !== 0)
        fail(id, `is at ${hex(heap.addressOf(page) + 4 * at)} as well`);
      addressOf[id] = heap.addressOf(page) + 4 * at;
    });
  let count = 0;
  for (const view of views)
    forEachObject(view ?? NO_WORDS, (id, at) => {
      if (isLive[id] !== 1) return;
      count++;
      isLive[id] = FOUND;
      const wrong = whatIsWrong(view ?? NO_WORDS, at, id, graph);
      if (wrong !== null) fail(id, wrong);
      const refs = refsOf(graph.type(id));
      for (let slot = 0; slot < refs; slot++)
        if (refAt(view ?? NO_WORDS, at, slot) !== addressOf[graph.ref(id, slot)])
          fail(id, `does not refer to object ${graph.ref(id, slot)} where that is`);
    });
  for (const [i, id] of heap.rootIds.entries())
    if (heap.roots[i] !== addressOf[id]) fail(id, 'is not where a root refers to');
  const lost = isLive.indexOf(1);
  if (lost >= 0)
    throw new ModelBug(`[memory] object ${lost} can be reached, and is not in the heap any more`);
  return count;
}

const NO_WORDS: PageWords = new Uint32Array(0);
const FOUND = 2;
