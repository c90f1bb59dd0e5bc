/**
 * How well modelled times agree with measured ones: how many are how near, and whether of two ways to do the same the cheaper one is told.
 */

/** One scenario, measured and modelled. */
export interface CostRow {
  readonly situation: string;
  readonly way: string;
  readonly measuredNs: number;
  readonly modelledNs: number;
  readonly noisy: boolean;
}

/** All of them. */
export interface CostVerdict {
  readonly scenarios: number;
  /** So many are within 15 % and within 30 % of what was measured. */
  readonly within15: number;
  readonly within30: number;
  /** Pairs of ways of one situation that differ by more than 1.3 when measured, and of these those in the right order. */
  readonly pairs: number;
  readonly ordered: number;
}

/** A run, as fidelity/costs.json has it. */
export interface CostResults {
  readonly kernel: string;
  /** The day. */
  readonly measured: string;
  readonly seed: number;
  readonly quick: boolean;
  readonly verdict: CostVerdict;
  readonly rows: readonly CostRow[];
}

/** What is aimed at, as shares. */
export const GOAL = { within15: 0.5, within30: 0.8, ordered: 0.95 } as const;
const DIFFERENT = 1.3;

/** Modelled by measured: 1 is exact. */
export const ratioOf = ({ modelledNs, measuredNs }: CostRow): number => modelledNs / measuredNs;

/** Tells whether a row is within a share of what was measured, either way. */
export const isWithin = (row: CostRow, share: number): boolean => Math.abs(ratioOf(row) - 1) <= share;

/** Counts. */
export function verdictOf(rows: readonly CostRow[]): CostVerdict {
  let [pairs, ordered] = [0, 0];
  for (const [i, a] of rows.entries())
    for (const b of rows.slice(i + 1)) {
      if (a.situation !== b.situation) continue;
      const [cheap, dear] = a.measuredNs < b.measuredNs ? [a, b] : [b, a];
      if (dear.measuredNs <= cheap.measuredNs * DIFFERENT) continue;
      pairs++;
      if (cheap.modelledNs < dear.modelledNs) ordered++;
    }
  return {
    scenarios: rows.length,
    within15: rows.filter((row) => isWithin(row, 0.15)).length,
    within30: rows.filter((row) => isWithin(row, 0.3)).length,
    pairs,
    ordered,
  };
}

/** Tells whether the goal is met. */
export const meetsGoal = ({ scenarios, within15, within30, pairs, ordered }: CostVerdict): boolean =>
  within15 >= GOAL.within15 * scenarios &&
  within30 >= GOAL.within30 * scenarios &&
  ordered >= GOAL.ordered * pairs;
