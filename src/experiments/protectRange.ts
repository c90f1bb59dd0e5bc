/**
 * Write-protecting a large range that was never touched, in the four ways of seed 001's thread; and writing to it afterwards.
 *
 *   default          UFFDIO_WRITEPROTECT alone: nothing is there, nothing is protected
 *   pre-read         every page is read first, then protected
 *   populate-read    the same by one call, MADV_POPULATE_READ
 *   wp-unpopulated   with UFFD_FEATURE_WP_UNPOPULATED: markers stand for what is not there
 *   no-uffd          nothing at all, for comparison
 */

import { MADV_HUGEPAGE, MADV_POPULATE_READ } from '../abi/mman.ts';
import {
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../abi/userfaultfd.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { type Calibration, type Running, type Thread, Userfaultfd } from '../machine/index.ts';
import type { Features } from '../mm/index.ts';
import { memoryOf, runAlone, timed } from './alone.ts';

/** How a range is protected, or that it is not. */
export type Method = 'default' | 'pre-read' | 'populate-read' | 'wp-unpopulated' | 'no-uffd';
/** The four tests of the thread, in the order in which it prints them. */
export const TESTS: readonly Method[] = ['default', 'pre-read', 'populate-read', 'wp-unpopulated'];

/** What is protected and written. */
export interface ProtectPlan {
  readonly calibration: Calibration;
  readonly method: Method;
  readonly bytes: number;
  /** MADV_HUGEPAGE first. */
  readonly huge: boolean;
  readonly features?: Partial<Features>;
  /** Every how many pages one is written afterwards, of each four: 0 to 4. Writes are let through and noted (WP_ASYNC). */
  readonly writesOfFour?: number;
}

/** What it came to. Times in nanoseconds. */
export interface ProtectResult {
  readonly prefaultNs: number;
  readonly protectNs: number;
  readonly unprotectNs: number;
  /** Bytes of page tables that it made. */
  readonly tableBytes: number;
  readonly writeNs: number;
  readonly writeFaults: number;
}

/** A multiple of 1 GiB. */
const RANGE = 0x7e40_0000_0000;

/** Sets up, protects and writes. */
export function protectRange(plan: ProtectPlan): ProtectResult {
  const { calibration, features = {} } = plan;
  return runAlone({ calibration, features }, (t) => program(t, plan));
}

function* program(t: Thread, plan: ProtectPlan): Running<ProtectResult> {
  const { method, bytes, huge, writesOfFour } = plan;
  const mm = memoryOf(t);
  // A program has memory already, and with it the tables above those of the range.
  yield* t.mmap(PAGE_SIZE, { at: RANGE - PAGE_SIZE });
  yield* t.touch(RANGE - PAGE_SIZE);
  yield* t.mmap(bytes, { at: RANGE });
  if (huge) yield* t.madvise(RANGE, bytes, MADV_HUGEPAGE);
  const bytesBefore = mm.pages.bytes;
  let uffd: Userfaultfd | null = null;
  let prefaultNs = 0;
  let protectNs = 0;
  if (method !== 'no-uffd') {
    uffd = yield* Userfaultfd.open(t, featuresOf(method, writesOfFour !== undefined));
    yield* uffd.register(t, RANGE, bytes, UFFDIO_REGISTER_MODE_WP);
    prefaultNs = yield* timed(t, prefault(t, method, bytes));
    protectNs = yield* timed(t, uffd.writeProtect(t, RANGE, bytes, UFFDIO_WRITEPROTECT_MODE_WP));
  }
  const tableBytes = mm.pages.bytes - bytesBefore;
  if (writesOfFour === undefined) {
    const unprotectNs = uffd === null ? 0 : yield* timed(t, uffd.writeProtect(t, RANGE, bytes, 0));
    return { prefaultNs, protectNs, unprotectNs, tableBytes, writeNs: 0, writeFaults: 0 };
  }
  const faultsBefore = mm.minFlt;
  const writeNs = yield* timed(t, write(t, bytes, writesOfFour));
  const writeFaults = mm.minFlt - faultsBefore;
  return { prefaultNs, protectNs, unprotectNs: 0, tableBytes, writeNs, writeFaults };
}

function featuresOf(method: Method, writes: boolean): number {
  const unpopulated = method === 'wp-unpopulated' || writes ? UFFD_FEATURE_WP_UNPOPULATED : 0;
  return UFFD_FEATURE_PAGEFAULT_FLAG_WP | unpopulated | (writes ? UFFD_FEATURE_WP_ASYNC : 0);
}

function* prefault(t: Thread, method: Method, bytes: number): Running<void> {
  if (method === 'pre-read') yield* t.touch(RANGE, bytes, 'read');
  if (method === 'populate-read') yield* t.madvise(RANGE, bytes, MADV_POPULATE_READ);
}

function* write(t: Thread, bytes: number, ofFour: number): Running<void> {
  for (let page = 0; page < bytes / PAGE_SIZE; page++)
    if (page % 4 < ofFour) yield* t.touch(RANGE + page * PAGE_SIZE);
}
