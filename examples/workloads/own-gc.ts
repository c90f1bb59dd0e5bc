// Somebody's own garbage collector in sixty lines. The pause only moves the heap aside (mremap with MREMAP_DONTUNMAP): what is left is empty and
// registered with userfaultfd. Whoever then needs a page first, the collector or a mutator in its SIGBUS handler, arranges its objects anew where they
// lie and puts the page back by UFFDIO_MOVE: nothing is allocated, nothing is copied.
//   npx faultline run examples/workloads/own-gc.ts
//   npx faultline compare examples/workloads/own-gc.ts --vary pages=64,256,1024
import {
  MREMAP_DONTUNMAP,
  Mutex,
  numberParam,
  PAGE_SIZE,
  type Running,
  type Thread,
  type ThreadedWorkload,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_REGISTER_MODE_MISSING,
  Userfaultfd,
} from 'faultline/workloads';

const OBJECT = 16;
const PER_PAGE = PAGE_SIZE / OBJECT;

const workload: ThreadedWorkload = {
  name: 'own-gc',
  title: 'a collector of sixty lines that moves pages by userfaultfd',
  text: 'Reverses the order of all objects, page by page, while a mutator reads them; each page is brought back by whoever needs it first.',
  params: {
    pages: { default: 256, unit: 'pages', text: 'how many pages of objects there are', min: 1 },
    cycles: { default: 3, unit: 'cycles', text: 'how often they are collected' },
  },
  *main(t, params, prng) {
    const pages = numberParam(params, 'pages');
    const [heap, aside] = [yield* t.mmap(pages * PAGE_SIZE), yield* t.mmap(pages * PAGE_SIZE)];
    const uffd = yield* Userfaultfd.open(t, UFFD_FEATURE_SIGBUS);
    const world = new Mutex(t.simulation);
    const [begun, back] = [new Set<number>(), new Set<number>()];
    let [cycle, pauseNs, byMutator] = [0, 0, 0];

    /** Reverses the objects of what is to be `page`, where they lie, and moves it there. */
    function* bring(who: Thread, page: number): Running<void> {
      begun.add(page);
      const source = aside + (pages - 1 - page) * PAGE_SIZE;
      for (let [a, b] = [source, source + PAGE_SIZE - OBJECT]; a < b; [a, b] = [a + OBJECT, b - OBJECT]) {
        const [first, last] = [yield* who.read(a), yield* who.read(b)];
        yield* who.write(a, last);
        yield* who.write(b, first);
      }
      yield* uffd.move(who, { start: heap + page * PAGE_SIZE, source, len: PAGE_SIZE });
      back.add(page);
    }
    t.onSignal('SIGBUS', function* (who, { addr }) {
      const page = Math.floor((addr - heap) / PAGE_SIZE);
      if (!begun.has(page)) {
        byMutator++;
        yield* bring(who, page);
      } else while (!back.has(page)) yield* who.sleep(5000); // The collector is at it.
    });

    for (let i = 0; i < pages * PER_PAGE; i++) yield* t.write(heap + i * OBJECT, i);
    yield* uffd.register(t, heap, pages * PAGE_SIZE, UFFDIO_REGISTER_MODE_MISSING);
    const mutator = yield* t.spawn('mutator', function* (m) {
      for (; cycle < numberParam(params, 'cycles') || back.size < pages; m.count('reads')) {
        yield* world.lock(m);
        const i = prng.below(pages * PER_PAGE);
        yield* m.expect(heap + i * OBJECT, cycle % 2 === 0 ? i : pages * PER_PAGE - 1 - i);
        yield* world.unlock(m);
        yield* m.work(200);
      }
    });
    while (cycle < numberParam(params, 'cycles')) {
      yield* t.sleep(100_000);
      const startNs = t.nowNs;
      yield* world.lock(t);
      yield* t.mremap(heap, pages * PAGE_SIZE, pages * PAGE_SIZE, aside, MREMAP_DONTUNMAP);
      cycle++;
      for (const set of [begun, back]) set.clear();
      yield* world.unlock(t);
      pauseNs = Math.max(pauseNs, t.nowNs - startNs);
      for (let page = 0; page < pages; page++) if (!begun.has(page)) yield* bring(t, page);
    }
    yield* t.join(mutator);
    return { 'pages brought by the mutator': byMutator, 'longest pause, ns': pauseNs };
  },
};

export default workload;
