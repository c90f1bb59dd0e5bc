/**
 * A row of a reproduction: what somebody published, what a real kernel did, what the model does, and whether that agrees.
 *
 * `holds` is computed, never written: the modelled value is held against each reference there is; where there is none, against the
 * bounds that the row gives.
 */

/** One compared figure. */
export interface Row {
  readonly name: string;
  /** By the author of the proposal. */
  readonly published: number | null;
  /** On a real 6.18. */
  readonly measured: number | null;
  readonly modelled: number;
  /** What is counted; `share` is a part of 1, `times` a quotient of two times. */
  readonly unit: string;
  /** How far the modelled value may be from a reference: a share of the reference, or where the unit is `share`, a share of 1. */
  readonly tolerance: number;
  readonly holds: boolean;
  /** What a reader needs to know to compare the figures, or null. */
  readonly note: string | null;
  /** What of the prices is particular: where they are those of the run that was measured. Null for those that everything is modelled with. */
  readonly prices: string | null;
  /** Why it does not hold, where that is known: docs/fidelity.md says the same at more length. Null for rows that hold. */
  readonly known: string | null;
}

/** A row without its verdict; what is left out is null, exact and without bounds. */
export interface Figure {
  readonly name: string;
  readonly published?: number | null;
  readonly measured?: number | null;
  readonly modelled: number;
  readonly unit: string;
  readonly tolerance?: number;
  readonly note?: string | null;
  readonly prices?: string | null;
  /** Why it does not hold; nothing is said of a row that does. */
  readonly known?: string | null;
  /** The least and the most that the modelled value may be, where there is no reference. */
  readonly within?: readonly [number, number];
  /** What was published is shown and not held against: it was taken on another machine, of which nothing is known. */
  readonly elsewhere?: true;
}

/** Makes a row of a figure: adds what is left out and the verdict. */
export function rowOf(figure: Figure): Row {
  const { name, published = null, measured = null, modelled, unit, tolerance = 0 } = figure;
  const { note = null, prices = null } = figure;
  const [least, most] = figure.within ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const far = (reference: number): number => tolerance * (unit === 'share' ? 1 : Math.abs(reference));
  const agrees = (reference: number | null): boolean =>
    reference === null || Math.abs(modelled - reference) <= far(reference);
  const holds =
    (figure.elsewhere === true || agrees(published)) &&
    agrees(measured) &&
    modelled >= least &&
    modelled <= most;
  return {
    name,
    published,
    measured,
    modelled,
    unit,
    tolerance,
    holds,
    note,
    prices,
    known: holds ? null : (figure.known ?? null),
  };
}
