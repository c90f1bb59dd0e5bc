/**
 * What can be set of the scan for empty page tables (ptReclaim.ts): the seed's posting planned files in sysfs and procfs for the first two.
 *
 * They are written `NAME=VALUE`, by who configures a run and by the program itself while it runs: one list of names, values and sentences for both.
 *
 * Source   RFC 3/3 of seed 003 (interval, size, the stop at the end of a vma, a flush a table), its reply (the lock, userfaultfd); the rest is of this model
 */
import { PMD_SIZE, parseSize } from '../base/units.ts';

/** What the seed wanted to be settable of its scan. */
export interface ScanTunables {
  /** Milliseconds from one scan of an address space to the next. MM_PGTABLE_SCAN_DELAY */
  readonly interval: number;
  /** Bytes after which a scan stops. MM_PGTABLE_SCAN_SIZE */
  readonly size: number;
  /** Whether it stops at the end of the vma in which it has come so far, as posted, or there. */
  readonly stop: 'vmaEnd' | 'exact';
  /** How a table is read: under its lock, as posted, or without, as get_user_pages_fast() walks: only one that is found empty is locked. */
  readonly lock: 'table' | 'gupFast';
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
  /** Address spaces in which nobody runs are scanned too, by a thread of the kernel. */
  readonly idle: boolean;
  /** Nanoseconds for reading an entry; null: as the calibration has it for PAGEMAP_SCAN. */
  readonly entryNs: number | null;
  /** Nanoseconds for a table that is read without its lock and holds something. */
  readonly gupNs: number;
  /** Nanoseconds of a fault or a walk for counting its entry, where entries are counted. */
  readonly refNs: number;
}

/** The values of the posting; nanoseconds are those of spec/pt-reclaim.md 4. */
export const RFC_SCAN: ScanTunables = {
  interval: 100,
  size: 256 * 2 ** 20,
  stop: 'vmaEnd',
  lock: 'table',
  scanUffdWp: false,
  minAge: 0,
  upper: false,
  maxPerStop: Number.POSITIVE_INFINITY,
  batchFlush: false,
  idle: false,
  entryNs: null,
  gupNs: 50,
  refNs: 10,
};

/** The name of one of them. */
export type TunableName = keyof ScanTunables;

/** What a user is told about a tunable. */
export interface TunableInfo {
  /** What may stand behind `=`. */
  readonly values: string;
  readonly text: string;
  /** Reads a value; null: it is none. */
  readonly read: (text: string) => ScanTunables[TunableName] | undefined;
}

const sizeValue = (text: string): number | undefined => {
  const bytes = parseSize(text) ?? 0;
  return bytes >= PMD_SIZE && Number.isSafeInteger(bytes) ? bytes : undefined;
};
/** The largest unit of which a size is a whole number. */
function sizeText(bytes: number): string {
  const unit = 'TGMK'.split('').findIndex((_, i) => bytes % 2 ** (40 - 10 * i) === 0);
  return unit < 0 ? String(bytes) : `${bytes / 2 ** (40 - 10 * unit)}${'TGMK'[unit]}`;
}
const switchValue = (text: string): boolean | undefined =>
  text === 'on' ? true : text === 'off' ? false : undefined;
const wholeValue = (text: string): number | undefined => (/^\d{1,9}$/.test(text) ? Number(text) : undefined);
const decimalValue = (text: string): number | undefined =>
  /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : undefined;
const positive = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);
const oneOf =
  <T extends string>(...values: readonly T[]) =>
  (text: string): T | undefined =>
    values.find((value) => value === text);

const SWITCH = { values: 'off, on', read: switchValue };
const NANOSECONDS = 'nanoseconds, as 0.8';

