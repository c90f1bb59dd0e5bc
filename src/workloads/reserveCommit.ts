/**
 * reserve-commit: a heap reserved without access and committed block by block in random order.
 *
 * What managed runtimes do in the worst order. A block that is first written without a written neighbour gets an anon_vma of its own and
 * never merges with the next such block: about a third as many vmas as blocks stay (spec/vma.md 14.4). Seed 004 patch 5 is about these.
 */
import { MAP_NORESERVE, PROT_NONE, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { Task } from './task.ts';
import { FIRST_TASK, numberParam, SEED_PARAM, seededBy, type Workload } from './workload.ts';

/** The workload `reserve-commit`. */
export const RESERVE_COMMIT: Workload = {
  name: 'reserve-commit',
  title: 'a reservation committed in random order',
  text: 'Reserves memory without access, then makes it readable and writable block by block in random order, writing each block at once. Ends early where vm.max_map_count refuses a commit, as a runtime would.',
  params: {
    pages: { default: 1000, unit: 'pages', text: 'size of the reservation', min: 1, max: 2 ** 24 },
    block: { default: 1, unit: 'pages', text: 'what is committed at a time', min: 1, max: 2 ** 20 },
    noreserve: {
      default: 'no',
      unit: '',
      text: 'whether the reservation has MAP_NORESERVE',
      choices: ['no', 'yes'],
    },
    seed: SEED_PARAM,
  },
  *program(params, prng) {
    const block = numberParam(params, 'block') * PAGE_SIZE;
    const len = numberParam(params, 'pages') * PAGE_SIZE;
    const starts = Array.from({ length: Math.ceil(len / block) }, (_, i) => i * block);
    const w = new Task(FIRST_TASK);
    const flags = params['noreserve'] === 'yes' ? MAP_NORESERVE : 0;
    const heap = yield* w.mmap(len, { prot: PROT_NONE, flags });
    for (const at of seededBy(params, prng).shuffle(starts)) {
      const size = Math.min(block, len - at);
      const committed = yield* w.attempt({
        call: 'mprotect',
        addr: heap + at,
        len: size,
        prot: PROT_READ | PROT_WRITE,
      });
      if (committed.kind === 'errno' && committed.why === 'map-count') return;
      yield* w.touch(heap + at, size);
    }
    yield* w.expectMemory(heap, len);
  },
};
