// A server that fills shared pages on request: clients ask for a page through a pipe and sleep on a futex in shared memory until it is there. What a
// request takes is mostly waking up: on one CPU two switches, on two the wake-up of the other one.
//   npx faultline compare examples/workloads/page-server.ts --vary batch=1,8
import { MAP_SHARED, numberParam, PAGE_SIZE, Pipe, type ThreadedWorkload } from 'faultline/workloads';

/** Word of a page that says whether it is filled. */
const READY = 8;

const workload: ThreadedWorkload = {
  name: 'page-server',
  title: 'clients that ask a server for pages',
  text: 'Each client asks for its pages in order, some at a time, and checks what the server put into them.',
  params: {
    clients: { default: 2, unit: 'clients', text: 'how many clients', min: 1, max: 64 },
    pages: { default: 200, unit: 'pages', text: 'how many pages each client wants' },
    batch: { default: 1, unit: 'pages', text: 'how many it asks for at once', min: 1 },
    timeout: {
      default: 2_000_000,
      unit: 'ns',
      text: 'how long the server waits for requests before it ends',
    },
  },
  *main(t, params) {
    const [clients, pages, batch] = [
      numberParam(params, 'clients'),
      numberParam(params, 'pages'),
      numberParam(params, 'batch'),
    ];
    const size = clients * pages * PAGE_SIZE;
    const fd = yield* t.memfd('pages', size);
    const memory = yield* t.mmap(size, { flags: MAP_SHARED, fd });
    const requests = new Pipe<{ first: number; end: number }>(t.simulation);
    for (let client = 0; client < clients; client++)
      yield* t.spawn(`client ${client}`, function* (c) {
        for (let i = 0; i < pages; i += batch) {
          const first = client * pages + i;
          const end = client * pages + Math.min(i + batch, pages);
          yield* requests.write(c, { first, end });
          const ready = memory + (end - 1) * PAGE_SIZE + READY;
          while ((yield* c.read(ready)) === 0) yield* c.futexWait(ready, 0);
          for (let page = first; page < end; page++) yield* c.expect(memory + page * PAGE_SIZE, page + 1);
          c.count('pages', end - first);
        }
      });
    let nrRequests = 0;
    for (;;) {
      const [ready] = yield* t.poll([requests], numberParam(params, 'timeout'));
      if (ready === undefined) return { requests: nrRequests };
      nrRequests++;
      const { first, end } = yield* ready.read(t);
      for (let page = first; page < end; page++) {
        const at = memory + page * PAGE_SIZE;
        yield* t.write(at, page + 1);
        yield* t.write(at + READY, 1);
      }
      yield* t.futexWake(memory + (end - 1) * PAGE_SIZE + READY);
    }
  },
};

export default workload;