/** Every tunable in the order in which it is listed. */
export const SCAN_TUNABLES: Readonly<Record<TunableName, TunableInfo>> = {
  interval: {
    values: 'milliseconds above 0, as 100',
    text: 'from one scan of an address space to the next (MM_PGTABLE_SCAN_DELAY of the posting)',
    read: (text) => positive(decimalValue(text)),
  },
  size: {
    values: 'a size of at least 2M, as 256M or 1G',
    text: 'addresses after which a scan stops (MM_PGTABLE_SCAN_SIZE of the posting)',
    read: sizeValue,
  },
  stop: {
    values: 'vmaEnd, exact',
    text: 'where it stops then: at the end of that vma, as posted, or there',
    read: oneOf('vmaEnd', 'exact'),
  },
  lock: {
    values: 'table, gupFast',
    text: 'how a table is read: under its lock, or as get_user_pages_fast() does, without, interrupts off',
    read: oneOf('table', 'gupFast'),
  },
  minAge: {
    values: 'a whole number',
    text: 'so many scans must have found a table empty before the one that frees it',
    read: wholeValue,
  },
  upper: { ...SWITCH, text: 'pages of the level above (1 GiB) that hold nothing go too' },
  scanUffdWp: {
    ...SWITCH,
    text: 'memory that userfaultfd protects is scanned too; markers keep their tables',
  },
  maxPerStop: {
    values: 'a whole number above 0, or unlimited',
    text: 'a scan frees no more tables than that',
    read: (text) => (text === 'unlimited' ? Number.POSITIVE_INFINITY : positive(wholeValue(text))),
  },
  batchFlush: { ...SWITCH, text: 'one TLB flush a scan; off: one for each table that goes, as posted' },
  idle: { ...SWITCH, text: 'a thread of the kernel scans where nobody runs' },
  entryNs: {
    values: `${NANOSECONDS}, or calibrated`,
    text: 'what reading an entry costs; calibrated: as the calibration has it for PAGEMAP_SCAN (spec/pt-reclaim.md 4: 0.8)',
    read: (text) => (text === 'calibrated' ? null : decimalValue(text)),
  },
  gupNs: {
    values: NANOSECONDS,
    text: 'what a table that holds something costs with lock=gupFast (50 by spec/pt-reclaim.md 4, measured by nobody)',
    read: decimalValue,
  },
  refNs: {
    values: NANOSECONDS,
    text: 'what ptReclaim=refcount adds to a fault (10 by spec/pt-reclaim.md 4, from faults that took 0.4 to 1.2 % longer)',
    read: decimalValue,
  },
};

/** Returns the value of a tunable as it would be set. */
export function tunableText(name: TunableName, tunables: ScanTunables): string {
  const value = tunables[name];
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (value === null) return 'calibrated';
  if (value === Number.POSITIVE_INFINITY) return 'unlimited';
  return name === 'size' && typeof value === 'number' ? sizeText(value) : String(value);
}

/** Tells whether `name` is one of them. */
export const isTunable = (name: string): name is TunableName => Object.hasOwn(SCAN_TUNABLES, name);

/**
 * Reads `name=value`.
 * @returns  the setting, or a sentence that says what would be right
 */
export function parseTunable(text: string): Partial<ScanTunables> | string {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  if (!isTunable(name)) return `no '${name}' of the scan; there are ${Object.keys(SCAN_TUNABLES).join(', ')}`;
  const value = at < 0 ? undefined : SCAN_TUNABLES[name].read(text.slice(at + 1));
  return value === undefined ? `${name} takes ${SCAN_TUNABLES[name].values}` : { [name]: value };
}

/**
 * Reads what a program writes to the file of the scan: settings with blanks or line ends between.
 * @returns  all of them, or null if one is none: nothing is set then
 */
export function parseTunables(text: string): Partial<ScanTunables> | null {
  const words = text.split(/\s+/).filter((word) => word !== '');
  const settings = words.map(parseTunable);
  if (words.length === 0 || settings.some((each) => typeof each === 'string')) return null;
  return Object.assign({}, ...settings) as Partial<ScanTunables>;
}
