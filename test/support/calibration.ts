/**
 * The bundled calibration in tests: its figures, and copies of it in which one of them is another.
 */
import { readFileSync } from 'node:fs';
import { type Calibration, CostTable } from '../../src/machine/index.ts';

const PATH = new URL('../../calibration/linux-6.18-x86_64.json', import.meta.url);

/** The text of the file. */
export const CALIBRATION_TEXT: string = readFileSync(PATH, 'utf8');
/** What is in it. */
export const CALIBRATION: Calibration = { name: 'linux-6.18-x86_64', ...JSON.parse(CALIBRATION_TEXT) };
/** Its prices. */
export const COSTS: CostTable = new CostTable(CALIBRATION);

/** Returns a copy in which the figure or line called `name` costs twice as much. */
export function withDoubled(name: string): Calibration {
  const { primitives, models } = CALIBRATION;
  return {
    ...CALIBRATION,
    primitives: primitives.map((each) =>
      each.name === name
        ? { ...each, median: 2 * each.median, floor: 2 * (each.floor ?? each.median) }
        : each,
    ),
    models: models.map((each) =>
      each.name === name ? { ...each, fixedNs: 2 * each.fixedNs, perPageNs: 2 * each.perPageNs } : each,
    ),
  };
}

/** Returns what the figure called `name` was measured as. */
export function measured(name: string): number {
  const figure = CALIBRATION.primitives.find((each) => each.name === name);
  if (figure === undefined) throw new Error(`no figure ${name}`);
  return figure.floor ?? figure.median;
}
