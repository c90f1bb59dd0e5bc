/**
 * One seeded random generator, handed down from the machine: xoshiro128** seeded by splitmix32.
 *
 * The same seed gives the same numbers on every engine; nothing else in the model is random.
 * Source: D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators" (2018), public domain algorithm.
 */

const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

/** A deterministic random generator with a period of 2^128 - 1. Not for secrets. */
export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed  any integer; its low 32 bits count */
  constructor(seed: number) {
    let state = seed | 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** Returns the next 32 random bits as an integer from 0 to 2^32 - 1. */
  u32(): number {
    const result = Math.imul(rotl(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = rotl(this.#d, 11);
    return result;
  }

  /** Returns an integer from 0 to `n - 1`; `n` is from 1 to 2^32. The bias is below n / 2^53. */
  below(n: number): number {
    return Math.floor(this.unit() * n);
  }

  /** Returns a double from 0 (included) to 1 (excluded). */
  unit(): number {
    return (this.u32() * 2 ** 21 + (this.u32() >>> 11)) / 2 ** 53;
  }

  /** Returns one of `items`, which is not empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** Shuffles `items` in place (Fisher-Yates) and returns it. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const item = items[i] as T;
      items[i] = items[j] as T;
      items[j] = item;
    }
    return items;
  }
}
