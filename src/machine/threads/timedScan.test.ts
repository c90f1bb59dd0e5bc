/** Looking for empty page tables in virtual time: who pays, and what comes between. Each `it` begins with the numbers of spec/pt-reclaim.md 6 that it covers. */
import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { MADV_COLLAPSE, MADV_DONTNEED, MADV_PT_RECLAIM, PROT_READ, PROT_WRITE } from '../../abi/mman.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import { FACT, type FactName, type Features, LINUX_6_18, verifyMm } from '../../mm/index.ts';
import type { Running } from '../sched/schedTask.ts';
import { Simulation } from './simulation.ts';
import type { Thread, ThreadMain } from './thread.ts';

const BASE = 0x2000_0000_0000;
const MS = 1e6;
const PROT_RW = PROT_READ | PROT_WRITE;

/** Runs a program with the scan set as told, checks the address space at its end, and returns the machine. */
function run(features: Partial<Features>, main: ThreadMain, cpus = 2): Simulation {
  const simulation = new Simulation({
    calibration: CALIBRATION,
    features: { ...LINUX_6_18, ptReclaim: 'async', ...features },
    jitter: 0,
    cpus,
  });
  simulation.start('main', function* (t) {
    yield* main(t);
    if (t.mm !== null) verifyMm(t.mm);
  });
  simulation.run();
  return simulation;
}
const fact = ({ kernel }: Simulation, name: FactName): number => kernel.work.facts[FACT[name]] as number;
const tablesOf = (t: Thread): number => t.mm?.pages.nrPtes ?? 0;

/** Maps `tables` whole tables and leaves them empty. */
function* emptied(t: Thread, tables: number): Running<Addr> {
  const heap = yield* t.mmap(tables * PMD_SIZE, { at: BASE });
  for (let at = heap; at < heap + tables * PMD_SIZE; at += PMD_SIZE) {
    yield* t.touch(at);
    yield* t.madvise(at, PAGE_SIZE, MADV_DONTNEED);
  }
  return heap;
}

