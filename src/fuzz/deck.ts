/**
 * Names drawn as often as their weights say.
 *
 * Cost   a binary search a draw; the sums are made once
 */
import type { Prng } from '../base/prng.ts';

/** Likelihoods by name, in any unit. */
export type Weights = Readonly<Record<string, number>>;

/** Weighted names, ready to be drawn. */
export class Deck {
  readonly #names: readonly string[];
  /** The sum of the weights up to and with each name. */
  readonly #sums: Float64Array;

  /** @param weights  at least one is above 0 */
  constructor(weights: Weights) {
    const rows = Object.entries(weights).filter(([, weight]) => weight > 0);
    this.#names = rows.map(([name]) => name);
    this.#sums = new Float64Array(rows.length);
    let sum = 0;
    for (const [i, [, weight]] of rows.entries()) {
      sum += weight;
      this.#sums[i] = sum;
    }
  }

  /** The names that can be drawn. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Draws a name. */
  draw(random: Prng): string {
    const sums = this.#sums;
    const roll = random.unit() * (sums.at(-1) as number);
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) > roll) high = middle;
      else low = middle + 1;
    }
    return this.#names[low] as string;
  }
}
