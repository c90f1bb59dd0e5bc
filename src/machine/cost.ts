/**
 * Cost: charges times a table. The table is made from a calibration, the figures that were measured on one machine; nothing else is known here.
 *
 * A row of the table (costTable.ts) says which figures price a path: so much each time, and so much for each page (or vma, table, huge page). The
 * figure used is the floor, the lowest of the run medians, because disturbance only adds; where there is none, the median.
 *
 * Invariant   [cost-linear] the time of a path is calls x callNs + pages x pageNs, so the time of a run of one task can be had again from its
 *             charges under another calibration
 * Left out    threads that wait for each other; everything that no figure of the calibration measures
 */
import { UsageError } from '../base/assert.ts';
import { PATH, type PathName, WORK_NAMES } from '../mm/work.ts';
import { PRICED_IF_TAKEN, PRICES } from './costTable.ts';

/** The schema that is understood. */
export const CALIBRATION_SCHEMA = 'mm-cost-calibration/1';

/** One measured figure. Nanoseconds of what `unit` says. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  /** The lowest median of a run; not every figure has one. */
  readonly floor?: number | null | undefined;
}

/** A straight line through two floors: nanoseconds a call, and for each page of it. */
export interface CostLine {
  readonly name: string;
  readonly fixedNs: number;
  readonly perPageNs: number;
}

/** A calibration as its file has it, as far as prices come from it. Whoever reads the file has checked it. */
export interface Calibration {
  /** What it is called in output: the name of the file without its ending. */
  readonly name: string;
  /** The day it was measured. */
  readonly measured: string;
  readonly primitives: readonly Figure[];
  readonly models: readonly CostLine[];
}

/** What figures a price is made of can be asked for by name; one that is not there ends in a UsageError. */
export interface Figures {
  /** Tells whether there is a figure of that name. */
  hasFigure(name: string): boolean;
  /** Nanoseconds of a figure. */
  figure(name: string): number;
  /** Nanoseconds a call of a line. */
  fixed(name: string): number;
  /** Nanoseconds a page of a line. */
  perPage(name: string): number;
}

class FiguresOf implements Figures {
  readonly #calibration: Calibration;
  readonly #figures: ReadonlyMap<string, Figure>;
  readonly #lines: ReadonlyMap<string, CostLine>;

  constructor(calibration: Calibration) {
    this.#calibration = calibration;
    this.#figures = new Map(calibration.primitives.map((figure) => [figure.name, figure]));
    this.#lines = new Map(calibration.models.map((line) => [line.name, line]));
  }

  /** The same figures, where one that is missing is not a number. */
  get orUnknown(): Figures {
    const line = (name: string): CostLine | null => this.#lines.get(name) ?? null;
    return {
      hasFigure: (name) => this.hasFigure(name),
      figure: (name) => (this.hasFigure(name) ? this.figure(name) : Number.NaN),
      fixed: (name) => line(name)?.fixedNs ?? Number.NaN,
      perPage: (name) => line(name)?.perPageNs ?? Number.NaN,
    };
  }
  hasFigure(name: string): boolean {
    return this.#figures.has(name);
  }
  figure(name: string): number {
    const figure = this.#figures.get(name);
    if (figure === undefined) return this.#lacks('primitives', name, '"unit": "ns", "median": …, "floor": …');
    return figure.floor ?? figure.median;
  }
  fixed(name: string): number {
    return this.#line(name).fixedNs;
  }
  perPage(name: string): number {
    return this.#line(name).perPageNs;
  }

  #line(name: string): CostLine {
    return this.#lines.get(name) ?? this.#lacks('models', name, '"fixedNs": …, "perPageNs": …');
  }
  #lacks(list: 'primitives' | 'models', name: string, fields: string): never {
    throw new UsageError(
      `calibration ${this.#calibration.name} has no ${name} in ${list}`,
      `{ "name": "${name}", ${fields} } there`,
    );
  }
}

/** Returns the figures of a calibration by name. */
export const figuresOf = (calibration: Calibration): Figures => new FiguresOf(calibration);

/** What a path costs, nanoseconds. */
export interface Price {
  /** Each time it is taken. */
  readonly callNs: number;
  /** For each page (or what else it goes over). */
  readonly pageNs: number;
}

/** The time spent on one path. */
export interface PathTime {
  readonly path: PathName;
  readonly calls: number;
  readonly pages: number;
  readonly ns: number;
}

/** The times of a run. */
export interface WorkTime {
  /** Name of the calibration. */
  readonly calibration: string;
  readonly totalNs: number;
  /** Paths that were taken, the dearest first. */
  readonly paths: readonly PathTime[];
}

/** Charges, in the order of the paths: the arrays of a Work, or a copy of them. */
export interface Charges {
  readonly calls: ArrayLike<number>;
  readonly pages: ArrayLike<number>;
}

function pricedBy(path: PathName, figures: Figures): Price {
  const { call, page } = PRICES[path];
  return { callNs: call?.(figures) ?? 0, pageNs: page?.(figures) ?? 0 };
}
function priceIfKnown(path: PathName, figures: FiguresOf): Price | null {
  const price = pricedBy(path, figures.orUnknown);
  return Number.isNaN(price.callNs + price.pageNs) ? null : price;
}

/** The prices of one calibration. */
export class CostTable {
  readonly calibration: Calibration;
  /** By Path; null where a figure is missing that need not be there (`PRICED_IF_TAKEN`). */
  readonly #prices: readonly (Price | null)[];

  /** Prices every path. Throws UsageError, which names the figure, if the calibration lacks one. */
  constructor(calibration: Calibration) {
    this.calibration = calibration;
    const figures = new FiguresOf(calibration);
    this.#prices = WORK_NAMES.paths.map((path) =>
      PRICED_IF_TAKEN(path) ? priceIfKnown(path, figures) : pricedBy(path, figures),
    );
  }

  /** Returns what a path costs. Throws UsageError, as the constructor, where that is not known. */
  priceOf(path: PathName): Price {
    return this.#prices[PATH[path]] ?? pricedBy(path, new FiguresOf(this.calibration));
  }
  /** Tells whether it is known what a path costs. */
  isPriced(path: PathName): boolean {
    return this.#prices[PATH[path]] !== null;
  }

  /** Returns the time of all charges, by path. */
  timeOf(charges: Charges): WorkTime {
    const paths = WORK_NAMES.paths.flatMap((path, i): PathTime[] => {
      const calls = charges.calls[i] as number;
      const pages = charges.pages[i] as number;
      if (calls === 0 && pages === 0) return [];
      const { callNs, pageNs } = this.priceOf(path);
      return [{ path, calls, pages, ns: calls * callNs + pages * pageNs }];
    });
    paths.sort((a, b) => b.ns - a.ns || (a.path < b.path ? -1 : 1));
    return {
      calibration: this.calibration.name,
      totalNs: paths.reduce((sum, { ns }) => sum + ns, 0),
      paths,
    };
  }
}