describe('a scan', () => {
  it('27, 30: comes with the first return to the program after its time; who sleeps is not scanned', () => {
    const left: number[] = [];
    const simulation = run({}, function* (t) {
      yield* emptied(t, 50);
      left.push(tablesOf(t));
      yield* t.work(99 * MS);
      left.push(tablesOf(t));
      yield* t.work(10 * MS);
      left.push(tablesOf(t));
      const more = yield* t.mmap(PMD_SIZE, { at: BASE + 2 ** 30 });
      yield* t.touch(more);
      yield* t.madvise(more, PAGE_SIZE, MADV_DONTNEED);
      yield* t.sleep(5000 * MS);
      left.push(tablesOf(t));
      // From the beginning of the address space a scan comes no further than the first vma.
      yield* t.work(210 * MS);
      left.push(tablesOf(t));
    });
    expect(left).toEqual([50, 50, 0, 1, 0]);
    expect(fact(simulation, 'ptScans')).toBeLessThan(6);
  });
  it('30: with idle a thread of the kernel scans who sleeps', () => {
    const left = (idle: boolean): number => {
      let found = -1;
      run({ ptScan: { idle } }, function* (t) {
        yield* emptied(t, 4);
        const other = yield* t.spawn('other', function* (o) {
          yield* o.sleep(450 * MS);
          found = tablesOf(o);
        });
        yield* t.sleep(1000 * MS);
        yield* t.join(other);
      });
      return found;
    };
    expect([left(false), left(true)]).toEqual([4, 0]);
  });
  it('29: is paid by who comes first: one giant vma in one stop, or in pieces', () => {
    const longest = (stop: 'vmaEnd' | 'exact'): { longestNs: number; scans: number } => {
      const simulation = run({ ptScan: { stop, size: 128 * PMD_SIZE } }, function* (t) {
        yield* emptied(t, 1024);
        yield* t.work(2000 * MS);
      });
      expect(fact(simulation, 'ptFreedAsync')).toBe(1024);
      return {
        longestNs: simulation.machine.tableReclaim.times.longestNs,
        scans: fact(simulation, 'ptScans'),
      };
    };
    const [whole, pieces] = [longest('vmaEnd'), longest('exact')];
    // 512 entries and a table that is freed are about 0.9 µs.
    expect(whole.longestNs).toBeGreaterThan(1024 * 700);
    expect(pieces.longestNs).toBeLessThan(whole.longestNs / 7);
    expect(pieces.scans).toBeGreaterThanOrEqual(8);
  });
  it('is put off while somebody changes vmas', () => {
    const simulation = run({ ptScan: { interval: 1 } }, function* (t) {
      const heap = yield* emptied(t, 200);
      const other = yield* t.spawn('other', function* (o) {
        const len = 4096 * PAGE_SIZE;
        const at = yield* o.mmap(len);
        yield* o.touch(at, len);
        for (let i = 0; i < 400; i++) yield* o.mprotect(at, len, i % 2 === 0 ? PROT_READ : PROT_RW);
      });
      for (let i = 0; i < 60; i++) yield* t.work(1.3 * MS);
      yield* t.touch(heap);
      yield* t.join(other);
    });
    expect(fact(simulation, 'ptScanTrylockFailed')).toBeGreaterThan(0);
    expect(fact(simulation, 'ptFreedAsync')).toBeGreaterThan(0);
  });
  it('39: gives reuse its time with minAge', () => {
    const made = (minAge: number): number => {
      const simulation = run({ ptScan: { minAge, interval: 20 } }, function* (t) {
        const heap = yield* t.mmap(PMD_SIZE, { at: BASE });
        for (let i = 0; i < 40; i++) {
          yield* t.touch(heap);
          yield* t.madvise(heap, PMD_SIZE, MADV_DONTNEED);
          yield* t.work(15 * MS);
        }
      });
      return fact(simulation, 'ptReallocated');
    };
    expect(made(0)).toBeGreaterThan(5);
    expect(made(1)).toBe(0);
  });
});

/** Two threads that do the same; whoever of them returns to the program first when a scan is due does it beside the other one. */
function beside(lock: 'table' | 'gupFast', each: (o: Thread, heap: Addr) => Running<void>): Simulation {
  return run(
    {
      ptScan: { lock, interval: 1, entryNs: 40 },
      ptReclaim: 'sync+async',
      madvPtReclaim: 'on',
      thp: 'madvise',
    },
    function* (t) {
      const heap = yield* emptied(t, 128);
      const other = yield* t.spawn('other', (o) => each(o, heap + 64 * PMD_SIZE));
      yield* each(t, heap);
      yield* t.join(other);
    },
  );
}
/** Stores to each table in turn, gives it back, and does so again. */
function* stores(o: Thread, heap: Addr): Running<void> {
  for (let i = 0; i < 6000; i++) {
    const at = heap + (i % 64) * PMD_SIZE;
    yield* o.write(at, i);
    yield* o.expect(at, i);
    yield* o.madvise(at, PAGE_SIZE, MADV_DONTNEED);
    yield* o.expect(at, 0);
    yield* o.madvise(at, PAGE_SIZE, MADV_DONTNEED);
  }
}

