/**
 * How long things took: a histogram whose buckets grow with the value, so that nanoseconds and seconds fit in one and a quantile is right
 * to a thirtieth.
 *
 * Buckets: 16 for each power of two; below 16 one for each whole number.
 * Cost   a division and some additions a value; 8 KiB a histogram
 */

const PER_DOUBLING_LOG2 = 4;
const PER_DOUBLING = 1 << PER_DOUBLING_LOG2;
const BUCKETS = 1024;
const POWERS = Float64Array.from({ length: 64 }, (_, n) => 2 ** n);

/** Returns the bucket of a value, which is not negative and below 2^64. */
function bucketOf(value: number): number {
  if (value < PER_DOUBLING) return Math.floor(value);
  const high = Math.floor(value / 2 ** 32);
  const exponent = high === 0 ? 31 - Math.clz32(value) : 63 - Math.clz32(high);
  const within = Math.floor((value / (POWERS[exponent] as number) - 1) * PER_DOUBLING);
  return Math.min(BUCKETS - 1, (exponent - PER_DOUBLING_LOG2 + 1) * PER_DOUBLING + within);
}

/** Returns the middle of a bucket. */
function middleOf(bucket: number): number {
  if (bucket < PER_DOUBLING) return bucket;
  const exponent = Math.floor(bucket / PER_DOUBLING) + PER_DOUBLING_LOG2 - 1;
  return 2 ** exponent * (1 + ((bucket % PER_DOUBLING) + 0.5) / PER_DOUBLING);
}

/** Values that are not negative, counted by size. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  /** How many values there are. */
  count = 0;
  /** Their sum. */
  sum = 0;
  /** The largest; 0 when there is none. */
  max = 0;

  /** Counts one value. */
  add(value: number): void {
    const bucket = bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.count++;
    this.sum += value;
    if (value > this.max) this.max = value;
  }
  /** Counts all values of `other`, too. */
  addAll(other: Histogram): void {
    for (let i = 0; i < BUCKETS; i++)
      this.#counts[i] = (this.#counts[i] as number) + (other.#counts[i] as number);
    this.count += other.count;
    this.sum += other.sum;
    if (other.max > this.max) this.max = other.max;
  }
  /** Returns the value that a share of `q` (0 to 1) of all values does not exceed, to about 3 %; 0 when there are none. */
  quantile(q: number): number {
    if (this.count === 0) return 0;
    let left = Math.ceil(q * this.count);
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#counts[i] as number;
      if (left <= 0) return Math.min(this.max, middleOf(i));
    }
    return this.max;
  }
}
