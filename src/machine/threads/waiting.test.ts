import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import {
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MADV_POPULATE_WRITE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
} from '../../abi/mman.ts';
import {
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_EVENT_REMOVE,
  UFFD_FEATURE_EVENT_UNMAP,
} from '../../abi/userfaultfd.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { type UffdMessage, verifyMm } from '../../mm/index.ts';
import type { Running } from '../sched/schedTask.ts';
import { Simulation } from './simulation.ts';
import type { Thread } from './thread.ts';
import { Userfaultfd } from './userfaultfd.ts';

const MISSING = 1;
const PAGES = 4;
const LEN = PAGES * PAGE_SIZE;

/** A message as these tests tell it: what, and which pages of `heap`. */
const told = (message: UffdMessage, heap: number): string => {
  const page = (addr: number) => (addr - heap) / PAGE_SIZE;
  switch (message.event) {
    case 'pagefault':
      return `fault ${page(message.addr)} flags ${message.flags}`;
    case 'fork':
      return 'fork';
    case 'remap':
      return `remap ${page(message.from)} by ${message.len / PAGE_SIZE}`;
    default:
      return `${message.event} ${page(message.start)}..${page(message.end)}`;
  }
};

interface Scene {
  readonly t: Thread;
  readonly heap: number;
  readonly uffd: Userfaultfd;
  readonly log: string[];
}

/**
 * Runs `act` in a process whose heap is registered for missing pages, beside a monitor that sleeps 50 µs before each read, notes messages and answers faults
 * with page `i` holding 100 + i. Returns the notes of both in the order in which they were made.
 */
function played(features: number, act: (scene: Scene) => Running<void>, nrMessages: number): string[] {
  const log: string[] = [];
  const simulation = new Simulation({ calibration: CALIBRATION, jitter: 0 });
  simulation.start('main', function* (t) {
    const heap = yield* t.mmap(LEN);
    const source = yield* t.mmap(LEN);
    for (let i = 0; i < PAGES; i++) yield* t.write(source + i * PAGE_SIZE, 100 + i);
    const uffd = yield* Userfaultfd.open(t, features);
    yield* uffd.register(t, heap, LEN, MISSING);
    const monitor = yield* t.spawn('monitor', function* (m) {
      for (let i = 0; i < nrMessages; i++) {
        yield* m.poll([uffd]);
        yield* m.sleep(50_000);
        if (features !== 0) {
          const early = yield* uffd.fill(m, 'zeropage', { start: heap, len: PAGE_SIZE });
          log.push(early.why);
        }
        const message = yield* uffd.read(m);
        log.push(told(message, heap));
        if (message.event !== 'pagefault') continue;
        const start = message.addr - (message.addr % PAGE_SIZE);
        yield* uffd.fill(m, 'copy', { start, len: PAGE_SIZE, source: source + (start - heap) });
      }
    });
    yield* act({ t, heap, uffd, log });
    yield* t.join(monitor);
    if (t.mm !== null) verifyMm(t.mm);
  });
  simulation.run();
  return log;
}

const fill = ({ t, heap, uffd }: Scene, pages = PAGES): Running<unknown> =>
  uffd.fill(t, 'zeropage', { start: heap, len: pages * PAGE_SIZE });

