/** What can be set of the scan for empty page tables (ptReclaim.ts), as the seed's posting planned for sysfs and procfs. */

/** What the seed wanted to be settable of its scan. */
export interface ScanTunables {
  /** Milliseconds from one scan of an address space to the next. MM_PGTABLE_SCAN_DELAY */
  readonly interval: number;
  /** Bytes after which a scan stops. MM_PGTABLE_SCAN_SIZE */
  readonly size: number;
  /** Whether it stops at the end of the vma in which it has come so far, as posted, or there. */
  readonly stop: 'vmaEnd' | 'exact';
  /** Also vmas that are registered for write-protection: their markers keep tables anyway. */
  readonly scanUffdWp: boolean;
  /** So many scans must have found a table empty before the one that frees it. */
  readonly minAge: number;
  /** Also pages of the level above without entries. */
  readonly upper: boolean;
  /** A scan frees no more tables than that. */
  readonly maxPerStop: number;
  /** One flush for each scan, not for each table. */
  readonly batchFlush: boolean;
}

/** The values of the posting. */
export const RFC_SCAN: ScanTunables = {
  interval: 100,
  size: 256 * 2 ** 20,
  stop: 'vmaEnd',
  scanUffdWp: false,
  minAge: 0,
  upper: false,
  maxPerStop: Number.POSITIVE_INFINITY,
  batchFlush: false,
};
