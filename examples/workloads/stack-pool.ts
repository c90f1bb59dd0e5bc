// A pool of thread stacks, each with a guard page: stacks are handed out, written, given back with MADV_DONTNEED and used again.
// Two vmas a stack whatever the proposal, because a guard page has another access than the stack above it.
//   npx faultline compare examples/workloads/stack-pool.ts --set mergeAcrossAnonVma=on
import {
  FIRST_TASK,
  MADV_DONTNEED,
  numberParam,
  PAGE_SIZE,
  PROT_NONE,
  Task,
  type Workload,
} from 'faultline/workloads';

const workload: Workload = {
  name: 'stack-pool',
  title: 'thread stacks with guard pages, used again and again',
  text: 'Maps stacks with a guard page each, then lets threads start and end on random ones of them.',
  params: {
    stacks: { default: 64, unit: 'stacks', text: 'how many stacks there are', min: 1 },
    threads: { default: 1000, unit: 'threads', text: 'how many threads start and end' },
    size: { default: 256, unit: 'pages', text: 'size of a stack with its guard page', min: 2 },
  },
  *program(params, prng) {
    const w = new Task(FIRST_TASK);
    const len = numberParam(params, 'size') * PAGE_SIZE;
    const stacks: number[] = [];
    for (let i = 0; i < numberParam(params, 'stacks'); i++) {
      const stack = yield* w.mmap(len);
      yield* w.mprotect(stack, PAGE_SIZE, PROT_NONE);
      stacks.push(stack);
    }
    for (let i = 0; i < numberParam(params, 'threads'); i++) {
      const stack = prng.pick(stacks);
      const used = (1 + prng.below(Math.min(8, numberParam(params, 'size') - 1))) * PAGE_SIZE;
      yield* w.touch(stack + len - used, used);
      yield* w.madvise(stack + PAGE_SIZE, len - PAGE_SIZE, MADV_DONTNEED);
    }
  },
};

export default workload;