describe('a call that has to announce what it does waits until that was read', () => {
  it('munmap: the vma is gone meanwhile', () => {
    const log = played(
      UFFD_FEATURE_EVENT_UNMAP,
      function* ({ t, heap, log }) {
        yield* t.spawn('onlooker', function* (o) {
          yield* o.sleep(20_000);
          log.push(o.mm?.vmas.at(heap) === null ? 'gone' : 'there');
        });
        yield* t.munmap(heap, LEN);
        log.push('unmapped');
      },
      1,
    );
    expect(log).toEqual(['gone', 'changing', 'unmap 0..4', 'unmapped']);
  });

  it('madvise: the pages are still there meanwhile, and go then', () => {
    const log = played(
      UFFD_FEATURE_EVENT_REMOVE,
      function* (scene) {
        const { t, heap, log } = scene;
        yield* fill(scene);
        yield* t.spawn('onlooker', function* (o) {
          yield* o.sleep(20_000);
          log.push(o.load(heap) === null ? 'gone' : 'there');
        });
        yield* t.madvise(heap, LEN, MADV_DONTNEED);
        log.push(t.load(heap) === null ? 'removed' : 'kept');
      },
      1,
    );
    expect(log).toEqual(['there', 'changing', 'remove 0..4', 'removed']);
  });

  it('mremap: first of the move, then of what it left', () => {
    const log = played(
      UFFD_FEATURE_EVENT_REMAP + UFFD_FEATURE_EVENT_UNMAP,
      function* (scene) {
        const { t, heap, log } = scene;
        const room = yield* t.mmap(LEN);
        yield* fill(scene);
        yield* t.mremap(heap, LEN, LEN, room);
        log.push('moved');
      },
      2,
    );
    expect(log).toEqual(['changing', 'remap 0 by 4', 'changing', 'unmap 0..4', 'moved']);
  });

  it('mremap that keeps its source: of the move only', () => {
    const log = played(
      UFFD_FEATURE_EVENT_REMAP + UFFD_FEATURE_EVENT_UNMAP,
      function* ({ t, heap, log }) {
        const room = yield* t.mmap(LEN);
        yield* t.mremap(heap, LEN, LEN, room, MREMAP_DONTUNMAP);
        log.push('moved');
      },
      1,
    );
    expect(log).toEqual(['changing', 'remap 0 by 4', 'moved']);
  });

  it('fork: the child begins when its parent goes on, and its faults come to a userfaultfd of its own', () => {
    const log: string[] = [];
    const simulation = new Simulation({ calibration: CALIBRATION, jitter: 0 });
    simulation.start('main', function* (t) {
      const heap = yield* t.mmap(LEN);
      const uffd = yield* Userfaultfd.open(t, UFFD_FEATURE_EVENT_FORK);
      yield* uffd.register(t, heap, LEN, MISSING);
      const monitor = yield* t.spawn('monitor', function* (m) {
        yield* m.poll([uffd]);
        yield* m.sleep(50_000);
        const message = yield* uffd.read(m);
        if (message.event !== 'fork') throw new Error(message.event);
        log.push('read');
        const childs = Userfaultfd.ofFork(m, message);
        log.push(`child: ${told(yield* childs.read(m), heap)}`);
        yield* childs.fill(m, 'zeropage', { start: heap, len: LEN });
      });
      const child = yield* t.fork('child', function* (c) {
        log.push('child begins');
        yield* c.write(heap + PAGE_SIZE, 7);
        log.push('child wrote');
      });
      log.push('forked');
      yield* t.join(child);
      yield* t.join(monitor);
    });
    simulation.run();
    expect(log[0]).toBe('read');
    expect(log.slice(1, 3).sort()).toEqual(['child begins', 'forked']);
    expect(log.slice(3)).toEqual(['child: fault 1 flags 1', 'child wrote']);
  });

  it('close of the userfaultfd lets it go', () => {
    const log: string[] = [];
    const simulation = new Simulation({ calibration: CALIBRATION, jitter: 0 });
    simulation.start('main', function* (t) {
      const heap = yield* t.mmap(LEN);
      const uffd = yield* Userfaultfd.open(t, UFFD_FEATURE_EVENT_UNMAP);
      yield* uffd.register(t, heap, LEN, MISSING);
      const monitor = yield* t.spawn('monitor', function* (m) {
        yield* m.sleep(50_000);
        log.push('close');
        yield* uffd.close(m);
      });
      yield* t.munmap(heap, PAGE_SIZE);
      log.push('unmapped');
      yield* t.write(heap + PAGE_SIZE, 5);
      yield* t.join(monitor);
    });
    simulation.run();
    expect(log).toEqual(['close', 'unmapped']);
  });
});

describe('the end of a process', () => {
  it('closes its userfaultfds: who waits for them, in other processes, goes on', () => {
    const log: string[] = [];
    const simulation = new Simulation({ calibration: CALIBRATION, jitter: 0 });
    simulation.start('main', function* (t) {
      const heap = yield* t.mmap(LEN);
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, LEN, MISSING);
      const monitor = yield* t.fork('monitor', function* (m) {
        log.push(told(yield* uffd.read(m), heap));
        yield* m.sleep(50_000);
        log.push('monitor ends');
      });
      yield* uffd.close(t);
      yield* t.write(heap, 5);
      log.push('written');
      yield* t.join(monitor);
    });
    simulation.run();
    expect(log).toEqual(['fault 0 flags 1', 'monitor ends', 'written']);
  });
});

