/**
 * From samples of several rounds to figures, and straight lines through them.
 *
 *   median, p10, p90   of all samples of all rounds
 *   runMedians, floor  the median of each round, and the lowest of them: disturbance only adds
 *   noisy              p10 and p90, or the rounds, lie further apart than 30 % of the median
 *   floorConfirmed     a second round came within 10 % of the floor
 */
import { FIGURES, type FigureInfo, LINES } from './figureList.ts';

/** A figure as it stands in the file. */
export interface MeasuredFigure {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  /** Samples. */
  readonly n: number;
  readonly floor: number;
  readonly runMedians: readonly number[];
  readonly noisy: boolean;
  readonly floorConfirmed: boolean;
  readonly how: string;
  /** It was not measured here: another calibration's figure stands in. */
  readonly standIn?: true;
}

/** A line as it stands in the file. */
export interface MeasuredLine {
  readonly name: string;
  readonly fixedNs: number;
  readonly perPageNs: number;
  readonly from: readonly [string, string];
}

const NOISY = 0.3;
const CONFIRMS = 1.1;
const DIGITS = 4;

const INFO: ReadonlyMap<string, FigureInfo> = new Map(FIGURES.map((each) => [each.name, each]));

/** Samples by figure and round. */
export class Samples {
  readonly #rounds = new Map<string, number[][]>();

  /** Adds what one round had of a figure. Throws RangeError when there is no such figure. */
  add(name: string, samples: readonly number[]): void {
    if (!INFO.has(name)) throw new RangeError(`no figure is called ${name}`);
    if (samples.length === 0) return;
    const rounds = this.#rounds.get(name) ?? [];
    rounds.push(samples.toSorted((a, b) => a - b));
    this.#rounds.set(name, rounds);
  }
  /** Tells whether there are samples of a figure. */
  has(name: string): boolean {
    return this.#rounds.has(name);
  }
  /** How many figures there are samples of. */
  get size(): number {
    return this.#rounds.size;
  }
  /** Returns the figures in the order of the list. */
  figures(): MeasuredFigure[] {
    return FIGURES.flatMap((info) => {
      const rounds = this.#rounds.get(info.name);
      return rounds === undefined ? [] : [figureOf(info, rounds)];
    });
  }
}

function figureOf({ name, unit, how }: FigureInfo, rounds: readonly (readonly number[])[]): MeasuredFigure {
  const all = rounds.flat().sort((a, b) => a - b);
  const medians = rounds.map((each) => quantile(each, 0.5));
  const [median, p10, p90] = [quantile(all, 0.5), quantile(all, 0.1), quantile(all, 0.9)];
  const ascending = medians.toSorted((a, b) => a - b);
  const [floor = 0, second] = ascending;
  const between = floor > 0 ? ((ascending.at(-1) ?? floor) - floor) / floor : 0;
  return {
    name,
    unit,
    median: rounded(median),
    p10: rounded(p10),
    p90: rounded(p90),
    n: all.length,
    floor: rounded(floor),
    runMedians: medians.map(rounded),
    noisy: (median > 0 && (p90 - p10) / median > NOISY) || between > NOISY,
    floorConfirmed: second !== undefined && second <= CONFIRMS * floor,
    how,
  };
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;

/** Returns a figure with as many digits as mean something. */
export const rounded = (x: number): number => (x === 0 ? 0 : Number(x.toPrecision(DIGITS)));

/** Returns the lines through figures that are there. Those of userfaultfd are over figures for a page, the others for a call. */
export function linesOf(figures: readonly MeasuredFigure[]): MeasuredLine[] {
  const byName = new Map(figures.map((each) => [each.name, each]));
  return LINES.flatMap(([name, low, few, high, many]) => {
    const [a, b] = [byName.get(low), byName.get(high)];
    if (a === undefined || b === undefined) return [];
    const ofCall = ({ unit, floor }: MeasuredFigure, n: number): number =>
      unit === 'ns/page' ? floor * n : floor;
    const perPage = (ofCall(b, many) - ofCall(a, few)) / (many - few);
    const fixed = ofCall(a, few) - perPage * few;
    return [{ name, fixedNs: rounded(fixed), perPageNs: rounded(perPage), from: [low, high] }];
  });
}
