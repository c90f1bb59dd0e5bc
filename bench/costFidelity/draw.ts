/**
 * Draws scenarios from a seed: situations with sizes, batches and shares at random, and in each some ways to do the same.
 *
 * None of them is an experiment of a calibration, and none is measured when the figures are: prices are only ever made of primitives.
 */
import { Prng } from '../../src/base/prng.ts';
import type { Draw } from './building.ts';
import { MEMORY_FAMILIES } from './memoryFamilies.ts';
import type { Scenario } from './scenario.ts';
import { SERVICE_FAMILIES } from './serviceFamilies.ts';

const FAMILIES = [...MEMORY_FAMILIES, ...SERVICE_FAMILIES];

/** Draws scenarios: as many situations of each family as `times`. The same seed gives the same ones. */
export function drawScenarios(seed: number, times = 1): Scenario[] {
  const prng = new Prng(seed);
  const draw: Draw = {
    prng,
    size: (low, high) => Math.round(low * (high / low) ** prng.unit()),
    pick: (items) => prng.pick(items),
  };
  return Array.from({ length: times }, () => FAMILIES)
    .flat()
    .flatMap((family) => {
      const { what, ways, needs = [], waits = false } = family(draw);
      return ways.map(({ way, steps }) => ({ situation: what, way, steps, needs, waits }));
    });
}