describe('a call that meets missing pages waits for each, in order', () => {
  const all = [0, 1, 2, 3].map((i) => `fault ${i} flags 1`);
  const calls: readonly (readonly [string, readonly string[], (scene: Scene) => Running<unknown>])[] = [
    ['mlock', all, ({ t, heap }) => t.call({ call: 'mlock', addr: heap, len: LEN })],
    ['MADV_POPULATE_WRITE', all, ({ t, heap }) => t.madvise(heap, LEN, MADV_POPULATE_WRITE)],
    [
      'read(2) into it',
      all,
      ({ t, heap }) => t.call({ call: 'touch', addr: heap, len: LEN, access: 'write', by: 'kernel' }),
    ],
    [
      'process_vm_readv of itself',
      all.map((line) => line.replace('flags 1', 'flags 0')),
      ({ t, heap }) =>
        t.call({
          call: 'process_vm',
          target: 'self',
          ranges: [{ addr: heap, len: LEN }],
          max: LEN,
          write: false,
        }),
    ],
  ];
  it.each(calls)('%s', (_name, expected, act) => {
    const log = played(
      0,
      function* (scene) {
        yield* act(scene);
        scene.log.push('done');
        for (let i = 0; i < PAGES; i++) yield* scene.t.expect(scene.heap + i * PAGE_SIZE, 100 + i);
      },
      PAGES,
    );
    expect(log).toEqual([...expected, 'done']);
  });
  it('COPY out of registered memory asks for its source', () => {
    const log: string[] = [];
    const simulation = new Simulation({ calibration: CALIBRATION, jitter: 0 });
    simulation.start('main', function* (t) {
      const heap = yield* t.mmap(LEN);
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, LEN, MISSING);
      const monitor = yield* t.spawn('monitor', function* (m) {
        log.push(told(yield* uffd.read(m), heap));
        yield* uffd.fill(m, 'zeropage', { start: heap + PAGE_SIZE, len: PAGE_SIZE });
      });
      const came = yield* uffd.fill(t, 'copy', { start: heap, len: PAGE_SIZE, source: heap + PAGE_SIZE });
      log.push(`${came.why} ${came.done}`);
      yield* t.join(monitor);
    });
    simulation.run();
    expect(log).toEqual(['fault 1 flags 0', 'ok 4096']);
  });
});

describe('bytes', () => {
  it('go through the tables, across pages, and survive swap', () => {
    const simulation = new Simulation({ calibration: CALIBRATION, config: { totalSwapPages: 64 } });
    simulation.start('main', function* (t) {
      const heap = yield* t.mmap(LEN);
      const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (7 * i) % 251);
      yield* t.writeBytes(heap + 4001, bytes);
      expect(t.loadBytes(heap + 4001, new Uint8Array(5000))).toBe(5000);
      yield* t.madvise(heap, LEN, MADV_PAGEOUT);
      expect(t.mm?.nrSwap).toBe(3);
      const back = new Uint8Array(5000);
      expect(t.loadBytes(heap + 4001, back)).toBe(0);
      yield* t.readBytes(heap + 4001, back);
      expect(back).toEqual(bytes);
      yield* t.copyBytes(heap + 100, heap + 4001, 3000);
      const copy = new Uint8Array(3000);
      yield* t.readBytes(heap + 100, copy);
      expect(copy).toEqual(bytes.subarray(0, 3000));
      expect(t.bytesCopied).toBe(3000);
    });
    simulation.run();
  });

  it('are the same through a second mapping of the file', () => {
    const simulation = new Simulation({ calibration: CALIBRATION });
    simulation.start('main', function* (t) {
      const fd = yield* t.memfd('heap', LEN);
      const a = yield* t.mmap(LEN, { flags: MAP_SHARED, fd });
      const b = yield* t.mmap(LEN, { flags: MAP_SHARED, fd });
      yield* t.writeBytes(a + PAGE_SIZE - 2, Uint8Array.of(1, 2, 3, 4));
      const back = new Uint8Array(4);
      yield* t.readBytes(b + PAGE_SIZE - 2, back);
      expect([...back]).toEqual([1, 2, 3, 4]);
    });
    simulation.run();
  });

  it('of a source that is not aligned are copied whole by UFFDIO_COPY', () => {
    const simulation = new Simulation({ calibration: CALIBRATION });
    simulation.start('main', function* (t) {
      const heap = yield* t.mmap(LEN);
      const source = yield* t.mmap(2 * PAGE_SIZE);
      const bytes = Uint8Array.from({ length: 2 * PAGE_SIZE }, (_, i) => (3 * i) % 253);
      yield* t.writeBytes(source, bytes);
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, LEN, MISSING);
      yield* uffd.fill(t, 'copy', { start: heap, len: PAGE_SIZE, source: source + 77 });
      const back = new Uint8Array(PAGE_SIZE);
      yield* t.readBytes(heap, back);
      expect(back).toEqual(bytes.subarray(77, 77 + PAGE_SIZE));
    });
    simulation.run();
  });
});
