/**
 * Which stores a tracker of writes misses: pages of a range are written, read, or left alone; then the range is protected, and every page is stored to.
 *
 * A store that nobody hears of is lost: to a page that was not there when the range was protected, unless a marker or the zero page was put there.
 * With the default feature set a reader of the userfaultfd hears of stores; with WP_ASYNC, PAGEMAP_SCAN tells of them afterwards.
 */

import { MADV_POPULATE_READ } from '../abi/mman.ts';
import { PAGE_IS_WRITTEN, PM_SCAN_ARG_SIZE } from '../abi/pagemapScan.ts';
import {
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../abi/userfaultfd.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { type Calibration, type Running, type Thread, Userfaultfd } from '../machine/index.ts';
import { pagemapScan } from '../mm/index.ts';
import { numberParam } from '../workloads/index.ts';
import { memoryOf, runAlone } from './alone.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';

/** How the range is protected before the stores. */
export type Tracker = 'default' | 'pre-read' | 'populate-read' | 'wp-unpopulated' | 'wp-async';
/** All of them, in the order of the rows. */
export const TRACKERS: readonly Tracker[] = [
  'default',
  'pre-read',
  'populate-read',
  'wp-unpopulated',
  'wp-async',
];

/** On 6.18.44: with `default`, every page that was not there, which is half of them. */
const MEASURED_PAGES = 1024;
const MEASURED_LOST: Readonly<Record<Tracker, number>> = {
  default: 512,
  'pre-read': 0,
  'populate-read': 0,
  'wp-unpopulated': 0,
  'wp-async': 0,
};

const RANGE = 0x7e40_0000_0000;

/** Returns how many of `pages` stores nobody hears of. */
export function lostStores(calibration: Calibration, tracker: Tracker, pages: number): number {
  return runAlone({ calibration }, (t) =>
    tracker === 'wp-async' ? scanned(t, pages) : served(t, tracker, pages),
  );
}

/** Of each four pages one was written, one read, two are not there. The page behind the range was written: its fault ends the run. */
function* fill(t: Thread, pages: number): Running<void> {
  yield* t.mmap((pages + 1) * PAGE_SIZE, { at: RANGE });
  for (let page = 0; page < pages; page += 4) {
    yield* t.touch(RANGE + page * PAGE_SIZE);
    yield* t.touch(RANGE + (page + 1) * PAGE_SIZE, PAGE_SIZE, 'read');
  }
  yield* t.touch(RANGE + pages * PAGE_SIZE);
}

function* served(t: Thread, tracker: Tracker, pages: number): Running<number> {
  yield* fill(t, pages);
  const len = (pages + 1) * PAGE_SIZE;
  const unpopulated = tracker === 'wp-unpopulated' ? UFFD_FEATURE_WP_UNPOPULATED : 0;
  const uffd = yield* Userfaultfd.open(t, UFFD_FEATURE_PAGEFAULT_FLAG_WP | unpopulated);
  yield* uffd.register(t, RANGE, len, UFFDIO_REGISTER_MODE_WP);
  if (tracker === 'pre-read') yield* t.touch(RANGE, len, 'read');
  if (tracker === 'populate-read') yield* t.madvise(RANGE, len, MADV_POPULATE_READ);
  yield* uffd.writeProtect(t, RANGE, len, UFFDIO_WRITEPROTECT_MODE_WP);
  const heard = new Set<number>();
  const reader = yield* t.spawn('reader', function* (r) {
    for (;;) {
      const message = yield* uffd.read(r);
      if (message.event !== 'pagefault') continue;
      yield* uffd.writeProtect(r, message.addr, PAGE_SIZE, 0);
      if (message.addr >= RANGE + pages * PAGE_SIZE) return;
      heard.add(message.addr);
    }
  });
  yield* t.touch(RANGE, len);
  yield* t.join(reader);
  return pages - heard.size;
}

function* scanned(t: Thread, pages: number): Running<number> {
  yield* fill(t, pages);
  const len = pages * PAGE_SIZE;
  const uffd = yield* Userfaultfd.open(t, UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_ASYNC);
  yield* uffd.register(t, RANGE, len, UFFDIO_REGISTER_MODE_WP);
  yield* uffd.writeProtect(t, RANGE, len, UFFDIO_WRITEPROTECT_MODE_WP);
  yield* t.touch(RANGE, len);
  const { regions } = pagemapScan(memoryOf(t), {
    size: PM_SCAN_ARG_SIZE,
    flags: 0,
    start: RANGE,
    end: RANGE + len,
    vec: 'set',
    vecLen: pages,
    maxPages: 0,
    inverted: 0,
    mask: PAGE_IS_WRITTEN,
    anyof: 0,
    returned: PAGE_IS_WRITTEN,
  });
  const seen = regions.reduce((sum, { start, end }) => sum + (end - start) / PAGE_SIZE, 0);
  return pages - seen;
}

/** The rows: pages lost by each way. */
export function lostRows({ params, costs, kernel, progress }: ExperimentInput): Row[] {
  const pages = numberParam(params, 'tracked');
  progress('lost stores');
  return TRACKERS.map((tracker) => {
    const known = pages === MEASURED_PAGES ? MEASURED_LOST[tracker] : null;
    return rowOf({
      name: `stores that nobody hears of, ${tracker}, of ${pages}`,
      measured: kernel === null ? known : kernel.lostStores({ tracker, pages }),
      modelled: lostStores(costs.calibration, tracker, pages),
      unit: 'stores',
      note: 'of each four pages one was written before, one read, two were not there',
    });
  });
}
