import { describe, expect, it } from 'vitest';
import { CALIBRATION, measured } from '../../../test/support/calibration.ts';
import { MAP_SHARED } from '../../abi/mman.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { type UffdMessage, verifyMm } from '../../mm/index.ts';
import type { Running } from '../sched/schedTask.ts';
import { Simulation } from './simulation.ts';
import type { Thread, ThreadMain } from './thread.ts';
import type { TimeReport } from './timeReport.ts';
import { Userfaultfd } from './userfaultfd.ts';

const MISSING = 1;
const WP = 2;
const MINOR = 4;
const PAGES = 64;

function run(main: ThreadMain): TimeReport {
  const simulation = new Simulation({ calibration: CALIBRATION, jitter: 0 });
  simulation.start(
    'main',
    function* (t) {
      yield* main(t);
      if (t.mm !== null) verifyMm(t.mm);
    },
    { cpu: 0 },
  );
  return simulation.run();
}

const pageOf = (message: UffdMessage): number =>
  message.event === 'pagefault' ? message.addr - (message.addr % PAGE_SIZE) : -1;

/** Starts a thread that answers `PAGES` faults; joins after `main` ran beside it. */
function* served(
  t: Thread,
  uffd: Userfaultfd,
  answer: (h: Thread, page: number) => Running<unknown>,
  cpu = 0,
): Running<Thread> {
  return yield* t.spawn(
    'handler',
    function* (h) {
      for (let i = 0; i < PAGES; i++) yield* answer(h, pageOf(yield* uffd.read(h)));
    },
    { cpu },
  );
}

/** Touches pages of `heap` while a handler on `cpu` answers; returns nanoseconds a fault. */
function* timed(
  t: Thread,
  heap: number,
  handler: Thread,
  access: 'read' | 'write' = 'write',
): Running<number> {
  const startNs = t.nowNs;
  yield* t.touch(heap, PAGES * PAGE_SIZE, access);
  yield* t.owe(0);
  const ns = (t.nowNs - startNs) / PAGES;
  yield* t.join(handler);
  return ns;
}

describe('a fault in registered memory', () => {
  it('waits until a handler has copied the page, and costs what was measured on one CPU', () => {
    let ns = 0;
    const { threads } = run(function* (t) {
      const heap = yield* t.mmap(PAGES * PAGE_SIZE);
      const source = yield* t.mmap(PAGE_SIZE);
      yield* t.write(source + 8, 4711);
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, PAGES * PAGE_SIZE, MISSING);
      const fill = (h: Thread, start: number) => uffd.fill(h, 'copy', { start, len: PAGE_SIZE, source });
      ns = yield* timed(t, heap, yield* served(t, uffd, fill));
      yield* t.expect(heap + 5 * PAGE_SIZE + 8, 4711);
    });
    expect(Math.abs(ns / measured('uffd_fault_copy_same_cpu') - 1)).toBeLessThan(0.15);
    expect(threads[0]?.times.parkedNs.get('userfault')).toBeGreaterThan(0);
    expect(threads[0]?.longestStall?.what).toBe('write fault');
  });

  it('is answered by MOVE, and by CONTINUE of shared memory', () => {
    let [move, minor] = [0, 0];
    run(function* (t) {
      const heap = yield* t.mmap(PAGES * PAGE_SIZE);
      const source = yield* t.mmap(PAGES * PAGE_SIZE);
      for (let i = 0; i < PAGES; i++) yield* t.write(source + i * PAGE_SIZE, 100 + i);
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, PAGES * PAGE_SIZE, MISSING);
      const fill = (h: Thread, start: number) =>
        uffd.move(h, { start, source: source + (start - heap), len: PAGE_SIZE });
      move = yield* timed(t, heap, yield* served(t, uffd, fill));
      for (let i = 0; i < PAGES; i++) yield* t.expect(heap + i * PAGE_SIZE, 100 + i);
    });
    run(function* (t) {
      const fd = yield* t.memfd('heap', PAGES * PAGE_SIZE);
      const alias = yield* t.mmap(PAGES * PAGE_SIZE, { flags: MAP_SHARED, fd });
      yield* t.touch(alias, PAGES * PAGE_SIZE, 'write', 7);
      const heap = yield* t.mmap(PAGES * PAGE_SIZE, { flags: MAP_SHARED, fd });
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, PAGES * PAGE_SIZE, MINOR);
      const fill = (h: Thread, start: number) => uffd.fill(h, 'continue', { start, len: PAGE_SIZE });
      minor = yield* timed(t, heap, yield* served(t, uffd, fill));
      yield* t.expect(heap + PAGE_SIZE, 7);
    });
    expect(Math.abs(move / measured('uffd_fault_move_same_cpu') - 1)).toBeLessThan(0.15);
    expect(Math.abs(minor / measured('uffd_fault_continue_same_cpu') - 1)).toBeLessThan(0.15);
  });

  it('of a write to a protected page waits until the protection is taken away', () => {
    let ns = 0;
    run(function* (t) {
      const heap = yield* t.mmap(PAGES * PAGE_SIZE);
      yield* t.touch(heap, PAGES * PAGE_SIZE);
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, PAGES * PAGE_SIZE, WP);
      yield* uffd.writeProtect(t, heap, PAGES * PAGE_SIZE, 1);
      const open = (h: Thread, start: number) => uffd.writeProtect(h, start, PAGE_SIZE, 0);
      ns = yield* timed(t, heap, yield* served(t, uffd, open));
    });
    expect(Math.abs(ns / measured('uffd_fault_wp_same_cpu') - 1)).toBeLessThan(0.15);
  });

  it('across CPUs pays two wake-ups', () => {
    let ns = 0;
    run(function* (t) {
      const heap = yield* t.mmap(PAGES * PAGE_SIZE);
      const source = yield* t.mmap(PAGE_SIZE);
      yield* t.touch(source);
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, heap, PAGES * PAGE_SIZE, MISSING);
      const fill = (h: Thread, start: number) => uffd.fill(h, 'copy', { start, len: PAGE_SIZE, source });
      ns = yield* timed(t, heap, yield* served(t, uffd, fill, 1));
    });
    // The figure is noisy: up to a factor of two between runs.
    expect(Math.abs(ns / measured('uffd_fault_copy_cross_cpu') - 1)).toBeLessThan(0.3);
  });

  it('is polled for, and a thread that waits for it ends with its process', () => {
    const simulation = new Simulation({ calibration: CALIBRATION });
    simulation.start('parent', function* (t) {
      const child = yield* t.fork('child', function* (c) {
        c.group.mayBeKilled = true;
        const heap = yield* c.mmap(PAGE_SIZE);
        const uffd = yield* Userfaultfd.open(c);
        yield* uffd.register(c, heap, PAGE_SIZE, MISSING);
        expect(yield* c.poll([uffd], 1000)).toEqual([]);
        yield* c.spawn('waits', (w) => w.touch(heap));
        expect(yield* c.poll([uffd])).toEqual([uffd]);
        yield* c.read(0x3000_0000);
      });
      yield* t.join(child);
    });
    simulation.run();
  });
});
