/**
 * The words of a page, for loops over whole objects: one look-up through the page tables for all of them.
 *
 * The view is the page itself: what is written there is written. It is good until the thread pauses; afterwards the page may be elsewhere.
 */
import { UsageError } from '../../base/assert.ts';
import { type Addr, pageOffset } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { BytesContents, MISS, translate } from '../../mm/index.ts';

/** The 1,024 words of 32 bits of a page. */
export type PageWords = Uint32Array;

/** Returns where in the words of its page the word at `addr` is. */
export const wordAt = (addr: Addr): number => pageOffset(addr) >>> 2;

/** Returns the words of the page at `addr`, plain; null when that has to wait: then `words` does it. */
export function plainWords(t: Thread, addr: Addr, access: 'read' | 'write'): PageWords | null {
  const { simulation, task, mm } = t;
  if (task.debtNs > simulation.quantumNs && !simulation.scheduler.tryPay(task)) return null;
  const pfn = mm === null ? MISS : translate(mm, addr, access);
  if (pfn === MISS) return null;
  task.debtNs += simulation.prices.accessNs;
  return frameWords(t, pfn);
}

/** Returns the words of a frame. */
export function frameWords(t: Thread, pfn: number): PageWords {
  const { contents } = t.simulation.kernel.frames;
  if (!(contents instanceof BytesContents))
    throw new UsageError('compacting-gc moves objects, byte by byte', 'a machine that keeps whole pages');
  return contents.words(pfn);
}

/** Returns the words of the page at `addr`; faults and waits as it takes. */
export function* words(t: Thread, addr: Addr, access: 'read' | 'write'): Running<PageWords> {
  for (;;) {
    const view = plainWords(t, addr, access);
    if (view !== null) return view;
    yield* t.touch(addr - (addr % 8), 1, access);
  }
}

/** Returns a figure of the calibration, nanoseconds. */
export function figure(t: Thread, name: string): number {
  const { calibration } = t.simulation.costs;
  const found = calibration.primitives.find((each) => each.name === name);
  if (found === undefined)
    throw new UsageError(`calibration ${calibration.name} has no ${name}`, `{ "name": "${name}", … } there`);
  return found.floor ?? found.median;
}
