// A garbage collector of one's own, with mprotect and SIGSEGV as its barrier. It moves all objects from one half of the heap to the other, in reverse
// order, while a mutator goes on reading: the new half starts without access, and whoever needs a page first, collector or mutator, fills it through
// a second mapping of the same memory and opens it. The pause only changes access.
//   npx faultline run examples/workloads/barrier-gc.ts
import {
  MAP_SHARED,
  Mutex,
  numberParam,
  PAGE_SIZE,
  PROT_NONE,
  PROT_READ,
  type Running,
  type Thread,
  type ThreadedWorkload,
} from 'faultline/workloads';

const OBJECT = 16;
const PER_PAGE = PAGE_SIZE / OBJECT;

const workload: ThreadedWorkload = {
  name: 'barrier-gc',
  title: 'a collector with mprotect and SIGSEGV as its barrier',
  text: 'Reverses the order of all objects, page by page, while a mutator reads them; each page is filled by whoever needs it first.',
  params: {
    pages: { default: 256, unit: 'pages', text: 'how many pages of objects there are', min: 1 },
    cycles: { default: 3, unit: 'cycles', text: 'how often they are collected' },
  },
  *main(t, params, prng) {
    const pages = numberParam(params, 'pages');
    const nr = pages * PER_PAGE;
    const half = pages * PAGE_SIZE;
    const fd = yield* t.memfd('heap', 2 * half);
    const heap = yield* t.mmap(2 * half, { flags: MAP_SHARED, fd, prot: PROT_NONE });
    const alias = yield* t.mmap(2 * half, { flags: MAP_SHARED, fd });
    const world = new Mutex(t.simulation);
    const filled = new Set<number>();
    // Where the live half begins, in both mappings, and how often it has changed.
    let live = 0;
    let [cycle, pauseNs, byMutator] = [0, 0, 0];

    /** Fills one page of the live half from the other one, and opens it. */
    function* fill(who: Thread, page: number): Running<void> {
      filled.add(page);
      const [to, from] = [
        alias + live + page * PAGE_SIZE,
        alias + (half - live) + (pages - 1 - page) * PAGE_SIZE,
      ];
      for (let at = 0; at < PAGE_SIZE; at += OBJECT)
        yield* who.write(to + at, yield* who.read(from + PAGE_SIZE - OBJECT - at));
      yield* who.mprotect(heap + live + page * PAGE_SIZE, PAGE_SIZE, PROT_READ);
    }
    t.onSignal('SIGSEGV', function* (who, { addr }) {
      const page = Math.floor((addr - heap - live) / PAGE_SIZE);
      if (filled.has(page))
        yield* who.sleep(5000); // The collector is at it.
      else {
        byMutator++;
        yield* fill(who, page);
      }
    });

    for (let i = 0; i < nr; i++) yield* t.write(alias + i * OBJECT, i);
    yield* t.mprotect(heap, half, PROT_READ);
    const mutator = yield* t.spawn('mutator', function* (m) {
      for (; cycle < numberParam(params, 'cycles') || filled.size < pages; m.count('reads')) {
        yield* world.lock(m);
        const i = prng.below(nr);
        yield* m.expect(heap + live + i * OBJECT, cycle % 2 === 0 ? i : nr - 1 - i);
        yield* world.unlock(m);
        yield* m.work(200);
      }
    });
    while (cycle < numberParam(params, 'cycles')) {
      yield* t.sleep(100_000);
      const startNs = t.nowNs;
      yield* world.lock(t);
      yield* t.mprotect(heap, 2 * half, PROT_NONE);
      live = half - live;
      cycle++;
      filled.clear();
      yield* world.unlock(t);
      pauseNs = Math.max(pauseNs, t.nowNs - startNs);
      for (let page = 0; page < pages; page++) if (!filled.has(page)) yield* fill(t, page);
    }
    yield* t.join(mutator);
    return { 'pages filled by the mutator': byMutator, 'longest pause, ns': pauseNs };
  },
};

export default workload;
