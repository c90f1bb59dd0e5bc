/**
 * What is known of write-protecting a range besides the model: what two people published in seed 001's thread, and what Linux 6.18.44 did.
 *
 * The measured figures are medians of the experiments `wp` (five runs) and `wp-deferred` (three) of the bundled calibration. They were taken on a
 * machine that did other things as well, while prices are floors.
 */

import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import type { Calibration, CostLine } from '../machine/index.ts';
import type { Method, ProtectResult } from './protectRange.ts';

/** A report of the four tests, microseconds. */
export interface Report {
  readonly bytes: number;
  /** The reporter's machine used huge pages. */
  readonly huge: boolean;
  readonly totalUs: Readonly<Record<'default' | 'pre-read' | 'populate-read' | 'wp-unpopulated', number>>;
  /** Of it, filling in before. */
  readonly prefaultUs: Readonly<Record<'pre-read' | 'populate-read', number>>;
}

const GIB = 2 ** 30;

/** The sizes that were measured. */
export const TABLE_BYTES = 10 * GIB;
export const LATER_BYTES = GIB;

/** The author of the patch: 10 GiB in a virtual machine. */
export const FIRST_REPORT: Report = {
  bytes: TABLE_BYTES,
  huge: false,
  totalUs: {
    default: 2,
    'pre-read': 3_277_099,
    'populate-read': 2_250_361,
    'wp-unpopulated': 20_850,
  },
  prefaultUs: { 'pre-read': 3_253_826, 'populate-read': 2_226_310 },
};

/** Who tested it: the same, on a machine whose huge zero page explains the other order. */
export const SECOND_REPORT: Report = {
  bytes: TABLE_BYTES,
  huge: true,
  totalUs: { default: 6, 'pre-read': 37_157, 'populate-read': 4_884, 'wp-unpopulated': 17_794 },
  prefaultUs: { 'pre-read': 37_006, 'populate-read': 4_465 },
};

type Cells = readonly [prefaultUs: number, protectUs: number, tablesKib: number, unprotectUs: number];

/** VmPTE of the program before it protects, KiB. */
const BEFORE_KIB = 44;

// biome-ignore format: a table
const TABLE: Readonly<Record<'small' | 'huge', Readonly<Partial<Record<Method, Cells>>>>> = {
  small: {
    'default':        [0, 0.8, 44, 0.7],
    'pre-read':       [2_283_000, 154_500, 20_564, 188_800],
    'populate-read':  [1_265_000, 156_300, 20_564, 154_900],
    'wp-unpopulated': [0, 40_250, 20_564, 23_690],
  },
  huge: {
    'default':        [0, 0.7, 44, 0.7],
    'pre-read':       [15_250, 524.7, 20_564, 630],
    'populate-read':  [4_563, 536.3, 20_564, 629.8],
    'wp-unpopulated': [0, 40_380, 20_564, 24_680],
  },
};

type LaterCells = readonly [setUpUs: number, writeUs: number, faults: number];

// biome-ignore format: a table
const LATER: Readonly<Record<'small' | 'huge', Readonly<Partial<Record<Method, LaterCells>>>>> = {
  small: {
    'pre-read':       [230_800, 529_200, 262_144],
    'populate-read':  [133_000, 514_100, 262_144],
    'wp-unpopulated': [4_033, 728_600, 524_288],
    'no-uffd':        [3, 435_500, 262_144],
  },
  huge: {
    'pre-read':       [1_668, 514_300, 262_144],
    'populate-read':  [599.8, 547_500, 262_144],
    'wp-unpopulated': [4_070, 683_500, 524_288],
    'no-uffd':        [2.6, 97_430, 512],
  },
};

/** Where the lines of cost over the share of pages written cross, from the fastest of three runs each: small pages, populate-read and markers. */
export const MEASURED_CROSSING = (131.7 - 4.02) / (640 - 507);

/** What a run is about. */
export interface Asked {
  readonly method: Method;
  readonly huge: boolean;
  readonly bytes: number;
  readonly writesOfFour?: number;
}

/** Returns what was measured, or null where nothing was. Writes to a part of the pages are taken as that part of all writes. */
export function measuredProtect({ method, huge, bytes, writesOfFour }: Asked): ProtectResult | null {
  const size = huge ? 'huge' : 'small';
  if (writesOfFour === undefined) {
    const cells = bytes === TABLE_BYTES ? TABLE[size][method] : undefined;
    if (cells === undefined) return null;
    const [prefaultUs, protectUs, tablesKib, unprotectUs] = cells;
    const tableBytes = (tablesKib - BEFORE_KIB) * 1024;
    const times = {
      prefaultNs: prefaultUs * 1000,
      protectNs: protectUs * 1000,
      unprotectNs: unprotectUs * 1000,
    };
    return { ...times, tableBytes, writeNs: 0, writeFaults: 0 };
  }
  const cells = bytes === LATER_BYTES ? LATER[size][method] : undefined;
  if (cells === undefined) return null;
  const share = writesOfFour / 4;
  const [setUpUs, writeUs, faults] = cells;
  const setUp = { prefaultNs: setUpUs * 1000, protectNs: 0, unprotectNs: 0, tableBytes: 0 };
  return { ...setUp, writeNs: writeUs * 1000 * share, writeFaults: faults * share };
}

/**
 * Makes a calibration in which the four paths of the tests cost what somebody reported for all of them, divided by how often they are taken; the rest
 * is that of `base`.
 */
export function calibrationOfReport(report: Report, base: Calibration): Calibration {
  const { bytes, huge, totalUs, prefaultUs } = report;
  const pages = bytes / PAGE_SIZE;
  const units = huge ? bytes / PMD_SIZE : pages;
  const floorOf = (name: string): number => {
    const figure = base.primitives.find((each) => each.name === name);
    return figure?.floor ?? figure?.median ?? 0;
  };
  const touchesNs = huge ? pages * floorOf('touch_resident') : 0;
  const readNs = (prefaultUs['pre-read'] * 1000 - touchesNs) / units;
  const populateNs = (prefaultUs['populate-read'] * 1000) / pages;
  const protectNs = ((totalUs['populate-read'] - prefaultUs['populate-read']) * 1000) / units;
  const tableNs = floorOf('fault_zero_new_pt') - floorOf('fault_anon_read_zero');
  const reported: Readonly<Record<string, number>> = {
    ...(huge
      ? { fault_thp_read_zero: readNs, populate_read_65536_thp: populateNs }
      : {
          fault_anon_read_zero: readNs,
          fault_anon_read_256m: readNs,
          fault_zero_new_pt: readNs + tableNs,
          populate_read_65536: populateNs,
        }),
    // Whatever was cold in those tests is in the figures already.
    fault_anon_write_256m: floorOf('fault_anon_write') + tableNs / 512,
  };
  const callNs = totalUs.default * 1000;
  const lines: Readonly<Record<string, Pick<CostLine, 'fixedNs' | 'perPageNs'>>> = {
    uffd_wp_on: { fixedNs: callNs, perPageNs: protectNs },
    uffd_wp_on_none: { fixedNs: callNs, perPageNs: (totalUs['wp-unpopulated'] * 1000 - callNs) / pages },
  };
  return {
    ...base,
    name: `${base.name} with reported figures`,
    primitives: base.primitives.map((figure) => {
      const ns = reported[figure.name];
      return ns === undefined ? figure : { ...figure, median: ns, floor: ns };
    }),
    models: base.models.map((line) => ({ ...line, ...lines[line.name] })),
  };
}
