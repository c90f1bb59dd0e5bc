/**
 * Address spaces far larger than this machine's memory: what is not touched takes nothing.
 */
import { expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { MADV_DONTNEED, MADV_NOHUGEPAGE, MADV_POPULATE_WRITE, MAP_NORESERVE } from '../../abi/mman.ts';
import { PAGE_IS_PRESENT, PAGE_IS_WRITTEN, PM_SCAN_WP_MATCHING } from '../../abi/pagemapScan.ts';
import { UFFD_FEATURE_WP_ASYNC } from '../../abi/userfaultfd.ts';
import { PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import { scanPagemap } from './pagemapFile.ts';
import { Simulation } from './simulation.ts';
import { Userfaultfd } from './userfaultfd.ts';

const TIB = 2 ** 40;
const WP = 2;
/** One window of 2 MiB in a hundred. */
const STRIDE = 100 * PMD_SIZE;
const WINDOWS = Math.floor(TIB / STRIDE);

it('1 TiB of which 1 % is touched is mapped, filled, protected, scanned, written and given back', () => {
  const simulation = new Simulation({ calibration: CALIBRATION, contents: 'fingerprint', cpus: 1 });
  simulation.start('main', function* (t) {
    const mapped = yield* t.mmap(TIB + PMD_SIZE, { flags: MAP_NORESERVE });
    const heap = Math.ceil(mapped / PMD_SIZE) * PMD_SIZE;
    yield* t.madvise(heap, TIB, MADV_NOHUGEPAGE);
    for (let i = 0; i < WINDOWS; i++) yield* t.madvise(heap + i * STRIDE, PMD_SIZE, MADV_POPULATE_WRITE);
    expect(t.mm?.rssAnon).toBe(WINDOWS * 512);
    expect(t.mm?.pages.nrPtes).toBe(WINDOWS);
    const uffd = yield* Userfaultfd.open(t, UFFD_FEATURE_WP_ASYNC);
    yield* uffd.register(t, heap, TIB, WP);
    const range = { start: heap, end: heap + TIB };
    const first = yield* scanPagemap(t, {
      ...range,
      mask: PAGE_IS_PRESENT | PAGE_IS_WRITTEN,
      returned: PAGE_IS_PRESENT,
      flags: PM_SCAN_WP_MATCHING,
    });
    expect([first.why, first.regions.length]).toEqual(['ok', WINDOWS]);
    for (let i = 0; i < WINDOWS; i += 7) yield* t.write(heap + i * STRIDE + 3 * PAGE_SIZE, i + 1);
    const written = yield* scanPagemap(t, {
      ...range,
      mask: PAGE_IS_PRESENT | PAGE_IS_WRITTEN,
      returned: PAGE_IS_WRITTEN,
    });
    expect(written.regions.map(({ start, end }) => [(start - heap) / STRIDE, end - start])).toEqual(
      Array.from({ length: Math.ceil(WINDOWS / 7) }, (_, i) => [7 * i + (3 * PAGE_SIZE) / STRIDE, PAGE_SIZE]),
    );
    yield* t.expect(heap + 7 * STRIDE + 3 * PAGE_SIZE, 8);
    yield* t.madvise(heap, TIB, MADV_DONTNEED);
    expect([t.mm?.rssAnon, t.mm?.pages.nrPtes]).toEqual([0, 0]);
  });
  simulation.run();
}, 120_000);

const LARGE = 32 * 2 ** 30;
it('32 GiB whose every page is marked take one page of ours for all tables', () => {
  const simulation = new Simulation({ calibration: CALIBRATION, contents: 'fingerprint', cpus: 1 });
  simulation.start('main', function* (t) {
    const mapped = yield* t.mmap(LARGE + PMD_SIZE, { flags: MAP_NORESERVE });
    const heap = Math.ceil(mapped / PMD_SIZE) * PMD_SIZE;
    const uffd = yield* Userfaultfd.open(t, UFFD_FEATURE_WP_ASYNC);
    yield* uffd.register(t, heap, LARGE, WP);
    yield* uffd.writeProtect(t, heap, LARGE, 1);
    expect(t.mm?.pages.nrPtes).toBe(LARGE / PMD_SIZE);
    // A page for each GiB above them, those above that, and one for all that are alike.
    expect(simulation.kernel.tables.arena.nrUsed).toBeLessThan(32 + 8);
  });
  simulation.run();
}, 120_000);
