/**
 * What was charged in a while: the difference of a kernel's charges at two moments.
 */
import type { Charges } from '../../machine/index.ts';
import type { Work } from '../../mm/index.ts';

/** Charges from its making to `stop`, and on from each `go` to the next. */
export class ChargesSince {
  readonly #work: Work;
  #calls: Float64Array;
  #pages: Float64Array;
  readonly #sums: { readonly calls: number[]; readonly pages: number[] };

  constructor(work: Work) {
    this.#work = work;
    this.#calls = Float64Array.from(work.calls);
    this.#pages = Float64Array.from(work.pages);
    this.#sums = { calls: [...work.calls].map(() => 0), pages: [...work.pages].map(() => 0) };
  }

  /** Counts again from here. */
  go(): void {
    this.#calls = Float64Array.from(this.#work.calls);
    this.#pages = Float64Array.from(this.#work.pages);
  }
  /** Adds what was charged since. */
  stop(): void {
    const { calls, pages } = this.#sums;
    for (let i = 0; i < calls.length; i++) {
      calls[i] = (calls[i] as number) + (this.#work.calls[i] as number) - (this.#calls[i] as number);
      pages[i] = (pages[i] as number) + (this.#work.pages[i] as number) - (this.#pages[i] as number);
    }
  }
  /** What was added. */
  get charges(): Charges {
    return this.#sums;
  }
}
