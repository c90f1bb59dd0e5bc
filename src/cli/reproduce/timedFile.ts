/**
 * What was timed of an experiment, as a file: loads, and the figures of `faultline calibrate` that were measured in turns with them.
 *
 * Figures that price no load are not in it; those of the calibration that comes with the program, as much dearer as the machine was, stand in for them when it is
 * read.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../../base/assert.ts';
import { loadName, type TimedLoad, type TimedLoads } from '../../experiments/index.ts';
import { calibrationFile } from '../calibrate/calibrationFile.ts';
import { type MeasuredFigure, rounded } from '../calibrate/samples.ts';
import { loadCosts } from '../calibration.ts';

const SCHEMA = 'mm-timed-loads/1';

/** A load as it was best. */
export interface KeptLoad {
  readonly name: string;
  readonly figures: readonly number[];
  /** The first figure of each round. */
  readonly rounds: readonly number[];
}

/** A whole file. */
export interface TimedFile {
  readonly schema: typeof SCHEMA;
  readonly seed: string;
  /** The day. */
  readonly measured: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly loads: readonly KeptLoad[];
  readonly primitives: readonly MeasuredFigure[];
}

/** Makes the file. */
export const timedFileOf = (of: Omit<TimedFile, 'schema'>): TimedFile => ({ schema: SCHEMA, ...of });

/** Where what comes with the program is. */
const bundledPath = (seed: string): string =>
  fileURLToPath(new URL(`../../../calibration/loads-${seed}.json`, import.meta.url));

const WANTED = 'a file that `faultline reproduce SEED --measure --keep FILE` wrote';

/** Reads what was kept of seed `seed`, by default what comes with the program. Throws UsageError. */
export function readTimedFile(seed: string, path = bundledPath(seed)): TimedFile {
  let file: Partial<TimedFile>;
  try {
    file = JSON.parse(readFileSync(path, 'utf8')) as Partial<TimedFile>;
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${error instanceof Error ? error.message : error}`, WANTED);
  }
  if (file.schema !== SCHEMA) throw new UsageError(`${path} has not "schema": "${SCHEMA}"`, WANTED);
  if (file.seed !== seed) throw new UsageError(`${path} is about seed ${file.seed}, not ${seed}`, WANTED);
  return file as TimedFile;
}

/** Writes it. Throws UsageError. */
export function writeTimedFile(path: string, file: TimedFile): void {
  try {
    writeFileSync(path, textOf(file));
  } catch (error) {
    throw new UsageError(
      `${path} cannot be written: ${error instanceof Error ? error.message : error}`,
      '--keep FILE where you may write',
    );
  }
}

/** JSON with a load or a figure a line. */
function textOf({ loads, primitives, ...about }: TimedFile): string {
  const list = (of: readonly object[]): string => of.map((each) => `  ${JSON.stringify(each)}`).join(',\n');
  const head = JSON.stringify(about, null, 1).replace(/\n}$/, '');
  return `${head},\n "loads": [\n${list(loads)}\n ],\n "primitives": [\n${list(primitives)}\n ]\n}\n`;
}

const YARDSTICK = 'fault_anon_write';

/** Makes of it what an experiment asks for. */
export function timedLoadsOf(file: TimedFile): TimedLoads {
  const bundled = loadCosts().calibration;
  const { measured, machine, primitives } = file;
  const whole = calibrationFile({
    measured,
    machine,
    figures: primitives,
    whyNot: () => 'it prices no load',
    other: bundled,
    isInterrupted: false,
  });
  const byName = new Map(file.loads.map((load) => [load.name, load.figures]));
  const floorOf = (
    name: string,
    of: readonly { name: string; median: number; floor?: number | null | undefined }[],
  ) => {
    const figure = of.find((each) => each.name === name);
    return figure?.floor ?? figure?.median ?? Number.NaN;
  };
  const [here, there] = [floorOf(YARDSTICK, primitives), floorOf(YARDSTICK, bundled.primitives)];
  const about = `modelled with prices of the measured machine, taken in turns with what was measured (${measured}, Linux ${String(machine['kernel'])}): there a page fault takes ${Math.round(here)} ns, in ${bundled.name} ${Math.round(there)} (${rounded(here / there).toFixed(2)} times)`;
  return {
    calibration: { name: `timed with the loads of seed ${file.seed}`, ...whole },
    about,
    figures: (load: TimedLoad) => byName.get(loadName(load)) ?? null,
  };
}
