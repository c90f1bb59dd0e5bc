/**
 * /proc/PID/pagemap of a process: read by page, and scanned (PAGEMAP_SCAN), by any thread that may.
 *
 *   const written = yield* scanPagemap(t, { start, end, mask: PAGE_IS_WRITTEN, returned: PAGE_IS_WRITTEN, flags: PM_SCAN_WP_MATCHING });
 *   for (const { start, end } of written.regions) …
 *
 * Both hold mmap_lock for reading. A scan that protects is what stops writers from being unseen: nothing is lost between looking and protecting,
 * because both happen at once.
 *
 * Linux   fs/proc/task_mmu.c: pagemap_read, do_pagemap_cmd
 */
import { PM_SCAN_ARG_SIZE } from '../../abi/pagemapScan.ts';
import { must } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import {
  type Mm,
  type PagemapBits,
  pagemapBits,
  pagemapScan,
  type ScanRequest,
  type ScanResult,
} from '../../mm/index.ts';
import type { Running } from '../sched/schedTask.ts';
import type { UffdCharges } from '../uffdCharges.ts';
import type { Thread } from './thread.ts';

/** What to scan for; what is left out is 0, and there is room for all regions. */
export interface ScanHow extends Partial<Omit<ScanRequest, 'size' | 'vec'>> {
  readonly start: Addr;
  readonly end: Addr;
  /** No output is wanted: nothing but protecting. */
  readonly noOutput?: boolean;
  /** Another process's memory. */
  readonly of?: Mm | null;
}

/** PAGEMAP_SCAN. Returns regions and where the walk ended, or why it was refused. */
export function* scanPagemap(t: Thread, how: ScanHow): Running<ScanResult> {
  const { noOutput = false, of, ...request } = how;
  return yield* underMmapLock(t, of ?? null, 'pagemap scan', (mm, charges) => {
    const result = pagemapScan(mm, {
      flags: 0,
      vecLen: noOutput ? 0 : Number.MAX_SAFE_INTEGER,
      maxPages: 0,
      inverted: 0,
      mask: 0,
      anyof: 0,
      returned: 0,
      ...request,
      size: PM_SCAN_ARG_SIZE,
      vec: noOutput ? 'none' : 'set',
    });
    charges.endScan(result.regions.length);
    return result;
  });
}

/** Reads what pagemap says of each page of [addr, addr+len). */
export function* readPagemap(
  t: Thread,
  addr: Addr,
  len: number,
  of: Mm | null = null,
): Running<PagemapBits[]> {
  return yield* underMmapLock(t, of, 'pagemap read', (mm, charges) => {
    const pages = Array.from({ length: Math.ceil(len / PAGE_SIZE) }, (_, i) =>
      pagemapBits(mm, addr + i * PAGE_SIZE),
    );
    charges.endPagemapRead(pages.length);
    return pages;
  });
}

function* underMmapLock<T>(
  t: Thread,
  of: Mm | null,
  what: string,
  act: (mm: Mm, charges: UffdCharges) => T,
): Running<T> {
  const { simulation, task } = t;
  const mm = must(of ?? t.mm, '[task-state] a thread that runs has memory');
  yield* t.owe(simulation.prices.syscallNs);
  const startNs = simulation.scheduler.nowNs;
  const { mmapLock } = simulation.locksOf(mm);
  yield* mmapLock.read(task);
  const result = act(mm, simulation.beginCall(t));
  yield* t.owe(simulation.billNs());
  mmapLock.releaseRead();
  yield* t.owe(0);
  task.noteStall(what, startNs, simulation.scheduler.nowNs, 0);
  return result;
}
