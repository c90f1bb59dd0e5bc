/**
 * Rounds: ours and the reference by turns, because a machine is not equally fast all the time, and medians, because something else runs
 * now and then.
 */

/** Times of one thing, one number a round. */
export interface Rounds {
  /** Nanoseconds a unit of work. */
  readonly ours: readonly number[];
  /** The same for the reference; empty where there is none. */
  readonly reference: readonly number[];
}

/** Returns the middle one of `numbers`, which are not empty; of an even number of them the lower middle one. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] as number;
}

/**
 * Runs `ours` and `reference` by turns.
 * @param rounds     how often; before the first one `ours` runs `warmUps` times unmeasured
 * @param reference  returns null where it cannot be done
 */
export function takeTurns(
  rounds: number,
  warmUps: number,
  ours: () => number,
  reference: () => number | null,
): Rounds {
  for (let i = 0; i < warmUps; i++) ours();
  const times = { ours: [] as number[], reference: [] as number[] };
  for (let i = 0; i < rounds; i++) {
    times.ours.push(ours());
    const other = reference();
    if (other !== null) times.reference.push(other);
  }
  return times;
}

/** Returns the numbers of a row: medians, and the median of the ratios of the rounds. */
export function summarize(times: Rounds): { ours: number; reference: number | null; ratio: number | null } {
  const ours = digits(median(times.ours));
  if (times.reference.length === 0) return { ours, reference: null, ratio: null };
  const ratios = times.reference.map((ns, i) => (times.ours[i] as number) / ns);
  return { ours, reference: digits(median(times.reference)), ratio: digits(median(ratios)) };
}

/** Keeps four digits: more of them is noise. */
const digits = (n: number): number => Number(n.toPrecision(4));

/** Nanoseconds since any moment. */
export const nowNs = (): number => Number(process.hrtime.bigint());
