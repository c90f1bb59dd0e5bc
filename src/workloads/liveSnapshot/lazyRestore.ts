/**
 * A guest restored from the image of a snapshot while it runs: its memory is registered as missing, and a thread brings in each page when it is asked for,
 * copied from the image or, where the image has nothing, as the zero page.
 *
 * Whoever reads a page holds it against the image.
 */
import { UFFDIO_REGISTER_MODE_MISSING } from '../../abi/userfaultfd.ts';
import { Histogram } from '../../base/histogram.ts';
import type { Prng } from '../../base/prng.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import { calibrationFigures, type Running, type Thread, Userfaultfd } from '../../machine/index.ts';
import { GuestMemory, type MemoryShape } from './guestMemory.ts';
import type { PageWords } from './pageWords.ts';

/** What came of it. */
export interface Restored {
  readonly nrCopied: number;
  readonly nrZero: number;
  /** How long a first access took, nanoseconds. */
  readonly stalls: Histogram;
}

/** The server looks up this often whether it is over, nanoseconds. */
const LOOK_UP_NS = 1_000_000;

/** Maps memory like that of the guest, and reads `nrReads` pages of it at random. */
export function* restoreLazily(
  t: Thread,
  of: { image: PageWords; shape: MemoryShape; nrReads: number; prng: Prng },
): Running<Restored> {
  const { image, shape, nrReads, prng } = of;
  const memory = yield* GuestMemory.map(t, shape);
  const uffd = yield* Userfaultfd.open(t);
  yield* uffd.register(t, memory.at, memory.len, UFFDIO_REGISTER_MODE_MISSING);
  const counts = { nrCopied: 0, nrZero: 0 };
  const stalls = new Histogram();
  let isOver = false;
  const server = yield* t.spawn('pages of the image', function* (s) {
    const buffer = yield* s.mmap(PAGE_SIZE);
    const copyNs = calibrationFigures(s.simulation.costs.calibration).figure('copy_4k_cold');
    while (!isOver) {
      if ((yield* s.poll([uffd], LOOK_UP_NS)).length === 0) continue;
      const message = yield* uffd.read(s);
      if (message.event !== 'pagefault') continue;
      const start = Math.floor(message.addr / PAGE_SIZE) * PAGE_SIZE;
      const word = image.get(memory.pageOf(start));
      if (word === 0) {
        counts.nrZero++;
        yield* uffd.fill(s, 'zeropage', { start, len: PAGE_SIZE, source: 0 });
        continue;
      }
      counts.nrCopied++;
      s.uses(copyNs);
      yield* s.write(buffer, word);
      yield* uffd.fill(s, 'copy', { start, len: PAGE_SIZE, source: buffer });
    }
  });
  for (let i = 0; i < nrReads; i++) {
    const page = prng.below(memory.nrPages);
    const addr = memory.addrOf(page);
    const startNs = t.nowNs;
    if (t.load(addr) === null) {
      yield* t.read(addr);
      stalls.add(t.nowNs - startNs);
    }
    yield* t.expect(addr, image.get(page));
  }
  isOver = true;
  yield* t.join(server);
  yield* uffd.unregister(t, memory.at, memory.len);
  yield* t.munmap(memory.at, memory.len);
  return { ...counts, stalls };
}