describe('between the look and the clearing', () => {
  it('36: a fault keeps the table that was found empty without locks, and its page', () => {
    const simulation = beside('gupFast', stores);
    expect(fact(simulation, 'ptRaceKept')).toBeGreaterThan(0);
    expect(fact(simulation, 'ptScanUnlocked')).toBeGreaterThan(0);
  });
  it('36: a fault that waited for the lock of a table that goes begins again', () => {
    const simulation = beside('table', stores);
    expect(fact(simulation, 'ptMapRetries')).toBeGreaterThan(0);
    expect(fact(simulation, 'ptRaceKept')).toBe(0);
  });
  it('a zap takes the table first', () => {
    const simulation = beside('gupFast', function* (o, heap) {
      for (let i = 0; i < 3000; i++) {
        const at = heap + (i % 64) * PMD_SIZE;
        yield* o.write(at, i);
        yield* o.madvise(at, PAGE_SIZE, MADV_DONTNEED);
        yield* o.work(3000);
        yield* o.madvise(at, PMD_SIZE, MADV_DONTNEED);
        yield* o.expect(at, 0);
        yield* o.madvise(at, PAGE_SIZE, MADV_DONTNEED);
      }
    });
    expect(fact(simulation, 'ptRaceKept')).toBeGreaterThan(0);
    expect(fact(simulation, 'ptFreedSync')).toBeGreaterThan(0);
  });
  it('a huge page covers it; an mremap has to wait', () => {
    const simulation = beside('gupFast', function* (o, heap) {
      for (let i = 0; i < 300; i++) {
        const at = heap + (i % 64) * PMD_SIZE;
        yield* o.write(at, i);
        yield* o.attempt({ call: 'madvise', addr: at, len: PMD_SIZE, advice: MADV_COLLAPSE });
        yield* o.expect(at, i);
        const to = at + 2 ** 31;
        yield* o.mremap(at, PMD_SIZE, PMD_SIZE, to);
        yield* o.expect(to, i);
        yield* o.mremap(to, PMD_SIZE, PMD_SIZE, at);
        yield* o.expect(at, i);
        yield* o.madvise(at, PMD_SIZE, MADV_DONTNEED);
      }
    });
    expect(fact(simulation, 'ptScans')).toBeGreaterThan(0);
    expect(fact(simulation, 'tablesMoved') + fact(simulation, 'pmdsMoved')).toBeGreaterThan(0);
  });
  it('MADV_PT_RECLAIM says EAGAIN for what is not empty any more, and frees the rest', () => {
    let again = 0;
    const simulation = run({ ptReclaim: 'off', madvPtReclaim: 'on' }, function* (t) {
      const heap = yield* emptied(t, 64);
      const other = yield* t.spawn('other', (o) => stores(o, heap));
      for (let i = 0; i < 400; i++) {
        const outcome = yield* t.attempt({
          call: 'madvise',
          addr: heap,
          len: 64 * PMD_SIZE,
          advice: MADV_PT_RECLAIM,
        });
        if (outcome.kind === 'errno') again++;
        yield* t.work(50_000);
      }
      yield* t.join(other);
    });
    expect(again).toBeGreaterThan(0);
    expect(fact(simulation, 'ptRaceKept')).toBeGreaterThanOrEqual(again);
    expect(fact(simulation, 'ptFreedAdvised')).toBeGreaterThan(64);
  });
  it('36: MADV_DONTNEED of more pages than fit into a gather looks at the last table again', () => {
    const kept = (isBusy: boolean): { slow: number; kept: number } => {
      const simulation = run({ ptReclaim: 'sync' }, function* (t) {
        const len = 24 * PMD_SIZE;
        const heap = yield* t.mmap(len, { at: BASE });
        yield* t.touch(heap, len);
        let isOver = false;
        const other = yield* t.spawn('other', function* (o) {
          for (let i = 0; isBusy && !isOver; i++)
            for (let table = 0; table < 24; table++) {
              yield* o.write(heap + table * PMD_SIZE, i);
              yield* o.expect(heap + table * PMD_SIZE, i);
              yield* o.work(100);
            }
        });
        yield* t.work(1000);
        yield* t.madvise(heap, len, MADV_DONTNEED);
        isOver = true;
        yield* t.join(other);
      });
      return { slow: fact(simulation, 'ptFreedSlow'), kept: fact(simulation, 'ptRaceKept') };
    };
    expect(kept(false)).toEqual({ slow: 1, kept: 0 });
    expect(kept(true)).toEqual({ slow: 0, kept: 1 });
  });
});
