/**
 * The random numbers of ebizzy, as published and as they were meant.
 *
 *   published   the state is multiplied by 1103515245 + 12345, and begins with 0: it stays 0, so each record copies chunk 0 and looks for key 0
 *   fixed       multiplied by 1103515245, and 12345 added, from a seed
 *
 * Source   ebizzy 0.3, as the Linux Test Project carries it
 */

/** Which generator. */
export type Rng = 'published' | 'fixed';

const MULTIPLIER = 1_103_515_245;
const INCREMENT = 12_345;

/** The generator of one thread. */
export class EbizzyRng {
  readonly #kind: Rng;
  #state: number;

  /** @param seed  of `fixed`; the published one begins with 0 */
  constructor(kind: Rng, seed: number) {
    this.#kind = kind;
    this.#state = kind === 'published' ? 0 : seed >>> 0;
  }

  /** Returns the next number from 0 to `n` - 1. */
  below(n: number): number {
    this.#state =
      this.#kind === 'published'
        ? Math.imul(this.#state, MULTIPLIER + INCREMENT) >>> 0
        : (Math.imul(this.#state, MULTIPLIER) + INCREMENT) >>> 0;
    // The low bits of such a generator repeat soon; the published one takes them and gets 0 anyway.
    return (this.#kind === 'published' ? this.#state : this.#state >>> 8) % n;
  }
}
