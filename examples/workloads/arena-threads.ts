// Threads that allocate: each from an arena of its own, kept, or by mmap and munmap each time. The one only faults, side by side; the other takes turns at
// mmap_lock, and every munmap interrupts the other CPU.
//   npx faultline compare examples/workloads/arena-threads.ts --vary allocator=mmap,arena
//   npx faultline compare examples/workloads/arena-threads.ts --set perVmaLocks=off
import { MADV_DONTNEED, numberParam, PAGE_SIZE, type ThreadedWorkload } from 'faultline/workloads';

const workload: ThreadedWorkload = {
  name: 'arena-threads',
  title: 'threads that allocate and free buffers',
  text: 'Each thread takes a buffer, writes all of it, computes, and gives it back; by system calls, or out of an arena.',
  params: {
    threads: { default: 2, unit: 'threads', text: 'how many threads', min: 1, max: 64 },
    buffers: {
      default: 200,
      unit: 'buffers',
      text: 'how many buffers each thread uses, one after the other',
    },
    pages: { default: 16, unit: 'pages', text: 'how large a buffer is', min: 1 },
    compute: { default: 5000, unit: 'ns', text: 'how long it computes with each' },
    allocator: {
      default: 'mmap',
      unit: '',
      text: 'where buffers come from: mmap and munmap each time, or an arena that is emptied now and then',
      choices: ['mmap', 'arena'],
    },
  },
  *main(t, params) {
    const size = numberParam(params, 'pages') * PAGE_SIZE;
    const buffers = numberParam(params, 'buffers');
    const workers = [];
    for (let i = 0; i < numberParam(params, 'threads'); i++)
      workers.push(
        yield* t.spawn(`worker ${i}`, function* (w) {
          const arena = params['allocator'] === 'arena' ? yield* w.mmap(8 * size) : null;
          for (let k = 0; k < buffers; k++) {
            const buffer = arena === null ? yield* w.mmap(size) : arena + (k % 8) * size;
            yield* w.touch(buffer, size, 'write', 1000 * i + k);
            yield* w.work(numberParam(params, 'compute'));
            yield* w.expect(buffer, 1000 * i + k);
            if (arena === null) yield* w.munmap(buffer, size);
            else if (k % 8 === 7) yield* w.madvise(arena, 8 * size, MADV_DONTNEED);
            w.count('buffers');
          }
        }),
      );
    for (const worker of workers) yield* t.join(worker);
    return {};
  },
};

export default workload;
