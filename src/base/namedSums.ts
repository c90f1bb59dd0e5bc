/**
 * Sums by name, for counting what happens very often: mostly the same name comes again, and adding to that needs no look-up.
 *
 * Cost   a comparison and an addition where the name is that of the last time; else a look-up
 */

interface Sum {
  readonly name: string;
  value: number;
}

/** Sums by name, in the order in which the names came. */
export class NamedSums {
  readonly #sums = new Map<string, Sum>();
  #last: Sum | null = null;

  /** Adds `n` to the sum of `name`, which begins at 0. */
  add(name: string, n: number): void {
    const sum = this.#last !== null && this.#last.name === name ? this.#last : this.#find(name);
    sum.value += n;
    this.#last = sum;
  }
  #find(name: string): Sum {
    let sum = this.#sums.get(name);
    if (sum === undefined) {
      sum = { name, value: 0 };
      this.#sums.set(name, sum);
    }
    return sum;
  }

  /** Returns the sums by name, as they are now. */
  toMap(): Map<string, number> {
    return new Map([...this.#sums.values()].map(({ name, value }) => [name, value]));
  }
}
