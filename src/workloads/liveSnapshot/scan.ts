/**
 * PAGEMAP_SCAN of a range, in as many calls as the room for regions makes necessary.
 */
import { PM_SCAN_WP_MATCHING } from '../../abi/pagemapScan.ts';
import { UsageError } from '../../base/assert.ts';
import type { Addr } from '../../base/units.ts';
import { type Running, scanPagemap, type Thread } from '../../machine/index.ts';
import { isRefused, type ScanRegion } from '../../mm/index.ts';

/** What to look for. Categories are PAGE_IS_ bits. */
export interface ScanWanted {
  readonly start: Addr;
  readonly end: Addr;
  readonly mask: number;
  readonly inverted?: number;
  readonly returned?: number;
  /** Protects what is found and was written. */
  readonly protects?: boolean;
  /** Wants no answer. */
  readonly silent?: boolean;
}

/** Regions that one call has room for. */
const ROOM = 512;

/** Scans the memory of `t` and returns what was found. @throws UsageError when it is refused */
export function* scanPages(t: Thread, wanted: ScanWanted): Running<ScanRegion[]> {
  const { protects = false, silent = false, end, start, ...categories } = wanted;
  const found: ScanRegion[] = [];
  for (let at = start; at < end; ) {
    const result = yield* scanPagemap(t, {
      ...categories,
      start: at,
      end,
      flags: protects ? PM_SCAN_WP_MATCHING : 0,
      ...(silent ? { noOutput: true } : { vecLen: ROOM }),
    });
    if (isRefused(result) || result.walkEnd === null)
      throw new UsageError(
        `${t.name}: PAGEMAP_SCAN was refused: ${result.why}`,
        'memory that can be scanned',
      );
    found.push(...result.regions);
    at = result.walkEnd;
  }
  return found;
}
