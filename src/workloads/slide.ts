/**
 * slide: a compactor that moves every live page next to the one before it, with one mremap a page.
 *
 * Each page was written, so it keeps its page offset when it moves and merges with nothing: as many vmas as live pages. Where all of them came
 * from one mapping they share an anon_vma and only the offset is in the way (seed 004 patch 4); where each was mapped and written
 * alone, the anon_vma is, too.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { Task } from './task.ts';
import { FIRST_TASK, numberParam, type Workload } from './workload.ts';

/** The workload `slide`. */
export const SLIDE: Workload = {
  name: 'slide',
  title: 'a compactor that slides pages together',
  text: 'Writes a heap in which every second page is live, then moves the live pages together with mremap and unmaps the rest.',
  params: {
    pages: { default: 1000, unit: 'pages', text: 'how many live pages', min: 1, max: 2 ** 20 },
    sources: {
      default: 'one',
      unit: '',
      text: 'where the pages come from: one mapping, or each from its own',
      choices: ['one', 'independent'],
    },
  },
  *program(params) {
    const w = new Task(FIRST_TASK);
    const nrPages = numberParam(params, 'pages');
    const len = 2 * nrPages * PAGE_SIZE;
    const heap = yield* w.mmap(len);
    if (params['sources'] === 'independent') yield* w.munmap(heap, len);
    else yield* w.touch(heap, len);
    for (let i = 0; i < nrPages; i++) {
      const page = heap + 2 * i * PAGE_SIZE;
      if (params['sources'] === 'independent') yield* w.mmap(PAGE_SIZE, { at: page });
      yield* w.touch(page, PAGE_SIZE, 'write', i + 1);
    }
    for (let i = 1; i < nrPages; i++) {
      const to = heap + i * PAGE_SIZE;
      yield* w.mremap(heap + 2 * i * PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, { to });
    }
    yield* w.munmap(heap + nrPages * PAGE_SIZE, nrPages * PAGE_SIZE);
    yield* w.expectMemory(heap, nrPages * PAGE_SIZE);
    yield* w.expectNothing(heap + nrPages * PAGE_SIZE);
  },
};
