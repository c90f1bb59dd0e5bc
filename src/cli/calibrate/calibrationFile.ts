/**
 * The calibration as a file: what was measured, and for what could not be, the figure of the calibration that comes with the program, as much dearer or
 * cheaper as this machine is in what both have.
 *
 * Invariant   [calibration-whole] the file has every figure of the list, so every price can be made of it
 */
import { CALIBRATION_SCHEMA, type Figure } from '../../machine/index.ts';
import { FIGURES, type FigureInfo, LINES } from './figureList.ts';
import { linesOf, type MeasuredFigure, type MeasuredLine, rounded } from './samples.ts';

/** A figure that was not measured, why, and what is used instead. */
export interface Missing {
  readonly name: string;
  readonly why: string;
  readonly instead: string;
}

/** A whole file. */
export interface CalibrationFile {
  readonly schema: typeof CALIBRATION_SCHEMA;
  /** The day. */
  readonly measured: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly primitives: readonly MeasuredFigure[];
  readonly models: readonly MeasuredLine[];
  /** Where a calibration has experiments; measuring figures makes none. */
  readonly experiments: readonly [];
  readonly missing: readonly Missing[];
  /** It was ended before its time. */
  readonly interrupted?: true;
}

/** What is put into a file. */
export interface FileInput {
  readonly measured: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly figures: readonly MeasuredFigure[];
  /** Tells why a figure was not measured. */
  readonly whyNot: (info: FigureInfo) => string;
  /** The calibration that figures are taken from which were not measured. */
  readonly other: { readonly name: string; readonly primitives: readonly Figure[] };
  readonly isInterrupted: boolean;
}

/** Makes the file. */
export function calibrationFile(input: FileInput): CalibrationFile {
  const { figures, other, whyNot } = input;
  const byName = new Map(figures.map((each) => [each.name, each]));
  const otherByName = new Map(other.primitives.map((each) => [each.name, floorOf(each)]));
  const share = shareOf(figures, otherByName);
  const missing: Missing[] = [];
  const primitives = FIGURES.flatMap((info): MeasuredFigure[] => {
    const own = byName.get(info.name);
    if (own !== undefined) return [own];
    const theirs = otherByName.get(info.name);
    const instead = theirs === undefined ? 'nothing' : `${other.name} times ${rounded(share)}`;
    missing.push({ name: info.name, why: whyNot(info), instead });
    return theirs === undefined ? [] : [standIn(info, theirs * share, instead)];
  });
  return {
    schema: CALIBRATION_SCHEMA,
    measured: input.measured,
    machine: input.machine,
    primitives,
    models: linesOf(primitives),
    experiments: [],
    missing,
    ...(input.isInterrupted ? { interrupted: true } : {}),
  };
}

/** Tells whether prices can be made of the figures: whether every line has its two. */
export const isWhole = ({ models }: CalibrationFile): boolean => models.length === LINES.length;

const floorOf = ({ floor, median }: Figure): number => floor ?? median;

/** How much dearer this machine is: the median over the figures that both have. */
function shareOf(figures: readonly MeasuredFigure[], other: ReadonlyMap<string, number>): number {
  const shares = figures
    .flatMap(({ name, floor }) => {
      const theirs = other.get(name) ?? 0;
      return theirs > 0 && floor > 0 ? [floor / theirs] : [];
    })
    .sort((a, b) => a - b);
  return shares[Math.floor(shares.length / 2)] ?? 1;
}

function standIn({ name, unit }: FigureInfo, ns: number, instead: string): MeasuredFigure {
  const value = rounded(ns);
  return {
    name,
    unit,
    median: value,
    p10: value,
    p90: value,
    n: 0,
    floor: value,
    runMedians: [],
    noisy: true,
    floorConfirmed: false,
    how: `not measured here: ${instead}`,
    standIn: true,
  };
}
